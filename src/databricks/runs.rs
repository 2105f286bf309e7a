//! `system.lakeflow.job_run_timeline` and `job_task_run_timeline`: slices of runs.
//!
//! Long runs have a row for each hour, and only the last of them holds a result.

use super::Reader;
use super::cell::Cell;
use super::gathered::{Gathered, Slices};
use super::row::Row;
use crate::model::UtcMicros;
use crate::model::databricks::{JobRun, TaskRun, TaskRunSource};

pub const JOB_RUNS: Reader = Reader {
    columns: &[
        "workspace_id",
        "job_id",
        "run_id",
        "period_start_time",
        "period_end_time",
        "run_type",
        "compute_ids",
        "compute",
        "result_state",
    ],
    take: take_job_run,
};

pub const TASK_RUNS: Reader = Reader {
    columns: &[
        "workspace_id",
        "job_id",
        "run_id",
        "job_run_id",
        "task_key",
        "period_start_time",
        "period_end_time",
        "compute_ids",
        "compute",
        "result_state",
    ],
    take: take_task_run,
};

fn take_job_run(row: &Row<'_>, gathered: &mut Gathered) -> Result<Option<UtcMicros>, String> {
    let (start, end) = period(row)?;
    let run = JobRun {
        workspace_id: row.need_text("workspace_id")?,
        job_id: row.need_text("job_id")?,
        job_run_id: row.need_text("run_id")?,
        start,
        end: Some(end),
        run_type: row.text("run_type"),
        compute_ids: compute_ids(row),
    };
    push(&mut gathered.job_runs, run, row);
    Ok(Some(end))
}

fn take_task_run(row: &Row<'_>, gathered: &mut Gathered) -> Result<Option<UtcMicros>, String> {
    let (start, end) = period(row)?;
    let workspace_id = row.need_text("workspace_id")?;
    let task_run_id = row.need_text("run_id")?;
    let run = TaskRun {
        source_ids: vec![format!(
            "job_task_run_timeline:{workspace_id}/{task_run_id}"
        )],
        workspace_id,
        job_id: row.need_text("job_id")?,
        job_run_id: row.text("job_run_id").filter(|id| id != "0"),
        task_run_id,
        task_key: row.text("task_key"),
        start,
        end: Some(end),
        compute_ids: compute_ids(row),
        source: TaskRunSource::Timeline,
    };
    push(&mut gathered.task_runs, run, row);
    Ok(Some(end))
}

fn push<R: crate::model::databricks_join::Fact>(slices: &mut Slices<R>, run: R, row: &Row<'_>) {
    let has_result = row.text("result_state").is_some();
    // By values alone, so that every format of an export tells the same: JSON may
    // leave out a column that is NULL throughout.
    slices.results_known |= has_result;
    slices.push(run, has_result);
}

fn period(row: &Row<'_>) -> Result<(UtcMicros, UtcMicros), String> {
    let start = row.need_time("period_start_time")?;
    let end = row.need_time("period_end_time")?;
    if end < start {
        return Err(format!(
            "`period_end_time` {end} is before `period_start_time` {start}"
        ));
    }
    Ok((start, end))
}

/// Clusters and warehouses, from the list of ids or the newer list of structs.
fn compute_ids(row: &Row<'_>) -> Vec<String> {
    let mut ids = row.texts("compute_ids");
    let id_of = |compute: &Cell| compute.first_text(&["cluster_id", "warehouse_id", "id"]);
    let compute = row.cell("compute");
    ids.extend(compute.items().iter().filter_map(id_of));
    ids.extend(id_of(&compute));
    ids.sort_unstable();
    ids.dedup();
    ids
}
