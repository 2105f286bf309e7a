//! Pages and column chunks: what was encoded, compressed and put into a file.
//!
//! Data pages are of version 1; encodings are those of the format's second version,
//! which readers know in either kind of page (Spark since 3.3). The library writes
//! headers and footer.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter as _};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// Rows of a page at most.
///
/// A reader may skip a page that it needs no row of, so a page is kept small;
/// and each costs a header and a start of the compressor.
pub const PAGE_ROWS: usize = 32 * 1024;

/// Bytes of a page from which on it is complete, before compression.
pub const PAGE_BYTES: usize = 256 * 1024;

/// A chunk of fewer bytes is not compressed: a reader, too, is faster without.
const COMPRESSED_FROM: usize = 96;

/// Compresses at zstd's fastest common level, always in the same memory.
pub struct Press {
    zstd: zstd::bulk::Compressor<'static>,
    out: Vec<u8>,
    rooms: Vec<Vec<u8>>,
    numbers: Vec<Vec<u32>>,
    whole: Vec<Vec<i64>>,
}

/// Bytes of a room above which it is not kept: that of one giant value.
const ROOM_BYTES_MAX: usize = 8 * PAGE_BYTES;

impl Press {
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> Result<Press> {
        let level = ZstdLevel::default().compression_level();
        let zstd = zstd::bulk::Compressor::new(level).map_err(external)?;
        Ok(Press {
            zstd,
            out: Vec::new(),
            rooms: Vec::new(),
            numbers: Vec::new(),
            whole: Vec::new(),
        })
    }

    /// Empty room for bytes, to be given back.
    pub fn room(&mut self) -> Vec<u8> {
        self.rooms.pop().unwrap_or_default()
    }

    pub fn give_back(&mut self, mut room: Vec<u8>) {
        if room.capacity() > 0 && room.capacity() <= ROOM_BYTES_MAX {
            room.clear();
            self.rooms.push(room);
        }
    }

    /// Empty room for numbers, to be given back.
    pub fn numbers(&mut self) -> Vec<u32> {
        self.numbers.pop().unwrap_or_default()
    }

    pub fn give_back_numbers(&mut self, mut numbers: Vec<u32>) {
        if numbers.capacity() > 0 && numbers.capacity() <= ROOM_BYTES_MAX {
            numbers.clear();
            self.numbers.push(numbers);
        }
    }

    /// Empty room for whole numbers, to be given back.
    pub fn whole(&mut self) -> Vec<i64> {
        self.whole.pop().unwrap_or_default()
    }

    pub fn give_back_whole(&mut self, mut whole: Vec<i64>) {
        if whole.capacity() > 0 && whole.capacity() <= ROOM_BYTES_MAX {
            whole.clear();
            self.whole.push(whole);
        }
    }

    fn press(&mut self, raw: &[u8]) -> Result<Bytes> {
        self.out.clear();
        self.out.reserve(zstd::zstd_safe::compress_bound(raw.len()));
        self.zstd
            .compress_to_buffer(raw, &mut self.out)
            .map_err(external)?;
        Ok(Bytes::copy_from_slice(&self.out))
    }
}

fn external(error: std::io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// The bytes of a page, compressed where that is worth it.
#[derive(Clone)]
pub struct Body {
    bytes: Bytes,
    raw_len: usize,
    pressed: bool,
}

impl Body {
    /// The bytes of a page; few are kept as they are, to be compressed only if
    /// the whole chunk must.
    pub fn new(raw: &[u8], press: &mut Press) -> Result<Body> {
        let pressed = raw.len() >= COMPRESSED_FROM;
        Ok(Body {
            bytes: match pressed {
                true => press.press(raw)?,
                false => Bytes::copy_from_slice(raw),
            },
            raw_len: raw.len(),
            pressed,
        })
    }

    /// Bytes as they are by now.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    fn into_pressed(self, press: &mut Press) -> Result<Body> {
        if self.pressed {
            return Ok(self);
        }
        Ok(Body {
            bytes: press.press(&self.bytes)?,
            raw_len: self.raw_len,
            pressed: true,
        })
    }
}

/// A data page.
#[derive(Clone)]
pub struct DataPage {
    pub body: Body,
    /// Entries, NULLs and empty lists included.
    pub values: usize,
    pub rows: usize,
    pub encoding: Encoding,
}

/// A dictionary page.
pub struct DictionaryPage {
    pub body: Body,
    pub values: usize,
}

