//! Settles one date: surveys its rows, decides them, and commits what it gains and
//! loses, together with what other files lose to it.
//!
//! # Records of one event in several files
//!
//! Of a date's rows and its guests (`lake::settle::elsewhere`), the record that stands
//! for an event is the same one from whichever date one looks. It stands on its own
//! date; the others go:
//!
//! 1. A row of the date being settled goes with the date's commit, if what stands for
//!    it elsewhere is a row already.
//! 2. A settled row elsewhere goes when the date of what stands for it is settled, and
//!    a provisional one then, too, if only an amendment stands for it, that becomes a
//!    row with this commit (`yielded`). Other provisional rows elsewhere go when their
//!    own date is settled (1).
//!
//! INVARIANT (one commit): all of it is one commit, whatever dates its files are of.
//! However a settle is killed, no event is lost, and none has more rows than before.
//!
//! INVARIANT (never lost): a commit that takes a row out relies on the file of what
//! stands for it: it is made only while that belongs to the table.

use super::lane::{DateWork, Task};
use super::settle::Settler;
use super::settle_report::SettleReport;
use super::yielded::{Yielded, relied_on, yielded};
use crate::lake::data_file::EncodedFile;
use crate::lake::settle::copies::{FileSurvey, Survey};
use crate::lake::settle::elsewhere::{Elsewhere, Guest};
use crate::lake::settle::files::{DateFile, Holder, Tables};
use crate::lake::store::{Rewrite, RewriteOutcome};
use crate::lake::{Lake, LakeError};
use crate::model::Verdict;
use deltalake::kernel::{Add, Remove};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError};
use tokio::sync::mpsc;

/// Times that a date is begun anew because another settle came first: each time the
/// other one got on, and mostly it left nothing to do.
const REDO_MAX: u32 = 10;

/// A settled file of fewer bytes is small.
///
/// A file in the making is a few times as large in memory, and merging it again and
/// again must not cost more than settling.
const SMALL_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// So many small settled files of one date and verdict are merged.
const SMALL_FILES_MAX: usize = 4;

/// What became of a visit to a date.
enum Visit {
    Done(SettleReport),
    /// It no longer stood as it was read; nothing changed.
    Outdated,
}

/// A date as it was read.
struct Seen {
    files: Vec<DateFile>,
    survey: Survey,
    guests: Vec<Guest>,
}

impl Settler {
    /// Settles a date, anew after each lost race.
    pub(super) async fn settle_date(
        &mut self,
        lake: &mut Lake,
        date: i32,
        mut files: Vec<DateFile>,
        redone: &mut u64,
    ) -> Result<SettleReport, LakeError> {
        let mut redone_here = 0;
        let path = |file: &DateFile| file.file.path.clone();
        let mut listed: HashSet<String> = files.iter().map(path).collect();
        while !files.is_empty() {
            if let Visit::Done(report) = self.visit(lake, date, files).await? {
                *redone += u64::from(redone_here);
                return Ok(report);
            }
            if redone_here == REDO_MAX {
                let table = lake.s3_access();
                return Err(LakeError::contended(table.name, table.url(), REDO_MAX));
            }
            redone_here += 1;
            tracing::info!(date, "another settle came first; beginning the date anew");
            lake.refresh().await?;
            files = self.due(Tables::of(lake).dates().remove(&date).unwrap_or_default());
            // What a scan committed meanwhile may come with facts of its own.
            let new = files.iter().filter(|file| !file.is_named_settled());
            let new: Vec<String> = new
                .map(path)
                .filter(|path| !listed.contains(path))
                .collect();
            if !new.is_empty() {
                listed.extend(new);
                self.forget();
                self.know(lake, date..=date).await?;
            }
        }
        *redone += u64::from(redone_here);
        Ok(SettleReport::default())
    }

