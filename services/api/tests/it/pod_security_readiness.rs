use axum::http::{Method, StatusCode};
use rampart_domain::ClusterId;
use rampart_store::job::pod_security::{Blocker, Namespace, Refuser, Report, Stranded, Summary, Unjudged, Violation};
use rampart_store::{AccessScope, Role};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::start;

const PLACE: &str = "/v1/pod-security-readiness";

/// A report with something in every field.
fn report() -> Report {
    let words = |word: &str| word.to_owned();
    let blocker = Blocker {
        resource_id: Uuid::new_v4(),
        kind: words("Deployment"),
        name: words("web"),
        running: true,
        template: false,
        pods: 2,
        controls: vec![Violation { control: words("k8s.pod.host_path"), message: words("volume agent") }],
    };
    let namespace = Namespace {
        namespace: words("shop"),
        system: false,
        labels: [("enforce".to_owned(), "baseline".to_owned())].into(),
        enforced: words("baseline"),
        level: Some(words("privileged")),
        standing: Some(words("above")),
        next_level: Some(words("baseline")),
        blockers: vec![blocker],
        unknown: vec![words("k8s.job was not read to the end")],
        cautions: vec![words("1 running pod(s)")],
        command: Some(words("kubectl label")),
    };
    let refuser = Refuser { r#type: words("gatekeeper"), name: words("K8sNo/no"), message: words("no") };
    let stranded = Stranded {
        namespace: words("shop"),
        resource_id: Uuid::new_v4(),
        kind: words("Deployment"),
        name: words("web"),
        pods: 1,
        running: 2,
        refused_by: vec![refuser],
    };
    let unjudged = Unjudged {
        r#type: words("validating_webhook"),
        name: words("c/w"),
        reason: words("its own"),
        namespaces: vec![words("shop")],
    };
    Report {
        cluster_version: Some(words("v1.33.1")),
        judged_version: words("v1.33"),
        summary: Summary { namespaces: [("privileged".to_owned(), 1)].into(), pods: 2, ..Summary::default() },
        namespaces: vec![namespace],
        will_not_come_back: vec![stranded],
        may_also_refuse: vec![unjudged],
        unread: vec![words("k8s.job")],
        not_found: vec![words("other")],
    }
}

#[tokio::test]
async fn a_readiness_is_asked_for_and_read_when_it_is_done() {
    let api = start().await;
    let world = api.world("alpha").await;
    let body = json!({"cluster_id": world.cluster, "namespaces": ["shop"], "version": "v1.28"});
    let key = [("idempotency-key", "once")];
    let ask = || api.call(Method::POST, PLACE, &world.owner, &key, Some(body.clone()));
    let asked = ask().await.expect(StatusCode::ACCEPTED);
    let begun = asked.json();
    let place = format!("{PLACE}/{}", begun["id"].as_str().unwrap());
    assert_eq!(asked.headers["location"].to_str().unwrap(), place);
    assert_eq!(ask().await.json()["id"], begun["id"], "the same request is not done twice");
    let waiting = api.get(&place, &world.owner).await.expect(StatusCode::OK).json();
    let what = ["status", "result", "namespaces", "version"].map(|field| waiting[field].clone());
    assert_eq!(what, [json!("queued"), Value::Null, json!(["shop"]), json!("v1.28")]);

    let report = json!(report());
    let id = begun["id"].as_str().unwrap();
    let done = format!(
        "update jobs set status = 'succeeded', finished_at = now(), done = 1, total = 1, result = '{report}' where job_id = '{id}'"
    );
    api.db.run(&done).await;
    let read = api.get(&place, &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!(
        (&read["status"], &read["result"]),
        (&json!("succeeded"), &report),
        "nothing that was worked out is lost"
    );
    let list = api.get(&format!("{PLACE}?limit=1"), &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!((&list["items"][0]["id"], list["items"][0].get("result")), (&begun["id"], None));
    assert!(list["next_cursor"].is_string(), "there is an earlier one: {list}");
}

#[tokio::test]
async fn what_does_not_fit_is_told_by_field() {
    let api = start().await;
    let world = api.world("alpha").await;
    let cluster = world.cluster;
    for (body, fields) in [
        (json!({}), vec![]),
        (json!({"cluster_id": cluster, "colour": "red"}), vec![]),
        (json!({"cluster_id": cluster, "version": "1.28"}), vec!["/version"]),
        (json!({"cluster_id": cluster, "version": "v1.99"}), vec!["/version"]),
        (json!({"cluster_id": cluster, "namespaces": ["ok", "No", ""]}), vec!["/namespaces/1", "/namespaces/2"]),
        (json!({"cluster_id": cluster, "namespaces": vec!["a"; 501]}), vec!["/namespaces"]),
    ] {
        let answered = api.post(PLACE, &world.owner, body.clone()).await.expect(StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answered.code(), "invalid_body");
        let told: Vec<Value> = answered.json()["errors"].as_array().into_iter().flatten().cloned().collect();
        let told: Vec<&str> = told.iter().filter_map(|error| error["field"].as_str()).collect();
        assert_eq!(told, fields, "{body}");
    }
}

#[tokio::test]
async fn only_who_asked_or_sees_everything_reads_it() {
    let api = start().await;
    let (world, foreign) = (api.world("alpha").await, api.world("beta").await);
    let cluster = ClusterId(world.cluster);
    let shop = AccessScope::Namespace(cluster, "shop".into());
    let token = api.token(world.tenant, Role::SecurityReader, shop).await;
    let other = api.scoped(&world, Role::SecurityReader, world.cluster).await;
    let body = json!({"cluster_id": world.cluster});
    let begun = api.post(PLACE, &token, body.clone()).await.expect(StatusCode::ACCEPTED).json();
    let place = format!("{PLACE}/{}", begun["id"].as_str().unwrap());
    for (who, token, status) in [
        ("who asked", &token, StatusCode::OK),
        ("the owner", &world.owner, StatusCode::OK),
        ("another reader of the cluster", &other, StatusCode::NOT_FOUND),
        ("another tenant", &foreign.owner, StatusCode::NOT_FOUND),
    ] {
        assert_eq!(api.get(&place, token).await.status, status, "{who}");
    }
    for (who, token) in [("another tenant", &foreign.owner), ("a reader of another cluster", &other)] {
        let elsewhere = if token == &other { json!({"cluster_id": world.other_cluster}) } else { body.clone() };
        let refused = api.post(PLACE, token, elsewhere).await.expect(StatusCode::NOT_FOUND);
        assert_eq!(refused.code(), "not_found", "{who}");
    }
    let listed = api.get(&format!("{PLACE}?limit=10"), &other).await.expect(StatusCode::OK).json();
    assert_eq!(listed["items"], json!([]));
}
