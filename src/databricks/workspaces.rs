//! `system.access.workspaces_latest`: names of workspaces.

use super::Reader;
use super::gathered::Gathered;
use super::row::Row;
use crate::model::UtcMicros;
use crate::model::databricks::Workspace;

pub const READER: Reader = Reader {
    columns: &["workspace_id", "workspace_name", "workspace_url"],
    take,
};

fn take(row: &Row<'_>, gathered: &mut Gathered) -> Result<Option<UtcMicros>, String> {
    gathered.workspaces.push(Workspace {
        workspace_id: row.need_text("workspace_id")?,
        name: row.text("workspace_name"),
        url: row.text("workspace_url"),
    });
    Ok(None)
}
