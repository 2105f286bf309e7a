//! Tries out whether a lake can be written where it is said to be: what every commit
//! needs, one by one, with an object that is gone afterwards.

use super::error::LakeError;
use crate::model::UtcMicros;
use datafusion::object_store::{self, ObjectStoreExt as _, PutMode, path::Path};
use deltalake::DeltaTableBuilder;
use url::Url;

/// What was tried, and how it ended.
pub struct Probed {
    pub step: &'static str,
    /// What went wrong, and what would mend it.
    pub fault: Option<String>,
}

/// What a lake's place can do.
pub struct Probe {
    pub steps: Vec<Probed>,
    /// How far the store's clock is ahead of ours, in seconds; to the second.
    pub clock_ahead: Option<i64>,
}

/// Tries to write, to write only where nothing is, to read, to list and to delete.
///
/// # Errors
/// When the place is none that a lake can have.
pub async fn probe(lake: &Url, now: UtcMicros) -> Result<Probe, LakeError> {
    let fail = |error| LakeError::open("lake", lake, error);
    if let Ok(path) = lake.to_file_path() {
        std::fs::create_dir_all(path).map_err(|error| LakeError::write("lake", lake, error))?;
    }
    let table = DeltaTableBuilder::from_url(lake.clone()).and_then(DeltaTableBuilder::build);
    let store = table.map_err(fail)?.log_store().object_store(None);
    let path = Path::from(format!("bricktrail-doctor-{}", uuid::Uuid::new_v4()));
    let mut probe = Probe {
        steps: Vec::new(),
        clock_ahead: None,
    };
    let mut note = |step, outcome: Result<(), String>| {
        let fault = outcome.err();
        let done = fault.is_none();
        probe.steps.push(Probed { step, fault });
        done
    };
    let told = |error: object_store::Error| error.to_string();
    let create = || store.put_opts(&path, "bricktrail".into(), PutMode::Create.into());
    let written = create().await.map(|_| ()).map_err(told);
    let written = written.map_err(|error| format!("{error}; it needs s3:PutObject on the lake"));
    if !note("write", written) {
        return Ok(probe);
    }
    let only_once = match create().await {
        Err(
            object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. },
        ) => Ok(()),
        Ok(_) => Err(
            "it wrote over what was there: this store ignores `If-None-Match`, and two writers \
             would lose each other's commits; use another"
                .to_owned(),
        ),
        Err(error) => Err(told(error)),
    };
    note("write only where nothing is", only_once);
    let head = store.head(&path).await;
    let ahead = head
        .as_ref()
        .ok()
        .map(|head| head.last_modified.timestamp());
    let read = store.get(&path).await.map(|_| ()).map_err(told);
    note(
        "read",
        read.map_err(|error| format!("{error}; it needs s3:GetObject on the lake")),
    );
    let listed = store
        .list_with_delimiter(None)
        .await
        .map(|_| ())
        .map_err(told);
    note(
        "list",
        listed.map_err(|error| format!("{error}; it needs s3:ListBucket on the lake's prefix")),
    );
    let deleted = store.delete(&path).await.map_err(told);
    note(
        "delete",
        deleted.map_err(|error| format!("{error}; it needs s3:DeleteObject on the lake")),
    );
    probe.clock_ahead = ahead.map(|seconds| seconds - now.0.div_euclid(1_000_000));
    Ok(probe)
}
