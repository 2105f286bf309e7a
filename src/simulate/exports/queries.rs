//! `system.query.history` and `system.access.table_lineage`: what may support or
//! contradict a guess, and never makes one.

use super::row::Row;
use super::table::{Columns, Form, Kind, Table};
use crate::simulate::SimulateError;
use crate::simulate::random::Random;
use crate::simulate::text::date;
use crate::simulate::write::World;
use std::path::Path;

const HISTORY: Columns = &[
    ("account_id", Kind::Text),
    ("workspace_id", Kind::Text),
    ("statement_id", Kind::Text),
    ("executed_by", Kind::Text),
    ("executed_by_user_id", Kind::Text),
    ("executed_as", Kind::Text),
    ("executed_as_user_id", Kind::Text),
    ("execution_status", Kind::Text),
    (
        "compute",
        Kind::Struct(&[
            ("type", Kind::Text),
            ("cluster_id", Kind::Text),
            ("warehouse_id", Kind::Text),
        ]),
    ),
    ("statement_text", Kind::Text),
    ("statement_type", Kind::Text),
    ("start_time", Kind::Time),
    ("end_time", Kind::Time),
    ("update_time", Kind::Time),
    ("read_files", Kind::Long),
    ("read_bytes", Kind::Long),
    ("from_result_cache", Kind::Bool),
    ("written_files", Kind::Long),
];

const LINEAGE: Columns = &[
    ("account_id", Kind::Text),
    ("metastore_id", Kind::Text),
    ("workspace_id", Kind::Text),
    ("entity_type", Kind::Text),
    ("entity_id", Kind::Text),
    ("entity_run_id", Kind::Text),
    ("source_table_full_name", Kind::Text),
    ("source_path", Kind::Text),
    ("source_type", Kind::Text),
    ("target_table_full_name", Kind::Text),
    ("target_path", Kind::Text),
    ("target_type", Kind::Text),
    ("created_by", Kind::Text),
    ("event_time", Kind::Time),
    ("event_date", Kind::Date),
    ("record_id", Kind::Text),
    ("event_id", Kind::Text),
    ("statement_id", Kind::Text),
];

pub(super) fn write(world: &World<'_>, dir: &Path) -> Result<u64, SimulateError> {
    let seed = world.org.size.seed;
    let mut history = Table::new(dir, "system.query.history", Form::Lines, HISTORY);
    let mut rows = Vec::new();
    for (n, statement) in world.play.statements.iter().enumerate() {
        let Some((workspace, user)) = world
            .org
            .workspaces
            .get(statement.workspace)
            .and_then(|workspace| Some((workspace, workspace.users.get(statement.user)?)))
        else {
            continue;
        };
        let mut random = Random::of(seed, "statement", &[n as u64]);
        let start = statement.at * 1000 + workspace.clock_skew_millis - 800;
        let end = start + statement.seconds * 1000;
        let warehouse = format!("{:016x}", 0x5ee5_0000 + statement.workspace);
        let row = Row::new()
            .text("account_id", &world.org.account_id)
            .text("workspace_id", &workspace.id)
            .text("statement_id", &random.uuid())
            .text("executed_by", &user.name)
            .text("executed_by_user_id", &user.number)
            .text("executed_as", &user.name)
            .text("executed_as_user_id", &user.number)
            .text("execution_status", "FINISHED")
            .json(
                "compute",
                &Row::new()
                    .text("type", "WAREHOUSE")
                    .text("warehouse_id", &warehouse)
                    .end(),
            )
            .text("statement_text", "<REDACTED>")
            .text("statement_type", "SELECT")
            .time("start_time", start)
            .time("end_time", end)
            .time("update_time", end + 900)
            .long("read_files", random.between(1, 300))
            .long("read_bytes", random.between(10_000, 900_000_000))
            .bool("from_result_cache", false)
            .long("written_files", 0);
        rows.push((start, row.end()));
    }
    history.part(rows)?;
    let mut lineage = Table::new(dir, "system.access.table_lineage", Form::GzipLines, LINEAGE);
    let mut rows = Vec::new();
    for (n, told) in world.play.lineage.iter().enumerate() {
        let Some((workspace, user)) = world
            .org
            .workspaces
            .get(told.workspace)
            .and_then(|workspace| Some((workspace, workspace.users.get(told.user)?)))
        else {
            continue;
        };
        let mut random = Random::of(seed, "lineage", &[n as u64]);
        let at = told.at * 1000 + workspace.clock_skew_millis;
        let entity = if told.notebook {
            "NOTEBOOK"
        } else {
            "DBSQL_QUERY"
        };
        let row = Row::new()
            .text("account_id", &world.org.account_id)
            .text("metastore_id", world.org.metastore(workspace))
            .text("workspace_id", &workspace.id)
            .text("entity_type", entity)
            .text(
                "entity_id",
                &format!("{}", 7_000_000 + random.below(90_000)),
            )
            .text("entity_run_id", &random.uuid())
            .text("source_table_full_name", &told.table.full_name)
            .text("source_path", &told.table.location.url())
            .text("source_type", "TABLE")
            .text("created_by", &user.name)
            .time("event_time", at)
            .text("event_date", &date(at.div_euclid(1000)))
            .text("record_id", &random.uuid())
            .text("event_id", &random.uuid());
        rows.push((at, row.end()));
    }
    lineage.part(rows)?;
    Ok(history.rows() + lineage.rows())
}
