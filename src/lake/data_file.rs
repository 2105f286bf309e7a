//! Encodes rows as one Parquet file and describes it for the Delta log.
//!
//! zstd at its fastest level: the bytes of a trail are mostly repeated text,
//! which the dictionaries already took out, and higher levels cost more CPU
//! than the rest of the encoding for a few percent.

use super::columns::{Column, batch};
use crate::model::time::date_text;
use crate::model::{UtcMicros, Verdict};
use arrow::datatypes::SchemaRef;
use deltalake::kernel::Add;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::collections::HashMap;

/// Rows turned into arrays at a time: their sources stay in the CPU's caches
/// while 60 columns are read from them.
const BATCH_ROWS: usize = 2048;

/// A Parquet file, still in memory.
pub struct EncodedFile {
    pub bytes: Vec<u8>,
    pub rows: u64,
    pub partition: Partition,
    pub times: Option<Times>,
}

/// Where in its table a file belongs.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    /// Folder below the table, empty or ending in `/`.
    folder: String,
    /// Values of the partition columns, as the Delta log writes them.
    values: Vec<(&'static str, String)>,
    /// What the file's name begins with.
    prefix: &'static str,
}

/// First and last of the times in a file.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub events: (UtcMicros, UtcMicros),
    pub ingested: (UtcMicros, UtcMicros),
}

/// Files whose name begins so hold settled rows only.
pub const SETTLED: &str = "settled-";

impl Partition {
    /// A partition of `s3_access`.
    pub fn of(date: i32, verdict: Verdict) -> Partition {
        let (date, verdict) = (date_text(date), verdict.as_str());
        Partition {
            folder: format!("event_date={date}/verdict={verdict}/"),
            values: vec![("event_date", date), ("verdict", verdict.to_owned())],
            prefix: "part-",
        }
    }

    /// The same partition, for a file of settled rows only.
    #[must_use]
    pub fn settled(self) -> Partition {
        Partition {
            prefix: SETTLED,
            ..self
        }
    }
}

/// How a table's files are written.
#[derive(Clone)]
pub struct FileWriter {
    schema: SchemaRef,
    properties: WriterProperties,
}

impl FileWriter {
    /// `unrepeated` names columns for which a dictionary would only cost;
    /// `ranged` those whose least and greatest values are worth storing.
    pub fn new(schema: SchemaRef, unrepeated: &[&str], ranged: &[&str]) -> FileWriter {
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_max_row_group_row_count(Some(256 * 1024))
            .set_created_by(concat!("bricktrail ", env!("CARGO_PKG_VERSION")).to_owned());
        for name in unrepeated {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(*name), false);
        }
        for name in ranged {
            properties = properties
                .set_column_statistics_enabled(ColumnPath::from(*name), EnabledStatistics::Chunk);
        }
        FileWriter {
            schema,
            properties: properties.build(),
        }
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub fn properties(&self) -> &WriterProperties {
        &self.properties
    }

    /// Encodes the rows that `fill` gives, block by block, until it gives none.
    ///
    /// # Errors
    /// When a value does not fit Parquet, which would be a defect here.
    pub fn encode<R>(
        &self,
        columns: &[Column<R>],
        mut fill: impl FnMut(&mut Vec<R>, usize),
    ) -> Result<(Vec<u8>, u64), ParquetError> {
        let mut writer = ArrowWriter::try_new(
            Vec::new(),
            self.schema.clone(),
            Some(self.properties.clone()),
        )?;
        let mut rows = Vec::with_capacity(BATCH_ROWS);
        let mut written = 0;
        loop {
            rows.clear();
            fill(&mut rows, BATCH_ROWS);
            if rows.is_empty() {
                break;
            }
            written += rows.len() as u64;
            writer.write(&batch(&self.schema, columns, &rows)?)?;
        }
        Ok((writer.into_inner()?, written))
    }
}

impl EncodedFile {
    /// A file of a table without partitions.
    pub fn unpartitioned(bytes: Vec<u8>, rows: u64) -> EncodedFile {
        EncodedFile {
            bytes,
            rows,
            partition: Partition {
                prefix: "part-",
                ..Partition::default()
            },
            times: None,
        }
    }

    /// A new, unique path below the table's folder.
    pub fn new_path(&self) -> String {
        let Partition { folder, prefix, .. } = &self.partition;
        format!("{folder}{prefix}{}.zstd.parquet", uuid::Uuid::new_v4())
    }

    /// The action that adds the file, written at `path`, to its table at `now`.
    pub fn add_action(&self, path: String, now: UtcMicros) -> Add {
        let values = |event_time: UtcMicros, ingested_at: UtcMicros| {
            serde_json::json!({
                "event_time": event_time.to_string(),
                "ingested_at": ingested_at.to_string(),
            })
        };
        let stats = match self.times {
            Some(Times { events, ingested }) => serde_json::json!({
                "numRecords": self.rows,
                "minValues": values(events.0, ingested.0),
                "maxValues": values(events.1, ingested.1),
            }),
            None => serde_json::json!({ "numRecords": self.rows }),
        };
        Add {
            path,
            partition_values: self
                .partition
                .values
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Some(value.clone())))
                .collect::<HashMap<_, _>>(),
            size: i64::try_from(self.bytes.len()).unwrap_or(i64::MAX),
            modification_time: now.0 / 1000,
            data_change: true,
            stats: Some(stats.to_string()),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        }
    }
}
