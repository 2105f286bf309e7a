//! Writes anew, unchanged, what of a settled file stays: another record took the
//! place of some row.
//!
//! INVARIANT (untouched): a settled row keeps every value, so that its decision is
//! the one that was made when it was settled.

use super::copies::FileSurvey;
use super::reader::open_whole;
use crate::lake::data_file::{EncodedFile, FileWriter, Partition, Times};
use crate::model::{UtcMicros, Verdict};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use std::fs::File;

/// Encodes the settled rows of a file that stay; `None` if there are none.
///
/// # Errors
/// When the file cannot be read.
pub fn keep_settled(
    file: File,
    survey: &FileSurvey,
    (date, verdict): (i32, Verdict),
    writer: &FileWriter,
) -> Result<Option<EncodedFile>, ParquetError> {
    let reader = open_whole(file)?;
    let schema = writer.schema().clone();
    let properties = Some(writer.properties().clone());
    let mut out = ArrowWriter::try_new(Vec::new(), schema.clone(), properties)?;
    let (mut first_row, mut rows) = (0, 0);
    let (mut events, mut ingested) = (Span::default(), Span::default());
    for batch in reader {
        let batch = batch?;
        let stays: BooleanArray = (first_row..first_row + batch.num_rows())
            .map(|row| Some(survey.settled.has(row) && !survey.dropped.has(row)))
            .collect();
        first_row += batch.num_rows();
        let batch = filter_record_batch(&batch, &stays)?;
        if batch.num_rows() == 0 {
            continue;
        }
        rows += batch.num_rows() as u64;
        events.see(&batch, "event_time");
        ingested.see(&batch, "ingested_at");
        out.write(&conform(&batch, &schema)?)?;
    }
    let bytes = out.into_inner()?;
    let times = events.0.zip(ingested.0);
    Ok((rows > 0).then(|| EncodedFile {
        bytes,
        rows,
        partition: Partition::of(date, verdict).settled(),
        times: times.map(|(events, ingested)| Times { events, ingested }),
    }))
}

/// The batch in the columns of the table, whatever order the file has them in.
fn conform(
    batch: &RecordBatch,
    schema: &arrow::datatypes::SchemaRef,
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
