//! The audit log, as `system.access.audit` and as delivery files, which hold the
//! same events under other names.
//!
//! Of the many actions only those are kept that tie people and runs to compute
//! and storage: vends, job runs, verbose notebook commands, queries of shares,
//! group changes. Every event's time counts for the watermark.
//!
//! Unity Catalog events are account-level (`workspace_id` 0): the workspace is
//! then a parameter of the request. Never kept: the text of a command, the
//! answer of a vend beyond an access key's id.

use super::Reader;
use super::address::address;
use super::cell::{Cell, same_name};
use super::gathered::Gathered;
use super::row::Row;
use crate::model::UtcMicros;
use crate::model::databricks::{
    CommandRun, GroupChange, ShareQuery, TaskRun, TaskRunSource, Vend, VendOperation,
};
use crate::model::databricks_join::DELIVERED;

pub const READER: Reader = Reader {
    columns: &[
        "event_id",
        "event_time",
        // Delivery files: epoch milliseconds.
        "timestamp",
        "workspace_id",
        "org_id",
        "source_ip_address",
        "user_agent",
        "user_identity",
        "service_name",
        "action_name",
        "request_id",
        "request_params",
        "response",
        "identity_metadata",
    ],
    take,
};

/// What is read of an event, by its action.
#[derive(Clone, Copy)]
enum Action {
    Vend,
    RunStart,
    RunEnd,
    Command,
    ShareQuery,
    GroupChange { added: bool },
}

/// Actions with their service. Table and documentation differ in the final `s`
/// of the vends.
const ACTIONS: [(&str, &str, Action); 16] = [
    (
        "unityCatalog",
        "generateTemporaryTableCredential",
        Action::Vend,
    ),
    (
        "unityCatalog",
        "generateTemporaryTableCredentials",
        Action::Vend,
    ),
    (
        "unityCatalog",
        "generateTemporaryPathCredential",
        Action::Vend,
    ),
    (
        "unityCatalog",
        "generateTemporaryPathCredentials",
        Action::Vend,
    ),
    (
        "unityCatalog",
        "generateTemporaryVolumeCredential",
        Action::Vend,
    ),
    (
        "unityCatalog",
        "generateTemporaryVolumeCredentials",
        Action::Vend,
    ),
    (
        "unityCatalog",
        "deltaSharingQueriedTable",
        Action::ShareQuery,
    ),
    (
        "unityCatalog",
        "deltaSharingQueriedTableChanges",
        Action::ShareQuery,
    ),
    ("jobs", "runStart", Action::RunStart),
    ("jobs", "runSucceeded", Action::RunEnd),
    ("jobs", "runFailed", Action::RunEnd),
    ("notebook", "runCommand", Action::Command),
    ("notebook", "attachNotebook", Action::Command),
    (
        "accounts",
        "addPrincipalToGroup",
        Action::GroupChange { added: true },
    ),
    (
        "accounts",
        "addPrincipalsToGroup",
        Action::GroupChange { added: true },
    ),
    (
        "accounts",
        "removePrincipalFromGroup",
        Action::GroupChange { added: false },
    ),
];

fn take(row: &Row<'_>, gathered: &mut Gathered) -> Result<Option<UtcMicros>, String> {
    let is_file = row.cell("event_time").is_null() && !row.cell("timestamp").is_null();
    let at = row.need_time(if is_file { "timestamp" } else { "event_time" })?;
    let name = row.need_text("action_name")?;
    let service = row.text("service_name").unwrap_or_default();
    let action = ACTIONS.iter().find(|(of, action, _)| {
        same_name(action, &name) && (service.is_empty() || same_name(of, &service))
    });
    if let Some((_, _, action)) = action {
        let event = AuditEvent::of(row, at, &name);
        event.take(*action, gathered)?;
    }
    Ok(Some(at))
}

/// An event of an action that is kept.
struct AuditEvent {
    source_id: String,
    at: UtcMicros,
    workspace_id: Option<String>,
    actor: Option<String>,
    run_by: Option<String>,
    source_ip: Option<String>,
    user_agent: Option<String>,
    parameters: Cell,
    status_code: Option<i64>,
    /// `response.result`, which is JSON text.
    result: Cell,
}

impl AuditEvent {
    fn of(row: &Row<'_>, at: UtcMicros, action: &str) -> AuditEvent {
        let parameters = row.cell("request_params").opened().into_owned();
        let response = row.cell("response").opened().into_owned();
        let identity = row.cell("user_identity").opened().into_owned();
        let known = |id: &String| id != "0";
        let actor = identity
            .first_text(&["email"])
            .or_else(|| parameters.first_text(&["user"]))
            .or_else(|| identity.first_text(&["subject_name"]));
        let request = row.text("request_id");
        let source_id = match row.text("event_id") {
            Some(id) => format!("audit:{id}"),
            // Files are delivered again and overlap; this names an event in them.
            None => format!(
                "{DELIVERED}{}@{}/{action}",
                request.or_else(|| actor.clone()).as_deref().unwrap_or("-"),
                at.0 / 1000
            ),
        };
        AuditEvent {
            source_id,
            at,
            workspace_id: parameters
                .first_text(&["workspace_id"])
                .filter(known)
                .or_else(|| row.text("workspace_id").filter(known))
                .or_else(|| row.text("org_id").filter(known)),
            actor,
            run_by: row.cell("identity_metadata").first_text(&["run_by"]),
            source_ip: row
                .text("source_ip_address")
                .and_then(|text| address(&text)),
            user_agent: row.text("user_agent"),
            status_code: response.member("status_code").int().ok().flatten(),
            result: response.member("result").opened().into_owned(),
            parameters,
        }
    }

