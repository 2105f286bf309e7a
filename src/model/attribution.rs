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
    /// Cluster to job, by the `JobId` tag of a job cluster.
    M4JobTag,
    /// Workspace from the key layout of a Databricks root bucket.
    RootBucketLayout,
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
    /// Someone outside: a foreign account, an anonymous or pre-signed reader.
    External,
    /// An AWS identity that has nothing to do with Databricks.
    NotDatabricks,
    /// CloudTrail left out the fields that would tell.
    FieldsOmitted,
}

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
    pub principal_candidates: Vec<String>,
    pub job_run_candidates: Vec<String>,
    pub methods: Vec<Method>,
    /// Identifiers of the records the claims rest on: CloudTrail event ids.
    pub evidence: Vec<String>,
    /// Why the lowest level that is `none` is so.
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
    pub fn as_str(self) -> &'static str {
        match self {
            Method::M1AccessKey => "M1_access_key",
            Method::M2SessionCreation => "M2_session_creation",
            Method::M3InstanceTags => "M3_instance_tags",
            Method::M4JobTag => "M4_job_tag",
            Method::RootBucketLayout => "root_bucket_layout",
        }
    }
}

impl PrincipalKind {
    pub fn as_str(self) -> &'static str {
        match self {
            PrincipalKind::User => "user",
            PrincipalKind::ServicePrincipal => "service_principal",
        }
    }
}

impl UnattributedReason {
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
