//! The distinct values of a column, numbered in the order in which they came,
//! and kept as they will stand in the file.

use super::values::Physical;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

pub struct Dictionary {
    physical: Physical,
    /// The values in Parquet's PLAIN encoding, one after another.
    plain: Vec<u8>,
    /// Where in `plain` each value ends.
    ends: Vec<usize>,
    numbers: HashTable<u32>,
    /// The number given last: equal values often come in a row.
    last: Option<u32>,
}

const HASH: foldhash::fast::FixedState = foldhash::fast::FixedState::with_seed(0);

impl Dictionary {
    pub fn new(physical: Physical) -> Dictionary {
        Dictionary {
            physical,
            plain: Vec::new(),
            ends: Vec::new(),
            numbers: HashTable::new(),
            last: None,
        }
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// The number of a value, which is learned if it is new.
    pub fn number(&mut self, value: &[u8]) -> u32 {
        if let Some(last) = self.last
            && self.value(last) == value
        {
            return last;
        }
        let hash = HASH.hash_one(value);
        let known = self
            .numbers
            .find(hash, |number| self.value(*number) == value);
        let number = match known {
            Some(number) => *number,
            None => self.learn(hash, value),
        };
        self.last = Some(number);
        number
    }

    fn learn(&mut self, hash: u64, value: &[u8]) -> u32 {
        // A file has far fewer than 2^32 rows.
        let number = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.physical.plain(value, &mut self.plain);
        self.ends.push(self.plain.len());
        let (physical, plain, ends) = (self.physical, &self.plain, &self.ends);
        self.numbers.insert_unique(hash, number, |number| {
            HASH.hash_one(value_of(physical, plain, ends, *number))
        });
        number
    }

    /// The value of a number, empty if there is none.
    pub fn value(&self, number: u32) -> &[u8] {
        value_of(self.physical, &self.plain, &self.ends, number)
    }
}

fn value_of<'p>(physical: Physical, plain: &'p [u8], ends: &[usize], number: u32) -> &'p [u8] {
    let number = number as usize;
    let start = number
        .checked_sub(1)
        .and_then(|before| ends.get(before))
        .map_or(0, |end| *end);
    let start = start + physical.prefix_len();
    ends.get(number)
        .and_then(|end| plain.get(start..*end))
        .unwrap_or_default()
}
