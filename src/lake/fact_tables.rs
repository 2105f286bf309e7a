//! The tables beside `s3_access` that a scan writes: the ledger of source
//! objects, what was learned of sessions and instances, the policies used.

use super::columns::{Column, Values, column};
use crate::model::{
    DigestSignature, Ec2Instance, ObjectCounts, ObjectStatus, StsSession, UtcMicros,
};
use crate::policy::Exception;

/// One source object seen, with its fate: a row of `log_objects`.
#[derive(Clone, Debug)]
pub struct LogObject {
    pub uri: String,
    pub version_id: Option<String>,
    pub etag: Option<String>,
    /// `log`, `digest`, `insight`, … : what key and content say it is.
    pub kind: &'static str,
    pub status: ObjectStatus,
    /// Why it is not committed; a stable token, then a detail after a colon.
    pub reason: Option<String>,
    pub compressed_bytes: u64,
    pub raw_bytes: Option<u64>,
    pub sha256: Option<[u8; 32]>,
    pub counts: ObjectCounts,
    /// Places and reasons of bad records, the first hundred.
    pub rejects: Vec<(u32, &'static str)>,
    pub first_event_time: Option<UtcMicros>,
    pub last_event_time: Option<UtcMicros>,
    /// When the notification of it was sent.
    pub notified_at: Option<UtcMicros>,
    pub fetched_at: UtcMicros,
    pub committed_at: UtcMicros,
}

/// A digest of CloudTrail, whole: a row of `digest_objects`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestObject {
    pub uri: String,
    pub version_id: Option<String>,
    pub etag: Option<String>,
    /// Of the content.
    pub sha256: [u8; 32],
    /// Inflated, byte for byte: what its signature signs.
    pub content: String,
    pub signature: DigestSignature,
    pub fetched_at: UtcMicros,
}

pub fn digest_objects() -> Vec<Column<DigestObject>> {
    use Values::{MadeText, Text, Time};
    vec![
        column("uri", Text(|r| Some(&r.uri))),
        column("version_id", Text(|r| r.version_id.as_deref())),
        column("etag", Text(|r| r.etag.as_deref())),
        column("sha256", MadeText(|r| Some(hex(&r.sha256)))),
        column("content", Text(|r| Some(&r.content))),
        column("signature", Text(|r| r.signature.signature.as_deref())),
        column(
            "signature_algorithm",
            Text(|r| r.signature.algorithm.as_deref()),
        ),
        column(
            "backfill_generated_at",
            Text(|r| r.signature.backfill_generated_at.as_deref()),
        ),
        column("fetched_at", Time(|r| Some(r.fetched_at))),
    ]
}

/// What a message said that names no object to be read: a row of `notifications`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// The message's id and the place of the record in it: the same each time it comes.
    pub notification_id: String,
    pub message_id: String,
    pub queue: String,
    /// `removed`, `other`, `control` or `unknown`.
    pub kind: &'static str,
    /// What it says, or why it cannot be told: a stable token.
    pub reason: String,
    pub event_name: Option<String>,
    pub event_time: Option<UtcMicros>,
    pub bucket: Option<String>,
    pub object_key: Option<String>,
    pub version_id: Option<String>,
    pub requester: Option<String>,
    /// The whole message, where it could not be understood.
    pub body: Option<String>,
    pub sent_at: Option<UtcMicros>,
    pub received_at: UtcMicros,
}

pub fn notifications() -> Vec<Column<Notification>> {
    use Values::{Text, Time};
    vec![
        column("notification_id", Text(|r| Some(&r.notification_id))),
        column("message_id", Text(|r| Some(&r.message_id))),
        column("queue", Text(|r| Some(&r.queue))),
        column("kind", Text(|r| Some(r.kind))),
        column("reason", Text(|r| Some(&r.reason))),
        column("event_name", Text(|r| r.event_name.as_deref())),
        column("event_time", Time(|r| r.event_time)),
        column("bucket", Text(|r| r.bucket.as_deref())),
        column("object_key", Text(|r| r.object_key.as_deref())),
        column("version_id", Text(|r| r.version_id.as_deref())),
        column("requester", Text(|r| r.requester.as_deref())),
        column("body", Text(|r| r.body.as_deref())),
        column("sent_at", Time(|r| r.sent_at)),
        column("received_at", Time(|r| Some(r.received_at))),
    ]
}

