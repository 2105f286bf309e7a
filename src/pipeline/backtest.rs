//! Replays a policy over the lake and tells what it would change: which violations are
//! new, which are gone.
//!
//! ```text
//! files -> rows alike together (lake::replay) -> judge -> tally by rule, who, dataset
//! ```
//! Rows are judged with the attribution they have; attributing again is for `settle`.
//! What the policy cannot tell apart it judges once: the rows are counted, not judged.
//!
//! INVARIANT (the same judge): a row is judged by [`Policy::judge`], on what the lake
//! holds of it, so that `settle --again` with the policy and the same attribution flags
//! what is told here.

use super::replayed::{DatasetBy, columns, told_apart};
use crate::identity::{IdentityIndex, Memberships};
use crate::lake::Lake;
use crate::lake::databricks::read_workloads;
use crate::lake::error::LakeError;
use crate::lake::facts::read_policy_file;
use crate::lake::replay::{StoredAccess, StoredRows, StoredViolation, event_ids, replay};
use crate::lake::settle::files::{DateFile, Holder, Tables};
use crate::model::{TimeSpan, UtcMicros, Verdict, Workload};
use crate::policy::{AccessFacts, Answers, DATASETS_FILE, Judgement, Policy};
use hashbrown::HashMap;
use indexmap::IndexMap;
use rayon::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Events told by their ids of each change, at most.
pub const SAMPLES_MAX: usize = 3;

/// What is replayed.
pub struct BacktestJob {
    pub policy: Arc<Policy>,
    /// Days since the epoch.
    pub dates: RangeInclusive<i32>,
    pub identity: crate::identity::IdentitySettings,
}

/// Told as it goes.
pub trait BacktestProgress: Send + Sync {
    fn starts(&self, rows: u64);
    fn rows(&self, rows: u64);
}

/// What the policy would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BacktestReport {
    pub events: u64,
    /// Judgements that were made for them.
    pub judged: u64,
    pub first_event: Option<UtcMicros>,
    pub last_event: Option<UtcMicros>,
    /// Events by verdict as stored, and as the policy has it.
    pub verdicts: BTreeMap<(Verdict, Verdict), u64>,
    /// Violations that are not stored, and those that are no more; the most first.
    pub newly_flagged: Vec<Change>,
    pub no_longer_flagged: Vec<Change>,
    /// Violations that are stored and stay.
    pub still_flagged: u64,
    /// Events for which a rule could not be evaluated, by rule.
    pub failed: BTreeMap<String, u64>,
}

/// Violations of one rule by one principal on one dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub what: Flag,
    pub events: u64,
    /// Ids of a few of the events.
    pub samples: Vec<String>,
}

/// A violation, as a change counts it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flag {
    pub rule: String,
    pub severity: String,
    /// Whom attribution names, else the candidates, else what AWS saw.
    pub principal: String,
    pub dataset: Option<String>,
}

/// Replays the policy.
///
/// # Errors
/// When the lake cannot be read.
pub async fn backtest(
    lake: &Lake,
    job: BacktestJob,
    progress: Arc<dyn BacktestProgress>,
) -> Result<BacktestReport, LakeError> {
    let facts = read_workloads(lake.url(), job.policy.interest()).await?;
    let index = IdentityIndex::new(job.identity).with_databricks(facts);
    let tables = Tables::of(lake);
    let dates = tables.dates();
    let files = dates
        .into_iter()
        .filter(|(date, _)| job.dates.contains(date));
    let files = files.flat_map(|(_, files)| files);
    let files: Vec<DateFile> = files.filter(|file| file.holder == Holder::Access).collect();
    progress.starts(files.iter().filter_map(|file| file.file.stats.rows).sum());
    let policy = job.policy;
    let versions = read_policy_file(lake, DATASETS_FILE).await?.into_iter();
    let alike = versions.filter(|(_, datasets)| policy.finds_datasets_like(datasets.as_deref()));
    let alike = alike.map(|(version, _)| version).collect();
    let work = move || work_through(&tables, &files, (&policy, &index, &alike), &*progress);
    match tokio::task::spawn_blocking(work).await {
        Ok(report) => report,
        Err(error) => Err(LakeError::read("s3_access", lake.url(), error)),
    }
}

/// What is counted of rows that are judged and labelled alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Label {
    principal: String,
    dataset: Option<String>,
    before: (Verdict, Vec<StoredViolation>),
    /// Number of the judgement.
    after: u32,
}

#[derive(Default)]
struct Tally {
    events: u64,
    /// Number of a file, and place in it.
    samples: Vec<(usize, usize)>,
}

/// What was judged, by all workers: what one judged the others need not.
#[derive(Default)]
struct Judged(Mutex<ByVisible>);

#[derive(Default)]
struct ByVisible {
    /// Numbers of judgements, by what the policy sees.
    numbers: HashMap<Vec<u8>, u32, foldhash::fast::FixedState>,
    judgements: Vec<Judgement>,
}

