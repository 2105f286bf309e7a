//! Amazon S3 behind [`Objects`].
//!
//! Buckets may lie in any region: a redirect is followed, and remembered by bucket.

use super::objects::{FetchError, ListedObject, ObjectName, Objects, OpenedObject};
use crate::model::DigestSignature;
use aws_config::{Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Objects of S3.
pub struct S3Objects {
    config: SdkConfig,
    client: Client,
    /// Clients of the regions to which buckets were redirected.
    elsewhere: Mutex<HashMap<String, Client>>,
}

impl S3Objects {
    pub fn new(config: &SdkConfig) -> S3Objects {
        S3Objects {
            config: config.clone(),
            client: client(config, None),
            elsewhere: Mutex::default(),
        }
    }

    fn client_of(&self, bucket: &str) -> Client {
        let elsewhere = self.elsewhere.lock();
        let elsewhere = elsewhere.unwrap_or_else(PoisonError::into_inner);
        elsewhere.get(bucket).unwrap_or(&self.client).clone()
    }

    fn redirect(&self, bucket: &str, region: &str) -> Client {
        tracing::debug!(bucket, region, "bucket lies in another region");
        let client = client(&self.config, Some(region));
        let elsewhere = self.elsewhere.lock();
        elsewhere
            .unwrap_or_else(PoisonError::into_inner)
            .insert(bucket.to_owned(), client.clone());
        client
    }
}

/// Whom S3 tells of a bucket's objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wiring {
    /// ARNs.
    pub queues: Vec<String>,
    pub topics: usize,
    pub event_bridge: bool,
}

impl S3Objects {
    /// Whom S3 tells of the bucket's objects.
    ///
    /// # Errors
    /// Why it could not be looked at.
    pub async fn announced_to(&self, bucket: &str, owner: Option<&str>) -> Result<Wiring, String> {
        let answer = self
            .client_of(bucket)
            .get_bucket_notification_configuration()
            .bucket(bucket)
            .set_expected_bucket_owner(owner.map(str::to_owned))
            .send()
            .await
            .map_err(|error| tell(&error))?;
        let queues = answer.queue_configurations();
        Ok(Wiring {
            queues: queues.iter().map(|queue| queue.queue_arn.clone()).collect(),
            topics: answer.topic_configurations().len(),
            event_bridge: answer.event_bridge_configuration().is_some(),
        })
    }

    /// An object under the prefix that is called like a log; of the first thousand.
    ///
    /// # Errors
    /// Why nothing could be listed.
    pub async fn first_log(
        &self,
        bucket: &str,
        prefix: &str,
        owner: Option<&str>,
    ) -> Result<Option<String>, String> {
        let answer = self
            .client_of(bucket)
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .set_expected_bucket_owner(owner.map(str::to_owned))
            .send()
            .await
            .map_err(|error| tell(&error))?;
        let keys = answer.contents().iter().filter_map(|object| object.key());
        Ok(keys
            .filter(|key| key.ends_with(".json.gz"))
            .map(str::to_owned)
            .next())
    }
}

impl S3Objects {
    /// Puts an object, with a digest's signature beside it.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: Vec<u8>,
        signature: Option<DigestSignature>,
    ) -> Result<(), String> {
        let signature = signature.unwrap_or_default();
        let metadata = [
            (SIGNATURE, signature.signature),
            (SIGNATURE_ALGORITHM, signature.algorithm),
            (BACKFILL_GENERATED_AT, signature.backfill_generated_at),
        ];
        let metadata = metadata.into_iter();
        let metadata: HashMap<String, String> = metadata
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect();
        self.client_of(bucket)
            .put_object()
            .bucket(bucket)
            .key(key)
            .set_metadata(Some(metadata).filter(|metadata| !metadata.is_empty()))
            .body(bytes.into())
            .send()
            .await
            .map(drop)
            .map_err(|error| tell(&error))
    }

    /// Every object under a prefix, in the order of their keys.
    ///
    /// # Errors
    /// Why they could not be listed.
    pub async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<ListedObject>, String> {
        let name: Arc<str> = bucket.into();
        let mut found = Vec::new();
        let request = |client: Client| {
            let pages = client.list_objects_v2().bucket(bucket).prefix(prefix);
            pages.into_paginator().send()
        };
        let mut pages = request(self.client_of(bucket));
        let mut redirected = false;
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) => match other_region(&error).filter(|_| !redirected) {
                    Some(region) => {
                        redirected = true;
                        pages = request(self.redirect(bucket, &region));
                        continue;
                    }
                    None => return Err(tell(&error)),
                },
            };
            for object in page.contents.unwrap_or_default() {
                let Some(key) = object.key else { continue };
                found.push(ListedObject {
                    bucket: name.clone(),
                    key,
                    etag: object.e_tag.map(|etag| etag.trim_matches('"').to_owned()),
                    bytes: object.size.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
                });
            }
        }
        Ok(found)
    }
}

/// Metadata of a digest (facts: CloudTrail user guide, "digest file structure").
const SIGNATURE: &str = "signature";
const SIGNATURE_ALGORITHM: &str = "signature-algorithm";
const BACKFILL_GENERATED_AT: &str = "backfill-generation-timestamp";

