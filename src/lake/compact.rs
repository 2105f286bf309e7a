//! Puts the many small files of the tables beside `s3_access` into few.
//!
//! Each commit adds a file to the ledger, and often one to the tables of facts. A lake
//! that is read in a year would open half a million. The rows stay as they are; the
//! files that were replaced stay for a vacuum, so that who reads an older version goes
//! on reading.
//!
//! Deliberately absent: `s3_access` and `s3_amendments`, which `settle` sorts as it
//! puts them together; and `digest_objects`, whose rows are so large that a few thousand
//! of them would not fit memory.

use super::delta::LakeTable;
use super::error::LakeError;
use super::store::Lake;
use deltalake::DeltaTableError;
use deltalake::kernel::transaction::TransactionError;
use std::num::NonZeroU64;

/// Tables whose rows nobody sorts, in the order in which they are compacted.
const TABLES: [&str; 4] = [
    "sts_sessions",
    "ec2_instances",
    "notifications",
    "log_objects",
];

/// Small files below which a table is left as it is: a commit in a minute makes as many
/// in two hours.
pub const SMALL_FILES_MIN: usize = 120;

/// Files as large as this are not touched again.
const TARGET_BYTES: NonZeroU64 = match NonZeroU64::new(64 * 1024 * 1024) {
    Some(bytes) => bytes,
    None => NonZeroU64::MIN,
};

/// What became of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    pub table: &'static str,
    pub files_before: u64,
    pub files_after: u64,
}

/// Compacts the tables that have so many small files, whoever appends meanwhile. A table that another
/// process compacts at the same time is left to that one.
///
/// # Errors
/// When a table cannot be read or written. Tables before it are done.
pub async fn compact(lake: &mut Lake, small_files_min: usize) -> Result<Vec<Compacted>, LakeError> {
    lake.refresh().await?;
    let mut done = Vec::new();
    for table in lake.tables().filter(|table| TABLES.contains(&table.name)) {
        done.extend(compact_table(table, small_files_min).await?);
    }
    if !done.is_empty() {
        lake.refresh().await?;
    }
    Ok(done)
}

async fn compact_table(
    table: &LakeTable,
    small_files_min: usize,
) -> Result<Option<Compacted>, LakeError> {
    let files = table.files();
    let small = files.iter().filter(|file| file.bytes < TARGET_BYTES.get());
    if small.count() < small_files_min {
        return Ok(None);
    }
    let compacted = table
        .as_delta_table()
        .optimize()
        .with_target_size(TARGET_BYTES)
        // Memory is the rows' own; haste is not needed.
        .with_max_concurrent_tasks(1)
        .await;
    match compacted {
        Ok((_, metrics)) => {
            let (added, removed) = (metrics.num_files_added, metrics.num_files_removed);
            let compacted = Compacted {
                table: table.name,
                files_before: removed,
                files_after: added,
            };
            tracing::info!(
                table = table.name,
                files = removed,
                into = added,
                "compacted"
            );
            Ok(Some(compacted))
        }
        Err(error) if is_contended(&error) => {
            tracing::debug!(table = table.name, %error, "compacted by another process");
            Ok(None)
        }
        Err(error) => Err(LakeError::write(table.name, table.url(), error)),
    }
}

fn is_contended(error: &DeltaTableError) -> bool {
    let DeltaTableError::Transaction { source } = error else {
        return false;
    };
    matches!(
        source,
        TransactionError::CommitConflict(_) | TransactionError::MaxCommitAttempts(_)
    )
}
