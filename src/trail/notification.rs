//! Reads what a queue message announces: objects that arrived, objects that went,
//! and what is neither.
//!
//! Seven shapes share one queue and are told apart message by message: S3's own
//! records, the same through SNS (enveloped or raw), EventBridge's, CloudTrail's own
//! list of keys, and the control messages of S3, SNS and CloudTrail. The order of
//! detection and how keys are written in each follows AWS's user guides for S3,
//! EventBridge, SNS and CloudTrail.
//!
//! INVARIANT (never empty): a body says at least one thing. One that cannot be read
//! is [`Notice::Unknown`], never "no objects": silence would lose logs.
//!
//! Deliberately absent: whether an object may be read (a matter of the allow-list),
//! any trust in `size` (it may be missing or wrong), and any order by `sequencer`,
//! which holds for one key only.

use crate::model::UtcMicros;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Longest key S3 allows, in bytes.
const KEY_BYTES_MAX: usize = 1024;

/// Longest bucket name ever allowed, in bytes.
const BUCKET_BYTES_MAX: usize = 255;

/// One thing that a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An object was written.
    Created(Announced),
    /// An object was deleted, by somebody or by a lifecycle rule.
    Removed(Announced),
    /// Something else happened to an object: a tag, an ACL, a restore, a replication.
    Other(Announced),
    /// AWS or a subscription says that it is there; nothing to read.
    Control(Control),
    /// It could not be told what is said; the reason is a stable token.
    Unknown(&'static str),
}

/// An object that a notification names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    pub bucket: String,
    /// Decoded: as the object is called.
    pub key: String,
    /// `None` where the bucket keeps no versions, or the notification tells none.
    pub version_id: Option<String>,
    /// Without quotes.
    pub etag: Option<String>,
    /// What it holds, as told: good for a guess, never for a decision.
    pub bytes: Option<u64>,
    /// When it happened, as S3 says.
    pub event_time: Option<UtcMicros>,
    /// `ObjectCreated:Put`, `Object Created`, … ; empty in CloudTrail's own message.
    pub event_name: String,
    /// Account or service that asked for it, where it is told.
    pub requester: Option<String>,
}

/// Messages that announce nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// S3 tried out a notification configuration.
    S3Test,
    /// CloudTrail tried out a topic.
    TrailValidation,
    /// A topic asks whether this queue wants its messages. Nobody follows the link in
    /// it: it comes from whoever can write to the queue.
    SubscriptionConfirmation {
        topic_arn: Option<String>,
    },
    UnsubscribeConfirmation {
        topic_arn: Option<String>,
    },
}

impl Control {
    pub fn as_str(&self) -> &'static str {
        match self {
            Control::S3Test => "s3_test_event",
            Control::TrailValidation => "cloudtrail_validation",
            Control::SubscriptionConfirmation { .. } => "subscription_confirmation",
            Control::UnsubscribeConfirmation { .. } => "unsubscribe_confirmation",
        }
    }
}

/// Reads the body of a queue message.
///
/// What cannot be told is said once for each reason, however many records are so: a body
/// of a megabyte can hold hundreds of thousands of empty ones.
pub fn decode(body: &str) -> Vec<Notice> {
    let mut unknown = BTreeSet::new();
    let mut notices = decode_within(body, Envelope::None);
    notices.retain(|notice| match notice {
        Notice::Unknown(reason) => unknown.insert(*reason),
        _ => true,
    });
    notices
}

/// S3 writes keys as forms write values.
const IN_FORMS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b'/');

/// The message in which S3 announces a new object (facts: S3 user guide, "event message
/// structure").
pub fn announce(object: &Announced) -> String {
    let mut told = json!({ "key": utf8_percent_encode(&object.key, IN_FORMS).to_string() });
    let mut tell = |name: &str, value: Option<Value>| {
        if let (Some(told), Some(value)) = (told.as_object_mut(), value) {
            told.insert(name.to_owned(), value);
        }
    };
    tell("size", object.bytes.map(Value::from));
    tell("eTag", object.etag.clone().map(Value::from));
    tell("versionId", object.version_id.clone().map(Value::from));
    let mut record = json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "object": told,
            "bucket": {"name": object.bucket, "arn": format!("arn:aws:s3:::{}", object.bucket)}},
    });
    if let (Some(record), Some(at)) = (record.as_object_mut(), object.event_time) {
        record.insert("eventTime".to_owned(), at.to_string().into());
    }
    json!({ "Records": [record] }).to_string()
}