/// One column of one row group.
pub struct Chunk {
    pub dictionary: Option<DictionaryPage>,
    pub pages: Vec<DataPage>,
    pub statistics: Option<Statistics>,
}

impl Chunk {
    /// Writes the chunk at the end of the file; returns what the footer says of it.
    ///
    /// # Errors
    /// When it does not fit the schema, which would be a defect.
    pub fn append(
        self,
        column: ColumnDescPtr,
        file: &mut TrackedWrite<&mut Vec<u8>>,
        press: &mut Press,
    ) -> Result<(ColumnChunkMetaData, OffsetIndexMetaData)> {
        let bodies = self.dictionary.iter().map(|page| &page.body);
        let raw: usize = bodies
            .chain(self.pages.iter().map(|page| &page.body))
            .map(|body| body.raw_len)
            .sum();
        let compression = match raw < COMPRESSED_FROM {
            true => Compression::UNCOMPRESSED,
            false => Compression::ZSTD(ZstdLevel::default()),
        };
        let body = |body: Body, press: &mut Press| match compression {
            Compression::UNCOMPRESSED => Ok(body),
            _ => body.into_pressed(press),
        };
        let mut writer = SerializedPageWriter::new(file);
        let mut sizes = Sizes::default();
        let mut offsets = OffsetIndexBuilder::new();
        let mut values = 0;
        if let Some(page) = self.dictionary {
            let Body { bytes, raw_len, .. } = body(page.body, press)?;
            let page = Page::DictionaryPage {
                buf: bytes,
                num_values: count(page.values)?,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            let spec = writer.write_page(CompressedPage::new(page, raw_len))?;
            sizes.note(&spec, Encoding::PLAIN);
        }
        for page in self.pages {
            let Body { bytes, raw_len, .. } = body(page.body, press)?;
            let data = Page::DataPage {
                buf: bytes,
                num_values: count(page.values)?,
                encoding: page.encoding,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            let spec = writer.write_page(CompressedPage::new(data, raw_len))?;
            sizes.note(&spec, page.encoding);
            values += page.values;
            offsets.append_offset_and_size(
                i64::try_from(spec.offset).unwrap_or(i64::MAX),
                i32::try_from(spec.compressed_size).unwrap_or(i32::MAX),
            );
            offsets.append_row_count(i64::try_from(page.rows).unwrap_or(i64::MAX));
        }
        let mut metadata = ColumnChunkMetaData::builder(column)
            .set_compression(compression)
            .set_encodings(sizes.encodings())
            .set_page_encoding_stats(sizes.stats)
            .set_total_compressed_size(sizes.compressed)
            .set_total_uncompressed_size(sizes.raw)
            .set_num_values(i64::try_from(values).unwrap_or(i64::MAX))
            .set_data_page_offset(sizes.first_data_page.unwrap_or_default())
            .set_dictionary_page_offset(sizes.dictionary_page);
        if let Some(statistics) = self.statistics {
            metadata = metadata.set_statistics(statistics);
        }
        Ok((metadata.build()?, offsets.build()))
    }
}

fn count(values: usize) -> Result<u32> {
    u32::try_from(values).map_err(|_| ParquetError::General("a page of too many values".to_owned()))
}

/// What the footer says of a chunk's pages.
#[derive(Default)]
struct Sizes {
    compressed: i64,
    raw: i64,
    dictionary_page: Option<i64>,
    first_data_page: Option<i64>,
    stats: Vec<PageEncodingStats>,
}

impl Sizes {
    fn note(&mut self, page: &PageWriteSpec, encoding: Encoding) {
        let offset = i64::try_from(page.offset).unwrap_or(i64::MAX);
        self.compressed += i64::try_from(page.compressed_size).unwrap_or(i64::MAX);
        self.raw += i64::try_from(page.uncompressed_size).unwrap_or(i64::MAX);
        match page.page_type {
            PageType::DICTIONARY_PAGE => self.dictionary_page = Some(offset),
            _ => self.first_data_page = self.first_data_page.or(Some(offset)),
        }
        match self.stats.last_mut() {
            Some(same) if same.page_type == page.page_type && same.encoding == encoding => {
                same.count += 1;
            }
            _ => self.stats.push(PageEncodingStats {
                page_type: page.page_type,
                encoding,
                count: 1,
            }),
        }
    }

    /// Encodings of the values and of the levels.
    fn encodings(&self) -> Vec<Encoding> {
        let mut encodings: Vec<Encoding> = self.stats.iter().map(|stat| stat.encoding).collect();
        encodings.push(Encoding::RLE);
        encodings
    }
}