impl Judged {
    fn lock(&self) -> MutexGuard<'_, ByVisible> {
        // Whatever stands in it was judged.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the judgement. Two workers may judge the same at once, and say the
    /// same; the first to be done counts.
    fn number(&self, visible: &[u8], judge: impl FnOnce() -> Judgement) -> u32 {
        if let Some(number) = self.lock().numbers.get(visible) {
            return *number;
        }
        let judgement = judge();
        let mut judged = self.lock();
        if let Some(number) = judged.numbers.get(visible) {
            return *number;
        }
        let number = u32::try_from(judged.judgements.len()).unwrap_or(u32::MAX);
        judged.judgements.push(judgement);
        judged.numbers.insert(visible.to_vec(), number);
        number
    }
}

/// Judges the rows of some files.
struct Worker<'w> {
    policy: &'w Policy,
    index: &'w IdentityIndex,
    judged: &'w Judged,
    answers: Answers,
    memberships: Memberships,
    tallies: IndexMap<Label, Tally, foldhash::fast::FixedState>,
    events: u64,
    first: Option<UtcMicros>,
    last: Option<UtcMicros>,
    visible: Vec<u8>,
}

impl<'w> Worker<'w> {
    fn new(policy: &'w Policy, index: &'w IdentityIndex, judged: &'w Judged) -> Worker<'w> {
        Worker {
            policy,
            index,
            judged,
            answers: Answers::default(),
            memberships: Memberships::default(),
            tallies: IndexMap::default(),
            events: 0,
            first: None,
            last: None,
            visible: Vec::new(),
        }
    }

    /// The number of the row's tally, and for which times of rows like it.
    fn decide(&mut self, row: &StoredAccess, verdict: Verdict, by: DatasetBy) -> (u32, TimeSpan) {
        let policy = self.policy;
        let access = row.access();
        let (workload, mut span): (Workload, TimeSpan) = self.index.workload(
            &row.attribution,
            row.event_time,
            policy.interest(),
            &mut self.memberships,
        );
        span = span.intersect(policy.moment(row.event_time).1);
        let location = access.object_key.or(access.list_prefix);
        let dataset = match by {
            DatasetBy::Row => row
                .dataset
                .as_deref()
                .and_then(|it| policy.dataset_named(it)),
            DatasetBy::Place => policy.dataset_of(access.target.bucket.as_deref(), location),
        };
        let facts = AccessFacts {
            access: &access,
            attribution: &row.attribution,
            credential: row.credential,
            dataset,
            workload: &workload,
            settled: row.settled,
        };
        self.visible.clear();
        policy.visible_who(&facts, &mut self.visible);
        policy.visible_request(&facts, &mut self.visible);
        let answers = &mut self.answers;
        let judge = || policy.judge_with(&facts, answers);
        let after = self.judged.number(&self.visible, judge);
        let named = dataset.and_then(|dataset| policy.dataset(dataset));
        let label = Label {
            principal: principal_of(row),
            dataset: named
                .map(|named| named.name.clone())
                .or_else(|| row.dataset.clone()),
            before: (verdict, row.violated.clone()),
            after,
        };
        let entry = self.tallies.entry(label);
        let number = u32::try_from(entry.index()).unwrap_or(u32::MAX);
        entry.or_default();
        (number, span)
    }

    fn count(&mut self, number: u32, sample: (usize, usize), at: UtcMicros) {
        self.events += 1;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        if let Some((_, tally)) = self.tallies.get_index_mut(number as usize) {
            tally.events += 1;
            if tally.samples.len() < SAMPLES_MAX {
                tally.samples.push(sample);
            }
        }
    }
}

/// Whom a change is told of: attributed, else possible, else as AWS saw it.
fn principal_of(row: &StoredAccess) -> String {
    let attribution = &row.attribution;
    if let Some(principal) = &attribution.principal {
        return principal.clone();
    }
    match attribution.principal_candidates.as_slice() {
        [] => {}
        [only] => return format!("possibly {only}"),
        [first, more @ ..] => return format!("{first} or {} more", more.len()),
    }
    let principal = &row.principal;
    let seen = [
        &principal.session_issuer_arn,
        &principal.arn,
        &principal.identity_type,
    ];
    let seen = seen.into_iter().flatten().next();
    seen.cloned().unwrap_or_else(|| "unknown".to_owned())
}

/// Judges all files, on all cores, and puts together what came of it.
fn work_through(
    tables: &Tables,
    files: &[DateFile],
    (policy, index, alike): (&Policy, &IdentityIndex, &BTreeSet<String>),
    progress: &dyn BacktestProgress,
) -> Result<BacktestReport, LakeError> {
    let [by_row, by_place] = [DatasetBy::Row, DatasetBy::Place].map(|by| columns(policy, by));
    let judged = Judged::default();
    let lanes = rayon::current_num_threads().max(1);
    let next = AtomicUsize::new(0);
    let workers: Vec<Worker<'_>> = (0..lanes)
        .into_par_iter()
        .map(|_| {
            let worker = RefCell::new(Worker::new(policy, index, &judged));
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = files.get(number) else {
                    break;
                };
                let stored = StoredRows::open(tables, file)?;
                let (by, columns) = match stored.are_all_judged_by(alike)? {
                    true => (DatasetBy::Row, &by_row),
                    false => (DatasetBy::Place, &by_place),
                };
                let rows = replay(
                    &stored,
                    (columns, told_apart(policy)),
                    |bucket, path| {
                        let found = match by {
                            // Its column tells rows apart.
                            DatasetBy::Row => None,
                            DatasetBy::Place => policy.dataset_of(bucket, path),
                        };
                        found.map_or(-1, |dataset| i32::try_from(dataset).unwrap_or(i32::MAX))
                    },
                    |row| worker.borrow_mut().decide(row, file.verdict, by),
                    |number_of, place, at| {
                        worker.borrow_mut().count(number_of, (number, place), at);
                    },
                )?;
                progress.rows(rows);
            }
            Ok(worker.into_inner())
        })
        .collect::<Result<_, LakeError>>()?;
    let judgements = std::mem::take(&mut judged.lock().judgements);
    let mut report = BacktestReport {
        judged: judgements.len() as u64,
        ..BacktestReport::default()
    };
    let mut newly = BTreeMap::new();
    let mut no_longer = BTreeMap::new();
    for worker in &workers {
        report.events += worker.events;
        report.first_event = [report.first_event, worker.first]
            .into_iter()
            .flatten()
            .min();
        report.last_event = [report.last_event, worker.last].into_iter().flatten().max();
        for (label, tally) in &worker.tallies {
            if let Some(after) = judgements.get(label.after as usize) {
                add(
                    label,
                    after,
                    tally,
                    &mut report,
                    (&mut newly, &mut no_longer),
                );
            }
        }
    }
    report.newly_flagged = told(newly, tables, files)?;
    report.no_longer_flagged = told(no_longer, tables, files)?;
    Ok(report)
}

