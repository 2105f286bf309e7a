//! Decides and encodes the rows of a date.
//!
//! Makes accesses of the rows of its files, one after the other, until it holds as
//! many as memory allows; decides them, sorts them by time and encodes a file for
//! each verdict; then it goes on. The files come by verdict and time, so that what
//! comes out is large, and sorted. One core does all of it, for memory holds one
//! large file in the making, not several; it decides more rows in a second than a
//! scan on two cores writes.
//!
//! INVARIANT (bounded): at most [`HELD_BYTES_MAX`] of rows are held, however large a
//! file is: what is full is encoded before more is read.

use super::batch::decided;
use super::decide::Decider;
use super::settle_report::SettleReport;
use crate::identity::IdentityIndex;
use crate::lake::chunks::{Parts, Press, SharedRows};
use crate::lake::columns::schema;
use crate::lake::data_file::{EncodedFile, FileWriter, Partition, Times};
use crate::lake::error::LakeError;
use crate::lake::s3_access::{DecidedAccess, UNREPEATED, columns};
use crate::lake::settle::accesses::{self, Labels, RowLog};
use crate::lake::settle::copies::FileSurvey;
use crate::lake::settle::files::{DateFile, Holder, Tables};
use crate::lake::settle::keep::Keeper;
use crate::lake::settle::reader;
use crate::model::{UtcMicros, Verdict};
use crate::policy::Policy;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Rows of one file that `settle` writes, at most.
pub const FILE_ROWS_MAX: usize = 384 * 1024;

/// Bytes of rows held, at most.
///
/// With as much again while they are encoded, a settle stays below 600 MB beside the
/// identity facts of a date.
pub const HELD_BYTES_MAX: usize = 96 * 1024 * 1024;

/// Small settled files are merged until they have so many bytes.
const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Rows of a file are sorted by time in steps of so many microseconds, and within a
/// step by who did what: rows alike lie together, and take less room.
const TIME_STEP_MICROS: i64 = 5 * 60 * 1_000_000;

/// What the lane works with, kept from date to date: fresh memory costs time, and
/// memory that was given back is not at once the system's.
pub struct Tools {
    decider: Decider,
    rows: RowLog,
    press: Press,
}

impl Tools {
    /// # Errors
    /// When there is no encoder to be had.
    pub fn new(policy: Arc<Policy>) -> Result<Tools, LakeError> {
        Ok(Tools {
            decider: Decider::new(policy),
            rows: RowLog::with_room(FILE_ROWS_MAX, HELD_BYTES_MAX),
            press: Press::new().map_err(encode_error)?,
        })
    }
}

/// What is done with a file of the date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Its rows are decided again: all of them, or those not settled yet.
    Decide { settled_too: bool },
    /// What is settled in it stays as it is, without the rows that go.
    Keep,
}

/// The work on one date.
pub struct DateWork {
    pub tables: Tables,
    pub date: i32,
    /// Each file with what stands in it and what is to be done.
    pub files: Vec<(DateFile, FileSurvey, Task)>,
    pub index: Arc<IdentityIndex>,
    /// Rows of this time and earlier become settled.
    pub horizon: UtcMicros,
    pub now: UtcMicros,
}

impl DateWork {
    /// Works through the files; gives each new one to `write`, which says whether to
    /// go on.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn run(
        &self,
        tools: &mut Tools,
        mut write: impl FnMut(EncodedFile) -> bool,
        progress: impl Fn(u64),
    ) -> Result<SettleReport, LakeError> {
        tools.rows.clear();
        let mut lane = Lane {
            work: self,
            tools,
            amended: 0,
            report: SettleReport::default(),
            kept: None,
        };
        for (file, survey, task) in &self.files {
            let go_on = match task {
                Task::Decide { settled_too } => {
                    lane.finish_kept(&mut write)?
                        && lane.read(file, survey, *settled_too, &mut write)?
                }
                Task::Keep => lane.keep(file, survey, &mut write)?,
            };
            if !go_on {
                return Ok(lane.report);
            }
            progress(survey.rows);
        }
        if lane.finish_kept(&mut write)? {
            lane.flush(&mut write)?;
        }
        Ok(lane.report)
    }
}

fn encode_error(error: impl std::fmt::Display) -> LakeError {
    LakeError::encode("s3_access", error)
}

