//! M4 and M5: what ran on a cluster at a time, and with whose rights.
//!
//! A job cluster serves one job run for its whole life, so the cluster alone proves
//! the job. On any other cluster a run is the one candidate in its window, and
//! whoever ran commands there within half an hour is another.
//!
//! INVARIANT (one means all were seen): what is chosen for being the only one is
//! strong only if the source that would show another has passed the time.

use super::ask::{Ask, Grounds, each_once};
use super::hosts::Host;
use super::names::{Name, Names};
use super::on_cluster::{RunsOn, jobs_of, tasks_of};
use super::people::Person;
use super::rights::active_people;
use super::runs::RunEvidence;
use super::tags::Level;
use super::watermarks::FactSource;
use crate::model::{ClusterAccess, Confidence, Method, UnattributedReason};

/// Input and output around a run: start-up, shutdown, clocks.
pub(super) const RUN_SLACK_SECS: i64 = 60;
/// How long before or after a command its user may be at work.
pub(super) const ACTIVE_SECS: i64 = 30 * 60;

/// A run of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobRunOf {
    pub job_id: String,
    pub job_run_id: Option<String>,
    pub workspace: Option<String>,
    /// The same three, as far as a fact of Databricks names them.
    pub key: JobRunKey,
}

impl JobRunOf {
    pub fn of(key: JobRunKey, names: &Names) -> JobRunOf {
        JobRunOf {
            job_id: names.text(key.job).to_owned(),
            job_run_id: names.owned(key.job_run),
            workspace: names.owned(key.workspace),
            key,
        }
    }
}

/// A run of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobRunKey {
    pub workspace: Name,
    pub job: Name,
    pub job_run: Name,
}

/// A run of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskRunOf {
    pub task_run: Name,
    pub task_key: Name,
}

/// What was at work on one cluster, or on several that may have been the one.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    pub jobs: Vec<JobRunOf>,
    pub job: Confidence,
    pub tasks: Vec<TaskRunOf>,
    pub task: Confidence,
    pub people: Vec<Person>,
    pub person: Confidence,
    /// Whose rights the jobs had; a part of `people`.
    pub run_as: Vec<Person>,
    /// Nobody else can have used the cluster.
    pub is_exhaustive: bool,
    pub is_conflict: bool,
    pub grounds: Grounds,
    /// Why nobody is named, or not surely.
    pub reason: Option<UnattributedReason>,
}

impl Work {
    /// What was at work on the cluster; `tag` is what its instance's tags say of
    /// the job.
    pub fn on(ask: &mut Ask<'_>, host: &Host, tag: &Level) -> Work {
        let databricks = ask.databricks();
        let facts = databricks.clusters.at(
            host.workspace.as_deref(),
            &host.cluster,
            ask.at,
            &mut ask.span,
        );
        let is_tagged = tag.confidence != Confidence::None;
        let is_job = facts.is_job.unwrap_or(is_tagged);
        let mut work = Work {
            is_exhaustive: is_job,
            ..Work::default()
        };
        let Some(cluster) = host.of.cluster.filled() else {
            work.tagged(tag, host, &databricks.names);
            work.nobody(ask, is_job, None);
            return work;
        };
        let runs = RunsOn::find(ask, cluster, host);
        work.find_jobs(&runs, is_job, &databricks.names);
        work.tagged(tag, host, &databricks.names);
        work.find_tasks(&runs, is_job);
        let active = if is_job {
            Vec::new()
        } else {
            active_people(ask, cluster, host)
        };
        if facts.access == Some(ClusterAccess::Dedicated) && !facts.users.is_empty() {
            work.dedicated(ask, host, &facts, is_job, &active);
        } else {
            work.shared(ask, host, is_job, &active);
        }
        if work.people.is_empty() {
            work.nobody(ask, is_job, facts.access);
        }
        work
    }

    /// Nobody's, for a reason.
    pub fn by(reason: UnattributedReason) -> Work {
        Work {
            reason: Some(reason),
            ..Work::default()
        }
    }

