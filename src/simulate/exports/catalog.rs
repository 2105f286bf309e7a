//! Unity Catalog's inventory, as its REST API answers: storage credentials with
//! their roles, external locations with their paths.

use super::answer;
use crate::simulate::SimulateError;
use crate::simulate::org::{START, UC_MASTER_ROLE, Workspace};
use crate::simulate::text::DAY;
use crate::simulate::write::World;
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn write(world: &World<'_>, dir: &Path) -> Result<(), SimulateError> {
    let credential_id = |workspace: &Workspace| format!("cred-{}", workspace.roles.storage.id);
    let credentials: Vec<Value> = world
        .org
        .workspaces
        .iter()
        .map(|workspace| {
            json!({
                "id": credential_id(workspace),
                "name": format!("{}-storage", workspace.name),
                "metastore_id": world.org.metastore(workspace),
                "owner": "admins",
                "read_only": false,
                "isolation_mode": "ISOLATION_MODE_OPEN",
                "used_for_managed_storage": true,
                "created_at": (START - 300 * DAY) * 1000,
                "updated_at": (START - 300 * DAY) * 1000,
                "aws_iam_role": {
                    "role_arn": workspace.roles.storage.arn(),
                    "external_id": world.org.account_id,
                    "unity_catalog_iam_arn": UC_MASTER_ROLE,
                },
            })
        })
        .collect();
    answer(
        dir,
        "unity-catalog/storage-credentials.json",
        &json!({ "storage_credentials": credentials, "next_page_token": "" }),
    )?;
    let locations: Vec<Value> = world
        .org
        .workspaces
        .iter()
        .flat_map(|workspace| {
            [&workspace.buckets.curated, &workspace.buckets.managed].map(|bucket| {
                json!({
                    "name": &**bucket,
                    "url": format!("s3://{bucket}/"),
                    "credential_name": format!("{}-storage", workspace.name),
                    "credential_id": credential_id(workspace),
                    "metastore_id": world.org.metastore(workspace),
                    "owner": "admins",
                    "read_only": false,
                    "fallback": false,
                    "created_at": (START - 300 * DAY) * 1000,
                    "updated_at": (START - 300 * DAY) * 1000,
                })
            })
        })
        .collect();
    answer(
        dir,
        "unity-catalog/external-locations.json",
        &json!({ "external_locations": locations, "next_page_token": "" }),
    )
}
