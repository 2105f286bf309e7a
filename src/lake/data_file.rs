//! Encodes rows as one Parquet file and describes it for the Delta log.
//!
//! zstd at its fastest level: the bytes of a trail are mostly repeated text,
//! which the dictionaries already took out, and higher levels cost more CPU
//! than the rest of the encoding for a few percent.

use super::columns::{Column, batch};
use crate::model::UtcMicros;
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
    /// Folder of its partition below the table, empty or ending in `/`.
    pub folder: String,
    /// Values of the partition columns, as the Delta log writes them.
    pub partition_values: Vec<(&'static str, String)>,
    pub event_times: Option<(UtcMicros, UtcMicros)>,
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
            folder: String::new(),
            partition_values: Vec::new(),
            event_times: None,
        }
    }

    /// A new, unique path below the table's folder.
    pub fn new_path(&self) -> String {
        format!("{}part-{}.zstd.parquet", self.folder, uuid::Uuid::new_v4())
    }

    /// The action that adds the file, written at `path`, to its table; `now` is
    /// the time at which its rows were decided.
    pub fn add_action(&self, path: String, now: UtcMicros) -> Add {
        let stats = match self.event_times {
            Some((first, last)) => serde_json::json!({
                "numRecords": self.rows,
                "minValues": { "event_time": first.to_string(), "ingested_at": now.to_string() },
                "maxValues": { "event_time": last.to_string(), "ingested_at": now.to_string() },
            }),
            None => serde_json::json!({ "numRecords": self.rows }),
        };
        Add {
            path,
            partition_values: self
                .partition_values
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