    /// Settles a date as it stood.
    async fn visit(
        &self,
        lake: &mut Lake,
        date: i32,
        files: Vec<DateFile>,
    ) -> Result<Visit, LakeError> {
        let tables = Tables::of(lake);
        let dates = tables.dates();
        let held = dates.values().flatten();
        let held = held.filter(|file| file.holder == Holder::Access);
        // Whether any of it is gone tells an error from a lost race.
        let read: Vec<Remove> = held.map(|file| file.file.remove.clone()).collect();
        let seen = {
            let (tables, progress) = (tables.clone(), self.progress.clone());
            let (corrections, again) = (self.corrections.clone(), self.job.again);
            blocking(move || {
                let elsewhere = Elsewhere {
                    tables: &tables,
                    dates: &dates,
                    date,
                    corrections: &corrections,
                };
                let (survey, guests) =
                    elsewhere.survey(&files, again, |rows| progress.rows(rows))?;
                Ok(Seen {
                    files,
                    survey,
                    guests,
                })
            })
            .await
        };
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => return if_outdated(lake, &read, error).await,
        };
        let yielded = yielded(&seen.survey);
        let mut relies_on = relied_on(&seen.survey, &seen.files, &seen.guests);
        relies_on.extend(yielded.relies_on(&seen.files, &seen.guests));
        let mut dropped = seen.survey.dropped;
        dropped.add(yielded.dropped);
        let small = small_files(&seen.files);
        let mut todo: Vec<(DateFile, FileSurvey, Task)> = seen
            .files
            .into_iter()
            .zip(seen.survey.files)
            .flat_map(|(file, survey)| {
                let tasks = self.tasks(&file, &survey, small.contains(&file.file.path));
                tasks
                    .into_iter()
                    .map(move |task| (file.clone(), survey.clone(), task))
            })
            .collect();
        // What is only kept comes first and together, to become one file.
        todo.sort_by_key(|(file, _, task)| match task {
            Task::Keep => (0, Some(file.verdict)),
            Task::Decide { .. } => (1, None),
        });
        if todo.is_empty() && yielded.is_empty() {
            return Ok(Visit::Done(SettleReport::default()));
        }
        let index = self.index.clone();
        let now = (self.job.now)();
        let work = Arc::new(DateWork {
            tables: tables.clone(),
            date,
            files: todo,
            index,
            horizon: self.horizon.at,
            now,
        });
        let mut adds = Vec::new();
        let lost: Vec<Guest> = yielded.files(&seen.guests).cloned().collect();
        let written = match self.decide(lake, &work, &mut adds).await {
            Ok(report) => self
                .take_out(lake, (tables, yielded, seen.guests), &mut adds)
                .await
                .map(|()| report),
            Err(error) => Err(error),
        };
        let mut report = match written {
            Ok(report) => report,
            Err(error) => {
                lake.s3_access().discard(&adds).await;
                return if_outdated(lake, &read, error).await;
            }
        };
        self.total(&work, &adds, &mut report);
        report.dropped = dropped;
        let mut rewrite = Rewrite {
            relies_on,
            ..rewrite(&work, adds.clone())
        };
        for Guest { file, .. } in lost {
            report.files_before += 1;
            report.bytes_before += file.file.bytes;
            rewrite.removes.push(file.file.remove);
        }
        rewrite.summary = report.summary();
        match lake.rewrite(rewrite).await? {
            RewriteOutcome::Rewritten { .. } => Ok(Visit::Done(report)),
            RewriteOutcome::Outdated => {
                lake.s3_access().discard(&adds).await;
                Ok(Visit::Outdated)
            }
        }
    }

    /// Writes anew the files of guests that lose rows; `adds` names what is written,
    /// also when it fails.
    async fn take_out(
        &self,
        lake: &Lake,
        (tables, yielded, guests): (Tables, Yielded, Vec<Guest>),
        adds: &mut Vec<Add>,
    ) -> Result<(), LakeError> {
        let shared = Arc::new((tables, yielded, guests));
        for number in shared.1.numbers() {
            let shared = shared.clone();
            let kept = blocking(move || {
                let (tables, yielded, guests) = &*shared;
                yielded.keep(number, guests, tables)
            });
            if let Some(kept) = kept.await? {
                let now = (self.job.now)();
                adds.push(lake.s3_access().write(kept, now).await?);
            }
        }
        Ok(())
    }

    /// What is to be done with a file.
    fn tasks(&self, file: &DateFile, survey: &FileSurvey, is_merged: bool) -> Vec<Task> {
        if file.holder == Holder::Amendments {
            // A file of which nothing is taken goes if nothing of it must wait.
            return match survey.amendments_taken() > 0 || !survey.must_wait() {
                true => vec![Task::Decide { settled_too: true }],
                false => Vec::new(),
            };
        }
        if self.job.again {
            return vec![Task::Decide { settled_too: true }];
        }
        let mut tasks = Vec::new();
        let has_settled = survey.settled.count() > 0;
        if !survey.is_settled() {
            tasks.push(Task::Decide { settled_too: false });
        }
        // A settled file stays as it is, unless rows of it go, it holds others, or it
        // is one of many small ones.
        if has_settled && (!survey.is_settled() || survey.dropped.count() > 0 || is_merged) {
            tasks.push(Task::Keep);
        }
        tasks
    }

    /// Decides the rows and writes the files made of them; `adds` names what is
    /// written, also when it fails.
    async fn decide(
        &self,
        lake: &Lake,
        work: &Arc<DateWork>,
        adds: &mut Vec<Add>,
    ) -> Result<SettleReport, LakeError> {
        let (made, mut files) = mpsc::channel::<EncodedFile>(1);
        let deciding = {
            let (work, progress, tools) = (work.clone(), self.progress.clone(), self.tools.clone());
            blocking(move || {
                let mut tools = tools.lock().unwrap_or_else(PoisonError::into_inner);
                work.run(
                    &mut tools,
                    |file| made.blocking_send(file).is_ok(),
                    |rows| progress.rows(rows),
                )
            })
        };
        let writing = async {
            while let Some(file) = files.recv().await {
                adds.push(lake.s3_access().write(file, work.now).await?);
            }
            // Nobody takes what is still made once this has failed.
            drop(files);
            Ok(())
        };
        let (written, decided) = tokio::join!(writing, deciding);
        written.and(decided)
    }

    fn total(&self, work: &DateWork, adds: &[Add], report: &mut SettleReport) {
        report.dates = 1;
        report.files_after = adds.len() as u64;
        let sizes = adds.iter().map(|add| u64::try_from(add.size).unwrap_or(0));
        report.bytes_after = sizes.sum();
        let mut seen: HashSet<&str> = HashSet::new();
        for (file, survey, task) in &work.files {
            if *task == (Task::Decide { settled_too: true }) && file.holder == Holder::Access {
                report.settled_again += survey.settled_kept();
            }
            // A file with two tasks is one file.
            if seen.insert(&file.file.path) {
                report.files_before += 1;
                report.bytes_before += file.file.bytes;
                report.rows += survey.rows;
            }
        }
        report.settled = report.settled.saturating_sub(report.settled_again);
    }
}

