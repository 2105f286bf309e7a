//! M4: the runs that used a cluster at a time, and the job and task runs they are of.

use super::ask::Ask;
use super::hosts::Host;
use super::names::{Name, Names};
use super::runs::Run;
use super::timeline::Item;
use super::watermarks::FactSource;
use super::work::{JobRunKey, JobRunOf, RUN_SLACK_SECS, TaskRunOf};
use crate::model::UtcMicros;

/// How long after a slice's end the next one is in the table.
const SLICE_SECS: i64 = 3600;

/// The runs of one cluster.
pub(super) struct RunsOn<'a> {
    /// At the time, give or take a minute.
    here: Vec<&'a Run>,
    of_cluster: &'a [Item<Run>],
    workspace: Workspace,
    /// Whether all that were here are known.
    pub are_complete: bool,
}

impl<'a> RunsOn<'a> {
    /// Finds the runs on the cluster. One that the timeline shows no more is over once
    /// the next slice would have come.
    pub fn find(ask: &mut Ask<'a>, cluster: Name, host: &Host) -> RunsOn<'a> {
        let all = &ask.databricks().runs;
        let workspace = Workspace::of(host);
        let mut here = Vec::new();
        for run in all.at(cluster, ask.at, RUN_SLACK_SECS, &mut ask.span) {
            if !workspace.has(run) {
                continue;
            }
            if run.open_since != UtcMicros::MAX
                && !ask.is_within(UtcMicros::MIN, run.open_since.plus_seconds(RUN_SLACK_SECS))
                && ask.has_passed(FactSource::TaskRuns, SLICE_SECS)
            {
                continue;
            }
            here.push(run);
        }
        RunsOn {
            here,
            of_cluster: all.ever(cluster),
            workspace,
            are_complete: ask.runs_have_passed(RUN_SLACK_SECS),
        }
    }

    /// The runs that the cluster ever had.
    pub fn ever(&self) -> impl Iterator<Item = &'a Run> + use<'a> {
        let workspace = self.workspace;
        let runs = self.of_cluster.iter().map(|item| &item.value);
        runs.filter(move |run| workspace.has(run))
    }

    pub fn here(&self) -> impl Iterator<Item = &'a Run> {
        self.here.iter().copied()
    }
}

/// The workspace of a host, as far as it is known.
#[derive(Clone, Copy)]
enum Workspace {
    Unknown,
    Of(Name),
    /// No fact names it.
    Another,
}

impl Workspace {
    fn of(host: &Host) -> Workspace {
        match (&host.workspace, host.of.workspace.filled()) {
            (None, _) => Workspace::Unknown,
            (Some(_), None) => Workspace::Another,
            (Some(_), Some(workspace)) => Workspace::Of(workspace),
        }
    }

    /// Whether the run may be of it.
    fn has(self, run: &Run) -> bool {
        match self {
            Workspace::Unknown => true,
            Workspace::Of(workspace) => run.workspace == workspace,
            Workspace::Another => false,
        }
    }
}

/// The job runs that the runs belong to; one without a run's id is told by another
/// of its job that has one.
pub(super) fn jobs_of<'a>(runs: impl Iterator<Item = &'a Run>, names: &Names) -> Vec<JobRunOf> {
    let of = each_once(runs.map(|run| JobRunKey {
        workspace: run.workspace,
        job: run.job,
        job_run: run.job_run,
    }));
    let is_told = |key: &JobRunKey| {
        let of_job = |of: &&JobRunKey| (of.workspace, of.job) == (key.workspace, key.job);
        !key.job_run.is_none() || of.iter().filter(of_job).all(|of| of.job_run.is_none())
    };
    let told = of.iter().filter(|key| is_told(key));
    let mut jobs: Vec<JobRunOf> = told.map(|key| JobRunOf::of(*key, names)).collect();
    jobs.sort();
    jobs
}

/// The task runs among the runs, in no order.
pub(super) fn tasks_of<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<TaskRunOf> {
    let tasks = runs.filter(|run| !run.task_run.is_none());
    each_once(tasks.map(|run| TaskRunOf {
        task_run: run.task_run,
        task_key: run.task_key,
    }))
}

/// Sorted. Neighbours are mostly alike, and are not kept first.
fn each_once<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut once: Vec<T> = Vec::new();
    for one in all {
        if once.last() != Some(&one) {
            once.push(one);
        }
    }
    once.sort_unstable();
    once.dedup();
    once
}
