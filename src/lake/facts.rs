//! Reads back what the lake knows: the ledger, recent events, identity facts.
//!
//! Called once when a scan starts; everything is streamed, and only what the
//! reader keeps is kept.

use super::error::LakeError;
use super::ledger::{COPY_REACH, CopyFilter, Ledger, RowId};
use super::rows::{instance_at, is_readable, session_at, text_at, texts, time_at};
use super::sql;
use super::store::Lake;
use crate::model::{Ec2Instance, StsSession, UtcMicros};
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use datafusion::execution::context::SessionContext;
use futures::StreamExt as _;
use std::collections::BTreeMap;

/// Sessions read back at the start; about 500 bytes each.
///
/// A session lives twelve hours at most, so the newest are those that matter;
/// older accesses are attributed again when they are settled.
pub const SESSIONS_READ_MAX: usize = 50_000;
pub const INSTANCES_READ_MAX: usize = 50_000;

/// Rows this much older than the newest commit are not read for their copies.
const COPY_REACH_SECONDS: i64 = 6 * 3600;

/// Digests that were only counted, as before they were kept: they are read once more.
const UNREAD_DIGEST: &str =
    "coalesce(kind = 'digest' AND status = 'ignored' AND sha256 IS NULL, false)";

/// Loads the ledger of source objects, or of those committed since then.
///
/// # Errors
/// When the table cannot be read.
pub async fn read_ledger(lake: &Lake, since: Option<UtcMicros>) -> Result<Ledger, LakeError> {
    let mut ledger = Ledger::default();
    let recent = |column: &str| match since {
        Some(since) => format!("{column} >= TIMESTAMP '{since}'"),
        None => "true".to_owned(),
    };
    let text = format!(
        "SELECT uri, version_id, etag, CASE WHEN status = 'committed' AND records > 0 \
         THEN sha256 END AS content FROM log_objects WHERE {} AND NOT {UNREAD_DIGEST}",
        recent("committed_at")
    );
    each_batch(lake, &text, |batch| {
        let (uri, version_id) = (texts(batch, "uri"), texts(batch, "version_id"));
        let (etag, content) = (texts(batch, "etag"), texts(batch, "content"));
        for row in 0..batch.num_rows() {
            let content = text_at(content, row).and_then(unhex);
            ledger.note(
                text_at(uri, row).unwrap_or_default(),
                text_at(version_id, row),
                text_at(etag, row),
                content.as_ref(),
            );
        }
    })
    .await?;
    let text = format!(
        "SELECT notification_id FROM notifications WHERE {}",
        recent("received_at")
    );
    each_batch(lake, &text, |batch| {
        let ids = texts(batch, "notification_id");
        for row in 0..batch.num_rows() {
            ledger.note_notification(text_at(ids, row).unwrap_or_default());
        }
    })
    .await?;
    Ok(ledger)
}

/// When the last object of the trail was read; the least time there is if none was.
///
/// # Errors
/// When the table cannot be read.
pub async fn trail_read_until(lake: &Lake) -> Result<UtcMicros, LakeError> {
    let mut until = UtcMicros::MIN;
    let text = "SELECT max(fetched_at) AS fetched_at FROM log_objects";
    each_batch(lake, text, |batch| {
        until = until.max(time_at(batch, "fetched_at", 0).unwrap_or(UtcMicros::MIN));
    })
    .await?;
    Ok(until)
}

