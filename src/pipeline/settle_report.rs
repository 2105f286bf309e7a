//! What a settle did, in numbers: counted per date, and added to the whole only once
//! the date is committed.

use super::horizon::Horizon;
use crate::lake::settle::accesses::Labels;
use crate::lake::settle::copies::Dropped;
use crate::model::{AccessPath, Confidence, Verdict};
use std::collections::BTreeMap;

/// What changed, and what did not.
#[derive(Clone, Debug, Default)]
pub struct SettleReport {
    pub horizon: Option<Horizon>,
    /// Dates that were written anew; one commit each.
    pub dates: u64,
    /// Rows read, copies among them.
    pub rows: u64,
    /// Rows that were provisional and are settled now.
    pub settled: u64,
    /// Rows that were settled before and decided again.
    pub settled_again: u64,
    /// Rows whose time has not come, in the whole lake.
    pub provisional: u64,
    pub dropped: Dropped,
    /// Records of `s3_amendments` that stand for their events now.
    pub amended: u64,
    pub files_before: u64,
    pub files_after: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// Dates done anew because another settle came first.
    pub redone: u64,
    /// Rows settled now, by what was decided before and what is now.
    pub changes: BTreeMap<(Labels, Labels), u64>,
}

/// The rows of one level of an access path, by confidence: exact, strong, ambiguous,
/// none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LevelChange {
    pub before: [u64; 4],
    pub after: [u64; 4],
}

impl SettleReport {
    /// Adds what was done to one date.
    pub fn add(&mut self, date: SettleReport) {
        self.dates += date.dates;
        self.rows += date.rows;
        self.settled += date.settled;
        self.settled_again += date.settled_again;
        self.provisional += date.provisional;
        self.dropped.add(date.dropped);
        self.amended += date.amended;
        self.files_before += date.files_before;
        self.files_after += date.files_after;
        self.bytes_before += date.bytes_before;
        self.bytes_after += date.bytes_after;
        for (change, rows) in date.changes {
            *self.changes.entry(change).or_default() += rows;
        }
    }

    /// Rows by access path as it is now, and what became of each level, in the order
    /// of `settle::accesses::LEVELS`.
    pub fn by_path(&self) -> BTreeMap<AccessPath, (u64, [LevelChange; 5])> {
        let mut paths: BTreeMap<AccessPath, (u64, [LevelChange; 5])> = BTreeMap::new();
        for ((before, after), rows) in &self.changes {
            let (total, levels) = paths.entry(after.access_path).or_default();
            *total += rows;
            let confidence = before.confidence.iter().zip(&after.confidence);
            for (level, (before, after)) in levels.iter_mut().zip(confidence) {
                count(&mut level.before, *before, *rows);
                count(&mut level.after, *after, *rows);
            }
        }
        paths
    }

    /// Rows whose verdict is another now: before, after, rows.
    pub fn verdicts_changed(&self) -> BTreeMap<(Verdict, Verdict), u64> {
        self.changed(|labels| labels.verdict)
    }

    /// Rows whose access path is another now: before, after, rows.
    pub fn paths_changed(&self) -> BTreeMap<(AccessPath, AccessPath), u64> {
        self.changed(|labels| labels.access_path)
    }

    fn changed<L: Ord>(&self, label: impl Fn(&Labels) -> L) -> BTreeMap<(L, L), u64> {
        let mut changed = BTreeMap::new();
        for ((before, after), rows) in &self.changes {
            let change = (label(before), label(after));
            if change.0 != change.1 {
                *changed.entry(change).or_default() += rows;
            }
        }
        changed
    }

    /// Rows of which any level or the path is another now.
    pub fn attributions_changed(&self) -> u64 {
        let changed = self.changes.iter().filter(|((before, after), _)| {
            before.access_path != after.access_path || before.confidence != after.confidence
        });
        changed.map(|(_, rows)| rows).sum()
    }

    /// The figures that the log keeps beside the commit of a date.
    pub fn summary(&self) -> serde_json::Value {
        serde_json::json!({
            "rows": self.rows,
            "settled": self.settled,
            "settled_again": self.settled_again,
            "provisional": self.provisional,
            "copies_dropped": self.dropped.copies,
            "twins_dropped": self.dropped.twins,
            "corrected": self.dropped.corrected,
            "amended": self.amended,
            "files_before": self.files_before,
            "files_after": self.files_after,
        })
    }
}

fn count(counts: &mut [u64; 4], confidence: Confidence, rows: u64) {
    let place = Confidence::ALL.iter().position(|of| *of == confidence);
    if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
        *count += rows;
    }
}
