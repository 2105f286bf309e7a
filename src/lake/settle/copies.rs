//! Finds the records of one event among the rows of a date, by their keys alone.
//!
//! Three kinds, each with a key of its own ([`CopyKeys`]): copies of a record, in
//! several objects or trails; twins, which several accounts got of one access; and
//! corrections, which name the event they correct. Of all of them one row stays.
//!
//! INVARIANT (content, not arrival): which one stays follows from [`CopyRank`], and
//! between corrections of one event from their times and ids. Only copies of one
//! record, which are equal but for where they were read, are told apart by their
//! place: a settled one first, so that nothing is written anew for a mere copy.
//!
//! INVARIANT (one stays): of records that correct each other in a circle, which only
//! bad data can have, the last stays. What amends an event is taken only if a row
//! of that event stands in the same date: elsewhere it would be a second one.
//!
//! INVARIANT (bounded): the keys held at a time are at most [`KEYS_MAX`]; a date
//! with more rows is gone through several times, each time for other keys.
//! Corrections are few, and held all at once.
//!
//! Deliberately absent: records of one event that lie on two dates. A correction or
//! twin around midnight can; it stays in `s3_amendments`, beside the row.

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
const COLUMNS: [&str; 10] = [
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
    pub files: Vec<FileSurvey>,
    pub dropped: Dropped,
}

/// What stands in one file.
#[derive(Clone, Debug, Default)]
pub struct FileSurvey {
    pub rows: u64,
    /// Rows that are settled already.
    pub settled: Bits,
    /// Rows that another record of their event stands for.
    pub dropped: Bits,
    /// Of what amends events: rows whose event has a row in the same date.
    anchored: Bits,
    /// Whether it is of those that amend.
    amends: bool,
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

    pub fn total(&self) -> u64 {
        self.copies + self.twins + self.corrected
    }
}

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

/// Where a row stands: its file and its place there, packed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(u64);

impl Place {
    fn of(file: usize, row: usize) -> Place {
        Place((file as u64) << 40 | row as u64)
    }

    fn file(self) -> usize {
        usize::try_from(self.0 >> 40).unwrap_or(usize::MAX)
    }

    fn row(self) -> usize {
        usize::try_from(self.0 & ((1 << 40) - 1)).unwrap_or(usize::MAX)
    }
}

/// A record under a key that it shares with others.
#[derive(Clone, Copy)]
struct Entry {
    key: CopyKey,
    rank: CopyRank,
    settled: bool,
    place: Place,
}

/// A correction, by what it corrects.
#[derive(Clone, Copy)]
struct Correction {
    original: CopyKey,
    /// The later one counts; of two at one time, that of the greater key.
    order: Order,
    place: Place,
}

/// The records of one pass.
#[derive(Default)]
struct Pass {
    own: Vec<Entry>,
    shared: Vec<Entry>,
    corrections: Vec<Correction>,
}

/// Reads the keys of all rows and finds those that go.
///
/// # Errors
/// When a file cannot be read.
pub fn survey(
    tables: &Tables,
    files: &[DateFile],
    mut progress: impl FnMut(u64),
) -> Result<Survey, LakeError> {
    let of_file = |file: &DateFile| FileSurvey {
        amends: file.holder == Holder::Amendments,
        ..FileSurvey::default()
    };
    let mut survey = Survey {
        files: files.iter().map(of_file).collect(),
        dropped: Dropped::default(),
    };
    let rows: u64 = files.iter().filter_map(|file| file.file.stats.rows).sum();
    let passes = rows.div_ceil(KEYS_MAX).max(1);
    for number in 0..passes {
        // Room for all at once: lists that grow hold twice of it on the way.
        let room = usize::try_from(rows / passes / 8 * 9).unwrap_or_default();
        let mut pass = Pass {
            own: Vec::with_capacity(room + 64),
            ..Pass::default()
        };
        for (file, date_file) in files.iter().enumerate() {
            let fail = |error: String| tables.unreadable(date_file, error);
            let reader = open(date_file.open(tables)?, &COLUMNS);
            let reader = reader.map_err(|error| fail(error.to_string()))?;
            let mut first_row = 0;
            for batch in reader {
                let batch = batch.map_err(|error| fail(error.to_string()))?;
                let is_own = |key: &CopyKey| is_of_pass(key, number, passes);
                pass.read(&batch, (file, first_row), is_own);
                if number == 0
                    && let Some(of_file) = survey.files.get_mut(file)
                {
                    of_file.count(&batch, first_row);
                    progress(batch.num_rows() as u64);
                }
                first_row += batch.num_rows();
            }
        }
        pass.resolve(&mut survey);
    }
    Ok(survey)
}

