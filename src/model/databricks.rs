//! Identity facts that Databricks records, normalised: what its audit log,
//! system tables, REST answers and SCIM say of compute, jobs, people and vends.
//!
//! One noun for each kind of fact, whichever export it came from and whichever
//! spelling that used. Ids are text, also the numeric ones; an empty text or an
//! absent member is `None`. Nothing here is a conclusion: what several facts
//! together say of an access is for `identity`.
//!
//! `source_id` names the record for evidence: its own id where it has one
//! (`audit:<event_id>`, `lineage:<record_id>`, `statement:<statement_id>`), else table
//! and key (`instance_events:<workspace>/<instance>@<time>`).
//!
//! Source: facts-identity sections 6 to 8.

use super::time::UtcMicros;

/// `system.compute.instance_events`: a change of one instance's state. Only
/// `INSTANCE_PLACED` names a cluster; pool instances are placed again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceEvent {
    pub workspace_id: String,
    pub instance_id: String,
    pub at: UtcMicros,
    /// `INSTANCE_LAUNCHING`, `INSTANCE_READY`, `INSTANCE_PLACED`, `INSTANCE_TERMINATED`.
    pub state: String,
    pub cluster_id: Option<String>,
    pub instance_pool_id: Option<String>,
}

/// A node of a cluster over a while: minutes of `system.compute.node_timeline`,
/// adjacent ones joined, or a node of the Clusters API (`end` is `None`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterNode {
    pub workspace_id: Option<String>,
    pub cluster_id: String,
    pub instance_id: String,
    pub start: UtcMicros,
    pub end: Option<UtcMicros>,
    /// Address of the host, as CloudTrail sees it (Clusters API).
    pub host_private_ip: Option<String>,
    /// Address of the host or the container, which is not known.
    pub private_ip: Option<String>,
    pub source: NodeSource,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeSource {
    #[default]
    NodeTimeline,
    ClustersApi,
}

/// How a cluster is shared; alias names are one, an unknown value is shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClusterAccess {
    /// `SINGLE_USER`, `DATA_SECURITY_MODE_DEDICATED`, `LEGACY_SINGLE_USER…`: one
    /// user, service principal or group.
    Dedicated,
    #[default]
    Shared,
}

/// A cluster as it was from `changed_at` on (`system.compute.clusters` has one row
/// for each change), or as the Clusters API shows it now.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cluster {
    pub workspace_id: Option<String>,
    pub cluster_id: String,
    pub changed_at: UtcMicros,
    pub created_at: Option<UtcMicros>,
    pub deleted_at: Option<UtcMicros>,
    pub cluster_name: Option<String>,
    pub owned_by: Option<String>,
    /// `UI`, `API`, `JOB`, `PIPELINE`, …
    pub cluster_source: Option<String>,
    pub access: ClusterAccess,
    /// User name, application id or group name of a dedicated cluster.
    pub single_user_name: Option<String>,
    pub instance_pool_id: Option<String>,
    pub instance_profile_arn: Option<String>,
    /// Users' tags, sorted.
    pub tags: Vec<(String, String)>,
}

/// `system.lakeflow.jobs`: a job as it was from `changed_at` on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Job {
    pub workspace_id: String,
    /// Unique within its workspace only.
    pub job_id: String,
    pub changed_at: UtcMicros,
    pub deleted_at: Option<UtcMicros>,
    pub name: Option<String>,
    /// Numeric id of the user or service principal.
    pub run_as: Option<String>,
    pub creator_id: Option<String>,
    /// Users' tags, sorted.
    pub tags: Vec<(String, String)>,
}

/// A run of a job (`system.lakeflow.job_run_timeline`), its slices joined.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobRun {
    pub workspace_id: String,
    pub job_id: String,
    pub job_run_id: String,
    pub start: UtcMicros,
    /// End of the last slice known; `None` while it is not known to have ended.
    pub end: Option<UtcMicros>,
    pub run_type: Option<String>,
    pub compute_ids: Vec<String>,
}

/// A run of a task: slices of `system.lakeflow.job_task_run_timeline` joined, or
/// `runStart` to `runSucceeded`/`runFailed` of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskRun {
    pub workspace_id: String,
    pub job_id: String,
    /// `None` in rows older than August 2024.
    pub job_run_id: Option<String>,
    pub task_run_id: String,
    pub task_key: Option<String>,
    pub start: UtcMicros,
    pub end: Option<UtcMicros>,
    /// Clusters and SQL warehouses it ran on.
    pub compute_ids: Vec<String>,
    pub source: TaskRunSource,
    pub source_ids: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskRunSource {
    #[default]
    Timeline,
    Audit,
}

/// What a vended credential may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VendOperation {
    Read,
    /// `READ_WRITE`, `WRITE_VOLUME`, `PATH_CREATE_TABLE`: covers reading too.
    Write,
    #[default]
    Unknown,
}

/// Unity Catalog gave out temporary credentials: an audit event
/// `generateTemporary{Table,Path,Volume}Credential(s)`, whatever its outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vend {
    pub source_id: String,
    pub at: UtcMicros,
    /// `request_params.workspace_id`, else `workspace_id` unless it is 0.
    pub workspace_id: Option<String>,
    pub metastore_id: Option<String>,
    /// User name or application id as written; `System-User` among them.
    pub actor: Option<String>,
    /// `identity_metadata.run_by`, where a group's rights are used.
    pub run_by: Option<String>,
    pub operation: VendOperation,
    /// Storage location: `table_url` or `url`.
    pub location: Option<String>,
    pub table_full_name: Option<String>,
    pub table_id: Option<String>,
    pub volume_id: Option<String>,
    pub status_code: Option<i64>,
    /// Of a Delta Sharing vend.
    pub recipient_name: Option<String>,
    pub share_name: Option<String>,
    pub source_ip: Option<String>,
    pub user_agent: Option<String>,
    /// Looked for and not yet seen: would make the join exact (facts-identity
    /// section 10, question 13).
    pub access_key_id: Option<String>,
    pub cluster_id: Option<String>,
}