struct Lane<'w> {
    work: &'w DateWork,
    tools: &'w mut Tools,
    /// Rows held that come from `s3_amendments`.
    amended: u64,
    report: SettleReport,
    /// A file of settled rows in the making, and their verdict.
    kept: Option<(Verdict, Keeper)>,
}

/// A row to be written: its place among those held, and its decision.
#[derive(Clone, Copy)]
struct Row {
    at: UtcMicros,
    place: u32,
    decision: u32,
}

impl Lane<'_> {
    fn unreadable(&self, file: &DateFile, cause: impl std::fmt::Display) -> LakeError {
        self.work.tables.unreadable(file, cause)
    }

    /// Adds the settled rows of a file that stay to those before of the same verdict.
    fn keep(
        &mut self,
        file: &DateFile,
        survey: &FileSurvey,
        write: &mut impl FnMut(EncodedFile) -> bool,
    ) -> Result<bool, LakeError> {
        let is_over = |(verdict, keeper): &(Verdict, Keeper)| {
            *verdict != file.verdict || keeper.bytes() >= KEPT_BYTES_MAX
        };
        if self.kept.as_ref().is_some_and(is_over) && !self.finish_kept(write)? {
            return Ok(false);
        }
        let (_, keeper) = match &mut self.kept {
            Some(kept) => kept,
            none => {
                let keeper = Keeper::new(&file_writer()).map_err(encode_error)?;
                none.insert((file.verdict, keeper))
            }
        };
        let stays = |row: usize| survey.settled.has(row) && !survey.dropped.has(row);
        keeper
            .add(file.open(&self.work.tables)?, stays)
            .map_err(|error| self.work.tables.unreadable(file, error))?;
        Ok(true)
    }

    fn finish_kept(
        &mut self,
        write: &mut impl FnMut(EncodedFile) -> bool,
    ) -> Result<bool, LakeError> {
        let Some((verdict, keeper)) = self.kept.take() else {
            return Ok(true);
        };
        let partition = Partition::of(self.work.date, verdict).settled();
        let file = keeper.finish(partition).map_err(encode_error)?;
        Ok(file.is_none_or(write))
    }

    /// Takes the rows of a file; what is full is written on the way.
    fn read(
        &mut self,
        file: &DateFile,
        survey: &FileSurvey,
        settled_too: bool,
        write: &mut impl FnMut(EncodedFile) -> bool,
    ) -> Result<bool, LakeError> {
        let opened = file.open(&self.work.tables)?;
        let reader = reader::open(opened, &accesses::COLUMNS);
        let reader = reader.map_err(|error| self.unreadable(file, error))?;
        let mut first_row = 0;
        for batch in reader {
            let batch = batch.map_err(|error| self.unreadable(file, error))?;
            let held = self.tools.rows.len();
            self.tools.rows.add(&batch, file.verdict, |row| {
                let row = first_row + row;
                survey.is_taken(row) && (settled_too || !survey.settled.has(row))
            });
            first_row += batch.num_rows();
            if file.holder == Holder::Amendments {
                self.amended += (self.tools.rows.len() - held) as u64;
            }
            let is_full =
                self.tools.rows.len() >= FILE_ROWS_MAX || self.tools.rows.bytes() >= HELD_BYTES_MAX;
            if is_full && !self.flush(write)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Decides and writes the rows held.
    fn flush(&mut self, write: &mut impl FnMut(EncodedFile) -> bool) -> Result<bool, LakeError> {
        if self.tools.rows.is_empty() {
            return Ok(true);
        }
        let log = &self.tools.rows.accesses;
        let mut decisions = Vec::with_capacity(log.len());
        let mut deciding = self
            .tools
            .decider
            .batch(&self.work.index, self.work.horizon);
        deciding.decide(log, |place, decision| {
            if let Some(at) = log.event_time(place) {
                decisions.push(Row {
                    at,
                    place: u32::try_from(place).unwrap_or(u32::MAX),
                    decision,
                });
            }
        });
        let mut partitions: BTreeMap<(Verdict, bool), Vec<Row>> = BTreeMap::new();
        for row in decisions {
            let Some(decision) = self.tools.decider.decision(row.decision) else {
                continue;
            };
            let settled = row.at <= self.work.horizon;
            let partition = (decision.judgement.verdict, settled);
            partitions.entry(partition).or_default().push(row);
        }
        self.count(&partitions);
        for ((verdict, settled), mut rows) in partitions {
            let step = |at: UtcMicros| at.0.div_euclid(TIME_STEP_MICROS);
            rows.sort_unstable_by_key(|row| (step(row.at), row.decision, row.place));
            let file = self.encode(verdict, settled, &rows)?;
            if !write(file) {
                return Ok(false);
            }
        }
        self.tools.rows.clear();
        self.amended = 0;
        Ok(true)
    }

    fn count(&mut self, partitions: &BTreeMap<(Verdict, bool), Vec<Row>>) {
        let mut counts: HashMap<(u32, u32), u64, foldhash::fast::FixedState> = HashMap::default();
        let mut report = SettleReport {
            amended: self.amended,
            ..SettleReport::default()
        };
        for ((_, settled), rows) in partitions {
            if !settled {
                report.provisional += rows.len() as u64;
                continue;
            }
            report.settled += rows.len() as u64;
            for row in rows {
                let before = self.tools.rows.before(row.place as usize);
                *counts.entry((before, row.decision)).or_default() += 1;
            }
        }
        for ((before, decision), rows) in counts {
            let before = self.tools.rows.labels(before).copied();
            let after = self
                .tools
                .decider
                .decision(decision)
                .map(|decision| Labels::of(&decision.attribution, decision.judgement.verdict));
            if let Some(change) = before.zip(after) {
                *report.changes.entry(change).or_default() += rows;
            }
        }
        self.report.add(report);
    }

    fn encode(
        &mut self,
        verdict: Verdict,
        settled: bool,
        rows: &[Row],
    ) -> Result<EncodedFile, LakeError> {
        let held = HeldRows {
            held: &self.tools.rows,
            decider: &self.tools.decider,
            rows,
            settled,
            now: self.work.now,
        };
        let columns = columns();
        let bytes =
            crate::lake::chunks::encode(&file_writer(), &columns, &held, &mut self.tools.press)
                .map_err(encode_error)?;
        let partition = Partition::of(self.work.date, verdict);
        Ok(EncodedFile {
            bytes,
            rows: rows.len() as u64,
            partition: match settled {
                true => partition.settled(),
                false => partition,
            },
            times: held.times(),
        })
    }
}

pub fn file_writer() -> FileWriter {
    FileWriter::new(schema(&columns()), &UNREPEATED, &["event_time"])
}

/// First and last of some times.
fn span(mut times: impl Iterator<Item = UtcMicros>) -> Option<(UtcMicros, UtcMicros)> {
    let first = times.next()?;
    Some(times.fold((first, first), |(first, last), at| {
        (first.min(at), last.max(at))
    }))
}

/// The rows of one file, as the lake encodes them.
struct HeldRows<'l> {
    held: &'l RowLog,
    decider: &'l Decider,
    rows: &'l [Row],
    settled: bool,
    now: UtcMicros,
}

