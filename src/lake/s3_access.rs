//! The table `s3_access`: one row for each S3 event, exactly once.
//!
//! Partitioned by `event_date` and `verdict`, because an auditor asks for a
//! period and an on-call engineer for what is out of policy. Column names are
//! the public contract; `session_event_id` and `session_confidence` come on
//! top: the STS event that issued the credential, and how sure that link is.

use super::columns::{Column, Values, column};
use crate::model::{
    AccessEvent, AccessPath, Attribution, Credential, Dataset, UtcMicros, Verdict, Violation,
};

/// Version of the attribution algorithm that a provisional row carries.
pub const ATTRIBUTION_VERSION: i32 = 2;

/// What is common to the rows of one source object.
#[derive(Clone, Debug)]
pub struct RowSource {
    pub uri: String,
    pub etag: Option<String>,
}

/// An access with its decisions: everything a row is made of.
#[derive(Clone, Copy)]
pub struct DecidedAccess<'a> {
    pub access: AccessEvent<'a>,
    pub credential: Credential,
    pub attribution: &'a Attribution,
    pub dataset: Option<&'a Dataset>,
    pub verdict: Verdict,
    pub violations: &'a [Violation],
    pub policy_version: &'a str,
    pub source: &'a RowSource,
    pub source_index: u32,
    pub decided_at: UtcMicros,
}

