//! Reads one CloudTrail record: routes it, and takes from it what the rows need.
//!
//! The record's members are looked at once; of the nested blocks only those of
//! S3, STS and EC2 events are opened, and of these only the members that a
//! column or a decision uses. Field names and their traps are CloudTrail's
//! (user guide, record contents and userIdentity element; S3 user guide,
//! CloudTrail events), checked on public real records.
//!
//! INVARIANT (tolerant): any member may be missing or of another type. Only
//! what a row cannot be without makes a record bad: being an object, an event
//! source, an event time, a known major version.
//!
//! Absent on purpose: the record's raw text. Request parameters can hold
//! secrets and grow without bound; a row names its object, ETag and record
//! index instead, where the signed original stands.

use super::tape::Value;
use crate::model::{Client, Operation, Outcome, Principal, Target, Tls, UtcMicros};

/// What a record is to bricktrail.
pub enum Record<'t, 'a> {
    S3(Fields<'t, 'a>),
    Sts(Fields<'t, 'a>),
    Ec2(Fields<'t, 'a>),
    /// Any other service's event; counted.
    Other {
        event_time: Option<UtcMicros>,
    },
    Bad(BadRecord),
}

/// Why a record cannot become a row or be counted as another service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BadRecord {
    NotAnObject,
    NoEventSource,
    NoEventTime,
    /// A major version this program does not know; its fields may mean other things.
    EventVersion,
    /// Bytes between two records that are no JSON value.
    InvalidJson,
}

impl BadRecord {
    pub fn as_str(self) -> &'static str {
        match self {
            BadRecord::NotAnObject => "not_an_object",
            BadRecord::NoEventSource => "no_event_source",
            BadRecord::NoEventTime => "no_event_time",
            BadRecord::EventVersion => "unknown_event_version",
            BadRecord::InvalidJson => "invalid_json",
        }
    }
}

/// The members of a record, found but not yet read.
#[derive(Clone, Copy, Default)]
pub struct Fields<'t, 'a> {
    pub event_time: UtcMicros,
    pub event_name: Option<&'a str>,
    pub event_id: Option<&'a str>,
    version_minor: Option<u32>,
    aws_region: Option<&'a str>,
    pub source_ip: Option<&'a str>,
    user_agent: Option<&'a str>,
    pub error_code: Option<&'a str>,
    pub error_message: Option<&'a str>,
    pub request_id: Option<&'a str>,
    pub recipient_account_id: Option<&'a str>,
    pub shared_event_id: Option<&'a str>,
    vpc_endpoint_id: Option<&'a str>,
    user_identity: Option<Value<'t, 'a>>,
    pub request_parameters: Option<Value<'t, 'a>>,
    pub response_elements: Option<Value<'t, 'a>>,
    additional: Option<Value<'t, 'a>>,
    pub resources: Option<Value<'t, 'a>>,
    tls_details: Option<Value<'t, 'a>>,
}

