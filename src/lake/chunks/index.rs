//! Which rows of a file share what: decisions and sources, and parts of decisions.
//!
//! Numbers are given anew, in the order of the rows, so that they are dense and
//! so that dictionaries come out in the order of the rows as well.

use super::{Parts, SharedRows};
use crate::lake::columns::Part;
use hashbrown::HashMap;

/// The distinct values of a part.
pub struct Shared {
    /// The number of the part for each row.
    pub of_row: Vec<u32>,
    /// For each number, a row that has it.
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

    fn shared(&self, part: impl Fn(u32) -> u32) -> Shared {
        let mut dense = Dense::default();
        let (mut of_key, mut rows) = (Vec::with_capacity(self.rows.len()), Vec::new());
        for (known_as, row) in self.known_as.iter().zip(&self.rows) {
            let (number, new) = dense.number(part(*known_as));
            of_key.push(number);
            if new {
                rows.push(*row);
            }
        }
        let look_up = |key: &u32| of_key.get(*key as usize).copied().unwrap_or_default();
        Shared {
            of_row: self.of_row.iter().map(look_up).collect(),
            rows,
        }
    }
}

impl Index {
    pub fn of<R>(rows: &impl SharedRows<R>) -> Index {
        Index {
            decisions: Keys::of(rows.count(), |place| rows.decision(place)),
            sources: Keys::of(rows.count(), |place| rows.source(place)),
        }
    }

    pub fn shared<R>(&self, part: Part, rows: &impl SharedRows<R>) -> Shared {
        let of_decision =
            |part: fn(Parts) -> u32| self.decisions.shared(|decision| part(rows.parts(decision)));
        match part {
            Part::Principal => of_decision(|parts| parts.principal),
            Part::Client => of_decision(|parts| parts.client),
            Part::Target => of_decision(|parts| parts.target),
            Part::Request => of_decision(|parts| parts.request),
            Part::Attribution => of_decision(|parts| parts.attribution),
            Part::Dataset => of_decision(|parts| parts.dataset),
            Part::Judgement => of_decision(|parts| parts.judgement),
            Part::Batch => of_decision(|_| 0),
            Part::Source => self.sources.shared(|source| source),
            Part::Row => Shared {
                of_row: (0..).take(rows.count()).collect(),
                rows: (0..rows.count()).collect(),
            },
        }
    }
}
