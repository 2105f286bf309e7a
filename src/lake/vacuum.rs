//! Deletes files that no version of a table younger than a retention names.
//!
//! A settle replaces files, and they stay for the table's history; a process that was
//! killed leaves files that no version names at all. Both go, once they are older than
//! the retention. So what a table said before can be read for that long.
//!
//! INVARIANT (not under a writer): a file that is written and not yet committed looks
//! like one that nobody wants. A retention of at least a week, as Delta asks for by
//! default, keeps them apart.
//!
//! Deliberately absent: the log itself; Delta's own rules clean it up. And the
//! `databricks_*` tables, whose files nothing replaces.

use super::delta::LakeTable;
use super::error::LakeError;
use super::store::Lake;
use chrono::Duration;
use datafusion::object_store::{ObjectStoreExt as _, path::Path};
use deltalake::DeltaTableError;
use deltalake::operations::vacuum::{VacuumBuilder, VacuumMode};

/// Below this, files of writers that are still at work may be deleted.
pub const RETENTION_DAYS_MIN: i64 = 7;

/// What was deleted of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vacuumed {
    pub table: &'static str,
    pub files: u64,
    pub bytes: u64,
}

/// Vacuums the tables of rows, logs, identity facts and policies; `force` allows a retention of less than a week.
///
/// # Errors
/// When a table cannot be listed, a file cannot be deleted, or the retention is less
/// than the table's own and not forced. Tables before it are done.
pub async fn vacuum(
    lake: &mut Lake,
    retention: Duration,
    force: bool,
) -> Result<Vec<Vacuumed>, LakeError> {
    // What is not rolled forward yet is named by no table, and wanted.
    lake.refresh().await?;
    let mut done = Vec::new();
    for table in lake.tables() {
        done.push(vacuum_table(table, retention, force).await?);
    }
    lake.refresh().await?;
    Ok(done)
}

async fn vacuum_table(
    table: &LakeTable,
    retention: Duration,
    force: bool,
) -> Result<Vacuumed, LakeError> {
    let fail = |error: DeltaTableError| LakeError::write(table.name, table.url(), error);
    let builder = || -> VacuumBuilder {
        let builder = table.as_delta_table().vacuum();
        builder
            .with_retention_period(retention)
            .with_enforce_retention_duration(!force)
            .with_mode(VacuumMode::Full)
    };
    // Their sizes can be asked for only as long as they are there.
    let (planned, plan) = builder().with_dry_run(true).await.map_err(fail)?;
    let mut vacuumed = Vacuumed {
        table: table.name,
        files: 0,
        bytes: 0,
    };
    if plan.files_deleted.is_empty() {
        return Ok(vacuumed);
    }
    let store = planned.log_store().object_store(None);
    let mut sizes = std::collections::HashMap::new();
    for file in plan.files_deleted {
        if let Ok(path) = Path::parse(&file)
            && let Ok(meta) = store.head(&path).await
        {
            sizes.insert(file, meta.size);
        }
    }
    let (_, metrics) = builder().await.map_err(fail)?;
    for file in metrics.files_deleted {
        // What another vacuum deleted meanwhile is not counted.
        if let Some(bytes) = sizes.get(&file) {
            vacuumed.files += 1;
            vacuumed.bytes += bytes;
        }
    }
    Ok(vacuumed)
}
