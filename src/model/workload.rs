//! What is known of the workload behind an access beside who and which it was:
//! groups of the principals, names and tags of job, cluster and workspace.
//!
//! Rules ask for it, attribution does not: only what the rules of the loaded policy
//! ask for ([`Interest`]) is looked up at all.

/// What a policy asks of workloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Display names of groups, sorted.
    pub groups: Vec<String>,
    /// Whether principals are active.
    pub active: bool,
    pub job: bool,
    pub cluster: bool,
    pub workspace: bool,
}

impl Interest {
    /// Whether there is nothing to look up.
    pub fn is_none(&self) -> bool {
        *self == Interest::default()
    }
}

/// What is known of a workload, as far as anybody asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Workload {
    /// Of the principal, or of each candidate in the order of the candidates.
    pub principals: Vec<Membership>,
    pub job: Option<JobFacts>,
    pub cluster: Option<ClusterFacts>,
    pub workspace: Option<WorkspaceFacts>,
}

/// Where a principal belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Membership {
    /// Places in [`Interest::groups`] of the groups that it is in, through others or
    /// directly; sorted.
    pub groups: Vec<u32>,
    /// Whether SCIM showed it as active at the time; `None` where no snapshot tells.
    pub active: Option<bool>,
}

/// A job as it was at the time of the access.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct JobFacts {
    pub name: Option<String>,
    /// User name or application id with whose rights it runs.
    pub run_as: Option<String>,
    pub creator: Option<String>,
    /// Users' tags, sorted.
    pub tags: Vec<(String, String)>,
}

/// A cluster, likewise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClusterFacts {
    pub name: Option<String>,
    /// `UI`, `API`, `JOB`, `PIPELINE`, …
    pub source: Option<String>,
    /// For one user, service principal or group.
    pub dedicated: Option<bool>,
    /// Users' tags, sorted.
    pub tags: Vec<(String, String)>,
}

/// A workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct WorkspaceFacts {
    pub name: Option<String>,
}

/// The groups that SCIM shows, as a policy has to know them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownGroups {
    /// Display names, sorted, each once. Account and workspace groups may share one.
    pub names: Vec<String>,
    /// Names of groups that lie in themselves: each a way around, from a group back to
    /// it.
    pub cycles: Vec<Vec<String>>,
    /// Names of groups without any principal in them, sorted.
    pub empty: Vec<String>,
}
