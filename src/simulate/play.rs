//! The nouns of the play: who signs, what is done, what the trail also holds.
//!
//! An [`Activity`] is one credential at work in one place for some time; the
//! S3 events are allotted to activities by weight. A [`Fact`] is an event of STS
//! or EC2 that the identity of others rests on.

use super::org::{Location, Principal, Role, Table};
use super::scenario::Truth;
use std::ops::Range;
use std::sync::Arc;

/// A session of a role.
#[derive(Debug)]
pub(super) struct RoleSession {
    pub role: Arc<Role>,
    pub name: String,
    /// `ASIA…`.
    pub key: String,
    pub issued: i64,
    pub expires: i64,
    /// The instance that it was delivered to, if records say so.
    pub in_scope_of: Option<String>,
    pub is_delivered: bool,
}

/// Who signs a request.
#[derive(Clone, Debug)]
pub(super) enum Signer {
    Session(Arc<RoleSession>),
    User {
        account: &'static str,
        name: String,
        id: String,
        key: String,
    },
    /// Databricks' own account, of which the customer sees little.
    Platform {
        principal_id: String,
    },
    Service(&'static str),
    Anonymous,
}

/// Who called STS for a session.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// Databricks' control plane; its session there.
    Databricks { principal_id: String },
    /// Another account.
    Foreign { principal_id: String },
    /// A session calls with its own key: the role itself, or an instance.
    Session(Arc<RoleSession>),
    /// EC2 delivers a key to the instance that the session is named after.
    Ec2,
    /// Someone who signed in.
    Saml { user: String },
    /// A pod of a cluster of containers.
    WebIdentity,
}

/// What a vended session may do.
#[derive(Clone, Debug)]
pub(super) struct SessionPolicy {
    pub location: Arc<Location>,
    pub writes: bool,
}

/// What the trail holds beside S3 events.
pub(super) enum Fact {
    Issue {
        session: Arc<RoleSession>,
        caller: Caller,
        policy: Option<SessionPolicy>,
        external_id: Option<String>,
        source_ip: String,
    },
    Launch {
        instances: Vec<usize>,
    },
    Terminate {
        instances: Vec<usize>,
    },
    /// An instance that is none of Databricks'.
    LaunchOther {
        id: Arc<str>,
        ip: String,
        role: Arc<Role>,
    },
}

pub(super) struct DatedFact {
    pub at: i64,
    pub place: usize,
    pub fact: Fact,
}

/// What requests an activity makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mix {
    /// Reads, writes, lists, deletes.
    Etl,
    Read,
    /// Reads of objects only.
    Gets,
    /// Reads with URLs that were signed before.
    Presigned,
    /// Databricks' own work in a root bucket.
    RootBucket,
    /// Files that a service or Databricks delivers.
    Deliver,
    /// What Unity Catalog does to see whether a location works.
    Probe,
    /// Reads outside what the session policy allows.
    OutsidePolicy,
    CopyOut,
    SseC,
    PublicPolicy,
    DeleteAll,
}

/// One credential at work in one place for some time.
pub(super) struct Activity {
    pub truth: Truth,
    pub signer: Signer,
    /// Where its events are recorded.
    pub place: usize,
    /// Where the bucket's owner gets a copy of them.
    pub twin: Option<usize>,
    pub span: Range<i64>,
    pub weight: u64,
    /// Exactly so many events, whatever the load.
    pub fixed: Option<u64>,
    pub location: Arc<Location>,
    pub writes: bool,
    pub mix: Mix,
    pub source_ip: String,
    pub vpc_endpoint: Option<&'static str>,
    pub user_agent: &'static str,
}

/// A vend as Databricks' audit log tells it.
pub(super) struct Vend {
    pub workspace: usize,
    /// By Databricks' clock, in milliseconds.
    pub at_millis: i64,
    /// `None` is the compute's own identity, `System-User`.
    pub principal: Option<Principal>,
    pub table: Table,
    pub writes: bool,
    pub user_agent: &'static str,
    pub source_ip: String,
    /// Some releases write the action with a final `s`.
    pub plural: bool,
    pub denied: bool,
}

/// A command that a user ran on a cluster (verbose audit).
pub(super) struct Command {
    pub cluster: usize,
    pub user: usize,
    pub at: i64,
}

/// A statement on a SQL warehouse.
pub(super) struct Statement {
    pub workspace: usize,
    pub user: usize,
    pub at: i64,
    pub seconds: i64,
}

/// What lineage says of a table that was read.
pub(super) struct Lineage {
    pub workspace: usize,
    pub user: usize,
    pub at: i64,
    pub table: Table,
    pub notebook: bool,
}

/// A table that was shared by pre-signed URLs.
pub(super) struct Sharing {
    pub workspace: usize,
    pub at: i64,
    pub table: Table,
}

/// Everything that happens.
#[derive(Default)]
pub(super) struct Play {
    pub activities: Vec<Activity>,
    pub facts: Vec<DatedFact>,
    pub vends: Vec<Vend>,
    pub commands: Vec<Command>,
    pub statements: Vec<Statement>,
    pub lineage: Vec<Lineage>,
    pub sharing: Vec<Sharing>,
}

pub(super) mod agent {
    //! User agents, as seen in records; client-asserted, so proof of nothing.

    pub(in super::super) const SPARK: &str = "[Hadoop 3.4.2, aws-sdk-java/1.12.681 Linux/5.15.0-1072-aws OpenJDK_64-Bit_Server_VM/17.0.13 java/17.0.13 scala/2.13.16 vendor/Eclipse_Adoptium cfg/retry-mode/legacy]";
    pub(in super::super) const OLD_SPARK: &str = "[Hadoop 3.3.4, aws-sdk-java/1.12.262 Linux/5.4.0-1110-aws OpenJDK_64-Bit_Server_VM/25.412 java/1.8.0_412 scala/2.12.15 vendor/Azul_Systems,_Inc. cfg/retry-mode/legacy]";
    pub(in super::super) const CLI: &str = "[aws-cli/2.15.17 Python/3.11.6 Linux/6.1.0-18-amd64 exe/x86_64.debian.12 prompt/off command/s3.cp]";
    pub(in super::super) const DUCKDB: &str = "[duckdb/v1.1.3(linux_amd64)]";
    pub(in super::super) const BOTO: &str =
        "[Boto3/1.34.51 md/Botocore#1.34.51 ua/2.0 os/linux#5.10.214 lang/python#3.11.8]";
    pub(in super::super) const BROWSER: &str =
        "[Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/129.0.0.0 Safari/537.36]";
    pub(in super::super) const UC: &str =
        "aws-sdk-java/2.25.11 Linux/5.15.0-1072-aws OpenJDK_64-Bit_Server_VM/17.0.13 Java/17.0.13";
    pub(in super::super) const SHARING: &str = "[Delta-Sharing-Spark/3.2.0 Java/17.0.13]";
}
