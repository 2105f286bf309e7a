//! Which job and task runs used a cluster, and whose rights a job had (M4, M5).
//!
//! Two sources tell of one run: the audit log when it starts and ends, the
//! timeline tables in hourly slices, an hour late. Whatever they tell of one run is
//! joined: from its first start to its last end.
//!
//! INVARIANT (order is nothing): joining is a union (earliest start, latest end),
//! so slices may come in any order and number.

use super::names::{Name, Names};
use super::people::{in_effect, narrow};
use super::timeline::{Item, Timeline};
use crate::model::{Job, JobRun, TaskRun, TaskRunSource, TimeSpan, UtcMicros};
use hashbrown::HashMap;

/// What one source tells of one run on one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slice {
    key: RunKey,
    cluster: Name,
    source: Source,
    job_run: Name,
    task_key: Name,
    from: UtcMicros,
    /// `MIN` while no end is known.
    until: UtcMicros,
    /// None where the source has no ids; see [`Run::evidence`].
    evidence: Name,
}

/// A run of a task, or of a job if `task_run` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct RunKey {
    workspace: Name,
    job: Name,
    task_run: Name,
    /// Only of a job's run; a task's own run id is enough.
    of_job: Name,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    TaskTimeline,
    JobTimeline,
    Audit,
}

/// A run, whatever tells of it joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    pub workspace: Name,
    pub job: Name,
    /// None in old rows.
    pub job_run: Name,
    /// None if only the job's run is known.
    pub task_run: Name,
    pub task_key: Name,
    evidence: Name,
    pub started: UtcMicros,
    /// Last end that the timeline shows of a run that the audit log has not seen
    /// end; `MAX` if its end is known, or nothing but its start.
    pub open_since: UtcMicros,
}

impl Run {
    /// What tells of the run.
    pub fn evidence<'a>(&self, names: &'a Names) -> RunEvidence<'a> {
        if let Some(id) = self.evidence.filled() {
            return RunEvidence::Record(names.text(id));
        }
        let (table, run) = match self.task_run.is_none() {
            true => ("job_run_timeline", self.job_run),
            false => ("job_task_run_timeline", self.task_run),
        };
        RunEvidence::Row {
            table,
            workspace: names.text(self.workspace),
            run: names.text(run),
        }
    }
}

/// What tells of a run. Its text is made when it is told, for an index of a million
/// runs has no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RunEvidence<'a> {
    /// A record that has an id.
    Record(&'a str),
    /// A run's rows in a table that gives them no ids.
    Row {
        table: &'static str,
        workspace: &'a str,
        run: &'a str,
    },
}

impl From<RunEvidence<'_>> for String {
    fn from(evidence: RunEvidence<'_>) -> String {
        match evidence {
            RunEvidence::Record(id) => id.to_owned(),
            RunEvidence::Row {
                table,
                workspace,
                run,
            } => [table, ":", workspace, "/", run].concat(),
        }
    }
}

