//! Facts of Databricks in a few words, for the tests beside this file.
//!
//! Workspace `w1`, cluster `c1`, job 7 with run 901, Ann (id 1), Bob (id 2) and the
//! service principal [`ETL`] (id 3). Every source has passed every event unless a
//! test says otherwise.

use super::*;
use crate::model::{
    Cluster, ClusterAccess, ClusterNode, CommandRun, DatabricksFacts, InstanceEvent, Job, JobRun,
    Lineage, NodeSource, ScimEntry, ScimKind, SourceWatermark, Statement, TaskRun, TaskRunSource,
    Vend, VendOperation,
};

pub const ANN: &str = "ann@example.com";
pub const BOB: &str = "bob@example.com";
pub const ETL: &str = "0e7a1c5e-87b9-4cc2-9770-d10b894b0000";
pub const SOURCES: [&str; 12] = [
    "system.access.audit",
    "system.compute.instance_events",
    "system.compute.node_timeline",
    "system.compute.clusters",
    "clusters.json",
    "system.lakeflow.jobs",
    "system.lakeflow.job_run_timeline",
    "system.lakeflow.job_task_run_timeline",
    "system.query.history",
    "system.access.table_lineage",
    "scim/users.json",
    "unity-catalog/storage-credentials.json",
];

/// Watermarks of all sources, the newest row at that second.
pub fn watermarks(seconds: i64) -> Vec<SourceWatermark> {
    SOURCES
        .iter()
        .map(|source| SourceWatermark {
            source: (*source).to_owned(),
            newest: Some(at(seconds)),
            ..SourceWatermark::default()
        })
        .collect()
}

/// People, and sources that have passed everything; that commands show, one far away
/// tells.
pub fn known() -> DatabricksFacts {
    DatabricksFacts {
        commands: vec![command("far", -86_400, "far", BOB)],
        scim: vec![
            scim(ScimKind::User, "1", ANN),
            scim(ScimKind::User, "2", BOB),
            scim(ScimKind::ServicePrincipal, "3", ETL),
        ],
        watermarks: watermarks(100 * 86_400),
        ..DatabricksFacts::default()
    }
}

/// The same people, and no source that has passed anything.
pub fn unread() -> DatabricksFacts {
    DatabricksFacts {
        watermarks: watermarks(0),
        ..known()
    }
}

pub fn scim(kind: ScimKind, id: &str, name: &str) -> ScimEntry {
    ScimEntry {
        kind,
        id: id.to_owned(),
        name: (kind != ScimKind::Group).then(|| name.to_owned()),
        display_name: (kind == ScimKind::Group).then(|| name.to_owned()),
        active: Some(true),
        members: Vec::new(),
        seen_at: at(0),
    }
}

pub fn group(id: &str, name: &str, members: &[&str]) -> ScimEntry {
    ScimEntry {
        members: members.iter().map(ToString::to_string).collect(),
        ..scim(ScimKind::Group, id, name)
    }
}

pub fn placed(seconds: i64, cluster: &str) -> InstanceEvent {
    InstanceEvent {
        cluster_id: some(cluster),
        ..state(seconds, "INSTANCE_PLACED")
    }
}

pub fn state(seconds: i64, state: &str) -> InstanceEvent {
    InstanceEvent {
        workspace_id: "w1".to_owned(),
        instance_id: INSTANCE.to_owned(),
        at: at(seconds),
        state: state.to_owned(),
        ..InstanceEvent::default()
    }
}

pub fn of_pool(mut event: InstanceEvent) -> InstanceEvent {
    event.instance_pool_id = some("pool");
    event
}

pub fn node(cluster: &str, from: i64, until: i64) -> ClusterNode {
    ClusterNode {
        workspace_id: some("w1"),
        cluster_id: cluster.to_owned(),
        instance_id: INSTANCE.to_owned(),
        start: at(from),
        end: Some(at(until)),
        source: NodeSource::NodeTimeline,
        ..ClusterNode::default()
    }
}

pub fn live(cluster: &str, from: i64) -> ClusterNode {
    ClusterNode {
        end: None,
        source: NodeSource::ClustersApi,
        ..node(cluster, from, 0)
    }
}

pub fn cluster(id: &str, source: &str) -> Cluster {
    Cluster {
        workspace_id: some("w1"),
        cluster_id: id.to_owned(),
        changed_at: at(-1000),
        cluster_source: some(source),
        ..Cluster::default()
    }
}

pub fn dedicated(id: &str, to: &str) -> Cluster {
    Cluster {
        access: ClusterAccess::Dedicated,
        single_user_name: some(to),
        ..cluster(id, "UI")
    }
}

pub fn job(id: &str, run_as: &str) -> Job {
    Job {
        workspace_id: "w1".to_owned(),
        job_id: id.to_owned(),
        changed_at: at(-1000),
        run_as: some(run_as),
        ..Job::default()
    }
}

/// A run of a task of `job`/`run` on `cluster`.
pub fn task(job: &str, run: &str, task_run: &str, cluster: &str, from: i64, until: i64) -> TaskRun {
    TaskRun {
        workspace_id: "w1".to_owned(),
        job_id: job.to_owned(),
        job_run_id: some(run),
        task_run_id: task_run.to_owned(),
        task_key: Some(format!("key{task_run}")),
        start: at(from),
        end: Some(at(until)),
        compute_ids: vec![cluster.to_owned()],
        source: TaskRunSource::Timeline,
        source_ids: vec![format!("task:{task_run}")],
    }
}

pub fn job_run(job: &str, run: &str, from: i64, until: i64) -> JobRun {
    JobRun {
        workspace_id: "w1".to_owned(),
        job_id: job.to_owned(),
        job_run_id: run.to_owned(),
        start: at(from),
        end: Some(at(until)),
        ..JobRun::default()
    }
}

pub fn command(id: &str, seconds: i64, cluster: &str, actor: &str) -> CommandRun {
    CommandRun {
        source_id: format!("audit:{id}"),
        at: at(seconds),
        workspace_id: some("w1"),
        cluster_id: cluster.to_owned(),
        actor: actor.to_owned(),
        run_by: None,
    }
}

pub fn vend(id: &str, seconds: i64, actor: &str, location: &str) -> Vend {
    Vend {
        source_id: format!("audit:{id}"),
        at: at(seconds),
        workspace_id: some("w1"),
        metastore_id: some("m1"),
        actor: some(actor),
        operation: VendOperation::Read,
        location: some(location),
        status_code: Some(200),
        ..Vend::default()
    }
}

pub fn lineage(id: &str, seconds: i64, source: &str, created_by: &str) -> Lineage {
    Lineage {
        source_id: format!("lineage:{id}"),
        at: at(seconds),
        workspace_id: "w1".to_owned(),
        source_path: some(source),
        created_by: some(created_by),
        ..Lineage::default()
    }
}

pub fn statement(id: &str, from: i64, until: i64, whom: &str) -> Statement {
    Statement {
        statement_id: id.to_owned(),
        workspace_id: "w1".to_owned(),
        start: at(from),
        end: Some(at(until)),
        executed_as: some(whom),
        compute_type: some("SERVERLESS_COMPUTE"),
        ..Statement::default()
    }
}
