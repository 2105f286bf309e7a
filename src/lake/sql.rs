//! SQL over the lake's tables, with DataFusion.
//!
//! Every Delta table under the lake is a table of that name; every file of
//! `queries/views` is a view. A query sees the versions current when it starts.

use super::error::LakeError;
use super::store::lake_url;
use datafusion::execution::context::{SessionConfig, SessionContext};
use datafusion::prelude::DataFrame;
use deltalake::{DeltaTable, DeltaTableBuilder};
use std::sync::Arc;
use url::Url;

/// Views by name: a `SELECT` each, shipped with the program.
pub const VIEWS: [(&str, &str); 1] = [(
    "violations",
    include_str!("../../queries/views/violations.sql"),
)];

/// A session over existing tables.
///
/// # Errors
/// When the lake does not exist or a table of it cannot be read.
pub async fn session(location: &str) -> Result<SessionContext, LakeError> {
    let url = lake_url(location)?;
    let names = table_names(&url, location).await?;
    let context = new_session();
    for name in names {
        let table_url = url
            .join(&format!("{name}/"))
            .map_err(|error| LakeError::open("lake", &url, error))?;
        let table = DeltaTableBuilder::from_url(table_url.clone())
            .map_err(|error| LakeError::open("lake", &table_url, error))?
            .load()
            .await
            .map_err(|error| LakeError::open("lake", &table_url, error))?;
        register(&context, &name, &table).await?;
    }
    for (name, text) in VIEWS {
        if context.table_exist("s3_access").unwrap_or(false) {
            define_view(&context, name, text)
                .await
                .map_err(|error| LakeError::read("violations", &url, error))?;
        }
    }
    Ok(context)
}

/// A session without tables, with this program's settings.
pub fn new_session() -> SessionContext {
    let mut config = SessionConfig::new().with_information_schema(true);
    config
        .options_mut()
        .execution
        .parquet
        .schema_force_view_types = false;
    SessionContext::new_with_config(config)
}

/// Makes a table known under that name.
///
/// # Errors
/// When the table's files cannot be listed.
pub async fn register(
    context: &SessionContext,
    name: &str,
    table: &DeltaTable,
) -> Result<(), LakeError> {
    let fail = |error: String| LakeError::read("lake", table.table_url(), error);
    table
        .update_datafusion_session(&context.state())
        .map_err(|error| fail(error.to_string()))?;
    let provider = table
        .table_provider()
        .with_session(Arc::new(context.state()))
        .await
        .map_err(|error| fail(error.to_string()))?;
    context
        .register_table(name, provider)
        .map_err(|error| fail(error.to_string()))?;
    Ok(())
}

async fn define_view(
    context: &SessionContext,
    name: &str,
    text: &str,
) -> datafusion::error::Result<()> {
    let frame: DataFrame = context.sql(text).await?;
    context.register_table(name, Arc::clone(&frame.into_view()))?;
    Ok(())
}

/// Folders of the lake that hold a Delta log.
async fn table_names(url: &Url, location: &str) -> Result<Vec<String>, LakeError> {
    let missing = |detail: String| LakeError::Location {
        location: location.to_owned(),
        detail,
    };
    let Ok(path) = url.to_file_path() else {
        return remote_table_names(url).await.map_err(missing);
    };
    let entries = std::fs::read_dir(&path).map_err(|error| {
        missing(format!(
            "{error}; `bricktrail scan` makes a lake, `--lake` names one"
        ))
    })?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("_delta_log").is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    if names.is_empty() {
        return Err(missing(NO_TABLE.to_owned()));
    }
    Ok(names)
}

const NO_TABLE: &str =
    "it holds no Delta table; `bricktrail scan` or `run` makes a lake, `--lake` names one";

/// Folders below a remote lake that hold a Delta log; else why there is none.
async fn remote_table_names(url: &Url) -> Result<Vec<String>, String> {
    let table = DeltaTableBuilder::from_url(url.clone())
        .and_then(DeltaTableBuilder::build)
        .map_err(|error| error.to_string())?;
    let store = table.log_store().object_store(None);
    let listed = store.list_with_delimiter(None).await;
    let listed = listed.map_err(|error| error.to_string())?;
    let mut names = Vec::new();
    for folder in listed.common_prefixes {
        let log = store
            .list_with_delimiter(Some(&folder.clone().join("_delta_log")))
            .await;
        let has_log = log.map_err(|error| error.to_string())?.objects;
        let name = folder.filename().filter(|_| !has_log.is_empty());
        names.extend(name.map(str::to_owned));
    }
    match names.is_empty() {
        true => Err(NO_TABLE.to_owned()),
        false => Ok(names),
    }
}
