//! `system.lakeflow.*` and the audit events of jobs: which run had which cluster.
//!
//! `run_as` and `creator_id` are numeric ids, not names; a run over several
//! hours is sliced at full hours, and only its last slice tells the result.

use super::audit::{Audit, of_workspace};
use super::row::Row;
use super::table::{Columns, Dated, Form, Kind, Table};
use crate::simulate::SimulateError;
use crate::simulate::compute::{Job, Run};
use crate::simulate::org::{START, Workspace};
use crate::simulate::text::{DAY, HOUR};
use crate::simulate::write::World;
use std::ops::Range;
use std::path::Path;

const JOBS: Columns = &[
    ("account_id", Kind::Text),
    ("workspace_id", Kind::Text),
    ("job_id", Kind::Text),
    ("name", Kind::Text),
    ("creator_id", Kind::Text),
    ("tags", Kind::Map),
    ("change_time", Kind::Time),
    ("delete_time", Kind::Time),
    ("run_as", Kind::Text),
];

const RUNS: Columns = &[
    ("account_id", Kind::Text),
    ("workspace_id", Kind::Text),
    ("job_id", Kind::Text),
    ("run_id", Kind::Text),
    ("period_start_time", Kind::Time),
    ("period_end_time", Kind::Time),
    ("trigger_type", Kind::Text),
    ("run_type", Kind::Text),
    ("run_name", Kind::Text),
    ("compute_ids", Kind::Texts),
    ("result_state", Kind::Text),
    ("termination_code", Kind::Text),
];

const TASK_RUNS: Columns = &[
    ("account_id", Kind::Text),
    ("workspace_id", Kind::Text),
    ("job_id", Kind::Text),
    ("run_id", Kind::Text),
    ("job_run_id", Kind::Text),
    ("parent_run_id", Kind::Text),
    ("period_start_time", Kind::Time),
    ("period_end_time", Kind::Time),
    ("task_key", Kind::Text),
    ("compute_ids", Kind::Texts),
    ("result_state", Kind::Text),
    ("termination_code", Kind::Text),
];

pub(super) fn write(world: &World<'_>, dir: &Path) -> Result<u64, SimulateError> {
    let mut jobs = Table::new(dir, "system.lakeflow.jobs", Form::Lines, JOBS);
    let mut runs = Table::new(dir, "system.lakeflow.job_run_timeline", Form::Parquet, RUNS);
    let mut task_runs = Table::new(
        dir,
        "system.lakeflow.job_task_run_timeline",
        Form::Parquet,
        TASK_RUNS,
    );
    let (mut job_rows, mut run_rows, mut task_rows) = (Vec::new(), Vec::new(), Vec::new());
    for job in &world.compute.jobs {
        let Some(workspace) = world.org.workspaces.get(job.workspace) else {
            continue;
        };
        job_rows.push(job_row(world, workspace, job));
    }
    for (number, run) in world.compute.runs.iter().enumerate() {
        let Some(job) = world.compute.jobs.get(run.job) else {
            continue;
        };
        let Some(workspace) = world.org.workspaces.get(job.workspace) else {
            continue;
        };
        run_rows.extend(run_slices(world, workspace, job, number, run));
        task_rows.extend(task_slices(world, workspace, job, number, run));
    }
    jobs.part(job_rows)?;
    runs.part(run_rows)?;
    task_runs.part(task_rows)?;
    Ok(jobs.rows() + runs.rows() + task_runs.rows())
}

fn job_row(world: &World<'_>, workspace: &Workspace, job: &Job) -> Dated {
    let creator = workspace.users.get(job.creator);
    let run_as = workspace.services.get(job.run_as);
    let at = (START - 90 * DAY) * 1000 + workspace.clock_skew_millis;
    let row = Row::new()
        .text("account_id", &world.org.account_id)
        .text("workspace_id", &workspace.id)
        .text("job_id", &job.id)
        .text("name", &job.name)
        .maybe("creator_id", creator.map(|creator| &*creator.number))
        .json("tags", "{}")
        .time("change_time", at)
        .maybe("run_as", run_as.map(|run_as| &*run_as.number));
    (at, row.end())
}

/// The parts of a span between full hours.
fn slices(span: &Range<i64>) -> Vec<Range<i64>> {
    let mut slices = Vec::new();
    let mut from = span.start;
    while from < span.end {
        let until = (from - from.rem_euclid(HOUR) + HOUR).min(span.end);
        slices.push(from..until);
        from = until;
    }
    slices
}

/// One run in so many fails.
fn fails(number: usize) -> bool {
    number % 17 == 16
}

fn result(number: usize) -> (&'static str, &'static str) {
    if fails(number) {
        ("FAILED", "RUN_EXECUTION_ERROR")
    } else {
        ("SUCCEEDED", "SUCCESS")
    }
}

