//! The slow, obvious twin of the fast record reader, and records to feed both.
//!
//! It reads one CloudTrail record from a `serde_json::Value`, field by field,
//! as the documentation has it, and shares nothing with the fast reader but the
//! nouns: where the two differ, one of them is wrong.
//!
//! Deliberately absent: speed, borrowing, grouping, and the id that is made
//! for an event without one.

use bricktrail::model::{
    AccessEvent, Client, Operation, Outcome, Principal, Target, Tls, UtcMicros,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// What one record turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Twin {
    Access(Box<TwinAccess>),
    NotS3,
    /// No record at all, or one that the tables need and that lacks its source,
    /// its time, or a version that is known.
    Bad,
}

/// `AccessEvent`, owned; the event id is `None` where the record has none.
#[derive(Clone, Debug, PartialEq)]
pub struct TwinAccess {
    pub event_id: Option<String>,
    pub event_time: UtcMicros,
    pub event_name: String,
    pub operation: Operation,
    pub outcome: Outcome,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub object_key: Option<String>,
    pub list_prefix: Option<String>,
    pub version_id: Option<String>,
    pub copy_source: Option<String>,
    pub bytes_in: Option<i64>,
    pub bytes_out: Option<i64>,
    pub sse: Option<String>,
    pub kms_key_arn: Option<String>,
    pub presigned: bool,
    pub signed_at: Option<UtcMicros>,
    pub request_id: Option<String>,
    pub shared_event_id: Option<String>,
    pub principal: Principal,
    pub client: Client,
    pub target: Target,
}

impl TwinAccess {
    /// The same event as the fast reader sees it, for comparing.
    pub fn of(event: &AccessEvent<'_>) -> TwinAccess {
        let own = |text: Option<&str>| text.map(str::to_owned);
        TwinAccess {
            event_id: Some(event.event_id.to_owned()),
            event_time: event.event_time,
            event_name: event.event_name.to_owned(),
            operation: event.operation,
            outcome: event.outcome,
            error_code: own(event.error_code),
            error_message: own(event.error_message),
            object_key: own(event.object_key),
            list_prefix: own(event.list_prefix),
            version_id: own(event.version_id),
            copy_source: own(event.copy_source),
            bytes_in: event.bytes_in,
            bytes_out: event.bytes_out,
            sse: own(event.sse),
            kms_key_arn: own(event.kms_key_arn),
            presigned: event.presigned,
            signed_at: event.signed_at,
            request_id: own(event.request_id),
            shared_event_id: own(event.shared_event_id),
            principal: event.principal.clone(),
            client: event.client.clone(),
            target: event.target.clone(),
        }
    }
}

/// Reads one record; `key_account` is the account in the key of its object.
pub fn read(record: &Value, key_account: Option<&str>) -> Twin {
    let Some(source) = text(record, "/eventSource") else {
        return Twin::Bad;
    };
    // Other layouts, which speak of accesses but are none.
    let category = text(record, "/eventCategory");
    if matches!(
        category.as_deref(),
        Some("Insight" | "Aggregated" | "NetworkActivity")
    ) {
        return Twin::NotS3;
    }
    let event_name = text(record, "/eventName").unwrap_or_default();
    let s3 = matches!(
        source.as_str(),
        "s3.amazonaws.com" | "s3express.amazonaws.com" | "s3-outposts.amazonaws.com"
    );
    if !s3 && !is_identity_event(record, &source, &event_name) {
        return Twin::NotS3;
    }
    let event_time = text(record, "/eventTime").and_then(|at| UtcMicros::parse_iso(&at));
    let (Some(event_time), true) = (event_time, is_known_version(record)) else {
        return Twin::Bad;
    };
    if !s3 {
        return Twin::NotS3;
    }

    let bucket = param(record, "bucketName").or_else(|| object_place(record).map(|place| place.0));
    let error_code = text(record, "/errorCode");
    let auth_method = text(record, "/additionalEventData/AuthenticationMethod");
    Twin::Access(Box::new(TwinAccess {
        event_id: text(record, "/eventID"),
        event_time,
        operation: operation(&event_name),
        event_name,
        outcome: outcome(error_code.as_deref()),
        error_code,
        error_message: text(record, "/errorMessage"),
        object_key: object_key(record, bucket.as_deref()),
        list_prefix: param(record, "prefix"),
        version_id: param(record, "versionId"),
        copy_source: param(record, "x-amz-copy-source"),
        bytes_in: bytes(record, "/additionalEventData/bytesTransferredIn"),
        bytes_out: bytes(record, "/additionalEventData/bytesTransferredOut"),
        sse: sse(record),
        kms_key_arn: answer(record, "x-amz-server-side-encryption-aws-kms-key-id")
            .or_else(|| param(record, "x-amz-server-side-encryption-aws-kms-key-id")),
        presigned: auth_method.as_deref() == Some("QueryString"),
        signed_at: param(record, "X-Amz-Date")
            .filter(|_| auth_method.as_deref() == Some("QueryString"))
            .and_then(|at| UtcMicros::parse_iso(&at)),
        request_id: text(record, "/requestID"),
        shared_event_id: text(record, "/sharedEventID"),
        principal: principal(record),
        client: Client {
            source_ip: text(record, "/sourceIPAddress"),
            user_agent: text(record, "/userAgent"),
            vpc_endpoint_id: text(record, "/vpcEndpointId")
                .or_else(|| text(record, "/additionalEventData/vpcEndpointId")),
            tls: Tls {
                version: text(record, "/tlsDetails/tlsVersion"),
                plaintext: is_plaintext(record),
            },
            auth_method,
        },
        target: Target {
            aws_account_id: text(record, "/recipientAccountId")
                .or_else(|| key_account.map(str::to_owned)),
            aws_region: text(record, "/awsRegion"),
            bucket_account_id: bucket_account(record, bucket.as_deref()),
            bucket,
        },
    }))
}

