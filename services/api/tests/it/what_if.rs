use axum::http::{Method, StatusCode};
use rampart_domain::{ClusterId, JobId};
use rampart_store::job::what_if::{Capped, Counts, Fixed, Method as How, Moved, Outcome, Pair, Score};
use rampart_store::{AccessScope, Role, job};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{TestApi, World, start};

const PLACE: &str = "/v1/what-if";

async fn check(api: &TestApi, token: &str, changes: &Value, expected: &[(&str, &str)]) {
    let answered = api.post(PLACE, token, json!({ "changes": changes })).await;
    // What is named and is not there makes it not found, once all else fits.
    let absent = expected.iter().all(|(_, part)| ["no resource", "no assignment", "no part"].contains(part));
    let status = if absent { StatusCode::NOT_FOUND } else { StatusCode::UNPROCESSABLE_ENTITY };
    assert_eq!(answered.status, status, "{changes}: {}", answered.text);
    let errors = answered.json()["errors"].as_array().unwrap().clone();
    let fields: Vec<&str> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(fields, expected.iter().map(|(field, _)| *field).collect::<Vec<_>>(), "{errors:?}");
    for (error, (_, part)) in errors.iter().zip(expected) {
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_told_by_its_field() {
    let api = start().await;
    let world = api.world("alpha").await;
    let (owner, id) = (world.owner.as_str(), world.resource);
    check(&api, owner, &json!([]), &[("/changes", "1 to 100")]).await;
    let delete = json!({"type": "delete", "resource_id": id});
    check(&api, owner, &Value::Array(vec![delete; 101]), &[("/changes", "1 to 100")]).await;
    let wrong = json!([{"type": "destroy"}, {"type": "delete", "resource_id": id, "now": true}, {"type": "patch"}]);
    let fields = [("/changes/0", "unknown variant"), ("/changes/1", "unknown field"), ("/changes/2", "missing field")];
    check(&api, owner, &wrong, &fields).await;
    let patch = json!([{"op": "add", "path": "/a"}, {"op": "move", "from": "a", "path": "/b~"}, {"op": "remove", "path": "/c"}]);
    let fields = [
        ("/changes/0/patch/0", "missing field `value`"),
        ("/changes/0/patch/1/from", "no JSON pointer"),
        ("/changes/0/patch/1/path", "no JSON pointer"),
    ];
    check(&api, owner, &json!([{"type": "patch", "resource_id": id, "patch": patch}]), &fields).await;
    let unknown = json!([
        {"type": "delete", "resource_id": Uuid::nil()},
        {"type": "fix", "control": "none", "resources": [id, Uuid::nil()]},
        {"type": "unassign", "assignment_id": Uuid::nil()},
        {"type": "assign", "initiative": "none", "scope": {"type": "tenant"}, "params": {"none": {}}},
        {"type": "initiative", "name": "pss-baseline", "controls": [{"id": "none"}]},
    ]);
    let fields = [
        ("/changes/1/control", "no control"),
        ("/changes/2/assignment_id", "no assignment"),
        ("/changes/3/initiative", "neither"),
        ("/changes/3/params/none", "neither"),
        ("/changes/4/name", "built-in"),
        ("/changes/4/controls/0/id", "selects no control"),
        ("/changes/0/resource_id", "no resource"),
        ("/changes/1/resources/1", "no resource"),
    ];
    check(&api, owner, &unknown, &fields).await;
    let made = json!([{"type": "initiative", "name": "new", "controls": [{"id": "*"}]},
                      {"type": "assign", "initiative": "new", "scope": {"type": "tenant"}}]);
    api.post(PLACE, owner, json!({ "changes": made })).await.expect(StatusCode::ACCEPTED);
    let beyond = json!({"changes": [{"type": "delete", "resource_id": id}], "dry_run": true});
    assert_eq!(api.post(PLACE, owner, beyond).await.code(), "invalid_body");
}

#[tokio::test]
async fn a_caller_asks_about_what_it_sees_and_only_it_reads_the_answer() {
    let api = start().await;
    let world = api.world("alpha").await;
    let World { cluster, resource, other_resource, .. } = world;
    let scope = AccessScope::Namespace(ClusterId(cluster), "shop".into());
    let reader = api.token(world.tenant, Role::SecurityReader, scope).await;
    let theirs = json!([{"type": "delete", "resource_id": other_resource}]);
    check(&api, &reader, &theirs, &[("/changes/0/resource_id", "no resource")]).await;
    let assignment = json!([{"type": "assign", "initiative": "pss-baseline",
        "scope": {"type": "cluster", "cluster_id": world.other_cluster}}]);
    check(&api, &reader, &assignment, &[("/changes/0/scope", "no part")]).await;
    let beyond = json!({"scope": {"type": "cluster", "cluster_id": world.other_cluster},
                        "changes": [{"type": "delete", "resource_id": resource}]});
    assert_eq!(api.post(PLACE, &reader, beyond).await.code(), "not_found");

    let body = json!({"changes": [{"type": "merge_patch", "resource_id": resource, "patch": {"spec": {"a": null}}}]});
    let headers = [("idempotency-key", "once"), ("prefer", "wait=1")];
    let ask = async || api.call(Method::POST, PLACE, &reader, &headers, Some(body.clone())).await;
    let asked = ask().await.expect(StatusCode::ACCEPTED);
    let again = ask().await.expect(StatusCode::ACCEPTED);
    assert_eq!(asked.json()["id"], again.json()["id"]);
    let place = asked.headers["location"].to_str().unwrap().to_owned();
    let seen = api.get(&place, &reader).await.expect(StatusCode::OK).json();
    assert_eq!(
        (&seen["status"], &seen["outcome"], &seen["changes"]),
        (&json!("queued"), &Value::Null, &body["changes"])
    );
    assert_eq!(seen["scope"], json!({"type": "tenant"}));
    let other = api.scoped(&world, Role::SecurityReader, cluster).await;
    assert_eq!(api.get(&place, &other).await.code(), "not_found");
    api.get(&place, &world.owner).await.expect(StatusCode::OK);
    let listed = api.get("/v1/what-if?limit=10", &reader).await.json();
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]["changes"]), (1, &json!(1)));
}

