//! What a scan did, in numbers that add up: counted per batch, and added to the
//! whole only once the batch is committed, so that nothing counts twice.

use super::decide::Decider;
use crate::lake::fact_tables::LogObject;
use crate::model::{
    AccessPath, Confidence, ObjectCounts, ObjectStatus, Severity, UnattributedReason, Verdict,
};
use std::collections::{BTreeMap, HashMap};

/// The levels of an attribution, in the order in which they are shown.
pub const LEVELS: [&str; 6] = [
    "session",
    "workspace",
    "cluster",
    "job",
    "task",
    "principal",
];

/// Quarantined objects named one by one; beyond them only the counts go on.
const QUARANTINED_SHOWN_MAX: usize = 10;

/// Rows of one access path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathCounts {
    pub rows: u64,
    /// Rows of each level that are exact, strong, ambiguous, none.
    pub by_level: [[u64; 4]; 6],
    pub reasons: BTreeMap<UnattributedReason, u64>,
}

/// Rows that a rule flagged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCounts {
    pub severity: Severity,
    pub rows: u64,
    /// Of them, those under an approved exception: they do not count.
    pub excepted: u64,
    /// Of them, those on which the rule failed to evaluate.
    pub failed: u64,
}

impl RuleCounts {
    fn new(severity: Severity) -> RuleCounts {
        RuleCounts {
            severity,
            rows: 0,
            excepted: 0,
            failed: 0,
        }
    }
}

/// What was done, in numbers.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub objects: BTreeMap<(ObjectStatus, &'static str), u64>,
    /// Objects by fate and the token of their reason.
    pub reasons: BTreeMap<(ObjectStatus, String), u64>,
    /// The first quarantined objects, with their reasons.
    pub quarantined: Vec<(String, String)>,
    /// Objects passed over because they are in the lake already.
    pub objects_known: u64,
    pub compressed_bytes: u64,
    pub raw_bytes: u64,
    pub counts: ObjectCounts,
    pub sts_sessions: u64,
    pub ec2_instances: u64,
    /// Copies of such facts, kept out.
    pub fact_copies: u64,
    pub paths: BTreeMap<AccessPath, PathCounts>,
    pub verdicts: BTreeMap<Verdict, u64>,
    pub rules: BTreeMap<String, RuleCounts>,
    pub commits: u64,
    /// Commits that another writer came before: each was prepared anew.
    pub conflicts: u64,
    /// From the first preparation to the commit.
    pub commit_seconds: f64,
    /// What messages said that named no object to be read.
    pub notifications: u64,
    /// Rows by decision, until the batch is closed.
    rows: HashMap<u32, u64>,
}

impl Report {
    pub fn count_object(&mut self, object: &LogObject) {
        *self
            .objects
            .entry((object.status, object.kind))
            .or_default() += 1;
        if let Some(reason) = &object.reason {
            let token = reason.split(':').next().unwrap_or(reason).to_owned();
            *self.reasons.entry((object.status, token)).or_default() += 1;
            if object.status == ObjectStatus::Quarantined
                && self.quarantined.len() < QUARANTINED_SHOWN_MAX
            {
                self.quarantined.push((object.uri.clone(), reason.clone()));
            }
        }
        self.compressed_bytes += object.compressed_bytes;
        self.raw_bytes += object.raw_bytes.unwrap_or(0);
        self.counts.add(&object.counts);
    }

    /// Counts rows of the decision with that number.
    pub fn count_rows(&mut self, number: u32, rows: u64) {
        *self.rows.entry(number).or_default() += rows;
    }

    /// Turns the counts by decision into counts by what was decided.
    pub fn close_batch(&mut self, decider: &Decider) {
        for (number, rows) in std::mem::take(&mut self.rows) {
            let Some(decision) = decider.decision(number) else {
                continue;
            };
            let a = &decision.attribution;
            let path = self.paths.entry(a.access_path).or_default();
            path.rows += rows;
            let levels = [
                a.session_confidence,
                a.workspace_confidence,
                a.cluster_confidence,
                a.job_confidence,
                a.task_confidence,
                a.principal_confidence,
            ];
            for (counts, level) in path.by_level.iter_mut().zip(levels) {
                let place = Confidence::ALL.iter().position(|c| *c == level);
                if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
                    *count += rows;
                }
            }
            if let Some(reason) = a.unattributed_reason {
                *path.reasons.entry(reason).or_default() += rows;
            }
            *self.verdicts.entry(decision.judgement.verdict).or_default() += rows;
            for violation in &decision.judgement.violations {
                let rule = self.rules.entry(violation.rule.to_string());
                let counts = rule.or_insert_with(|| RuleCounts::new(violation.severity));
                counts.rows += rows;
                counts.excepted += u64::from(violation.exception.is_some()) * rows;
                counts.failed += u64::from(violation.is_failure()) * rows;
            }
        }
    }

    /// Adds a committed batch.
    pub fn add(&mut self, batch: Report) {
        for (key, n) in batch.objects {
            *self.objects.entry(key).or_default() += n;
        }
        for (key, n) in batch.reasons {
            *self.reasons.entry(key).or_default() += n;
        }
        let room = QUARANTINED_SHOWN_MAX.saturating_sub(self.quarantined.len());
        self.quarantined
            .extend(batch.quarantined.into_iter().take(room));
        self.objects_known += batch.objects_known;
        self.compressed_bytes += batch.compressed_bytes;
        self.raw_bytes += batch.raw_bytes;
        self.counts.add(&batch.counts);
        self.sts_sessions += batch.sts_sessions;
        self.ec2_instances += batch.ec2_instances;
        self.fact_copies += batch.fact_copies;
        for (path, counts) in batch.paths {
            let sum = self.paths.entry(path).or_default();
            sum.rows += counts.rows;
            for (sums, counts) in sum.by_level.iter_mut().zip(counts.by_level) {
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum += count;
                }
            }
            for (reason, n) in counts.reasons {
                *sum.reasons.entry(reason).or_default() += n;
            }
        }
        for (verdict, n) in batch.verdicts {
            *self.verdicts.entry(verdict).or_default() += n;
        }
        for (rule, counts) in batch.rules {
            let rule = self.rules.entry(rule);
            let sum = rule.or_insert_with(|| RuleCounts::new(counts.severity));
            sum.rows += counts.rows;
            sum.excepted += counts.excepted;
            sum.failed += counts.failed;
        }
        self.commits += batch.commits;
        self.conflicts += batch.conflicts;
        self.commit_seconds += batch.commit_seconds;
        self.notifications += batch.notifications;
    }

    /// Objects of that fate, of whatever kind.
    pub fn objects_of(&self, status: ObjectStatus) -> u64 {
        self.objects
            .iter()
            .filter(|((of, _), _)| *of == status)
            .map(|(_, n)| n)
            .sum()
    }
}