/// The columns that stand in the data files; the partition columns
/// ([`partition_columns`]) stand in the Delta log.
pub fn columns<'a>() -> Vec<Column<DecidedAccess<'a>>> {
    use Values::{Bool, Int32, Int64, Structs, Text, Texts, Time};
    vec![
        // Event.
        column("event_id", Text(|r| Some(r.access.event_id))),
        column("event_time", Time(|r| Some(r.access.event_time))),
        column("event_name", Text(|r| filled(r.access.event_name))),
        column("operation", Text(|r| Some(r.access.operation.as_str()))),
        column("outcome", Text(|r| Some(r.access.outcome.as_str()))),
        column("error_code", Text(|r| r.access.error_code)),
        column("error_message", Text(|r| r.access.error_message)),
        column(
            "aws_account_id",
            Text(|r| r.access.target.aws_account_id.as_deref()),
        ),
        column(
            "aws_region",
            Text(|r| r.access.target.aws_region.as_deref()),
        ),
        column("bucket", Text(|r| r.access.target.bucket.as_deref())),
        column("object_key", Text(|r| r.access.object_key)),
        column("list_prefix", Text(|r| r.access.list_prefix)),
        column("version_id", Text(|r| r.access.version_id)),
        column("copy_source", Text(|r| r.access.copy_source)),
        column("bytes_in", Int64(|r| r.access.bytes_in)),
        column("bytes_out", Int64(|r| r.access.bytes_out)),
        column("sse", Text(|r| r.access.sse)),
        column("kms_key_arn", Text(|r| r.access.kms_key_arn)),
        column("source_ip", Text(|r| r.access.client.source_ip.as_deref())),
        column(
            "user_agent",
            Text(|r| r.access.client.user_agent.as_deref()),
        ),
        column(
            "vpc_endpoint_id",
            Text(|r| r.access.client.vpc_endpoint_id.as_deref()),
        ),
        column(
            "tls_version",
            Text(|r| r.access.client.tls.version.as_deref()),
        ),
        column(
            "auth_method",
            Text(|r| r.access.client.auth_method.as_deref()),
        ),
        column("presigned", Bool(|r| Some(r.access.presigned))),
        column("request_id", Text(|r| r.access.request_id)),
        column("shared_event_id", Text(|r| r.access.shared_event_id)),
        // Principal as AWS saw it.
        column(
            "identity_type",
            Text(|r| r.access.principal.identity_type.as_deref()),
        ),
        column("principal_arn", Text(|r| r.access.principal.arn.as_deref())),
        column(
            "principal_account_id",
            Text(|r| r.access.principal.account_id.as_deref()),
        ),
        column(
            "access_key_id",
            Text(|r| r.access.principal.access_key_id.as_deref()),
        ),
        column("credential", Text(|r| Some(r.credential.as_str()))),
        column(
            "role_arn",
            Text(|r| r.access.principal.session_issuer_arn.as_deref()),
        ),
        column(
            "session_name",
            Text(|r| r.access.principal.session_name.as_deref()),
        ),
        column(
            "session_issued_at",
            Time(|r| r.access.principal.session_issued_at),
        ),
        column(
            "source_identity",
            Text(|r| r.access.principal.source_identity.as_deref()),
        ),
        column(
            "instance_id",
            Text(|r| r.attribution.instance_id.as_deref()),
        ),
        column(
            "invoked_by",
            Text(|r| r.access.principal.invoked_by.as_deref()),
        ),
        // Attribution.
        column(
            "access_path",
            Text(|r| Some(AccessPath::as_str(r.attribution.access_path))),
        ),
        column(
            "session_event_id",
            Text(|r| r.attribution.session_event_id.as_deref()),
        ),
        column(
            "session_confidence",
            Text(|r| Some(r.attribution.session_confidence.as_str())),
        ),
        column(
            "workspace_id",
            Text(|r| r.attribution.workspace_id.as_deref()),
        ),
        column("cluster_id", Text(|r| r.attribution.cluster_id.as_deref())),
        column("job_id", Text(|r| r.attribution.job_id.as_deref())),
        column("job_run_id", Text(|r| r.attribution.job_run_id.as_deref())),
        column("task_key", Text(|r| r.attribution.task_key.as_deref())),
        column(
            "task_run_id",
            Text(|r| r.attribution.task_run_id.as_deref()),
        ),
        column("principal", Text(|r| r.attribution.principal.as_deref())),
        column(
            "principal_kind",
            Text(|r| r.attribution.principal_kind.map(|kind| kind.as_str())),
        ),
        column(
            "workspace_confidence",
            Text(|r| Some(r.attribution.workspace_confidence.as_str())),
        ),
        column(
            "cluster_confidence",
            Text(|r| Some(r.attribution.cluster_confidence.as_str())),
        ),
        column(
            "job_confidence",
            Text(|r| Some(r.attribution.job_confidence.as_str())),
        ),
        column(
            "task_confidence",
            Text(|r| Some(r.attribution.task_confidence.as_str())),
        ),
        column(
            "principal_confidence",
            Text(|r| Some(r.attribution.principal_confidence.as_str())),
        ),
        column(
            "principal_candidates",
            Texts(|r, each| {
                r.attribution
                    .principal_candidates
                    .iter()
                    .for_each(|text| each(text));
            }),
        ),
        column(
            "job_run_candidates",
            Texts(|r, each| {
                r.attribution
                    .job_run_candidates
                    .iter()
                    .for_each(|text| each(text));
            }),
        ),
        column(
            "attribution_methods",
            Texts(|r, each| {
                r.attribution
                    .methods
                    .iter()
                    .for_each(|method| each(method.as_str()));
            }),
        ),
        column(
            "attribution_evidence",
            Texts(|r, each| {
                r.attribution.evidence.iter().for_each(|text| each(text));
            }),
        ),
        column(
            "unattributed_reason",
            Text(|r| {
                r.attribution
                    .unattributed_reason
                    .map(|reason| reason.as_str())
            }),
        ),
        column("settled", Bool(|_| Some(false))),
        column("attributed_at", Time(|r| Some(r.decided_at))),
        column("attribution_version", Int32(|_| Some(ATTRIBUTION_VERSION))),
        // Dataset.
        column(
            "dataset",
            Text(|r| r.dataset.map(|dataset| dataset.name.as_str())),
        ),
        column(
            "sensitivity",
            Text(|r| r.dataset.and_then(|d| d.sensitivity.as_deref())),
        ),
        // Verdict.
        column(
            "violations",
            Structs(&["rule", "severity", "control", "reason"], |r, each| {
                for v in r.violations {
                    each(&[
                        Some(&v.rule),
                        Some(v.severity.as_str()),
                        v.control.as_deref(),
                        Some(&v.reason),
                    ]);
                }
            }),
        ),
        column("policy_version", Text(|r| Some(r.policy_version))),
        // Provenance.
        column("source_uri", Text(|r| Some(&r.source.uri))),
        column(
            "source_index",
            Int32(|r| i32::try_from(r.source_index).ok()),
        ),
        column("source_etag", Text(|r| r.source.etag.as_deref())),
        column("ingested_at", Time(|r| Some(r.decided_at))),
    ]
}

/// The partition columns, in the order of the folders.
pub fn partition_columns<'a>() -> Vec<Column<DecidedAccess<'a>>> {
    vec![
        column(
            "event_date",
            Values::Date(|r| Some(r.access.event_time.date())),
        ),
        column("verdict", Values::Text(|r| Some(r.verdict.as_str()))),
    ]
}

/// Columns whose values never repeat: a dictionary would only cost.
pub const UNREPEATED: [&str; 5] = [
    "event_id",
    "request_id",
    "version_id",
    "bytes_out",
    "source_index",
];

fn filled(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