fn run_slices(
    world: &World<'_>,
    workspace: &Workspace,
    job: &Job,
    number: usize,
    run: &Run,
) -> Vec<Dated> {
    let (state, code) = result(number);
    let slices = slices(&run.span);
    let rows = slices.into_iter().map(|slice| {
        let is_last = slice.end == run.span.end;
        let skewed = |at: i64| at * 1000 + workspace.clock_skew_millis;
        let row = Row::new()
            .text("account_id", &world.org.account_id)
            .text("workspace_id", &workspace.id)
            .text("job_id", &job.id)
            .text("run_id", &run.id)
            .time("period_start_time", skewed(slice.start))
            .time("period_end_time", skewed(slice.end))
            .text("trigger_type", "CRON")
            .text("run_type", "JOB_RUN")
            .text("run_name", &job.name)
            .texts("compute_ids", &[])
            .maybe("result_state", is_last.then_some(state))
            .maybe("termination_code", is_last.then_some(code));
        (skewed(slice.start), row.end())
    });
    rows.collect()
}

fn task_slices(
    world: &World<'_>,
    workspace: &Workspace,
    job: &Job,
    number: usize,
    run: &Run,
) -> Vec<Dated> {
    let (state, code) = result(number);
    let cluster = run.cluster.and_then(|n| world.compute.clusters.get(n));
    let clusters: Vec<&str> = cluster.iter().map(|cluster| &*cluster.id).collect();
    let mut rows = Vec::new();
    for task in &run.tasks {
        for slice in slices(&task.span) {
            let is_last = slice.end == task.span.end;
            let skewed = |at: i64| at * 1000 + workspace.clock_skew_millis;
            let row = Row::new()
                .text("account_id", &world.org.account_id)
                .text("workspace_id", &workspace.id)
                .text("job_id", &job.id)
                .text("run_id", &task.id)
                .text("job_run_id", &run.id)
                .text("parent_run_id", &run.id)
                .time("period_start_time", skewed(slice.start))
                .time("period_end_time", skewed(slice.end))
                .text("task_key", task.key)
                .texts("compute_ids", &clusters)
                .maybe("result_state", is_last.then_some(state))
                .maybe("termination_code", is_last.then_some(code));
            rows.push((skewed(slice.start), row.end()));
        }
    }
    rows
}

/// `runTriggered`, and `runStart` and its end for each task.
pub(super) fn audits(world: &World<'_>, number: usize, workspace: &Workspace) -> Vec<Audit> {
    let mut events = Vec::new();
    for (n, run) in world.compute.runs.iter().enumerate() {
        let Some(job) = world.compute.jobs.get(run.job) else {
            continue;
        };
        if job.workspace != number {
            continue;
        }
        events.push(of_workspace(
            workspace,
            run.span.start - 5,
            "jobs",
            "runTriggered",
            "System-User",
            vec![
                ("jobId", job.id.to_string()),
                ("runId", run.id.to_string()),
                ("jobTriggerType", "cron".to_owned()),
            ],
        ));
        let cluster = run.cluster.and_then(|n| world.compute.clusters.get(n));
        let creator = workspace
            .users
            .get(job.creator)
            .map(|user| user.name.to_string());
        let run_as = workspace
            .services
            .get(job.run_as)
            .map(|service| service.name.to_string())
            .unwrap_or_default();
        for task in &run.tasks {
            let params = |terminal: &str| {
                let mut params = vec![
                    ("idInJob", format!("{n}")),
                    ("jobId", job.id.to_string()),
                    ("jobTaskType", "notebook".to_owned()),
                    ("jobTriggerType", "cron".to_owned()),
                    ("multitaskParentRunId", run.id.to_string()),
                    ("orgId", workspace.id.to_string()),
                    ("runId", task.id.to_string()),
                    ("taskKey", task.key.to_owned()),
                ];
                if let Some(cluster) = cluster {
                    params.push(("clusterId", cluster.id.to_string()));
                    let kind = cluster.run.map_or("existing", |_| "new");
                    params.push(("jobClusterType", kind.to_owned()));
                }
                if !terminal.is_empty() {
                    params.push(("jobTerminalState", terminal.to_owned()));
                }
                params
            };
            let (action, terminal) = if fails(n) {
                ("runFailed", "Failed")
            } else {
                ("runSucceeded", "Succeeded")
            };
            for (at, action, terminal) in [
                (task.span.start, "runStart", ""),
                (task.span.end, action, terminal),
            ] {
                events.push(Audit {
                    run: creator.clone().map(|creator| (creator, run_as.clone())),
                    ..of_workspace(workspace, at, "jobs", action, &run_as, params(terminal))
                });
            }
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::slices;

    #[test]
    fn a_run_is_sliced_at_full_hours() {
        assert_eq!(slices(&(3500..7300)), [3500..3600, 3600..7200, 7200..7300]);
        assert_eq!(slices(&(3600..7200)), vec![3600..7200]);
    }
}
