//! Writes S3 records as CloudTrail does: compact JSON, fields in AWS's order.
//!
//! Shapes follow the CloudTrail and S3 user guides and public records:
//! eventVersion 1.11, byte counts as integers, `ARNPrefix` for listings, two
//! buckets for copies, `DeleteObjects` with a record for each deleted object, no
//! `eventContext` (which trails never hold).
//!
//! INVARIANT (made again, not remembered): a record follows from the seed, its
//! activity and its number, so a copy delivered elsewhere is the same bytes.

use super::identity;
use super::org::{FOREIGN_ACCOUNT, Location, place};
use super::play::{Activity, Mix, Signer};
use super::random::Random;
use super::text::{basic, iso, put};
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

/// What a request does.
#[derive(Default)]
struct Request {
    name: &'static str,
    /// After bucket and host; each with a comma before it.
    parameters: String,
    response: Option<String>,
    /// `None` asks for no object.
    key: Option<String>,
    bytes_in: u64,
    bytes_out: u64,
    sse: &'static str,
    error: Option<(&'static str, String)>,
    /// Where a copy takes from; then the destination is the foreign bucket.
    copied_to: Option<String>,
    children: Vec<String>,
}

/// When the event with that number happened.
pub(super) fn time_of(seed: u64, activity: &Activity, index: u64, number: u64) -> i64 {
    match activity.mix {
        // Steps in order.
        Mix::Probe => activity.span.start + i64::try_from(number).unwrap_or_default(),
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
    let request = request(activity, at, which.number, random);
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
            request.name
        };
        let bucket = request.copied_to.as_deref().unwrap_or(&location.bucket);
        out.push_str(r#"{"eventVersion":"1.11","userIdentity":"#);
        match self.which.copy {
            Copy::Twin => identity::seen_from_outside(&activity.signer, out),
            _ => identity::write(&activity.signer, out),
        }
        put(
            out,
            format_args!(
                r#","eventTime":"{}","eventSource":"s3.amazonaws.com","eventName":"{name}","awsRegion":"{}","sourceIPAddress":"{}","userAgent":"{}","#,
                iso(self.at),
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
        put(
            out,
            format_args!(
                r#""requestParameters":{{"bucketName":"{bucket}","Host":"{bucket}.s3.{}.amazonaws.com""#,
                location.region
            ),
        );
        if let Some(key) = key {
            put(out, format_args!(r#","key":"{key}""#));
        }
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
                r#""AuthenticationMethod":"{method}","x-amz-id-2":"{}","bytesTransferredOut":{bytes_out}}},"requestID":"{}","eventID":"{}","readOnly":{},"resources":["#,
                self.id_2,
                self.request_id,
                event_id(self.which, self.child),
                is_read_only(name)
            ),
        );
        self.resources(name, bucket, key.map(String::as_str), out);
        let event_type = if is_child {
            "AwsServiceEvent"
        } else {
            "AwsApiCall"
        };
        let is_management = matches!(name, "PutBucketPolicy" | "GetBucketNotification");
        put(
            out,
            format_args!(
                r#"],"eventType":"{event_type}","managementEvent":{is_management},"recipientAccountId":"{}""#,
                self.recipient()
            ),
        );
        if let Some(shared) = self.shared {
            put(out, format_args!(r#","sharedEventID":"{shared}""#));
        }
        if let Some(endpoint) = activity.vpc_endpoint {
            put(out, format_args!(r#","vpcEndpointId":"{endpoint}""#));
        }
        put(
            out,
            format_args!(
                r#","eventCategory":"{}""#,
                if is_management { "Management" } else { "Data" }
            ),
        );
        self.addendum(out);
        if !is_service && !is_child && random.chance(700) {
            put(
                out,
                format_args!(
                    r#","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{bucket}.s3.{}.amazonaws.com"}}"#,
                    location.region
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

fn request(activity: &Activity, at: i64, number: u64, random: &mut Random) -> Request {
    let location = &activity.location;
    let mut request = match activity.mix {
        Mix::Etl if activity.writes => match random.below(100) {
            0..42 => get(location, random),
            42..52 => head(location, random),
            52..67 => put_object(location, random),
            67..77 => upload_part(location, random),
            77..81 => named("DeleteObject", file(location, random)),
            81..83 => delete_objects(location, random),
            83..87 => copy_within(location, random),
            _ => list(location, random),
        },
        Mix::Etl | Mix::Read => match random.below(100) {
            0..70 => get(location, random),
            70..84 => head(location, random),
            _ => list(location, random),
        },
        Mix::Presigned => presigned(location, at, random),
        // No lists: their prefix may be all that names the workspace.
        Mix::RootBucket => match random.below(10) {
            0..6 => put_object(location, random),
            _ => get(location, random),
        },
        Mix::Deliver => put_object(location, random),
        Mix::Probe => probe(location, number),
        Mix::OutsidePolicy => outside_policy(activity, random),
        Mix::CopyOut => copy_out(location, random),
        Mix::SseC => sse_c(location, random),
        Mix::PublicPolicy => public_policy(location),
        Mix::DeleteAll => named("DeleteObject", file(location, random)),
    };
    let fails = matches!(activity.mix, Mix::Etl | Mix::Read).then(|| random.below(1000));
    match fails {
        Some(0..3) => deny(&mut request, "Access Denied".to_owned()),
        Some(3..14) if matches!(request.name, "GetObject" | "HeadObject") => {
            let message = "The specified key does not exist.".to_owned();
            fail(&mut request, "NoSuchKey", message);
        }
        _ => {}
    }
    request
}

fn named(name: &'static str, key: String) -> Request {
    Request {
        name,
        key: Some(key),
        ..Request::default()
    }
}

fn fail(request: &mut Request, code: &'static str, message: String) {
    request.error = Some((code, message));
    request.response = None;
    request.children.clear();
    (request.bytes_in, request.bytes_out, request.sse) = (0, 243, "");
}

fn deny(request: &mut Request, message: String) {
    fail(request, "AccessDenied", message);
}

/// A data file of a few hundred below the location.
fn file(location: &Location, random: &mut Random) -> String {
    let n = random.below(400);
    let mut key = String::with_capacity(96);
    if !location.prefix.is_empty() {
        put(&mut key, format_args!("{}/", location.prefix));
    }
    put(
        &mut key,
        format_args!(
            "date=2026-10-{:02}/part-{n:05}-{:08x}-c000.snappy.parquet",
            1 + n % 28,
            n.wrapping_mul(0x9e37_79b9) & 0xffff_ffff
        ),
    );
    key
}

fn get(location: &Location, random: &mut Random) -> Request {
    Request {
        bytes_out: random.below(8_000_000),
        sse: "SSE_KMS",
        ..named("GetObject", file(location, random))
    }
}

fn head(location: &Location, random: &mut Random) -> Request {
    Request {
        sse: "SSE_KMS",
        ..named("HeadObject", file(location, random))
    }
}

const KMS: &str = r#"{"x-amz-server-side-encryption":"aws:kms","x-amz-server-side-encryption-aws-kms-key-id":"arn:aws:kms:us-west-2:111122223333:key/6f1c2a4e-58d1-4c07-9d0b-3b7f0f9d1023"}"#;

fn put_object(location: &Location, random: &mut Random) -> Request {
    Request {
        bytes_in: random.below(32_000_000),
        sse: "Default_SSE_KMS",
        response: Some(KMS.to_owned()),
        ..named("PutObject", file(location, random))
    }
}

fn upload_part(location: &Location, random: &mut Random) -> Request {
    let mut upload = String::new();
    random.base64(120, &mut upload);
    let upload = upload.replace(['+', '/'], "_");
    let mut parameters = String::new();
    put(
        &mut parameters,
        format_args!(
            r#","partNumber":"{}","uploadId":"{upload}""#,
            1 + random.below(20)
        ),
    );
    Request {
        bytes_in: random.below(64_000_000),
        sse: "Default_SSE_KMS",
        response: Some(KMS.to_owned()),
        parameters,
        ..named("UploadPart", file(location, random))
    }
}

fn copy_within(location: &Location, random: &mut Random) -> Request {
    let source = file(location, random).replace('=', "%3D");
    let mut parameters = String::new();
    put(
        &mut parameters,
        format_args!(r#","x-amz-copy-source":"{}/{source}""#, location.bucket),
    );
    Request {
        bytes_out: 280,
        sse: "Default_SSE_KMS",
        response: Some(KMS.to_owned()),
        parameters,
        ..named("CopyObject", file(location, random))
    }
}

fn delete_objects(location: &Location, random: &mut Random) -> Request {
    let children = (0..2 + random.below(4))
        .map(|_| file(location, random))
        .collect();
    Request {
        name: "DeleteObjects",
        parameters: r#","delete":"""#.to_owned(),
        bytes_in: 620,
        bytes_out: 410,
        children,
        ..Request::default()
    }
}

fn list(location: &Location, random: &mut Random) -> Request {
    let mut parameters = String::new();
    put(
        &mut parameters,
        format_args!(
            r#","list-type":"2","encoding-type":"url","max-keys":"5000","prefix":"{}/","delimiter":"/","fetch-owner":"false""#,
            location.prefix
        ),
    );
    Request {
        name: "ListObjects",
        parameters,
        bytes_out: 300 + random.below(60_000),
        ..Request::default()
    }
}

/// A URL signed moments before; what it was signed with is not shown.
fn presigned(location: &Location, at: i64, random: &mut Random) -> Request {
    let signed = at - random.between(0, 60).min(at);
    let mut parameters = String::new();
    put(
        &mut parameters,
        format_args!(
            r#","X-Amz-Date":"{}","X-Amz-Algorithm":"AWS4-HMAC-SHA256","X-Amz-SignedHeaders":"host","X-Amz-Expires":"900""#,
            basic(signed)
        ),
    );
    Request {
        parameters,
        ..get(location, random)
    }
}

/// Put, head, get, delete; and two questions that the role may not ask.
fn probe(location: &Location, number: u64) -> Request {
    let key = format!("{}/probe", location.prefix);
    let mut request = match number {
        0 => Request {
            bytes_in: 4,
            sse: "Default_SSE_KMS",
            response: Some(KMS.to_owned()),
            ..named("PutObject", key)
        },
        1 => named("HeadObject", key),
        2 => Request {
            bytes_out: 4,
            ..named("GetObject", key)
        },
        3 => named("DeleteObject", key),
        4 => Request {
            name: "GetBucketNotification",
            parameters: r#","notification":"""#.to_owned(),
            ..Request::default()
        },
        _ => Request {
            name: "HeadBucket",
            ..Request::default()
        },
    };
    if number > 3 {
        deny(&mut request, "Access Denied".to_owned());
    }
    request
}

fn outside_policy(activity: &Activity, random: &mut Random) -> Request {
    let mut request = get(&activity.location, random);
    let key = request.key.clone().unwrap_or_default();
    let message = format!(
        "User: {} is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::{}/{key} because no session policy allows the s3:GetObject action",
        identity::arn(&activity.signer),
        activity.location.bucket
    );
    deny(&mut request, message);
    request
}

fn copy_out(location: &Location, random: &mut Random) -> Request {
    Request {
        copied_to: Some("collected-exports".to_owned()),
        ..copy_within(location, random)
    }
}

/// The object is written again, encrypted with a key that only the caller has.
fn sse_c(location: &Location, random: &mut Random) -> Request {
    const ALGORITHM: &str = r#""x-amz-server-side-encryption-customer-algorithm":"AES256""#;
    let mut request = put_object(location, random);
    put(&mut request.parameters, format_args!(",{ALGORITHM}"));
    Request {
        sse: "SSE_C",
        response: Some(format!("{{{ALGORITHM}}}")),
        ..request
    }
}

fn public_policy(location: &Location) -> Request {
    let mut parameters = String::new();
    put(
        &mut parameters,
        format_args!(
            r#","policy":"","bucketPolicy":{{"Version":"2012-10-17","Statement":[{{"Sid":"open","Effect":"Allow","Principal":"*","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::{}/*"]}}]}}"#,
            location.bucket
        ),
    );
    Request {
        name: "PutBucketPolicy",
        parameters,
        ..Request::default()
    }
}
