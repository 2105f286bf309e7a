//! Makes accesses of rows, to be decided again by the functions that decided them.
//!
//! A row holds everything that was read of its record, so the access that comes out
//! is the one that went in. What repeats from row to row is recognised by the
//! numbers of the file's dictionaries, without a look at its texts.

use super::reader::{Texts, int32_at, int64_at, time_at, truth_at};
use crate::lake::s3_access::RowSource;
use crate::model::{
    AccessPath, Attribution, Client, Confidence, Operation, Outcome, Principal, Target, Tls,
    UtcMicros, Verdict,
};
use crate::trail::AccessLog;
use crate::trail::access_log::{Addendum, LogSize, NewAccess};
use crate::trail::event_id::{copy_key, guid_bytes, read_content_id};
use crate::trail::request::S3Request;
use arrow::array::{ArrayRef, RecordBatch};
use hashbrown::HashMap;
use indexmap::IndexSet;

/// The columns that an access is made of, and what was decided of it before.
pub const COLUMNS: [&str; 57] = [
    "event_id",
    "content_id",
    "event_time",
    "event_name",
    "operation",
    "outcome",
    "error_code",
    "error_message",
    "aws_account_id",
    "aws_region",
    "bucket",
    "bucket_account_id",
    "object_key",
    "list_prefix",
    "version_id",
    "copy_source",
    "bytes_in",
    "bytes_out",
    "sse",
    "kms_key_arn",
    "source_ip",
    "user_agent",
    "vpc_endpoint_id",
    "tls_version",
    "plaintext",
    "auth_method",
    "presigned",
    "signed_at",
    "request_id",
    "shared_event_id",
    "addendum_reason",
    "original_event_id",
    "identity_type",
    "principal_id",
    "principal_arn",
    "principal_account_id",
    "user_name",
    "access_key_id",
    "role_arn",
    "role_account_id",
    "session_name",
    "session_issued_at",
    "source_identity",
    "in_scope_issuer_type",
    "in_scope_issued_to",
    "ec2_role_delivery",
    "invoked_by",
    "access_path",
    "workspace_confidence",
    "cluster_confidence",
    "job_confidence",
    "task_confidence",
    "principal_confidence",
    "source_uri",
    "source_index",
    "source_etag",
    "ingested_at",
];

/// The texts of a principal, in the order of [`principal_of`].
const PRINCIPAL: [&str; 14] = [
    "identity_type",
    "principal_id",
    "principal_arn",
    "principal_account_id",
    "user_name",
    "access_key_id",
    "role_arn",
    "role_account_id",
    "session_name",
    "source_identity",
    "in_scope_issuer_type",
    "in_scope_issued_to",
    "ec2_role_delivery",
    "invoked_by",
];

/// The levels of an attribution.
pub const LEVELS: [&str; 5] = ["workspace", "cluster", "job", "task", "principal"];

/// What was decided of an access, as far as a summary tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels {
    pub access_path: AccessPath,
    /// In the order of [`LEVELS`].
    pub confidence: [Confidence; 5],
    pub verdict: Verdict,
}

impl Labels {
    pub fn of(attribution: &Attribution, verdict: Verdict) -> Labels {
        Labels {
            access_path: attribution.access_path,
            confidence: [
                attribution.workspace_confidence,
                attribution.cluster_confidence,
                attribution.job_confidence,
                attribution.task_confidence,
                attribution.principal_confidence,
            ],
            verdict,
        }
    }
}

/// Accesses made of rows, and what else the rows tell.
#[derive(Default)]
pub struct RowLog {
    pub accesses: AccessLog,
    sources: IndexSet<RowSource, foldhash::fast::FixedState>,
    source_of: Vec<u32>,
    before: IndexSet<Labels, foldhash::fast::FixedState>,
    before_of: Vec<u32>,
}

/// What a batch's rows are recognised by, and the number it stands for.
struct Known<const N: usize> {
    last: Option<([i32; N], u32)>,
    numbers: HashMap<[i32; N], u32, foldhash::fast::FixedState>,
}

