//! Reads back what the lake knows: the ledger, recent events, identity facts.
//!
//! Called once when a scan starts; everything is streamed, and only what the
//! reader keeps is kept.

use super::error::LakeError;
use super::ledger::{COPY_REACH, CopyFilter, Ledger};
use super::sql;
use super::store::Lake;
use crate::model::{Ec2Instance, Principal, StsSession, UtcMicros};
use arrow::array::{
    Array, AsArray as _, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::execution::context::SessionContext;
use futures::StreamExt as _;

/// Sessions read back at the start; about 500 bytes each.
///
/// A session lives twelve hours at most, so the newest are those that matter;
/// older accesses are attributed again when they are settled.
pub const SESSIONS_READ_MAX: usize = 50_000;
pub const INSTANCES_READ_MAX: usize = 50_000;

/// Rows this much older than the newest commit are not read for their copies.
const COPY_REACH_SECONDS: i64 = 6 * 3600;

/// Loads the ledger of source objects.
///
/// # Errors
/// When the table cannot be read.
pub async fn read_ledger(lake: &Lake) -> Result<Ledger, LakeError> {
    let mut ledger = Ledger::default();
    let text = "SELECT uri, version_id, etag, CASE WHEN status = 'committed' AND records > 0 \
                THEN sha256 END AS content FROM log_objects";
    each_batch(lake, text, |batch| {
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
    Ok(ledger)
}

/// Loads the most recently written events into a copy filter.
///
/// # Errors
/// When the table cannot be read.
pub async fn read_copies(lake: &Lake) -> Result<CopyFilter, LakeError> {
    let mut filter = CopyFilter::default();
    let recent = lake.s3_access().last_commit_at().map_or_else(
        || "true".to_owned(),
        |at| {
            let from = at.plus_seconds(-COPY_REACH_SECONDS);
            format!("ingested_at >= TIMESTAMP '{from}'")
        },
    );
    // Each row may take two keys; all that is read must fit one generation.
    let rows = COPY_REACH / 2;
    let text = format!(
        "SELECT event_id, content_id, event_name, aws_account_id, shared_event_id, principal_arn IS NOT NULL \
         AS has_arn, access_key_id IS NOT NULL AS has_key FROM s3_access WHERE {recent} \
         ORDER BY ingested_at DESC LIMIT {rows}"
    );
    each_batch(lake, &text, |batch| {
        let (event_id, event_name) = (texts(batch, "event_id"), texts(batch, "event_name"));
        let content_id = texts(batch, "content_id");
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
            filter.note(
                text_at(event_id, row).unwrap_or_default(),
                text_at(content_id, row),
                text_at(event_name, row).unwrap_or_default(),
                text_at(account, row),
                text_at(shared, row),
                u8::from(flag("has_arn", row)) * 2 + u8::from(flag("has_key", row)),
            );
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

/// The newest time of an event that any object held, in order to go on where
/// the last scan stopped. `None` for an empty lake.
///
/// # Errors
/// When the table cannot be read.
pub async fn read_newest_event(lake: &Lake) -> Result<Option<UtcMicros>, LakeError> {
    let mut newest = None;
    let text = "SELECT max(last_event_time) AS newest FROM log_objects";
    each_batch(lake, text, |batch| {
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

/// Whether the readers below know the type. A column of another type would read
/// as missing: a ledger without entries, and everything scanned again.
fn is_readable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::Boolean => true,
        DataType::Timestamp(unit, _) => *unit == TimeUnit::Microsecond,
        DataType::List(item) => is_readable(item.data_type()),
        DataType::Struct(members) => members.iter().all(|m| is_readable(m.data_type())),
        _ => false,
    }
}

fn session_at(batch: &RecordBatch, row: usize) -> StsSession {
    let text = |name: &str| text_at(texts(batch, name), row).map(str::to_owned);
    let time = |name: &str| time_at(batch, name, row);
    StsSession {
        event_id: text("event_id").unwrap_or_default(),
        event_name: text("event_name").unwrap_or_default(),
        issued_at: time("issued_at").unwrap_or_default(),
        expires_at: time("expires_at"),
        aws_account_id: text("aws_account_id"),
        aws_region: text("aws_region"),
        access_key_id: text("access_key_id"),
        role_arn: text("role_arn"),
        role_session_name: text("role_session_name"),
        assumed_role_id: text("assumed_role_id"),
        external_id: text("external_id"),
        source_identity: text("source_identity"),
        caller: Principal {
            identity_type: text("caller_type"),
            principal_id: text("caller_principal_id"),
            arn: text("caller_arn"),
            account_id: text("caller_account_id"),
            access_key_id: text("caller_access_key_id"),
            session_issuer_arn: text("caller_session_issuer_arn"),
            session_name: text("caller_session_name"),
            session_issued_at: time("caller_session_issued_at"),
            in_scope_issuer_type: text("caller_in_scope_issuer_type"),
            in_scope_issued_to: text("caller_in_scope_issued_to"),
            invoked_by: text("caller_invoked_by"),
            ..Principal::default()
        },
        caller_ip: text("caller_ip"),
        policy_prefixes: list_at(batch, "policy_prefixes", row),
        policy_actions: list_at(batch, "policy_actions", row),
        error_code: text("error_code"),
        shared_event_id: text("shared_event_id"),
        source_uri: text("source_uri").unwrap_or_default(),
    }
}

fn instance_at(batch: &RecordBatch, row: usize) -> Ec2Instance {
    let text = |name: &str| text_at(texts(batch, name), row).map(str::to_owned);
    Ec2Instance {
        instance_id: text("instance_id").unwrap_or_default(),
        event_id: text("event_id").unwrap_or_default(),
        event_name: text("event_name").unwrap_or_default(),
        event_time: time_at(batch, "event_time", row).unwrap_or_default(),
        aws_account_id: text("aws_account_id"),
        aws_region: text("aws_region"),
        private_ip: text("private_ip"),
        instance_profile_arn: text("instance_profile_arn"),
        tags: tags_at(batch, row),
        source_uri: text("source_uri").unwrap_or_default(),
    }
}

fn texts<'b>(batch: &'b RecordBatch, name: &str) -> Option<&'b StringArray> {
    batch.column_by_name(name)?.as_string_opt::<i32>()
}

fn text_at(texts: Option<&StringArray>, row: usize) -> Option<&str> {
    let texts = texts?;
    texts.is_valid(row).then(|| texts.value(row))
}

fn time_at(batch: &RecordBatch, name: &str, row: usize) -> Option<UtcMicros> {
    let times: &TimestampMicrosecondArray = batch
        .column_by_name(name)?
        .as_primitive_opt::<TimestampMicrosecondType>()?;
    times.is_valid(row).then(|| UtcMicros(times.value(row)))
}

fn list_at(batch: &RecordBatch, name: &str, row: usize) -> Vec<String> {
    let Some(items) = batch
        .column_by_name(name)
        .and_then(|column| column.as_list_opt::<i32>())
        .filter(|lists| lists.is_valid(row))
        .map(|lists| lists.value(row))
    else {
        return Vec::new();
    };
    let items = items.as_string_opt::<i32>();
    (0..items.map_or(0, StringArray::len))
        .filter_map(|i| text_at(items, i).map(str::to_owned))
        .collect()
}

fn tags_at(batch: &RecordBatch, row: usize) -> Vec<(String, String)> {
    let Some(items) = batch
        .column_by_name("tags")
        .and_then(|column| column.as_list_opt::<i32>())
        .filter(|lists| lists.is_valid(row))
        .map(|lists| lists.value(row))
    else {
        return Vec::new();
    };
    let Some(tags) = items.as_any().downcast_ref::<StructArray>() else {
        return Vec::new();
    };
    let member = |name: &str| {
        tags.column_by_name(name)
            .and_then(|c| c.as_string_opt::<i32>())
    };
    let (keys, values) = (member("key"), member("value"));
    (0..tags.len())
        .filter_map(|i| {
            let key = text_at(keys, i)?.to_owned();
            Some((key, text_at(values, i).unwrap_or_default().to_owned()))
        })
        .collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0_u8; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, place) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(place..place + 2)?, 16).ok()?;
    }
    Some(hash)
}