/// Sessions and instances come from these; a refused EC2 call changed nothing.
fn is_identity_event(record: &Value, source: &str, event_name: &str) -> bool {
    match source {
        "sts.amazonaws.com" => [
            "AssumeRole",
            "AssumeRoleWithSAML",
            "AssumeRoleWithWebIdentity",
            "AssumeRoot",
            "GetSessionToken",
            "GetFederationToken",
        ]
        .contains(&event_name),
        "ec2.amazonaws.com" => {
            let changes = [
                "RunInstances",
                "CreateFleet",
                "CreateTags",
                "DeleteTags",
                "TerminateInstances",
            ];
            changes.contains(&event_name) && text(record, "/errorCode").is_none()
        }
        _ => false,
    }
}

/// facts: compare the major version for equality. What is no number tells none.
fn is_known_version(record: &Value) -> bool {
    let version = text(record, "/eventVersion").unwrap_or_default();
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    major.is_none_or(|major| major == 1)
}

/// A text that is there and not empty.
fn text(record: &Value, pointer: &str) -> Option<String> {
    let text = record.pointer(pointer)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// A request parameter; its name counts without case, and eventVersion 1.03
/// wraps its value into a list of one.
fn param(record: &Value, name: &str) -> Option<String> {
    let params = record.get("requestParameters")?.as_object()?;
    // Spellings of one name are one member, and the last counts.
    let same = |(key, _): &(&String, &Value)| key.eq_ignore_ascii_case(name);
    let (_, value) = params.iter().rfind(same)?;
    let value = match value.as_array().map(Vec::as_slice) {
        Some([one]) => one,
        _ => value,
    };
    let text = value.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// A count that is an integer, a float, or a text of either.
fn bytes(record: &Value, pointer: &str) -> Option<i64> {
    // Beyond 2^53 a float names no whole number any more; no object is so large.
    let number = |n: f64| (n.abs() < 9e15).then_some(n as i64);
    match record.pointer(pointer)? {
        Value::Number(n) if n.is_u64() => n.as_i64(),
        Value::Number(n) => n.as_i64().or_else(|| number(n.as_f64()?)),
        Value::String(text) => text.parse().ok().or_else(|| number(text.parse().ok()?)),
        _ => None,
    }
}

/// facts: "Action classes"; what the table does not name is `other`.
fn operation(event_name: &str) -> Operation {
    match event_name {
        "GetObject" | "HeadObject" | "SelectObjectContent" | "GetObjectTorrent" => Operation::Read,
        "GetObjectAcl"
        | "GetObjectAttributes"
        | "GetObjectTagging"
        | "GetObjectLegalHold"
        | "GetObjectRetention"
        | "GetObjectAnnotation"
        | "ListObjectAnnotations" => Operation::Read,
        "ListObjects" | "ListObjectsV2" | "ListObjectVersions" | "ListParts" | "HeadBucket" => {
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
        "PutAccelerateConfiguration" => Operation::Permission,
        name => {
            let managed = ["Put", "Delete", "Create"]
                .iter()
                .filter_map(|verb| name.strip_prefix(verb))
                .any(|what| what.starts_with("Bucket") || what.starts_with("Account"));
            if managed {
                Operation::Permission
            } else {
                Operation::Other
            }
        }
    }
}

fn outcome(error_code: Option<&str>) -> Outcome {
    match error_code {
        None => Outcome::Ok,
        Some("AccessDenied" | "Client.UnauthorizedOperation" | "VpceAccessDenied") => {
            Outcome::Denied
        }
        Some(_) => Outcome::Error,
    }
}

/// What S3 says it applied: in its own words, else in its answer's header; else
/// what the request asked for.
fn sse(record: &Value) -> Option<String> {
    let named = text(record, "/additionalEventData/SSEApplied")
        .or_else(|| answer(record, "x-amz-server-side-encryption"))
        .or_else(|| param(record, "x-amz-server-side-encryption"));
    let Some(named) = named else {
        let header = "x-amz-server-side-encryption-customer-algorithm";
        return param(record, header)
            .or_else(|| answer(record, header))
            .map(|_| "SSE_C".to_owned());
    };
    let known = match named.to_ascii_lowercase().as_str() {
        "sse_s3" | "default_sse_s3" | "aes256" => "SSE_S3",
        "sse_kms" | "default_sse_kms" | "aws:kms" => "SSE_KMS",
        "dsse_kms" | "default_dsse_kms" | "aws:kms:dsse" => "DSSE_KMS",
        "sse_c" | "default_sse_c" => "SSE_C",
        _ => return Some(named),
    };
    Some(known.to_owned())
}

/// A header of the answer.
fn answer(record: &Value, name: &str) -> Option<String> {
    text(record, &format!("/responseElements/{name}"))
}

fn principal(record: &Value) -> Principal {
    let of = |field: &str| text(record, &format!("/userIdentity/{field}"));
    let arn = of("arn");
    let principal_id = of("principalId");
    let from_arn = arn.as_deref().and_then(|arn| {
        let (_, session) = arn.split_once(":assumed-role/")?.1.rsplit_once('/')?;
        Some(session.to_owned())
    });
    // A web identity's principalId has colons too, and names no session.
    let kind = of("type");
    let role_session = matches!(kind.as_deref(), Some("AssumedRole" | "AWSAccount"));
    let from_id = || {
        let (_, session) = principal_id
            .as_deref()
            .filter(|_| role_session)?
            .split_once(':')?;
        Some(session.to_owned())
    };
    let session_name = from_arn
        .filter(|name| !name.is_empty())
        .or_else(from_id)
        .filter(|name| !name.is_empty());
    Principal {
        identity_type: of("type"),
        account_id: of("accountId"),
        user_name: of("userName"),
        access_key_id: of("accessKeyId"),
        invoked_by: of("invokedBy"),
        session_issuer_arn: of("sessionContext/sessionIssuer/arn"),
        session_issuer_account_id: of("sessionContext/sessionIssuer/accountId"),
        session_name,
        session_issued_at: of("sessionContext/attributes/creationDate")
            .and_then(|at| UtcMicros::parse_iso(&at)),
        source_identity: of("sessionContext/sourceIdentity"),
        in_scope_issuer_type: of("inScopeOf/issuerType"),
        in_scope_issued_to: of("inScopeOf/credentialsIssuedTo"),
        ec2_role_delivery: of("sessionContext/ec2RoleDelivery"),
        principal_id,
        arn,
    }
}

/// See `Tls::plaintext`: a request that somebody sent to S3 himself, in whose
/// record S3 would have shown TLS if there had been any.
fn is_plaintext(record: &Value) -> bool {
    let minor = text(record, "/eventVersion")
        .and_then(|version| version.split('.').nth(1)?.parse::<u32>().ok());
    let has = |pointer| text(record, pointer).is_some();
    let records_tls = minor.is_some_and(|minor| minor >= 8);
    let direct = !has("/userIdentity/invokedBy")
        && text(record, "/userIdentity/type").as_deref() != Some("AWSService")
        && text(record, "/sourceIPAddress").is_some_and(|ip| ip.parse::<IpAddr>().is_ok());
    let by_s3 = record
        .pointer("/additionalEventData/bytesTransferredOut")
        .is_some();
    let shows_tls = record.get("tlsDetails").is_some() || has("/additionalEventData/CipherSuite");
    records_tls && direct && by_s3 && !shows_tls
}

/// The object in the request's parameters, else in `resources[]`, where it must
/// lie in the bucket that the request names.
fn object_key(record: &Value, bucket: Option<&str>) -> Option<String> {
    param(record, "key").or_else(|| {
        resources(record)
            .iter()
            .filter(|item| is_object(item))
            .filter_map(|item| place(&field(item, "ARN")?))
            .find(|(in_bucket, key)| Some(in_bucket.as_str()) == bucket && !key.is_empty())
            .map(|(_, key)| key)
    })
}

/// Bucket and key of the first object in `resources[]`, else of the first bucket.
fn object_place(record: &Value) -> Option<(String, String)> {
    let arn = |item| field(item, "ARN").or_else(|| field(item, "ARNPrefix"));
    let items = resources(record);
    let objects = items.iter().filter(|item| is_object(item));
    let others = items.iter().filter(|item| !is_object(item));
    objects.chain(others).find_map(|item| place(&arn(item)?))
}

/// The account of the bucket: of the items whose ARN names it.
fn bucket_account(record: &Value, bucket: Option<&str>) -> Option<String> {
    let items = resources(record);
    let named = items.iter().filter(|item| {
        let is_bucket = field(item, "type").is_some_and(|kind| {
            kind.ends_with("::Bucket") || kind == "AWS::S3Express::DirectoryBucket"
        });
        let named = field(item, "ARN").and_then(|arn| place(&arn));
        is_bucket && named.is_some_and(|(name, _)| Some(name.as_str()) == bucket)
    });
    named.filter_map(|item| field(item, "accountId")).next()
}

fn resources(record: &Value) -> Vec<Value> {
    let items = record.get("resources").and_then(Value::as_array);
    items.cloned().unwrap_or_default()
}

fn is_object(item: &Value) -> bool {
    field(item, "type").is_some_and(|kind| kind.ends_with("::Object"))
}

/// A field of a resource: `ARN` is met as `arn`, `accountId` as `accountid`.
fn field(item: &Value, name: &str) -> Option<String> {
    let same = |(key, _): &(&String, &Value)| key.eq_ignore_ascii_case(name);
    let (_, value) = item.as_object()?.iter().rfind(same)?;
    let text = value.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// Bucket and key of `arn:<partition>:s3:::<bucket>[/<key>]`; a key may hold
/// colons. An access point stands for its bucket, by its ARN; a bucket on an
/// Outpost has a path before its name, a directory bucket `bucket/`.
fn place(arn: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let &["arn", _, service, _, _, resource] = parts.as_slice() else {
        return None;
    };
    if !service.starts_with("s3") {
        return None;
    }
    if resource.starts_with("accesspoint/") {
        let (bucket, key) = arn.split_once("/object/").unwrap_or((arn, ""));
        return Some((bucket.to_owned(), key.to_owned()));
    }
    let resource = match resource.strip_prefix("outpost/") {
        Some(below) => below.split_once("/bucket/")?.1,
        None if service == "s3express" => resource.strip_prefix("bucket/").unwrap_or(resource),
        None => resource,
    };
    let (bucket, key) = resource.split_once('/').unwrap_or((resource, ""));
    (!bucket.is_empty()).then(|| (bucket.to_owned(), key.to_owned()))
}

const EVENT_NAMES: &str = "\
    GetObject, HeadObject, SelectObjectContent, GetObjectTorrent, GetObjectAcl, \
    GetObjectAttributes, GetObjectTagging, GetObjectLegalHold, GetObjectRetention, \
    GetObjectAnnotation, ListObjectAnnotations, ListObjects, ListObjectsV2, HeadBucket, \
    ListObjectVersions, ListParts, PutObject, POST Object, CreateMultipartUpload, UploadPart, \
    UploadPartCopy, CompleteMultipartUpload, CopyObject, AbortMultipartUpload, RestoreObject, \
    PutObjectTagging, DeleteObjectTagging, PutObjectAnnotation, DeleteObjectAnnotation, \
    DeleteObject, DeleteObjects, PutObjectAcl, PutObjectLegalHold, PutObjectRetention, \
    UpdateObjectEncryption, CreateBucket, DeleteBucket, PutBucketPolicy, GetBucketPolicy, \
    DeleteBucketPolicy, PutBucketAcl, GetBucketAcl, PutBucketLifecycle, PutBucketNotification, \
    PutBucketPublicAccessBlock, DeleteAccountPublicAccessBlock, PutAccountPublicAccessBlock, \
    GetAccountPublicAccessBlock, PutBucketObjectLockConfiguration, PutAccelerateConfiguration, \
    GetAccelerateConfiguration, DeleteBucketMetadataTableConfiguration, GetBucketLocation, \
    ListBuckets, ListAccessPoints, CreateSession, InitiateReplication, WriteGetObjectResponse, \
    Presign, GetObjectVersion";

/// Fields that real records lack, leave empty, or fill with another type.
const FRAGILE: &str = "\
    /eventID, /eventTime, /eventName, /eventSource, /eventVersion, /eventType, /eventCategory, \
    /awsRegion, /sourceIPAddress, /userAgent, /errorCode, /errorMessage, /requestID, \
    /sharedEventID, /recipientAccountId, /vpcEndpointId, /userIdentity, /userIdentity/type, \
    /userIdentity/principalId, /userIdentity/arn, /userIdentity/accountId, \
    /userIdentity/accessKeyId, /userIdentity/userName, /userIdentity/invokedBy, \
    /userIdentity/inScopeOf, /userIdentity/sessionContext, \
    /userIdentity/sessionContext/sessionIssuer, /userIdentity/sessionContext/attributes, \
    /userIdentity/sessionContext/attributes/creationDate, /requestParameters, \
    /requestParameters/bucketName, /requestParameters/key, /requestParameters/prefix, \
    /requestParameters/versionId, /requestParameters/x-amz-server-side-encryption, \
    /additionalEventData, /additionalEventData/bytesTransferredIn, \
    /additionalEventData/bytesTransferredOut, /additionalEventData/SSEApplied, \
    /additionalEventData/CipherSuite, /additionalEventData/AuthenticationMethod, /tlsDetails, \
    /tlsDetails/tlsVersion, /resources, /resources/0, /resources/0/ARN, /resources/1/accountId";

/// Makes records of S3 events, some of another service, sound and damaged.
pub fn record() -> impl Strategy<Value = Value> {
    let parts = (
        frame(),
        user_identity(),
        parameters(),
        resource_list(),
        additional_data(),
    );
    let damage = (listed(FRAGILE), odd_value());
    (parts, prop::collection::vec(damage, 0..5), any::<bool>()).prop_map(
        |((frame, identity, parameters, resources, additional), damages, sound)| {
            let mut record = frame;
            record["userIdentity"] = identity;
            record["requestParameters"] = parameters;
            record["resources"] = resources;
            record["additionalEventData"] = additional;
            for (pointer, odd) in damages.into_iter().filter(|_| !sound) {
                damage_at(&mut record, pointer, odd);
            }
            record
        },
    )
}

/// Puts `odd` where `pointer` points, or takes away what stands there.
fn damage_at(record: &mut Value, pointer: &str, odd: Option<Value>) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match (record.pointer_mut(parent), odd) {
        (Some(Value::Object(fields)), Some(odd)) => {
            fields.insert(name.to_owned(), odd);
        }
        (Some(Value::Object(fields)), None) => {
            fields.remove(name);
        }
        (Some(Value::Array(items)), odd) => {
            let index = name.parse::<usize>().unwrap_or(usize::MAX);
            if let Some(item) = items.get_mut(index) {
                *item = odd.unwrap_or(Value::Null);
            }
        }
        _ => {}
    }
}

fn odd_value() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        3 => Just(None),
        6 => prop::sample::select(vec![
            Value::Null, json!(""), json!([]), json!({}), json!(true), json!(0), json!(-7),
            json!(1.5), json!([""]), json!([null]), json!(["x"]), json!(["x", "y"]), json!([["x"]]),
            json!({"x": {"y": ["z"]}}), json!("..."), json!(18_446_744_073_709_551_615_u64),
        ]).prop_map(Some),
        2 => any_text().prop_map(|text| Some(Value::from(text))),
    ]
}

/// Text as keys and messages hold it: blanks, escapes, controls, any script.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,8}(/[a-z0-9_=.-]{1,8}){0,3}",
        2 => "\\PC{1,12}",
        1 => "[\"\\\\/\u{8}\u{c}\n\r\t\0\u{7f} +%:é\u{2028}\u{1f600}]{1,8}",
    ]
}