/// The first of two ids by their texts, if there is one.
fn first_id(a: Name, b: Name, names: &Names) -> Name {
    match (a.filled(), b.filled()) {
        (Some(a), Some(b)) if names.text(b) < names.text(a) => b,
        (None, Some(b)) => b,
        _ => a,
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    slices: Vec<Slice>,
    by_cluster: Timeline<Name, Run>,
    by_job_run: Timeline<(Name, Name), Run>,
    started: HashMap<(Name, Name), UtcMicros>,
    jobs: Vec<Job>,
    by_job: HashMap<(Name, Name), std::ops::Range<usize>>,
}

impl Runs {
    /// Adds what was told; each fact goes as soon as it is kept.
    pub fn add(&mut self, tasks: Vec<TaskRun>, job_runs: Vec<JobRun>, names: &mut Names) {
        self.slices.reserve(tasks.len() + job_runs.len());
        for task in tasks {
            let key = RunKey {
                workspace: names.add(&task.workspace_id),
                job: names.add(&task.job_id),
                task_run: names.add(&task.task_run_id),
                of_job: Name::NONE,
            };
            let evidence = names.add_some(task.source_ids.iter().min().map(String::as_str));
            let slice = Slice {
                key,
                cluster: Name::NONE,
                source: match task.source {
                    TaskRunSource::Timeline => Source::TaskTimeline,
                    TaskRunSource::Audit => Source::Audit,
                },
                job_run: names.add_some(task.job_run_id.as_deref()),
                task_key: names.add_some(task.task_key.as_deref()),
                from: task.start,
                until: task.end.unwrap_or(UtcMicros::MIN),
                evidence,
            };
            self.add_slices(slice, &task.compute_ids, names);
        }
        for run in job_runs {
            let job_run = names.add(&run.job_run_id);
            let slice = Slice {
                key: RunKey {
                    workspace: names.add(&run.workspace_id),
                    job: names.add(&run.job_id),
                    task_run: Name::NONE,
                    of_job: job_run,
                },
                cluster: Name::NONE,
                source: Source::JobTimeline,
                job_run,
                task_key: Name::NONE,
                from: run.start,
                until: run.end.unwrap_or(UtcMicros::MIN),
                evidence: Name::NONE,
            };
            self.add_slices(slice, &run.compute_ids, names);
        }
        self.join(names);
    }

    fn add_slices(&mut self, slice: Slice, compute_ids: &[String], names: &mut Names) {
        if compute_ids.is_empty() {
            self.slices.push(slice);
        }
        for id in compute_ids {
            let cluster = names.add(id);
            self.slices.push(Slice { cluster, ..slice });
        }
    }

    /// Joins the slices of one run, source and cluster into one, then all of a run
    /// into what is looked up.
    fn join(&mut self, names: &Names) {
        self.slices.sort_unstable();
        let mut joined: Vec<Slice> = Vec::with_capacity(self.slices.len());
        for slice in self.slices.drain(..) {
            match joined.last_mut() {
                Some(last)
                    if (
                        last.key,
                        last.cluster,
                        last.source,
                        last.job_run,
                        last.task_key,
                    ) == (
                        slice.key,
                        slice.cluster,
                        slice.source,
                        slice.job_run,
                        slice.task_key,
                    ) =>
                {
                    last.from = last.from.min(slice.from);
                    last.until = last.until.max(slice.until);
                    last.evidence = first_id(last.evidence, slice.evidence, names);
                }
                _ => joined.push(slice),
            }
        }
        joined.shrink_to_fit();
        self.slices = joined;
        self.started.clear();
        let mut by_cluster = Vec::with_capacity(self.slices.len());
        let mut by_job_run = Vec::new();
        for slices in self.slices.chunk_by(|a, b| a.key == b.key) {
            let Some((run, until)) = run_of(slices, names) else {
                continue;
            };
            let mut clusters: Vec<Name> = slices
                .iter()
                .filter_map(|slice| slice.cluster.filled())
                .collect();
            clusters.sort_unstable();
            clusters.dedup();
            for cluster in clusters {
                by_cluster.push((cluster, run.started, until, run));
            }
            if !run.job_run.is_none() {
                let key = (run.workspace, run.job_run);
                let started = self.started.entry(key).or_insert(run.started);
                *started = (*started).min(run.started);
            }
            if run.task_run.is_none() {
                by_job_run.push(((run.workspace, run.job_run), run.started, until, run));
            }
        }
        self.by_cluster = Timeline::of(by_cluster);
        self.by_job_run = Timeline::of(by_job_run);
    }

    pub fn add_jobs(&mut self, jobs: Vec<Job>, names: &mut Names) {
        self.jobs.extend(jobs);
        self.jobs.sort();
        self.jobs.dedup();
        self.by_job.clear();
        let mut start = 0;
        for group in self
            .jobs
            .chunk_by(|a, b| (&a.workspace_id, &a.job_id) == (&b.workspace_id, &b.job_id))
        {
            if let Some(job) = group.first() {
                let key = (names.add(&job.workspace_id), names.add(&job.job_id));
                self.by_job.insert(key, start..start + group.len());
            }
            start += group.len();
        }
    }

    /// Every run that ever named the cluster.
    pub fn ever(&self, cluster: Name) -> &[Item<Run>] {
        self.by_cluster.all(cluster)
    }

    /// The runs on the cluster at `at`, give or take the slack.
    pub fn at<'a>(
        &'a self,
        cluster: Name,
        at: UtcMicros,
        slack: i64,
        span: &mut TimeSpan,
    ) -> impl Iterator<Item = &'a Run> + use<'a> {
        self.by_cluster
            .at(cluster, at, slack, span)
            .map(|item| &item.value)
    }

    /// When a job's run began: the earliest start of it or of a task of it.
    pub fn started_at(&self, workspace: Name, job_run: Name) -> Option<UtcMicros> {
        self.started.get(&(workspace, job_run)).copied()
    }

    /// The run of a job by its id, where it was under way at `at`.
    pub fn job_run_at(
        &self,
        workspace: Name,
        job_run: Name,
        at: UtcMicros,
        slack: i64,
        span: &mut TimeSpan,
    ) -> Option<&Run> {
        self.by_job_run
            .at((workspace, job_run), at, slack, span)
            .map(|item| &item.value)
            .next()
    }

    /// The row of the job that was in effect at `at`; of several of one time the last.
    pub fn job_at(
        &self,
        workspace: Name,
        job: Name,
        at: UtcMicros,
        span: &mut TimeSpan,
    ) -> Option<&Job> {
        let rows = self.rows_of(workspace, job);
        let times: Vec<UtcMicros> = rows.iter().map(|row| row.changed_at).collect();
        narrow(&times, at, span);
        let time = in_effect(times.into_iter(), at)?;
        rows.iter().rfind(|row| row.changed_at == time)
    }

    fn rows_of(&self, workspace: Name, job: Name) -> &[Job] {
        let key = workspace.filled().zip(job.filled());
        key.and_then(|key| self.by_job.get(&key))
            .and_then(|range| self.jobs.get(range.clone()))
            .unwrap_or_default()
    }

    /// Whose rights the job had at `at`, as written: several if rows disagree.
    pub fn run_as(
        &self,
        workspace: Name,
        job: Name,
        at: UtcMicros,
        span: &mut TimeSpan,
    ) -> Vec<(String, String)> {
        let rows = self.rows_of(workspace, job);
        let times: Vec<UtcMicros> = rows.iter().map(|row| row.changed_at).collect();
        narrow(&times, at, span);
        let told = || rows.iter().filter(|row| row.run_as.is_some());
        let Some(time) = in_effect(told().map(|row| row.changed_at), at) else {
            return Vec::new();
        };
        let evidence = |row: &Job| {
            format!(
                "jobs:{}/{}@{}",
                row.workspace_id, row.job_id, row.changed_at
            )
        };
        let mut found: Vec<(String, String)> = told()
            // Before the first row, anything that was ever true may have been.
            .filter(|row| row.changed_at == time || time > at)
            .filter_map(|row| Some((row.run_as.clone()?, evidence(row))))
            .collect();
        found.sort();
        found.dedup_by(|a, b| a.0 == b.0);
        found
    }
}

