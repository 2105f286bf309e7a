//! What the requests ask for: operation, object, parameters, sizes, answer.
//!
//! Which operations an activity makes follows from its [`Mix`]. Parameters are
//! named as CloudTrail names them (S3 user guide, CloudTrail events; pre-signed
//! URLs and session-policy refusals as public records show them).

use super::identity;
use super::org::Location;
use super::play::{Activity, Mix};
use super::random::Random;
use super::text::{basic, put};

/// What a request does.
#[derive(Default)]
pub(super) struct Request {
    pub name: &'static str,
    /// After bucket and host; each with a comma before it.
    pub parameters: String,
    pub response: Option<String>,
    /// `None` asks for no object.
    pub key: Option<String>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub sse: &'static str,
    pub error: Option<(&'static str, String)>,
    /// Where a copy takes from; then the destination is the foreign bucket.
    pub copied_to: Option<String>,
    pub children: Vec<String>,
}

/// The request that the activity makes with that number.
pub(super) fn request_of(
    activity: &Activity,
    at: i64,
    number: u64,
    random: &mut Random,
) -> Request {
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
        Mix::Gets => Request {
            sse: "",
            ..get(location, random)
        },
        Mix::Presigned => presigned(activity, at, random),
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

/// A URL signed when the share was asked, and read within its hour; what it was
/// signed with is not shown.
fn presigned(activity: &Activity, at: i64, random: &mut Random) -> Request {
    let signed = (activity.span.start + random.between(0, 5)).min(at);
    let mut parameters = String::new();
    put(
        &mut parameters,
        format_args!(
            r#","X-Amz-Date":"{}","X-Amz-Algorithm":"AWS4-HMAC-SHA256","X-Amz-SignedHeaders":"host","X-Amz-Expires":"3600""#,
            basic(signed)
        ),
    );
    Request {
        parameters,
        ..get(&activity.location, random)
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
