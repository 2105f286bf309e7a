//! Settles rows: decides them again once everything is known that will be known,
//! drops what stands twice, and compacts, date by date.
//!
//! ```text
//! horizon -> dates -> survey (keys of all rows) -> decide, encode -> one commit
//! ```
//! Of a date, every row whose time has come is read, decided with the identity facts
//! that the lake holds now, and written as settled; other rows of the same files are
//! written anew as provisional ones. Files that hold only settled rows stay as they
//! are, unless another record takes the place of one of their rows.
//!
//! INVARIANT (one commit): what a date gains and what it loses is one commit to
//! `s3_access`. A settle killed before it leaves files that belong to no table and
//! that nothing reads; killed after it, it is done.
//!
//! INVARIANT (appends go on): the commit takes only files out that were read here. A
//! scan that appends meanwhile neither waits nor loses: its rows wait for the next
//! settle. Of two settles that rewrite the same files one comes first; the other
//! begins that date anew.

use super::horizon::Horizon;
use super::lane::{DateWork, Task, Tools};
use super::scan::{record_policy, trail_complete_until};
use super::settle_report::SettleReport;
use crate::identity::{IdentityIndex, IdentitySettings};
use crate::lake::data_file::EncodedFile;
use crate::lake::databricks::read_databricks;
use crate::lake::settle::copies::{FileSurvey, survey};
use crate::lake::settle::files::{DateFile, Holder, Tables};
use crate::lake::store::{Rewrite, RewriteOutcome};
use crate::lake::{Lake, LakeError, facts};
use crate::model::UtcMicros;
use crate::policy::Policy;
use deltalake::kernel::{Add, Remove};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// Times that a date is begun anew because another settle came first: each time the
/// other one got on, and mostly it left nothing to do.
const REDO_MAX: u32 = 10;

/// What a settle needs to be told.
pub struct SettleJob {
    pub policy: Arc<Policy>,
    pub identity: IdentitySettings,
    /// Whether rows that are settled already are decided again as well.
    pub again: bool,
    /// Takes every source that was read for complete up to then.
    pub as_of: Option<UtcMicros>,
    /// The first and the last date, in days since the epoch.
    pub dates: std::ops::RangeInclusive<i32>,
    /// The clock.
    pub now: fn() -> UtcMicros,
}

impl SettleJob {
    /// A job for all dates and each row once.
    pub fn new(policy: Arc<Policy>, identity: IdentitySettings, now: fn() -> UtcMicros) -> Self {
        SettleJob {
            policy,
            identity,
            again: false,
            as_of: None,
            dates: i32::MIN..=i32::MAX,
            now,
        }
    }
}

/// Watches a settle, for its progress bar.
pub trait SettleProgress: Send + Sync {
    /// So many rows may have to be read, twice each: their keys, then all of them.
    fn starts(&self, rows: u64);
    /// So many were read once.
    fn rows(&self, rows: u64);
    /// A date is done, in days since the epoch.
    fn date(&self, date: i32);
}

/// Nobody watches.
impl SettleProgress for () {
    fn starts(&self, _: u64) {}
    fn rows(&self, _: u64) {}
    fn date(&self, _: i32) {}
}

/// Settles what can be settled.
///
/// # Errors
/// When the lake cannot be read or written; dates committed until then stay settled.
pub async fn settle(
    lake: &mut Lake,
    job: SettleJob,
    progress: Arc<dyn SettleProgress>,
) -> Result<SettleReport, LakeError> {
    record_policy(lake, &job.policy, (job.now)()).await?;
    // It is known up to the last scan, whatever the time is now.
    let read_until = facts::trail_read_until(lake).await?;
    let trail_until = trail_complete_until(read_until.min((job.now)()));
    let trail_until = job.as_of.map_or(trail_until, |at| at.max(trail_until));
    let mut index = IdentityIndex::new(job.identity.clone())
        .with_databricks(read_databricks(lake.url()).await?)
        .with_sts_until(trail_until);
    if let Some(at) = job.as_of {
        index = index.as_of(at);
    }
    let horizon = Horizon::of(&index, trail_until);
    let index = index.with_settled_until(horizon.at);
    let tools = Tools::new(job.policy.clone())?;
    let mut settler = Settler {
        horizon,
        index,
        progress,
        job,
        tools: Arc::new(Mutex::new(tools)),
    };
    let mut report = SettleReport {
        horizon: Some(horizon),
        ..SettleReport::default()
    };
    let dates = Tables::of(lake).dates();
    let waiting = |files: &[DateFile]| -> u64 {
        let files = files.iter().filter(|file| {
            file.holder == Holder::Access
                && !file.is_named_settled()
                && !file.may_begin_by(horizon.at)
        });
        files.filter_map(|file| file.file.stats.rows).sum()
    };
    report.provisional = dates.values().map(|files| waiting(files)).sum();
    let open = dates.values().flatten();
    let open = open.filter(|file| file.holder == Holder::Access && !file.is_named_settled());
    let provisional: u64 = open.filter_map(|file| file.file.stats.rows).sum();
    let due: Vec<(i32, Vec<DateFile>)> = dates
        .into_iter()
        .filter(|(date, _)| settler.job.dates.contains(date))
        .map(|(date, files)| (date, settler.due(files)))
        .filter(|(_, files)| !files.is_empty())
        .collect();
    if due.is_empty() {
        report.provisional = provisional;
    }
    let files = due.iter().flat_map(|(_, files)| files);
    settler
        .progress
        .starts(files.filter_map(|file| file.file.stats.rows).sum());
    for (date, files) in due {
        let of_date = settler
            .settle_date(lake, date, files, &mut report.redone)
            .await?;
        report.add(of_date);
        settler.progress.date(date);
    }
    Ok(report)
}

