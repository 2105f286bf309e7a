//! Writes S3 records as CloudTrail does: compact JSON, fields in AWS's order.
//!
//! Shapes follow the CloudTrail and S3 user guides and public records:
//! eventVersion 1.11 (older ones and other shapes: `shapes`), byte counts as integers, `ARNPrefix` for listings, two
//! buckets for copies, `DeleteObjects` with a record for each deleted object, no
//! `eventContext` (which trails never hold).
//!
//! INVARIANT (made again, not remembered): a record follows from the seed, its
//! activity and its number, so a copy delivered elsewhere is the same bytes.

use super::identity;
use super::org::{FOREIGN_ACCOUNT, place};
use super::play::{Activity, Mix, Signer};
use super::random::Random;
use super::requests::{Request, request_of};
use super::shapes::{CREATE_SESSION, DirectorySession, Shape, minor_version};
use super::text::{iso, put};
use super::truth::TruthRow;

/// Which copy of an event a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    Original,
    /// Delivered late, with the addendum that says so.
    Late,
    /// The copy that the bucket's owner gets.
    Twin,
    /// The correction of an event delivered before.
    Correction,
}

/// Which record is to be written.
#[derive(Clone, Copy)]
pub(super) struct Which {
    pub seed: u64,
    pub activity: u64,
    pub number: u64,
    pub copy: Copy,
}

/// When the event with that number happened.
pub(super) fn time_of(seed: u64, activity: &Activity, index: u64, number: u64) -> i64 {
    match activity.mix {
        // Steps in order.
        Mix::Probe => activity.span.start + i64::try_from(number).unwrap_or_default(),
        // What follows is done with the key that it issues.
        _ if number == 0 && Shape::of(activity.truth.scenario) == Shape::Directory => {
            activity.span.start
        }
        _ => Random::of(seed, "when", &[index, number])
            .between(activity.span.start, activity.span.end),
    }
}

pub(super) fn event_id(which: Which, child: u64) -> String {
    let purpose = match which.copy {
        Copy::Original | Copy::Late => "event id",
        Copy::Twin => "twin id",
        Copy::Correction => "correction id",
    };
    Random::of(which.seed, purpose, &[which.activity, which.number, child]).uuid()
}

/// Writes the record, and those of objects deleted with it, each with a comma
/// behind it; tells what really stood behind them.
pub(super) fn write(which: Which, activity: &Activity, out: &mut String, rows: &mut Vec<TruthRow>) {
    let mut random = Random::of(which.seed, "event", &[which.activity, which.number]);
    let random = &mut random;
    let at = time_of(which.seed, activity, which.activity, which.number);
    let mut request = request_of(activity, at, which.number, random);
    let session = (Shape::of(activity.truth.scenario) == Shape::Directory)
        .then(|| DirectorySession::of(which.seed, which.activity, activity.span.start));
    if let Some(session) = session.as_ref().filter(|_| which.number == 0) {
        request = Request {
            name: CREATE_SESSION,
            parameters: r#","x-amz-create-session-mode":"ReadOnly""#.to_owned(),
            response: Some(session.answer()),
            bytes_out: 1815,
            ..Request::default()
        };
    }
    let mut request_id = String::new();
    random.request_id(&mut request_id);
    let mut id_2 = String::new();
    random.base64(76, &mut id_2);
    let shared = (activity.twin.is_some() || matches!(activity.signer, Signer::Service(_)))
        .then(|| Random::of(which.seed, "shared", &[which.activity, which.number]).uuid());
    let mut record = Record {
        which,
        activity,
        at,
        request: &request,
        request_id: &request_id,
        id_2: &id_2,
        shared: shared.as_deref(),
        session: session.as_ref().filter(|_| which.number > 0),
        child: 0,
    };
    record.write(random, out);
    rows.push(record.truth());
    for child in 1..=request.children.len() as u64 {
        record.child = child;
        record.write(random, out);
        rows.push(record.truth());
    }
}

