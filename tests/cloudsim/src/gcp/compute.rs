use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Asked;
use super::error::GoogleError;
use super::paging::page;
use crate::faults::FaultKind;
use crate::world::{GcpProject, World};

/// A region that nobody uses.
const UNUSED: &str = "asia-east1";

/// Answers an operation of Compute Engine.
pub(crate) fn answer(world: &World, asked: &Asked<'_>) -> Result<Value, GoogleError> {
    let project = world.projects().iter().find(|project| project.id == asked.part(0));
    let project = project.ok_or_else(|| GoogleError::denied(asked.operation.name, asked.part(0)))?;
    match asked.operation.name {
        "compute.subnetworks.list" => subnetworks(project, asked),
        "compute.firewalls.list" => {
            let mut answer = page(asked, "items", &project.firewalls, 500)?;
            answer["kind"] = "compute#firewallList".into();
            Ok(answer)
        }
        _ => Err(GoogleError::not_found("no such method")),
    }
}

/// Subnetworks by region. Pages are small, so that every project has more than one; each has an entry for every region.
fn subnetworks(project: &GcpProject, asked: &Asked<'_>) -> Result<Value, GoogleError> {
    let mut regions: BTreeSet<String> = project.subnetworks.iter().map(region).collect();
    let silent = if asked.faults.contains(&FaultKind::MissingZones) { regions.last().cloned() } else { None };
    regions.insert(UNUSED.to_owned());
    let readable = |subnetwork: &Value| silent.as_deref() != Some(region(subnetwork).as_str());
    let all: Vec<Value> = project.subnetworks.iter().filter(|it| readable(it)).cloned().collect();
    let listed = page(asked, "subnetworks", &all, 1)?;
    let here: Vec<Value> = listed["subnetworks"].as_array().cloned().unwrap_or_default();
    let mut answer = json!({ "kind": "compute#subnetworkAggregatedList", "items": {},
        "id": format!("projects/{}/aggregated/subnetworks", project.id) });
    for name in regions {
        let of_region: Vec<&Value> = here.iter().filter(|it| region(it) == name).collect();
        let scope = format!("regions/{name}");
        let content = if silent.as_ref() == Some(&name) {
            answer["unreachables"] = json!([&scope]);
            warning("UNREACHABLE", &scope)
        } else if of_region.is_empty() {
            warning("NO_RESULTS_ON_PAGE", &scope)
        } else {
            json!({ "subnetworks": of_region })
        };
        answer["items"][&scope] = content;
    }
    if let Some(next) = listed.get("nextPageToken") {
        answer["nextPageToken"] = next.clone();
    }
    Ok(answer)
}

/// The region that a subnetwork names by its URL.
fn region(subnetwork: &Value) -> String {
    let url = subnetwork["region"].as_str().unwrap_or_default();
    url.rsplit('/').next().unwrap_or(url).to_owned()
}

fn warning(code: &str, scope: &str) -> Value {
    json!({ "warning": { "code": code, "message": format!("Nothing is here for scope '{scope}'."),
        "data": [{ "key": "scope", "value": scope }] } })
}
