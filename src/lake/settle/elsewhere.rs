//! Rows of other files that may be of the events of a date: its guests.
//!
//! A table is cut by the date of an event, and the records of one event need not
//! agree on it: around midnight, or because a correction moves it. Nor need all files
//! of a date be due at once. Guests are rows of other dates, and of files of the date
//! itself that are not due:
//!
//! 1. every correction that is a row, on whatever date: they are few, and once a run
//!    has seen that a file holds none it is not opened again;
//! 2. of the neighbouring dates, rows within [`BORDER_SECS`] of midnight, for copies
//!    and twins;
//! 3. what the date's own records ask for: what amends an event that has no row here,
//!    and a correction not settled yet whose original is not here. For what amends,
//!    the whole lake is searched, for a scan saw such a row; for a correction the
//!    dates nearest by, through about [`SEARCH_ROWS_MAX`] rows, for most originals
//!    were never written at all.
//!
//! How the dates then come to agree is told in `pipeline::settle_date`.
//!
//! Deliberately absent: copies and twins of one event that lie on two dates, and
//! further from midnight, unless a correction or amendment leads to them.

use super::bits::Bits;
use super::copies::{COLUMNS, RowIds, Survey, survey};
use super::files::{DateFile, Holder, Tables};
use super::reader::{Texts, open};
use crate::lake::error::LakeError;
use crate::model::UtcMicros;
use crate::trail::event_id::CopyKey;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// Rows this near to midnight are compared with those of the neighbouring date.
pub const BORDER_SECS: i64 = 3600;

/// Rows of other dates in which the originals of corrections are looked for, about.
///
/// Some seconds; a correction's original mostly is on the same date, or nowhere.
const SEARCH_ROWS_MAX: u64 = 10_000_000;

/// A file that is not settled with the date, and which of its rows are guests.
#[derive(Clone)]
pub struct Guest {
    pub date: i32,
    pub file: DateFile,
    corrections: bool,
    border: std::ops::Range<UtcMicros>,
    found: Bits,
}

impl Guest {
    /// Whether the row of the file, which is at `at` and `row` of a batch, is a guest.
    pub fn takes(&self, place: usize, at: UtcMicros, ids: &RowIds<'_>, row: usize) -> bool {
        self.border.contains(&at)
            || self.found.has(place)
            || self.corrections && ids.is_correction(row)
    }
}

/// Which files hold corrections, as far as a run has seen.
#[derive(Default)]
pub struct CorrectionFiles(Mutex<HashMap<String, bool>>);

impl CorrectionFiles {
    fn hold(&self, file: &DateFile, tables: &Tables) -> Result<bool, LakeError> {
        let path = &file.file.path;
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(path) {
            return Ok(*known);
        }
        drop(known);
        let holds = holds_corrections(file, tables)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(path.clone(), holds);
        Ok(holds)
    }
}