/// Reads and routes one record.
pub fn read<'t, 'a>(record: Value<'t, 'a>) -> Record<'t, 'a> {
    if !record.is_object() {
        return Record::Bad(BadRecord::NotAnObject);
    }
    let mut f = Fields::default();
    let (mut event_time, mut event_source, mut version) = (None, None, None);
    let mut category = None;
    // By length first: a record has some 25 members, and comparing each with
    // every name in turn costs as much as the rest of the walk.
    for (key, value) in record.members() {
        match key.len() {
            7 if key == "eventID" => f.event_id = value.text(),
            9 => match key {
                "eventTime" => event_time = value.text(),
                "eventName" => f.event_name = value.text(),
                "awsRegion" => f.aws_region = value.text(),
                "userAgent" => f.user_agent = value.text(),
                "errorCode" => f.error_code = value.text(),
                "requestID" => f.request_id = value.text(),
                "resources" => f.resources = Some(value),
                _ => {}
            },
            10 if key == "tlsDetails" => f.tls_details = Some(value),
            11 if key == "eventSource" => event_source = value.text(),
            12 => match key {
                "eventVersion" => version = value.text(),
                "userIdentity" => f.user_identity = Some(value),
                "errorMessage" => f.error_message = value.text(),
                _ => {}
            },
            13 => match key {
                "eventCategory" => category = value.text(),
                "sharedEventID" => f.shared_event_id = value.text(),
                "vpcEndpointId" => f.vpc_endpoint_id = value.text(),
                _ => {}
            },
            15 if key == "sourceIPAddress" => f.source_ip = value.text(),
            16 if key == "responseElements" => f.response_elements = Some(value),
            17 if key == "requestParameters" => f.request_parameters = Some(value),
            18 if key == "recipientAccountId" => f.recipient_account_id = value.text(),
            19 if key == "additionalEventData" => f.additional = Some(value),
            _ => {}
        }
    }
    let Some(event_source) = event_source else {
        return Record::Bad(BadRecord::NoEventSource);
    };
    let time = event_time.and_then(UtcMicros::parse_iso);
    let route: fn(Fields<'t, 'a>) -> Record<'t, 'a> = match event_source {
        // Insights, summaries and VPC endpoint records carry the event source
        // they speak of; they are no accesses.
        _ if matches!(category, Some("Insight" | "Aggregated" | "NetworkActivity")) => {
            return Record::Other { event_time: time };
        }
        "s3.amazonaws.com" | "s3express.amazonaws.com" | "s3-outposts.amazonaws.com" => Record::S3,
        "sts.amazonaws.com" if is_issue(f.event_name) => Record::Sts,
        "ec2.amazonaws.com" if is_instance_event(f.event_name) && f.error_code.is_none() => {
            Record::Ec2
        }
        _ => return Record::Other { event_time: time },
    };
    let Some(time) = time else {
        return Record::Bad(BadRecord::NoEventTime);
    };
    f.event_time = time;
    // A new minor version only adds members (CloudTrail user guide); a new
    // major one may rename them. Text that is no version at all says nothing.
    let (major, minor) = version.map_or((None, None), |v| {
        let mut parts = v.split('.').map(|part| part.parse::<u32>().ok());
        (parts.next().flatten(), parts.next().flatten())
    });
    if major.is_some_and(|major| major != 1) {
        return Record::Bad(BadRecord::EventVersion);
    }
    f.version_minor = minor;
    route(f)
}

fn is_issue(event_name: Option<&str>) -> bool {
    matches!(
        event_name,
        Some(
            "AssumeRole"
                | "AssumeRoleWithSAML"
                | "AssumeRoleWithWebIdentity"
                | "AssumeRoot"
                | "GetSessionToken"
                | "GetFederationToken"
        )
    )
}

fn is_instance_event(event_name: Option<&str>) -> bool {
    matches!(
        event_name,
        Some("RunInstances" | "CreateFleet" | "CreateTags" | "DeleteTags" | "TerminateInstances")
    )
}