type Tallies = BTreeMap<Flag, Tally>;

/// Adds what one tally tells.
fn add(
    label: &Label,
    after: &Judgement,
    tally: &Tally,
    report: &mut BacktestReport,
    (newly, no_longer): (&mut Tallies, &mut Tallies),
) {
    let (verdict, stored) = &label.before;
    *report
        .verdicts
        .entry((*verdict, after.verdict))
        .or_default() += tally.events;
    let before: BTreeSet<(&str, &str)> = stored
        .iter()
        .filter(|violation| violation.exception.is_none())
        .map(|violation| (violation.rule.as_str(), violation.severity.as_str()))
        .collect();
    let now: BTreeSet<(&str, &str)> = after
        .violations
        .iter()
        .filter(|violation| violation.exception.is_none())
        .map(|violation| (&*violation.rule, violation.severity.as_str()))
        .collect();
    let rules = |of: &BTreeSet<(&str, &str)>| -> BTreeSet<String> {
        of.iter().map(|(rule, _)| (*rule).to_owned()).collect()
    };
    let (rules_before, rules_now) = (rules(&before), rules(&now));
    let note = |to: &mut Tallies, (rule, severity): (&str, &str)| {
        let known = to
            .entry(Flag {
                rule: rule.to_owned(),
                severity: severity.to_owned(),
                principal: label.principal.clone(),
                dataset: label.dataset.clone(),
            })
            .or_default();
        known.events += tally.events;
        // The first of all, whichever worker saw them.
        known.samples.extend(&tally.samples);
        known.samples.sort_unstable();
        known.samples.truncate(SAMPLES_MAX);
    };
    for flag in now.iter().filter(|(rule, _)| !rules_before.contains(*rule)) {
        note(newly, *flag);
    }
    for flag in before.iter().filter(|(rule, _)| !rules_now.contains(*rule)) {
        note(no_longer, *flag);
    }
    for failure in after.violations.iter().filter(|it| it.is_failure()) {
        *report.failed.entry(failure.rule.to_string()).or_default() += tally.events;
    }
    report.still_flagged += rules_now.intersection(&rules_before).count() as u64 * tally.events;
}

/// Changes with the ids of their samples, the most events first.
fn told(tallies: Tallies, tables: &Tables, files: &[DateFile]) -> Result<Vec<Change>, LakeError> {
    let mut wanted: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (number, place) in tallies.values().flat_map(|tally| &tally.samples) {
        wanted.entry(*number).or_default().push(*place);
    }
    let mut ids: HashMap<(usize, usize), String> = HashMap::new();
    for (number, places) in wanted {
        let Some(file) = files.get(number) else {
            continue;
        };
        let found = event_ids(tables, file, &places)?;
        ids.extend(found.into_iter().map(|(place, id)| ((number, place), id)));
    }
    let mut changes: Vec<Change> = tallies
        .into_iter()
        .map(|(what, tally)| Change {
            what,
            events: tally.events,
            samples: tally
                .samples
                .iter()
                .filter_map(|sample| ids.get(sample).cloned())
                .collect(),
        })
        .collect();
    changes.sort_by(|a, b| b.events.cmp(&a.events).then_with(|| a.what.cmp(&b.what)));
    Ok(changes)
}
