//! `system.compute.clusters` (one row for each change), the clusters' audit
//! events, `clusters.json` (the Clusters API's answer, which alone knows the
//! single user), and `system.access.workspaces_latest`.

use super::audit::{Audit, of_workspace};
use super::row::Row;
use super::table::{Columns, Form, Kind, Table};
use super::{answer, compute};
use crate::simulate::SimulateError;
use crate::simulate::compute::{Cluster, Mode};
use crate::simulate::org::{START, Workspace};
use crate::simulate::stage::role_of;
use crate::simulate::text::{DAY, date};
use crate::simulate::write::World;
use serde_json::{Value, json};
use std::path::Path;

const COLUMNS: Columns = &[
    ("account_id", Kind::Text),
    ("workspace_id", Kind::Text),
    ("cluster_id", Kind::Text),
    ("cluster_name", Kind::Text),
    ("owned_by", Kind::Text),
    ("create_time", Kind::Time),
    ("delete_time", Kind::Time),
    ("driver_node_type", Kind::Text),
    ("worker_node_type", Kind::Text),
    ("worker_count", Kind::Long),
    ("auto_termination_minutes", Kind::Long),
    ("tags", Kind::Map),
    ("cluster_source", Kind::Text),
    (
        "aws_attributes",
        Kind::Struct(&[("instance_profile_arn", Kind::Text)]),
    ),
    ("driver_instance_pool_id", Kind::Text),
    ("worker_instance_pool_id", Kind::Text),
    ("dbr_version", Kind::Text),
    ("change_time", Kind::Time),
    ("change_date", Kind::Date),
    ("data_security_mode", Kind::Text),
];

const WORKSPACES: Columns = &[
    ("account_id", Kind::Text),
    ("workspace_id", Kind::Text),
    ("workspace_name", Kind::Text),
    ("workspace_url", Kind::Text),
    ("create_time", Kind::Time),
    ("status", Kind::Text),
];

pub(super) fn write(world: &World<'_>, dir: &Path) -> Result<u64, SimulateError> {
    let mut table = Table::new(dir, "system.compute.clusters", Form::Lines, COLUMNS);
    let mut rows = Vec::new();
    for cluster in &world.compute.clusters {
        let Some(workspace) = world.org.workspaces.get(cluster.workspace) else {
            continue;
        };
        for change in changes(cluster) {
            rows.push((change.0, row(world, workspace, cluster, change)));
        }
    }
    table.part(rows)?;
    let mut workspaces = Table::new(
        dir,
        "system.access.workspaces_latest",
        Form::Lines,
        WORKSPACES,
    );
    let rows = world.org.workspaces.iter().map(|workspace| {
        let row = Row::new()
            .text("account_id", &world.org.account_id)
            .text("workspace_id", &workspace.id)
            .text("workspace_name", workspace.name)
            .text(
                "workspace_url",
                &format!("https://northwind-{}.cloud.databricks.com", workspace.name),
            )
            .time("create_time", (START - 400 * DAY) * 1000)
            .text("status", "RUNNING");
        (0, row.end())
    });
    workspaces.part(rows.collect())?;
    answer(dir, "clusters.json", &api(world))?;
    Ok(table.rows() + workspaces.rows())
}

/// When the cluster changed, in milliseconds, and whether it was deleted then.
fn changes(cluster: &Cluster) -> Vec<(i64, bool)> {
    match cluster.run {
        Some(_) => vec![
            (cluster.span.start * 1000 - 4000, false),
            (cluster.span.end * 1000 + 3000, true),
        ],
        // Made long ago, edited on the first night.
        None => vec![
            ((cluster.span.start - 20 * DAY) * 1000, false),
            (cluster.span.start * 1000 + 1000, false),
        ],
    }
}

fn row(
    world: &World<'_>,
    workspace: &Workspace,
    cluster: &Cluster,
    (at, deleted): (i64, bool),
) -> String {
    let skewed = |millis: i64| millis + workspace.clock_skew_millis;
    let created = changes(cluster).first().map_or(at, |first| first.0);
    let owner = workspace.users.get(cluster.owner);
    let pool = cluster
        .pool
        .then(|| compute::pool_id(world.org.size.seed, cluster.workspace));
    let mut row = Row::new()
        .text("account_id", &world.org.account_id)
        .text("workspace_id", &workspace.id)
        .text("cluster_id", &cluster.id)
        .text("cluster_name", &cluster.name)
        .maybe("owned_by", owner.map(|owner| &*owner.name))
        .time("create_time", skewed(created));
    if deleted {
        row = row.time("delete_time", skewed(at));
    }
    row = row
        .text("driver_node_type", "i3.2xlarge")
        .text("worker_node_type", "i3.2xlarge")
        .long("worker_count", 1)
        .long("auto_termination_minutes", 60)
        .json("tags", r#"{"cost_center":"data"}"#)
        .text("cluster_source", source(cluster));
    if let Some(arn) = profile_arn(workspace, cluster) {
        row = row.json(
            "aws_attributes",
            &Row::new().text("instance_profile_arn", &arn).end(),
        );
    }
    row.maybe("driver_instance_pool_id", pool.as_deref())
        .maybe("worker_instance_pool_id", pool.as_deref())
        .text("dbr_version", "17.3.x-scala2.13")
        .time("change_time", skewed(at))
        .text("change_date", &date(skewed(at).div_euclid(1000)))
        .text("data_security_mode", mode(cluster))
        .end()
}

fn source(cluster: &Cluster) -> &'static str {
    match cluster.run {
        Some(_) => "JOB",
        None => "UI",
    }
}

