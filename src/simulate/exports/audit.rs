//! `system.access.audit` and the audit-log delivery files: the same events in
//! two forms, snake case in the table, camel case in the files.
//!
//! Unity Catalog's rows are at account level: `workspace_id` is 0 there, and the
//! real one stands in the parameters.

use super::file;
use super::row::Row;
use super::scim::changed_group_id;
use super::table::{Columns, Dated, Form, Kind, Table};
use crate::simulate::SimulateError;
use crate::simulate::compute::changed_group_name;
use crate::simulate::org::{TableKind, Workspace};
use crate::simulate::play::Vend;
use crate::simulate::random::Random;
use crate::simulate::stage::{GROUP_CHANGES, JOINS, LEAVES};
use crate::simulate::text::{date, quoted};
use crate::simulate::write::World;
use std::collections::BTreeMap;
use std::path::Path;

const COLUMNS: Columns = &[
    ("account_id", Kind::Text),
    ("workspace_id", Kind::Text),
    ("version", Kind::Text),
    ("event_time", Kind::Time),
    ("event_date", Kind::Date),
    ("source_ip_address", Kind::Text),
    ("user_agent", Kind::Text),
    ("session_id", Kind::Text),
    (
        "user_identity",
        Kind::Struct(&[("email", Kind::Text), ("subject_name", Kind::Text)]),
    ),
    ("service_name", Kind::Text),
    ("action_name", Kind::Text),
    ("request_id", Kind::Text),
    ("request_params", Kind::Map),
    (
        "response",
        Kind::Struct(&[
            ("status_code", Kind::Long),
            ("error_message", Kind::Text),
            ("result", Kind::Text),
        ]),
    ),
    ("audit_level", Kind::Text),
    ("event_id", Kind::Text),
    (
        "identity_metadata",
        Kind::Struct(&[("run_by", Kind::Text), ("run_as", Kind::Text)]),
    ),
];

