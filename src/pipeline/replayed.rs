//! Which columns of the rows a policy judges by.
//!
//! INVARIANT (all that is seen): a policy that can tell two rows apart reads a column in
//! which they differ. Every attribute and every type of the schema has its columns here,
//! or the program does not compile; a test compares what is told of a lake with what
//! judging it then changes.

use crate::lake::replay::Told;
use crate::policy::{Attribute, EntityType, Policy};
use std::collections::BTreeSet;

/// Of every row: what it was, who did it, and what was said of it before.
const ALWAYS: [&str; 14] = [
    "event_time",
    "event_name",
    "operation",
    "identity_type",
    "role_arn",
    "principal_arn",
    "access_path",
    "principal",
    "principal_kind",
    "principal_candidates",
    "unattributed_reason",
    "settled",
    "dataset",
    "violations",
];

/// By what AWS calls a caller.
const NAMES: &[&str] = &[
    "principal_arn",
    "principal_account_id",
    "user_name",
    "principal_id",
    "invoked_by",
];

/// How the dataset of a row is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatasetBy {
    /// The row tells it: it was judged by a policy that finds the same.
    Row,
    /// It follows from bucket and key.
    Place,
}

impl DatasetBy {
    fn columns(self) -> &'static [&'static str] {
        match self {
            DatasetBy::Row => &["dataset"],
            DatasetBy::Place => &["bucket", "object_key", "list_prefix"],
        }
    }
}

/// The columns that an attribute is made of. Names that the context shares with its
/// confidences stand for both.
fn columns_of(attribute: Attribute, dataset: DatasetBy) -> &'static [&'static str] {
    use Attribute as A;
    match attribute {
        A::EventName | A::Hour | A::Weekday => &["event_name", "event_time"],
        A::Outcome => &["outcome"],
        A::AccessPath => &["access_path"],
        A::Credential => &["credential"],
        A::IdentityType => &["identity_type"],
        A::RoleArn => &["role_arn"],
        A::SessionName => &["session_name"],
        A::SourceIdentity => &["source_identity"],
        A::UserAgent => &["user_agent"],
        A::InvokedBy => &["invoked_by"],
        A::AwsServiceInvoked => &["access_path", "credential", "invoked_by"],
        A::Presigned => &["presigned"],
        A::SessionAgeHours | A::SessionAgeLimitExceeded => &["session_issued_at"],
        A::Tls => &["tls_version", "plaintext"],
        A::Sse => &["sse"],
        A::KmsKeyArn | A::KmsKeyAccountId => &["kms_key_arn"],
        A::CallerAccountId | A::ForeignAccount => &["principal_account_id", "role_account_id"],
        A::WorkspaceId => &["workspace_id"],
        A::ClusterId => &["cluster_id"],
        A::JobId => &["job_id"],
        A::JobRunId => &["job_run_id"],
        A::TaskKey => &["task_key"],
        A::UnattributedReason => &["unattributed_reason"],
        A::ErrorCode => &["error_code"],
        A::ListPrefix => &["list_prefix"],
        A::VersionId => &["version_id"],
        A::CopySource | A::CopySourceBucket | A::CopySourceDataset | A::CopySourceSensitivity => {
            &["copy_source"]
        }
        A::CopyDestinationAccountId => &["copy_source", "bucket_account_id"],
        A::Settled => &["settled"],
        A::SourceIp | A::Kind => &["source_ip"],
        A::VpcEndpointId => &["vpc_endpoint_id"],
        A::InsideKnownNetworks | A::OutsideKnownNetworks => &["source_ip", "vpc_endpoint_id"],
        A::Session => &["session_confidence"],
        A::Workspace => &["workspace_confidence", "workspace_id"],
        A::Cluster => &["cluster_confidence", "cluster_id", "workspace_id"],
        A::Job => &["job_confidence", "job_id", "workspace_id"],
        A::Task => &["task_confidence"],
        A::Principal => &["principal_confidence"],
        A::Key => &["object_key"],
        A::Bucket => &["bucket"],
        A::AccountId => &["bucket_account_id", "aws_account_id"],
        A::Region => &["aws_region"],
        A::Dataset | A::Sensitivity | A::Owner => dataset.columns(),
        // Parts of others, settings, and what is looked up by ids that are read.
        A::Network
        | A::OwnAccountIds
        | A::Confidence
        | A::Active
        | A::Name
        | A::RunAs
        | A::Creator
        | A::Source
        | A::Dedicated => &[],
    }
}

/// The columns that the names of entities are made of.
fn columns_naming(of: EntityType, dataset: DatasetBy) -> &'static [&'static str] {
    match of {
        EntityType::User | EntityType::ServicePrincipal => &["principal", "principal_kind"],
        EntityType::AwsIdentity | EntityType::Unattributed => NAMES,
        EntityType::Account => &["bucket_account_id", "aws_account_id"],
        EntityType::Bucket => &["bucket"],
        EntityType::Object => &["bucket", "object_key"],
        EntityType::Dataset => dataset.columns(),
        EntityType::Workspace => &["workspace_id"],
        EntityType::Job => &["workspace_id", "job_id"],
        EntityType::Cluster => &["cluster_id"],
    }
}

/// The columns that a policy judges by.
pub fn columns(policy: &Policy, dataset: DatasetBy) -> Vec<&'static str> {
    let mut columns = BTreeSet::from(ALWAYS);
    let asked = Attribute::ALL.iter().filter(|it| policy.asks(**it));
    columns.extend(asked.flat_map(|attribute| columns_of(*attribute, dataset)));
    let named = EntityType::ALL.iter().filter(|it| policy.tells_apart(**it));
    columns.extend(named.flat_map(|of| columns_naming(*of, dataset)));
    if policy.asks_who() {
        // Whether AWS names the caller at all tells types of principals apart.
        columns.extend(NAMES);
    }
    if policy.datasets_count() > 0 {
        columns.extend(dataset.columns());
    }
    for exception in policy.exceptions() {
        for (names, of) in [
            (&exception.principals, NAMES),
            (&exception.buckets, &["bucket"]),
            (&exception.jobs, &["workspace_id", "job_id"]),
        ] {
            if !names.is_empty() {
                columns.extend(of);
            }
        }
    }
    columns.into_iter().collect()
}

/// By which texts of their own rows are told apart.
pub fn told_apart(policy: &Policy) -> Told {
    let reads = policy.reads();
    let types = [EntityType::AwsIdentity, EntityType::Unattributed];
    let mut exceptions = policy.exceptions().iter();
    Told {
        names: types.into_iter().any(|of| policy.tells_apart(of))
            || exceptions.any(|exception| !exception.principals.is_empty()),
        object_keys: reads.object_key,
        list_prefixes: reads.list_prefix,
    }
}