fn count(n: u64) -> Option<i64> {
    i64::try_from(n).ok()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn log_objects() -> Vec<Column<LogObject>> {
    use Values::{Int64, MadeText, Structs, Text, Time};
    vec![
        column("uri", Text(|r| Some(&r.uri))),
        column("version_id", Text(|r| r.version_id.as_deref())),
        column("etag", Text(|r| r.etag.as_deref())),
        column("kind", Text(|r| Some(r.kind))),
        column("status", Text(|r| Some(r.status.as_str()))),
        column("reason", Text(|r| r.reason.as_deref())),
        column("compressed_bytes", Int64(|r| count(r.compressed_bytes))),
        column("raw_bytes", Int64(|r| r.raw_bytes.and_then(count))),
        column("sha256", MadeText(|r| r.sha256.map(|hash| hex(&hash)))),
        column("records", Int64(|r| count(r.counts.records))),
        column("s3_events", Int64(|r| count(r.counts.s3_events))),
        column("rows_written", Int64(|r| count(r.counts.rows_written))),
        column("not_s3", Int64(|r| count(r.counts.not_s3))),
        column("duplicates", Int64(|r| count(r.counts.duplicates))),
        column("bad", Int64(|r| count(r.counts.bad))),
        column("event_ids_made", Int64(|r| count(r.counts.event_ids_made))),
        column(
            "bad_records",
            Structs(&["record_index", "reason"], |r, each| {
                for (index, reason) in &r.rejects {
                    each(&[Some(&index.to_string()), Some(reason)]);
                }
            }),
        ),
        column("first_event_time", Time(|r| r.first_event_time)),
        column("last_event_time", Time(|r| r.last_event_time)),
        // Filled in when digests are verified.
        column("integrity_state", Text(|_| None)),
        column("notified_at", Time(|r| r.notified_at)),
        column("fetched_at", Time(|r| Some(r.fetched_at))),
        column("committed_at", Time(|r| Some(r.committed_at))),
    ]
}

pub fn sts_sessions() -> Vec<Column<StsSession>> {
    use Values::{Text, Texts, Time};
    vec![
        column("event_id", Text(|r| Some(&r.event_id))),
        column("event_name", Text(|r| Some(&r.event_name))),
        column("issued_at", Time(|r| Some(r.issued_at))),
        column("expires_at", Time(|r| r.expires_at)),
        column("aws_account_id", Text(|r| r.aws_account_id.as_deref())),
        column("aws_region", Text(|r| r.aws_region.as_deref())),
        column("access_key_id", Text(|r| r.access_key_id.as_deref())),
        column("role_arn", Text(|r| r.role_arn.as_deref())),
        column(
            "role_session_name",
            Text(|r| r.role_session_name.as_deref()),
        ),
        column("assumed_role_id", Text(|r| r.assumed_role_id.as_deref())),
        column("external_id", Text(|r| r.external_id.as_deref())),
        column("source_identity", Text(|r| r.source_identity.as_deref())),
        column("caller_type", Text(|r| r.caller.identity_type.as_deref())),
        column(
            "caller_principal_id",
            Text(|r| r.caller.principal_id.as_deref()),
        ),
        column("caller_arn", Text(|r| r.caller.arn.as_deref())),
        column(
            "caller_account_id",
            Text(|r| r.caller.account_id.as_deref()),
        ),
        column(
            "caller_access_key_id",
            Text(|r| r.caller.access_key_id.as_deref()),
        ),
        column(
            "caller_session_issuer_arn",
            Text(|r| r.caller.session_issuer_arn.as_deref()),
        ),
        column(
            "caller_session_name",
            Text(|r| r.caller.session_name.as_deref()),
        ),
        column(
            "caller_session_issued_at",
            Time(|r| r.caller.session_issued_at),
        ),
        column(
            "caller_in_scope_issuer_type",
            Text(|r| r.caller.in_scope_issuer_type.as_deref()),
        ),
        column(
            "caller_in_scope_issued_to",
            Text(|r| r.caller.in_scope_issued_to.as_deref()),
        ),
        column(
            "caller_invoked_by",
            Text(|r| r.caller.invoked_by.as_deref()),
        ),
        column("caller_ip", Text(|r| r.caller_ip.as_deref())),
        column(
            "policy_prefixes",
            Texts(|r, each| r.policy_prefixes.iter().for_each(|t| each(t))),
        ),
        column(
            "policy_actions",
            Texts(|r, each| r.policy_actions.iter().for_each(|t| each(t))),
        ),
        column("error_code", Text(|r| r.error_code.as_deref())),
        column("shared_event_id", Text(|r| r.shared_event_id.as_deref())),
        column("source_uri", Text(|r| Some(&r.source_uri))),
    ]
}

pub fn ec2_instances() -> Vec<Column<Ec2Instance>> {
    use Values::{Structs, Text, Time};
    vec![
        column("instance_id", Text(|r| Some(&r.instance_id))),
        column("event_id", Text(|r| Some(&r.event_id))),
        column("event_name", Text(|r| Some(&r.event_name))),
        column("event_time", Time(|r| Some(r.event_time))),
        column("aws_account_id", Text(|r| r.aws_account_id.as_deref())),
        column("aws_region", Text(|r| r.aws_region.as_deref())),
        column("private_ip", Text(|r| r.private_ip.as_deref())),
        column(
            "instance_profile_arn",
            Text(|r| r.instance_profile_arn.as_deref()),
        ),
        column(
            "tags",
            Structs(&["key", "value"], |r, each| {
                for (key, value) in &r.tags {
                    each(&[Some(key), Some(value)]);
                }
            }),
        ),
        column("source_uri", Text(|r| Some(&r.source_uri))),
    ]
}

/// One file of one policy version: a row of `policy_versions`.
#[derive(Clone, Debug)]
pub struct PolicyVersionFile {
    pub policy_version: String,
    pub file: String,
    pub sha256: String,
    pub text: String,
    pub first_used_at: UtcMicros,
}

/// One exception of one policy version: a row of `exceptions`.
#[derive(Clone, Debug)]
pub struct PolicyException {
    pub policy_version: String,
    pub exception: Exception,
}

pub fn exceptions() -> Vec<Column<PolicyException>> {
    use Values::{Text, Texts, Time};
    vec![
        column("policy_version", Text(|r| Some(&r.policy_version))),
        column("exception", Text(|r| Some(&r.exception.id))),
        column(
            "rules",
            Texts(|r, each| r.exception.rules.iter().for_each(|t| each(t))),
        ),
        column(
            "principals",
            Texts(|r, each| r.exception.principals.iter().for_each(|t| each(t))),
        ),
        column(
            "datasets",
            Texts(|r, each| r.exception.datasets.iter().for_each(|t| each(t))),
        ),
        column(
            "buckets",
            Texts(|r, each| r.exception.buckets.iter().for_each(|t| each(t))),
        ),
        column(
            "roles",
            Texts(|r, each| r.exception.roles.iter().for_each(|t| each(t))),
        ),
        column(
            "jobs",
            Texts(|r, each| r.exception.jobs.iter().for_each(|t| each(t))),
        ),
        column("owner", Text(|r| Some(&r.exception.owner))),
        column("reason", Text(|r| Some(&r.exception.reason))),
        column("approved_at", Time(|r| r.exception.approved_at)),
        column("expires_at", Time(|r| Some(r.exception.expires_at))),
    ]
}

pub fn policy_versions() -> Vec<Column<PolicyVersionFile>> {
    use Values::{Text, Time};
    vec![
        column("policy_version", Text(|r| Some(&r.policy_version))),
        column("file", Text(|r| Some(&r.file))),
        column("sha256", Text(|r| Some(&r.sha256))),
        column("text", Text(|r| Some(&r.text))),
        column("first_used_at", Time(|r| Some(r.first_used_at))),
    ]
}
