//! SCIM's ListResponses as they are when the exports are taken: users, service
//! principals, groups, and a group within a group. Whoever was deleted is in none of
//! them, whoever left a group not in its members.

use super::answer;
use crate::simulate::SimulateError;
use crate::simulate::compute::{changed_group_name, group_name};
use crate::simulate::stage::{changed_members, group_members};
use crate::simulate::write::World;
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn write(world: &World<'_>, dir: &Path) -> Result<(), SimulateError> {
    let mut users = Vec::new();
    let mut services = Vec::new();
    let mut groups = Vec::new();
    for (number, workspace) in world.org.workspaces.iter().enumerate() {
        for user in workspace.users.iter().filter(|user| !user.deleted) {
            users.push(json!({
                "id": user.number,
                "userName": &*user.name,
                "displayName": user.display,
                "active": true,
                "emails": [{ "value": &*user.name, "primary": true, "type": "work" }],
            }));
        }
        for service in &workspace.services {
            services.push(json!({
                "id": service.number,
                "applicationId": &*service.name,
                "displayName": service.display,
                "active": true,
            }));
        }
        let member = |user: usize| {
            workspace.users.get(user).map(|user| {
                json!({
                    "value": user.number,
                    "display": &*user.name,
                    "$ref": format!("Users/{}", user.number),
                })
            })
        };
        let [first, second, inner] = group_members();
        let (outer_id, inner_id, all_id) = (
            format!("{}", 7000 + 10 * number),
            format!("{}", 7001 + 10 * number),
            format!("{}", 7002 + 10 * number),
        );
        let nested = |id: &str| json!({ "value": id, "$ref": format!("Groups/{id}") });
        let outer: Vec<Value> = [member(first), member(second), Some(nested(&inner_id))]
            .into_iter()
            .flatten()
            .collect();
        let everyone: Vec<Value> = workspace
            .users
            .iter()
            .enumerate()
            .filter(|(_, user)| !user.deleted)
            .filter_map(|(n, _)| member(n))
            .chain([nested(&outer_id)])
            .collect();
        let inner: Vec<Value> = member(inner).into_iter().collect();
        groups.push(
            json!({ "id": outer_id, "displayName": group_name(workspace), "members": outer }),
        );
        let reviewers: Vec<Value> = changed_members(world.org.size.exported())
            .into_iter()
            .filter_map(member)
            .collect();
        groups.push(json!({ "id": changed_group_id(number), "displayName": changed_group_name(workspace), "members": reviewers }));
        groups.push(json!({ "id": inner_id, "displayName": format!("{}-visitors", workspace.name), "members": inner }));
        groups.push(json!({ "id": all_id, "displayName": format!("{}-everyone", workspace.name), "members": everyone }));
    }
    for (name, resources) in [
        ("scim/users.json", users),
        ("scim/service-principals.json", services),
        ("scim/groups.json", groups),
    ] {
        answer(dir, name, &list(resources))?;
    }
    Ok(())
}

/// The id of the group whose members change, of the workspace with that number.
pub(super) fn changed_group_id(number: usize) -> String {
    format!("{}", 7003 + 10 * number)
}

fn list(resources: Vec<Value>) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": resources.len(),
        "startIndex": 1,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}
