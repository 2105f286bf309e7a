//! Finds the records of one event among the rows of a date and its guests, by their
//! keys alone. Guests are the few rows of other files that may be of the same events
//! (`elsewhere`).
//!
//! Three kinds, each with a key of its own ([`CopyKeys`]): copies of a record, in
//! several objects or trails; twins, which several accounts got of one access; and
//! corrections, which name the event they correct. Of all of them one row stays.
//!
//! INVARIANT (content, not arrival): which one stays follows from [`CopyRank`], then
//! from the time of the event, and between corrections of one event from their times
//! and ids. Only copies of one record, which are equal but for where they were read,
//! are told apart by their place: a settled one first, so that nothing is written
//! anew for a mere copy. Records on two dates differ in their times: whichever date
//! is looked at, the same one stays.
//!
//! INVARIANT (one stays): of records that correct each other in a circle, which only
//! bad data can have, the last stays. What amends an event is taken only if a row
//! of that event stands, here or elsewhere, or if none does in the whole lake.
//!
//! INVARIANT (bounded): the keys held at a time are at most [`KEYS_MAX`]; a date
//! with more rows is gone through several times, each time for other keys.
//! Corrections are few, and held all at once.

use super::bits::{Bits, Place};
use super::corrections::{Correction, lasts_of_circles};
use super::elsewhere::Guest;
use super::files::{DateFile, Holder, Tables};
use super::reader::{Texts, open, time_at, truth_at};
use crate::lake::error::LakeError;
use crate::lake::ledger::{CopyKeys, CopyRank, RowId, own_key};
use crate::model::UtcMicros;
use crate::trail::event_id::CopyKey;
use arrow::array::RecordBatch;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// Keys of one pass over a date, in each of two lists; 40 bytes each.
pub const KEYS_MAX: u64 = 2_000_000;

/// The columns that tell records of one event.
pub const COLUMNS: [&str; 10] = [
    "event_id",
    "content_id",
    "event_time",
    "event_name",
    "aws_account_id",
    "shared_event_id",
    "original_event_id",
    "principal_arn",
    "access_key_id",
    "settled",
];

/// What stands in the files of a date, row by row.
#[derive(Default)]
pub struct Survey {
    /// Those of the date.
    pub files: Vec<FileSurvey>,
    /// Those of the guests.
    pub guests: Vec<FileSurvey>,
    /// Rows of the date that go.
    pub dropped: Dropped,
    /// Rows that go, or should, of guests or for one of a guest's. Files are numbered:
    /// those of the date, then the guests'.
    pub ties: Vec<Tie>,
}

/// A row that another stands for, where one of the two is a guest, or both are.
#[derive(Clone, Copy, Debug)]
pub struct Tie {
    pub loser: Place,
    pub winner: Place,
    pub why: Why,
}

/// Why a row goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Copy,
    Twin,
    Corrected,
}

/// What stands in one file.
#[derive(Clone, Debug, Default)]
pub struct FileSurvey {
    pub rows: u64,
    /// Rows that are settled already.
    pub settled: Bits,
    /// Rows that another record of their event stands for.
    pub dropped: Bits,
    /// Of what amends events: rows whose event has a row.
    anchored: Bits,
    /// Rows for whose event another record must stand somewhere, or stood: all that
    /// amends, and corrections that are not settled.
    seeks: Bits,
    /// Those of them for which it was seen.
    partnered: Bits,
    /// Whether it is of those that amend.
    pub amends: bool,
}

/// Rows that go, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The same record again.
    pub copies: u64,
    /// The record that another account got of the access.
    pub twins: u64,
    /// The record was corrected by a later one.
    pub corrected: u64,
}

impl Dropped {
    pub fn add(&mut self, other: Dropped) {
        self.copies += other.copies;
        self.twins += other.twins;
        self.corrected += other.corrected;
    }

    pub fn count(&mut self, why: Why) {
        match why {
            Why::Copy => self.copies += 1,
            Why::Twin => self.twins += 1,
            Why::Corrected => self.corrected += 1,
        }
    }

    pub fn total(&self) -> u64 {
        self.copies + self.twins + self.corrected
    }
}

/// A record under a key that it shares with others.
#[derive(Clone, Copy)]
struct Entry {
    key: CopyKey,
    rank: CopyRank,
    at: UtcMicros,
    settled: bool,
    place: Place,
}

/// The records of one pass.
#[derive(Default)]
struct Pass {
    /// So many files are of the date; those after them are guests.
    own_files: usize,
    own: Vec<Entry>,
    shared: Vec<Entry>,
    corrections: Vec<Correction>,
}

