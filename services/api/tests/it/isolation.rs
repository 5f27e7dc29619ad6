//! Ids of another tenant, of nobody, and of what lies outside of the caller's scope: in every field of every body and in
//! every parameter that takes one. Paths are tried by the authorisation tests.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use rampart_store::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::authorisation::path;
use crate::document::{Operation, operations};
use crate::support::{Answered, TestApi, World, control_source, start};

/// Ids to try.
#[derive(Debug, Clone, Copy)]
struct Ids {
    cluster: Uuid,
    resource: Uuid,
    assignment: Uuid,
}

impl Ids {
    fn of(world: &World) -> Self {
        Self { cluster: world.cluster, resource: world.resource, assignment: world.assignment }
    }

    fn of_nobody() -> Self {
        Self { cluster: Uuid::new_v4(), resource: Uuid::new_v4(), assignment: Uuid::new_v4() }
    }
}

/// A body with an id in one field: the operation, the field as [`id_fields`] names it, and the body.
type Tried = (&'static str, String, Value);

/// The body with `scope` in its field, once for each kind of scope that names a cluster.
fn scoped(
    operation: &'static str,
    pointer: &str,
    cluster: Uuid,
    body: &Value,
    put: fn(&mut Value, Value),
) -> Vec<Tried> {
    let scopes = [
        json!({"type": "cluster", "cluster_id": cluster}),
        json!({"type": "namespace", "cluster_id": cluster, "namespace": "shop"}),
    ];
    let with = |scope| {
        let mut body = body.clone();
        put(&mut body, scope);
        (operation, format!("{pointer}/cluster_id"), body)
    };
    scopes.into_iter().map(with).collect()
}

/// Every body that names something by its id.
fn bodies(ids: Ids) -> Vec<Tried> {
    let mut tried = Vec::new();
    let at_top: fn(&mut Value, Value) = |body, scope| body["scope"] = scope;
    let rule = json!({"name": "new", "priority": 1, "owner": "jo"});
    let critical = json!({"name": "new", "level": "critical"});
    let assigned = json!({"name": "new", "initiative": "pss-baseline"});
    for (operation, body) in [
        ("create_assignment", &assigned),
        ("update_assignment", &assigned),
        ("create_governance_rule", &rule),
        ("update_governance_rule", &rule),
        ("create_criticality_rule", &critical),
        ("update_criticality_rule", &critical),
        ("disable_control", &json!({"control": "k8s.pod.privileged", "reason": "r"})),
        ("start_policy_trial", &json!({"format": "control", "source": control_source("custom.tried")})),
        ("start_what_if", &json!({"changes": [{"type": "fix", "control": "k8s.pod.privileged"}]})),
    ] {
        tried.extend(scoped(operation, "/scope", ids.cluster, body, at_top));
    }
    let token = json!({"name": "new", "grants": [{"role": "owner"}]});
    let in_grant = |body: &mut Value, scope| body["grants"][0]["scope"] = scope;
    tried.extend(scoped("create_token", "/grants/-/scope", ids.cluster, &token, in_grant));
    tried.push(("start_pod_security_readiness", "/cluster_id".to_owned(), json!({"cluster_id": ids.cluster})));

    for (word, id) in [("cluster", ids.cluster), ("resource", ids.resource)] {
        let condition = json!({ (word): id });
        for condition in [&condition, &json!({"any_of": [condition]}), &json!({"all_of": [condition]})] {
            let terms = json!({"controls": ["k8s.pod.privileged"], "where": condition});
            let mut whole = terms.clone();
            for (field, value) in [("name", "new"), ("category", "waiver"), ("reason", "r")] {
                whole[field] = value.into();
            }
            for (operation, body) in
                [("create_exemption", &whole), ("update_exemption", &whole), ("preview_exemption", &terms)]
            {
                tried.push((operation, format!("/where/{word}"), body.clone()));
            }
        }
    }
    let provider = json!({"name": "new", "issuer": "https://new.example", "rules": [
        {"claims": [{"path": "/groups", "value": "all"}], "role": "security_reader"}]});
    let in_rule = |body: &mut Value, scope| body["rules"][0]["scope"] = scope;
    let webhook = json!({"name": "new", "url": "https://hooks.example/new", "events": ["scan.finished"],
        "filter": {"clusters": [ids.cluster]}});
    for operation in ["create_identity_provider", "update_identity_provider"] {
        tried.extend(scoped(operation, "/rules/-/scope", ids.cluster, &provider, in_rule));
    }
    for operation in ["create_webhook", "update_webhook"] {
        tried.push((operation, "/filter/clusters/-".to_owned(), webhook.clone()));
    }
    tried.extend(changes(ids));
    tried
}

/// Every hypothetical change that names something by its id.
fn changes(ids: Ids) -> Vec<Tried> {
    let Ids { cluster, resource, assignment } = ids;
    let everywhere = json!({"type": "tenant"});
    let changes = [
        ("resource_id", json!({"type": "delete", "resource_id": resource})),
        ("resource_id", json!({"type": "merge_patch", "resource_id": resource, "patch": {}})),
        (
            "resource_id",
            json!({"type": "patch", "resource_id": resource, "patch": [{"op": "remove", "path": "/spec"}]}),
        ),
        ("resources/-", json!({"type": "fix", "control": "k8s.pod.privileged", "resources": [resource]})),
        ("assignment_id", json!({"type": "unassign", "assignment_id": assignment})),
        (
            "assignment_id",
            json!({"type": "reassign", "assignment_id": assignment, "initiative": "pss-baseline", "scope": everywhere}),
        ),
    ];
    let asked = |(field, change)| ("start_what_if", format!("/changes/-/{field}"), json!({ "changes": [change] }));
    let mut tried: Vec<Tried> = changes.into_iter().map(asked).collect();
    let assign = json!({"changes": [{"type": "assign", "initiative": "pss-baseline"}]});
    let in_change = |body: &mut Value, scope| body["changes"][0]["scope"] = scope;
    tried.extend(scoped("start_what_if", "/changes/-/scope", cluster, &assign, in_change));
    tried
}

/// The fields of bodies that hold ids, as the document says: operation and pointer, with `-` for any item of a list.
fn id_fields(document: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let mut pointers = BTreeSet::new();
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            collect(document, schema, "", &mut Vec::new(), &mut pointers);
            let id = operation["operationId"].as_str().unwrap();
            found.extend(pointers.into_iter().map(|pointer| (id.to_owned(), pointer)));
        }
    }
    found
}

