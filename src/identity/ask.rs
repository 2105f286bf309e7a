//! One access being attributed: what is known, when it was, and for how long and
//! for which keys the answer will hold.

use super::index::IdentityIndex;
use super::known_facts::Databricks;
use super::people::Person;
use super::place::Place;
use super::watermarks::FactSource;
use crate::model::{AccessEvent, Method, TimeSpan, UtcMicros};

/// Candidates stored for one level; the true number is kept beside the list.
pub(super) const LISTED_MAX: usize = crate::model::CANDIDATES_MAX;

pub(super) struct Ask<'a> {
    pub access: &'a AccessEvent<'a>,
    pub index: &'a IdentityIndex,
    pub at: UtcMicros,
    /// The times over which everything looked up so far stays the same.
    pub span: TimeSpan,
    /// Set once the object key or the operation was looked at.
    pub place: Option<Place>,
}

impl<'a> Ask<'a> {
    pub fn databricks(&self) -> &'a Databricks {
        self.index.databricks()
    }

    /// Looks at the object key.
    pub fn place(&mut self) -> Place {
        let index = self.index;
        let access = self.access;
        *self
            .place
            .get_or_insert_with(|| index.place_of(&access.asked()))
    }

    /// Whether a source has passed the access by `window` seconds.
    pub fn has_passed(&mut self, source: FactSource, window: i64) -> bool {
        let watermarks = &self.databricks().watermarks;
        watermarks.has_passed(source, self.at, window, &mut self.span)
    }

    /// Whether the source of runs has passed the access. The timeline tables see
    /// every run; the audit log does where they are not read.
    pub fn runs_have_passed(&mut self, window: i64) -> bool {
        if self.databricks().watermarks.is_read(FactSource::TaskRuns)
            && self.has_passed(FactSource::TaskRuns, window)
        {
            return true;
        }
        self.has_passed(FactSource::Audit, window)
    }

    /// Whether the access lies between two times, both included.
    pub fn is_within(&mut self, from: UtcMicros, until: UtcMicros) -> bool {
        let at = self.at;
        if at < from {
            self.span.until = self.span.until.min(UtcMicros(from.0.saturating_sub(1)));
        } else {
            self.span.from = self.span.from.max(from);
        }
        if at > until {
            self.span.from = self.span.from.max(UtcMicros(until.0.saturating_add(1)));
        } else {
            self.span.until = self.span.until.min(until);
        }
        from <= at && at <= until
    }
}

/// What a claim rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grounds {
    pub methods: Vec<Method>,
    pub evidence: Vec<String>,
}

impl Grounds {
    pub fn by(&mut self, method: Method) {
        if !self.methods.contains(&method) {
            self.methods.push(method);
        }
    }

    /// Names a record; beyond the cap of every list, more would prove nothing.
    pub fn note(&mut self, id: &str) {
        note_all(
            &mut self.evidence,
            std::iter::once(id.to_owned()),
            LISTED_MAX,
        );
    }

    /// Names records in their order.
    pub fn note_sorted<T: Ord + Into<String>>(&mut self, mut records: Vec<T>) {
        records.sort_unstable();
        records.dedup();
        let ids = records.into_iter().map(T::into);
        note_all(&mut self.evidence, ids, LISTED_MAX);
    }

    pub fn take(&mut self, other: Grounds) {
        for method in other.methods {
            self.by(method);
        }
        note_all(&mut self.evidence, other.evidence, LISTED_MAX);
    }
}

/// Adds records, different from one another, to those noted, up to so many in all.
pub(super) fn note_all(
    noted: &mut Vec<String>,
    ids: impl IntoIterator<Item = String>,
    most: usize,
) {
    let before = noted.len();
    let mut ids = ids.into_iter();
    while noted.len() < most
        && let Some(id) = ids.next()
    {
        let known = noted.get(..before).unwrap_or_default();
        if !id.is_empty() && !known.contains(&id) {
            noted.push(id);
        }
    }
}

/// Sorts and names each once.
pub(super) fn each_once(people: &mut Vec<Person>) {
    people.sort();
    people.dedup();
}
