//! What an import read and what it could not read, source by source.
//!
//! INVARIANT (bad is a fact): a line, row, value or file that cannot be read is
//! counted and named with its place; the rest of its source is used.

use crate::model::UtcMicros;
use crate::model::databricks::SourceWatermark;
use std::fmt;

/// Faults named one by one for each source; beyond them only the counts go on.
pub const FAULTS_LISTED_MAX: usize = 100;

/// Something that could not be read, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    pub place: Place,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole, or its rest.
    File,
    /// From 1.
    Line(u64),
    /// From 1.
    Row(u64),
    /// Of a REST answer's list, from 1.
    Entry(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { file, reason, .. } = self;
        match self.place {
            Place::File => write!(f, "{file}: {reason}"),
            Place::Line(n) => write!(f, "{file}:{n}: {reason}"),
            Place::Row(n) => write!(f, "{file} row {n}: {reason}"),
            Place::Entry(n) => write!(f, "{file} entry {n}: {reason}"),
        }
    }
}

/// What one export held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceReport {
    /// The export's name: its folder or file below the place.
    pub source: String,
    /// Files of it that were read, whole or in part.
    pub files: u64,
    /// Rows, lines or entries read, those passed over because nothing needs them
    /// among them; without the bad ones.
    pub rows: u64,
    /// Rows that could not be used.
    pub bad_rows: u64,
    /// Values of used rows that could not be read and count as unknown.
    pub bad_values: u64,
    /// Files that could not be read to their end.
    pub bad_files: u64,
    /// Newest event time seen that is not in the future.
    pub newest: Option<UtcMicros>,
    /// When the snapshot was taken, for what is read as a whole.
    pub snapshot_at: Option<UtcMicros>,
    /// The first faults.
    pub faults: Vec<Fault>,
    /// What is read but known to be incomplete, with the remedy.
    pub warnings: Vec<String>,
}

impl SourceReport {
    pub fn bad(&self) -> u64 {
        self.bad_rows + self.bad_values + self.bad_files
    }

    /// Whether there are files and not one of them could be read.
    pub fn is_unreadable(&self) -> bool {
        self.bad_files > 0 && self.files == 0 && self.rows == 0
    }

    /// Up to when the source is known; `None` where nothing of it could be read. A
    /// stream of which a file is missing has passed nothing: any row may be in there.
    pub fn watermark(&self, now: UtcMicros) -> Option<SourceWatermark> {
        let holds = self.newest.is_some() || self.snapshot_at.is_some();
        (self.files > 0 && holds).then(|| SourceWatermark {
            source: self.source.clone(),
            newest: self.newest.filter(|_| self.bad_files == 0),
            read_at: self.snapshot_at.unwrap_or(now),
            rows: self.rows,
            bad: self.bad(),
        })
    }

    pub(super) fn bad_file(&mut self, file: &str, reason: String) {
        self.bad_files += 1;
        self.list(file, Place::File, reason);
    }

    pub(super) fn bad_row(&mut self, file: &str, place: Place, reason: String) {
        self.bad_rows += 1;
        self.list(file, place, reason);
    }

    pub(super) fn bad_value(&mut self, file: &str, place: Place, reason: String) {
        self.bad_values += 1;
        self.list(file, place, format!("{reason}; read as unknown"));
    }

    fn list(&mut self, file: &str, place: Place, reason: String) {
        if self.faults.len() < FAULTS_LISTED_MAX {
            let file = file.to_owned();
            self.faults.push(Fault {
                file,
                place,
                reason,
            });
        }
    }
}

/// What one import read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Exports that are there, in the order of the table of exports.
    pub sources: Vec<SourceReport>,
    /// Exports that are not there.
    pub missing: Vec<&'static str>,
    /// Names at the place that are no export bricktrail reads.
    pub ignored: Vec<String>,
}
