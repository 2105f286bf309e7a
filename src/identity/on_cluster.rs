//! M4: the runs that used a cluster at a time, and the job and task runs they are of.

use super::ask::Ask;
use super::hosts::Host;
use super::names::{Name, Names};
use super::runs::Run;
use super::timeline::Item;
use super::watermarks::FactSource;
use super::work::{JobRunOf, RUN_SLACK_SECS, TaskRunOf};
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
        let workspace = Workspace::of(ask, host);
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
    fn of(ask: &Ask<'_>, host: &Host) -> Workspace {
        let Some(workspace) = host.workspace.as_deref() else {
            return Workspace::Unknown;
        };
        let name = ask.databricks().names.find(workspace);
        name.map_or(Workspace::Another, Workspace::Of)
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
    let of = each_once(runs.map(|run| (run.workspace, run.job, run.job_run)));
    let is_told = |(workspace, job, job_run): &(Name, Name, Name)| {
        let of_job = of.iter().filter(|of| (of.0, of.1) == (*workspace, *job));
        !job_run.is_none() || of_job.into_iter().all(|of| of.2.is_none())
    };
    let told = of.iter().filter(|of| is_told(of));
    let jobs = told.map(|&(workspace, job, job_run)| JobRunOf {
        job_id: names.text(job).to_owned(),
        job_run_id: names.owned(job_run),
        workspace: names.owned(workspace),
    });
    let mut jobs: Vec<JobRunOf> = jobs.collect();
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
