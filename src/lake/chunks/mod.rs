//! Encodes rows that have much in common as one Parquet file.
//!
//! Most columns of an access follow from what was decided about it, and an hour
//! of a trail holds thousands of decisions, not millions. So the values of a
//! column are taken once for each distinct [`Part`] of the file's rows, and a row
//! costs a number.
//! [`index`] finds the parts, [`parts`] writes their columns, [`rows`] those that
//! are each row's own; [`hybrid`], [`delta`], [`dictionary`] and [`values`] are the
//! encodings, [`pages`] the file. Everything else (headers, footer, schema) is
//! the library's.
//!
//! INVARIANT (same file): a file reads back as the one that
//! [`FileWriter::encode`] makes of the same rows; a test compares them.

mod delta;
mod dictionary;
mod hybrid;
mod index;
mod pages;
mod parts;
mod rows;
#[cfg(test)]
mod tests;
mod values;

use super::columns::{Column, Part};
use super::data_file::FileWriter;
use index::{Index, Shared};
pub use pages::Press;
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaDataBuilder, ParquetMetaDataWriter,
    RowGroupMetaData,
};
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::TrackedWrite;
use parquet::schema::types::{ColumnDescPtr, ColumnPath};
use parts::{PageCache, PartColumn};
use rows::RowColumn;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

/// Rows read at a time: they stay in the CPU's nearer caches while each of the
/// rows' own columns takes its values.
const BLOCK_ROWS: usize = 64;

/// What decisions have in common, by the numbers that the decider gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    pub principal: u32,
    pub client: u32,
    pub target: u32,
    pub request: u32,
    pub attribution: u32,
    pub dataset: u32,
    pub judgement: u32,
}

/// The rows of a file, and what they have in common. Equal numbers mean that
/// columns of that [`Part`] have equal values.
pub trait SharedRows<R> {
    fn count(&self) -> usize;
    /// The row at that place; there is one at each below `count`.
    fn row(&self, place: usize) -> Option<R>;
    /// The number of the row's decision.
    fn decision(&self, place: usize) -> u32;
    /// The number of the object that the row comes from.
    fn source(&self, place: usize) -> u32;
    fn parts(&self, decision: u32) -> Parts;
}

/// Encodes the rows as one file of one row group.
///
/// # Errors
/// When a value does not fit Parquet, which would be a defect here.
pub fn encode<R>(
    writer: &FileWriter,
    columns: &[Column<R>],
    rows: &impl SharedRows<R>,
    press: &mut Press,
) -> Result<Vec<u8>> {
    let schema = ArrowSchemaConverter::new().convert(writer.schema())?;
    let mut properties = writer.properties().clone();
    add_encoded_arrow_schema_to_metadata(writer.schema(), &mut properties);
    let mut encoder = Encoder::of(columns, writer.properties(), rows, press);
    encoder.take_own(rows, press)?;
    encoder.take_shared(rows)?;
    // What the rows' own columns take is known, and is most of the file.
    let mut bytes = Vec::with_capacity(encoder.own_bytes() / 2 * 3);
    let mut file = TrackedWrite::new(&mut bytes);
    file.write_all(MAGIC)?;
    let count = i64::try_from(rows.count()).unwrap_or(i64::MAX);
    let schema = Arc::new(schema);
    let mut metadata = ParquetMetaDataBuilder::new(FileMetaData::new(
        VERSION,
        count,
        Some(properties.created_by().to_owned()),
        properties.key_value_metadata().cloned(),
        schema.clone(),
        None,
    ));
    if count > 0 {
        let (chunks, offsets) = encoder.write(schema.columns(), &mut file, press)?;
        let raw = chunks.iter().map(ColumnChunkMetaData::uncompressed_size);
        let group = RowGroupMetaData::builder(schema)
            .set_total_byte_size(raw.sum())
            .set_num_rows(count)
            .set_ordinal(0)
            .set_column_metadata(chunks)
            .build()?;
        metadata = metadata
            .add_row_group(group)
            .set_offset_index(Some(vec![offsets]));
    }
    ParquetMetaDataWriter::new_with_tracked(file, &metadata.build()).finish()?;
    Ok(bytes)
}