impl<const N: usize> Default for Known<N> {
    fn default() -> Self {
        Known {
            last: None,
            numbers: HashMap::default(),
        }
    }
}

impl<const N: usize> Known<N> {
    fn number(&mut self, by: [i32; N], make: impl FnOnce() -> u32) -> u32 {
        if let Some((last, number)) = self.last
            && last == by
        {
            return number;
        }
        let number = *self.numbers.entry(by).or_insert_with(make);
        self.last = Some((by, number));
        number
    }
}

impl RowLog {
    pub fn len(&self) -> usize {
        self.source_of.len()
    }

    pub fn is_empty(&self) -> bool {
        self.source_of.is_empty()
    }

    /// A log with room for that much: what is not used is never touched.
    pub fn with_room(rows: usize, text_bytes: usize) -> RowLog {
        let mut log = RowLog::default();
        log.accesses.make_room(LogSize { rows, text_bytes });
        log.source_of.reserve_exact(rows);
        log.before_of.reserve_exact(rows);
        log
    }

    /// Bytes in use, about.
    pub fn bytes(&self) -> usize {
        let sources = self.sources.len() * (size_of::<RowSource>() + 256);
        self.accesses.bytes_used() + self.len() * 2 * size_of::<u32>() + sources
    }

    /// Forgets every row and keeps the room.
    pub fn clear(&mut self) {
        self.accesses.clear();
        self.sources.clear();
        self.source_of.clear();
        self.before.clear();
        self.before_of.clear();
    }

    /// The number of the row's source among those of this log.
    pub fn source_number(&self, place: usize) -> u32 {
        self.source_of.get(place).copied().unwrap_or(u32::MAX)
    }

    pub fn source(&self, place: usize) -> Option<&RowSource> {
        self.sources.get_index(self.source_number(place) as usize)
    }

    /// The number of what was decided of the row before, for [`RowLog::labels`].
    pub fn before(&self, place: usize) -> u32 {
        self.before_of.get(place).copied().unwrap_or(u32::MAX)
    }

    pub fn labels(&self, number: u32) -> Option<&Labels> {
        self.before.get_index(number as usize)
    }

    /// Adds the rows of a batch for which `stays` says so; they had that verdict.
    pub fn add(&mut self, batch: &RecordBatch, verdict: Verdict, stays: impl Fn(usize) -> bool) {
        let columns = Columns::of(batch);
        let (mut principals, mut sources, mut labels) =
            (Known::default(), Known::default(), Known::default());
        for row in (0..batch.num_rows()).filter(|row| stays(*row)) {
            let issued_at = time_at(columns.session_issued_at, row);
            let [low, high] = issued_at.map_or([0, i32::MIN], halves);
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] =
                columns.principal.map(|texts| texts.number(row));
            let by = [a, b, c, d, e, f, g, h, i, j, k, l, m, n, low, high];
            let principal = principals.number(by, || {
                let principal = principal_of(&columns.principal, issued_at, row);
                self.accesses.principal(&principal)
            });
            let ingested_at = time_at(columns.ingested_at, row).unwrap_or_default();
            let [low, high] = halves(ingested_at);
            let [uri, etag] = columns.source.map(|texts| texts.number(row));
            let source = sources.number([uri, etag, low, high], || {
                let [uri, etag] = columns.source.map(|texts| texts.at(row));
                let source = RowSource {
                    uri: uri.unwrap_or_default().to_owned(),
                    etag: etag.map(str::to_owned),
                    ingested_at,
                };
                number(self.sources.insert_full(source).0)
            });
            let before = labels.number(columns.labels.map(|texts| texts.number(row)), || {
                let [path, levels @ ..] = columns.labels.map(|texts| texts.at(row));
                let labels = Labels {
                    access_path: path_of(path),
                    confidence: levels.map(confidence_of),
                    verdict,
                };
                number(self.before.insert_full(labels).0)
            });
            self.accesses.push(&columns.access(row, principal));
            self.source_of.push(source);
            self.before_of.push(before);
        }
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// A time as two numbers.
pub fn halves(at: UtcMicros) -> [i32; 2] {
    let [a, b, c, d, e, f, g, h] = at.0.to_le_bytes();
    [
        i32::from_le_bytes([a, b, c, d]),
        i32::from_le_bytes([e, f, g, h]),
    ]
}

pub fn path_of(text: Option<&str>) -> AccessPath {
    AccessPath::ALL
        .into_iter()
        .find(|path| text == Some(path.as_str()))
        .unwrap_or(AccessPath::Unknown)
}

pub fn confidence_of(text: Option<&str>) -> Confidence {
    Confidence::ALL
        .into_iter()
        .find(|confidence| text == Some(confidence.as_str()))
        .unwrap_or_default()
}

fn principal_of<'b>(
    texts: &[Texts<'b>; 14],
    session_issued_at: Option<UtcMicros>,
    row: usize,
) -> Principal<&'b str> {
    let [
        identity_type,
        principal_id,
        arn,
        account_id,
        user_name,
        access_key_id,
        session_issuer_arn,
        session_issuer_account_id,
        session_name,
        source_identity,
        in_scope_issuer_type,
        in_scope_issued_to,
        ec2_role_delivery,
        invoked_by,
    ] = texts.map(|texts| texts.at(row));
    Principal {
        identity_type,
        principal_id,
        arn,
        account_id,
        user_name,
        access_key_id,
        invoked_by,
        session_issuer_arn,
        session_issuer_account_id,
        session_name,
        session_issued_at,
        source_identity,
        in_scope_issuer_type,
        in_scope_issued_to,
        ec2_role_delivery,
    }
}