    /// Joins what was at work on every cluster that may have been the one.
    pub fn of_any(all: Vec<Work>) -> Work {
        let mut all = all.into_iter();
        let Some(mut joined) = all.next() else {
            return Work::default();
        };
        for other in all {
            let same = |a: &Vec<Person>, b: &Vec<Person>| a.len() == 1 && a == b;
            joined.person = if same(&joined.people, &other.people) {
                joined.person.min(other.person).min(Confidence::Strong)
            } else {
                Confidence::Ambiguous
            };
            joined.jobs.extend(other.jobs);
            joined.tasks.extend(other.tasks);
            joined.people.extend(other.people);
            joined.run_as.extend(other.run_as);
            joined.is_exhaustive &= other.is_exhaustive;
            joined.is_conflict |= other.is_conflict;
            joined.grounds.take(other.grounds);
            joined.reason = joined.reason.or(other.reason);
            joined.jobs.sort();
            joined.jobs.dedup();
            joined.tasks.sort();
            joined.tasks.dedup();
            each_once(&mut joined.people);
            each_once(&mut joined.run_as);
            let several = |is_none: bool| match is_none {
                true => Confidence::None,
                false => Confidence::Ambiguous,
            };
            joined.job = several(joined.jobs.is_empty());
            joined.task = several(joined.tasks.is_empty());
            if joined.people.is_empty() {
                joined.person = Confidence::None;
            }
        }
        joined
    }

    fn find_jobs(&mut self, runs: &RunsOn<'_>, is_job: bool, names: &Names) {
        self.jobs = match is_job {
            true => jobs_of(runs.ever(), names),
            false => jobs_of(runs.here(), names),
        };
        let mut chosen_by_time = !is_job;
        if self.jobs.len() > 1 && is_job {
            // A job cluster serves one run; the window decides, if it can.
            self.jobs = jobs_of(runs.here(), names);
            self.is_conflict = self.jobs.len() > 1;
            chosen_by_time = true;
        }
        if self.jobs.is_empty() {
            return;
        }
        self.grounds.by(Method::M4ClusterRuns);
        let evidence = match is_job {
            true => runs.ever().map(|run| run.evidence(names)).collect(),
            false => runs.here().map(|run| run.evidence(names)).collect(),
        };
        self.grounds.note_sorted::<RunEvidence<'_>>(evidence);
        self.job = match self.jobs.as_slice() {
            [_] if !chosen_by_time => Confidence::Exact,
            [_] if runs.are_complete => Confidence::Strong,
            _ => Confidence::Ambiguous,
        };
    }

    /// Adds what the instance's `JobId` tag says.
    fn tagged(&mut self, tag: &Level, host: &Host, names: &Names) {
        if tag.confidence == Confidence::None {
            return;
        }
        let Some(job_id) = tag.id.as_deref() else {
            if self.jobs.is_empty() {
                self.job = Confidence::Ambiguous;
                self.grounds.by(Method::M4JobTag);
            }
            return;
        };
        self.grounds.by(Method::M4JobTag);
        let tagged = || JobRunOf {
            job_id: job_id.to_owned(),
            job_run_id: None,
            workspace: host.workspace.clone(),
            key: JobRunKey {
                workspace: host.of.workspace,
                job: names.find(job_id).unwrap_or(Name::NONE),
                job_run: Name::NONE,
            },
        };
        if self.jobs.is_empty() {
            self.jobs.push(tagged());
            self.job = tag.confidence;
        } else if self.jobs.iter().all(|job| job.job_id != job_id) {
            self.jobs.push(tagged());
            self.jobs.sort();
            self.job = Confidence::Ambiguous;
            self.is_conflict = true;
        }
    }

    fn find_tasks(&mut self, runs: &RunsOn<'_>, is_job: bool) {
        self.tasks = tasks_of(runs.here());
        if self.tasks.is_empty() {
            return;
        }
        let is_only = || tasks_of(runs.ever()).len() == 1;
        let task = match self.tasks.as_slice() {
            [_] if runs.are_complete && is_job && is_only() => Confidence::Exact,
            [_] if runs.are_complete => Confidence::Strong,
            _ => Confidence::Ambiguous,
        };
        self.task = task.min(self.job);
    }

    /// Says why nobody is named.
    fn nobody(&mut self, ask: &mut Ask<'_>, is_job: bool, access: Option<ClusterAccess>) {
        use UnattributedReason::{Late, OutsideRetention, SharedCluster};
        let databricks = ask.databricks();
        let watermarks = &databricks.watermarks;
        let knows = |source| watermarks.is_read(source);
        let runs_passed = ask.runs_have_passed(RUN_SLACK_SECS);
        self.reason = Some(if !self.jobs.is_empty() {
            // A run is known, but not whose rights it had.
            if knows(FactSource::Jobs) && knows(FactSource::Scim) {
                OutsideRetention
            } else {
                Late
            }
        } else if !runs_passed {
            Late
        } else if is_job {
            OutsideRetention
        } else if access == Some(ClusterAccess::Dedicated) {
            if knows(FactSource::ClustersApi) && knows(FactSource::Scim) {
                OutsideRetention
            } else {
                Late
            }
        } else if access.is_none() && !knows(FactSource::Clusters) {
            Late
        } else if ask.has_passed(FactSource::Audit, ACTIVE_SECS) {
            SharedCluster
        } else {
            Late
        });
    }
}