fn is_of_pass(key: &CopyKey, number: u64, passes: u64) -> bool {
    let [.., a, b] = key;
    passes == 1 || u64::from(u16::from_le_bytes([*a, *b])) % passes == number
}

impl FileSurvey {
    fn count(&mut self, batch: &RecordBatch, first_row: usize) {
        self.rows += batch.num_rows() as u64;
        let settled = batch.column_by_name("settled");
        for row in 0..batch.num_rows() {
            if truth_at(settled, row) {
                self.settled.insert(first_row + row);
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

    /// Rows that amend an event of this date and stand for it.
    pub fn amendments_taken(&self) -> u64 {
        self.anchored.count_without(&self.dropped)
    }

    /// Whether rows stay where they are, for want of the event that they amend.
    pub fn has_unanchored(&self) -> bool {
        let waiting = |row: &u64| {
            let row = usize::try_from(*row).unwrap_or(usize::MAX);
            !self.dropped.has(row) && !self.anchored.has(row)
        };
        self.amends && (0..self.rows).any(|row| waiting(&row))
    }
}

impl Pass {
    fn read(
        &mut self,
        batch: &RecordBatch,
        (file, first_row): (usize, usize),
        is_own: impl Fn(&CopyKey) -> bool,
    ) {
        let texts = |name: &str| Texts::of(batch, name);
        let (event_id, content_id) = (texts("event_id"), texts("content_id"));
        let (event_name, account_id) = (texts("event_name"), texts("aws_account_id"));
        let (shared, original) = (texts("shared_event_id"), texts("original_event_id"));
        let (arn, access_key) = (texts("principal_arn"), texts("access_key_id"));
        let (times, settled) = (
            batch.column_by_name("event_time"),
            batch.column_by_name("settled"),
        );
        for row in 0..batch.num_rows() {
            let id = RowId {
                event_id: event_id.at(row).unwrap_or_default(),
                content_id: content_id.at(row),
                event_name: event_name.at(row).unwrap_or_default(),
                account_id: account_id.at(row),
                shared_event_id: shared.at(row),
                original_event_id: original.at(row),
                richness: u8::from(arn.at(row).is_some()) * 2
                    + u8::from(access_key.at(row).is_some()),
            };
            let place = Place::of(file, first_row + row);
            let CopyKeys {
                own,
                corrects,
                shared,
                rank,
                ..
            } = id.keys();
            let entry = |key: CopyKey| Entry {
                key,
                rank,
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
                let at = time_at(times, row).unwrap_or_default();
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
        self.own
            .sort_unstable_by_key(|e| (e.key, Reverse((e.rank, e.settled)), e.place));
        let mut before: Option<CopyKey> = None;
        for entry in &self.own {
            if before.replace(entry.key) == Some(entry.key) {
                survey.drop(entry.place, |dropped| &mut dropped.copies);
            }
            // A correction may bear the id of what it corrects, and stays then.
            let plain = own_key(entry.key, entry.rank.is_correction());
            if corrected.get(&plain).is_some_and(|own| *own != entry.key) {
                survey.drop(entry.place, |dropped| &mut dropped.corrected);
            }
        }
        self.shared
            .sort_unstable_by_key(|e| (e.key, Reverse(e.rank), e.place));
        for twins in self.shared.chunk_by(|a, b| a.key == b.key) {
            let Some(best) = twins.first() else { continue };
            for twin in twins
                .iter()
                .filter(|twin| !twin.rank.same_account(best.rank))
            {
                survey.drop(twin.place, |dropped| &mut dropped.twins);
            }
        }
    }

    /// Finds what amends an event that has a row here.
    fn anchor(&self, survey: &mut Survey) {
        let amends = |survey: &Survey, place: Place| {
            let file = survey.files.get(place.file());
            file.is_some_and(|file| file.amends)
        };
        if !survey.files.iter().any(|file| file.amends) {
            return;
        }
        let rows = |entries: &[Entry], key: fn(&Entry) -> CopyKey| -> HashSet<CopyKey> {
            let entries = entries.iter().filter(|e| !amends(survey, e.place));
            entries.map(key).collect()
        };
        let plain = |e: &Entry| own_key(e.key, e.rank.is_correction());
        let (mut own, shared) = (rows(&self.own, plain), rows(&self.shared, |e| e.key));
        // A settled correction is the row of what it corrects.
        let standing = self.corrections.iter().filter(|c| !amends(survey, c.place));
        own.extend(standing.map(|c| c.original));
        let of_own = self.own.iter().filter(|e| own.contains(&plain(e)));
        let of_shared = self.shared.iter().filter(|e| shared.contains(&e.key));
        let corrections = self.corrections.iter();
        let of_corrections = corrections.filter(|c| own.contains(&c.original));
        let places: Vec<Place> = of_own
            .chain(of_shared)
            .map(|e| e.place)
            .chain(of_corrections.map(|c| c.place))
            .collect();
        for place in places {
            if let Some(file) = survey.files.get_mut(place.file()) {
                file.anchored.insert(place.row());
            }
        }
    }

    /// The events that were corrected, with the key of the correction that counts.
    fn resolve_corrections(&mut self, survey: &mut Survey) -> HashMap<CopyKey, CopyKey> {
        self.corrections
            .sort_unstable_by_key(|c| (c.original, Reverse(c.order)));
        let mut corrected: HashMap<CopyKey, Order> = HashMap::new();
        for corrections in self.corrections.chunk_by(|a, b| a.original == b.original) {
            let Some(best) = corrections.first() else {
                continue;
            };
            corrected.insert(best.original, best.order);
            for correction in corrections {
                if correction.order.1 != best.order.1 {
                    survey.drop(correction.place, |dropped| &mut dropped.corrected);
                }
            }
        }
        for last in lasts_of_circles(&corrected) {
            // It corrects itself, as it were: nothing stands for it.
            corrected.insert(own_key(last.1, true), last);
        }
        let keys = corrected.into_iter();
        keys.map(|(event, (_, own))| (event, own)).collect()
    }
}

/// The order of a correction: its time, its key.
type Order = (UtcMicros, CopyKey);

/// Of each circle of records that correct one another, the last.
fn lasts_of_circles(corrected: &HashMap<CopyKey, Order>) -> Vec<Order> {
    let mut lasts = Vec::new();
    let mut seen: HashSet<CopyKey> = HashSet::new();
    for event in corrected.keys() {
        let mut path: Vec<(CopyKey, Order)> = Vec::new();
        let mut at = *event;
        while let Some(correction) = corrected.get(&at) {
            if !seen.insert(at) {
                // Met before: on this way, or on one that was followed to its end.
                let circle = path.iter().skip_while(|(event, _)| *event != at);
                let orders: Vec<Order> = circle.map(|(_, order)| *order).collect();
                if orders.len() > 1 {
                    lasts.extend(orders.into_iter().max());
                }
                break;
            }
            path.push((at, *correction));
            at = own_key(correction.1, true);
        }
    }
    lasts
}

impl Survey {
    fn drop(&mut self, place: Place, reason: impl Fn(&mut Dropped) -> &mut u64) {
        let file = self.files.get_mut(place.file());
        if file.is_some_and(|file| file.dropped.insert(place.row())) {
            *reason(&mut self.dropped) += 1;
        }
    }
}
