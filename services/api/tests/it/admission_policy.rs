use axum::http::{StatusCode, header};
use rampart_store::Role;

use crate::support::start;

const PLACE: &str = "validating-admission-policy";

#[tokio::test]
async fn a_control_is_an_admission_policy_or_says_why_not() {
    let api = start().await;
    let world = api.world("alpha").await;
    let reader = api.scoped(&world, Role::SecurityReader, world.cluster).await;
    let policy = api.get(&format!("/v1/controls/k8s.pod.privileged/{PLACE}"), &reader).await.expect(StatusCode::OK);
    assert_eq!(policy.headers[header::CONTENT_TYPE], "application/yaml");
    let documents: Vec<&str> = policy.text.split("---\n").collect();
    assert!(documents[0].contains("kind: ValidatingAdmissionPolicy\n") && documents[0].contains("privileged"));
    assert!(documents[1].contains("kind: ValidatingAdmissionPolicyBinding\n"), "{}", policy.text);
    assert!(documents[1].contains("validationActions:\n    - Audit\n"), "{}", policy.text);
    // `{"allowed":["/var/log"]}`
    let query = "params=%7B%22allowed%22%3A%5B%22%2Fvar%2Flog%22%5D%7D&actions=Deny,Audit";
    let policy = api.get(&format!("/v1/controls/k8s.pod.host_path/{PLACE}?{query}"), &world.owner).await;
    let policy = policy.expect(StatusCode::OK).text;
    assert!(policy.contains("['/var/log']") && policy.contains("    - Deny\n    - Audit\n"), "{policy}");

    for (path, status, code) in [
        ("k8s.ns.resource_quota/{}", StatusCode::UNPROCESSABLE_ENTITY, "not_exportable"),
        ("k8s.pod.capability_forbidden/{}", StatusCode::UNPROCESSABLE_ENTITY, "not_exportable"),
        ("k8s.pod.none/{}", StatusCode::NOT_FOUND, "not_found"),
        ("k8s.pod.privileged/{}?actions=Refuse", StatusCode::BAD_REQUEST, "invalid_query"),
        ("k8s.pod.privileged/{}?actions=Warn,Deny", StatusCode::BAD_REQUEST, "invalid_query"),
        ("k8s.pod.host_path/{}?params=%5B%5D", StatusCode::BAD_REQUEST, "invalid_query"),
        ("k8s.pod.host_path/{}?params=%7B%22stray%22%3A1%7D", StatusCode::BAD_REQUEST, "invalid_query"),
        ("k8s.pod.host_path/{}?stray=1", StatusCode::BAD_REQUEST, "invalid_query"),
    ] {
        let path = format!("/v1/controls/{}", path.replace("{}", PLACE));
        let answered = api.get(&path, &world.owner).await.expect(status);
        assert_eq!(answered.code(), code, "{path}: {}", answered.text);
    }
}