impl<'a> Fields<'_, 'a> {
    /// The principal as AWS saw it.
    pub fn principal(&self) -> Principal<&'a str> {
        let mut p = Principal::default();
        let Some(identity) = self.user_identity else {
            return p;
        };
        for (key, value) in identity.members() {
            match key {
                "type" => p.identity_type = value.text(),
                "principalId" => p.principal_id = value.text(),
                "arn" => p.arn = value.text(),
                "accountId" => p.account_id = value.text(),
                "accessKeyId" => p.access_key_id = value.text(),
                "userName" => p.user_name = value.text(),
                "invokedBy" => p.invoked_by = value.text(),
                "sessionContext" => read_session_context(value, &mut p),
                "inScopeOf" => {
                    for (key, value) in value.members() {
                        match key {
                            "issuerType" => p.in_scope_issuer_type = value.text(),
                            "credentialsIssuedTo" => p.in_scope_issued_to = value.text(),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        // A role session without an ARN still carries its name behind the role's
        // id, also where another account's session is shown as `AWSAccount`.
        let role_session = matches!(p.identity_type, Some("AssumedRole" | "AWSAccount"));
        p.session_name = p.arn.and_then(session_name_of_arn).or_else(|| {
            let (_, session) = p.principal_id.filter(|_| role_session)?.split_once(':')?;
            (!session.is_empty()).then_some(session)
        });
        p
    }

    /// What S3 adds to the record, read in one pass.
    pub fn additional(&self) -> Additional<'a> {
        let mut a = Additional::default();
        for (key, value) in self.additional.iter().flat_map(|v| v.members()) {
            match key {
                "AuthenticationMethod" => a.auth_method = value.text(),
                "CipherSuite" => a.cipher = value.text().is_some(),
                "SSEApplied" => a.sse_applied = value.text(),
                "bytesTransferredIn" => a.bytes_in = value.integer(),
                "bytesTransferredOut" => {
                    a.bytes_out = value.integer();
                    a.is_s3_data = true;
                }
                "vpcEndpointId" => a.vpc_endpoint_id = value.text(),
                _ => {}
            }
        }
        a
    }

    /// Where the request came from and how it was sent.
    pub fn client(&self, principal: &Principal<&'a str>, a: &Additional<'a>) -> Client<&'a str> {
        let version = self
            .tls_details
            .and_then(|tls| tls.get("tlsVersion"))
            .and_then(Value::text);
        let plaintext = a.is_s3_data
            && !a.cipher
            && self.tls_details.is_none()
            && self.version_minor.is_some_and(|minor| minor >= 8)
            && principal.invoked_by.is_none()
            && principal.identity_type != Some("AWSService")
            && self
                .source_ip
                .is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_ok());
        Client {
            source_ip: self.source_ip,
            user_agent: self.user_agent,
            vpc_endpoint_id: self.vpc_endpoint_id.or(a.vpc_endpoint_id),
            tls: Tls { version, plaintext },
            auth_method: a.auth_method,
        }
    }

    /// `recipientAccountId`, region, and what the request addressed.
    pub fn account_and_region(&self) -> Target<&'a str> {
        Target {
            aws_account_id: self.recipient_account_id,
            aws_region: self.aws_region,
            bucket: None,
            bucket_account_id: None,
        }
    }

    /// What the request and its answer say about objects and encryption.
    pub fn s3_request(&self, additional: &Additional<'a>) -> S3Request<'a> {
        let mut r = S3Request {
            bytes_in: additional.bytes_in,
            bytes_out: additional.bytes_out,
            presigned: additional.auth_method == Some("QueryString"),
            ..S3Request::default()
        };
        for (key, value) in self.request_parameters.iter().flat_map(|v| v.members()) {
            read_parameter(key, value, &mut r);
        }
        let mut sse_answered = None;
        for (key, value) in self.response_elements.iter().flat_map(|v| v.members()) {
            match key {
                "x-amz-server-side-encryption" => sse_answered = value.text_or_single(),
                "x-amz-server-side-encryption-aws-kms-key-id" => {
                    r.kms_key_arn = value.text_or_single().or(r.kms_key_arn);
                }
                "x-amz-server-side-encryption-customer-algorithm" => {
                    r.customer_key = r.customer_key || value.text_or_single().is_some();
                }
                _ => {}
            }
        }
        r.sse = additional
            .sse_applied
            .or(sse_answered)
            .or(r.sse)
            .map(sse_name);
        if r.sse.is_none() && r.customer_key {
            r.sse = Some("SSE_C");
        }
        self.read_resources(&mut r);
        r
    }

    /// Fills in what the parameters left out. Bucket, key and account come from
    /// items that name the same bucket: a copy lists the source's beside it.
    fn read_resources(&self, r: &mut S3Request<'a>) {
        let items = || {
            self.resources
                .iter()
                .flat_map(|v| v.items())
                .map(Resource::read)
        };
        if r.bucket.is_none() {
            let first = |object: bool| {
                items()
                    .filter(|item| item.is("::Object") == object)
                    .find_map(|item| item.place)
            };
            r.bucket = first(true)
                .or_else(|| first(false))
                .map(|(bucket, _)| bucket);
        }
        for item in items() {
            let Some((bucket, key)) = item.place else {
                continue;
            };
            if r.bucket != Some(bucket) {
                continue;
            }
            if item.is("::Object") && !item.is_prefix {
                r.key = r.key.or(key);
            } else if item.is("::Bucket") {
                r.bucket_account_id = r.bucket_account_id.or(item.account_id);
            }
        }
    }

    /// How AWS answered (facts: S3 and VPC endpoint codes of refusal).
    pub fn outcome(&self) -> Outcome {
        match self.error_code {
            None => Outcome::Ok,
            Some("AccessDenied" | "Client.UnauthorizedOperation" | "VpceAccessDenied") => {
                Outcome::Denied
            }
            Some(_) => Outcome::Error,
        }
    }
}

/// An item of `resources`.
struct Resource<'a> {
    kind: Option<&'a str>,
    account_id: Option<&'a str>,
    place: Option<(&'a str, Option<&'a str>)>,
    /// A list names what it asked for by `ARNPrefix`: no key.
    is_prefix: bool,
}

