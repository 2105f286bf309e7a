//! `system.compute.clusters`: a row for each change of a cluster, and the Clusters
//! API's answer, which alone names the user of a dedicated cluster and the hosts'
//! addresses.
//!
//! What the API shows holds for the time of the snapshot; `created_at` says since
//! when the cluster exists, not since when it is as it is.

use super::Reader;
use super::cell::Cell;
use super::document::Answer;
use super::gathered::Gathered;
use super::row::Row;
use crate::model::UtcMicros;
use crate::model::databricks::{Cluster, ClusterAccess, ClusterNode, NodeSource};

pub const READER: Reader = Reader {
    columns: &[
        "workspace_id",
        "cluster_id",
        "cluster_name",
        "owned_by",
        "create_time",
        "delete_time",
        "cluster_source",
        "aws_attributes",
        "driver_instance_pool_id",
        "worker_instance_pool_id",
        "change_time",
        "data_security_mode",
        "single_user_name",
        "tags",
    ],
    take,
};

pub const API_ANSWER: Answer = Answer {
    list: "clusters",
    columns: &[
        "workspace_id",
        "cluster_id",
        "cluster_name",
        "creator_user_name",
        "start_time",
        "terminated_time",
        "cluster_source",
        "aws_attributes",
        "instance_pool_id",
        "driver_instance_pool_id",
        "data_security_mode",
        "single_user_name",
        "driver",
        "executors",
        "custom_tags",
    ],
};

fn take(row: &Row<'_>, gathered: &mut Gathered) -> Result<Option<UtcMicros>, String> {
    let changed_at = row.need_time("change_time")?;
    gathered.clusters.push(Cluster {
        workspace_id: row.text("workspace_id"),
        cluster_id: row.need_text("cluster_id")?,
        changed_at,
        created_at: row.time("create_time"),
        deleted_at: row.time("delete_time"),
        cluster_name: row.text("cluster_name"),
        owned_by: row.text("owned_by"),
        cluster_source: row.text("cluster_source"),
        access: access(row.text("data_security_mode")),
        single_user_name: row.text("single_user_name"),
        instance_pool_id: row
            .text("worker_instance_pool_id")
            .or_else(|| row.text("driver_instance_pool_id")),
        instance_profile_arn: instance_profile(row),
        tags: row.pairs("tags"),
    });
    Ok(Some(changed_at))
}

/// Takes a cluster of the Clusters API's answer.
pub fn take_api(row: &Row<'_>, seen_at: UtcMicros, gathered: &mut Gathered) -> Result<(), String> {
    let cluster_id = row.need_text("cluster_id")?;
    let workspace_id = row.text("workspace_id");
    let created_at = row.time("start_time");
    gathered.clusters.push(Cluster {
        workspace_id: workspace_id.clone(),
        cluster_id: cluster_id.clone(),
        changed_at: seen_at,
        created_at,
        deleted_at: row.time("terminated_time"),
        cluster_name: row.text("cluster_name"),
        owned_by: row.text("creator_user_name"),
        cluster_source: row.text("cluster_source"),
        access: access(row.text("data_security_mode")),
        single_user_name: row.text("single_user_name"),
        instance_pool_id: row
            .text("instance_pool_id")
            .or_else(|| row.text("driver_instance_pool_id")),
        instance_profile_arn: instance_profile(row),
        tags: row.pairs("custom_tags"),
    });
    let driver = row.cell("driver").into_owned();
    let executors = row.cell("executors").items();
    for node in std::iter::once(driver).chain(executors) {
        let Some(instance_id) = node.first_text(&["instance_id"]) else {
            continue;
        };
        let started = node.member("start_timestamp").time().ok().flatten();
        gathered.nodes.push(ClusterNode {
            workspace_id: workspace_id.clone(),
            cluster_id: cluster_id.clone(),
            instance_id,
            start: started.or(created_at).unwrap_or(seen_at),
            end: None,
            host_private_ip: node.first_text(&["host_private_ip"]),
            private_ip: node.first_text(&["private_ip"]),
            source: NodeSource::ClustersApi,
        });
    }
    Ok(())
}

fn instance_profile(row: &Row<'_>) -> Option<String> {
    let attributes: &Cell = &row.cell("aws_attributes");
    attributes.first_text(&["instance_profile_arn"])
}

/// Alias names are one mode; what is not known to be for one user is shared.
fn access(data_security_mode: Option<String>) -> ClusterAccess {
    match data_security_mode.as_deref() {
        Some(
            "SINGLE_USER"
            | "DATA_SECURITY_MODE_DEDICATED"
            | "LEGACY_SINGLE_USER"
            | "LEGACY_SINGLE_USER_STANDARD",
        ) => ClusterAccess::Dedicated,
        _ => ClusterAccess::Shared,
    }
}