/// Loads the most recently written events into a copy filter.
///
/// # Errors
/// When the table cannot be read.
pub async fn read_copies(lake: &Lake) -> Result<CopyFilter, LakeError> {
    let mut filter = CopyFilter::default();
    // Not the newest commit of any kind: settling adds no rows.
    let recent = read_newest(lake, "committed_at").await?.map_or_else(
        || "true".to_owned(),
        |at| {
            let from = at.plus_seconds(-COPY_REACH_SECONDS);
            format!("ingested_at >= TIMESTAMP '{from}'")
        },
    );
    // Each row may take two keys; all that is read must fit one generation.
    let rows = COPY_REACH / 2;
    let text = format!(
        "SELECT event_id, content_id, event_name, aws_account_id, shared_event_id, original_event_id, \
         principal_arn IS NOT NULL AS has_arn, access_key_id IS NOT NULL AS has_key, ingested_at \
         FROM (SELECT * FROM s3_access UNION ALL SELECT * FROM s3_amendments) WHERE {recent} \
         ORDER BY ingested_at DESC LIMIT {rows}"
    );
    each_batch(lake, &text, |batch| {
        let (event_id, event_name) = (texts(batch, "event_id"), texts(batch, "event_name"));
        let (content_id, original) = (
            texts(batch, "content_id"),
            texts(batch, "original_event_id"),
        );
        let (account, shared) = (
            texts(batch, "aws_account_id"),
            texts(batch, "shared_event_id"),
        );
        let flag = |name: &str, row: usize| {
            batch
                .column_by_name(name)
                .and_then(|column| column.as_boolean_opt())
                .is_some_and(|flags| flags.is_valid(row) && flags.value(row))
        };
        for row in 0..batch.num_rows() {
            filter.note(&RowId {
                event_id: text_at(event_id, row).unwrap_or_default(),
                content_id: text_at(content_id, row),
                event_name: text_at(event_name, row).unwrap_or_default(),
                account_id: text_at(account, row),
                shared_event_id: text_at(shared, row),
                original_event_id: text_at(original, row),
                richness: u8::from(flag("has_arn", row)) * 2 + u8::from(flag("has_key", row)),
            });
        }
    })
    .await?;
    Ok(filter)
}

/// Loads the newest sessions and instance facts.
///
/// # Errors
/// When a table cannot be read.
pub async fn read_identity(lake: &Lake) -> Result<(Vec<StsSession>, Vec<Ec2Instance>), LakeError> {
    let mut sessions = Vec::new();
    let text = format!(
        "SELECT * FROM sts_sessions ORDER BY issued_at DESC, event_id LIMIT {SESSIONS_READ_MAX}"
    );
    each_batch(lake, &text, |batch| {
        sessions.extend((0..batch.num_rows()).map(|row| session_at(batch, row)));
    })
    .await?;
    let mut instances = Vec::new();
    let text = format!(
        "SELECT * FROM ec2_instances ORDER BY event_time DESC, event_id LIMIT {INSTANCES_READ_MAX}"
    );
    each_batch(lake, &text, |batch| {
        instances.extend((0..batch.num_rows()).map(|row| instance_at(batch, row)));
    })
    .await?;
    Ok((sessions, instances))
}

/// How long before a date a session may have been issued that matters on it: 36
/// hours is the longest life AWS gives one, and the session before it in a chain
/// had as long.
const SESSION_REACH_HOURS: i64 = 73;

/// Loads the identity facts that the accesses of these dates can rest on: the
/// sessions of these days, one of each account whose records show session policies,
/// and what is told of instances.
///
/// Instances are not cut: one may have been launched long ago, and whether an
/// address is a host's follows from all that ever were.
///
/// # Errors
/// When a table cannot be read.
pub async fn read_identity_of(
    lake: &Lake,
    dates: std::ops::RangeInclusive<i32>,
) -> Result<(Vec<StsSession>, Vec<Ec2Instance>), LakeError> {
    let begins = UtcMicros::of_date(*dates.start());
    let ends = UtcMicros::of_date(dates.end().saturating_add(1));
    let hours_before = |hours: i64| begins.plus_seconds(-hours * 3600);
    let (first, alive, last) = (
        hours_before(SESSION_REACH_HOURS),
        hours_before(SESSION_REACH_HOURS / 2 + 1),
        ends.plus_seconds(3600),
    );
    let mut sessions = Vec::new();
    let text = format!(
        "SELECT * FROM sts_sessions WHERE issued_at >= TIMESTAMP '{first}' AND issued_at <= \
         TIMESTAMP '{last}' AND (expires_at IS NULL OR expires_at >= TIMESTAMP '{alive}')"
    );
    each_batch(lake, &text, |batch| {
        sessions.extend((0..batch.num_rows()).map(|row| session_at(batch, row)));
    })
    .await?;
    sessions.extend(read_policy_lessons(lake).await?);
    let mut instances = Vec::new();
    each_batch(lake, "SELECT * FROM ec2_instances", |batch| {
        instances.extend((0..batch.num_rows()).map(|row| instance_at(batch, row)));
    })
    .await?;
    Ok((sessions, instances))
}

