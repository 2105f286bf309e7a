//! Settles rows: decides them again once everything is known that will be known,
//! drops what stands twice, and compacts, date by date.
//!
//! ```text
//! horizon -> dates -> survey (keys of all rows) -> decide, encode -> one commit
//! ```
//! Of a date, every row whose time has come is read, decided with the identity facts
//! that the lake holds now, and written as settled; other rows of the same files are
//! written anew as provisional ones. Files that hold only settled rows stay as they
//! are, unless another record takes the place of one of their rows, or many small ones
//! of a date are merged; settled rows keep every value.
//!
//! How one date is settled, and what becomes of records of one event on several, is
//! told in `settle_date`.
//!
//! INVARIANT (one commit): what a date gains and loses, and what other dates lose to
//! it, is one commit to `s3_access`. A settle killed before it leaves files that belong
//! to no table and that nothing reads; killed after it, it is done.
//!
//! INVARIANT (appends go on): the commit takes only files out that were read here. A
//! scan that appends meanwhile neither waits nor loses: its rows wait for the next
//! settle. Of two settles that rewrite the same files one comes first; the other
//! begins that date anew.

use super::commit::record_policy;
use super::horizon::{Horizon, WINDOW_SECS, trail_complete_until};
use super::lane::Tools;
use super::settle_date::small_files;
use super::settle_report::SettleReport;
use crate::identity::{IdentityIndex, IdentitySettings};
use crate::lake::databricks::{read_databricks, read_watermarks};
use crate::lake::databricks_window::{Reach, read_databricks_within};
use crate::lake::settle::elsewhere::CorrectionFiles;
use crate::lake::settle::files::{DateFile, Holder, Tables};
use crate::lake::{Lake, LakeError, facts};
use crate::model::{DatabricksFacts, UtcMicros};
use crate::policy::Policy;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

/// What a settle needs to be told.
pub struct SettleJob {
    pub policy: Arc<Policy>,
    /// Whether the lake is judged by the policy from now on: by whoever names none.
    pub takes_into_use: bool,
    pub identity: IdentitySettings,
    /// Whether rows that are settled already are decided again as well.
    pub again: bool,
    /// Settles up to exactly then, and takes every source for complete as far as it
    /// concerns those rows; a time in the future is all that there is.
    pub as_of: Option<UtcMicros>,
    /// The first and the last date, in days since the epoch.
    pub dates: RangeInclusive<i32>,
    /// The trail is not known beyond this, whatever was read last: older messages may
    /// still wait on the queue.
    pub trail_until_max: UtcMicros,
    /// Whether all identity facts are read, not only those near the dates: the slow,
    /// obvious twin, with the same answers.
    pub whole_index: bool,
    /// The clock.
    pub now: fn() -> UtcMicros,
}

impl SettleJob {
    /// A job for all dates and each row once.
    pub fn new(policy: Arc<Policy>, identity: IdentitySettings, now: fn() -> UtcMicros) -> Self {
        SettleJob {
            policy,
            takes_into_use: true,
            identity,
            again: false,
            as_of: None,
            dates: i32::MIN..=i32::MAX,
            trail_until_max: UtcMicros::MAX,
            whole_index: false,
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
    if job.takes_into_use {
        record_policy(lake, &job.policy, (job.now)()).await?;
    }
    // It is known up to the last scan, whatever the time is now.
    let read_until = facts::trail_read_until(lake).await?;
    let trail_until = trail_complete_until(read_until.min((job.now)()).min(job.trail_until_max));
    let believed = job.as_of.map(|at| at.plus_seconds(WINDOW_SECS));
    let trail_until = trail_until.max(believed.unwrap_or(UtcMicros::MIN));
    let watermarks = DatabricksFacts {
        watermarks: read_watermarks(lake.url()).await?,
        ..DatabricksFacts::default()
    };
    let mut index = IdentityIndex::new(job.identity.clone())
        .with_databricks(watermarks)
        .with_sts_until(trail_until);
    if let Some(until) = believed {
        index = index.as_of(until);
    }
    let horizon = match job.as_of {
        Some(at) => Horizon::as_of(at),
        None => Horizon::of(&index, trail_until),
    };
    let index = index.with_settled_until(horizon.at);
    let tools = Tools::new(job.policy.clone())?;
    let mut settler = Settler {
        horizon,
        unread: index.clone(),
        index: Arc::new(index),
        known: None,
        progress,
        job,
        tools: Arc::new(Mutex::new(tools)),
        corrections: Arc::default(),
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
    let dates: Vec<i32> = due.iter().map(|(date, _)| *date).collect();
    for (date, files) in due {
        settler.know(lake, stretch(date, &dates)).await?;
        let of_date = settler
            .settle_date(lake, date, files, &mut report.redone)
            .await?;
        report.add(of_date);
        settler.progress.date(date);
    }
    Ok(report)
}

/// Dates whose facts are read together, at most: they overlap, for each needs those
/// of days around it; and what is read must fit memory.
const STRETCH_DAYS: i32 = 3;

/// The dates that are settled with the same facts as this one, the first of them.
fn stretch(date: i32, due: &[i32]) -> RangeInclusive<i32> {
    let end = date.saturating_add(STRETCH_DAYS);
    let last = due
        .iter()
        .filter(|other| (date..end).contains(*other))
        .max();
    date..=last.copied().unwrap_or(date)
}

pub(super) struct Settler {
    pub(super) horizon: Horizon,
    /// Knows watermarks and no facts.
    unread: IdentityIndex,
    /// Knows what can matter for the dates of `known`.
    pub(super) index: Arc<IdentityIndex>,
    known: Option<RangeInclusive<i32>>,
    pub(super) job: SettleJob,
    pub(super) progress: Arc<dyn SettleProgress>,
    /// Kept from date to date.
    pub(super) tools: Arc<Mutex<Tools>>,
    pub(super) corrections: Arc<CorrectionFiles>,
}

impl Settler {
    /// Lets the facts be read anew before they are used again.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    /// Reads the facts that matter on these dates, unless they are known already.
    pub(super) async fn know(
        &mut self,
        lake: &Lake,
        dates: RangeInclusive<i32>,
    ) -> Result<(), LakeError> {
        let covers = |known: &RangeInclusive<i32>| known.contains(dates.start());
        if self.known.as_ref().is_some_and(covers) {
            return Ok(());
        }
        // What was known goes first: both at once would be twice the memory.
        self.index = Arc::new(self.unread.clone());
        let (facts, (sessions, instances)) = match self.job.whole_index {
            true => (
                read_databricks(lake.url()).await?,
                facts::read_whole_identity(lake).await?,
            ),
            false => (
                read_databricks_within(lake.url(), Reach::of(dates.clone())).await?,
                facts::read_identity_of(lake, dates.clone()).await?,
            ),
        };
        let index = self.unread.clone().with_databricks(facts);
        self.index = Arc::new(index.with(sessions, instances));
        self.known = Some(dates);
        Ok(())
    }

    /// The files of a date that are looked at; none if there is nothing to do.
    pub(super) fn due(&self, files: Vec<DateFile>) -> Vec<DateFile> {
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
        if is_settled && !self.job.again && small_files(&due).is_empty() {
            return Vec::new();
        }
        due
    }
}
