//! Columns whose values many rows share: each value is taken once for each
//! distinct part, and a row costs the look-up of a number.
//!
//! Columns that tell the same rows apart have the same data pages, to the bit:
//! their dictionaries differ, not the numbers. So pages are made once for all of
//! them.

use super::dictionary::Dictionary;
use super::hybrid::{encode, pack, run, width_of};
use super::index::Shared;
use super::pages::{Body, Chunk, DataPage, DictionaryPage, PAGE_BYTES, PAGE_ROWS, Press};
use super::values::{Physical, single};
use crate::lake::columns::{Column, Part, Values};
use hashbrown::HashMap;
use parquet::basic::Encoding;
use parquet::errors::Result;
use parquet::schema::types::ColumnDescPtr;

/// NULL among the numbers of a dictionary.
const NULL: u32 = u32::MAX;

/// Pages of a column of single values, by what they are made of: the numbers of
/// the values for each part, and whether those are bits.
type PagesByNumbers = HashMap<(Part, bool, Vec<u32>), Vec<DataPage>, foldhash::fast::FixedState>;

/// What columns of one file share.
#[derive(Default)]
pub struct PageCache {
    pages: PagesByNumbers,
    raw: Vec<u8>,
    levels: Vec<u32>,
    numbers: Vec<u32>,
}

/// One leaf of a column: a member of its structs, else the column itself.
struct Leaf {
    physical: Physical,
    dictionary: Dictionary,
    /// Numbers of the values of the parts, or of the items of their lists.
    items: Vec<u32>,
}

/// A column of a part, and its values so far.
pub struct PartColumn<'c, R> {
    column: &'c Column<R>,
    leaves: Vec<Leaf>,
    /// For lists: where the items of each part's list end.
    ends: Option<Vec<usize>>,
}

impl Leaf {
    fn push(&mut self, value: Option<&[u8]>) {
        let number = match (self.physical, value) {
            (_, None) => NULL,
            (Physical::Bool, Some(bit)) => bit.first().map_or(NULL, |bit| u32::from(*bit)),
            (_, Some(value)) => self.dictionary.number(value),
        };
        self.items.push(number);
    }

    fn dictionary_page(&self, press: &mut Press) -> Result<Option<DictionaryPage>> {
        if self.dictionary.is_empty() {
            return Ok(None);
        }
        Ok(Some(DictionaryPage {
            body: Body::new(self.dictionary.plain(), press)?,
            values: self.dictionary.len(),
        }))
    }

    fn width(&self) -> u32 {
        width_of(u32::try_from(self.dictionary.len().saturating_sub(1)).unwrap_or(u32::MAX))
    }

    /// The encoding of the numbers; nothing but NULL is the PLAIN encoding of
    /// nothing.
    fn encoding(&self) -> Encoding {
        match self.dictionary.is_empty() {
            true => Encoding::PLAIN,
            false => Encoding::RLE_DICTIONARY,
        }
    }
}

impl<'c, R> PartColumn<'c, R> {
    pub fn new(column: &'c Column<R>) -> PartColumn<'c, R> {
        let leaves = match &column.values {
            Values::Structs(names, _) => names.len(),
            _ => 1,
        };
        let physical = Physical::of(&column.values);
        let leaf = || Leaf {
            physical,
            dictionary: Dictionary::new(physical),
            items: Vec::new(),
        };
        let list = matches!(column.values, Values::Texts(_) | Values::Structs(..));
        PartColumn {
            column,
            leaves: std::iter::repeat_with(leaf).take(leaves).collect(),
            ends: list.then(Vec::new),
        }
    }

    pub fn part(&self) -> Part {
        self.column.part
    }

    /// Takes the value of the next part from a row that has it.
    pub fn learn(&mut self, row: &R) {
        let leaves = &mut self.leaves;
        match &self.column.values {
            Values::Texts(each) => each(row, &mut |text| {
                for leaf in &mut *leaves {
                    leaf.push(Some(text.as_bytes()));
                }
            }),
            Values::Structs(_, each) => each(row, &mut |members| {
                for (place, leaf) in leaves.iter_mut().enumerate() {
                    let member = members.get(place).copied().flatten();
                    leaf.push(member.map(str::as_bytes));
                }
            }),
            single_values => single(single_values, row, |value| {
                for leaf in &mut *leaves {
                    leaf.push(value);
                }
            }),
        }
        if let (Some(ends), Some(leaf)) = (&mut self.ends, self.leaves.first()) {
            ends.push(leaf.items.len());
        }
    }

    /// The chunks of its leaves; `descriptions` are theirs.
    pub fn chunks(
        mut self,
        shared: &Shared,
        descriptions: &[ColumnDescPtr],
        cache: &mut PageCache,
        press: &mut Press,
    ) -> Result<Vec<Chunk>> {
        let mut chunks = Vec::with_capacity(self.leaves.len());
        let part = self.part();
        for (leaf, description) in self.leaves.iter_mut().zip(descriptions) {
            let pages = match &self.ends {
                None => cache.pages(leaf, part, &shared.of_row, press)?,
                Some(ends) => {
                    let lists = Lists {
                        leaf,
                        ends,
                        greatest: level(description.max_def_level()),
                    };
                    lists.pages(&shared.of_row, cache, press)?
                }
            };
            chunks.push(Chunk {
                dictionary: leaf.dictionary_page(press)?,
                pages,
                statistics: None,
            });
        }
        Ok(chunks)
    }
}

/// A level of the schema; they are small and never negative.
fn level(level: i16) -> u32 {
    u32::try_from(level).unwrap_or_default()
}

/// Appends levels, their length first, as a page of version 1 has them.
pub fn levels(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let len = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&len.to_le_bytes());
    }
}

