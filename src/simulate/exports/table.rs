//! Writes a system table as a folder of Parquet or JSON-lines files.
//!
//! Rows are JSON objects; Parquet files are made of the same rows by Arrow's own
//! JSON reader, so that both forms hold the same. Of each part some rows come
//! late, in a file of their own, and some of those came already.

use super::file;
use crate::simulate::write::gzip;
use crate::simulate::{SimulateError, encode, properties};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use arrow::json::ReaderBuilder;
use parquet::arrow::ArrowWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a table is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Parquet,
    Lines,
    GzipLines,
}

/// The type of a column.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Long,
    Bool,
    Time,
    Date,
    Texts,
    /// Text to text.
    Map,
    Struct(&'static [(&'static str, Kind)]),
}

pub(super) type Columns = &'static [(&'static str, Kind)];

/// A row and the time it belongs to, in milliseconds.
pub(super) type Dated = (i64, String);

pub(super) struct Table {
    folder: PathBuf,
    form: Form,
    columns: Columns,
    parts: u32,
    rows: u64,
}

/// One row in so many comes late, and one late one in so many came already.
const LATE: usize = 40;
const TWICE: usize = 3;

impl Table {
    pub(super) fn new(dir: &Path, name: &str, form: Form, columns: Columns) -> Table {
        Table {
            folder: dir.join(name),
            form,
            columns,
            parts: 0,
            rows: 0,
        }
    }

    /// Writes the rows in order of time, but for those that come late.
    pub(super) fn part(&mut self, mut rows: Vec<Dated>) -> Result<(), SimulateError> {
        rows.sort();
        let (mut usual, mut late) = (Vec::new(), Vec::new());
        for (n, (_, row)) in rows.into_iter().enumerate() {
            if n % LATE != LATE - 1 {
                usual.push(row);
                continue;
            }
            if (n / LATE).is_multiple_of(TWICE) {
                usual.push(row.clone());
            }
            late.push(row);
        }
        for rows in [usual, late] {
            if !rows.is_empty() {
                self.write(&rows)?;
            }
        }
        Ok(())
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    fn write(&mut self, rows: &[String]) -> Result<(), SimulateError> {
        let extension = match self.form {
            Form::Parquet => "parquet",
            Form::Lines => "json",
            Form::GzipLines => "jsonl.gz",
        };
        let path = self
            .folder
            .join(format!("part-{:05}.{extension}", self.parts));
        let mut lines = rows.join("\n");
        lines.push('\n');
        let bytes = match self.form {
            Form::Lines => lines.into_bytes(),
            Form::GzipLines => {
                gzip(lines.as_bytes()).map_err(|source| SimulateError::write(&path, source))?
            }
            Form::Parquet => {
                parquet(&schema(self.columns), lines.as_bytes()).map_err(encode(&path))?
            }
        };
        file(&path, &bytes)?;
        self.parts += 1;
        self.rows += rows.len() as u64;
        Ok(())
    }
}

fn parquet(schema: &SchemaRef, lines: &[u8]) -> Result<Vec<u8>, parquet::errors::ParquetError> {
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties()))?;
    for batch in ReaderBuilder::new(schema.clone()).build(lines)? {
        writer.write(&batch?)?;
    }
    writer.into_inner()
}

fn schema(columns: Columns) -> SchemaRef {
    Arc::new(Schema::new(fields(columns)))
}

fn fields(columns: Columns) -> Fields {
    columns
        .iter()
        .map(|(name, kind)| Field::new(*name, data_type(*kind), true))
        .collect()
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Text => DataType::Utf8,
        Kind::Long => DataType::Int64,
        Kind::Bool => DataType::Boolean,
        Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Date => DataType::Date32,
        Kind::Texts => DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))),
        Kind::Map => {
            let entries: Fields = vec![
                Field::new("key", DataType::Utf8, false),
                Field::new("value", DataType::Utf8, true),
            ]
            .into();
            let entries = Field::new("key_value", DataType::Struct(entries), false);
            DataType::Map(Arc::new(entries), false)
        }
        Kind::Struct(members) => DataType::Struct(fields(members)),
    }
}