    fn parameter(&self, names: &[&str]) -> Option<String> {
        self.parameters.first_text(names)
    }

    fn take(self, action: Action, gathered: &mut Gathered) -> Result<(), String> {
        match action {
            Action::Vend => gathered.vends.push(self.vend()),
            Action::ShareQuery => gathered.share_queries.push(self.share_query()),
            Action::RunStart => gathered.audited_runs.push(self.run(false)?),
            Action::RunEnd => gathered.audited_runs.push(self.run(true)?),
            Action::Command => {
                if let Some(command) = self.command() {
                    gathered.commands.push(command);
                }
            }
            Action::GroupChange { added } => {
                for change in self.group_changes(added) {
                    gathered.group_changes.push(change);
                }
            }
        }
        Ok(())
    }

    fn was_refused(&self) -> bool {
        self.status_code.is_some_and(|status| status >= 400)
    }

    fn vend(self) -> Vend {
        let operation = self.parameter(&["operation"]).unwrap_or_default();
        let operation = operation.to_ascii_uppercase();
        let credentials = self.result.member("aws_temp_credentials");
        let access_key_id = self
            .parameter(&["access_key_id"])
            .or_else(|| self.result.first_text(&["access_key_id"]))
            .or_else(|| credentials.first_text(&["access_key_id"]));
        Vend {
            metastore_id: self.parameter(&["metastore_id"]),
            operation: if operation.contains("WRITE") || operation.contains("CREATE") {
                VendOperation::Write
            } else if operation.contains("READ") {
                VendOperation::Read
            } else {
                VendOperation::Unknown
            },
            location: self.parameter(&["table_url", "url"]),
            table_full_name: self.parameter(&["table_full_name"]),
            table_id: self.parameter(&["table_id"]),
            volume_id: self.parameter(&["volume_id"]),
            recipient_name: self.parameter(&["recipient_name"]),
            share_name: self.parameter(&["share_name", "share"]),
            access_key_id,
            cluster_id: self
                .parameter(&["cluster_id"])
                .or_else(|| self.result.first_text(&["cluster_id"])),
            source_id: self.source_id,
            at: self.at,
            workspace_id: self.workspace_id,
            actor: self.actor,
            run_by: self.run_by,
            status_code: self.status_code,
            source_ip: self.source_ip,
            user_agent: self.user_agent,
        }
    }

    fn share_query(self) -> ShareQuery {
        ShareQuery {
            recipient: self.parameter(&["recipient_name"]).or_else(|| {
                self.result
                    .first_text(&["deltaSharingRecipientIdHash", "deltaSharingRecipientId"])
            }),
            share_name: self
                .parameter(&["share", "share_name"])
                .or_else(|| self.result.first_text(&["share", "share_name"])),
            table_name: self
                .result
                .first_text(&["tableName"])
                .or_else(|| self.parameter(&["name", "table_full_name"])),
            table_id: self
                .result
                .first_text(&["tableId"])
                .or_else(|| self.parameter(&["table_id"])),
            path: self.result.first_text(&["path"]),
            source_id: self.source_id,
            at: self.at,
            workspace_id: self.workspace_id,
        }
    }

    /// One end of a task run. Where only its end is known, the run is known to
    /// have been there at that instant, and joins its start when that comes.
    fn run(self, ended: bool) -> Result<TaskRun, String> {
        let need = |name: &str| {
            self.parameter(&[name])
                .ok_or_else(|| format!("`request_params.{name}` is missing"))
        };
        let known = |id: &String| id != "0";
        Ok(TaskRun {
            workspace_id: self
                .workspace_id
                .clone()
                .or_else(|| self.parameter(&["orgId"]))
                .ok_or("`workspace_id` is missing")?,
            job_id: need("jobId")?,
            job_run_id: self.parameter(&["multitaskParentRunId"]).filter(known),
            task_run_id: need("runId")?,
            task_key: self.parameter(&["taskKey"]),
            start: self.at,
            end: ended.then_some(self.at),
            compute_ids: self.parameter(&["clusterId"]).into_iter().collect(),
            source: TaskRunSource::Audit,
            source_ids: vec![self.source_id],
        })
    }

    /// Nothing where cluster or person are not told: the parameters of verbose
    /// events are not documented.
    fn command(self) -> Option<CommandRun> {
        if self.was_refused() {
            return None;
        }
        Some(CommandRun {
            cluster_id: self.parameter(&["clusterId"])?,
            source_id: self.source_id,
            at: self.at,
            workspace_id: self.workspace_id,
            actor: self.actor?,
            run_by: self.run_by,
        })
    }

    fn group_changes(self, added: bool) -> Vec<GroupChange> {
        const MEMBER: [&str; 6] = [
            "targetUserName",
            "targetServicePrincipalName",
            "principal",
            "principals",
            "targetUserId",
            "targetServicePrincipalId",
        ];
        if self.was_refused() {
            return Vec::new();
        }
        let members = MEMBER.iter().find_map(|name| {
            let members = self.parameters.member(name).texts().ok()?;
            (!members.is_empty()).then_some(members)
        });
        members
            .unwrap_or_default()
            .into_iter()
            .map(|member| GroupChange {
                source_id: self.source_id.clone(),
                at: self.at,
                added,
                group_id: self.parameter(&["targetGroupId"]),
                group_name: self.parameter(&["targetGroupName"]),
                member,
            })
            .collect()
    }
}
