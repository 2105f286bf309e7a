//! Sets of rows of a file, and where a row stands.

/// A set of rows of a file.
#[derive(Clone, Debug, Default)]
pub struct Bits {
    words: Vec<u64>,
    count: u64,
}

impl Bits {
    /// Whether it was not there before.
    pub fn insert(&mut self, row: usize) -> bool {
        let (word, bit) = (row / 64, 1_u64 << (row % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let Some(word) = self.words.get_mut(word) else {
            return false;
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(is_new);
        is_new
    }

    pub fn has(&self, row: usize) -> bool {
        let word = self.words.get(row / 64);
        word.is_some_and(|word| word & (1 << (row % 64)) != 0)
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Those that are not in the other set.
    pub fn count_without(&self, other: &Bits) -> u64 {
        let others = other.words.iter().chain(std::iter::repeat(&0));
        let words = self.words.iter().zip(others);
        words
            .map(|(word, other)| u64::from((word & !other).count_ones()))
            .sum()
    }
}

/// Where a row stands: its file, by number, and its place there, packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u64);

impl Place {
    pub fn of(file: usize, row: usize) -> Place {
        Place((file as u64) << 40 | row as u64)
    }

    pub fn file(self) -> usize {
        usize::try_from(self.0 >> 40).unwrap_or(usize::MAX)
    }

    pub fn row(self) -> usize {
        usize::try_from(self.0 & ((1 << 40) - 1)).unwrap_or(usize::MAX)
    }
}
