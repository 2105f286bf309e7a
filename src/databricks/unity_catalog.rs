//! Unity Catalog's storage credentials and external locations: the REST answers.
//!
//! A snapshot is dated by its file; role ARNs change, so each one is kept.

use super::document::Answer;
use super::gathered::Gathered;
use super::row::Row;
use crate::model::UtcMicros;
use crate::model::databricks::{ExternalLocation, StorageCredential};

pub const STORAGE_CREDENTIALS: Answer = Answer {
    list: "storage_credentials",
    columns: &[
        "id",
        "name",
        "metastore_id",
        "aws_iam_role",
        "created_at",
        "updated_at",
    ],
};

pub const EXTERNAL_LOCATIONS: Answer = Answer {
    list: "external_locations",
    columns: &[
        "name",
        "url",
        "credential_id",
        "credential_name",
        "metastore_id",
        "read_only",
        "fallback",
        "created_at",
        "updated_at",
    ],
};

pub fn take_credential(
    row: &Row<'_>,
    seen_at: UtcMicros,
    gathered: &mut Gathered,
) -> Result<(), String> {
    let role = row.cell("aws_iam_role").opened().into_owned();
    gathered.storage_credentials.push(StorageCredential {
        id: row.need_text("id")?,
        name: row.need_text("name")?,
        metastore_id: row.text("metastore_id"),
        role_arn: role.first_text(&["role_arn"]),
        external_id: role.first_text(&["external_id"]),
        created_at: row.time("created_at"),
        updated_at: row.time("updated_at"),
        seen_at,
    });
    Ok(())
}

pub fn take_location(
    row: &Row<'_>,
    seen_at: UtcMicros,
    gathered: &mut Gathered,
) -> Result<(), String> {
    gathered.external_locations.push(ExternalLocation {
        name: row.need_text("name")?,
        url: row.need_text("url")?,
        credential_id: row.text("credential_id"),
        credential_name: row.text("credential_name"),
        metastore_id: row.text("metastore_id"),
        read_only: row.flag("read_only").unwrap_or(false),
        fallback: row.flag("fallback").unwrap_or(false),
        created_at: row.time("created_at"),
        updated_at: row.time("updated_at"),
        seen_at,
    });
    Ok(())
}
