//! Columns whose values are the rows' own: they are encoded as they come and
//! compressed page by page, so that little is held.
//!
//! Texts get a dictionary only if the first values and the first page show that they
//! repeat, and only as long as that stays small; without one they stand apart from
//! their lengths. Numbers are written as differences.

use super::delta::{self, Wrap};
use super::dictionary::Dictionary;
use super::hybrid::{encode, run, width_of};
use super::pages::{Body, Chunk, DataPage, DictionaryPage, PAGE_BYTES, PAGE_ROWS, Press};
use super::parts::levels;
use super::values::Physical;
use crate::lake::columns::{Column, Values};
use parquet::basic::Encoding;
use parquet::errors::Result;
use parquet::file::statistics::Statistics;

/// Bytes of a dictionary from which on values are written as they are; so does
/// the library.
const DICTIONARY_BYTES_MAX: usize = 1024 * 1024;

/// Values after which a dictionary is dropped where next to none of them was met
/// before; a whole page of such would be learned for nothing.
const TRIAL_VALUES: usize = 2048;

/// A column of the rows' own values, and its pages so far.
pub struct RowColumn<'c, R> {
    column: &'c Column<R>,
    physical: Physical,
    /// The values of the page at hand: numbers; or texts, one after another, and their
    /// lengths; or texts by their numbers in the dictionary.
    whole: Vec<i64>,
    plain: Vec<u8>,
    numbers: Vec<u32>,
    dictionary: Option<Dictionary>,
    /// Whether values of the page at hand go into the dictionary.
    numbering: bool,
    /// How far it is known that the dictionary is worth it.
    trial: Trial,
    defined: Defined,
    pages: Vec<DataPage>,
    least_and_greatest: Option<LeastAndGreatest>,
}

/// What is known of a dictionary's worth.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trial {
    Begun,
    /// The first values did not speak against it.
    Passed,
    /// It is kept, after a whole page.
    Over,
}

/// Which rows of a page have a value, as stretches of equal answers.
#[derive(Default)]
struct Defined {
    stretches: Vec<(u32, usize)>,
    /// The stretch at hand, that of the row before.
    level: u32,
    count: usize,
    /// Rows of the stretches before it.
    before: usize,
    levels: Vec<u32>,
}

/// Of a column of times or numbers.
#[derive(Default)]
struct LeastAndGreatest {
    range: Option<(i64, i64)>,
    nulls: u64,
}

impl Defined {
    fn push(&mut self, defined: bool) {
        let level = u32::from(defined);
        if level != self.level {
            self.end_stretch();
            self.level = level;
        }
        self.count += 1;
    }

    fn end_stretch(&mut self) {
        if self.count > 0 {
            self.stretches.push((self.level, self.count));
            self.before += self.count;
            self.count = 0;
        }
    }

    fn rows(&self) -> usize {
        self.before + self.count
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        self.end_stretch();
        if let [(level, count)] = *self.stretches {
            run(level, count, 1, out);
        } else {
            self.levels.clear();
            for (level, count) in &self.stretches {
                self.levels.extend(std::iter::repeat_n(*level, *count));
            }
            encode(&self.levels, 1, out);
        }
        self.stretches.clear();
        self.before = 0;
    }
}

impl LeastAndGreatest {
    fn note(&mut self, value: Option<i64>) {
        let Some(value) = value else {
            self.nulls += 1;
            return;
        };
        let (least, greatest) = self.range.unwrap_or((value, value));
        self.range = Some((least.min(value), greatest.max(value)));
    }

    fn statistics(&self) -> Statistics {
        let (least, greatest) = self.range.unzip();
        Statistics::int64(least, greatest, None, Some(self.nulls), false)
    }
}

