//! An export that is a Delta table: its current version, the needed columns only.
//!
//! Read through delta-rs, so that removed files, deletion vectors and partition
//! values are what the table says they are.

use super::arrow_cell::cell_at;
use super::cell::{Cell, same_name};
use super::files::{Take, take_row};
use super::report::{Place, SourceReport};
use super::row::{Columns, Row, arrays_of};
use datafusion::execution::context::{SessionConfig, SessionContext};
use datafusion::prelude::{Expr, ident};
use deltalake::DeltaTableBuilder;
use futures::StreamExt as _;
use std::path::Path;
use std::sync::Arc;
use url::Url;

/// The column that names a row's file.
const FILE_COLUMN: &str = "bricktrail_file";

pub fn is_delta_table(folder: &Path) -> bool {
    folder.join("_delta_log").is_dir()
}

/// Reads the rows of the table; what cannot be read is one fault of the source.
pub async fn read_table(
    folder: &Path,
    name: &str,
    columns: Columns,
    report: &mut SourceReport,
    take: Take<'_>,
) {
    let rows_before = report.rows + report.bad_rows;
    let outcome = stream(folder, name, columns, report, take).await;
    let read = report.rows + report.bad_rows - rows_before;
    match outcome {
        Ok(()) => report.files += 1,
        Err(error) => {
            let reason = format!(
                "Delta table cannot be read ({error}); {read} rows before it are used; export it \
                 as Parquet or copy it again, `_delta_log` included"
            );
            report.files += u64::from(read > 0);
            report.bad_file(name, reason);
        }
    }
}

async fn stream(
    folder: &Path,
    name: &str,
    columns: Columns,
    report: &mut SourceReport,
    take: Take<'_>,
) -> Result<(), String> {
    let absolute = std::path::absolute(folder).map_err(|error| error.to_string())?;
    let url = Url::from_directory_path(&absolute).map_err(|()| "not a path".to_owned())?;
    let table = DeltaTableBuilder::from_url(url)
        .map_err(words)?
        .load()
        .await
        .map_err(words)?;
    // One partition: the rows come in the order of the table's files.
    let mut config = SessionConfig::new().with_target_partitions(1);
    config
        .options_mut()
        .execution
        .parquet
        .schema_force_view_types = false;
    let context = SessionContext::new_with_config(config);
    table
        .update_datafusion_session(&context.state())
        .map_err(words)?;
    let provider = table
        .table_provider()
        .with_session(Arc::new(context.state()))
        .with_file_column(FILE_COLUMN)
        .await
        .map_err(words)?;
    let frame = context.read_table(provider).map_err(words)?;
    let wanted: Vec<Expr> = frame
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .filter(|field| {
            field == FILE_COLUMN || columns.iter().any(|column| same_name(column, field))
        })
        .map(ident)
        .collect();
    let frame = frame.select(wanted).map_err(words)?;
    let mut batches = frame.execute_stream().await.map_err(words)?;
    let (mut file, mut number) = (String::new(), 0);
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(words)?;
        let arrays = arrays_of(columns, &batch);
        let files = batch.column_by_name(FILE_COLUMN);
        for i in 0..batch.num_rows() {
            if let Some(Cell::Text(path)) = files.map(|files| cell_at(files.as_ref(), i)) {
                let held = path.rsplit('/').next().unwrap_or_default();
                if !file.ends_with(held) || file.is_empty() {
                    (file, number) = (format!("{name}/{held}"), 0);
                }
            }
            number += 1;
            let row = Row::of_arrow(columns, &arrays, i, &[]);
            let at = take_row(&row, &file, Place::Row(number), report, take);
            report.newest = report.newest.max(at);
        }
    }
    Ok(())
}

/// What went wrong, on one line.
fn words(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim().to_owned()
}
