//! Writes anew, unchanged, what of files stays: another record took the place of some
//! row, or many small files become one.
//!
//! INVARIANT (untouched): a row keeps every value, so that its decision is the one that
//! was made before.

use super::reader::open_whole;
use crate::lake::data_file::{EncodedFile, FileWriter, Partition, Times};
use crate::model::UtcMicros;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use std::fs::File;

/// A file in the making, of rows that stay as they are.
pub struct Keeper {
    out: ArrowWriter<Vec<u8>>,
    schema: SchemaRef,
    rows: u64,
    events: Span,
    ingested: Span,
}

impl Keeper {
    /// # Errors
    /// When the schema is none for Parquet, which would be a defect here.
    pub fn new(writer: &FileWriter) -> Result<Keeper, ParquetError> {
        let schema = writer.schema().clone();
        let properties = Some(writer.properties().clone());
        Ok(Keeper {
            out: ArrowWriter::try_new(Vec::new(), schema.clone(), properties)?,
            schema,
            rows: 0,
            events: Span::default(),
            ingested: Span::default(),
        })
    }

    /// Adds the rows of a file that stay, by their places in it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn add(&mut self, file: File, stays: impl Fn(usize) -> bool) -> Result<(), ParquetError> {
        let mut first_row = 0;
        for batch in open_whole(file)? {
            let batch = batch?;
            let rows = first_row..first_row + batch.num_rows();
            let stays: BooleanArray = rows.map(|row| Some(stays(row))).collect();
            first_row += batch.num_rows();
            let batch = filter_record_batch(&batch, &stays)?;
            if batch.num_rows() == 0 {
                continue;
            }
            self.rows += batch.num_rows() as u64;
            self.events.see(&batch, "event_time");
            self.ingested.see(&batch, "ingested_at");
            self.out.write(&conform(&batch, &self.schema)?)?;
        }
        Ok(())
    }

    /// Bytes that the file will have, about.
    pub fn bytes(&self) -> usize {
        self.out.bytes_written() + self.out.in_progress_size()
    }

    /// Finishes the file; `None` if no row was added.
    ///
    /// # Errors
    /// When the last rows cannot be encoded.
    pub fn finish(self, partition: Partition) -> Result<Option<EncodedFile>, ParquetError> {
        let bytes = self.out.into_inner()?;
        let times = self.events.0.zip(self.ingested.0);
        Ok((self.rows > 0).then(|| EncodedFile {
            bytes,
            rows: self.rows,
            partition,
            times: times.map(|(events, ingested)| Times { events, ingested }),
        }))
    }
}

/// The batch in the columns of the table, whatever order the file has them in.
fn conform(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => arrow::compute::cast(column, field.data_type()),
            None => Ok(arrow::array::new_null_array(
                field.data_type(),
                batch.num_rows(),
            )),
        });
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
}

/// First and last of some times.
#[derive(Default)]
struct Span(Option<(UtcMicros, UtcMicros)>);

impl Span {
    fn see(&mut self, batch: &RecordBatch, column: &str) {
        let column = batch.column_by_name(column);
        for row in 0..batch.num_rows() {
            if let Some(at) = super::reader::time_at(column, row) {
                let (first, last) = self.0.unwrap_or((at, at));
                self.0 = Some((first.min(at), last.max(at)));
            }
        }
    }
}