fn holds_corrections(file: &DateFile, tables: &Tables) -> Result<bool, LakeError> {
    let fail = |error: String| tables.unreadable(file, error);
    let reader = open(file.open(tables)?, &["original_event_id"]);
    for batch in reader.map_err(|error| fail(error.to_string()))? {
        let batch = batch.map_err(|error| fail(error.to_string()))?;
        let originals = Texts::of(&batch, "original_event_id");
        if (0..batch.num_rows()).any(|row| originals.at(row).is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A date that is surveyed, and the lake around it.
pub struct Elsewhere<'l> {
    pub tables: &'l Tables,
    /// The files of all dates.
    pub dates: &'l BTreeMap<i32, Vec<DateFile>>,
    pub date: i32,
    pub corrections: &'l CorrectionFiles,
}

impl Elsewhere<'_> {
    /// Surveys the files of the date together with its guests.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn survey(
        &self,
        files: &[DateFile],
        again: bool,
        progress: impl FnMut(u64),
    ) -> Result<(Survey, Vec<Guest>), LakeError> {
        let others = self.others(files);
        let mut guests = self.guests(&others)?;
        let mut found = survey(self.tables, files, &guests, again, progress)?;
        if found.has_lone() {
            let sought = Sought::of(self.tables, files, &found)?;
            if self.search(sought, &others, &mut guests)? {
                found = survey(self.tables, files, &guests, again, |_| ())?;
            }
            for file in &mut found.files {
                file.adopt();
            }
        }
        Ok((found, guests))
    }

    /// The files of `s3_access` that are not among these of the date, those near by
    /// first.
    fn others(&self, files: &[DateFile]) -> Vec<(i32, &DateFile)> {
        let due: HashSet<&str> = files.iter().map(|file| &*file.file.path).collect();
        let dates = self.dates.iter();
        let mut others: Vec<(i32, &DateFile)> = dates
            .flat_map(|(date, files)| files.iter().map(|file| (*date, file)))
            .filter(|(_, file)| file.holder == Holder::Access)
            .filter(|(_, file)| !due.contains(&*file.file.path))
            .collect();
        others.sort_by_key(|(date, _)| date.abs_diff(self.date));
        others
    }

    fn guests(&self, others: &[(i32, &DateFile)]) -> Result<Vec<Guest>, LakeError> {
        let border = UtcMicros::of_date(self.date).plus_seconds(-BORDER_SECS)
            ..UtcMicros::of_date(self.date.saturating_add(1)).plus_seconds(BORDER_SECS);
        let mut guests = Vec::new();
        for &(date, file) in others {
            let corrections = self.corrections.hold(file, self.tables)?;
            let stats = file.file.stats;
            let ends_before = stats.last_event.is_some_and(|last| last < border.start);
            let begins_after = stats.first_event.is_some_and(|first| first >= border.end);
            let is_neighbour = date != self.date && !ends_before && !begins_after;
            if corrections || is_neighbour {
                guests.push(Guest {
                    date,
                    file: file.clone(),
                    corrections,
                    border: match is_neighbour {
                        true => border.clone(),
                        false => UtcMicros::MAX..UtcMicros::MAX,
                    },
                    found: Bits::default(),
                });
            }
        }
        Ok(guests)
    }

    /// Looks for what is sought, the nearest dates first; says whether any of it was
    /// found.
    fn search(
        &self,
        mut sought: Sought,
        others: &[(i32, &DateFile)],
        guests: &mut Vec<Guest>,
    ) -> Result<bool, LakeError> {
        let (mut any, mut rows_read) = (false, 0);
        for &(date, file) in others {
            let rows_left = rows_read < SEARCH_ROWS_MAX && !sought.by_rows.is_empty();
            if sought.by_amendments.is_empty() && !rows_left {
                break;
            }
            let (found, rows) = self.search_file(file, &mut sought)?;
            rows_read += rows;
            if found.count() == 0 {
                continue;
            }
            any = true;
            let known = guests
                .iter_mut()
                .find(|guest| guest.file.file.path == file.file.path);
            match known {
                Some(guest) => guest.found = found,
                None => guests.push(Guest {
                    date,
                    file: file.clone(),
                    corrections: false,
                    border: UtcMicros::MAX..UtcMicros::MAX,
                    found,
                }),
            }
        }
        Ok(any)
    }

    fn search_file(&self, file: &DateFile, sought: &mut Sought) -> Result<(Bits, u64), LakeError> {
        let fail = |error: String| self.tables.unreadable(file, error);
        let reader = open(file.open(self.tables)?, &COLUMNS);
        let (mut found, mut first_row) = (Bits::default(), 0);
        for batch in reader.map_err(|error| fail(error.to_string()))? {
            let batch = batch.map_err(|error| fail(error.to_string()))?;
            let ids = RowIds::of(&batch);
            for row in 0..batch.num_rows() {
                let keys = ids.at(row).keys();
                let keys = [keys.plain, keys.shared];
                // No short cut: what is found is no longer sought.
                let of_row = keys.into_iter().flatten().filter(|key| sought.take(key));
                if of_row.count() > 0 {
                    found.insert(first_row + row);
                }
            }
            first_row += batch.num_rows();
        }
        Ok((found, first_row as u64))
    }
}

/// Keys of records that must stand somewhere, or stood.
#[derive(Default)]
struct Sought {
    by_amendments: HashSet<CopyKey>,
    by_rows: HashSet<CopyKey>,
    found: HashSet<CopyKey>,
}

impl Sought {
    /// What those rows of the date seek that have not seen another record of their
    /// event.
    fn of(tables: &Tables, files: &[DateFile], survey: &Survey) -> Result<Sought, LakeError> {
        let mut sought = Sought::default();
        for (file, of_file) in files.iter().zip(&survey.files) {
            if of_file.lone() == 0 {
                continue;
            }
            let fail = |error: String| tables.unreadable(file, error);
            let reader = open(file.open(tables)?, &COLUMNS);
            let mut first_row = 0;
            for batch in reader.map_err(|error| fail(error.to_string()))? {
                let batch = batch.map_err(|error| fail(error.to_string()))?;
                let ids = RowIds::of(&batch);
                for row in (0..batch.num_rows()).filter(|row| of_file.is_lone(first_row + row)) {
                    let keys = ids.at(row).keys();
                    // A twin need not stand anywhere if the original does.
                    let (must, may) = match keys.corrects {
                        Some(original) => (Some(original), keys.shared),
                        None => (keys.shared, None),
                    };
                    match of_file.amends {
                        true => sought.by_amendments.extend(must),
                        false => sought.by_rows.extend(must),
                    }
                    sought.by_rows.extend(may);
                }
                first_row += batch.num_rows();
            }
        }
        Ok(sought)
    }

    /// Whether it is sought; the nearest dates suffice for it from then on, but
    /// every record of it there is taken.
    fn take(&mut self, key: &CopyKey) -> bool {
        if self.by_amendments.remove(key) || self.by_rows.remove(key) {
            self.found.insert(*key);
        }
        self.found.contains(key)
    }
}