impl PageCache {
    fn pages(
        &mut self,
        leaf: &mut Leaf,
        part: Part,
        of_row: &[u32],
        press: &mut Press,
    ) -> Result<Vec<DataPage>> {
        let bits = leaf.physical == Physical::Bool;
        let key = (part, bits, std::mem::take(&mut leaf.items));
        if let Some(pages) = self.pages.get(&key) {
            return Ok(pages.clone());
        }
        let mut pages = Vec::with_capacity(of_row.len().div_ceil(PAGE_ROWS));
        for rows in of_row.chunks(PAGE_ROWS) {
            self.page(rows, &key.2, leaf);
            pages.push(DataPage {
                body: Body::new(&self.raw, press)?,
                values: rows.len(),
                rows: rows.len(),
                encoding: leaf.encoding(),
            });
        }
        self.pages.insert(key, pages.clone());
        Ok(pages)
    }

    /// Writes one page of single values.
    fn page(&mut self, rows: &[u32], of_part: &[u32], leaf: &Leaf) {
        let PageCache {
            raw,
            levels: defined,
            numbers,
            ..
        } = self;
        raw.clear();
        numbers.clear();
        let first = of_part.first().copied().unwrap_or(NULL);
        if of_part.iter().all(|number| *number == first) {
            let is_defined = u32::from(first != NULL);
            levels(raw, |out| run(is_defined, rows.len(), 1, out));
            if first == NULL {
                return;
            }
            if leaf.physical == Physical::Bool {
                numbers.resize(rows.len(), first);
                pack(numbers, 1, raw);
            } else {
                let [width, ..] = leaf.width().to_le_bytes();
                raw.push(width);
                run(first, rows.len(), leaf.width(), raw);
            }
            return;
        }
        let look_up = |part: &u32| of_part.get(*part as usize).copied().unwrap_or(NULL);
        numbers.extend(rows.iter().map(look_up));
        if of_part.contains(&NULL) {
            defined.clear();
            defined.extend(numbers.iter().map(|number| u32::from(*number != NULL)));
            levels(raw, |out| encode(defined, 1, out));
            numbers.retain(|number| *number != NULL);
        } else {
            levels(raw, |out| run(1, rows.len(), 1, out));
        }
        match (leaf.physical, leaf.encoding()) {
            (Physical::Bool, _) => pack(numbers, 1, raw),
            (_, Encoding::PLAIN) => {}
            _ => {
                let [width, ..] = leaf.width().to_le_bytes();
                raw.push(width);
                encode(numbers, leaf.width(), raw);
            }
        }
    }
}

/// The lists of a column, seen from one of its leaves.
struct Lists<'l> {
    leaf: &'l Leaf,
    ends: &'l [usize],
    /// The definition level of a value; a NULL in a list is one below it.
    greatest: u32,
}

/// The definition level of a list that is there and empty.
const EMPTY: u32 = 1;

impl Lists<'_> {
    fn pages(
        &self,
        of_row: &[u32],
        cache: &mut PageCache,
        press: &mut Press,
    ) -> Result<Vec<DataPage>> {
        let PageCache {
            raw,
            levels: defined,
            numbers,
            ..
        } = cache;
        let mut repeated: Vec<u32> = Vec::new();
        let mut pages = Vec::new();
        let mut rest = of_row;
        while !rest.is_empty() {
            defined.clear();
            numbers.clear();
            repeated.clear();
            let mut rows = 0;
            for part in rest.iter().take(PAGE_ROWS) {
                let items = self.items(*part);
                if items.is_empty() {
                    repeated.push(0);
                    defined.push(EMPTY);
                }
                for (place, item) in items.iter().enumerate() {
                    repeated.push(u32::from(place > 0));
                    defined.push(self.greatest - u32::from(*item == NULL));
                    if *item != NULL {
                        numbers.push(*item);
                    }
                }
                rows += 1;
                // Numbers take four bytes at most.
                if numbers.len() * 4 >= PAGE_BYTES {
                    break;
                }
            }
            raw.clear();
            levels(raw, |out| encode(&repeated, 1, out));
            levels(raw, |out| encode(defined, width_of(self.greatest), out));
            if self.leaf.encoding() != Encoding::PLAIN {
                let [width, ..] = self.leaf.width().to_le_bytes();
                raw.push(width);
                encode(numbers, self.leaf.width(), raw);
            }
            pages.push(DataPage {
                body: Body::new(raw, press)?,
                values: defined.len(),
                rows,
                encoding: self.leaf.encoding(),
            });
            rest = rest.get(rows..).unwrap_or_default();
        }
        Ok(pages)
    }

    /// The numbers of the items of a part's list.
    fn items(&self, part: u32) -> &[u32] {
        let part = part as usize;
        let end = self.ends.get(part);
        let start = part.checked_sub(1).and_then(|before| self.ends.get(before));
        end.and_then(|end| self.leaf.items.get(start.copied().unwrap_or(0)..*end))
            .unwrap_or_default()
    }
}
