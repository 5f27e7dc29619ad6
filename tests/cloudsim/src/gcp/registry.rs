use serde_json::{Value, json};

use super::Asked;
use super::error::GoogleError;
use super::paging::page;
use crate::world::{GcpProject, GcpRepository, World};

/// Answers an operation of Artifact Registry.
pub(crate) fn answer(world: &World, asked: &Asked<'_>) -> Result<Value, GoogleError> {
    let project = world.projects().iter().find(|project| project.id == asked.part(0));
    let project = project.ok_or_else(|| GoogleError::denied(asked.operation.name, asked.part(0)))?;
    match asked.operation.name {
        "artifactregistry.locations.list" => locations(project, asked),
        "artifactregistry.repositories.list" => {
            let parent = format!("projects/{}/locations/{}/", project.id, asked.part(1));
            let here = project.repositories.iter().filter(|(name, _)| name.starts_with(&parent));
            let repositories: Vec<Value> = here.map(|(_, repository)| repository.repository.clone()).collect();
            page(asked, "repositories", &repositories, 1_000)
        }
        "artifactregistry.repositories.getIamPolicy" => Ok(find(project, asked)?.policy.clone()),
        // Small pages, so that every estate has more than one.
        "artifactregistry.dockerimages.list" => page(asked, "dockerImages", &find(project, asked)?.images, 50),
        _ => Err(GoogleError::not_found("no such method")),
    }
}

fn locations(project: &GcpProject, asked: &Asked<'_>) -> Result<Value, GoogleError> {
    let location = |id: &String| json!({ "name": format!("projects/{}/locations/{id}", project.id), "locationId": id, "displayName": id });
    let locations: Vec<Value> = project.locations.iter().map(location).collect();
    page(asked, "locations", &locations, 100)
}

fn find<'a>(project: &'a GcpProject, asked: &Asked<'_>) -> Result<&'a GcpRepository, GoogleError> {
    let name = format!("projects/{}/locations/{}/repositories/{}", project.id, asked.part(1), asked.part(2));
    let found = project.repositories.get(&name);
    found.ok_or_else(|| GoogleError::not_found("Requested entity was not found."))
}
