//! From the provider's JSON to resources. Pure: no IO, no clock.
//!
//! `config` is the object as the API returned it, field names and nesting untouched, without churn and secrets. Added is
//! what a second call returned, under a name that the API's object does not use. An object without its own name yields
//! nothing: the listing reports that as a failure.
//!
//! Ids are full resource names, `//<service>/<path>`, with the project by its id.

mod gke;
mod network;
mod project;
mod registry;

use std::collections::BTreeMap;

use rampart_domain::{Cloud, Kind, ManagedBy, NativeId, Resource, Scope, strip_nulls};
use serde_json::Value;

pub(crate) use gke::{cluster, node_pool};
pub(crate) use network::{firewall, subnetwork};
pub(crate) use project::{folder, policy, project, service};
pub(crate) use registry::{image, repository};

/// Region of all listings: one answer covers a project.
const GLOBAL: &str = "global";

/// Where something was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    project: String,
    location: Option<String>,
}

impl Place {
    pub(crate) fn of_project(project: &str) -> Self {
        Self { project: project.to_owned(), location: None }
    }

    /// A location of the same project.
    pub(crate) fn at(&self, location: &str) -> Self {
        Self { location: Some(location.to_owned()), ..self.clone() }
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope::Region { cloud: Cloud::Gcp, account: self.project.clone(), region: GLOBAL.to_owned() }
    }

    /// A resource of this place with everything that most kinds have in common.
    fn resource(&self, kind: Kind, native_id: NativeId, name: &str, mut config: Value) -> Resource {
        strip_nulls(&mut config);
        Resource {
            native_id,
            kind,
            name: name.to_owned(),
            cloud: Cloud::Gcp,
            account: Some(self.project.clone()),
            region: self.location.clone(),
            cluster: None,
            namespace: None,
            labels: BTreeMap::new(),
            managed_by: ManagedBy::Customer,
            owner: None,
            active: true,
            uid: None,
            version: None,
            partial: false,
            config,
        }
    }
}

fn labels(labels: &Value) -> BTreeMap<String, String> {
    let entries = labels.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field)?.as_str().filter(|text| !text.is_empty())
}

fn drop_fields(object: &mut Value, fields: &[&str]) {
    if let Some(map) = object.as_object_mut() {
        map.retain(|key, _| !fields.contains(&key.as_str()));
    }
}