/// What all slices of one run tell together, and until when it lasted.
fn run_of(slices: &[Slice], names: &Names) -> Option<(Run, UtcMicros)> {
    let first = slices.first()?;
    let started = slices.iter().map(|slice| slice.from).min()?;
    let end_by = |audit: bool| {
        slices
            .iter()
            .filter(|slice| (slice.source == Source::Audit) == audit)
            .map(|slice| slice.until)
            .max()
    };
    let (audit, timeline) = (end_by(true), end_by(false));
    let (until, open_since) = match (audit, timeline) {
        (Some(UtcMicros::MIN), Some(end)) if end != UtcMicros::MIN => (UtcMicros::MAX, end),
        (Some(end), Some(other)) if end.max(other) != UtcMicros::MIN => {
            (end.max(other), UtcMicros::MAX)
        }
        (Some(end), None) | (None, Some(end)) if end != UtcMicros::MIN => (end, UtcMicros::MAX),
        _ => (UtcMicros::MAX, UtcMicros::MAX),
    };
    // Where sources disagree, nobody is believed.
    let sole = |of: fn(&Slice) -> Name| {
        let mut told = slices.iter().filter_map(|slice| of(slice).filled());
        let first = told.next().unwrap_or(Name::NONE);
        if told.all(|other| other == first) {
            first
        } else {
            Name::NONE
        }
    };
    let evidence = slices
        .iter()
        .map(|slice| slice.evidence)
        .fold(Name::NONE, |a, b| first_id(a, b, names));
    let run = Run {
        workspace: first.key.workspace,
        job: first.key.job,
        job_run: sole(|slice| slice.job_run),
        task_run: first.key.task_run,
        task_key: sole(|slice| slice.task_key),
        evidence,
        started,
        open_since,
    };
    Some((run, until.max(started)))
}
