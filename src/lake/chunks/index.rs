//! Which rows of a file share what: keys of the rows, and parts of the keys.
//!
//! Numbers are given anew, in the order of the rows, so that they are dense and
//! so that dictionaries come out in the order of the rows as well.

use super::SharedRows;
use crate::lake::columns::Part;
use hashbrown::HashMap;
use std::borrow::Cow;

/// What a row's number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Decision,
    Source,
    /// Every row is its own.
    Row,
}

/// The distinct values of a part, or of a key itself.
pub struct Shared {
    pub key: Key,
    /// The number of the part for each number of the key.
    pub of_key: Vec<u32>,
    /// For each number of the part, a row that has it.
    pub rows: Vec<usize>,
}

/// The keys of the rows, and rows that have them.
struct Keys {
    of_row: Vec<u32>,
    rows: Vec<usize>,
    /// The numbers under which the caller knows them.
    known_as: Vec<u32>,
}

pub struct Index {
    decisions: Keys,
    sources: Keys,
}

/// Gives dense numbers to sparse ones.
#[derive(Default)]
struct Dense {
    numbers: HashMap<u32, u32, foldhash::fast::FixedState>,
    last: Option<(u32, u32)>,
}

impl Dense {
    /// The number, and whether it is new.
    fn number(&mut self, known_as: u32) -> (u32, bool) {
        if let Some((last, number)) = self.last
            && last == known_as
        {
            return (number, false);
        }
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(known_as).or_insert(next);
        self.last = Some((known_as, number));
        (number, number == next)
    }
}

impl Keys {
    fn of(len: usize, key: impl Fn(usize) -> u32) -> Keys {
        let mut dense = Dense::default();
        let mut keys = Keys {
            of_row: Vec::with_capacity(len),
            rows: Vec::new(),
            known_as: Vec::new(),
        };
        for place in 0..len {
            let known_as = key(place);
            let (number, new) = dense.number(known_as);
            keys.of_row.push(number);
            if new {
                keys.rows.push(place);
                keys.known_as.push(known_as);
            }
        }
        keys
    }

    fn shared(&self, key: Key, part: impl Fn(u32) -> u32) -> Shared {
        let mut dense = Dense::default();
        let mut shared = Shared {
            key,
            of_key: Vec::with_capacity(self.rows.len()),
            rows: Vec::new(),
        };
        for (known_as, row) in self.known_as.iter().zip(&self.rows) {
            let (number, new) = dense.number(part(*known_as));
            shared.of_key.push(number);
            if new {
                shared.rows.push(*row);
            }
        }
        shared
    }
}

impl Index {
    pub fn of<R>(rows: &impl SharedRows<R>) -> Index {
        Index {
            decisions: Keys::of(rows.len(), |place| rows.decision(place)),
            sources: Keys::of(rows.len(), |place| rows.source(place)),
        }
    }

    /// The number of each row's key.
    pub fn of_row(&self, key: Key) -> Cow<'_, [u32]> {
        match key {
            Key::Decision => Cow::Borrowed(&self.decisions.of_row),
            Key::Source => Cow::Borrowed(&self.sources.of_row),
            Key::Row => (0..).take(self.decisions.of_row.len()).collect(),
        }
    }

    pub fn shared<R>(&self, part: Part, rows: &impl SharedRows<R>) -> Shared {
        let of_decision = |part: fn(super::Parts) -> u32| {
            self.decisions
                .shared(Key::Decision, |decision| part(rows.parts(decision)))
        };
        match part {
            Part::Principal => of_decision(|parts| parts.principal),
            Part::Client => of_decision(|parts| parts.client),
            Part::Target => of_decision(|parts| parts.target),
            Part::Attribution => of_decision(|parts| parts.attribution),
            Part::Batch => of_decision(|_| 0),
            Part::Decision => self.decisions.shared(Key::Decision, |decision| decision),
            Part::Source => self.sources.shared(Key::Source, |source| source),
            Part::Row => {
                let of_key = self.of_row(Key::Row).into_owned();
                let rows = (0..of_key.len()).collect();
                Shared {
                    key: Key::Row,
                    of_key,
                    rows,
                }
            }
        }
    }
}
