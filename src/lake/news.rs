//! What other writers committed since: their objects, rows and facts, read from the
//! files that their commits name and no others.
//!
//! Each commit to `s3_access` names all files that it makes visible (see
//! [`super::store`]). Rewrites by `settle` hold rows that are known, and are passed
//! over.

use super::error::LakeError;
use super::ledger::{CopyFilter, Ledger};
use super::rows::{instance_at, session_at};
use super::settle::copies::RowIds;
use super::settle::reader::{self, Texts};
use super::store::{Committed, Lake};
use crate::model::{Ec2Instance, StsSession};
use arrow::array::RecordBatch;
use bytes::Bytes;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    Read,
    /// The log, or a file that it names, is gone, or there is so much that reading
    /// everything is no more work.
    Gone,
}

/// What one new file tells.
pub enum NewsFile {
    Sessions(Vec<StsSession>),
    Instances(Vec<Ec2Instance>),
    /// What ledger and filter are told with [`Stored::note`].
    Stored(Stored),
}

/// A new file that tells what is in the lake.
pub struct Stored {
    table: &'static str,
    bytes: Bytes,
}

/// Versions that are read one by one, at most.
const VERSIONS_MAX: u64 = 500;

/// Columns of the ledger that tell objects apart.
const OBJECT_COLUMNS: [&str; 7] = [
    "uri",
    "version_id",
    "etag",
    "status",
    "kind",
    "records",
    "sha256",
];

/// Columns of rows that tell copies.
const COPY_COLUMNS: [&str; 8] = [
    "event_id",
    "content_id",
    "event_name",
    "aws_account_id",
    "shared_event_id",
    "original_event_id",
    "principal_arn",
    "access_key_id",
];

/// Reads what was committed after that version, up to the version last seen, and shows
/// it file by file.
///
/// # Errors
/// When the log or a file cannot be read, or holds what cannot be understood.
pub async fn read_news(
    lake: &Lake,
    since: u64,
    mut show: impl FnMut(NewsFile) -> Result<(), LakeError>,
) -> Result<News, LakeError> {
    let newest = lake.s3_access().version();
    if newest.saturating_sub(since) > VERSIONS_MAX {
        return Ok(News::Gone);
    }
    for version in since + 1..=newest {
        let Some(committed) = lake.committed(version).await? else {
            return Ok(News::Gone);
        };
        let Committed::Batch(files) = committed else {
            continue;
        };
        for (name, path) in files {
            // Nothing of a digest bears on what is taken, and they are large.
            if name == "digest_objects" {
                continue;
            }
            let Some(table) = lake.tables().find(|table| table.name == name) else {
                continue;
            };
            let Some(bytes) = table.fetch(&path).await? else {
                return Ok(News::Gone);
            };
            let fail = |error| LakeError::read(table.name, table.url(), error);
            show(read_file(table.name, bytes).map_err(fail)?)?;
        }
    }
    Ok(News::Read)
}

fn read_file(table: &'static str, bytes: Bytes) -> parquet::errors::Result<NewsFile> {
    match table {
        "sts_sessions" => {
            let mut sessions = Vec::new();
            each_row(bytes, |batch, row| sessions.push(session_at(batch, row)))?;
            Ok(NewsFile::Sessions(sessions))
        }
        "ec2_instances" => {
            let mut instances = Vec::new();
            each_row(bytes, |batch, row| instances.push(instance_at(batch, row)))?;
            Ok(NewsFile::Instances(instances))
        }
        _ => Ok(NewsFile::Stored(Stored { table, bytes })),
    }
}

fn each_row(bytes: Bytes, mut see: impl FnMut(&RecordBatch, usize)) -> parquet::errors::Result<()> {
    for batch in reader::open_whole(bytes)? {
        let batch = batch?;
        (0..batch.num_rows()).for_each(|row| see(&batch, row));
    }
    Ok(())
}

impl Stored {
    /// Tells ledger and filter of it.
    ///
    /// # Errors
    /// When it is no Parquet file.
    pub fn note(&self, ledger: &mut Ledger, copies: &mut CopyFilter) -> Result<(), LakeError> {
        let noted = match self.table {
            "log_objects" => note_objects(&self.bytes, ledger),
            "notifications" => note_notifications(&self.bytes, ledger),
            _ => note_rows(&self.bytes, copies),
        };
        noted.map_err(|error| LakeError::encode(self.table, error))
    }
}

fn note_objects(file: &Bytes, ledger: &mut Ledger) -> parquet::errors::Result<()> {
    for batch in reader::open(file.clone(), &OBJECT_COLUMNS)? {
        let batch = batch?;
        let [uri, version, etag, status, kind, _, sha256] =
            OBJECT_COLUMNS.map(|name| Texts::of(&batch, name));
        let records = batch.column_by_name("records");
        for row in 0..batch.num_rows() {
            // A writer of before only counted them.
            let is_unread_digest = kind.at(row) == Some("digest")
                && status.at(row) == Some("ignored")
                && sha256.at(row).is_none();
            if is_unread_digest {
                continue;
            }
            let has_records = reader::int64_at(records, row).is_some_and(|records| records > 0);
            let read = has_records && status.at(row) == Some("committed");
            let content = sha256.at(row).filter(|_| read);
            let content = content.and_then(super::facts::unhex);
            let uri = uri.at(row).unwrap_or_default();
            ledger.note(uri, version.at(row), etag.at(row), content.as_ref());
        }
    }
    Ok(())
}

fn note_notifications(file: &Bytes, ledger: &mut Ledger) -> parquet::errors::Result<()> {
    for batch in reader::open(file.clone(), &["notification_id"])? {
        let batch = batch?;
        let ids = Texts::of(&batch, "notification_id");
        for row in 0..batch.num_rows() {
            ledger.note_notification(ids.at(row).unwrap_or_default());
        }
    }
    Ok(())
}

fn note_rows(file: &Bytes, copies: &mut CopyFilter) -> parquet::errors::Result<()> {
    for batch in reader::open(file.clone(), &COPY_COLUMNS)? {
        let batch = batch?;
        let ids = RowIds::of(&batch);
        (0..batch.num_rows()).for_each(|row| copies.note(&ids.at(row)));
    }
    Ok(())
}
