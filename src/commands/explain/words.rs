//! What the labels of a row mean, in words a person can act on.

use super::super::cells::Cells;
use super::databricks::Level;
use crate::model::{Advice, Doubt, UnattributedReason};

/// What an access path says.
pub fn access_path(token: &str) -> &'static str {
    match token {
        "instance_profile" => "signed with the credentials that EC2 delivered to an instance",
        "unity_catalog" => "signed with a key that Databricks' Unity Catalog vended",
        "assumed_by_instance" => "signed with a role that an instance assumed",
        "databricks_platform" => "Databricks' own platform, not a user's workload",
        "static_key" => "signed by an IAM user",
        "other_role" => "signed with a role or identity that nothing ties to Databricks compute",
        "aws_service" => "made by an AWS service for itself",
        "anonymous" => "nobody signed",
        "unknown" => "the record does not tell who signed",
        _ => "not known to this version",
    }
}

/// What a method of attribution did.
pub fn method(token: &str) -> &'static str {
    match token {
        "M1_access_key" => "the access key is the one that an STS event issued",
        "M2_session_creation" => "role, session name and creation time fit one STS event",
        "M3_instance_tags" => "the instance's tags name the cluster",
        "M3_instance_events" => "Databricks placed the instance on the cluster at that time",
        "M3_node_timeline" => "the instance was a node of the cluster within two minutes",
        "M3_clusters_api" => "the Clusters API shows the instance as a node of the cluster",
        "M4_job_tag" => "the instance's tags name the job of its job cluster",
        "M4_cluster_runs" => {
            "the runs that used the cluster, by its whole life for a job cluster, else within a minute"
        }
        "M5_dedicated_user" => "the cluster is dedicated to one user or service principal",
        "M5_dedicated_group" => {
            "the cluster is dedicated to a group; its members are the candidates"
        }
        "M5_run_as" => "the job ran with the rights of its run-as principal",
        "M5_active_users" => "users who ran commands on the cluster within half an hour",
        "C1_vend" => {
            "Unity Catalog vended a credential for the place within a minute of the key's issue, or \
             later where the session may have been used again"
        }
        "C1_vend_key" => "the vend of Unity Catalog names this very key",
        "C1_session_reuse" => {
            "a later vend has no session of its own, so it may have been given this key as well"
        }
        "C2_private_ip" => "the private source address was that of a node at that time",
        "C3_lineage" => "lineage shows who read or wrote the path about that time",
        "C4_query_history" => "query history shows the statement that was under way",
        "P5_share_query" => "a recipient queried the share within five minutes",
        "conflict" => "sources exclude each other, so every candidate is listed and none chosen",
        "root_bucket_layout" => "the key's layout in a Databricks root bucket names the workspace",
        _ => "not known to this version",
    }
}

/// The level that a method tells of.
pub fn level(method: &str) -> Level {
    match method.split('_').next() {
        Some("M1" | "M2") => Level::Session,
        Some("M3" | "C2" | "root") => Level::Cluster,
        Some("M4") => Level::Job,
        _ => Level::Person,
    }
}

/// Why several people remain, as `queries/ambiguous-principals.sql` tells it from
/// the same columns; `None` where one or nobody does.
pub fn doubt(row: &Cells) -> Option<Doubt> {
    if row.text("principal_confidence") != Some("ambiguous") {
        return None;
    }
    let methods = row.list("attribution_methods");
    let by = |method: &str| methods.iter().any(|m| m == method);
    let is_vended = row.text("access_path") == Some("unity_catalog");
    Some(if by("conflict") {
        Doubt::Conflict
    } else if is_vended && row.text("session_confidence") != Some("exact") {
        Doubt::NoSession
    } else if by("C1_session_reuse") {
        Doubt::SessionReuse
    } else if by("M5_dedicated_group") {
        Doubt::DedicatedGroup
    } else if by("M5_active_users") {
        Doubt::SharedCluster
    } else if by("C1_vend") {
        Doubt::SeveralVends
    } else {
        Doubt::SeveralRuns
    })
}

/// What kind of record of Databricks an evidence id names; `None` for an event of
/// CloudTrail.
pub fn databricks_record(id: &str) -> Option<&'static str> {
    Some(match id.split_once(':')?.0 {
        "audit" => "event of Databricks' audit log",
        "instance_events" => "placement of the instance on a cluster",
        "node_timeline" => "minutes of a node of a cluster",
        "clusters_api" => "node that the Clusters API shows",
        "clusters" => "cluster as it was from then on",
        "jobs" => "job as it was from then on",
        "job_run_timeline" => "run of a job",
        "job_task_run_timeline" => "run of a task",
        "lineage" => "row of table lineage",
        "statement" => "statement of query history",
        _ => return None,
    })
}

/// What an `unattributed_reason` says, and what would mend it.
pub fn reason(token: &str) -> Advice {
    UnattributedReason::of_token(token).map_or(
        Advice {
            means: "not known to this version",
            mend: "update bricktrail",
            is_gap: true,
        },
        UnattributedReason::advice,
    )
}
