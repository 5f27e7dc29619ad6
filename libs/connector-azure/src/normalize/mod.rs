//! From Azure's JSON to resources. Pure: no IO, no clock, no SDK types.
//!
//! `config` is the object as the API returned it, field names, case and nesting untouched; only secrets and what changes by
//! itself are gone. Azure leaves out or nulls what is not set, and which of the two depends on the api-version: both are
//! absent here. An object without an id yields nothing: the listing reports that as a failure.

mod acr;
mod aks;
mod arc;
mod governance;
mod secret;
mod subscription;

#[cfg(test)]
mod examples;

use std::collections::BTreeMap;

use rampart_domain::{Cloud, Kind, ManagedBy, NativeId, Resource, Scope, strip_nulls};
use serde_json::Value;

use crate::arm_id::native_id;

pub(crate) use acr::{image, registry, replication, repository, scope_map, token, webhook};
pub(crate) use aks::{
    agent_pool, cluster, diagnostic_setting, is_stopped, maintenance_configuration, trusted_access_role_binding,
};
pub(crate) use arc::{connected_cluster, extension};
pub(crate) use governance::{role_assignment, security_plan};
pub(crate) use subscription::{management_group, subscription};

/// Region of the listings: every one of them covers a whole subscription.
pub(crate) const GLOBAL: &str = "global";

/// Where a listing was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// UUID in lower case.
    pub(crate) subscription: String,
}

impl Place {
    pub(crate) fn new(subscription: &str) -> Self {
        Self { subscription: subscription.to_ascii_lowercase() }
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope::Region { cloud: Cloud::Azure, account: self.subscription.clone(), region: GLOBAL.to_owned() }
    }

    /// What every object of Azure Resource Manager has in common.
    fn object(&self, kind: Kind, mut object: Value) -> Option<Resource> {
        let native_id = native_id(text(&object, "id")?)?;
        let name = text(&object, "name").map_or_else(|| last_segment(&native_id), str::to_owned);
        drop_fields(&mut object, &["systemData"]);
        drop_etags(&mut object);
        Some(self.resource(kind, native_id, &name, object))
    }

    fn resource(&self, kind: Kind, native_id: NativeId, name: &str, mut config: Value) -> Resource {
        strip_nulls(&mut config);
        Resource {
            native_id,
            kind,
            name: name.to_owned(),
            cloud: Cloud::Azure,
            account: Some(self.subscription.clone()),
            region: text(&config, "location").map(region),
            cluster: None,
            namespace: None,
            labels: tags(&config["tags"]),
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

/// A resource of which some fields could not be read.
pub(crate) fn without(mut resource: Resource, unread: &[&str]) -> Resource {
    resource.partial = true;
    set(&mut resource.config, "unread", serde_json::json!(unread));
    resource
}

/// Locations are told by name or as shown to people: `westeurope` and `West Europe` are one.
fn region(location: &str) -> String {
    location.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase()
}

fn last_segment(id: &NativeId) -> String {
    id.as_str().rsplit('/').next().unwrap_or_default().to_owned()
}

fn tags(tags: &Value) -> BTreeMap<String, String> {
    let entries = tags.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

pub(crate) fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field)?.as_str().filter(|text| !text.is_empty())
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(field.to_owned(), value);
    }
}

fn drop_fields(object: &mut Value, fields: &[&str]) {
    if let Some(map) = object.as_object_mut() {
        map.retain(|key, _| !fields.contains(&key.as_str()));
    }
}

/// They change with every write, and tell nothing that the rest does not.
fn drop_etags(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !name.eq_ignore_ascii_case("etag"));
            fields.values_mut().for_each(drop_etags);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_etags),
        _ => {}
    }
}

/// Whether a word says that a thing does not exist yet, or not much longer.
fn is_passing(properties: &Value) -> bool {
    matches!(text(properties, "provisioningState"), Some("Creating" | "Deleting"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_objects_share() {
        let place = Place::new("SUB");
        let object = serde_json::json!({"id": "/Subscriptions/SUB/x/Y", "location": "West Europe", "etag": "1",
            "tags": {"team": "a", "none": null}, "properties": {"newer": {"kept": true}, "gone": null}});
        let resource = place.object(Kind::AzureAcrRegistry, object).unwrap();
        assert_eq!((resource.native_id.as_str(), resource.name.as_str()), ("/subscriptions/sub/x/y", "y"));
        assert_eq!((resource.region.as_deref(), resource.account.as_deref()), (Some("westeurope"), Some("sub")));
        assert_eq!(resource.config["properties"], serde_json::json!({"newer": {"kept": true}}));
        assert_eq!((resource.config.get("etag"), resource.labels.len()), (None, 1));
        assert_eq!(place.object(Kind::AzureAcrRegistry, serde_json::json!({"name": "x"})), None);
    }
}