/// The paths of settled files that are to become fewer: of a verdict that has many
/// small ones.
pub(super) fn small_files(files: &[DateFile]) -> HashSet<String> {
    let mut by_verdict: BTreeMap<Verdict, Vec<&str>> = BTreeMap::new();
    for file in files {
        if file.is_named_settled() && file.file.bytes < SMALL_BYTES_MAX {
            by_verdict
                .entry(file.verdict)
                .or_default()
                .push(&file.file.path);
        }
    }
    let many = by_verdict
        .into_values()
        .filter(|paths| paths.len() >= SMALL_FILES_MAX);
    many.flatten().map(str::to_owned).collect()
}

/// What the date loses for what it gains.
fn rewrite(work: &DateWork, adds: Vec<Add>) -> Rewrite {
    let mut rewrite = Rewrite {
        adds,
        ..Rewrite::default()
    };
    let mut seen: HashSet<&str> = HashSet::new();
    for (file, survey, _) in &work.files {
        if !seen.insert(&file.file.path) {
            continue;
        }
        let remove = file.file.remove.clone();
        match file.holder {
            Holder::Access => rewrite.removes.push(remove),
            Holder::Amendments if survey.must_wait() => {}
            Holder::Amendments => rewrite.amended.push(remove),
        }
    }
    rewrite
}

/// A file that cannot be read may be gone because another settle replaced it, and a
/// vacuum came after.
async fn if_outdated(
    lake: &mut Lake,
    files: &[Remove],
    error: LakeError,
) -> Result<Visit, LakeError> {
    lake.refresh().await?;
    match lake.s3_access().has_all(files) {
        true => Err(error),
        false => Ok(Visit::Outdated),
    }
}

/// Runs what takes a core for long.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
) -> Result<T, LakeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(LakeError::encode("s3_access", error)),
    }
}
