//! M4: the runs that used a cluster at a time, and the job and task runs they are of.

use super::ask::Ask;
use super::hosts::Host;
use super::names::Name;
use super::runs::Run;
use super::watermarks::FactSource;
use super::work::{JobRunOf, RUN_SLACK_SECS, TaskRunOf};
use crate::model::UtcMicros;

/// How long after a slice's end the next one is in the table.
const SLICE_SECS: i64 = 3600;

/// The runs on the cluster at the time, give or take a minute. A run that the
/// timeline shows no more is over once the next slice would have come.
pub(super) fn runs_at(ask: &mut Ask<'_>, cluster: Name, host: &Host) -> Vec<Run> {
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
pub(super) fn is_of(ask: &Ask<'_>, run: &Run, host: &Host) -> bool {
    let workspace = ask.databricks().names.text(run.workspace);
    host.workspace.as_deref().is_none_or(|of| of == workspace)
}

/// The job runs that the runs belong to; one without a run's id is told by another
/// of its job that has one.
pub(super) fn jobs_of(ask: &Ask<'_>, runs: &[Run]) -> Vec<JobRunOf> {
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

pub(super) fn tasks_of(ask: &Ask<'_>, runs: &[Run]) -> Vec<TaskRunOf> {
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