/// A server named by an endpoint is asked by paths: its host has no names for buckets.
fn client(config: &SdkConfig, region: Option<&str>) -> Client {
    let mut builder = aws_sdk_s3::config::Builder::from(config)
        .force_path_style(config.endpoint_url().is_some() || endpoint_in_environment());
    if let Some(region) = region {
        builder = builder.region(Region::new(region.to_owned()));
    }
    Client::from_conf(builder.build())
}

fn endpoint_in_environment() -> bool {
    ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
}

impl Objects for S3Objects {
    fn open<'o>(&'o self, name: &'o ObjectName) -> BoxFuture<'o, Result<OpenedObject, FetchError>> {
        Box::pin(async move {
            let first = get(&self.client_of(&name.bucket), name).await;
            let answer = match first {
                Err(error) => match other_region(&error) {
                    Some(region) => get(&self.redirect(&name.bucket, &region), name).await,
                    None => Err(error),
                },
                answer => answer,
            };
            answer.map(opened).map_err(|error| fate(&error))
        })
    }
}

async fn get(
    client: &Client,
    name: &ObjectName,
) -> Result<GetObjectOutput, SdkError<GetObjectError>> {
    client
        .get_object()
        .bucket(&name.bucket)
        .key(&name.key)
        .set_version_id(name.version_id.clone())
        .set_expected_bucket_owner(name.expected_owner.clone())
        .send()
        .await
}

fn opened(answer: GetObjectOutput) -> OpenedObject {
    let body = stream::unfold(Some(answer.body), |body| async {
        let mut body = body?;
        match body.next().await? {
            Ok(bytes) => Some((Ok(bytes), Some(body))),
            Err(error) => {
                let detail = DisplayErrorContext(error).to_string();
                Some((Err(FetchError::Unavailable { detail }), None))
            }
        }
    });
    OpenedObject {
        bytes: answer.content_length.and_then(|n| u64::try_from(n).ok()),
        version_id: answer.version_id.filter(|id| id != "null"),
        etag: answer.e_tag.map(|etag| etag.trim_matches('"').to_owned()),
        signature: answer.metadata.and_then(signature),
        body: body.boxed(),
    }
}

/// What signs a digest, among an object's metadata.
fn signature(mut metadata: HashMap<String, String>) -> Option<DigestSignature> {
    let found = DigestSignature {
        signature: metadata.remove(SIGNATURE),
        algorithm: metadata.remove(SIGNATURE_ALGORITHM),
        backfill_generated_at: metadata.remove(BACKFILL_GENERATED_AT),
    };
    (found != DigestSignature::default()).then_some(found)
}

/// The region where the bucket is, if the answer says that it is not here.
fn other_region<E>(error: &SdkError<E>) -> Option<String> {
    let response = error.raw_response()?;
    let status = response.status().as_u16();
    // Some regions answer a request for another one's bucket as badly signed.
    let is_redirect = matches!(status, 301 | 307 | 400);
    let region = response.headers().get("x-amz-bucket-region");
    region.filter(|_| is_redirect).map(str::to_owned)
}

fn fate(error: &SdkError<GetObjectError>) -> FetchError {
    let detail = tell(error);
    let code = error.code().unwrap_or_default();
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    let by_key = code.starts_with("KMS") || detail.contains("kms:");
    match (code, status) {
        ("NoSuchKey" | "NoSuchVersion" | "NotFound", _) => FetchError::NotFound,
        ("NoSuchBucket", _) => FetchError::Denied { detail },
        ("InvalidObjectState", _) => FetchError::Archived,
        // A key that is disabled or pending deletion is told with a 400.
        (_, Some(400 | 403)) if by_key => FetchError::KmsDenied { detail },
        // Not the object, but who asks: credentials are renewed, and mended.
        (
            "ExpiredToken"
            | "InvalidAccessKeyId"
            | "InvalidToken"
            | "RequestTimeTooSkewed"
            | "RequestTimeout"
            | "SignatureDoesNotMatch"
            | "TokenRefreshRequired",
            _,
        )
        | (_, Some(408 | 429)) => FetchError::Unavailable { detail },
        (_, Some(404 | 405)) => FetchError::NotFound,
        // Asking again does not help, unless somebody mends something.
        (_, Some(400..=499)) => FetchError::Denied { detail },
        _ => FetchError::Unavailable { detail },
    }
}

/// What went wrong, in one line, without the request.
pub(super) fn tell<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    let (code, message) = (error.code(), error.message());
    match (code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => {
            let cause = match error {
                SdkError::TimeoutError(_) => "no answer in time",
                SdkError::DispatchFailure(failure) => {
                    return failure
                        .as_connector_error()
                        .map_or_else(|| "not sent".to_owned(), |cause| chain(cause));
                }
                SdkError::ResponseError(_) => "an answer that cannot be read",
                SdkError::ConstructionFailure(_) => "the request could not be made",
                _ => "an answer without a code",
            };
            let status = error.raw_response().map(|answer| answer.status().as_u16());
            status.map_or_else(|| cause.to_owned(), |status| format!("{cause} ({status})"))
        }
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
