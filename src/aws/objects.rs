//! Buckets of objects, at the border: opened, then read in pieces.
//!
//! Opening tells size and version before a byte of the body is taken, so that the
//! memory for it can be set aside first.

use crate::model::DigestSignature;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::sync::Arc;

/// Which object is to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    pub bucket: String,
    pub key: String,
    /// That version; else the newest.
    pub version_id: Option<String>,
    /// Account that must own the bucket, or it is not read.
    pub expected_owner: Option<String>,
}

/// An object that was opened.
pub struct OpenedObject {
    /// What its body holds, where the service says so.
    pub bytes: Option<u64>,
    pub version_id: Option<String>,
    /// Without quotes.
    pub etag: Option<String>,
    /// What CloudTrail signed it with, if it is a digest.
    pub signature: Option<DigestSignature>,
    pub body: BoxStream<'static, Result<Bytes, FetchError>>,
}

impl OpenedObject {
    /// Reads the body; what is longer than `most` is cut somewhere beyond it.
    ///
    /// # Errors
    /// When the service breaks off, or another number of bytes came than it said.
    pub async fn read(self, most: u64) -> Result<Vec<u8>, FetchError> {
        let told = self.bytes.unwrap_or(0).min(most);
        // Plain bytes are parsed where they lie; then there is room to pad them.
        let mut stored = Vec::with_capacity(usize::try_from(told).unwrap_or(0) + 64);
        let mut body = self.body;
        while let Some(bytes) = body.next().await {
            stored.extend_from_slice(&bytes?);
            if stored.len() as u64 > most {
                return Ok(stored);
            }
        }
        match self.bytes {
            Some(bytes) if bytes != stored.len() as u64 => Err(FetchError::Unavailable {
                detail: format!("{} of {bytes} bytes came", stored.len()),
            }),
            _ => Ok(stored),
        }
    }
}

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    pub bucket: Arc<str>,
    pub key: String,
    /// Without quotes.
    pub etag: Option<String>,
    pub bytes: u64,
}

/// Bucket and key, or prefix, of `s3://bucket/key`, as they are written; `None` for what
/// is no such place.
pub fn split_place(place: &str) -> Option<(&str, &str)> {
    let rest = place.strip_prefix("s3://")?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    (!bucket.is_empty()).then_some((bucket, key))
}

/// Where log objects lie.
pub trait Objects: Send + Sync {
    fn open<'o>(&'o self, name: &'o ObjectName) -> BoxFuture<'o, Result<OpenedObject, FetchError>>;
}

/// Why an object could not be fetched. The texts stand in the ledger, after the token
/// of [`FetchError::reason`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Announced and not there: for an audit trail that is evidence.
    #[error("it was announced and is not there")]
    NotFound,
    #[error(
        "S3 refused it: {detail}; the worker needs s3:GetObject (and s3:GetObjectVersion), and \
         the bucket must belong to the configured owner"
    )]
    Denied { detail: String },
    #[error("its key refused to decrypt it: {detail}; the worker needs kms:Decrypt on that key")]
    KmsDenied { detail: String },
    #[error("it is archived; restore it, then scan it")]
    Archived,
    #[error("{detail}")]
    Unavailable { detail: String },
}

impl FetchError {
    /// A stable token.
    pub fn reason(&self) -> &'static str {
        match self {
            FetchError::NotFound => "missing",
            FetchError::Denied { .. } => "access_denied",
            FetchError::KmsDenied { .. } => "kms_denied",
            FetchError::Archived => "archived",
            FetchError::Unavailable { .. } => "unavailable",
        }
    }
}
