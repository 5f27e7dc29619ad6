use std::collections::BTreeMap;

use rampart_domain::{Cloud, Kind, ManagedBy, NativeId, Resource, strip_nulls};
use serde_json::Value;

use super::{Place, drop_fields, labels, text};

/// Churn: changes without a change of configuration.
const CHURN: [&str; 2] = ["etag", "updateTime"];

/// The answer of `projects.get`, or an item of `projects.list`. A project that is marked for deletion is not active.
pub(crate) fn project(place: &Place, mut described: Value) -> Option<Resource> {
    drop_fields(&mut described, &CHURN);
    let id = text(&described, "projectId")?.to_owned();
    let number = text(&described, "name")?.strip_prefix("projects/").map(str::to_owned);
    let native_id = NativeId::new(format!("//cloudresourcemanager.googleapis.com/projects/{id}"));
    let name = text(&described, "displayName").unwrap_or(&id).to_owned();
    let active = text(&described, "state") == Some("ACTIVE");
    let labels = labels(&described["labels"]);
    let resource = place.resource(Kind::GcpProject, native_id, &name, described);
    Some(Resource { labels, active, uid: number, ..resource })
}

/// An organisation or folder as `organizations.get`, `folders.get` and `folders.list` return it. It belongs to no project.
pub(crate) fn folder(mut described: Value) -> Option<Resource> {
    drop_fields(&mut described, &CHURN);
    strip_nulls(&mut described);
    let path = text(&described, "name")?.to_owned();
    let unit = |path: &str| NativeId::new(format!("//cloudresourcemanager.googleapis.com/{path}"));
    Some(Resource {
        native_id: unit(&path),
        kind: Kind::GcpFolder,
        name: text(&described, "displayName").unwrap_or(&path).to_owned(),
        cloud: Cloud::Gcp,
        account: None,
        region: None,
        cluster: None,
        namespace: None,
        labels: BTreeMap::new(),
        managed_by: ManagedBy::Customer,
        owner: text(&described, "parent").map(unit),
        active: text(&described, "state") == Some("ACTIVE"),
        uid: None,
        version: None,
        partial: false,
        config: described,
    })
}
