use std::collections::BTreeMap;

use rampart_domain::{Cloud, Kind, ManagedBy, NativeId, Resource, strip_nulls};
use serde_json::{Value, json};

use super::{Place, drop_fields, labels, text};

/// Churn: changes without a change of configuration.
const CHURN: [&str; 2] = ["etag", "updateTime"];

/// The answer of `projects.get`, or an item of `projects.list`. A project that is marked for deletion is not active.
pub(crate) fn project(place: &Place, mut described: Value) -> Option<Resource> {
    drop_fields(&mut described, &CHURN);
    let id = text(&described, "projectId")?.to_owned();
    let number = text(&described, "name")?.strip_prefix("projects/").map(str::to_owned);
    let native_id = id_of(&id);
    let name = text(&described, "displayName").unwrap_or(&id).to_owned();
    let active = text(&described, "state") == Some("ACTIVE");
    let labels = labels(&described["labels"]);
    let resource = place.resource(Kind::GcpProject, native_id, &name, described);
    Some(Resource { labels, active, uid: number, ..resource })
}

/// The answer of `projects.getIamPolicy`.
///
/// Its `bindings` are always there: an empty policy is one.
pub(crate) fn policy(place: &Place, mut described: Value) -> Option<Resource> {
    drop_fields(&mut described, &CHURN);
    described.as_object_mut()?.entry("bindings").or_insert_with(|| json!([]));
    let project = id_of(&place.project);
    let id = NativeId::new(format!("{project}/iamPolicy"));
    let resource = place.resource(Kind::GcpIamPolicy, id, &place.project, described);
    Some(Resource { owner: Some(project), ..resource })
}

/// An item of `services.list`, cut down to what tells of the project: the rest is Google's description of its API.
pub(crate) fn service(place: &Place, described: &Value) -> Option<Resource> {
    let name = text(described, "name")?.rsplit('/').next().filter(|name| !name.is_empty())?;
    let config = &described["config"];
    let kept = json!({
        "name": described["name"], "parent": described["parent"], "state": described["state"],
        "config": { "name": config["name"], "title": config["title"] },
    });
    let id = NativeId::new(format!("//serviceusage.googleapis.com/projects/{}/services/{name}", place.project));
    let active = text(described, "state") == Some("ENABLED");
    let resource = place.resource(Kind::GcpService, id, name, kept);
    Some(Resource { active, owner: Some(id_of(&place.project)), ..resource })
}

fn id_of(project: &str) -> NativeId {
    NativeId::new(format!("//cloudresourcemanager.googleapis.com/projects/{project}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::of_project("shop-prod")
    }

    #[test]
    fn a_policy_keeps_its_conditions_and_no_etag() {
        let binding =
            json!({ "role": "roles/owner", "members": ["user:a@shop.example"], "condition": { "title": "t" } });
        let audit = json!([{ "service": "allServices", "auditLogConfigs": [{ "logType": "DATA_READ" }] }]);
        let answer = json!({ "version": 3, "etag": "BwY", "bindings": [binding], "auditConfigs": audit });
        let policy = policy(&place(), answer).unwrap();
        assert_eq!(policy.native_id.as_str(), "//cloudresourcemanager.googleapis.com/projects/shop-prod/iamPolicy");
        assert_eq!((policy.name.as_str(), policy.kind, policy.region), ("shop-prod", Kind::GcpIamPolicy, None));
        assert_eq!(policy.owner, Some(id_of("shop-prod")));
        assert_eq!(policy.config, json!({ "version": 3, "bindings": [binding], "auditConfigs": audit }));
    }

    #[test]
    fn an_empty_policy_is_one_and_an_unusable_answer_is_none() {
        let empty = policy(&place(), json!({ "etag": "ACAB" })).unwrap();
        assert_eq!(empty.config, json!({ "bindings": [] }));
        assert_eq!(policy(&place(), json!([])), None);
    }

    #[test]
    fn a_service_is_cut_down_to_what_tells_of_the_project() {
        let name = "projects/77/services/container.googleapis.com";
        let answer = json!({ "name": name, "parent": "projects/77", "state": "ENABLED",
            "config": { "name": "container.googleapis.com", "title": "Kubernetes Engine API", "usage": {} } });
        let found = service(&place(), &answer).unwrap();
        assert_eq!(
            found.native_id.as_str(),
            "//serviceusage.googleapis.com/projects/shop-prod/services/container.googleapis.com"
        );
        assert_eq!((found.name.as_str(), found.active), ("container.googleapis.com", true));
        let config = json!({ "name": "container.googleapis.com", "title": "Kubernetes Engine API" });
        let kept = json!({ "name": name, "parent": "projects/77", "state": "ENABLED", "config": config });
        assert_eq!(found.config, kept);
        assert_eq!(service(&place(), &json!({ "state": "ENABLED" })), None);
    }
}
