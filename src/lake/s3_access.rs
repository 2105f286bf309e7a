//! The table `s3_access`: one row for each S3 event, exactly once.
//!
//! Partitioned by `event_date` and `verdict`, because an auditor asks for a
//! period and an on-call engineer for what is out of policy. Column names are
//! the public contract; `session_event_id` and `session_confidence` come on
//! top: the STS event that issued the credential, and how sure that link is.
//!
//! INVARIANT (decided again): a row holds everything that attribution and policy
//! read of the record, so that `settle` decides from the row what `scan` decided
//! from the record; a test compares all accesses of a world.
//!
//! The table `s3_amendments` has the same columns: records that tell more of an
//! event than the row that stands for it, until `settle` puts them in its place.

use super::columns::{Column, Part, Values, column, shared};
use crate::model::{AccessEvent, AccessPath, Credential, UtcMicros, Verdict, Violation};
use crate::trail::access_log::Addendum;
use crate::trail::event_id::content_id;

/// Version of the attribution algorithm that a row carries.
pub const ATTRIBUTION_VERSION: i32 = 3;

/// What is common to the rows of one source object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowSource {
    pub uri: String,
    pub etag: Option<String>,
    /// When its rows were first committed, about.
    pub ingested_at: UtcMicros,
}

/// An access with its decisions: everything a row is made of.
#[derive(Clone, Copy)]
pub struct DecidedAccess<'a> {
    pub access: AccessEvent<'a>,
    pub credential: Credential,
    pub attribution: &'a crate::model::Attribution,
    pub dataset: Option<&'a crate::model::Dataset>,
    pub verdict: Verdict,
    pub violations: &'a [Violation],
    pub policy_version: &'a str,
    pub source: &'a RowSource,
    pub source_index: u32,
    pub addendum: Option<&'a Addendum>,
    /// Whether every source that could tell of it had passed it; the same for all
    /// rows of a file.
    pub settled: bool,
    pub decided_at: UtcMicros,
}

/// Members of a violation; `exception` is the approved exception that covers it.
pub const VIOLATION: [&str; 5] = ["rule", "severity", "control", "reason", "exception"];

