//! What an S3 request named and how its object is encrypted.
//!
//! Parameters come first; what they leave out (CloudTrail omits blocks above
//! 100 KB) is filled in from `resources`.

use super::fields::{Count, Fields, Resource, Text};
use crate::model::UtcMicros;

/// The request of one S3 event.
#[derive(Clone, Copy, Default)]
pub struct S3Request<'a> {
    pub bucket: Option<&'a str>,
    pub object_key: Option<&'a str>,
    pub list_prefix: Option<&'a str>,
    pub version_id: Option<&'a str>,
    pub copy_source: Option<&'a str>,
    pub bytes_in: Option<i64>,
    pub bytes_out: Option<i64>,
    pub sse: Option<&'a str>,
    pub kms_key_arn: Option<&'a str>,
    pub presigned: bool,
    /// When the URL was signed.
    pub signed_at: Option<UtcMicros>,
    pub bucket_account_id: Option<&'a str>,
}

impl<'a> S3Request<'a> {
    /// Reads the request from the record's fields.
    pub fn of(f: &Fields<'a>) -> S3Request<'a> {
        let customer_key = f.get(Text::RequestCustomerAlgorithm).is_some()
            || f.get(Text::ResponseCustomerAlgorithm).is_some();
        let sse = f
            .get(Text::SseApplied)
            .or(f.get(Text::ResponseSse))
            .or(f.get(Text::RequestSse))
            .map(sse_name)
            .or(customer_key.then_some("SSE_C"));
        let mut request = S3Request {
            bucket: f.get(Text::RequestBucket),
            object_key: f.get(Text::RequestKey),
            list_prefix: f.get(Text::RequestPrefix),
            version_id: f.get(Text::RequestVersionId),
            copy_source: f.get(Text::RequestCopySource),
            bytes_in: f.count(Count::BytesIn),
            bytes_out: f.count(Count::BytesOut),
            sse,
            kms_key_arn: f.get(Text::ResponseKmsKey).or(f.get(Text::RequestKmsKey)),
            presigned: f.get(Text::AuthMethod) == Some("QueryString"),
            signed_at: None,
            bucket_account_id: None,
        };
        if request.presigned {
            request.signed_at = f.get(Text::RequestSignedAt).and_then(UtcMicros::parse_iso);
        }
        request.fill_in(f.resources());
        request
    }

    /// Fills in what the parameters left out. Bucket, key and account come from
    /// items that name the same bucket: a copy lists the source's beside it.
    fn fill_in(&mut self, resources: &[Resource<'a>]) {
        if self.bucket.is_none() {
            let first = |object: bool| {
                resources
                    .iter()
                    .filter(|item| item.kind.ends_with("::Object") == object)
                    .find_map(|item| item.place())
            };
            self.bucket = first(true)
                .or_else(|| first(false))
                .map(|(bucket, _)| bucket);
        }
        for item in resources {
            let Some((bucket, key)) = item.place() else {
                continue;
            };
            if self.bucket != Some(bucket) {
                continue;
            }
            if item.kind.ends_with("::Object") {
                // A list names what it asked for by `ARNPrefix`: no key.
                let key = key.filter(|_| !item.arn.is_empty());
                self.object_key = self.object_key.or(key);
            } else if is_bucket(item.kind) && !item.account_id.is_empty() {
                self.bucket_account_id = self.bucket_account_id.or(Some(item.account_id));
            }
        }
    }
}

/// A general purpose bucket, one on an Outpost, or a directory bucket.
fn is_bucket(kind: &str) -> bool {
    kind.ends_with("::Bucket") || kind.ends_with("::DirectoryBucket")
}

impl<'a> Resource<'a> {
    /// Bucket and key that the item names.
    fn place(&self) -> Option<(&'a str, Option<&'a str>)> {
        let arn = if self.arn.is_empty() {
            self.arn_prefix
        } else {
            self.arn
        };
        place_of_arn(arn)
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

/// Bucket and key of an S3 ARN. Keys may hold `:` and `/`, so the ARN is cut
/// after its fifth colon only. An access point stands for its bucket; a directory
/// bucket has `bucket/` before its name.
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
    } else if service == "s3express" {
        resource.strip_prefix("bucket/").unwrap_or(resource)
    } else {
        resource
    };
    let (bucket, key) = match resource.split_once('/') {
        Some((bucket, key)) => (bucket, Some(key).filter(|key| filled(key))),
        None => (resource, None),
    };
    filled(bucket).then_some((bucket, key))
}