#[tokio::test]
async fn an_answer_is_shown_as_it_was_found() {
    let api = start().await;
    let world = api.world("alpha").await;
    let counts = |healthy| Counts { healthy, ..Counts::default() };
    let outcome = Outcome {
        as_of: chrono::Utc::now(),
        units: 1,
        unsettled: 0,
        judged: 2,
        score: Pair {
            before: Score::default(),
            after: Score { percent: Some(50.0), current: 3.0, max: 6, coverage: None },
        },
        groups: Vec::new(),
        controls: vec![Moved { id: "k8s.pod.privileged".into(), pair: Pair { before: counts(1), after: counts(2) } }],
        frameworks: Vec::new(),
        newly_failing: Capped::default(),
        newly_passing: Capped::default(),
        otherwise: Capped::default(),
        fixes: Capped {
            total: 1,
            items: vec![Fixed {
                change: 0,
                control_id: "k8s.pod.privileged".into(),
                resource_id: world.resource,
                method: How::Assumed,
                status: Some("healthy".into()),
            }],
        },
    };
    let mut tx = api.db.store.tenant(world.tenant).await.unwrap();
    job::end(&mut tx, JobId(world.what_if), Ok(&json!(outcome)), chrono::Utc::now()).await.unwrap();
    tx.commit().await.unwrap();
    let seen = api.get(&format!("{PLACE}/{}", world.what_if), &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!((&seen["status"], &seen["outcome"]), (&json!("succeeded"), &json!(outcome)));
    let listed = api.get("/v1/what-if?limit=10", &world.owner).await.json();
    assert_eq!(listed["items"][0]["status"], "succeeded");
}