/// What a shape holds; one that holds itself is followed once.
fn collect(document: &Value, schema: &Value, at: &str, inside: &mut Vec<String>, found: &mut BTreeSet<String>) {
    if !schema.is_object() {
        return;
    }
    if let Some(place) = schema["$ref"].as_str() {
        if !inside.iter().any(|outer| outer == place) {
            inside.push(place.to_owned());
            collect(document, document.pointer(&place[1..]).unwrap(), at, inside, found);
            inside.pop();
        }
        return;
    }
    if schema["format"] == "uuid" {
        found.insert(at.to_owned());
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        collect(document, field, &format!("{at}/{name}"), inside, found);
    }
    for (word, step) in [("items", "/-"), ("additionalProperties", "/*")] {
        collect(document, &schema[word], &format!("{at}{step}"), inside, found);
    }
    for word in ["oneOf", "anyOf", "allOf"] {
        for part in schema[word].as_array().into_iter().flatten() {
            collect(document, part, at, inside, found);
        }
    }
}

async fn call(api: &TestApi, operation: &Operation, world: &World, token: &str, body: &Value) -> Answered {
    let headers: &[_] = if operation.method == Method::PUT { &[("if-match", "*")] } else { &[] };
    api.call(operation.method.clone(), &path(operation, world), token, headers, Some(body.clone())).await
}

#[test]
fn every_field_that_takes_an_id_is_tried() {
    let document = serde_json::to_value(rampart_api::openapi()).unwrap();
    let tried: BTreeSet<_> =
        bodies(Ids::of_nobody()).into_iter().map(|(operation, pointer, _)| (operation.to_owned(), pointer)).collect();
    let stated = id_fields(&document);
    assert!(stated.len() > 20, "{stated:?}");
    let (untried, unknown): (Vec<_>, Vec<_>) =
        (stated.difference(&tried).collect(), tried.difference(&stated).collect());
    assert!(untried.is_empty() && unknown.is_empty(), "not tried: {untried:?}; not in the document: {unknown:?}");
}