impl<'a> Resource<'a> {
    fn read(item: Value<'_, 'a>) -> Resource<'a> {
        let (mut kind, mut account_id, mut arn, mut prefix) = (None, None, None, None);
        for (name, value) in item.members() {
            match name {
                "type" => kind = value.text(),
                "ARN" | "arn" => arn = value.text(),
                "ARNPrefix" => prefix = value.text(),
                "accountId" | "accountid" => account_id = value.text(),
                _ => {}
            }
        }
        Resource {
            kind,
            account_id,
            place: arn.or(prefix).and_then(place_of_arn),
            is_prefix: arn.is_none(),
        }
    }

    fn is(&self, end: &str) -> bool {
        self.kind.is_some_and(|kind| kind.ends_with(end))
    }
}

fn read_session_context<'a>(context: Value<'_, 'a>, p: &mut Principal<&'a str>) {
    for (key, value) in context.members() {
        match key {
            "attributes" => {
                p.session_issued_at = value
                    .get("creationDate")
                    .and_then(Value::text)
                    .and_then(UtcMicros::parse_iso);
            }
            "sessionIssuer" => {
                for (key, value) in value.members() {
                    match key {
                        "arn" => p.session_issuer_arn = value.text(),
                        "accountId" => p.session_issuer_account_id = value.text(),
                        _ => {}
                    }
                }
            }
            "sourceIdentity" => p.source_identity = value.text(),
            "ec2RoleDelivery" => p.ec2_role_delivery = value.text(),
            _ => {}
        }
    }
}

/// The members of `additionalEventData` that S3 fills in.
#[derive(Clone, Copy, Default)]
pub struct Additional<'a> {
    auth_method: Option<&'a str>,
    cipher: bool,
    sse_applied: Option<&'a str>,
    bytes_in: Option<i64>,
    bytes_out: Option<i64>,
    /// Only data events count transferred bytes.
    is_s3_data: bool,
    vpc_endpoint_id: Option<&'a str>,
}

/// What an S3 request named; bucket and key still by source.
#[derive(Clone, Copy, Default)]
pub struct S3Request<'a> {
    pub bucket: Option<&'a str>,
    pub key: Option<&'a str>,
    pub list_prefix: Option<&'a str>,
    pub version_id: Option<&'a str>,
    pub copy_source: Option<&'a str>,
    pub bytes_in: Option<i64>,
    pub bytes_out: Option<i64>,
    pub sse: Option<&'a str>,
    pub kms_key_arn: Option<&'a str>,
    pub presigned: bool,
    pub bucket_account_id: Option<&'a str>,
    customer_key: bool,
}

impl<'a> S3Request<'a> {
    /// The bucket of the parameters; of `resources` where they were omitted.
    pub fn bucket(&self) -> Option<&'a str> {
        self.bucket
    }

    /// The object key, likewise.
    pub fn object_key(&self) -> Option<&'a str> {
        self.key
    }
}

/// Parameter names are compared without case: Outposts writes `Key`, old
/// records lower-case hosts.
fn read_parameter<'a>(key: &str, value: Value<'_, 'a>, r: &mut S3Request<'a>) {
    let is = |name: &str| key.eq_ignore_ascii_case(name);
    match key.len() {
        3 if is("key") => r.key = value.text_or_single(),
        6 if is("prefix") => r.list_prefix = value.text_or_single(),
        9 if is("versionId") => r.version_id = value.text_or_single(),
        10 if is("bucketName") => r.bucket = value.text_or_single(),
        17 if is("x-amz-copy-source") => r.copy_source = value.text_or_single(),
        28 if is("x-amz-server-side-encryption") => r.sse = value.text_or_single(),
        43 if is("x-amz-server-side-encryption-aws-kms-key-id") => {
            r.kms_key_arn = value.text_or_single();
        }
        47 if is("x-amz-server-side-encryption-customer-algorithm") => {
            r.customer_key = value.text_or_single().is_some();
        }
        _ => {}
    }
}