/// The alias pairs are equal; both are written.
fn mode(cluster: &Cluster) -> &'static str {
    match (cluster.mode, cluster.run) {
        (Mode::Dedicated, Some(_)) => "SINGLE_USER",
        (Mode::Dedicated, None) => "DATA_SECURITY_MODE_DEDICATED",
        (Mode::Standard, _) => "USER_ISOLATION",
        (Mode::Passthrough, _) => "LEGACY_PASSTHROUGH",
    }
}

fn profile_arn(workspace: &Workspace, cluster: &Cluster) -> Option<String> {
    let role = role_of(workspace, cluster.profile?);
    Some(format!(
        "arn:aws:iam::{}:instance-profile/{}",
        role.account, role.name
    ))
}

/// `clusters.json`: the clusters of people, which are alive.
fn api(world: &World<'_>) -> Value {
    let clusters = world
        .compute
        .clusters
        .iter()
        .filter(|cluster| cluster.run.is_none());
    let clusters: Vec<Value> = clusters
        .filter_map(|cluster| {
            let workspace = world.org.workspaces.get(cluster.workspace)?;
            let creator = workspace.users.get(cluster.owner)?.name.to_string();
            let last = cluster.placements.last().map_or(0, |last| last.span.start);
            let mut nodes = cluster
                .placements
                .iter()
                .filter(|placement| placement.span.start == last)
                .filter_map(|placement| {
                    let instance = world.compute.instances.get(placement.instance)?;
                    Some((placement.driver, json!({
                        "instance_id": &*instance.id,
                        "node_id": format!("n-{}", placement.instance),
                        "host_private_ip": instance.ip,
                        // The container's, which no record of AWS holds.
                        "private_ip": format!("192.168.{}", instance.ip.splitn(3, '.').nth(2).unwrap_or_default()),
                        "start_timestamp": placement.span.start * 1000,
                    })))
                });
            let driver = nodes.find(|(driver, _)| *driver).map(|(_, node)| node);
            let executors: Vec<Value> = nodes.map(|(_, node)| node).collect();
            let mut value = json!({
                "cluster_id": &*cluster.id,
                "cluster_name": cluster.name,
                "cluster_source": source(cluster),
                "data_security_mode": mode(cluster),
                "creator_user_name": creator,
                "default_tags": {
                    "Vendor": "Databricks",
                    "Creator": creator,
                    "ClusterName": cluster.name,
                    "ClusterId": &*cluster.id,
                },
                "driver": driver,
                "executors": executors,
            });
            if let Some(members) = value.as_object_mut() {
                if let Some(user) = &cluster.single_user {
                    members.insert("single_user_name".to_owned(), json!(&**user));
                }
                if let Some(arn) = profile_arn(workspace, cluster) {
                    members.insert(
                        "aws_attributes".to_owned(),
                        json!({ "instance_profile_arn": arn }),
                    );
                }
            }
            Some(value)
        })
        .collect();
    json!({ "clusters": clusters })
}

/// The clusters' own events, and the commands that people ran on them.
pub(super) fn audits(world: &World<'_>, number: usize, workspace: &Workspace) -> Vec<Audit> {
    let mut events = Vec::new();
    for cluster in &world.compute.clusters {
        if cluster.workspace != number {
            continue;
        }
        let email = workspace
            .users
            .get(cluster.owner)
            .map(|owner| owner.name.to_string())
            .unwrap_or_default();
        let named = || {
            vec![
                ("clusterName", cluster.name.clone()),
                ("clusterId", cluster.id.to_string()),
            ]
        };
        if cluster.run.is_some() {
            events.push(of_workspace(
                workspace,
                cluster.span.start - 3,
                "clusters",
                "create",
                &email,
                vec![("cluster_name", cluster.name.clone())],
            ));
        }
        for placement in cluster.placements.iter().filter(|p| p.driver) {
            let started = match cluster.run {
                Some(_) => "createResult",
                None => "startResult",
            };
            events.push(of_workspace(
                workspace,
                placement.span.start,
                "clusters",
                started,
                "System-User",
                named(),
            ));
            events.push(of_workspace(
                workspace,
                placement.span.end,
                "clusters",
                "deleteResult",
                "System-User",
                named(),
            ));
        }
    }
    for (n, command) in world.play.commands.iter().enumerate() {
        let Some(cluster) = world.compute.clusters.get(command.cluster) else {
            continue;
        };
        let Some(user) = workspace
            .users
            .get(command.user)
            .filter(|_| cluster.workspace == number)
        else {
            continue;
        };
        events.push(of_workspace(
            workspace,
            command.at,
            "notebook",
            "runCommand",
            &user.name,
            vec![
                ("notebookId", format!("{}", 7_000_000 + command.user)),
                ("clusterId", cluster.id.to_string()),
                ("commandId", format!("command-{n}")),
                ("executionTime", "12.5".to_owned()),
                ("status", "finished".to_owned()),
            ],
        ));
    }
    events
}