/// The columns that stand in the data files; the partition columns
/// ([`partition_columns`]) stand in the Delta log.
///
/// INVARIANT (part): a column's value is a function of its part alone; the files
/// rest on it, for they take the value once for each distinct part.
pub fn columns<'a>() -> Vec<Column<DecidedAccess<'a>>> {
    use Part::{
        Attribution, Batch, Client, Dataset, Judgement, Principal, Request, Row, Source, Target,
    };
    use Values::{Bool, Int32, Int64, MadeText, Structs, Text, Texts, Time};
    vec![
        // Event.
        shared(Row, "event_id", Text(|r| Some(r.access.event_id))),
        shared(
            Row,
            "content_id",
            MadeText(|r| r.access.content_id.map(|id| content_id(&id))),
        ),
        shared(Row, "event_time", Time(|r| Some(r.access.event_time))),
        shared(Request, "event_name", Text(|r| filled(r.access.event_name))),
        shared(
            Request,
            "operation",
            Text(|r| Some(r.access.operation.as_str())),
        ),
        shared(
            Request,
            "outcome",
            Text(|r| Some(r.access.outcome.as_str())),
        ),
        shared(Row, "error_code", Text(|r| r.access.error_code)),
        shared(Row, "error_message", Text(|r| r.access.error_message)),
        shared(
            Target,
            "aws_account_id",
            Text(|r| r.access.target.aws_account_id.as_deref()),
        ),
        shared(
            Target,
            "aws_region",
            Text(|r| r.access.target.aws_region.as_deref()),
        ),
        shared(
            Target,
            "bucket",
            Text(|r| r.access.target.bucket.as_deref()),
        ),
        shared(
            Target,
            "bucket_account_id",
            Text(|r| r.access.target.bucket_account_id.as_deref()),
        ),
        shared(Row, "object_key", Text(|r| r.access.object_key)),
        shared(Row, "list_prefix", Text(|r| r.access.list_prefix)),
        shared(Row, "version_id", Text(|r| r.access.version_id)),
        shared(Row, "copy_source", Text(|r| r.access.copy_source)),
        shared(Row, "bytes_in", Int64(|r| r.access.bytes_in)),
        shared(Row, "bytes_out", Int64(|r| r.access.bytes_out)),
        shared(Request, "sse", Text(|r| r.access.sse)),
        shared(Request, "kms_key_arn", Text(|r| r.access.kms_key_arn)),
        shared(
            Client,
            "source_ip",
            Text(|r| r.access.client.source_ip.as_deref()),
        ),
        shared(
            Client,
            "user_agent",
            Text(|r| r.access.client.user_agent.as_deref()),
        ),
        shared(
            Client,
            "vpc_endpoint_id",
            Text(|r| r.access.client.vpc_endpoint_id.as_deref()),
        ),
        shared(
            Client,
            "tls_version",
            Text(|r| r.access.client.tls.version.as_deref()),
        ),
        shared(
            Client,
            "plaintext",
            Bool(|r| Some(r.access.client.tls.plaintext)),
        ),
        shared(
            Client,
            "auth_method",
            Text(|r| r.access.client.auth_method.as_deref()),
        ),
        shared(Request, "presigned", Bool(|r| Some(r.access.presigned))),
        shared(Row, "signed_at", Time(|r| r.access.signed_at)),
        shared(Row, "request_id", Text(|r| r.access.request_id)),
        shared(Row, "shared_event_id", Text(|r| r.access.shared_event_id)),
        shared(
            Row,
            "addendum_reason",
            Text(|r| r.addendum.map(|addendum| addendum.reason.as_str())),
        ),
        shared(
            Row,
            "original_event_id",
            Text(|r| r.addendum?.original_event_id.as_deref()),
        ),
        // Principal as AWS saw it.
        shared(
            Principal,
            "identity_type",
            Text(|r| r.access.principal.identity_type.as_deref()),
        ),
        shared(
            Principal,
            "principal_id",
            Text(|r| r.access.principal.principal_id.as_deref()),
        ),
        shared(
            Principal,
            "principal_arn",
            Text(|r| r.access.principal.arn.as_deref()),
        ),
        shared(
            Principal,
            "principal_account_id",
            Text(|r| r.access.principal.account_id.as_deref()),
        ),
        shared(
            Principal,
            "user_name",
            Text(|r| r.access.principal.user_name.as_deref()),
        ),
        shared(
            Principal,
            "access_key_id",
            Text(|r| r.access.principal.access_key_id.as_deref()),
        ),
        shared(
            Principal,
            "credential",
            Text(|r| Some(r.credential.as_str())),
        ),
        shared(
            Principal,
            "role_arn",
            Text(|r| r.access.principal.session_issuer_arn.as_deref()),
        ),
        shared(
            Principal,
            "role_account_id",
            Text(|r| r.access.principal.session_issuer_account_id.as_deref()),
        ),
        shared(
            Principal,
            "session_name",
            Text(|r| r.access.principal.session_name.as_deref()),
        ),
        shared(
            Principal,
            "session_issued_at",
            Time(|r| r.access.principal.session_issued_at),
        ),
        shared(
            Principal,
            "source_identity",
            Text(|r| r.access.principal.source_identity.as_deref()),
        ),
        shared(
            Principal,
            "in_scope_issuer_type",
            Text(|r| r.access.principal.in_scope_issuer_type.as_deref()),
        ),
        shared(
            Principal,
            "in_scope_issued_to",
            Text(|r| r.access.principal.in_scope_issued_to.as_deref()),
        ),
        shared(
            Principal,
            "ec2_role_delivery",
            Text(|r| r.access.principal.ec2_role_delivery.as_deref()),
        ),
        shared(
            Attribution,
            "instance_id",
            Text(|r| r.attribution.instance_id.as_deref()),
        ),
        shared(
            Principal,
            "invoked_by",
            Text(|r| r.access.principal.invoked_by.as_deref()),
        ),
        // Attribution.
        shared(
            Attribution,
            "access_path",
            Text(|r| Some(AccessPath::as_str(r.attribution.access_path))),
        ),
        shared(
            Attribution,
            "session_event_id",
            Text(|r| r.attribution.session_event_id.as_deref()),
        ),
        shared(
            Attribution,
            "session_confidence",
            Text(|r| Some(r.attribution.session_confidence.as_str())),
        ),
        shared(
            Attribution,
            "workspace_id",
            Text(|r| r.attribution.workspace_id.as_deref()),
        ),
        shared(
            Attribution,
            "cluster_id",
            Text(|r| r.attribution.cluster_id.as_deref()),
        ),
        shared(
            Attribution,
            "job_id",
            Text(|r| r.attribution.job_id.as_deref()),
        ),
        shared(
            Attribution,
            "job_run_id",
            Text(|r| r.attribution.job_run_id.as_deref()),
        ),
        shared(
            Attribution,
            "task_key",
            Text(|r| r.attribution.task_key.as_deref()),
        ),
        shared(
            Attribution,
            "task_run_id",
            Text(|r| r.attribution.task_run_id.as_deref()),
        ),
        shared(
            Attribution,
            "principal",
            Text(|r| r.attribution.principal.as_deref()),
        ),
        shared(
            Attribution,
            "principal_kind",
            Text(|r| r.attribution.principal_kind.map(|kind| kind.as_str())),
        ),
        shared(
            Attribution,
            "workspace_confidence",
            Text(|r| Some(r.attribution.workspace_confidence.as_str())),
        ),
        shared(
            Attribution,
            "cluster_confidence",
            Text(|r| Some(r.attribution.cluster_confidence.as_str())),
        ),
        shared(
            Attribution,
            "job_confidence",
            Text(|r| Some(r.attribution.job_confidence.as_str())),
        ),
        shared(
            Attribution,
            "task_confidence",
            Text(|r| Some(r.attribution.task_confidence.as_str())),
        ),
        shared(
            Attribution,
            "principal_confidence",
            Text(|r| Some(r.attribution.principal_confidence.as_str())),
        ),
        shared(
            Attribution,
            "principal_candidates",
            Texts(|r, each| {
                r.attribution
                    .principal_candidates
                    .iter()
                    .for_each(|text| each(text));
            }),
        ),
        shared(
            Attribution,
            "job_run_candidates",
            Texts(|r, each| {
                r.attribution
                    .job_run_candidates
                    .iter()
                    .for_each(|text| each(text));
            }),
        ),
        shared(
            Attribution,
            "attribution_methods",
            Texts(|r, each| {
                r.attribution
                    .methods
                    .iter()
                    .for_each(|method| each(method.as_str()));
            }),
        ),
        shared(
            Attribution,
            "attribution_evidence",
            Texts(|r, each| {
                r.attribution.evidence.iter().for_each(|text| each(text));
            }),
        ),
        shared(
            Attribution,
            "unattributed_reason",
            Text(|r| {
                r.attribution
                    .unattributed_reason
                    .map(|reason| reason.as_str())
            }),
        ),
        shared(Batch, "settled", Bool(|r| Some(r.settled))),
        shared(Batch, "attributed_at", Time(|r| Some(r.decided_at))),
        shared(
            Batch,
            "attribution_version",
            Int32(|_| Some(ATTRIBUTION_VERSION)),
        ),
        // Dataset.
        shared(
            Dataset,
            "dataset",
            Text(|r| r.dataset.map(|dataset| dataset.name.as_str())),
        ),
        shared(
            Dataset,
            "sensitivity",
            Text(|r| r.dataset.and_then(|d| d.sensitivity.as_deref())),
        ),
        // Verdict.
        shared(
            Judgement,
            "violations",
            Structs(&VIOLATION, |r, each| {
                for v in r.violations {
                    each(&[
                        Some(&v.rule),
                        Some(v.severity.as_str()),
                        v.control.as_deref(),
                        Some(&v.reason),
                        v.exception.as_deref(),
                    ]);
                }
            }),
        ),
        shared(Batch, "policy_version", Text(|r| Some(r.policy_version))),
        // Provenance.
        shared(Source, "source_uri", Text(|r| Some(&r.source.uri))),
        shared(
            Row,
            "source_index",
            Int32(|r| i32::try_from(r.source_index).ok()),
        ),
        shared(Source, "source_etag", Text(|r| r.source.etag.as_deref())),
        shared(Source, "ingested_at", Time(|r| Some(r.source.ingested_at))),
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
