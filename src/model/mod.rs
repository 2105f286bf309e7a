//! The nouns: what every other layer talks about. Layer 1 of the house.
//!
//! No IO, no clock, no parsing of wires: plain values of std types. A noun
//! that is *read* from CloudTrail is generic over its text (`&str` while the
//! log object is in memory, `String` once kept), so that keeping one costs an
//! allocation only when it is new.

pub mod access;
pub mod advice;
pub mod attribution;
pub mod databricks;
pub mod databricks_join;
pub mod identity;
pub mod network;
pub mod object;
pub mod time;
pub mod verdict;
pub mod workload;

pub use access::{
    AccessEvent, Asked, Client, Credential, Operation, Outcome, Principal, Target, Tls, TlsVersion,
};
pub use advice::{Advice, Doubt};
pub use attribution::{
    AccessPath, Attribution, CANDIDATES_MAX, Confidence, Method, PrincipalKind, UnattributedReason,
};
pub use databricks::{
    Cluster, ClusterAccess, ClusterNode, CommandRun, DatabricksFacts, ExternalLocation,
    GroupChange, InstanceEvent, Job, JobRun, Lineage, NodeSource, ScimEntry, ScimKind, ShareQuery,
    SourceWatermark, Statement, StorageCredential, TaskRun, TaskRunSource, Vend, VendOperation,
    Workspace,
};
pub use identity::{Ec2Instance, StsSession};
pub use object::{DigestSignature, ObjectCounts, ObjectStatus};
pub use time::{TimeSpan, UtcMicros};
pub use verdict::{Dataset, Severity, Verdict, Violation};
pub use workload::{
    ClusterFacts, Interest, JobFacts, KnownGroups, Membership, Workload, WorkspaceFacts,
};