/// One audit event.
pub(super) struct Audit {
    pub millis: i64,
    /// 0 at account level.
    pub workspace_id: String,
    pub service: &'static str,
    pub action: &'static str,
    pub email: String,
    pub source_ip: String,
    pub user_agent: &'static str,
    pub params: Vec<(&'static str, String)>,
    pub status: i64,
    pub error: Option<&'static str>,
    pub result: Option<String>,
    /// Who acted, and with whose rights.
    pub run: Option<(String, String)>,
}

pub(super) fn write(world: &World<'_>, dir: &Path) -> Result<u64, SimulateError> {
    let mut table = Table::new(dir, "system.access.audit", Form::Parquet, COLUMNS);
    // By workspace id and date, as the delivery files lie.
    let mut files: BTreeMap<(String, String), Vec<Dated>> = BTreeMap::new();
    for (number, workspace) in world.org.workspaces.iter().enumerate() {
        let mut events = vends(world, number, workspace);
        events.extend(sharing(world, number, workspace));
        events.extend(group_changes(workspace, number));
        events.extend(super::lakeflow::audits(world, number, workspace));
        events.extend(super::clusters::audits(world, number, workspace));
        events.sort_by(|a, b| (a.millis, &a.params).cmp(&(b.millis, &b.params)));
        let mut rows = Vec::with_capacity(events.len());
        for (n, event) in events.iter().enumerate() {
            let mut random = Random::of(world.org.size.seed, "audit", &[number as u64, n as u64]);
            let request_id = random.uuid();
            let event_id = random.uuid();
            rows.push((
                event.millis,
                table_row(event, &world.org.account_id, &request_id, &event_id),
            ));
            let day = date(event.millis.div_euclid(1000));
            files
                .entry((event.workspace_id.clone(), day))
                .or_default()
                .push((
                    event.millis,
                    file_row(event, &world.org.account_id, &request_id),
                ));
        }
        table.part(rows)?;
    }
    for ((workspace_id, day), mut rows) in files {
        rows.sort();
        let folder = dir.join(format!("auditlogs/workspaceId={workspace_id}/date={day}"));
        let lines = |rows: &[Dated]| {
            let mut lines = String::new();
            for (_, row) in rows {
                lines.push_str(row);
                lines.push('\n');
            }
            lines
        };
        file(&folder.join("auditlogs_0001.json"), lines(&rows).as_bytes())?;
        // Files may be rewritten and overlap: the last tenth comes again.
        let again = rows.get(rows.len() - rows.len() / 10..).unwrap_or_default();
        if !again.is_empty() {
            file(&folder.join("auditlogs_0002.json"), lines(again).as_bytes())?;
        }
    }
    Ok(table.rows())
}

fn map(params: &[(&str, String)]) -> String {
    let mut row = Row::new();
    for (name, value) in params {
        row = row.text(name, value);
    }
    row.end()
}

fn table_row(event: &Audit, account_id: &str, request_id: &str, event_id: &str) -> String {
    let response = Row::new()
        .long("status_code", event.status)
        .maybe("error_message", event.error)
        .maybe("result", event.result.as_deref())
        .end();
    let mut row = Row::new()
        .text("account_id", account_id)
        .text("workspace_id", &event.workspace_id)
        .text("version", "2.0")
        .time("event_time", event.millis)
        .text("event_date", &date(event.millis.div_euclid(1000)))
        .text("source_ip_address", &event.source_ip)
        .text("user_agent", event.user_agent)
        .json(
            "user_identity",
            &Row::new().text("email", &event.email).end(),
        )
        .text("service_name", event.service)
        .text("action_name", event.action)
        .text("request_id", request_id)
        .json("request_params", &map(&event.params))
        .json("response", &response)
        .text("audit_level", level(event))
        .text("event_id", event_id);
    if let Some((run_by, run_as)) = &event.run {
        let members = Row::new().text("run_by", run_by).text("run_as", run_as);
        row = row.json("identity_metadata", &members.end());
    }
    row.end()
}

fn file_row(event: &Audit, account_id: &str, request_id: &str) -> String {
    let response = Row::new()
        .long("statusCode", event.status)
        .maybe("errorMessage", event.error)
        .maybe("result", event.result.as_deref())
        .end();
    Row::new()
        .text("version", "2.0")
        .text("auditLevel", level(event))
        .long("timestamp", event.millis)
        .text("orgId", &event.workspace_id)
        .text("shardName", "shard")
        .text("accountId", account_id)
        .text("sourceIPAddress", &event.source_ip)
        .text("userAgent", event.user_agent)
        .json("sessionId", "null")
        .json(
            "userIdentity",
            &format!(
                r#"{{"email":"{}","subjectName":null}}"#,
                quoted(&event.email)
            ),
        )
        .text("serviceName", event.service)
        .text("actionName", event.action)
        .text("requestId", request_id)
        .json("requestParams", &map(&event.params))
        .json("response", &response)
        .end()
}

fn level(event: &Audit) -> &'static str {
    match event.workspace_id.as_str() {
        "0" => "ACCOUNT_LEVEL",
        _ => "WORKSPACE_LEVEL",
    }
}

fn vends(world: &World<'_>, number: usize, workspace: &Workspace) -> Vec<Audit> {
    world
        .play
        .vends
        .iter()
        .filter(|vend| vend.workspace == number)
        .map(|vend| vend_event(world, workspace, vend))
        .collect()
}