/// Reads the keys of all rows and finds those that go. `again` says whether settled
/// corrections, too, seek what they correct.
///
/// # Errors
/// When a file cannot be read.
pub fn survey(
    tables: &Tables,
    files: &[DateFile],
    guests: &[Guest],
    again: bool,
    mut progress: impl FnMut(u64),
) -> Result<Survey, LakeError> {
    let of_file = |file: &DateFile| FileSurvey {
        amends: file.holder == Holder::Amendments,
        ..FileSurvey::default()
    };
    let all = || {
        let guests = guests.iter().map(|guest| (&guest.file, Some(guest)));
        files.iter().map(|file| (file, None)).chain(guests)
    };
    let mut survey = Survey {
        files: all().map(|(file, _)| of_file(file)).collect(),
        ..Survey::default()
    };
    let rows: u64 = files.iter().filter_map(|file| file.file.stats.rows).sum();
    let passes = rows.div_ceil(KEYS_MAX).max(1);
    for number in 0..passes {
        // Room for all at once: lists that grow hold twice of it on the way.
        let room = usize::try_from(rows / passes / 8 * 9).unwrap_or_default();
        let mut pass = Pass {
            own: Vec::with_capacity(room + 64),
            own_files: files.len(),
            ..Pass::default()
        };
        for (file, (date_file, guest)) in all().enumerate() {
            let fail = |error: String| tables.unreadable(date_file, error);
            let reader = open(date_file.open(tables)?, &COLUMNS);
            let reader = reader.map_err(|error| fail(error.to_string()))?;
            let mut first_row = 0;
            for batch in reader {
                let batch = batch.map_err(|error| fail(error.to_string()))?;
                let is_own = |key: &CopyKey| is_of_pass(key, number, passes);
                pass.read(&batch, (file, first_row), guest, is_own);
                if number == 0
                    && let Some(of_file) = survey.files.get_mut(file)
                {
                    of_file.count(&batch, first_row, guest.is_none().then_some(again));
                    if guest.is_none() {
                        progress(batch.num_rows() as u64);
                    }
                }
                first_row += batch.num_rows();
            }
        }
        pass.resolve(&mut survey);
    }
    survey.guests = survey.files.split_off(files.len());
    Ok(survey)
}

fn is_of_pass(key: &CopyKey, number: u64, passes: u64) -> bool {
    let [.., a, b] = key;
    passes == 1 || u64::from(u16::from_le_bytes([*a, *b])) % passes == number
}

impl FileSurvey {
    /// Counts rows; `seeking` is given for the date's own files.
    fn count(&mut self, batch: &RecordBatch, first_row: usize, seeking: Option<bool>) {
        self.rows += batch.num_rows() as u64;
        let settled = batch.column_by_name("settled");
        let originals = Texts::of(batch, "original_event_id");
        for row in 0..batch.num_rows() {
            let is_settled = truth_at(settled, row);
            if is_settled {
                self.settled.insert(first_row + row);
            }
            let seeks = seeking.is_some_and(|again| {
                self.amends || originals.at(row).is_some() && (again || !is_settled)
            });
            if seeks {
                self.seeks.insert(first_row + row);
            }
        }
    }

    /// Settled rows that stay, as they are or decided again.
    pub fn settled_kept(&self) -> u64 {
        self.settled.count_without(&self.dropped)
    }

    pub fn is_settled(&self) -> bool {
        self.settled.count() == self.rows
    }

    /// Whether the row is written anew, if its task is to be decided.
    pub fn is_taken(&self, row: usize) -> bool {
        !self.dropped.has(row) && (!self.amends || self.anchored.has(row))
    }

    /// Rows that amend an event and stand for it.
    pub fn amendments_taken(&self) -> u64 {
        self.anchored.count_without(&self.dropped)
    }

    /// Whether rows stay where they are, for want of the event that they amend.
    pub fn must_wait(&self) -> bool {
        let waiting = |row: &u64| {
            let row = usize::try_from(*row).unwrap_or(usize::MAX);
            !self.dropped.has(row) && !self.anchored.has(row)
        };
        self.amends && (0..self.rows).any(|row| waiting(&row))
    }

    /// How many rows seek another record of their event that was not seen.
    pub fn lone(&self) -> u64 {
        self.seeks.count_without(&self.partnered)
    }

    pub fn is_lone(&self, row: usize) -> bool {
        self.seeks.has(row) && !self.partnered.has(row)
    }

    /// Takes what amends an event of which nothing stands anywhere: it is all that
    /// is known of it.
    pub fn adopt(&mut self) {
        for row in 0..usize::try_from(self.rows).unwrap_or_default() {
            if self.amends && self.is_lone(row) {
                self.anchored.insert(row);
            }
        }
    }
}

