//! The access to be decided again: from the original record, else from the row.
//!
//! The row holds what decisions read, but it is a copy. So the object itself is
//! read, from disk or from S3, but only if its bytes are those that were ingested.

use super::super::cells::Cells;
use crate::aws::client::load_config;
use crate::aws::objects::{FetchError, ObjectName, Objects as _, split_place};
use crate::aws::s3::S3Objects;
use crate::lake::fact_tables::hex;
use crate::model::{AccessEvent, Client, Operation, Outcome, Principal, Target, Tls};
use crate::pipeline::process::LOG_OBJECT_BYTES_MAX;
use crate::pipeline::route::{Route, route};
use crate::trail::access_log::AccessLog;
use crate::trail::event_id::read_content_id;
use crate::trail::hash::sha256;
use crate::trail::inflate::{InflateLimits, Inflater};
use crate::trail::log::{Content, LogReader, Origin};
use anyhow::Context as _;
use std::path::PathBuf;
use url::Url;

/// What today's answer is decided from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The record in the object, whose bytes are those that were ingested.
    Original,
    /// The row alone, because of this.
    Row(String),
}

/// An access that is kept, wherever it comes from.
pub enum Record {
    Original { log: Box<AccessLog>, place: usize },
    Row(Box<RowRecord>),
}

/// The parts of an access that a row tells, in the shape of a record.
pub struct RowRecord {
    row: Cells,
    principal: Principal,
    client: Client,
    target: Target,
}

/// Finds the record of a row.
pub async fn find(row: &Cells, object: Option<&Cells>) -> (Record, Basis) {
    match original(row, object).await {
        Ok(record) => (record, Basis::Original),
        Err(why) => (from_row(row), Basis::Row(why)),
    }
}

impl Record {
    /// # Errors
    /// When the row has no event id or time, which no writer leaves out.
    pub fn access(&self) -> anyhow::Result<AccessEvent<'_>> {
        match self {
            Record::Original { log, place } => log.get(*place),
            Record::Row(row) => row.access(),
        }
        .context("the row has neither event id nor time")
    }
}

async fn original(row: &Cells, object: Option<&Cells>) -> Result<Record, String> {
    let uri = row.text("source_uri").ok_or("the row names no object")?;
    let index = row
        .number("source_index")
        .ok_or("the row names no record")?;
    let ingested = object
        .and_then(|object| object.text("sha256"))
        .ok_or("log_objects holds no hash of the object")?;
    let version_id = object.and_then(|object| object.text("version_id"));
    let (path, stored) = read_stored(uri, version_id).await?;
    let raw = inflate(&stored)?;
    if hex(&sha256(&raw)) != ingested {
        return Err("the object's bytes are no longer those that were ingested".to_owned());
    }
    let account_id = match route(&path.to_string_lossy(), &path) {
        Route::Read { account_id, .. } => account_id,
        Route::Done { .. } => None,
    };
    let origin = Origin {
        source_uri: uri,
        account_id: account_id.as_deref(),
    };
    let Content::Log(log) = LogReader::default().read(&raw, origin) else {
        return Err("the object is no CloudTrail log".to_owned());
    };
    let log = log.accesses;
    let place = (0..log.len())
        .find(|&place| log.source_index(place).map(i64::from) == Some(index))
        .ok_or("the object has no S3 event at that place")?;
    if log.get(place).map(|access| access.event_id) != row.text("event_id") {
        return Err("the record at that place of the object is another event".to_owned());
    }
    Ok(Record::Original {
        log: Box::new(log),
        place,
    })
}

/// The bytes of an object, and where it is: a file, or a key in a bucket.
async fn read_stored(uri: &str, version_id: Option<&str>) -> Result<(PathBuf, Vec<u8>), String> {
    if let Some((bucket, key)) = split_place(uri) {
        return Ok((PathBuf::from(key), fetch(bucket, key, version_id).await?));
    }
    let path = Url::parse(uri)
        .ok()
        .filter(|url| url.scheme() == "file")
        .and_then(|url| url.to_file_path().ok())
        .ok_or("the object is neither a file nor in S3")?;
    let unreadable = |error: std::io::Error| format!("the object cannot be read: {error}");
    if path.metadata().map_err(unreadable)?.len() > LOG_OBJECT_BYTES_MAX {
        return Err(TOO_LARGE.to_owned());
    }
    let stored = std::fs::read(&path).map_err(unreadable)?;
    Ok((path, stored))
}

