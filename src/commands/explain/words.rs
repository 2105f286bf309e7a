//! What the labels of a row mean, in words a person can act on.

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
            "Unity Catalog vended a credential for the place within a minute of the key's issue"
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

/// Why nobody is named, and what would mend it.
pub struct Reason {
    pub why: &'static str,
    pub mend: &'static str,
}

/// What an `unattributed_reason` says.
pub fn reason(token: &str) -> Reason {
    let (why, mend) = match token {
        "late" => (
            "a source that should hold the fact has not been read up to this event",
            "CloudTrail names no person; Databricks' audit log, system tables and SCIM do. Import \
             them up to this event and settle again; keep the system schemas access, compute, \
             lakeflow and query and the verbose audit log enabled",
        ),
        "no_sts" => (
            "the STS event that issued this key, or one before it, is not in the lake",
            "record management events of all regions (an organisation trail), and scan the hours \
             before the session was issued, in the account that owns the role too",
        ),
        "no_vend" => (
            "no vend of Unity Catalog fits this key",
            "enable the access schema and the verbose audit log of the workspace",
        ),
        "service_vend" => (
            "Databricks vended the key to one of its own services, for somebody it does not name",
            "use dedicated or job clusters for sensitive paths, and enable query history and lineage",
        ),
        "outside_retention" => (
            "the source that would tell no longer reaches back to this event",
            "read the system tables before their retention ends",
        ),
        "path_unsupported" => (
            "a session that was Databricks' was turned into one of another role; that path is not \
             followed",
            "let workloads use the vended role itself, or a role of their own without chaining",
        ),
        "shared_cluster" => (
            "several people shared the cluster, and AWS sees one identity for all",
            "use dedicated or job clusters for sensitive paths, or Unity Catalog instead of an \
             instance profile",
        ),
        "serverless" => (
            "serverless compute has no instance that AWS would name",
            "enable query history and lineage, which tell what ran",
        ),
        "platform" => (
            "Databricks' own platform acted; no person did",
            "nothing needs mending; the workspace is named where the key tells it",
        ),
        "external" => (
            "someone outside acted: another account, an anonymous reader, the holder of a \
             pre-signed URL, or of a machine's key away from the machine",
            "grant other accounts a role of yours with a session name or source identity for each \
             person; avoid pre-signed URLs and public objects",
        ),
        "not_databricks" => (
            "an AWS identity that has nothing to do with Databricks; AWS's own name for it stands \
             under principal",
            "nothing needs mending; for static keys, move to roles, whose sessions tell who assumed \
             them",
        ),
        "fields_omitted" => (
            "CloudTrail left out the fields that would tell",
            "look for the copy of the event in the caller's account, which may say more",
        ),
        _ => ("not known to this version", "update bricktrail"),
    };
    Reason { why, mend }
}