impl Pass {
    fn read(
        &mut self,
        batch: &RecordBatch,
        (file, first_row): (usize, usize),
        guest: Option<&Guest>,
        is_own: impl Fn(&CopyKey) -> bool,
    ) {
        let ids = RowIds::of(batch);
        let (times, settled) = (
            batch.column_by_name("event_time"),
            batch.column_by_name("settled"),
        );
        for row in 0..batch.num_rows() {
            let at = time_at(times, row).unwrap_or_default();
            if guest.is_some_and(|guest| !guest.takes(first_row + row, at, &ids, row)) {
                continue;
            }
            let place = Place::of(file, first_row + row);
            let CopyKeys {
                own,
                corrects,
                shared,
                rank,
                ..
            } = ids.at(row).keys();
            let entry = |key: CopyKey| Entry {
                key,
                rank,
                at,
                settled: truth_at(settled, row),
                place,
            };
            // A correction goes with what it corrects: both in one pass.
            if let Some(own) = own
                && is_own(&own_key(own, rank.is_correction()))
            {
                self.own.push(entry(own));
            }
            if let Some(shared) = shared.filter(&is_own) {
                self.shared.push(entry(shared));
            }
            if let (Some(original), Some(own)) = (corrects, own) {
                self.corrections.push(Correction {
                    original,
                    order: (at, own),
                    place,
                });
            }
        }
    }

    /// Says which rows go.
    fn resolve(mut self, survey: &mut Survey) {
        self.anchor(survey);
        let corrected = self.resolve_corrections(survey);
        let own_files = self.own_files;
        self.own
            .sort_unstable_by_key(|e| (e.key, Reverse((e.rank, e.at, e.settled)), e.place));
        let mut first: Option<&Entry> = None;
        for entry in &self.own {
            match first.filter(|first| first.key == entry.key) {
                Some(first) => survey.drop(own_files, entry.place, first.place, Why::Copy),
                None => first = Some(entry),
            }
            // A correction may bear the id of what it corrects, and stays then.
            let plain = own_key(entry.key, entry.rank.is_correction());
            if let Some(correction) = corrected.get(&plain)
                && correction.own() != entry.key
            {
                survey.drop(own_files, entry.place, correction.place, Why::Corrected);
            }
        }
        self.shared
            .sort_unstable_by_key(|e| (e.key, Reverse((e.rank, e.at, e.settled)), e.place));
        for twins in self.shared.chunk_by(|a, b| a.key == b.key) {
            let Some(best) = twins.first() else { continue };
            for twin in twins
                .iter()
                .filter(|twin| !twin.rank.same_account(best.rank))
            {
                survey.drop(own_files, twin.place, best.place, Why::Twin);
            }
        }
    }

    /// Finds what amends an event that has a row, and which of what seeks another
    /// record of its event has one.
    fn anchor(&self, survey: &mut Survey) {
        let file = |place: Place| survey.files.get(place.file());
        let amends = |place: Place| file(place).is_some_and(|file| file.amends);
        let seeks = |place: Place| file(place).is_some_and(|file| file.seeks.has(place.row()));
        if survey.files.iter().all(|file| file.seeks.count() == 0) {
            return;
        }
        let plain = |e: &Entry| own_key(e.key, e.rank.is_correction());
        let own = self.own.iter().filter(|e| seeks(e.place)).map(plain);
        let shared = self.shared.iter().filter(|e| seeks(e.place)).map(|e| e.key);
        let corrections = self.corrections.iter().filter(|c| seeks(c.place));
        let originals = corrections.clone().map(|c| c.original);
        let wanted: HashSet<CopyKey> = own.chain(shared).chain(originals).collect();
        // What rows have a wanted key: of events by their own key, of twins by rank.
        let mut rows: HashMap<CopyKey, Vec<CopyKey>> = HashMap::new();
        let mut twins: HashMap<CopyKey, Vec<CopyRank>> = HashMap::new();
        let standing = self.own.iter().filter(|e| !amends(e.place));
        // A settled correction is the row of what it corrects.
        let corrected = self.corrections.iter().filter(|c| !amends(c.place));
        let standing = standing.map(|e| (plain(e), e.key));
        for (key, own) in standing.chain(corrected.map(|c| (c.original, c.own()))) {
            if wanted.contains(&key) {
                rows.entry(key).or_default().push(own);
            }
        }
        for twin in self.shared.iter().filter(|e| !amends(e.place)) {
            if wanted.contains(&twin.key) {
                twins.entry(twin.key).or_default().push(twin.rank);
            }
        }
        let of_event = |key: &CopyKey, own: CopyKey| {
            let rows = rows.get(key)?;
            Some(rows.iter().any(|row| *row != own))
        };
        let by_own = self.own.iter().filter(|e| seeks(e.place));
        let by_own = by_own.filter_map(|e| Some((e.place, of_event(&plain(e), e.key)?)));
        let by_original =
            corrections.filter_map(|c| Some((c.place, of_event(&c.original, c.own())?)));
        let by_shared = self.shared.iter().filter(|e| seeks(e.place));
        let by_shared = by_shared.filter_map(|e| {
            let ranks = twins.get(&e.key)?;
            Some((e.place, ranks.iter().any(|rank| !rank.same_account(e.rank))))
        });
        let found: Vec<(Place, bool)> = by_own.chain(by_original).chain(by_shared).collect();
        for (place, is_partner) in found {
            if let Some(file) = survey.files.get_mut(place.file()) {
                file.anchored.insert(place.row());
                if is_partner {
                    file.partnered.insert(place.row());
                }
            }
        }
    }

