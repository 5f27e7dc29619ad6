//! From the provider's JSON to resources. Pure: no IO, no clock, no SDK types.
//!
//! `config` is the object as the API returned it, field names and nesting untouched. Added fields hold what a second call
//! returned or what was parsed out of a text, under names that the API's object does not use. An object without its own
//! id or name yields nothing: the listing reports that as a failure.

mod account;
mod ecr;
mod eks;
mod iam;
mod logs;
pub(crate) mod organization;

use std::collections::BTreeMap;

use rampart_domain::{Cloud, Kind, ManagedBy, NativeId, Resource, Scope, strip_nulls};
use serde_json::{Map, Value};

use crate::partition::Partition;

pub(crate) use account::account;
pub(crate) use ecr::{image, registry, repository};
pub(crate) use eks::{
    access_entry, addon, cluster, fargate_profile, identity_provider_config, nodegroup, pod_identity_association,
};
pub(crate) use iam::{default_document, is_service_linked, role};
pub(crate) use logs::{is_of_control_plane, log_group};

/// Region of the listings that belong to a whole account.
pub(crate) const GLOBAL: &str = "global";

/// Where a listing was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) partition: Partition,
    pub(crate) account: String,
    pub(crate) region: String,
}

impl Place {
    pub(crate) fn scope(&self) -> Scope {
        Scope::Region { cloud: Cloud::Aws, account: self.account.clone(), region: self.region.clone() }
    }

    pub(crate) fn arn(&self, service: &str, rest: &str) -> NativeId {
        let Self { partition, account, region } = self;
        NativeId::new(format!("arn:{partition}:{service}:{region}:{account}:{rest}"))
    }

    pub(crate) fn cluster(&self, name: &str) -> NativeId {
        self.arn("eks", &format!("cluster/{name}"))
    }

    /// A resource of this place with everything that most kinds have in common.
    fn resource(&self, kind: Kind, native_id: NativeId, name: &str, mut config: Value) -> Resource {
        strip_nulls(&mut config);
        Resource {
            native_id,
            kind,
            name: name.to_owned(),
            cloud: Cloud::Aws,
            account: Some(self.account.clone()),
            region: (self.region != GLOBAL).then(|| self.region.clone()),
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

fn tags(tags: &Value) -> BTreeMap<String, String> {
    let entries = tags.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
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

/// A policy document as JSON, with `Statement` always a list.
fn policy(text: &str) -> Option<Value> {
    let mut policy: Map<String, Value> = serde_json::from_str(text).ok()?;
    if let Some(statement) = policy.get_mut("Statement")
        && !statement.is_array()
    {
        *statement = Value::Array(vec![statement.take()]);
    }
    Some(Value::Object(policy))
}

#[cfg(test)]
pub(crate) fn place() -> Place {
    Place { partition: Partition::Aws, account: "111122223333".into(), region: "eu-west-1".into() }
}
