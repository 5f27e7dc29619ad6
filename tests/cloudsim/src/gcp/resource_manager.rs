use serde_json::{Value, json};

use super::Asked;
use super::error::GoogleError;
use super::paging::page;
use crate::world::World;
use crate::world::gcp::{FOLDER, ORGANIZATION};

/// Answers an operation of Resource Manager.
pub(crate) fn answer(world: &World, asked: &Asked<'_>) -> Result<Value, GoogleError> {
    let missing = || GoogleError::denied(asked.operation.name, asked.part(0));
    let parent = asked.parameter("parent").unwrap_or_default();
    match asked.operation.name {
        "resourcemanager.projects.get" => {
            let project = world.projects().iter().find(|project| project.id == asked.part(0));
            Ok(project.ok_or_else(missing)?.project.clone())
        }
        "resourcemanager.projects.getIamPolicy" => {
            let project = world.projects().iter().find(|project| project.id == asked.part(0));
            Ok(project.ok_or_else(missing)?.policy.clone())
        }
        "resourcemanager.projects.list" => {
            let shown =
                |project: &Value| asked.parameter("showDeleted") == Some("true") || project["state"] == "ACTIVE";
            let all = world.projects().iter().map(|project| &project.project);
            let below: Vec<_> = all.filter(|it| it["parent"] == parent && shown(it)).cloned().collect();
            page(asked, "projects", &below, 100)
        }
        "resourcemanager.folders.list" => {
            let below = if parent == ORGANIZATION { vec![folder()] } else { Vec::new() };
            page(asked, "folders", &below, 100)
        }
        "resourcemanager.folders.get" if FOLDER.ends_with(&format!("/{}", asked.part(0))) => Ok(folder()),
        "resourcemanager.organizations.get" if ORGANIZATION.ends_with(&format!("/{}", asked.part(0))) => Ok(
            json!({ "name": ORGANIZATION, "displayName": "shop.example", "directoryCustomerId": "C00shop", "state": "ACTIVE",
                "createTime": "2020-01-01T00:00:00Z" }),
        ),
        _ => Err(missing()),
    }
}

fn folder() -> Value {
    json!({ "name": FOLDER, "parent": ORGANIZATION, "displayName": "Production", "state": "ACTIVE",
        "createTime": "2020-01-02T00:00:00Z", "etag": "W/\"1\"" })
}
