//! Reads rows of the fact tables back into what they were made of.
//!
//! The one place that knows it: a scan learns from these rows, and `explain`
//! decides again with them. A column that a batch lacks reads like NULL.

use crate::model::{Ec2Instance, Principal, StsSession, UtcMicros};
use arrow::array::{
    Array, ArrayRef, AsArray as _, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};

/// Whether the readers below know the type. A column of another type would read
/// as missing: a ledger without entries, and everything scanned again.
pub fn is_readable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::Boolean => true,
        DataType::Timestamp(unit, _) => *unit == TimeUnit::Microsecond,
        DataType::List(item) => is_readable(item.data_type()),
        DataType::Struct(members) => members.iter().all(|m| is_readable(m.data_type())),
        _ => false,
    }
}

/// A row of `sts_sessions`.
pub fn session_at(batch: &RecordBatch, row: usize) -> StsSession {
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

/// A row of `ec2_instances`.
pub fn instance_at(batch: &RecordBatch, row: usize) -> Ec2Instance {
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

/// The text column of that name.
pub fn texts<'b>(batch: &'b RecordBatch, name: &str) -> Option<&'b StringArray> {
    batch.column_by_name(name)?.as_string_opt::<i32>()
}

pub fn text_at(texts: Option<&StringArray>, row: usize) -> Option<&str> {
    let texts = texts?;
    texts.is_valid(row).then(|| texts.value(row))
}

pub fn time_at(batch: &RecordBatch, name: &str, row: usize) -> Option<UtcMicros> {
    let times: &TimestampMicrosecondArray = batch
        .column_by_name(name)?
        .as_primitive_opt::<TimestampMicrosecondType>()?;
    times.is_valid(row).then(|| UtcMicros(times.value(row)))
}

pub fn list_at(batch: &RecordBatch, name: &str, row: usize) -> Vec<String> {
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
    let tags = batch.column_by_name("tags");
    tags.map_or_else(Vec::new, |tags| pairs_at(tags, row))
}

/// The members `key` and `value` of a list of structs.
pub fn pairs_at(array: &ArrayRef, row: usize) -> Vec<(String, String)> {
    let lists = array.as_list_opt::<i32>();
    let Some(items) = lists
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