/// What a file of Parquet begins with, and ends with.
const MAGIC: &[u8; 4] = b"PAR1";

/// Version of the format, as the library writes it by default.
const VERSION: i32 = 1;

/// A column on its way into the file.
enum Encoding<'c, R> {
    /// Of the rows' own values.
    Own(Box<RowColumn<'c, R>>),
    OfPart(PartColumn<'c, R>),
}

struct Encoder<'c, R> {
    columns: Vec<Encoding<'c, R>>,
    shared: BTreeMap<Part, Shared>,
}

impl<'c, R> Encoder<'c, R> {
    fn of(
        columns: &'c [Column<R>],
        properties: &WriterProperties,
        rows: &impl SharedRows<R>,
        press: &mut Press,
    ) -> Encoder<'c, R> {
        let index = Index::of(rows);
        let (mut shared, mut encodings) = (BTreeMap::new(), Vec::with_capacity(columns.len()));
        for column in columns {
            let path = ColumnPath::from(column.name);
            let repeats = properties.dictionary_enabled(&path);
            let ranged = properties.statistics_enabled(&path) != EnabledStatistics::None;
            let own = (column.part == Part::Row)
                .then(|| RowColumn::new(column, repeats, ranged, press))
                .flatten();
            encodings.push(match own {
                Some(own) => Encoding::Own(Box::new(own)),
                None => {
                    shared
                        .entry(column.part)
                        .or_insert_with(|| index.shared(column.part, rows));
                    Encoding::OfPart(PartColumn::new(column))
                }
            });
        }
        Encoder {
            columns: encodings,
            shared,
        }
    }

    /// Takes the rows' own values.
    fn take_own(&mut self, rows: &impl SharedRows<R>, press: &mut Press) -> Result<()> {
        let mut block = Vec::with_capacity(BLOCK_ROWS);
        let mut places = 0..rows.count();
        loop {
            block.clear();
            for place in places.by_ref().take(BLOCK_ROWS) {
                block.push(row_at(rows, place)?);
            }
            if block.is_empty() {
                return Ok(());
            }
            for column in &mut self.columns {
                if let Encoding::Own(column) = column {
                    column.append(&block, press)?;
                }
            }
        }
    }

    /// Bytes of the pages made so far.
    fn own_bytes(&self) -> usize {
        let own = self.columns.iter().map(|column| match column {
            Encoding::Own(column) => column.bytes(),
            Encoding::OfPart(_) => 0,
        });
        own.sum()
    }

    /// Takes the values of the parts.
    fn take_shared(&mut self, rows: &impl SharedRows<R>) -> Result<()> {
        for (part, shared) in &self.shared {
            for place in &shared.rows {
                let row = row_at(rows, *place)?;
                for column in &mut self.columns {
                    if let Encoding::OfPart(column) = column
                        && column.part() == *part
                    {
                        column.learn(&row);
                    }
                }
            }
        }
        Ok(())
    }

    fn write(
        self,
        mut leaves: &[ColumnDescPtr],
        file: &mut TrackedWrite<&mut Vec<u8>>,
        press: &mut Press,
    ) -> Result<(Vec<ColumnChunkMetaData>, Vec<OffsetIndexMetaData>)> {
        let mut cache = PageCache::default();
        let mut footer = (Vec::new(), Vec::new());
        for column in self.columns {
            let chunks = match column {
                Encoding::Own(column) => vec![column.chunk(press)?],
                Encoding::OfPart(column) => {
                    let Some(shared) = self.shared.get(&column.part()) else {
                        continue;
                    };
                    column.chunks(shared, leaves, &mut cache, press)?
                }
            };
            for chunk in chunks {
                let Some((leaf, rest)) = leaves.split_first() else {
                    return Err(ParquetError::General(
                        "more columns than the schema".to_owned(),
                    ));
                };
                footer.extend([chunk.append(leaf.clone(), file, press)?]);
                leaves = rest;
            }
        }
        Ok(footer)
    }
}

#[inline]
fn row_at<R>(rows: &impl SharedRows<R>, place: usize) -> Result<R> {
    let row = rows.row(place);
    row.ok_or_else(|| ParquetError::General(format!("there is no row {place}")))
}