fn listed(names: &'static str) -> impl Strategy<Value = &'static str> {
    prop::sample::select(names.split(", ").collect::<Vec<_>>())
}

fn one_of(texts: &[&'static str]) -> impl Strategy<Value = &'static str> + use<> {
    prop::sample::select(texts.to_vec())
}

/// An object of those fields that came up; each does half the time.
fn some_of(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| (Just(name), prop::option::of(value)))
        .collect();
    let object = |fields: Vec<(&'static str, Option<Value>)>| {
        let fields = fields.into_iter();
        let present = fields.filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(present.collect::<Map<String, Value>>())
    };
    fields.prop_map(object).boxed()
}

fn of(texts: &[&'static str]) -> BoxedStrategy<Value> {
    one_of(texts).prop_map(Value::from).boxed()
}

fn free() -> BoxedStrategy<Value> {
    any_text().prop_map(Value::from).boxed()
}

/// The top level, without its blocks.
fn frame() -> impl Strategy<Value = Value> {
    let source = prop_oneof![
        12 => Just("s3.amazonaws.com"),
        1 => Just("s3express.amazonaws.com"),
        1 => Just("s3-outposts.amazonaws.com"),
        1 => Just("sts.amazonaws.com"),
    ];
    let instant = prop_oneof![
        9 => (1_300_000_000_i64..1_900_000_000).prop_map(|at| UtcMicros::from_seconds(at).to_string()),
        1 => one_of(&["20131102T010628Z", "2026-03-27T17:08:37.123Z", "2026-02-30T00:00:00Z"]).prop_map(str::to_owned),
    ];
    let optional = some_of(vec![
        (
            "errorCode",
            of(&[
                "AccessDenied",
                "NoSuchKey",
                "VpceAccessDenied",
                "SlowDown",
                "Client.UnauthorizedOperation",
            ]),
        ),
        ("errorMessage", free()),
        (
            "sharedEventID",
            of(&["5e1f5a1b-0000-4000-8000-000000000001"]),
        ),
        ("vpcEndpointId", of(&["vpce-0a1b2c3d", "AWS Internal"])),
        ("recipientAccountId", of(&["111122223333", "444455556666"])),
        (
            "tlsDetails",
            some_of(vec![
                ("tlsVersion", of(&["TLSv1.3", "TLSv1.2", "TLSv1"])),
                ("cipherSuite", of(&["TLS_AES_128_GCM_SHA256"])),
                ("clientProvidedHostHeader", free()),
            ]),
        ),
        (
            "userAgent",
            of(&[
                "[aws-cli/2.1 \"x\"]",
                "Hadoop 3.4.2, aws-sdk-java/1.12.681",
                "[é]",
            ]),
        ),
        (
            "eventCategory",
            of(&["Data", "Data", "Data", "Management", "NetworkActivity"]),
        ),
        (
            "readOnly",
            prop_oneof![Just(json!(true)), Just(json!("True"))].boxed(),
        ),
        (
            "responseElements",
            prop_oneof![
                Just(Value::Null),
                Just(json!({"x-amz-version-id": "v"})),
                Just(json!({"x-amz-server-side-encryption": "aws:kms",
                    "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:us-west-2:111122223333:key/answered"})),
            ]
            .boxed(),
        ),
        (
            "unknownBlock",
            Just(json!({"key": ["a", {"bucketName": "no"}], "eventID": "no"})).boxed(),
        ),
    ]);
    let fixed = (
        source,
        instant,
        listed(EVENT_NAMES),
        one_of(&[
            "1.03", "1.05", "1.07", "1.08", "1.09", "1.10", "1.11", "2.0",
        ]),
        one_of(&[
            "AwsApiCall",
            "AwsApiCall",
            "AwsApiCall",
            "AwsServiceEvent",
            "AwsVpceEvent",
        ]),
        one_of(&[
            "10.0.0.7",
            "2001:db8::1",
            "cloudtrail.amazonaws.com",
            "AWS Internal",
            "AWS Internal/3",
        ]),
        any::<u64>(),
    );
    (optional, fixed).prop_map(|(mut record, (source, at, name, version, kind, ip, id))| {
        record["eventSource"] = source.into();
        record["eventTime"] = at.into();
        record["eventName"] = name.into();
        record["eventVersion"] = version.into();
        record["eventType"] = kind.into();
        record["sourceIPAddress"] = ip.into();
        record["awsRegion"] = "us-west-2".into();
        record["eventID"] = if id % 4 == 0 {
            format!("{id:016x}").into()
        } else {
            format!("{:08x}-0000-4000-8000-0123456789ab", id as u32).into()
        };
        record["requestID"] = format!("{:016X}", id.rotate_left(17)).into();
        record
    })
}

fn user_identity() -> impl Strategy<Value = Value> {
    let session = some_of(vec![
        ("sessionIssuer", prop_oneof![Just(json!({})), Just(json!({
            "type": "Role", "principalId": "AROAEXAMPLE", "accountId": "111122223333",
            "arn": "arn:aws:iam::111122223333:role/path/uc-storage", "userName": "uc-storage",
        }))].boxed()),
        ("attributes", some_of(vec![
            ("creationDate", of(&["2026-03-27T17:08:37Z", "20131102T010628Z", "Mar 27, 2026"])),
            ("mfaAuthenticated", of(&["false"])),
        ])),
        ("sourceIdentity", free()),
        ("ec2RoleDelivery", of(&["1.0", "2.0"])),
        ("webIdFederationData", Just(json!({})).boxed()),
    ]);
    let scope = some_of(vec![
        (
            "issuerType",
            of(&["AWS::EC2::Instance", "AWS::Lambda::Function"]),
        ),
        (
            "credentialsIssuedTo",
            of(&["arn:aws:ec2:us-west-2:111122223333:instance/i-0c1a23fc456b7ab89"]),
        ),
    ]);
    let extra = some_of(vec![
        ("sessionContext", session),
        ("inScopeOf", scope),
        ("userName", free()),
        ("invokedBy", of(&["athena.amazonaws.com"])),
    ]);
    let who = prop::sample::select(vec![
        json!({"type": "AssumedRole", "principalId": "AROAEXAMPLE:i-0c1a23fc456b7ab89", "accountId": "111122223333",
            "arn": "arn:aws:sts::111122223333:assumed-role/cluster/i-0c1a23fc456b7ab89", "accessKeyId": "ASIAEXAMPLE"}),
        json!({"type": "AssumedRole", "principalId": "AROAEXAMPLE:uc-1", "accountId": "111122223333", "accessKeyId": ""}),
        json!({"type": "AssumedRole", "arn": "arn:aws-cn:sts::111122223333:assumed-role/r/a@example.com"}),
        json!({"type": "IAMUser", "principalId": "AIDAEXAMPLE", "accountId": "111122223333",
            "arn": "arn:aws:iam::111122223333:user/assumed", "accessKeyId": "AKIAEXAMPLE", "userName": "assumed"}),
        json!({"type": "AWSAccount", "principalId": "AROADBXEXAMPLE:databricks", "accountId": "414351767826"}),
        json!({"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}),
        json!({"type": "AWSService", "invokedBy": "cloudtrail.amazonaws.com"}),
        json!({"accountId": "111122223333", "invokedBy": "AWS Internal"}),
        json!({"type": "Root", "principalId": "111122223333", "arn": "arn:aws:iam::111122223333:root", "accountId": "111122223333"}),
        json!({}),
    ]);
    (extra, who).prop_map(|(mut identity, who)| {
        for (name, value) in who.as_object().unwrap() {
            identity[name] = value.clone();
        }
        identity
    })
}

fn parameters() -> impl Strategy<Value = Value> {
    let optional = some_of(vec![
        ("prefix", prop_oneof![3 => free(), 1 => of(&[""])].boxed()),
        (
            "versionId",
            of(&["3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY", "null"]),
        ),
        (
            "x-amz-copy-source",
            of(&["/src/a%20b?versionId=v", "src/key"]),
        ),
        (
            "x-amz-server-side-encryption",
            of(&["AES256", "Aes256", "aws:kms", "aws:kms:dsse", "rot13"]),
        ),
        (
            "x-amz-server-side-encryption-aws-kms-key-id",
            of(&["arn:aws:kms:us-west-2:111122223333:key/k"]),
        ),
        (
            "x-amz-server-side-encryption-customer-algorithm",
            of(&["AES256"]),
        ),
        ("Host", of(&["lake.s3.us-west-2.amazonaws.com"])),
        ("acl", of(&[""])),
        ("list-type", of(&["2"])),
        ("X-Amz-Expires", of(&["300"])),
        (
            "X-Amz-Date",
            of(&["20240303T140026Z", "20240303T140027Z", "yesterday"]),
        ),
        (
            "bucketPolicy",
            Just(json!({"key": "no", "bucketName": "no"})).boxed(),
        ),
    ]);
    let bucket_name = one_of(&[
        "bucketName",
        "bucketName",
        "bucketName",
        "bucketname",
        "other",
    ]);
    let key_name = one_of(&["key", "key", "Key", "other-key"]);
    let scalars = prop_oneof![4 => Just(false), 1 => Just(true)];
    (optional, bucket_name, key_name, any_text(), scalars).prop_map(
        |(mut parameters, bucket_name, key_name, key, in_lists)| {
            parameters[bucket_name] = "lake".into();
            parameters[key_name] = key.into();
            if in_lists {
                let fields = parameters.as_object_mut().unwrap().values_mut();
                fields.for_each(|value| *value = json!([value.take()]));
            }
            parameters
        },
    )
}

fn resource_list() -> impl Strategy<Value = Value> {
    let object = (any_text(), one_of(&["ARN", "ARN", "ARNPrefix", "arn"]), one_of(&["aws", "aws-cn"])).prop_map(
        |(key, field, partition)| json!({"type": "AWS::S3::Object", field: format!("arn:{partition}:s3:::lake/{key}")}),
    );
    let other = prop::sample::select(vec![
        json!({"accountId": "111122223333", "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::lake"}),
        json!({"accountId": "444455556666", "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::src"}),
        json!({"accountid": "111122223333", "type": "AWS::S3::Bucket", "arn": "arn:aws:s3:::lake"}),
        json!({"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::lake"}),
        json!({"type": "AWS::S3::Object", "ARNPrefix": "arn:aws:s3:::lake/"}),
        json!({"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::src/a:b/c"}),
        json!({"accountId": "111122223333", "type": "AWS::S3::Access Point",
            "ARN": "arn:aws:s3:us-west-2:111122223333:accesspoint/ap/object/k"}),
        json!({"accountId": "111122223333", "type": "AWS::S3Outposts::Object",
            "ARN": "arn:aws:s3-outposts:us-west-2:111122223333:outpost/op-1/bucket/k"}),
        json!({"type": "AWS::S3Express::Object",
            "ARN": "arn:aws:s3express:us-west-2:111122223333:bucket/lake/k"}),
        json!({"accountId": "111122223333", "type": "AWS::S3Express::DirectoryBucket",
            "ARN": "arn:aws:s3express:us-west-2:111122223333:bucket/lake"}),
        Value::Null,
    ]);
    let item = prop_oneof![2 => object, 3 => other];
    prop_oneof![
        9 => prop::collection::vec(item, 0..4).prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

fn additional_data() -> impl Strategy<Value = Value> {
    let count = || {
        prop_oneof![
            (0_i64..1 << 53).prop_map(Value::from),
            (0_u32..).prop_map(|n| Value::from(f64::from(n))),
            (0_u32..).prop_map(|n| Value::from(n.to_string())),
            (0_u32..).prop_map(|n| Value::from(format!("{n}.0"))),
            prop::sample::select(vec![
                json!(1.5),
                json!("NaN"),
                json!("1 kB"),
                json!(i64::MAX),
                json!(null)
            ]),
        ]
        .boxed()
    };
    some_of(vec![
        ("bytesTransferredIn", count()),
        ("bytesTransferredOut", count()),
        (
            "SSEApplied",
            of(&[
                "Default_SSE_S3",
                "SSE_S3",
                "SSE_KMS",
                "Default_SSE_KMS",
                "DSSE_KMS",
                "SSE_C",
                "SSE_NEW",
            ]),
        ),
        ("AuthenticationMethod", of(&["AuthHeader", "QueryString"])),
        ("SignatureVersion", of(&["SigV4", "SigV2"])),
        ("CipherSuite", of(&["ECDHE-RSA-AES128-GCM-SHA256"])),
        ("vpcEndpointId", of(&["vpce-09999999"])),
        ("x-amz-id-2", free()),
    ])
}

#[test]
fn the_twin_reads_a_signed_url_as_documented() {
    let record = json!({
        "eventVersion": "1.09", "eventTime": "2024-03-03T14:01:00Z", "eventSource": "s3.amazonaws.com",
        "eventName": "GetObject", "awsRegion": "ap-southeast-1", "sourceIPAddress": "203.0.113.10",
        "userIdentity": {"type": "AssumedRole", "principalId": "AROAEXAMPLE:i-0c1a23fc456b7ab89",
            "arn": "arn:aws:sts::111122223333:assumed-role/cluster/i-0c1a23fc456b7ab89",
            "sessionContext": {"attributes": {"creationDate": "2024-03-03T13:00:00Z"}, "ec2RoleDelivery": "2.0"}},
        "requestParameters": {"X-Amz-Date": "20240303T140026Z", "X-Amz-Expires": "300",
            "bucketName": "b", "key": "path/file.gz"},
        "additionalEventData": {"SignatureVersion": "SigV4", "CipherSuite": "ECDHE-RSA-AES128-GCM-SHA256",
            "bytesTransferredIn": 0, "AuthenticationMethod": "QueryString", "bytesTransferredOut": 7759.0},
        "resources": [{"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/path/file.gz"},
            {"accountId": "111122223333", "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::b"}],
        "eventType": "AwsApiCall", "eventCategory": "Data", "eventID": "e1",
    });
    let Twin::Access(access) = read(&record, Some("444455556666")) else {
        panic!("no access");
    };
    assert!(access.presigned && !access.client.tls.plaintext);
    assert_eq!(
        access.signed_at,
        UtcMicros::parse_iso("2024-03-03T14:00:26Z")
    );
    assert_eq!(
        (access.operation, access.outcome),
        (Operation::Read, Outcome::Ok)
    );
    assert_eq!((access.bytes_in, access.bytes_out), (Some(0), Some(7759)));
    assert_eq!(access.object_key.as_deref(), Some("path/file.gz"));
    assert_eq!(
        access.principal.session_name.as_deref(),
        Some("i-0c1a23fc456b7ab89")
    );
    assert_eq!(
        access.target.aws_account_id.as_deref(),
        Some("444455556666")
    );
    assert_eq!(
        access.target.bucket_account_id.as_deref(),
        Some("111122223333")
    );

    let mut omitted = record.clone();
    omitted["requestParameters"] = Value::Null;
    omitted["additionalEventData"]["CipherSuite"] = Value::Null;
    let Twin::Access(access) = read(&omitted, None) else {
        panic!("no access");
    };
    assert!(access.client.tls.plaintext);
    assert_eq!(access.target.bucket.as_deref(), Some("b"));
    assert_eq!(access.object_key.as_deref(), Some("path/file.gz"));
}

#[test]
fn generated_records_reach_every_answer_of_the_twin() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut accesses = Vec::new();
    let (mut not_s3, mut bad) = (0, 0);
    for _ in 0..4000 {
        let record = record().new_tree(&mut runner).unwrap().current();
        match read(&record, None) {
            Twin::Access(access) => accesses.push(*access),
            Twin::NotS3 => not_s3 += 1,
            Twin::Bad => bad += 1,
        }
    }
    assert!(
        accesses.len() > 2000 && not_s3 > 100 && bad > 100,
        "{} {not_s3} {bad}",
        accesses.len()
    );
    let reaches = |what: &str, hit: &dyn Fn(&TwinAccess) -> bool| {
        let hits = accesses.iter().filter(|access| hit(access)).count();
        assert!(
            (10..accesses.len() - 10).contains(&hits),
            "{what}: {hits} of {}",
            accesses.len()
        );
    };
    for operation in Operation::ALL {
        reaches(operation.as_str(), &|access| access.operation == operation);
    }
    for outcome in [Outcome::Ok, Outcome::Denied, Outcome::Error] {
        reaches(outcome.as_str(), &|access| access.outcome == outcome);
    }
    for sse in ["SSE_S3", "SSE_KMS", "DSSE_KMS", "SSE_C", "SSE_NEW", "rot13"] {
        reaches(sse, &|access| access.sse.as_deref() == Some(sse));
    }
    reaches("event id", &|access| access.event_id.is_some());
    reaches("key", &|access| access.object_key.is_some());
    reaches("bucket", &|access| access.target.bucket.is_some());
    reaches("bucket account", &|access| {
        access.target.bucket_account_id.is_some()
    });
    reaches("session name", &|access| {
        access.principal.session_name.is_some()
    });
    reaches("issued at", &|access| {
        access.principal.session_issued_at.is_some()
    });
    reaches("bytes", &|access| access.bytes_out.is_some());
    reaches("plaintext", &|access| access.client.tls.plaintext);
    reaches("presigned", &|access| access.presigned);
    reaches("signed at", &|access| access.signed_at.is_some());
}