impl<'c, R> RowColumn<'c, R> {
    /// `None` for a column of lists or bits, which are written by their parts
    /// only. `repeats` says that a dictionary is worth a try; `ranged` that the
    /// least and the greatest value are to be stored.
    pub fn new(
        column: &'c Column<R>,
        repeats: bool,
        ranged: bool,
        press: &mut Press,
    ) -> Option<RowColumn<'c, R>> {
        if matches!(
            column.values,
            Values::Texts(_) | Values::Structs(..) | Values::Bool(_)
        ) {
            return None;
        }
        let physical = Physical::of(&column.values);
        let ranged = ranged && physical == Physical::Int64;
        let repeats = repeats && physical == Physical::Text;
        Some(RowColumn {
            column,
            physical,
            whole: press.whole(),
            plain: press.room(),
            numbers: press.numbers(),
            dictionary: repeats.then(|| Dictionary::new(physical)),
            numbering: repeats,
            trial: Trial::Begun,
            defined: Defined {
                levels: press.numbers(),
                ..Defined::default()
            },
            pages: Vec::new(),
            least_and_greatest: ranged.then(LeastAndGreatest::default),
        })
    }

    pub fn append(&mut self, rows: &[R], press: &mut Press) -> Result<()> {
        match &self.column.values {
            Values::Text(of) => rows
                .iter()
                .for_each(|row| self.push(of(row).map(str::as_bytes))),
            Values::MadeText(of) => rows
                .iter()
                .for_each(|row| self.push(of(row).as_deref().map(str::as_bytes))),
            Values::Int32(of) | Values::Date(of) => rows
                .iter()
                .for_each(|row| self.push_whole(of(row).map(i64::from))),
            Values::Int64(of) => rows.iter().for_each(|row| self.push_whole(of(row))),
            Values::Time(of) => rows
                .iter()
                .for_each(|row| self.push_whole(of(row).map(|at| at.0))),
            // There is no such column: see `new`.
            Values::Texts(_) | Values::Structs(..) | Values::Bool(_) => {}
        }
        if self.numbering && self.trial == Trial::Begun && self.numbers.len() >= TRIAL_VALUES {
            self.trial = Trial::Passed;
            self.drop_dictionary_if_above(95);
        }
        let dictionary_bytes = self.dictionary.as_ref().map_or(0, |d| d.plain().len());
        let full = self.defined.rows() >= PAGE_ROWS
            || self.plain.len() >= PAGE_BYTES
            || (self.numbering && dictionary_bytes >= DICTIONARY_BYTES_MAX);
        if full {
            self.end_page(press)?;
            self.numbering &= dictionary_bytes < DICTIONARY_BYTES_MAX;
        }
        Ok(())
    }

    fn push(&mut self, value: Option<&[u8]>) {
        self.defined.push(value.is_some());
        let Some(value) = value else { return };
        match &mut self.dictionary {
            Some(dictionary) if self.numbering => self.numbers.push(dictionary.number(value)),
            _ => self.push_plain(value),
        }
    }

    fn push_plain(&mut self, value: &[u8]) {
        // A text is part of a log object, which is capped far below 2 GiB.
        self.whole
            .push(i64::try_from(value.len()).unwrap_or(i64::MAX));
        self.plain.extend_from_slice(value);
    }

    fn push_whole(&mut self, value: Option<i64>) {
        self.defined.push(value.is_some());
        self.whole.extend(value);
        if let Some(noted) = &mut self.least_and_greatest {
            noted.note(value);
        }
    }

    fn end_page(&mut self, press: &mut Press) -> Result<()> {
        let rows = self.defined.rows();
        if rows == 0 {
            return Ok(());
        }
        if self.numbering && self.trial != Trial::Over && !self.numbers.is_empty() {
            self.trial = Trial::Over;
            self.drop_dictionary_if_above(50);
        }
        let dictionary = self.dictionary.as_ref().filter(|_| self.numbering);
        let dictionary = dictionary.filter(|dictionary| !dictionary.is_empty());
        let encoding = match (dictionary, self.physical) {
            (Some(_), _) => Encoding::RLE_DICTIONARY,
            (None, Physical::Text) => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            (None, _) => Encoding::DELTA_BINARY_PACKED,
        };
        let mut raw = press.room();
        levels(&mut raw, |out| self.defined.write(out));
        if let Some(dictionary) = dictionary {
            let greatest = u32::try_from(dictionary.len() - 1).unwrap_or(u32::MAX);
            let [width, ..] = width_of(greatest).to_le_bytes();
            raw.push(width);
            encode(&self.numbers, width_of(greatest), &mut raw);
        } else {
            let wrap = match self.physical {
                Physical::Int64 => Wrap::At64,
                _ => Wrap::At32,
            };
            delta::encode(&self.whole, wrap, &mut raw);
            raw.extend_from_slice(&self.plain);
        }
        self.pages.push(DataPage {
            body: Body::new(&raw, press)?,
            values: rows,
            rows,
            encoding,
        });
        press.give_back(raw);
        self.whole.clear();
        self.plain.clear();
        self.numbers.clear();
        Ok(())
    }

    /// Writes the values so far, of the first page that has some, as they are, if
    /// at least that many in a hundred are distinct.
    fn drop_dictionary_if_above(&mut self, percent: usize) {
        let worth = |dictionary: &Dictionary| dictionary.len() * 100 < self.numbers.len() * percent;
        if self.dictionary.as_ref().is_none_or(worth) {
            return;
        }
        let (dictionary, numbers) = (self.dictionary.take(), std::mem::take(&mut self.numbers));
        self.numbering = false;
        for number in &numbers {
            let value = dictionary.as_ref().map(|d| d.value(*number));
            self.push_plain(value.unwrap_or_default());
        }
    }

    /// Bytes of the pages made so far, and of the values of the next.
    pub fn bytes(&self) -> usize {
        self.pages.iter().map(|page| page.body.len()).sum::<usize>() + self.plain.len()
    }

    /// The column's chunk, its last page included.
    pub fn chunk(mut self, press: &mut Press) -> Result<Chunk> {
        self.end_page(press)?;
        let dictionary = match &self.dictionary {
            Some(dictionary) if !dictionary.is_empty() => Some(DictionaryPage {
                body: Body::new(dictionary.plain(), press)?,
                values: dictionary.len(),
            }),
            _ => None,
        };
        press.give_back_whole(self.whole);
        press.give_back(self.plain);
        press.give_back_numbers(self.numbers);
        press.give_back_numbers(self.defined.levels);
        Ok(Chunk {
            dictionary,
            pages: self.pages,
            statistics: self.least_and_greatest.map(|noted| noted.statistics()),
        })
    }
}