/// What the text at hand was wrapped in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Envelope {
    None,
    Sns,
}

fn decode_within(body: &str, envelope: Envelope) -> Vec<Notice> {
    let body = body.trim_start_matches('\u{feff}').trim();
    let Ok(value) = serde_json::from_str::<Value>(body) else {
        return vec![match body {
            "CloudTrail validation message." => Notice::Control(Control::TrailValidation),
            _ => Notice::Unknown("not_json"),
        }];
    };
    let Value::Object(message) = &value else {
        return vec![Notice::Unknown("not_an_object")];
    };
    let text = |name: &str| message.get(name).and_then(Value::as_str);
    if let Some(kind) = text("Type") {
        return match (kind, envelope) {
            ("Notification", Envelope::None) => match text("Message") {
                Some(inner) => decode_within(inner, Envelope::Sns),
                None => vec![Notice::Unknown("sns_without_message")],
            },
            ("Notification", Envelope::Sns) => vec![Notice::Unknown("envelope_in_envelope")],
            _ => vec![confirmation(kind, text("TopicArn"))],
        };
    }
    if text("Event") == Some("s3:TestEvent") {
        return vec![Notice::Control(Control::S3Test)];
    }
    if let (Some(bucket), Some(keys)) = (text("s3Bucket"), message.get("s3ObjectKey")) {
        return of_cloudtrail(bucket, keys);
    }
    if let Some(detail) = message.get("detail") {
        return vec![of_event_bridge(&value, detail)];
    }
    match message.get("Records") {
        Some(Value::Array(records)) if !records.is_empty() => records
            .iter()
            .flat_map(|record| of_record(record, envelope))
            .collect(),
        Some(Value::Array(_)) => vec![Notice::Unknown("no_records")],
        _ => vec![Notice::Unknown("unknown_shape")],
    }
}

fn confirmation(kind: &str, topic_arn: Option<&str>) -> Notice {
    let topic_arn = topic_arn.map(str::to_owned);
    match kind {
        "SubscriptionConfirmation" => {
            Notice::Control(Control::SubscriptionConfirmation { topic_arn })
        }
        "UnsubscribeConfirmation" => {
            Notice::Control(Control::UnsubscribeConfirmation { topic_arn })
        }
        _ => Notice::Unknown("unknown_sns_type"),
    }
}

/// CloudTrail's own message: several keys, or one as a text (AWS Config writes it so).
fn of_cloudtrail(bucket: &str, keys: &Value) -> Vec<Notice> {
    let one = |key: &Value| {
        let known = key.as_str().map(|key| Announced {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            ..Announced::default()
        });
        created(known, "key_is_no_text")
    };
    match keys {
        Value::Array(keys) if !keys.is_empty() => keys.iter().map(one).collect(),
        Value::Array(_) => vec![Notice::Unknown("no_keys")],
        key => vec![one(key)],
    }
}

fn created(object: Option<Announced>, otherwise: &'static str) -> Notice {
    match object {
        Some(object) => checked(object, Notice::Created),
        None => Notice::Unknown(otherwise),
    }
}

/// Refuses names that S3 allows to nobody.
fn checked(object: Announced, notice: impl Fn(Announced) -> Notice) -> Notice {
    if object.bucket.is_empty()
        || object.bucket.len() > BUCKET_BYTES_MAX
        || object.bucket.contains(['/', '\\', '?', '#'])
    {
        return Notice::Unknown("bad_bucket_name");
    }
    if object.key.is_empty() || object.key.len() > KEY_BYTES_MAX {
        return Notice::Unknown("bad_key");
    }
    notice(object)
}