    /// The events that were corrected, with the correction that counts.
    fn resolve_corrections(&mut self, survey: &mut Survey) -> HashMap<CopyKey, Correction> {
        // Of copies of a correction a row comes first.
        let amends = |place: Place| survey.files.get(place.file()).is_some_and(|f| f.amends);
        self.corrections
            .sort_unstable_by_key(|c| (c.original, Reverse(c.order), amends(c.place), c.place));
        let mut corrected: HashMap<CopyKey, Correction> = HashMap::new();
        for corrections in self.corrections.chunk_by(|a, b| a.original == b.original) {
            let Some(best) = corrections.first() else {
                continue;
            };
            corrected.insert(best.original, *best);
            for correction in corrections {
                if correction.own() != best.own() {
                    survey.drop(self.own_files, correction.place, best.place, Why::Corrected);
                }
            }
        }
        for last in lasts_of_circles(&corrected) {
            // It corrects itself, as it were: nothing stands for it.
            corrected.insert(own_key(last.own(), true), last);
        }
        corrected
    }
}

/// The columns that tell records of one event, row by row.
pub struct RowIds<'b> {
    event_id: Texts<'b>,
    content_id: Texts<'b>,
    event_name: Texts<'b>,
    account_id: Texts<'b>,
    shared: Texts<'b>,
    original: Texts<'b>,
    arn: Texts<'b>,
    access_key: Texts<'b>,
}

impl<'b> RowIds<'b> {
    pub fn of(batch: &'b RecordBatch) -> RowIds<'b> {
        let texts = |name: &str| Texts::of(batch, name);
        RowIds {
            event_id: texts("event_id"),
            content_id: texts("content_id"),
            event_name: texts("event_name"),
            account_id: texts("aws_account_id"),
            shared: texts("shared_event_id"),
            original: texts("original_event_id"),
            arn: texts("principal_arn"),
            access_key: texts("access_key_id"),
        }
    }

    pub fn at(&self, row: usize) -> RowId<'b> {
        RowId {
            event_id: self.event_id.at(row).unwrap_or_default(),
            content_id: self.content_id.at(row),
            event_name: self.event_name.at(row).unwrap_or_default(),
            account_id: self.account_id.at(row),
            shared_event_id: self.shared.at(row),
            original_event_id: self.original.at(row),
            richness: u8::from(self.arn.at(row).is_some()) * 2
                + u8::from(self.access_key.at(row).is_some()),
        }
    }

    pub fn is_correction(&self, row: usize) -> bool {
        self.original.at(row).is_some()
    }
}

impl Survey {
    fn drop(&mut self, own_files: usize, loser: Place, winner: Place, why: Why) {
        let file = self.files.get_mut(loser.file());
        if !file.is_some_and(|file| file.dropped.insert(loser.row())) {
            return;
        }
        let is_own = |place: Place| place.file() < own_files;
        if is_own(loser) {
            self.dropped.count(why);
        }
        if !is_own(loser) || !is_own(winner) {
            self.ties.push(Tie { loser, winner, why });
        }
    }

    /// A file of the date or a guest, by its number.
    pub fn file(&self, number: usize) -> Option<&FileSurvey> {
        let guests = number.checked_sub(self.files.len());
        self.files.get(number).or_else(|| self.guests.get(guests?))
    }

    /// The number of a guest's file; `None` for one of the date.
    pub fn guest_of(&self, place: Place) -> Option<usize> {
        place.file().checked_sub(self.files.len())
    }

    /// Whether a row seeks another record of its event that was not seen.
    pub fn has_lone(&self) -> bool {
        self.files.iter().any(|file| file.lone() > 0)
    }
}
