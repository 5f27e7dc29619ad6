use serde_json::Value;

use super::Asked;
use super::error::GoogleError;
use super::paging::page;
use crate::world::World;

/// Answers `services.list`. Pages are small, so that every project has more than one.
pub(crate) fn answer(world: &World, asked: &Asked<'_>) -> Result<Value, GoogleError> {
    let project = world.projects().iter().find(|project| project.id == asked.part(0));
    let project = project.ok_or_else(|| GoogleError::denied(asked.operation.name, asked.part(0)))?;
    let shown = |service: &Value| asked.parameter("filter") != Some("state:ENABLED") || service["state"] == "ENABLED";
    let services: Vec<Value> = project.services.iter().filter(|service| shown(service)).cloned().collect();
    page(asked, "services", &services, 5)
}
