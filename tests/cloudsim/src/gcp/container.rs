use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Asked;
use crate::faults::FaultKind;
use crate::shared::Shared;
use crate::world::World;
use crate::world::gcp::cluster;

/// Answers `clusters.list`, which has no pages.
pub(crate) fn answer(shared: &Shared, world: &World, asked: &Asked<'_>) -> Value {
    let project = asked.part(0);
    let mut clusters: Vec<Value> = world
        .clusters()
        .filter(|it| it.gke_place().is_some_and(|(of_project, _)| of_project == project))
        .filter_map(|it| {
            let mut described = cluster(it, it.care)?;
            // Addresses have no scheme; a port is the simulator's own.
            described["endpoint"] = shared.cluster_url(&it.name).trim_start_matches("https://").into();
            described["masterAuth"] = json!({ "clusterCaCertificate": STANDARD.encode(&shared.ca_pem) });
            Some(described)
        })
        .collect();
    let mut answer = json!({});
    if asked.faults.contains(&FaultKind::MissingZones)
        && let Some(last) = clusters.iter().filter_map(|it| it["location"].as_str()).max().map(str::to_owned)
    {
        clusters.retain(|it| it["location"] != last.as_str());
        answer["missingZones"] = json!([last]);
    }
    if asked.parameter("fields").is_some() {
        clusters = clusters.iter().map(|it| json!({ "name": it["name"] })).collect();
    }
    if !clusters.is_empty() {
        answer["clusters"] = clusters.into();
    }
    answer
}