fn vend_event(world: &World<'_>, workspace: &Workspace, vend: &Vend) -> Audit {
    let table = &vend.table;
    let mut params = vec![
        ("metastore_id", world.org.metastore(workspace).to_owned()),
        ("workspace_id", workspace.id.to_string()),
    ];
    let (action, plural, operation) = match (table.kind, vend.writes) {
        (TableKind::Volume, writes) => (
            "generateTemporaryVolumeCredential",
            "generateTemporaryVolumeCredentials",
            if writes {
                "WRITE_VOLUME"
            } else {
                "READ_VOLUME"
            },
        ),
        (TableKind::Path, writes) => (
            "generateTemporaryPathCredential",
            "generateTemporaryPathCredentials",
            if writes {
                "PATH_READ_WRITE"
            } else {
                "PATH_READ"
            },
        ),
        (_, writes) => (
            "generateTemporaryTableCredential",
            "generateTemporaryTableCredentials",
            if writes { "READ_WRITE" } else { "READ" },
        ),
    };
    params.push(("operation", operation.to_owned()));
    match table.kind {
        TableKind::Volume => {
            params.push(("volume_full_name", table.full_name.clone()));
            params.push(("volume_id", table.id.clone()));
        }
        TableKind::Path => params.push(("url", table.location.url())),
        TableKind::External | TableKind::Managed => {
            params.push(("table_full_name", table.full_name.clone()));
            params.push(("table_id", table.id.clone()));
            params.push(("table_url", table.location.url()));
        }
    }
    Audit {
        millis: vend.at_millis,
        workspace_id: "0".to_owned(),
        service: "unityCatalog",
        action: if vend.plural { plural } else { action },
        email: vend
            .principal
            .as_ref()
            .map_or_else(|| "System-User".to_owned(), |who| who.name.to_string()),
        source_ip: vend.source_ip.clone(),
        user_agent: vend.user_agent,
        params,
        status: if vend.denied { 403 } else { 200 },
        error: vend
            .denied
            .then_some("PERMISSION_DENIED: User does not have MODIFY on Table."),
        result: None,
        run: None,
    }
}

/// One leaves a group, another joins it: SCIM shows only who is in it afterwards.
fn group_changes(workspace: &Workspace, number: usize) -> Vec<Audit> {
    let change = |user: usize, after: i64, action| {
        let user = workspace.users.get(user)?;
        Some(Audit {
            workspace_id: "0".to_owned(),
            ..of_workspace(
                workspace,
                GROUP_CHANGES + after,
                "accounts",
                action,
                "admin@northwind.example",
                vec![
                    ("targetGroupId", changed_group_id(number)),
                    ("targetGroupName", changed_group_name(workspace)),
                    ("targetUserId", user.number.clone()),
                    ("targetUserName", user.name.to_string()),
                ],
            )
        })
    };
    let leaves = change(LEAVES, 0, "removePrincipalFromGroup");
    let joins = change(JOINS, 5, "addPrincipalToGroup");
    leaves.into_iter().chain(joins).collect()
}

fn sharing(world: &World<'_>, number: usize, workspace: &Workspace) -> Vec<Audit> {
    let shared = world
        .play
        .sharing
        .iter()
        .filter(|sharing| sharing.workspace == number);
    shared
        .map(|sharing| {
            let result = Row::new()
                .text("tableName", &sharing.table.full_name)
                .text("tableId", &sharing.table.id)
                .text("path", &sharing.table.location.url())
                .long("numRecords", 1200)
                .text("userAgent", "Delta-Sharing-Spark/3.2.0")
                .end();
            Audit {
                millis: sharing.at * 1000 + workspace.clock_skew_millis,
                workspace_id: "0".to_owned(),
                service: "unityCatalog",
                action: "deltaSharingQueriedTable",
                email: String::new(),
                source_ip: "192.0.2.230".to_owned(),
                user_agent: "Delta-Sharing-Spark/3.2.0",
                params: vec![
                    ("metastore_id", world.org.metastore(workspace).to_owned()),
                    ("workspace_id", workspace.id.to_string()),
                    ("recipient_name", "partner_retail".to_owned()),
                    ("share", "northwind_share".to_owned()),
                    ("name", sharing.table.full_name.clone()),
                ],
                status: 200,
                error: None,
                result: Some(result),
                run: None,
            }
        })
        .collect()
}

/// An event of a workspace's own services.
pub(super) fn of_workspace(
    workspace: &Workspace,
    at: i64,
    service: &'static str,
    action: &'static str,
    email: &str,
    params: Vec<(&'static str, String)>,
) -> Audit {
    Audit {
        millis: at * 1000 + workspace.clock_skew_millis,
        workspace_id: workspace.id.to_string(),
        service,
        action,
        email: email.to_owned(),
        source_ip: String::new(),
        user_agent: "",
        params,
        status: 200,
        error: None,
        result: None,
        run: None,
    }
}
