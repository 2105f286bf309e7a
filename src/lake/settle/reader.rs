//! Opens a data file for some of its columns.
//!
//! Texts that repeat come as dictionaries, as the file holds them: equal numbers
//! mean equal texts, so that most of a row costs no look at its texts.

use crate::model::UtcMicros;
use arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, DictionaryArray, Int32Array, RecordBatch,
    StringArray,
};
use arrow::datatypes::{
    DataType, Field, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::Result;
use parquet::file::reader::ChunkReader;
use std::sync::Arc;

/// Rows of a batch: what is made of them stays in the CPU's caches.
const BATCH_ROWS: usize = 8192;

/// Texts that nearly every row has its own of.
const OWN: [&str; 9] = [
    "event_id",
    "content_id",
    "error_message",
    "object_key",
    "list_prefix",
    "version_id",
    "copy_source",
    "request_id",
    "shared_event_id",
];

/// Opens the file for these columns; those that it lacks are left out.
///
/// # Errors
/// When it is no Parquet file.
pub fn open<F: ChunkReader + 'static>(
    file: F,
    columns: &[&str],
) -> Result<ParquetRecordBatchReader> {
    open_in(BATCH_ROWS, file, columns)
}

/// The same, in batches of that many rows.
///
/// # Errors
/// When it is no Parquet file.
pub fn open_in<F: ChunkReader + 'static>(
    batch_rows: usize,
    file: F,
    columns: &[&str],
) -> Result<ParquetRecordBatchReader> {
    let options = ArrowReaderOptions::new();
    let metadata = ArrowReaderMetadata::load(&file, options.clone())?;
    let fields: Vec<Field> = metadata
        .schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_data_type(read_as(field)))
        .collect();
    let options = options.with_schema(Arc::new(Schema::new(fields)));
    let metadata = ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)?;
    let mask = ProjectionMask::columns(metadata.parquet_schema(), columns.iter().copied());
    ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_projection(mask)
        .with_batch_size(batch_rows)
        .build()
}

/// Opens the whole file, its columns as they are.
///
/// # Errors
/// When it is no Parquet file.
pub fn open_whole<F: ChunkReader + 'static>(file: F) -> Result<ParquetRecordBatchReader> {
    ParquetRecordBatchReaderBuilder::try_new(file)?
        .with_batch_size(BATCH_ROWS)
        .build()
}

/// Whoever wrote the file: texts and times come in one shape.
fn read_as(field: &Field) -> DataType {
    match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            if OWN.contains(&field.name().as_str()) =>
        {
            DataType::Utf8
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        }
        DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        other => other.clone(),
    }
}

/// A column of texts; one that is missing reads like NULL.
#[derive(Clone, Copy)]
pub enum Texts<'b> {
    Missing,
    Own(&'b StringArray),
    Repeated(&'b Int32Array, &'b StringArray),
}

/// A number that stands for no text.
const NO_TEXT: i32 = -1;

impl<'b> Texts<'b> {
    pub fn of(batch: &'b RecordBatch, name: &str) -> Texts<'b> {
        let Some(column) = batch.column_by_name(name) else {
            return Texts::Missing;
        };
        if let Some(texts) = column.as_string_opt::<i32>() {
            return Texts::Own(texts);
        }
        let repeated: Option<&DictionaryArray<Int32Type>> = column.as_dictionary_opt();
        let texts = repeated.and_then(|texts| texts.values().as_string_opt::<i32>());
        match (repeated, texts) {
            (Some(repeated), Some(texts)) => Texts::Repeated(repeated.keys(), texts),
            _ => Texts::Missing,
        }
    }

    pub fn at(&self, row: usize) -> Option<&'b str> {
        match self {
            Texts::Missing => None,
            Texts::Own(texts) => texts.is_valid(row).then(|| texts.value(row)),
            Texts::Repeated(numbers, texts) => {
                let number = numbers.is_valid(row).then(|| numbers.value(row))?;
                let number = usize::try_from(number).ok()?;
                texts.is_valid(number).then(|| texts.value(number))
            }
        }
    }

    /// The number of the text in its batch: equal numbers, equal texts.
    pub fn number(&self, row: usize) -> i32 {
        match self {
            Texts::Repeated(numbers, _) if numbers.is_valid(row) => numbers.value(row),
            Texts::Own(_) => i32::try_from(row).unwrap_or(i32::MAX),
            _ => NO_TEXT,
        }
    }
}

/// The time in a row of the column.
pub fn time_at(column: Option<&ArrayRef>, row: usize) -> Option<UtcMicros> {
    let times = column?.as_primitive_opt::<TimestampMicrosecondType>()?;
    times.is_valid(row).then(|| UtcMicros(times.value(row)))
}

pub fn int64_at(column: Option<&ArrayRef>, row: usize) -> Option<i64> {
    let numbers = column?.as_primitive_opt::<Int64Type>()?;
    numbers.is_valid(row).then(|| numbers.value(row))
}

pub fn int32_at(column: Option<&ArrayRef>, row: usize) -> Option<i32> {
    let numbers = column?.as_primitive_opt::<Int32Type>()?;
    numbers.is_valid(row).then(|| numbers.value(row))
}

/// Whether the row says yes; NULL and a missing column do not.
pub fn truth_at(column: Option<&ArrayRef>, row: usize) -> bool {
    let truths: Option<&BooleanArray> = column.and_then(|column| column.as_boolean_opt());
    truths.is_some_and(|truths| truths.is_valid(row) && truths.value(row))
}
