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
use super::names::Name;
use super::people::Person;
use super::runs::Run;
use super::tags::Level;
use super::watermarks::FactSource;
use crate::model::{ClusterAccess, Confidence, Method, TimeSpan, UnattributedReason, UtcMicros};

/// Input and output around a run: start-up, shutdown, clocks.
const RUN_SLACK_SECS: i64 = 60;
/// How long after a slice's end the next one is in the table.
const SLICE_SECS: i64 = 3600;
/// How long before or after a command its user may be at work.
const ACTIVE_SECS: i64 = 30 * 60;
/// Clocks of two tables of one company.
const CHANGE_SKEW_SECS: i64 = 5;

/// A run of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobRunOf {
    pub job_id: String,
    pub job_run_id: Option<String>,
    pub workspace: Option<String>,
}

/// A run of a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskRunOf {
    pub task_run_id: String,
    pub task_key: Option<String>,
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
        let Some(cluster) = databricks.names.find(&host.cluster) else {
            work.tagged(tag, host);
            work.nobody(ask, is_job, None);
            return work;
        };
        let here = runs_at(ask, cluster, host);
        let complete = ask.runs_have_passed(RUN_SLACK_SECS);
        work.find_jobs(ask, cluster, host, &here, is_job, complete);
        work.tagged(tag, host);
        work.find_tasks(ask, cluster, host, &here, is_job, complete);
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

    fn find_jobs(
        &mut self,
        ask: &Ask<'_>,
        cluster: Name,
        host: &Host,
        here: &[Run],
        is_job: bool,
        complete: bool,
    ) {
        let databricks = ask.databricks();
        let ever: Vec<Run> = databricks
            .runs
            .ever(cluster)
            .iter()
            .map(|item| item.value)
            .filter(|run| is_of(ask, run, host))
            .collect();
        self.jobs = jobs_of(ask, if is_job { &ever } else { here });
        let mut chosen_by_time = !is_job;
        if self.jobs.len() > 1 && is_job {
            // A job cluster serves one run; the window decides, if it can.
            self.jobs = jobs_of(ask, here);
            self.is_conflict = self.jobs.len() > 1;
            chosen_by_time = true;
        }
        if self.jobs.is_empty() {
            return;
        }
        self.grounds.by(Method::M4ClusterRuns);
        let mut evidence: Vec<&str> = (if is_job { &ever } else { here })
            .iter()
            .map(|run| databricks.names.text(run.evidence))
            .collect();
        evidence.sort_unstable();
        evidence.iter().for_each(|id| self.grounds.note(id));
        self.job = match self.jobs.as_slice() {
            [_] if !chosen_by_time => Confidence::Exact,
            [_] if complete => Confidence::Strong,
            _ => Confidence::Ambiguous,
        };
    }

    /// Adds what the instance's `JobId` tag says.
    fn tagged(&mut self, tag: &Level, host: &Host) {
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

    fn find_tasks(
        &mut self,
        ask: &Ask<'_>,
        cluster: Name,
        host: &Host,
        here: &[Run],
        is_job: bool,
        complete: bool,
    ) {
        let databricks = ask.databricks();
        self.tasks = tasks_of(ask, here);
        if self.tasks.is_empty() {
            return;
        }
        let ever: Vec<Run> = databricks
            .runs
            .ever(cluster)
            .iter()
            .map(|item| item.value)
            .filter(|run| is_of(ask, run, host))
            .collect();
        let is_only = tasks_of(ask, &ever).len() == 1;
        let task = match self.tasks.as_slice() {
            [_] if complete && is_job && is_only => Confidence::Exact,
            [_] if complete => Confidence::Strong,
            _ => Confidence::Ambiguous,
        };
        self.task = task.min(self.job);
    }

    /// A cluster for one user, or for one group.
    fn dedicated(
        &mut self,
        ask: &mut Ask<'_>,
        host: &Host,
        facts: &super::clusters::ClusterAt,
        is_job: bool,
        active: &[Person],
    ) {
        let people = &ask.databricks().people;
        self.is_exhaustive = true;
        if let Some(id) = &facts.evidence {
            self.grounds.note(id);
        }
        let mut is_group = false;
        let mut sure = Confidence::Exact;
        for user in &facts.users {
            if people.is_group(user) {
                is_group = true;
                self.people.extend(people.members(user, ask.at, &mut ask.span));
            } else {
                self.people.extend(people.resolve(user, ask.at, &mut ask.span));
            }
        }
        each_once(&mut self.people);
        if facts.users_assumed || is_job {
            sure = Confidence::Strong;
        }
        if let [person] = self.people.as_slice()
            && people.is_current(person) == Some(false)
        {
            // SCIM knows no such name any more: whose it was cannot be checked.
            sure = Confidence::Strong;
        }
        if !self.people.is_empty() {
            self.grounds.by(if is_group {
                Method::M5DedicatedGroup
            } else {
                Method::M5DedicatedUser
            });
        }
        self.person = match self.people.as_slice() {
            [] => Confidence::None,
            [_] if !is_group && facts.users.len() == 1 => sure,
            _ => Confidence::Ambiguous,
        };
        let is_sole_job = self.jobs.len() == 1 && self.job >= Confidence::Strong;
        let run_as = self.find_run_as(ask, host);
        if is_sole_job && !run_as.is_empty() && !self.people.is_empty() {
            let both: Vec<Person> = self
                .people
                .iter()
                .filter(|person| run_as.contains(person))
                .cloned()
                .collect();
            if both.is_empty() {
                self.people.extend(run_as.clone());
                each_once(&mut self.people);
                self.person = Confidence::Ambiguous;
                self.is_conflict = true;
                self.grounds.by(Method::M5RunAs);
            } else {
                self.grounds.by(Method::M5RunAs);
                if is_group && active.iter().all(|person| both.contains(person)) {
                    self.settle(both);
                }
            }
        } else if is_group && is_sole_job && !run_as.is_empty() {
            self.people.clone_from(&run_as);
            self.person = Confidence::Ambiguous;
        } else if is_group {
            let at_work: Vec<Person> = active
                .iter()
                .filter(|person| self.people.contains(person))
                .cloned()
                .collect();
            if at_work.len() == 1 && ask.has_passed(FactSource::Audit, ACTIVE_SECS) {
                self.grounds.by(Method::M5ActiveUsers);
                self.settle(at_work);
            }
        }
        self.run_as = run_as;
    }

    /// Narrows the candidates to these; one of them is strong.
    fn settle(&mut self, people: Vec<Person>) {
        self.person = match people.as_slice() {
            [_] => Confidence::Strong,
            _ => Confidence::Ambiguous,
        };
        self.people = people;
    }

    /// A cluster that several may use: the rights of its runs, and who was at work.
    fn shared(&mut self, ask: &mut Ask<'_>, host: &Host, is_job: bool, active: &[Person]) {
        let run_as = self.find_run_as(ask, host);
        let is_sole_job = self.jobs.len() == 1 && self.job >= Confidence::Strong;
        self.people.extend(run_as.iter().cloned());
        let others: Vec<&Person> = active
            .iter()
            .filter(|person| !run_as.contains(person))
            .collect();
        if !run_as.is_empty() {
            self.grounds.by(Method::M5RunAs);
        }
        if !active.is_empty() {
            self.grounds.by(Method::M5ActiveUsers);
        }
        self.people.extend(others.iter().map(|person| (*person).clone()));
        each_once(&mut self.people);
        self.person = match self.people.as_slice() {
            [] => Confidence::None,
            [_] if is_sole_job && others.is_empty() => Confidence::Strong,
            // Without a run there is the work of those who run commands.
            [_] if self.jobs.is_empty()
                && ask.has_passed(FactSource::Audit, ACTIVE_SECS)
                && ask.runs_have_passed(RUN_SLACK_SECS) =>
            {
                Confidence::Strong
            }
            _ => Confidence::Ambiguous,
        };
        if !is_job && !others.is_empty() {
            self.job = self.job.min(Confidence::Ambiguous);
            self.task = self.task.min(Confidence::Ambiguous);
        }
        self.run_as = run_as;
    }

    /// Whose rights the jobs had when they ran. A job without an answer may be
    /// anybody's, so nobody is then the only one.
    fn find_run_as(&mut self, ask: &mut Ask<'_>, host: &Host) -> Vec<Person> {
        let databricks = ask.databricks();
        let mut found = Vec::new();
        for job in &self.jobs {
            let workspace = job.workspace.as_deref().or(host.workspace.as_deref());
            let Some(workspace) = workspace else {
                continue;
            };
            let started = started_at(ask, workspace, job).unwrap_or(ask.at);
            let mut rows: Vec<(String, String)> = Vec::new();
            for at in [-CHANGE_SKEW_SECS, CHANGE_SKEW_SECS] {
                let mut span = TimeSpan::ALWAYS;
                let at = started.plus_seconds(at);
                rows.extend(databricks.runs.run_as(workspace, &job.job_id, at, &mut span));
                if started == ask.at {
                    let slack = at.0.saturating_sub(started.0);
                    ask.span = ask.span.intersect(TimeSpan {
                        from: UtcMicros(span.from.0.saturating_sub(slack)),
                        until: UtcMicros(span.until.0.saturating_sub(slack)),
                    });
                }
            }
            rows.sort();
            rows.dedup();
            for (whom, evidence) in rows {
                found.extend(databricks.people.resolve(&whom, ask.at, &mut ask.span));
                self.grounds.note(&evidence);
            }
        }
        each_once(&mut found);
        found
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

/// The runs on the cluster at the time, give or take a minute. A run that the
/// timeline shows no more is over once the next slice would have come.
fn runs_at(ask: &mut Ask<'_>, cluster: Name, host: &Host) -> Vec<Run> {
    let databricks = ask.databricks();
    let at = ask.at;
    let found: Vec<Run> = databricks
        .runs
        .at(cluster, at, RUN_SLACK_SECS, &mut ask.span)
        .copied()
        .collect();
    let mut runs = Vec::with_capacity(found.len());
    for run in found {
        if !is_of(ask, &run, host) {
            continue;
        }
        if run.open_since != UtcMicros::MAX
            && !ask.is_within(UtcMicros::MIN, run.open_since.plus_seconds(RUN_SLACK_SECS))
            && ask.has_passed(FactSource::TaskRuns, SLICE_SECS)
        {
            continue;
        }
        runs.push(run);
    }
    runs
}

/// Whether the run is of the host's workspace, as far as that is known.
fn is_of(ask: &Ask<'_>, run: &Run, host: &Host) -> bool {
    let workspace = ask.databricks().names.text(run.workspace);
    host.workspace.as_deref().is_none_or(|of| of == workspace)
}

/// The job runs that the runs belong to; one without a run's id is told by another
/// of its job that has one.
fn jobs_of(ask: &Ask<'_>, runs: &[Run]) -> Vec<JobRunOf> {
    let names = &ask.databricks().names;
    let mut jobs: Vec<JobRunOf> = runs
        .iter()
        .map(|run| JobRunOf {
            job_id: names.text(run.job).to_owned(),
            job_run_id: names.owned(run.job_run),
            workspace: names.owned(run.workspace),
        })
        .collect();
    jobs.sort();
    jobs.dedup();
    let told: Vec<(String, Option<String>)> = jobs
        .iter()
        .filter(|job| job.job_run_id.is_some())
        .map(|job| (job.job_id.clone(), job.workspace.clone()))
        .collect();
    jobs.retain(|job| {
        job.job_run_id.is_some()
            || !told
                .iter()
                .any(|(id, workspace)| (id, workspace) == (&job.job_id, &job.workspace))
    });
    jobs
}

fn tasks_of(ask: &Ask<'_>, runs: &[Run]) -> Vec<TaskRunOf> {
    let names = &ask.databricks().names;
    let mut tasks: Vec<TaskRunOf> = runs
        .iter()
        .filter_map(|run| {
            Some(TaskRunOf {
                task_run_id: names.owned(run.task_run)?,
                task_key: names.owned(run.task_key),
            })
        })
        .collect();
    tasks.sort();
    tasks.dedup();
    tasks
}

/// When the job's run began, as far as its own table or its tasks tell.
fn started_at(ask: &Ask<'_>, workspace: &str, job: &JobRunOf) -> Option<UtcMicros> {
    let databricks = ask.databricks();
    let names = &databricks.names;
    let run = names.find(job.job_run_id.as_deref()?)?;
    databricks.runs.started_at(names.find(workspace)?, run)
}

/// Who ran commands on the cluster within half an hour.
fn active_people(ask: &mut Ask<'_>, cluster: Name, host: &Host) -> Vec<Person> {
    let databricks = ask.databricks();
    let names = &databricks.names;
    let commands: Vec<_> = databricks
        .activity
        .commands_at(cluster, ask.at, ACTIVE_SECS, &mut ask.span)
        .copied()
        .collect();
    let mut people = Vec::new();
    for command in commands {
        let elsewhere = match (command.workspace.filled(), host.workspace.as_deref()) {
            (Some(a), Some(b)) => names.text(a) != b,
            _ => false,
        };
        let whom = command.run_by.filled().unwrap_or(command.actor);
        if !elsewhere {
            people.extend(
                databricks
                    .people
                    .resolve(names.text(whom), ask.at, &mut ask.span),
            );
        }
    }
    each_once(&mut people);
    people
}