impl<'l> HeldRows<'l> {
    fn times(&self) -> Option<Times> {
        let sources = self
            .rows
            .iter()
            .filter_map(|row| self.held.source(row.place as usize));
        Some(Times {
            events: span(self.rows.iter().map(|row| row.at))?,
            ingested: span(sources.map(|source| source.ingested_at))?,
        })
    }
}

impl<'l> SharedRows<DecidedAccess<'l>> for HeldRows<'l> {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, place: usize) -> Option<DecidedAccess<'l>> {
        let row = self.rows.get(place)?;
        let place = row.place as usize;
        let source = self.held.source(place)?;
        let decision = (self.decider, row.decision);
        let decided = decided(&self.held.accesses, place, decision, (source, self.now))?;
        Some(DecidedAccess {
            settled: self.settled,
            ..decided
        })
    }

    fn decision(&self, place: usize) -> u32 {
        self.rows.get(place).map_or(u32::MAX, |row| row.decision)
    }

    fn source(&self, place: usize) -> u32 {
        let row = self.rows.get(place);
        row.map_or(u32::MAX, |row| self.held.source_number(row.place as usize))
    }

    fn parts(&self, decision: u32) -> Parts {
        let decision = self.decider.decision(decision);
        decision.map(|decision| decision.parts).unwrap_or_default()
    }
}