/// An event of EventBridge. Security Lake sends the same without `detail-type`.
fn of_event_bridge(message: &Value, detail: &Value) -> Notice {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    if text(message, "source").as_deref() != Some("aws.s3") {
        return Notice::Unknown("event_of_another_source");
    }
    let (bucket, object) = (detail.get("bucket"), detail.get("object"));
    let (Some(bucket), Some(object)) = (bucket, object) else {
        return Notice::Unknown("event_without_object");
    };
    let (Some(bucket), Some(key)) = (text(bucket, "name"), text(object, "key")) else {
        return Notice::Unknown("event_without_object");
    };
    let event_name = text(message, "detail-type").unwrap_or_else(|| "Object Created".to_owned());
    let announced = Announced {
        bucket,
        key,
        version_id: version(text(object, "version-id")),
        etag: etag(text(object, "etag")),
        bytes: object.get("size").and_then(Value::as_u64),
        event_time: text(message, "time").and_then(|time| UtcMicros::parse_iso(&time)),
        event_name,
        requester: text(detail, "requester"),
    };
    let kind = match announced.event_name.as_str() {
        "Object Created" => Notice::Created,
        "Object Deleted" => Notice::Removed,
        _ => Notice::Other,
    };
    checked(announced, kind)
}

/// A record of S3's own shape, or of Lambda's around an SNS message.
fn of_record(record: &Value, envelope: Envelope) -> Vec<Notice> {
    let inner = record.get("Sns").and_then(|sns| sns.get("Message"));
    if let Some(inner) = inner.and_then(Value::as_str) {
        return match envelope {
            Envelope::None => decode_within(inner, Envelope::Sns),
            Envelope::Sns => vec![Notice::Unknown("envelope_in_envelope")],
        };
    }
    vec![of_s3(record)]
}

fn of_s3(record: &Value) -> Notice {
    let text = |place: &str| {
        let found = record.pointer(place);
        found.and_then(Value::as_str).map(str::to_owned)
    };
    let Some(bucket) = text("/s3/bucket/name") else {
        return Notice::Unknown("record_without_bucket");
    };
    if text("/eventSource").is_some_and(|source| source != "aws:s3") {
        return Notice::Unknown("record_of_another_source");
    }
    let Some(key) = text("/s3/object/key").and_then(|key| decode_form_key(&key)) else {
        return Notice::Unknown("bad_key");
    };
    let event_name = text("/eventName").unwrap_or_default();
    let announced = Announced {
        bucket,
        key,
        version_id: version(text("/s3/object/versionId")),
        etag: etag(text("/s3/object/eTag")),
        bytes: record.pointer("/s3/object/size").and_then(Value::as_u64),
        event_time: text("/eventTime").and_then(|time| UtcMicros::parse_iso(&time)),
        requester: text("/userIdentity/principalId"),
        event_name: event_name
            .strip_prefix("s3:")
            .unwrap_or(&event_name)
            .to_owned(),
    };
    let kind = match announced.event_name.split(':').next().unwrap_or_default() {
        // A record that does not say what happened: read rather than lost.
        "" | "ObjectCreated" => Notice::Created,
        "ObjectRemoved" | "LifecycleExpiration" => Notice::Removed,
        _ => Notice::Other,
    };
    checked(announced, kind)
}

/// The key as the object is called, from S3's own writing, in which a blank is `+` and
/// other bytes are `%XX`; `None` if it is no valid writing of one.
fn decode_form_key(key: &str) -> Option<String> {
    // Every `%` begins an escape, or the writing is not what it is taken for.
    let mut rest = key.as_bytes();
    while let Some(at) = memchr::memchr(b'%', rest) {
        let digits = rest.get(at + 1..at + 3)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        rest = rest.get(at + 3..)?;
    }
    let spaced = key.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// A bucket without versions says `null`.
fn version(version_id: Option<String>) -> Option<String> {
    version_id.filter(|id| !id.is_empty() && id != "null")
}

fn etag(etag: Option<String>) -> Option<String> {
    etag.map(|etag| etag.trim_matches('"').to_owned())
        .filter(|etag| !etag.is_empty())
}

#[cfg(test)]
mod tests;