const TOO_LARGE: &str = "the object is larger than any that is ingested";

async fn fetch(bucket: &str, key: &str, version_id: Option<&str>) -> Result<Vec<u8>, String> {
    let name = ObjectName {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        version_id: version_id.map(str::to_owned),
        expected_owner: None,
    };
    let unreadable = |error: FetchError| format!("the object cannot be read: {error}");
    let objects = S3Objects::new(&load_config(None).await);
    let opened = objects.open(&name).await.map_err(unreadable)?;
    let stored = opened.read(LOG_OBJECT_BYTES_MAX).await;
    let stored = stored.map_err(unreadable)?;
    match stored.len() as u64 > LOG_OBJECT_BYTES_MAX {
        true => Err(TOO_LARGE.to_owned()),
        false => Ok(stored),
    }
}

fn inflate(stored: &[u8]) -> Result<Vec<u8>, String> {
    // Only bytes of the hash that was ingested are used, and these passed the
    // scan's own limits; here it is enough that memory stays bounded.
    let limits = InflateLimits {
        raw_bytes_max: LOG_OBJECT_BYTES_MAX,
        ratio_max: u32::MAX,
    };
    let mut raw = Vec::new();
    match Inflater::new().inflate(stored, &limits, &mut raw) {
        Ok(_) => Ok(raw),
        Err(error) => Err(format!("the object cannot be inflated: {error}")),
    }
}

fn from_row(row: &Cells) -> Record {
    let text = |name: &str| row.owned(name);
    Record::Row(Box::new(RowRecord {
        principal: Principal {
            identity_type: text("identity_type"),
            principal_id: text("principal_id"),
            arn: text("principal_arn"),
            account_id: text("principal_account_id"),
            user_name: text("user_name"),
            access_key_id: text("access_key_id"),
            invoked_by: text("invoked_by"),
            session_issuer_arn: text("role_arn"),
            session_issuer_account_id: text("role_account_id"),
            session_name: text("session_name"),
            session_issued_at: row.time("session_issued_at"),
            source_identity: text("source_identity"),
            in_scope_issuer_type: text("in_scope_issuer_type"),
            in_scope_issued_to: text("in_scope_issued_to"),
            ec2_role_delivery: text("ec2_role_delivery"),
        },
        client: Client {
            source_ip: text("source_ip"),
            user_agent: text("user_agent"),
            vpc_endpoint_id: text("vpc_endpoint_id"),
            tls: Tls {
                version: text("tls_version"),
                plaintext: row.truth("plaintext"),
            },
            auth_method: text("auth_method"),
        },
        target: Target {
            aws_account_id: text("aws_account_id"),
            aws_region: text("aws_region"),
            bucket: text("bucket"),
            bucket_account_id: text("bucket_account_id"),
        },
        row: row.clone(),
    }))
}

impl RowRecord {
    fn access(&self) -> Option<AccessEvent<'_>> {
        let row = &self.row;
        Some(AccessEvent {
            event_id: row.text("event_id")?,
            event_time: row.time("event_time")?,
            event_name: row.text("event_name").unwrap_or_default(),
            operation: operation(row.text("operation")),
            outcome: outcome(row.text("outcome")),
            error_code: row.text("error_code"),
            error_message: row.text("error_message"),
            object_key: row.text("object_key"),
            list_prefix: row.text("list_prefix"),
            version_id: row.text("version_id"),
            copy_source: row.text("copy_source"),
            bytes_in: row.number("bytes_in"),
            bytes_out: row.number("bytes_out"),
            sse: row.text("sse"),
            kms_key_arn: row.text("kms_key_arn"),
            presigned: row.truth("presigned"),
            signed_at: row.time("signed_at"),
            request_id: row.text("request_id"),
            shared_event_id: row.text("shared_event_id"),
            content_id: row.text("content_id").and_then(read_content_id),
            principal: &self.principal,
            client: &self.client,
            target: &self.target,
        })
    }
}

fn operation(text: Option<&str>) -> Operation {
    Operation::ALL
        .into_iter()
        .find(|operation| text == Some(operation.as_str()))
        .unwrap_or(Operation::Other)
}

fn outcome(text: Option<&str>) -> Outcome {
    [Outcome::Ok, Outcome::Denied, Outcome::Error]
        .into_iter()
        .find(|outcome| text == Some(outcome.as_str()))
        .unwrap_or(Outcome::Error)
}
