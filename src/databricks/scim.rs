//! SCIM: users, service principals and groups, as they were when the file was
//! written. Groups hold their direct members; nesting is resolved in `identity`.

use super::cell::Cell;
use super::document::Answer;
use super::gathered::Gathered;
use super::row::Row;
use crate::model::UtcMicros;
use crate::model::databricks::{ScimEntry, ScimKind};

pub const ANSWER: Answer = Answer {
    list: "Resources",
    columns: &[
        "id",
        "userName",
        "applicationId",
        "displayName",
        "active",
        "members",
    ],
};

pub fn take(
    kind: ScimKind,
    row: &Row<'_>,
    seen_at: UtcMicros,
    gathered: &mut Gathered,
) -> Result<(), String> {
    let id = row.need_text("id")?;
    let name = match kind {
        ScimKind::User => Some(row.need_text("userName")?),
        ScimKind::ServicePrincipal => Some(row.need_text("applicationId")?),
        ScimKind::Group => None,
    };
    let mut members: Vec<String> = row
        .cell("members")
        .items()
        .iter()
        .filter_map(|member: &Cell| member.first_text(&["value"]))
        .collect();
    members.sort_unstable();
    members.dedup();
    gathered.scim.push(ScimEntry {
        kind,
        id,
        name,
        display_name: row.text("displayName"),
        active: row.flag("active"),
        members,
        seen_at,
    });
    Ok(())
}