/// A user at work on a cluster: verbose audit `notebook/runCommand`,
/// `attachNotebook`. Never holds the command's text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandRun {
    pub source_id: String,
    pub at: UtcMicros,
    pub workspace_id: Option<String>,
    pub cluster_id: String,
    pub actor: String,
    pub run_by: Option<String>,
}

/// A recipient queried a share over pre-signed URLs: audit
/// `deltaSharingQueriedTable`, `deltaSharingQueriedTableChanges`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareQuery {
    pub source_id: String,
    pub at: UtcMicros,
    pub workspace_id: Option<String>,
    pub recipient: Option<String>,
    pub share_name: Option<String>,
    pub table_name: Option<String>,
    pub table_id: Option<String>,
    pub path: Option<String>,
}

/// A membership change in the audit log (`accounts/addPrincipalToGroup`, …).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupChange {
    pub source_id: String,
    pub at: UtcMicros,
    pub added: bool,
    pub group_id: Option<String>,
    pub group_name: Option<String>,
    pub member: String,
}

/// `system.query.history`: a statement on a SQL warehouse or serverless compute.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Statement {
    pub statement_id: String,
    pub workspace_id: String,
    pub start: UtcMicros,
    pub end: Option<UtcMicros>,
    pub executed_by: Option<String>,
    pub executed_as: Option<String>,
    pub warehouse_id: Option<String>,
    /// `WAREHOUSE`, `SERVERLESS_COMPUTE`, `CLASSIC_COMPUTE`.
    pub compute_type: Option<String>,
    pub job_id: Option<String>,
    pub job_run_id: Option<String>,
    pub task_key: Option<String>,
    pub task_run_id: Option<String>,
    pub read_files: Option<i64>,
    pub written_files: Option<i64>,
    /// Answered without any S3 read.
    pub from_result_cache: bool,
}

/// `system.access.table_lineage`: an entity read or wrote a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lineage {
    pub source_id: String,
    pub at: UtcMicros,
    pub workspace_id: String,
    pub metastore_id: Option<String>,
    pub entity_type: Option<String>,
    pub entity_id: Option<String>,
    pub entity_run_id: Option<String>,
    pub source_path: Option<String>,
    pub target_path: Option<String>,
    pub source_table: Option<String>,
    pub target_table: Option<String>,
    pub created_by: Option<String>,
    pub statement_id: Option<String>,
    pub job_id: Option<String>,
    pub job_run_id: Option<String>,
}

/// What a SCIM entry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScimKind {
    #[default]
    User,
    ServicePrincipal,
    Group,
}

/// An entry of SCIM, with its direct members if it is a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScimEntry {
    pub kind: ScimKind,
    /// Numeric id.
    pub id: String,
    /// `userName`, `applicationId`; `None` for a group.
    pub name: Option<String>,
    pub display_name: Option<String>,
    pub active: Option<bool>,
    /// Ids of direct members.
    pub members: Vec<String>,
    /// When this snapshot was taken; current state, not history.
    pub seen_at: UtcMicros,
}

/// A Unity Catalog storage credential, as a dated snapshot shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageCredential {
    pub id: String,
    pub name: String,
    pub metastore_id: Option<String>,
    pub role_arn: Option<String>,
    pub external_id: Option<String>,
    pub created_at: Option<UtcMicros>,
    pub updated_at: Option<UtcMicros>,
    pub seen_at: UtcMicros,
}

/// A Unity Catalog external location, likewise.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalLocation {
    pub name: String,
    pub url: String,
    pub credential_id: Option<String>,
    pub credential_name: Option<String>,
    pub metastore_id: Option<String>,
    pub read_only: bool,
    /// Access may fall back to the cluster's own credentials.
    pub fallback: bool,
    pub created_at: Option<UtcMicros>,
    pub updated_at: Option<UtcMicros>,
    pub seen_at: UtcMicros,
}

/// `system.access.workspaces_latest`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workspace {
    pub workspace_id: String,
    pub name: Option<String>,
    pub url: Option<String>,
}

/// Up to when a source is believed complete: its newest event, less its usual
/// latency (facts-identity 6.2 and 9.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceWatermark {
    /// The export's name, for example `system.access.audit`.
    pub source: String,
    /// `None` for what is read as a whole (SCIM, credentials, locations).
    pub newest: Option<UtcMicros>,
    pub read_at: UtcMicros,
    pub rows: u64,
    pub bad: u64,
}

/// Everything that one import brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabricksFacts {
    pub instance_events: Vec<InstanceEvent>,
    pub nodes: Vec<ClusterNode>,
    pub clusters: Vec<Cluster>,
    pub jobs: Vec<Job>,
    pub job_runs: Vec<JobRun>,
    pub task_runs: Vec<TaskRun>,
    pub vends: Vec<Vend>,
    pub commands: Vec<CommandRun>,
    pub share_queries: Vec<ShareQuery>,
    pub group_changes: Vec<GroupChange>,
    pub statements: Vec<Statement>,
    pub lineage: Vec<Lineage>,
    pub scim: Vec<ScimEntry>,
    pub storage_credentials: Vec<StorageCredential>,
    pub external_locations: Vec<ExternalLocation>,
    pub workspaces: Vec<Workspace>,
    pub watermarks: Vec<SourceWatermark>,
}