struct Settler {
    horizon: Horizon,
    /// Without the facts of single dates.
    index: IdentityIndex,
    job: SettleJob,
    progress: Arc<dyn SettleProgress>,
    /// Kept from date to date.
    tools: Arc<Mutex<Tools>>,
}

impl Settler {
    /// The files of a date that are looked at; none if there is nothing to do.
    fn due(&self, files: Vec<DateFile>) -> Vec<DateFile> {
        let at = self.horizon.at;
        let due: Vec<DateFile> = files
            .into_iter()
            .filter(|file| match file.holder {
                Holder::Access => file.may_begin_by(at),
                // What amends an event comes when the event is settled.
                Holder::Amendments => file.ends_by(at),
            })
            .collect();
        let is_settled = due.iter().all(DateFile::is_named_settled);
        if is_settled && !self.job.again {
            return Vec::new();
        }
        due
    }

    /// Settles a date, anew after each lost race.
    async fn settle_date(
        &mut self,
        lake: &mut Lake,
        date: i32,
        mut files: Vec<DateFile>,
        redone: &mut u64,
    ) -> Result<SettleReport, LakeError> {
        for _ in 0..REDO_MAX {
            if let Some(report) = self.try_date(lake, date, files).await? {
                return Ok(report);
            }
            *redone += 1;
            tracing::info!(date, "another settle came first; beginning the date anew");
            lake.refresh().await?;
            files = self.due(Tables::of(lake).dates().remove(&date).unwrap_or_default());
            if files.is_empty() {
                return Ok(SettleReport::default());
            }
        }
        let table = lake.s3_access();
        Err(LakeError::contended(table.name, table.url(), REDO_MAX))
    }

    /// Settles a date as it stood; `None` if it no longer stands so.
    async fn try_date(
        &self,
        lake: &mut Lake,
        date: i32,
        files: Vec<DateFile>,
    ) -> Result<Option<SettleReport>, LakeError> {
        let tables = Tables::of(lake);
        let held = files.iter().filter(|file| file.holder == Holder::Access);
        let removes: Vec<Remove> = held.map(|file| file.file.remove.clone()).collect();
        let survey = {
            let (tables, progress) = (tables.clone(), self.progress.clone());
            blocking(move || {
                let survey = survey(&tables, &files, |rows| progress.rows(rows))?;
                Ok((files, survey))
            })
            .await
        };
        let (files, survey) = match survey {
            Ok(survey) => survey,
            Err(error) => return if_outdated(lake, &removes, error).await,
        };
        let dropped = survey.dropped;
        let todo: Vec<(DateFile, FileSurvey, Task)> = files
            .into_iter()
            .zip(survey.files)
            .flat_map(|(file, survey)| {
                let tasks = self.tasks(&file, &survey);
                tasks
                    .into_iter()
                    .map(move |task| (file.clone(), survey.clone(), task))
            })
            .collect();
        if todo.is_empty() {
            return Ok(Some(SettleReport::default()));
        }
        let (sessions, instances) = facts::read_identity_of(lake, date).await?;
        let index = self.index.clone().with(sessions, instances);
        let now = (self.job.now)();
        let work = Arc::new(DateWork {
            tables,
            date,
            files: todo,
            index,
            horizon: self.horizon.at,
            now,
        });
        let mut adds = Vec::new();
        let mut report = match self.decide(lake, &work, &mut adds).await {
            Ok(report) => report,
            Err(error) => {
                lake.s3_access().discard(&adds).await;
                return if_outdated(lake, &removes, error).await;
            }
        };
        self.total(&work, &adds, &mut report);
        report.dropped = dropped;
        let rewrite = Rewrite {
            summary: report.summary(),
            ..rewrite(&work, adds.clone())
        };
        match lake.rewrite(rewrite).await? {
            RewriteOutcome::Rewritten { .. } => Ok(Some(report)),
            RewriteOutcome::Outdated => {
                lake.s3_access().discard(&adds).await;
                Ok(None)
            }
        }
    }

    /// What is to be done with a file.
    fn tasks(&self, file: &DateFile, survey: &FileSurvey) -> Vec<Task> {
        if file.holder == Holder::Amendments {
            // A file of which nothing is taken goes if nothing of it must wait.
            return match survey.amendments_taken() > 0 || !survey.has_unanchored() {
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
        // A settled file stays as it is, unless rows of it go, or it holds others.
        if has_settled && (!survey.is_settled() || survey.dropped.count() > 0) {
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
        let mut before: Option<&str> = None;
        for (file, survey, task) in &work.files {
            if *task == (Task::Decide { settled_too: true }) && file.holder == Holder::Access {
                report.settled_again += survey.settled_kept();
            }
            // A file with two tasks is one file.
            if before.replace(&file.file.path) != Some(&file.file.path) {
                report.files_before += 1;
                report.bytes_before += file.file.bytes;
                report.rows += survey.rows;
            }
        }
        report.settled = report.settled.saturating_sub(report.settled_again);
    }
}

/// What the date loses for what it gains.
fn rewrite(work: &DateWork, adds: Vec<Add>) -> Rewrite {
    let mut rewrite = Rewrite {
        adds,
        ..Rewrite::default()
    };
    let mut before: Option<&str> = None;
    for (file, survey, _) in &work.files {
        if before.replace(&file.file.path) == Some(&file.file.path) {
            continue;
        }
        let remove = file.file.remove.clone();
        match file.holder {
            Holder::Access => rewrite.removes.push(remove),
            Holder::Amendments if survey.has_unanchored() => {}
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
) -> Result<Option<SettleReport>, LakeError> {
    lake.refresh().await?;
    match lake.s3_access().has_all(files) {
        true => Err(error),
        false => Ok(None),
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
