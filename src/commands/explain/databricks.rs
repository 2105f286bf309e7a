//! Records of Databricks that an attribution names, in full, and those that were
//! near but fell out.
//!
//! It reads the same facts that attribution reads, and states of each what an
//! auditor would look up: who, where, from when to when, how far from the event. It
//! decides nothing.

use super::super::cells::Cells;
use crate::model::{
    ClusterAccess, ClusterNode, DatabricksFacts, InstanceEvent, NodeSource, TaskRun, UtcMicros,
    Vend, VendOperation,
};

/// A record behind an evidence id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub what: &'static str,
    pub at: Option<UtcMicros>,
    /// Named values, in the order in which they are read.
    pub says: Vec<(&'static str, String)>,
    pub level: Level,
}

/// The level that a record or a method tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Session,
    Cluster,
    Job,
    Person,
}

/// The times of a row that distances are measured from.
#[derive(Clone, Copy)]
pub struct Times {
    pub event: Option<UtcMicros>,
    pub issued: Option<UtcMicros>,
}

impl Times {
    pub fn of(row: &Cells) -> Times {
        let event = row.time("event_time");
        Times {
            event,
            issued: row.time("session_issued_at").or(event),
        }
    }
}

/// The records that an evidence id names: mostly one; several where one audit event
/// tells several things.
pub fn find(id: &str, facts: &DatabricksFacts, times: Times) -> Vec<Record> {
    let Some((table, key)) = id.split_once(':') else {
        return Vec::new();
    };
    match table {
        "instance_events" => {
            let of = |e: &&InstanceEvent| {
                key == format!("{}/{}@{}", e.workspace_id, e.instance_id, e.at)
            };
            let found = facts.instance_events.iter().filter(of);
            let found = found.filter(|e| e.cluster_id.is_some()).take(1);
            found.map(|e| placement(e, facts, times)).collect()
        }
        "node_timeline" | "clusters_api" => {
            let found = facts.nodes.iter().filter(|node| node_key(node) == key);
            let is_live = table == "clusters_api";
            found
                .filter(|node| (node.source == NodeSource::ClustersApi) == is_live)
                .take(1)
                .map(|node| minutes(node, times))
                .collect()
        }
        "clusters" => cluster(key, facts),
        "jobs" => job(key, facts),
        "job_task_run_timeline" | "job_run_timeline" => timeline(table, key, facts, times),
        "lineage" => lineage(id, facts, times),
        "statement" => statement(key, facts, times),
        _ => audit(id, facts, times),
    }
}

fn node_key(node: &ClusterNode) -> String {
    let workspace = node.workspace_id.as_deref().unwrap_or_default();
    let (cluster, instance) = (&node.cluster_id, &node.instance_id);
    format!("{workspace}/{cluster}/{instance}@{}", node.start)
}

fn placement(event: &InstanceEvent, facts: &DatabricksFacts, times: Times) -> Record {
    let next = facts
        .instance_events
        .iter()
        .filter(|e| e.instance_id == event.instance_id && e.workspace_id == event.workspace_id)
        .filter(|e| e.at > event.at)
        .min_by_key(|e| e.at);
    let until = match next {
        Some(next) => format!("until {} ({})", next.at, next.state),
        None => "no later change is known".to_owned(),
    };
    let pool = event.instance_pool_id.as_ref();
    Record {
        what: "placement of an instance (system.compute.instance_events)",
        at: Some(event.at),
        says: vec![
            ("instance", with("pool", &event.instance_id, pool)),
            (
                "cluster",
                in_workspace(event.cluster_id.as_ref(), Some(&event.workspace_id)),
            ),
            (
                "there",
                format!(
                    "from {}, {until}{}",
                    event.at,
                    place_of(times, event.at, next.map(|e| e.at))
                ),
            ),
        ],
        level: Level::Cluster,
    }
}

fn minutes(node: &ClusterNode, times: Times) -> Record {
    let what = match node.source {
        NodeSource::ClustersApi => "node that the Clusters API shows (clusters.json)",
        NodeSource::NodeTimeline => "minutes of a node (system.compute.node_timeline)",
    };
    let until = node
        .end
        .map_or("no end known".to_owned(), |end| format!("until {end}"));
    let mut says = vec![
        ("instance", node.instance_id.clone()),
        (
            "cluster",
            in_workspace(Some(&node.cluster_id), node.workspace_id.as_ref()),
        ),
        (
            "there",
            format!(
                "from {}, {until}{}",
                node.start,
                place_of(times, node.start, node.end)
            ),
        ),
    ];
    push(&mut says, "host", node.host_private_ip.as_ref());
    push(&mut says, "address", node.private_ip.as_ref());
    Record {
        what,
        at: Some(node.start),
        says,
        level: Level::Cluster,
    }
}

