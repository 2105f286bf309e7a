//! The answer to "who was it", level by level, with its grounds.

/// How an access reached S3 (facts-identity 9.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessPath {
    InstanceProfile,
    UnityCatalog,
    AssumedByInstance,
    DatabricksPlatform,
    StaticKey,
    OtherRole,
    AwsService,
    Anonymous,
    #[default]
    Unknown,
}

/// How sure a level is. Never a percentage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Nothing known; the row names the reason.
    #[default]
    None,
    /// Several candidates, all listed.
    Ambiguous,
    /// One candidate only, in a stated window, or two independent methods agree.
    Strong,
    /// A chain of identifiers with no guess by time.
    Exact,
}

/// The step that led to a claim; what `attribution_methods` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Access key to the STS event that issued it.
    M1AccessKey,
    /// Role, session name and creation date to one STS event.
    M2SessionCreation,
    /// Instance id to cluster, by the tags of the instance.
    M3InstanceTags,
    /// Instance id to cluster, by `system.compute.instance_events`.
    M3InstanceEvents,
    /// Instance id to cluster, by a minute of `system.compute.node_timeline`.
    M3NodeTimeline,
    /// Instance id to cluster, by a node that the Clusters API shows.
    M3ClustersApi,
    /// Cluster to job, by the `JobId` tag of a job cluster.
    M4JobTag,
    /// Cluster to the runs that used it.
    M4ClusterRuns,
    /// Cluster to the one user or service principal that it is dedicated to.
    M5DedicatedUser,
    /// Cluster to the members of the group that it is dedicated to.
    M5DedicatedGroup,
    /// Job to the principal with whose rights it ran.
    M5RunAs,
    /// Cluster to the users who ran commands on it.
    M5ActiveUsers,
    /// Session to a vend of Unity Catalog by place and time.
    C1Vend,
    /// Access key to the vend that names it.
    C1VendKey,
    /// Vends that no session of their own answers: the key may have served them too.
    C1SessionReuse,
    /// Private source address to the node that had it.
    C2PrivateIp,
    /// Path to who read or wrote it, by lineage.
    C3Lineage,
    /// Time to the statement under way, by query history.
    C4QueryHistory,
    /// Pre-signed URL to the query of a share that handed it out.
    P5ShareQuery,
    /// Workspace from the key layout of a Databricks root bucket.
    RootBucketLayout,
    /// Not a step but its failure: sources exclude each other.
    Conflict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrincipalKind {
    User,
    ServicePrincipal,
}

/// Why a level is `none`, in words a person can act on (facts-identity 9.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnattributedReason {
    /// A source that should hold the fact has not been read up to this event.
    Late,
    /// No STS event issued this key.
    NoSts,
    NoVend,
    ServiceVend,
    OutsideRetention,
    PathUnsupported,
    SharedCluster,
    Serverless,
    /// Databricks' own platform acted.
    Platform,
    /// Someone outside: a foreign account, an anonymous or pre-signed reader, whoever
    /// uses a machine's key away from it.
    External,
    /// An AWS identity that has nothing to do with Databricks.
    NotDatabricks,
    /// CloudTrail left out the fields that would tell.
    FieldsOmitted,
}

/// Candidates that an attribution lists of a level, at most.
pub const CANDIDATES_MAX: usize = 50;

/// Who stood behind an access: one label of confidence for each level.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attribution {
    pub access_path: AccessPath,
    pub instance_id: Option<String>,
    /// The STS event that issued the credential, and how sure that link is.
    pub session_event_id: Option<String>,
    pub session_confidence: Confidence,
    pub workspace_id: Option<String>,
    pub workspace_confidence: Confidence,
    pub cluster_id: Option<String>,
    pub cluster_confidence: Confidence,
    pub job_id: Option<String>,
    pub job_run_id: Option<String>,
    pub job_confidence: Confidence,
    pub task_key: Option<String>,
    pub task_run_id: Option<String>,
    pub task_confidence: Confidence,
    pub principal: Option<String>,
    pub principal_kind: Option<PrincipalKind>,
    pub principal_confidence: Confidence,
    /// At most [`CANDIDATES_MAX`], sorted; `principal_candidate_count` is the true number.
    pub principal_candidates: Vec<String>,
    pub principal_candidate_count: u32,
    /// Ids of job runs, of the job where its run is not known; likewise.
    pub job_run_candidates: Vec<String>,
    pub job_run_candidate_count: u32,
    pub methods: Vec<Method>,
    /// Identifiers of the records the claims rest on: CloudTrail event ids, and for
    /// records of Databricks the `source_id` (`audit:…`, `jobs:…`).
    pub evidence: Vec<String>,
    /// Why no principal is named; `None` where one is, or candidates are.
    pub unattributed_reason: Option<UnattributedReason>,
}