/// Loads a session of each account whose records show session policies: whether they
/// do holds for all times, however long ago or ahead the one lies that shows it.
///
/// # Errors
/// When the table cannot be read.
pub async fn read_policy_lessons(lake: &Lake) -> Result<Vec<StsSession>, LakeError> {
    let mut lessons: BTreeMap<Option<String>, StsSession> = BTreeMap::new();
    let text = "SELECT * FROM sts_sessions WHERE cardinality(policy_prefixes) > 0";
    each_batch(lake, text, |batch| {
        let sessions = (0..batch.num_rows()).map(|row| session_at(batch, row));
        for session in sessions.filter(StsSession::shows_policy) {
            lessons
                .entry(session.aws_account_id.clone())
                .or_insert(session);
        }
    })
    .await?;
    Ok(lessons.into_values().collect())
}

/// Loads all sessions and instance facts.
///
/// # Errors
/// When a table cannot be read.
pub async fn read_whole_identity(
    lake: &Lake,
) -> Result<(Vec<StsSession>, Vec<Ec2Instance>), LakeError> {
    let (mut sessions, mut instances) = (Vec::new(), Vec::new());
    each_batch(lake, "SELECT * FROM sts_sessions", |batch| {
        sessions.extend((0..batch.num_rows()).map(|row| session_at(batch, row)));
    })
    .await?;
    each_batch(lake, "SELECT * FROM ec2_instances", |batch| {
        instances.extend((0..batch.num_rows()).map(|row| instance_at(batch, row)));
    })
    .await?;
    Ok((sessions, instances))
}

/// The newest time of an event that any object held, in order to go on where
/// the last scan stopped. `None` for an empty lake.
///
/// # Errors
/// When the table cannot be read.
pub async fn read_newest_event(lake: &Lake) -> Result<Option<UtcMicros>, LakeError> {
    read_newest(lake, "last_event_time").await
}

/// The versions of the policies that judged, each with the text that its file of that
/// name has, if there is one.
///
/// # Errors
/// When the table cannot be read.
pub async fn read_policy_file(
    lake: &Lake,
    name: &str,
) -> Result<Vec<(String, Option<String>)>, LakeError> {
    let mut versions = Vec::new();
    let text = format!(
        "SELECT policy_version, max(CASE WHEN file = '{}' THEN text END) AS text \
         FROM policy_versions GROUP BY policy_version",
        name.replace('\'', "''")
    );
    each_batch(lake, &text, |batch| {
        let (version, text) = (texts(batch, "policy_version"), texts(batch, "text"));
        for row in 0..batch.num_rows() {
            if let Some(version) = text_at(version, row) {
                versions.push((version.to_owned(), text_at(text, row).map(str::to_owned)));
            }
        }
    })
    .await?;
    Ok(versions)
}

/// The newest time in a column of the ledger.
async fn read_newest(lake: &Lake, column: &str) -> Result<Option<UtcMicros>, LakeError> {
    let mut newest = None;
    let text = format!("SELECT max({column}) AS newest FROM log_objects");
    each_batch(lake, &text, |batch| {
        newest = newest.max((0..batch.num_rows()).find_map(|row| time_at(batch, "newest", row)));
    })
    .await?;
    Ok(newest)
}

/// Runs a query over the open lake and shows each batch of its result.
async fn each_batch(
    lake: &Lake,
    text: &str,
    mut show: impl FnMut(&RecordBatch),
) -> Result<(), LakeError> {
    let context: SessionContext = sql::new_session();
    for table in lake.tables() {
        sql::register(&context, table.name, &table.as_delta_table()).await?;
    }
    let fail = |error: datafusion::error::DataFusionError| {
        LakeError::read("lake", lake.url(), error.to_string())
    };
    let frame = context.sql(text).await.map_err(fail)?;
    let mut batches = frame.execute_stream().await.map_err(fail)?;
    for field in batches.schema().fields() {
        if !is_readable(field.data_type()) {
            return Err(LakeError::read(
                "lake",
                lake.url(),
                format!("column `{}` came as {}", field.name(), field.data_type()),
            ));
        }
    }
    while let Some(batch) = batches.next().await {
        show(&batch.map_err(fail)?);
    }
    Ok(())
}

pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0_u8; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, place) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(place..place + 2)?, 16).ok()?;
    }
    Some(hash)
}