/// The columns of a batch.
struct Columns<'b> {
    event_id: Texts<'b>,
    content_id: Texts<'b>,
    event_time: Option<&'b ArrayRef>,
    event_name: Texts<'b>,
    operation: Texts<'b>,
    outcome: Texts<'b>,
    error_code: Texts<'b>,
    error_message: Texts<'b>,
    aws_account_id: Texts<'b>,
    aws_region: Texts<'b>,
    bucket: Texts<'b>,
    bucket_account_id: Texts<'b>,
    object_key: Texts<'b>,
    list_prefix: Texts<'b>,
    version_id: Texts<'b>,
    copy_source: Texts<'b>,
    bytes_in: Option<&'b ArrayRef>,
    bytes_out: Option<&'b ArrayRef>,
    sse: Texts<'b>,
    kms_key_arn: Texts<'b>,
    source_ip: Texts<'b>,
    user_agent: Texts<'b>,
    vpc_endpoint_id: Texts<'b>,
    tls_version: Texts<'b>,
    plaintext: Option<&'b ArrayRef>,
    auth_method: Texts<'b>,
    presigned: Option<&'b ArrayRef>,
    signed_at: Option<&'b ArrayRef>,
    request_id: Texts<'b>,
    shared_event_id: Texts<'b>,
    addendum_reason: Texts<'b>,
    original_event_id: Texts<'b>,
    principal: [Texts<'b>; 14],
    session_issued_at: Option<&'b ArrayRef>,
    labels: [Texts<'b>; 6],
    source: [Texts<'b>; 2],
    source_index: Option<&'b ArrayRef>,
    ingested_at: Option<&'b ArrayRef>,
}

impl<'b> Columns<'b> {
    fn of(batch: &'b RecordBatch) -> Columns<'b> {
        let texts = |name: &str| Texts::of(batch, name);
        let column = |name: &str| batch.column_by_name(name);
        Columns {
            event_id: texts("event_id"),
            content_id: texts("content_id"),
            event_time: column("event_time"),
            event_name: texts("event_name"),
            operation: texts("operation"),
            outcome: texts("outcome"),
            error_code: texts("error_code"),
            error_message: texts("error_message"),
            aws_account_id: texts("aws_account_id"),
            aws_region: texts("aws_region"),
            bucket: texts("bucket"),
            bucket_account_id: texts("bucket_account_id"),
            object_key: texts("object_key"),
            list_prefix: texts("list_prefix"),
            version_id: texts("version_id"),
            copy_source: texts("copy_source"),
            bytes_in: column("bytes_in"),
            bytes_out: column("bytes_out"),
            sse: texts("sse"),
            kms_key_arn: texts("kms_key_arn"),
            source_ip: texts("source_ip"),
            user_agent: texts("user_agent"),
            vpc_endpoint_id: texts("vpc_endpoint_id"),
            tls_version: texts("tls_version"),
            plaintext: column("plaintext"),
            auth_method: texts("auth_method"),
            presigned: column("presigned"),
            signed_at: column("signed_at"),
            request_id: texts("request_id"),
            shared_event_id: texts("shared_event_id"),
            addendum_reason: texts("addendum_reason"),
            original_event_id: texts("original_event_id"),
            principal: PRINCIPAL.map(texts),
            session_issued_at: column("session_issued_at"),
            labels: [
                "access_path",
                "workspace_confidence",
                "cluster_confidence",
                "job_confidence",
                "task_confidence",
                "principal_confidence",
            ]
            .map(texts),
            source: ["source_uri", "source_etag"].map(texts),
            source_index: column("source_index"),
            ingested_at: column("ingested_at"),
        }
    }

    fn access(&self, row: usize, principal: u32) -> NewAccess<'b> {
        let event_id = self.event_id.at(row).unwrap_or_default();
        let aws_account_id = self.aws_account_id.at(row);
        let content = self.content_id.at(row).and_then(read_content_id);
        let key = content.or_else(|| guid_bytes(event_id));
        NewAccess {
            event_id,
            event_time: time_at(self.event_time, row).unwrap_or_default(),
            event_name: self.event_name.at(row),
            operation: operation_of(self.operation.at(row)),
            outcome: outcome_of(self.outcome.at(row)),
            error_code: self.error_code.at(row),
            error_message: self.error_message.at(row),
            request: S3Request {
                bucket: self.bucket.at(row),
                object_key: self.object_key.at(row),
                list_prefix: self.list_prefix.at(row),
                version_id: self.version_id.at(row),
                copy_source: self.copy_source.at(row),
                bytes_in: int64_at(self.bytes_in, row),
                bytes_out: int64_at(self.bytes_out, row),
                sse: self.sse.at(row),
                kms_key_arn: self.kms_key_arn.at(row),
                presigned: truth_at(self.presigned, row),
                signed_at: time_at(self.signed_at, row),
                bucket_account_id: self.bucket_account_id.at(row),
            },
            request_id: self.request_id.at(row),
            shared_event_id: self.shared_event_id.at(row),
            principal,
            client: Client {
                source_ip: self.source_ip.at(row),
                user_agent: self.user_agent.at(row),
                vpc_endpoint_id: self.vpc_endpoint_id.at(row),
                tls: Tls {
                    version: self.tls_version.at(row),
                    plaintext: truth_at(self.plaintext, row),
                },
                auth_method: self.auth_method.at(row),
            },
            target: Target {
                aws_account_id,
                aws_region: self.aws_region.at(row),
                bucket: self.bucket.at(row),
                bucket_account_id: self.bucket_account_id.at(row),
            },
            source_index: int32_at(self.source_index, row)
                .and_then(|index| u32::try_from(index).ok())
                .unwrap_or_default(),
            copy_key: copy_key(key, None, aws_account_id),
            by_content: content.is_some(),
            addendum: self.addendum_reason.at(row).map(|reason| Addendum {
                reason,
                original_event_id: self.original_event_id.at(row),
            }),
        }
    }
}

pub fn operation_of(text: Option<&str>) -> Operation {
    Operation::ALL
        .into_iter()
        .find(|operation| text == Some(operation.as_str()))
        .unwrap_or(Operation::Other)
}

pub fn outcome_of(text: Option<&str>) -> Outcome {
    [Outcome::Ok, Outcome::Denied, Outcome::Error]
        .into_iter()
        .find(|outcome| text == Some(outcome.as_str()))
        .unwrap_or(Outcome::Error)
}
