//! `system.lakeflow.jobs`: a row for each change of a job.

use super::Reader;
use super::gathered::Gathered;
use super::row::Row;
use crate::model::UtcMicros;
use crate::model::databricks::Job;

pub const READER: Reader = Reader {
    columns: &[
        "workspace_id",
        "job_id",
        "name",
        "creator_id",
        "run_as",
        "change_time",
        "delete_time",
        "tags",
    ],
    take,
};

fn take(row: &Row<'_>, gathered: &mut Gathered) -> Result<Option<UtcMicros>, String> {
    let changed_at = row.need_time("change_time")?;
    gathered.jobs.push(Job {
        workspace_id: row.need_text("workspace_id")?,
        job_id: row.need_text("job_id")?,
        changed_at,
        deleted_at: row.time("delete_time"),
        name: row.text("name"),
        run_as: row.text("run_as"),
        creator_id: row.text("creator_id"),
        tags: row.pairs("tags"),
    });
    Ok(Some(changed_at))
}
