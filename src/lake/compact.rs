//! Puts the many small files of the tables beside `s3_access` into few.
//!
//! Each commit adds a file to the ledger, and often one to the tables of facts. A lake
//! that is read in a year would open half a million. The rows stay as they are; the
//! files that were replaced stay for a vacuum, so that who reads an older version goes
//! on reading.
//!
//! INVARIANT (once): files are replaced in one commit at the very next version, and only
//! if all of them are still there. delta-rs's own `optimize` does not see to that: two at
//! once doubled the rows of a table (deltalake 1.1; a test keeps it away).
//!
//! Deliberately absent: `s3_access` and `s3_amendments`, which `settle` sorts as it
//! puts them together; and `digest_objects`, whose rows are so large that a few thousand
//! of them would not fit memory.

use super::data_file::{EncodedFile, FileWriter};
use super::delta::{CONFLICTS_MAX, CommitOutcome, LakeTable, TableFile};
use super::error::LakeError;
use super::settle::reader;
use super::store::Lake;
use crate::model::UtcMicros;
use deltalake::kernel::Remove;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;

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
const TARGET_BYTES: u64 = 64 * 1024 * 1024;

/// Stored bytes that are put together at a time.
const READ_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What became of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    pub table: &'static str,
    /// Files that became one.
    pub files: usize,
}

/// Compacts the tables that have so many small files, whoever appends meanwhile. A table
/// that another process compacts at the same time is left to that one.
///
/// # Errors
/// When a table cannot be read or written. Tables before it are done.
pub async fn compact(
    lake: &mut Lake,
    small_files_min: usize,
    now: UtcMicros,
) -> Result<Vec<Compacted>, LakeError> {
    lake.refresh().await?;
    let mut done = Vec::new();
    for table in lake.tables().filter(|table| TABLES.contains(&table.name)) {
        done.extend(compact_table(table.clone(), small_files_min, now).await?);
    }
    if !done.is_empty() {
        lake.refresh().await?;
    }
    Ok(done)
}

async fn compact_table(
    mut table: LakeTable,
    small_files_min: usize,
    now: UtcMicros,
) -> Result<Option<Compacted>, LakeError> {
    let mut bytes = 0;
    let files = table.files().into_iter();
    let small: Vec<TableFile> = files
        .filter(|file| file.bytes < TARGET_BYTES)
        .take_while(|file| {
            bytes += file.bytes;
            bytes <= READ_BYTES_MAX
        })
        .collect();
    if small.len() < small_files_min {
        return Ok(None);
    }
    let removes: Vec<Remove> = small.iter().map(|file| file.remove.clone()).collect();
    let (of, small_files) = (table.clone(), small.len());
    let fail = |cause: String| LakeError::encode(table.name, cause);
    let merged = tokio::task::spawn_blocking(move || merge(&of, &small)).await;
    let Some(merged) = merged.map_err(|error| fail(error.to_string()))?? else {
        return Ok(None);
    };
    let add = table.write(merged, now).await?;
    for _ in 0..CONFLICTS_MAX {
        if !table.has_all(&removes) {
            table.discard(&[add]).await;
            tracing::debug!(table = table.name, "compacted by another process");
            return Ok(None);
        }
        let (adds, removes) = (vec![add.clone()], removes.clone());
        let outcome = table.replace(adds, removes, &[], Vec::new()).await?;
        if let CommitOutcome::Committed { .. } = outcome {
            let (table, files) = (table.name, small_files);
            tracing::info!(table, files, "compacted");
            return Ok(Some(Compacted { table, files }));
        }
    }
    table.discard(&[add]).await;
    Err(LakeError::contended(table.name, table.url(), CONFLICTS_MAX))
}

/// The rows of these files, in one; `None` if there are none.
fn merge(table: &LakeTable, files: &[TableFile]) -> Result<Option<EncodedFile>, LakeError> {
    let fail = |error: ParquetError| LakeError::encode(table.name, error);
    let mut writer: Option<ArrowWriter<Vec<u8>>> = None;
    let mut rows = 0;
    for file in files {
        for batch in reader::open_whole(table.open(file)?).map_err(fail)? {
            let batch = batch.map_err(|error| fail(error.into()))?;
            rows += batch.num_rows() as u64;
            let writer = match &mut writer {
                Some(writer) => writer,
                None => {
                    let file = FileWriter::new(batch.schema(), &[], &[]);
                    let properties = Some(file.properties().clone());
                    let new = ArrowWriter::try_new(Vec::new(), batch.schema(), properties);
                    writer.insert(new.map_err(fail)?)
                }
            };
            writer.write(&batch).map_err(fail)?;
        }
    }
    let bytes = writer.map(ArrowWriter::into_inner).transpose();
    let bytes = bytes.map_err(fail)?;
    Ok(bytes.map(|bytes| EncodedFile::unpartitioned(bytes, rows)))
}
