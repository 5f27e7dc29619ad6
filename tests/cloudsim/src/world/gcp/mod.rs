//! Google Cloud projects with their GKE clusters, repositories and networks, in the shapes of the services' own APIs.

mod access;
mod gke;
mod network;
mod registry;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::aws::Care;
use super::seed::Seed;

pub(crate) use gke::cluster;
pub(crate) use registry::repository;

/// The organisation above all projects.
pub(crate) const ORGANIZATION: &str = "organizations/400000000001";
/// The folder that the projects lie in.
pub(crate) const FOLDER: &str = "folders/500000000001";

/// A project.
#[derive(Debug, Clone)]
pub struct GcpProject {
    /// Its id.
    pub id: String,
    /// `projects.get`'s answer.
    pub project: Value,
    /// Service account whose key can be had, and which may read the project.
    pub scanner: String,
    /// Locations of Artifact Registry.
    pub locations: Vec<String>,
    /// Repositories by full name.
    pub repositories: BTreeMap<String, GcpRepository>,
    /// `projects.getIamPolicy`'s answer.
    pub policy: Value,
    /// APIs as `services.list` returns them, enabled or not.
    pub services: Vec<Value>,
    /// Subnetworks of all regions, as Compute Engine returns them.
    pub subnetworks: Vec<Value>,
    /// Firewall rules, as Compute Engine returns them.
    pub firewalls: Vec<Value>,
}

/// What Artifact Registry knows of a repository.
#[derive(Debug, Clone)]
pub struct GcpRepository {
    /// As `repositories.list` returns it.
    pub repository: Value,
    /// As `getIamPolicy` returns it.
    pub policy: Value,
    /// As `dockerImages.list` returns them.
    pub images: Vec<Value>,
}

impl GcpProject {
    pub(crate) fn new(seed: Seed, id: &str, locations: &[&str], care: Care) -> Self {
        let number = 600_000_000_000 + seed.child("project").child(id).below(99_999_999);
        let project = json!({
            "name": format!("projects/{number}"), "parent": FOLDER, "projectId": id, "state": "ACTIVE",
            "displayName": id.replace('-', " "), "createTime": "2024-03-01T09:00:00Z", "updateTime": "2025-06-01T09:00:00Z",
            "etag": "W/\"1\"", "labels": { "team": "platform" },
        });
        Self {
            id: id.to_owned(),
            project,
            scanner: format!("rampart-scanner@{id}.iam.gserviceaccount.com"),
            locations: locations.iter().map(|location| (*location).to_owned()).collect(),
            repositories: BTreeMap::new(),
            policy: access::policy(id, care),
            services: access::services(number),
            subnetworks: network::subnetworks(seed, id, locations, care),
            firewalls: network::firewalls(seed, id, care),
        }
    }

    /// Adds a repository of container images; `names` are the images in it.
    pub(crate) fn with_repository(
        mut self,
        seed: Seed,
        location: &str,
        id: &str,
        names: &[String],
        care: Care,
    ) -> Self {
        let name = format!("projects/{}/locations/{location}/repositories/{id}", self.id);
        self.repositories.insert(name.clone(), repository(seed, &name, names, care));
        self
    }

    /// The same project, marked for deletion.
    pub(crate) fn deleted(mut self) -> Self {
        self.project["state"] = "DELETE_REQUESTED".into();
        self.project["deleteTime"] = "2026-09-01T09:00:00Z".into();
        self
    }
}
