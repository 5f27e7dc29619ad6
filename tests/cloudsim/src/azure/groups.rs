//! Management groups: a directory's root and the groups that its subscriptions name, side by side below it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::error::AzureError;
use crate::world::Subscription;

/// What was asked for.
pub(crate) enum Found {
    Group(Value),
    /// The whole list.
    Descendants(Vec<Value>),
}

/// A group, or what lies below it. The root has the directory's id.
pub(crate) fn answer(
    subscriptions: &[Subscription],
    directory: &str,
    group: &str,
    operation: &str,
) -> Result<Found, AzureError> {
    let of_directory = subscriptions.iter().filter(|one| one.tenant_id == directory);
    let groups: BTreeSet<&str> = of_directory.clone().filter_map(|one| one.group.as_deref()).collect();
    let is_root = group.eq_ignore_ascii_case(directory);
    let group = groups.iter().find(|known| known.eq_ignore_ascii_case(group)).copied();
    let name = match group {
        Some(name) => name,
        None if is_root => directory,
        None => return Err(AzureError::not_found("NotFound")),
    };
    if operation != "descendants" {
        return Ok(Found::Group(
            json!({ "id": id(name), "name": name, "type": "Microsoft.Management/managementGroups",
            "properties": { "tenantId": directory, "displayName": if is_root { "Tenant Root Group" } else { name },
                "details": { "version": 1, "updatedTime": "2025-01-01T00:00:00Z", "updatedBy": "rampart" } } }),
        ));
    }
    let mut below: Vec<Value> = Vec::new();
    if is_root {
        below.extend(groups.iter().map(|name| {
            json!({ "id": id(name), "name": name, "type": "Microsoft.Management/managementGroups",
                "properties": { "displayName": name, "parent": { "id": id(directory) } } })
        }));
    }
    let inside = of_directory.filter(|one| is_root || one.group.as_deref() == group);
    below.extend(inside.map(|one| {
        let parent = one.group.as_deref().unwrap_or(directory);
        json!({ "id": format!("/subscriptions/{}", one.id), "name": one.id, "type": "/subscriptions",
            "properties": { "displayName": one.name, "parent": { "id": id(parent) } } })
    }));
    Ok(Found::Descendants(below))
}

fn id(group: &str) -> String {
    format!("/providers/Microsoft.Management/managementGroups/{group}")
}
