//! What is played: the scenarios, the planted violations, and for each what an
//! honest program can know at most.
//!
//! The maxima follow the algorithm's own terms (exact: a chain of identifiers;
//! strong: one candidate in a stated window; ambiguous: several; none). They
//! are what the written trail and exports allow, not what happened: the truth
//! beside them says that.

use crate::model::{AccessPath, Confidence, PrincipalKind};
use std::sync::Arc;

use Confidence::{Ambiguous, Exact, None as Nothing, Strong};

/// What is played; the label in `truth.parquet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scenario {
    JobCluster,
    JobClusterSessionName,
    JobClusterNoSts,
    JobParallelTasks,
    JobSequentialTasks,
    JobLongRun,
    JobSharedId,
    JobCrossAccount,
    JobAllPurpose,
    JobOldRecords,
    JobAccessPoint,
    JobDirectoryBucket,
    PoolCluster,
    RoleChain,
    Passthrough,
    SharedClusterOneUser,
    SharedClusterTwoUsers,
    DedicatedCluster,
    DedicatedGroup,
    DedicatedGroupChange,
    UcUser,
    UcSelfAssumed,
    UcPath,
    UcVolume,
    UcManagedTable,
    UcExternalEngine,
    UcDeletedUser,
    UcJobCluster,
    UcSharedCluster,
    UcServerlessJob,
    UcTwoPrincipals,
    UcServiceVend,
    UcServiceVendLineage,
    UcVendTooLate,
    UcNoSts,
    UcLocationProbe,
    SharingPresigned,
    RootBucket,
    LogDelivery,
    StaticKey,
    SsoHuman,
    OtherRole,
    OutpostsApplication,
    OtherInstance,
    AwsService,
    Anonymous,
    ForeignAssumption,
    CredentialOffNode,
    CopyToForeignAccount,
    UcBypass,
    StaticKeyRestricted,
    OutOfVendedPrefix,
    SseCEncryption,
    PublicBucketPolicy,
    MassDelete,
}

/// The most that can be known, level by level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maxima {
    pub workspace: Confidence,
    pub cluster: Confidence,
    pub job: Confidence,
    pub task: Confidence,
    pub principal: Confidence,
}

/// What really stood behind an access, and what can be known of it.
#[derive(Clone, Debug)]
pub struct Truth {
    pub scenario: Scenario,
    pub access_path: AccessPath,
    pub workspace_id: Option<Arc<str>>,
    pub cluster_id: Option<Arc<str>>,
    pub job_id: Option<Arc<str>>,
    pub job_run_id: Option<Arc<str>>,
    pub task_key: Option<Arc<str>>,
    pub task_run_id: Option<Arc<str>>,
    pub principal: Option<Arc<str>>,
    pub principal_kind: Option<PrincipalKind>,
}