/// One spelling for each kind of encryption, whichever side reported it; a
/// value of another kind is kept as written.
fn sse_name(text: &str) -> &str {
    match text {
        "SSE_S3" | "Default_SSE_S3" => "SSE_S3",
        "SSE_KMS" | "Default_SSE_KMS" => "SSE_KMS",
        "DSSE_KMS" | "Default_DSSE_KMS" => "DSSE_KMS",
        "SSE_C" | "Default_SSE_C" => "SSE_C",
        _ if text.eq_ignore_ascii_case("AES256") => "SSE_S3",
        _ if text.eq_ignore_ascii_case("aws:kms") => "SSE_KMS",
        _ if text.eq_ignore_ascii_case("aws:kms:dsse") => "DSSE_KMS",
        _ => text,
    }
}

/// The session name of `arn:<partition>:sts::<account>:assumed-role/<role>/<session>`.
fn session_name_of_arn(arn: &str) -> Option<&str> {
    let resource = arn.splitn(6, ':').nth(5)?;
    let (_, session) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
    (!session.is_empty()).then_some(session)
}

/// Bucket and key of an S3 ARN. Keys may hold `:` and `/`, so the ARN is cut
/// after its fifth colon only. An access point stands for its bucket.
fn place_of_arn(arn: &str) -> Option<(&str, Option<&str>)> {
    let filled = |text: &'_ str| !text.is_empty();
    // The form of nearly every record, cut without a search.
    if let Some(resource) = arn.strip_prefix("arn:aws:s3:::") {
        return match resource.split_once('/') {
            Some((bucket, key)) => Some((bucket, Some(key).filter(|key| filled(key)))),
            None => Some((resource, None)),
        }
        .filter(|(bucket, _)| filled(bucket));
    }
    let resource = arn.splitn(6, ':').nth(5)?;
    let service = arn.split(':').nth(2)?;
    if !service.starts_with("s3") {
        return None;
    }
    let access_point = resource.starts_with("accesspoint/") || resource.starts_with("accesspoint:");
    let outpost = resource.starts_with("outpost/");
    if access_point {
        let (head, key) = match resource.find("/object/") {
            Some(at) => (arn.len() - resource.len() + at, resource.get(at + 8..)),
            None => (arn.len(), None),
        };
        return Some((arn.get(..head)?, key.filter(|key| filled(key))));
    }
    let resource = if outpost {
        resource.split_once("/bucket/")?.1
    } else {
        resource
    };
    let (bucket, key) = match resource.split_once('/') {
        Some((bucket, key)) => (bucket, Some(key).filter(|key| filled(key))),
        None => (resource, None),
    };
    filled(bucket).then_some((bucket, key))
}

/// What an event of that name does to data, from the IAM action it needs.
///
/// Bucket and account configuration: a change is `permission`, because each of
/// these settings decides who may reach the data or whether it survives; a read
/// of a setting touches no data and is `other`.
pub fn operation(event_name: &str) -> Operation {
    match event_name {
        "GetObject"
        | "HeadObject"
        | "SelectObjectContent"
        | "GetObjectTorrent"
        | "GetObjectAcl"
        | "GetObjectAttributes"
        | "GetObjectTagging"
        | "GetObjectLegalHold"
        | "GetObjectRetention"
        | "GetObjectAnnotation"
        | "ListObjectAnnotations" => Operation::Read,
        "ListObjects" | "ListObjectsV2" | "HeadBucket" | "ListObjectVersions" | "ListParts" => {
            Operation::List
        }
        "PutObject"
        | "POST Object"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload"
        | "CopyObject"
        | "AbortMultipartUpload"
        | "RestoreObject"
        | "PutObjectTagging"
        | "DeleteObjectTagging"
        | "PutObjectAnnotation"
        | "DeleteObjectAnnotation" => Operation::Write,
        "DeleteObject" | "DeleteObjects" => Operation::Delete,
        "PutObjectAcl" | "PutObjectLegalHold" | "PutObjectRetention" | "UpdateObjectEncryption" => {
            Operation::Permission
        }
        name if changes_bucket(name) => Operation::Permission,
        _ => Operation::Other,
    }
}

/// Whether the name is a Put, Delete, Create or Update of a bucket's or the
/// account's configuration.
fn changes_bucket(name: &str) -> bool {
    ["Put", "Delete", "Create", "Update"]
        .iter()
        .find_map(|verb| name.strip_prefix(verb))
        .is_some_and(|noun| {
            [
                "Bucket",
                "Account",
                "Accelerate",
                "AccessPoint",
                "MultiRegionAccessPoint",
            ]
            .iter()
            .any(|what| noun.starts_with(what))
        })
}