fn cluster(key: &str, facts: &DatabricksFacts) -> Vec<Record> {
    let of = facts.clusters.iter().filter(|c| {
        let workspace = c.workspace_id.as_deref().unwrap_or_default();
        key == format!("{workspace}/{}@{}", c.cluster_id, c.changed_at)
    });
    of.take(1)
        .map(|c| {
            let access = match c.access {
                ClusterAccess::Dedicated => {
                    let whom = c.single_user_name.as_deref().unwrap_or("nobody named");
                    format!("dedicated to {}", named(whom, facts))
                }
                ClusterAccess::Shared => "shared".to_owned(),
            };
            let mut says = vec![(
                "cluster",
                in_workspace(Some(&c.cluster_id), c.workspace_id.as_ref()),
            )];
            push(&mut says, "name", c.cluster_name.as_ref());
            says.push(("access", access));
            push(&mut says, "made by", c.cluster_source.as_ref());
            Record {
                what: "cluster as it was from then on (system.compute.clusters)",
                at: Some(c.changed_at),
                says,
                level: Level::Person,
            }
        })
        .collect()
}

fn job(key: &str, facts: &DatabricksFacts) -> Vec<Record> {
    let of = facts
        .jobs
        .iter()
        .filter(|j| key == format!("{}/{}@{}", j.workspace_id, j.job_id, j.changed_at));
    of.take(1)
        .map(|j| {
            let mut says = vec![("job", in_workspace(Some(&j.job_id), Some(&j.workspace_id)))];
            push(&mut says, "name", j.name.as_ref());
            let run_as = j.run_as.as_deref().map(|whom| named(whom, facts));
            push(&mut says, "run as", run_as.as_ref());
            Record {
                what: "job as it was from then on (system.lakeflow.jobs)",
                at: Some(j.changed_at),
                says,
                level: Level::Person,
            }
        })
        .collect()
}

fn timeline(table: &str, key: &str, facts: &DatabricksFacts, times: Times) -> Vec<Record> {
    if table == "job_run_timeline" {
        let of = |r: &&crate::model::JobRun| key == format!("{}/{}", r.workspace_id, r.job_run_id);
        return facts
            .job_runs
            .iter()
            .filter(of)
            .take(1)
            .map(|r| Record {
                what: "run of a job (system.lakeflow.job_run_timeline)",
                at: Some(r.start),
                says: vec![
                    (
                        "run",
                        format!(
                            "{} of job {} in workspace {}",
                            r.job_run_id, r.job_id, r.workspace_id
                        ),
                    ),
                    ("under way", span(r.start, r.end, times)),
                    ("compute", r.compute_ids.join(", ")),
                ],
                level: Level::Job,
            })
            .collect();
    }
    let of = |r: &&TaskRun| key == format!("{}/{}", r.workspace_id, r.task_run_id);
    let what = "run of a task (system.lakeflow.job_task_run_timeline)";
    let found = facts.task_runs.iter().filter(of).take(1);
    found.map(|r| task_run(r, what, times)).collect()
}

fn task_run(r: &TaskRun, what: &'static str, times: Times) -> Record {
    let task = r.task_key.as_deref().unwrap_or("?");
    let job_run = r.job_run_id.as_deref().unwrap_or("?");
    Record {
        what,
        at: Some(r.start),
        says: vec![
            ("task", format!("{task}, run {}", r.task_run_id)),
            (
                "run",
                format!(
                    "{job_run} of job {} in workspace {}",
                    r.job_id, r.workspace_id
                ),
            ),
            ("under way", span(r.start, r.end, times)),
            ("compute", r.compute_ids.join(", ")),
        ],
        level: Level::Job,
    }
}

fn lineage(id: &str, facts: &DatabricksFacts, times: Times) -> Vec<Record> {
    let found = facts.lineage.iter().filter(|l| l.source_id == id).take(1);
    found
        .map(|l| {
            let mut says = Vec::new();
            push(&mut says, "person", l.created_by.as_ref());
            push(
                &mut says,
                "read",
                l.source_path.as_ref().or(l.source_table.as_ref()),
            );
            push(
                &mut says,
                "wrote",
                l.target_path.as_ref().or(l.target_table.as_ref()),
            );
            push(&mut says, "by", l.entity_type.as_ref());
            push(&mut says, "statement", l.statement_id.as_ref());
            push(&mut says, "job run", l.job_run_id.as_ref());
            says.push(("noted", apart(l.at, times.event, "the event")));
            Record {
                what: "row of lineage (system.access.table_lineage)",
                at: Some(l.at),
                says,
                level: Level::Person,
            }
        })
        .collect()
}

fn statement(key: &str, facts: &DatabricksFacts, times: Times) -> Vec<Record> {
    let found = facts.statements.iter().filter(|s| s.statement_id == key);
    found
        .take(1)
        .map(|s| {
            let mut says = Vec::new();
            push(
                &mut says,
                "person",
                s.executed_as.as_ref().or(s.executed_by.as_ref()),
            );
            push(&mut says, "warehouse", s.warehouse_id.as_ref());
            says.push(("under way", span(s.start, s.end, times)));
            Record {
                what: "statement (system.query.history)",
                at: Some(s.start),
                says,
                level: Level::Person,
            }
        })
        .collect()
}