impl Scenario {
    pub const ALL: [Scenario; 55] = [
        Scenario::JobCluster,
        Scenario::JobClusterSessionName,
        Scenario::JobClusterNoSts,
        Scenario::JobParallelTasks,
        Scenario::JobSequentialTasks,
        Scenario::JobLongRun,
        Scenario::JobSharedId,
        Scenario::JobCrossAccount,
        Scenario::JobAllPurpose,
        Scenario::JobOldRecords,
        Scenario::JobAccessPoint,
        Scenario::JobDirectoryBucket,
        Scenario::PoolCluster,
        Scenario::RoleChain,
        Scenario::Passthrough,
        Scenario::SharedClusterOneUser,
        Scenario::SharedClusterTwoUsers,
        Scenario::DedicatedCluster,
        Scenario::DedicatedGroup,
        Scenario::DedicatedGroupChange,
        Scenario::UcUser,
        Scenario::UcSelfAssumed,
        Scenario::UcPath,
        Scenario::UcVolume,
        Scenario::UcManagedTable,
        Scenario::UcExternalEngine,
        Scenario::UcDeletedUser,
        Scenario::UcJobCluster,
        Scenario::UcSharedCluster,
        Scenario::UcServerlessJob,
        Scenario::UcTwoPrincipals,
        Scenario::UcServiceVend,
        Scenario::UcServiceVendLineage,
        Scenario::UcVendTooLate,
        Scenario::UcNoSts,
        Scenario::UcLocationProbe,
        Scenario::SharingPresigned,
        Scenario::RootBucket,
        Scenario::LogDelivery,
        Scenario::StaticKey,
        Scenario::SsoHuman,
        Scenario::OtherRole,
        Scenario::OutpostsApplication,
        Scenario::OtherInstance,
        Scenario::AwsService,
        Scenario::Anonymous,
        Scenario::ForeignAssumption,
        Scenario::CredentialOffNode,
        Scenario::CopyToForeignAccount,
        Scenario::UcBypass,
        Scenario::StaticKeyRestricted,
        Scenario::OutOfVendedPrefix,
        Scenario::SseCEncryption,
        Scenario::PublicBucketPolicy,
        Scenario::MassDelete,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Scenario::JobCluster => "job_cluster",
            Scenario::JobClusterSessionName => "job_cluster_session_name",
            Scenario::JobClusterNoSts => "job_cluster_no_sts",
            Scenario::JobParallelTasks => "job_parallel_tasks",
            Scenario::JobSequentialTasks => "job_sequential_tasks",
            Scenario::JobLongRun => "job_long_run",
            Scenario::JobSharedId => "job_shared_id",
            Scenario::JobCrossAccount => "job_cross_account",
            Scenario::JobAllPurpose => "job_all_purpose",
            Scenario::JobOldRecords => "job_old_records",
            Scenario::JobAccessPoint => "job_access_point",
            Scenario::JobDirectoryBucket => "job_directory_bucket",
            Scenario::PoolCluster => "pool_cluster",
            Scenario::RoleChain => "role_chain",
            Scenario::Passthrough => "passthrough",
            Scenario::SharedClusterOneUser => "shared_cluster_one_user",
            Scenario::SharedClusterTwoUsers => "shared_cluster_two_users",
            Scenario::DedicatedCluster => "dedicated_cluster",
            Scenario::DedicatedGroup => "dedicated_group",
            Scenario::DedicatedGroupChange => "dedicated_group_change",
            Scenario::UcUser => "uc_user",
            Scenario::UcSelfAssumed => "uc_self_assumed",
            Scenario::UcPath => "uc_path",
            Scenario::UcVolume => "uc_volume",
            Scenario::UcManagedTable => "uc_managed_table",
            Scenario::UcExternalEngine => "uc_external_engine",
            Scenario::UcDeletedUser => "uc_deleted_user",
            Scenario::UcJobCluster => "uc_job_cluster",
            Scenario::UcSharedCluster => "uc_shared_cluster",
            Scenario::UcServerlessJob => "uc_serverless_job",
            Scenario::UcTwoPrincipals => "uc_two_principals",
            Scenario::UcServiceVend => "uc_service_vend",
            Scenario::UcServiceVendLineage => "uc_service_vend_lineage",
            Scenario::UcVendTooLate => "uc_vend_too_late",
            Scenario::UcNoSts => "uc_no_sts",
            Scenario::UcLocationProbe => "uc_location_probe",
            Scenario::SharingPresigned => "sharing_presigned",
            Scenario::RootBucket => "root_bucket",
            Scenario::LogDelivery => "log_delivery",
            Scenario::StaticKey => "static_key",
            Scenario::SsoHuman => "sso_human",
            Scenario::OtherRole => "other_role",
            Scenario::OutpostsApplication => "outposts_application",
            Scenario::OtherInstance => "other_instance",
            Scenario::AwsService => "aws_service",
            Scenario::Anonymous => "anonymous",
            Scenario::ForeignAssumption => "foreign_assumption",
            Scenario::CredentialOffNode => "credential_off_node",
            Scenario::CopyToForeignAccount => "copy_to_foreign_account",
            Scenario::UcBypass => "uc_bypass",
            Scenario::StaticKeyRestricted => "static_key_restricted",
            Scenario::OutOfVendedPrefix => "out_of_vended_prefix",
            Scenario::SseCEncryption => "sse_c_encryption",
            Scenario::PublicBucketPolicy => "public_bucket_policy",
            Scenario::MassDelete => "mass_delete",
        }
    }

    /// The planted violation that every event of the scenario is part of: the
    /// scenarios of attackers are violations, the others are none.
    pub fn violation(self) -> Option<&'static str> {
        (self >= Scenario::ForeignAssumption).then(|| self.as_str())
    }

    /// How the access reached S3.
    pub fn access_path(self) -> AccessPath {
        use Scenario as S;
        match self {
            S::RoleChain | S::Passthrough => AccessPath::AssumedByInstance,
            S::RootBucket | S::LogDelivery => AccessPath::DatabricksPlatform,
            S::StaticKey | S::StaticKeyRestricted | S::SseCEncryption | S::MassDelete => {
                AccessPath::StaticKey
            }
            S::SsoHuman
            | S::OtherRole
            | S::OutpostsApplication
            | S::ForeignAssumption
            | S::CopyToForeignAccount
            | S::PublicBucketPolicy => AccessPath::OtherRole,
            S::AwsService => AccessPath::AwsService,
            S::Anonymous => AccessPath::Anonymous,
            S::OutOfVendedPrefix => AccessPath::UnityCatalog,
            _ if self >= S::UcUser && self <= S::SharingPresigned => AccessPath::UnityCatalog,
            _ => AccessPath::InstanceProfile,
        }
    }

    /// The most that the written trail and exports allow to say.
    pub fn maxima(self) -> Maxima {
        use Scenario as S;
        let levels = |workspace, cluster, job, task, principal| Maxima {
            workspace,
            cluster,
            job,
            task,
            principal,
        };
        match self {
            // The cluster serves one run; who the run runs as may have changed.
            S::JobCluster
            | S::JobClusterSessionName
            | S::JobSequentialTasks
            | S::JobLongRun
            | S::JobSharedId
            | S::JobCrossAccount
            | S::JobOldRecords
            | S::JobAccessPoint
            // `CreateSession` tells whose key its own stands for.
            | S::JobDirectoryBucket
            | S::PoolCluster
            | S::RoleChain => levels(Exact, Exact, Exact, Exact, Strong),
            // The session's name alone is no chain of identifiers.
            S::JobClusterNoSts => levels(Strong, Strong, Strong, Strong, Strong),
            S::JobParallelTasks => levels(Exact, Exact, Exact, Ambiguous, Strong),
            // Anyone may use the cluster; the run is the one candidate in its time.
            S::JobAllPurpose => levels(Exact, Exact, Strong, Strong, Strong),
            S::SharedClusterOneUser => levels(Exact, Exact, Nothing, Nothing, Strong),
            S::SharedClusterTwoUsers
            | S::DedicatedGroup
            | S::DedicatedGroupChange
            | S::Passthrough => levels(Exact, Exact, Nothing, Nothing, Ambiguous),
            S::DedicatedCluster | S::UcBypass => levels(Exact, Exact, Nothing, Nothing, Exact),
            // The key is the compute's, the hands are not: neither job nor
            // principal did it.
            S::CredentialOffNode => levels(Exact, Exact, Nothing, Nothing, Nothing),
            S::UcUser
            | S::UcSelfAssumed
            | S::UcPath
            | S::UcVolume
            | S::UcManagedTable
            | S::UcExternalEngine
            | S::UcDeletedUser
            | S::UcServerlessJob
            | S::UcServiceVendLineage
            | S::OutOfVendedPrefix => levels(Strong, Nothing, Nothing, Nothing, Strong),
            S::UcJobCluster => levels(Strong, Strong, Strong, Strong, Strong),
            S::UcSharedCluster => levels(Strong, Strong, Nothing, Nothing, Strong),
            S::UcTwoPrincipals => levels(Strong, Nothing, Nothing, Nothing, Ambiguous),
            S::UcServiceVend => levels(Strong, Nothing, Nothing, Nothing, Nothing),
            // Without the STS event each level is one lower.
            S::UcNoSts => levels(Ambiguous, Nothing, Nothing, Nothing, Ambiguous),
            // The key of a root bucket names the workspace.
            S::RootBucket => levels(Exact, Nothing, Nothing, Nothing, Nothing),
            S::UcVendTooLate
            | S::UcLocationProbe
            | S::SharingPresigned
            | S::LogDelivery
            | S::StaticKey
            | S::SsoHuman
            | S::OtherRole
            | S::OutpostsApplication
            | S::OtherInstance
            | S::AwsService
            | S::Anonymous
            | S::ForeignAssumption
            | S::CopyToForeignAccount
            | S::StaticKeyRestricted
            | S::SseCEncryption
            | S::PublicBucketPolicy
            | S::MassDelete => Maxima::default(),
        }
    }
}

impl Truth {
    /// What a scenario says by itself; who it was is filled in by its maker.
    pub(super) fn of(scenario: Scenario) -> Truth {
        Truth {
            scenario,
            access_path: scenario.access_path(),
            workspace_id: None,
            cluster_id: None,
            job_id: None,
            job_run_id: None,
            task_key: None,
            task_run_id: None,
            principal: None,
            principal_kind: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scenario;
    use std::collections::BTreeSet;

    #[test]
    fn each_scenario_is_listed_once_and_has_a_label_of_its_own() {
        let labels: BTreeSet<_> = Scenario::ALL.iter().map(|s| s.as_str()).collect();
        assert_eq!(labels.len(), Scenario::ALL.len());
        assert!(Scenario::ALL.is_sorted());
    }
}