#[tokio::test]
async fn an_id_of_another_tenant_or_of_nobody_in_a_body_is_not_found() {
    let api = start().await;
    let (own, foreign) = (api.world("alpha").await, api.world("beta").await);
    let operations = operations();
    for ids in [Ids::of(&foreign), Ids::of_nobody()] {
        for (id, pointer, body) in bodies(ids) {
            let operation = operations.iter().find(|operation| operation.id == id).unwrap();
            let answered = call(&api, operation, &own, &own.owner, &body).await;
            assert_eq!(answered.status, StatusCode::NOT_FOUND, "{id} {pointer} with {body}: {}", answered.text);
            assert_eq!(answered.code(), "not_found", "{id} {pointer}");
            assert!(!answered.text.to_lowercase().contains("beta"), "{id} {pointer}: {}", answered.text);
        }
    }
    for (id, pointer, body) in bodies(Ids::of(&own)) {
        let operation = operations.iter().find(|operation| operation.id == id).unwrap();
        let answered = call(&api, operation, &own, &own.owner, &body).await;
        // Of one's own the same body is taken, or refused for another reason: the name may be taken by now.
        let fits = answered.status.is_success() || answered.status == StatusCode::CONFLICT;
        assert!(fits, "{id} {pointer} with {body}: {} {}", answered.status, answered.text);
    }
}

#[tokio::test]
async fn an_id_outside_of_the_scope_in_a_body_is_not_found() {
    let api = start().await;
    let world = api.world("alpha").await;
    let elsewhere = api.scoped(&world, Role::Owner, world.other_cluster).await;
    let operations = operations();
    for (id, pointer, body) in bodies(Ids::of(&world)) {
        let operation = operations.iter().find(|operation| operation.id == id).unwrap();
        let answered = call(&api, operation, &world, &elsewhere, &body).await;
        // These belong to the whole tenant: an owner of a part makes none at all.
        let whole = ["create_token", "create_identity_provider", "create_webhook"];
        let expected = if whole.contains(&id) { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND };
        assert_eq!(answered.status, expected, "{id} {pointer} with {body}: {}", answered.text);
        assert!(!answered.text.contains("alpha-one"), "{id} {pointer}: {}", answered.text);
    }
}

#[tokio::test]
async fn an_id_of_another_tenant_in_a_query_finds_nothing() {
    let api = start().await;
    let (own, foreign) = (api.world("alpha").await, api.world("beta").await);
    let document = serde_json::to_value(rampart_api::openapi()).unwrap();
    let mut tried = 0;
    for operation in operations().into_iter().filter(|operation| operation.method == Method::GET) {
        let stated = &document["paths"][&operation.path]["get"]["parameters"];
        for parameter in stated.as_array().into_iter().flatten().filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            let value = match name {
                "cluster" => foreign.cluster,
                "resource" | "owner" => foreign.resource,
                "fix_unit" => foreign.fix_unit,
                "exemption" => foreign.exemption,
                "connector" => foreign.connector,
                "actor" | "target" => foreign.token,
                _ => {
                    assert_ne!(
                        parameter["schema"]["format"], "uuid",
                        "{} ?{name}: say what stands for it",
                        operation.id
                    );
                    continue;
                }
            };
            let asked = path(&operation, &own);
            let mark = if asked.contains('?') { '&' } else { '?' };
            let answered = api.get(&format!("{asked}{mark}{name}={value}"), &own.owner).await;
            let text = answered.text.to_lowercase();
            assert!(!text.contains("beta"), "{} ?{name}: {text}", operation.id);
            // Exports are of a moment, of which not everything can be asked.
            let of_the_past = operation.id.starts_with("export") && answered.status == StatusCode::BAD_REQUEST;
            if answered.status != StatusCode::NOT_FOUND && !of_the_past {
                assert_eq!(answered.status, StatusCode::OK, "{} ?{name}: {text}", operation.id);
                let is_empty = if operation.id.starts_with("export") {
                    text.starts_with(r#"{"summary":{"#) && text.contains(r#""rows":0"#)
                } else {
                    answered.json()["items"] == json!([])
                };
                assert!(is_empty, "{} ?{name}: {text}", operation.id);
            }
            tried += 1;
        }
    }
    assert!(tried > 15, "{tried}");
}