impl AccessPath {
    pub const ALL: [AccessPath; 9] = [
        AccessPath::InstanceProfile,
        AccessPath::UnityCatalog,
        AccessPath::AssumedByInstance,
        AccessPath::DatabricksPlatform,
        AccessPath::StaticKey,
        AccessPath::OtherRole,
        AccessPath::AwsService,
        AccessPath::Anonymous,
        AccessPath::Unknown,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            AccessPath::InstanceProfile => "instance_profile",
            AccessPath::UnityCatalog => "unity_catalog",
            AccessPath::AssumedByInstance => "assumed_by_instance",
            AccessPath::DatabricksPlatform => "databricks_platform",
            AccessPath::StaticKey => "static_key",
            AccessPath::OtherRole => "other_role",
            AccessPath::AwsService => "aws_service",
            AccessPath::Anonymous => "anonymous",
            AccessPath::Unknown => "unknown",
        }
    }
}

impl Confidence {
    pub const ALL: [Confidence; 4] = [
        Confidence::Exact,
        Confidence::Strong,
        Confidence::Ambiguous,
        Confidence::None,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::Exact => "exact",
            Confidence::Strong => "strong",
            Confidence::Ambiguous => "ambiguous",
            Confidence::None => "none",
        }
    }
}

impl Method {
    pub const ALL: [Method; 21] = [
        Method::M1AccessKey,
        Method::M2SessionCreation,
        Method::M3InstanceEvents,
        Method::M3InstanceTags,
        Method::M3NodeTimeline,
        Method::M3ClustersApi,
        Method::M4ClusterRuns,
        Method::M4JobTag,
        Method::M5DedicatedUser,
        Method::M5DedicatedGroup,
        Method::M5RunAs,
        Method::M5ActiveUsers,
        Method::C1Vend,
        Method::C1VendKey,
        Method::C1SessionReuse,
        Method::C2PrivateIp,
        Method::C3Lineage,
        Method::C4QueryHistory,
        Method::P5ShareQuery,
        Method::RootBucketLayout,
        Method::Conflict,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Method::M1AccessKey => "M1_access_key",
            Method::M2SessionCreation => "M2_session_creation",
            Method::M3InstanceTags => "M3_instance_tags",
            Method::M3InstanceEvents => "M3_instance_events",
            Method::M3NodeTimeline => "M3_node_timeline",
            Method::M3ClustersApi => "M3_clusters_api",
            Method::M4JobTag => "M4_job_tag",
            Method::M4ClusterRuns => "M4_cluster_runs",
            Method::M5DedicatedUser => "M5_dedicated_user",
            Method::M5DedicatedGroup => "M5_dedicated_group",
            Method::M5RunAs => "M5_run_as",
            Method::M5ActiveUsers => "M5_active_users",
            Method::C1Vend => "C1_vend",
            Method::C1VendKey => "C1_vend_key",
            Method::C1SessionReuse => "C1_session_reuse",
            Method::C2PrivateIp => "C2_private_ip",
            Method::C3Lineage => "C3_lineage",
            Method::C4QueryHistory => "C4_query_history",
            Method::P5ShareQuery => "P5_share_query",
            Method::RootBucketLayout => "root_bucket_layout",
            Method::Conflict => "conflict",
        }
    }
}

impl PrincipalKind {
    pub fn parse(text: &str) -> Option<PrincipalKind> {
        let kinds = [PrincipalKind::User, PrincipalKind::ServicePrincipal];
        kinds.into_iter().find(|kind| kind.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            PrincipalKind::User => "user",
            PrincipalKind::ServicePrincipal => "service_principal",
        }
    }
}

impl UnattributedReason {
    pub fn parse(text: &str) -> Option<UnattributedReason> {
        let mut reasons = UnattributedReason::ALL.into_iter();
        reasons.find(|reason| reason.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            UnattributedReason::Late => "late",
            UnattributedReason::NoSts => "no_sts",
            UnattributedReason::NoVend => "no_vend",
            UnattributedReason::ServiceVend => "service_vend",
            UnattributedReason::OutsideRetention => "outside_retention",
            UnattributedReason::PathUnsupported => "path_unsupported",
            UnattributedReason::SharedCluster => "shared_cluster",
            UnattributedReason::Serverless => "serverless",
            UnattributedReason::Platform => "platform",
            UnattributedReason::External => "external",
            UnattributedReason::NotDatabricks => "not_databricks",
            UnattributedReason::FieldsOmitted => "fields_omitted",
        }
    }
}
