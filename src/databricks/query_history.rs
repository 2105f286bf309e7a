//! `system.query.history`: statements of SQL warehouses and serverless compute.
//! Their text is never read.

use super::Reader;
use super::gathered::Gathered;
use super::row::Row;
use crate::model::UtcMicros;
use crate::model::databricks::Statement;

pub const READER: Reader = Reader {
    columns: &[
        "statement_id",
        "workspace_id",
        "start_time",
        "end_time",
        "executed_by",
        "executed_as",
        "compute",
        "query_source",
        "read_files",
        "written_files",
        "from_result_cache",
    ],
    take,
};

fn take(row: &Row<'_>, gathered: &mut Gathered) -> Result<Option<UtcMicros>, String> {
    let start = row.need_time("start_time")?;
    let end = row.time("end_time");
    let compute = row.cell("compute").opened().into_owned();
    let job = row.cell("query_source").member("job_info").into_owned();
    gathered.statements.push(Statement {
        statement_id: row.need_text("statement_id")?,
        workspace_id: row.need_text("workspace_id")?,
        start,
        end,
        executed_by: row.text("executed_by"),
        executed_as: row.text("executed_as"),
        warehouse_id: compute.first_text(&["warehouse_id"]),
        compute_type: compute.first_text(&["type"]),
        job_id: job.first_text(&["job_id"]),
        job_run_id: job.first_text(&["job_run_id"]),
        task_key: job.first_text(&["job_task_key"]),
        task_run_id: job.first_text(&["job_task_run_id"]),
        read_files: row.int("read_files"),
        written_files: row.int("written_files"),
        from_result_cache: row.flag("from_result_cache").unwrap_or(false),
    });
    Ok(Some(end.unwrap_or(start)))
}