struct Record<'r> {
    which: Which,
    activity: &'r Activity,
    at: i64,
    request: &'r Request,
    request_id: &'r str,
    id_2: &'r str,
    shared: Option<&'r str>,
    /// Set if it is signed with the key of a session with a directory bucket.
    session: Option<&'r DirectorySession>,
    /// 0 is the request itself, others the objects deleted with it.
    child: u64,
}

impl Record<'_> {
    fn truth(&self) -> TruthRow {
        let original = Which {
            copy: Copy::Original,
            ..self.which
        };
        let (copy, copy_of) = match self.which.copy {
            Copy::Original | Copy::Late => (None, None),
            Copy::Twin => (Some("twin"), Some(event_id(original, self.child))),
            Copy::Correction => (Some("correction"), Some(event_id(original, self.child))),
        };
        TruthRow::new(
            event_id(self.which, self.child),
            self.at,
            self.recipient(),
            copy,
            copy_of,
            &self.activity.truth,
        )
    }

    fn recipient(&self) -> &'static str {
        match (self.which.copy, self.activity.twin) {
            (Copy::Twin, Some(twin)) => place(twin).account,
            _ => place(self.activity.place).account,
        }
    }

    fn write(&self, random: &mut Random, out: &mut String) {
        let (activity, request) = (self.activity, self.request);
        let location = &activity.location;
        let shape = Shape::of(activity.truth.scenario);
        let has_addendum = matches!(self.which.copy, Copy::Late | Copy::Correction);
        let minor = minor_version(activity.truth.scenario, self.which.number, has_addendum);
        let is_child = self.child > 0;
        let is_service = matches!(activity.signer, Signer::Service(_));
        let child_key = self
            .child
            .checked_sub(1)
            .and_then(|n| request.children.get(usize::try_from(n).ok()?));
        let key = child_key.or(request.key.as_ref());
        let name = if is_child {
            "DeleteObject"
        } else {
            shape.event_name(request.name)
        };
        let bucket = request.copied_to.as_deref().unwrap_or(&location.bucket);
        let bucket = &shape.bucket(bucket, location);
        put(
            out,
            format_args!(r#"{{"eventVersion":"1.{minor:02}","userIdentity":"#),
        );
        match (self.which.copy, self.session) {
            (Copy::Twin, _) => identity::seen_from_outside(&activity.signer, out),
            (_, Some(session)) => session.write(&activity.signer, out),
            _ => identity::write(&activity.signer, out),
        }
        put(
            out,
            format_args!(
                r#","eventTime":"{}","eventSource":"{}","eventName":"{name}","awsRegion":"{}","sourceIPAddress":"{}","userAgent":"{}","#,
                iso(self.at),
                shape.event_source(),
                location.region,
                activity.source_ip,
                activity.user_agent
            ),
        );
        if let Some((code, message)) = &request.error {
            put(
                out,
                format_args!(r#""errorCode":"{code}","errorMessage":"{message}","#),
            );
        }
        out.push_str(r#""requestParameters":{"#);
        shape.parameters(bucket, key.map(String::as_str), location, out);
        if !is_child {
            out.push_str(&request.parameters);
        }
        let response = request.response.as_deref().filter(|_| !is_child);
        let bytes_out = match self.which.copy {
            Copy::Correction => request.bytes_out + 1,
            _ => request.bytes_out,
        };
        put(
            out,
            format_args!(
                r#"}},"responseElements":{},"additionalEventData":{{"SignatureVersion":"SigV4","#,
                response.unwrap_or("null")
            ),
        );
        if !is_service {
            out.push_str(r#""CipherSuite":"TLS_AES_128_GCM_SHA256","#);
        }
        put(
            out,
            format_args!(r#""bytesTransferredIn":{},"#, request.bytes_in),
        );
        if !request.sse.is_empty() {
            put(out, format_args!(r#""SSEApplied":"{}","#, request.sse));
        }
        let method = match activity.mix {
            Mix::Presigned => "QueryString",
            _ => "AuthHeader",
        };
        put(
            out,
            format_args!(
                r#""AuthenticationMethod":"{method}","x-amz-id-2":"{}","bytesTransferredOut":{bytes_out}"#,
                self.id_2
            ),
        );
        shape.additional(name, location, out);
        put(
            out,
            format_args!(
                r#"}},"requestID":"{}","eventID":"{}","readOnly":{},"resources":["#,
                self.request_id,
                event_id(self.which, self.child),
                is_read_only(name)
            ),
        );
        match shape {
            Shape::Bucket => self.resources(name, bucket, key.map(String::as_str), out),
            _ => shape.resources(bucket, key.map(String::as_str), location, out),
        }
        let event_type = if is_child {
            "AwsServiceEvent"
        } else {
            "AwsApiCall"
        };
        let is_management = matches!(name, "PutBucketPolicy" | "GetBucketNotification");
        put(out, format_args!(r#"],"eventType":"{event_type}""#));
        if minor >= 6 {
            put(out, format_args!(r#","managementEvent":{is_management}"#));
        }
        put(
            out,
            format_args!(r#","recipientAccountId":"{}""#, self.recipient()),
        );
        if let Some(shared) = self.shared {
            put(out, format_args!(r#","sharedEventID":"{shared}""#));
        }
        if let Some(endpoint) = activity.vpc_endpoint {
            put(out, format_args!(r#","vpcEndpointId":"{endpoint}""#));
        }
        if minor >= 7 {
            put(
                out,
                format_args!(
                    r#","eventCategory":"{}""#,
                    if is_management { "Management" } else { "Data" }
                ),
            );
        }
        self.addendum(out);
        shape.edge(out);
        if !is_service && !is_child && random.chance(700) && minor >= 8 {
            put(
                out,
                format_args!(
                    r#","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{}"}}"#,
                    shape.host(bucket, location)
                ),
            );
        }
        out.push_str("},");
    }

    fn resources(&self, name: &str, bucket: &str, key: Option<&str>, out: &mut String) {
        let location = &self.activity.location;
        match (name, key) {
            ("PutBucketPolicy" | "GetBucketNotification" | "HeadBucket", _) => {}
            ("DeleteObjects" | "ListObjects", _) | (_, None) => put(
                out,
                format_args!(
                    r#"{{"type":"AWS::S3::Object","ARNPrefix":"arn:aws:s3:::{bucket}/"}},"#
                ),
            ),
            (_, Some(key)) => put(
                out,
                format_args!(
                    r#"{{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::{bucket}/{key}"}},"#
                ),
            ),
        }
        let owner = match self.request.copied_to {
            Some(_) => FOREIGN_ACCOUNT,
            None => location.owner,
        };
        put(
            out,
            format_args!(
                r#"{{"accountId":"{owner}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{bucket}"}}"#
            ),
        );
        if self.request.copied_to.is_some() {
            put(
                out,
                format_args!(
                    r#",{{"accountId":"{}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{}"}}"#,
                    location.owner, location.bucket
                ),
            );
        }
    }

    fn addendum(&self, out: &mut String) {
        match self.which.copy {
            Copy::Late => out.push_str(r#","addendum":{"reason":"DELIVERY_DELAY"}"#),
            Copy::Correction => {
                let original = Which {
                    copy: Copy::Original,
                    ..self.which
                };
                put(
                    out,
                    format_args!(
                        r#","addendum":{{"reason":"UPDATED_DATA","updatedFields":"additionalEventData","originalRequestID":"{}","originalEventID":"{}"}}"#,
                        self.request_id,
                        event_id(original, self.child)
                    ),
                );
            }
            Copy::Original | Copy::Twin => {}
        }
    }
}

fn is_read_only(name: &str) -> bool {
    name.starts_with("Get") || name.starts_with("Head") || name.starts_with("List")
}
