//! `system.access.table_lineage`: what read or wrote which path.

use super::Reader;
use super::gathered::Gathered;
use super::row::Row;
use crate::model::UtcMicros;
use crate::model::databricks::Lineage;

pub const READER: Reader = Reader {
    columns: &[
        "record_id",
        "event_id",
        "event_time",
        "workspace_id",
        "metastore_id",
        "entity_type",
        "entity_id",
        "entity_run_id",
        "source_path",
        "target_path",
        "source_table_full_name",
        "target_table_full_name",
        "created_by",
        "statement_id",
        "entity_metadata",
    ],
    take,
};

fn take(row: &Row<'_>, gathered: &mut Gathered) -> Result<Option<UtcMicros>, String> {
    let at = row.need_time("event_time")?;
    let workspace_id = row.need_text("workspace_id")?;
    let entity_id = row.text("entity_id");
    // Older rows have no `record_id`.
    let source_id = match row.text("record_id").or_else(|| row.text("event_id")) {
        Some(id) => format!("lineage:{id}"),
        None => {
            let entity = entity_id.as_deref().unwrap_or("-");
            format!("table_lineage:{workspace_id}/{entity}@{at}")
        }
    };
    let job = row.cell("entity_metadata").member("job_info").into_owned();
    gathered.lineage.push(Lineage {
        source_id,
        at,
        workspace_id,
        metastore_id: row.text("metastore_id"),
        entity_type: row.text("entity_type").filter(|kind| kind != "NULL"),
        entity_id,
        entity_run_id: row.text("entity_run_id"),
        source_path: row.text("source_path"),
        target_path: row.text("target_path"),
        source_table: row.text("source_table_full_name"),
        target_table: row.text("target_table_full_name"),
        created_by: row.text("created_by"),
        statement_id: row.text("statement_id"),
        job_id: job.first_text(&["job_id"]),
        job_run_id: job.first_text(&["job_run_id"]),
    });
    Ok(Some(at))
}
