//! Buckets of objects, at the border: opened, then read in pieces.
//!
//! Opening tells size and version before a byte of the body is taken, so that the
//! memory for it can be set aside first.

use crate::model::DigestSignature;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

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