fn audit(id: &str, facts: &DatabricksFacts, times: Times) -> Vec<Record> {
    let mut records = Vec::new();
    for vend in facts.vends.iter().filter(|v| v.source_id == id) {
        records.push(Record {
            what: "vend by Unity Catalog (audit log)",
            at: Some(vend.at),
            says: vend_says(vend, times),
            level: Level::Person,
        });
    }
    for run in &facts.task_runs {
        if run.source_ids.iter().any(|source| source == id) {
            records.push(task_run(run, "run of a task (audit log)", times));
        }
    }
    for command in facts.commands.iter().filter(|c| c.source_id == id) {
        let whom = command.run_by.as_ref().unwrap_or(&command.actor);
        records.push(Record {
            what: "command on a cluster (audit log)",
            at: Some(command.at),
            says: vec![
                ("person", whom.clone()),
                (
                    "cluster",
                    in_workspace(Some(&command.cluster_id), command.workspace_id.as_ref()),
                ),
                ("run", apart(command.at, times.event, "the event")),
            ],
            level: Level::Person,
        });
    }
    for query in facts.share_queries.iter().filter(|q| q.source_id == id) {
        let mut says = Vec::new();
        push(&mut says, "recipient", query.recipient.as_ref());
        push(&mut says, "share", query.share_name.as_ref());
        push(&mut says, "table", query.table_name.as_ref());
        says.push(("queried", apart(query.at, times.event, "the event")));
        records.push(Record {
            what: "query of a share (audit log)",
            at: Some(query.at),
            says,
            level: Level::Person,
        });
    }
    records
}

fn vend_says(vend: &Vend, times: Times) -> Vec<(&'static str, String)> {
    let mut says = Vec::new();
    push(
        &mut says,
        "asked by",
        vend.run_by.as_ref().or(vend.actor.as_ref()),
    );
    push(&mut says, "recipient", vend.recipient_name.as_ref());
    let place = vend.location.as_ref().or(vend.table_full_name.as_ref());
    push(
        &mut says,
        "for",
        place.or(vend.table_id.as_ref()).or(vend.volume_id.as_ref()),
    );
    says.push(("to", operation(vend).to_owned()));
    push(&mut says, "workspace", vend.workspace_id.as_ref());
    push(&mut says, "from", vend.source_ip.as_ref());
    says.push(("when", apart(vend.at, times.issued, "the key was issued")));
    says
}

fn operation(vend: &Vend) -> &'static str {
    match vend.operation {
        VendOperation::Read => "read",
        VendOperation::Write => "read and write",
        VendOperation::Unknown => "do what is not recorded",
    }
}

/// A person by what SCIM calls them, behind the id that the record holds.
fn named(whom: &str, facts: &DatabricksFacts) -> String {
    let entry = facts.scim.iter().find(|entry| entry.id == whom);
    match entry.and_then(|entry| entry.name.as_deref()) {
        Some(name) => format!("{name} (id {whom} in SCIM)"),
        None => whom.to_owned(),
    }
}

fn in_workspace(id: Option<&String>, workspace: Option<&String>) -> String {
    let id = id.map_or("?", String::as_str);
    match workspace.filter(|workspace| !workspace.is_empty()) {
        Some(workspace) => format!("{id} in workspace {workspace}"),
        None => id.to_owned(),
    }
}

fn with(label: &str, text: &str, more: Option<&String>) -> String {
    more.map_or_else(|| text.to_owned(), |more| format!("{text}, {label} {more}"))
}

fn push(says: &mut Vec<(&'static str, String)>, name: &'static str, text: Option<&String>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        says.push((name, text.clone()));
    }
}

fn span(start: UtcMicros, end: Option<UtcMicros>, times: Times) -> String {
    let until = end.map_or("not ended as far as known".to_owned(), |end| {
        format!("until {end}")
    });
    format!("from {start}, {until}{}", place_of(times, start, end))
}

/// Where the event lies: nothing inside, else how far outside.
fn place_of(times: Times, start: UtcMicros, end: Option<UtcMicros>) -> String {
    let Some(event) = times.event else {
        return String::new();
    };
    if event < start {
        format!("; the event was {} before it", seconds(start.0 - event.0))
    } else if let Some(end) = end.filter(|end| event > *end) {
        format!("; the event was {} after it", seconds(event.0 - end.0))
    } else {
        "; the event lies inside".to_owned()
    }
}

/// How far one time lies from another, in words.
pub fn apart(at: UtcMicros, from: Option<UtcMicros>, what: &str) -> String {
    match from {
        Some(from) if at < from => format!("{} before {what}", seconds(from.0 - at.0)),
        Some(from) if at > from => format!("{} after {what}", seconds(at.0 - from.0)),
        Some(_) => format!("when {what}"),
        None => at.to_string(),
    }
}

fn seconds(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    match seconds {
        0..120 => format!("{seconds}.{} s", micros % 1_000_000 / 100_000),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
