use axum::http::{Method, StatusCode};
use rampart_store::Role;
use serde_json::{Value, json};

use crate::audit;
use crate::document::{Operation, operations};
use crate::support::{Answered, POLICY, TestApi, World, control_source, start};

/// The operation on what a world has.
pub(crate) fn path(operation: &Operation, world: &World) -> String {
    let concerns = |nouns: [&str; 2]| nouns.iter().any(|noun| operation.path.contains(noun));
    // Only an organisation has accounts; only a connector that is pushed to has a collector and takes batches.
    let connector = match () {
        () if concerns(["/accounts", "/previews"]) => world.organization,
        () if concerns(["/collector", "/batches"]) => world.pushed,
        () => world.connector,
    };
    let path = operation
        .path
        .replace("{connector}", &connector.to_string())
        .replace("{account}", &world.account)
        .replace("{readiness_id}", &world.readiness.to_string())
        .replace("{preview_id}", &world.preview.to_string())
        .replace("{plan}", "posture")
        .replace("{session_id}", &world.session.to_string())
        .replace("{preflight_id}", &world.preflight.to_string())
        .replace("{scan_id}", &world.scan.to_string())
        .replace("{cluster_id}", &world.cluster.to_string())
        .replace("{resource_id}", &world.resource.to_string())
        .replace("{finding_bundle_id}", &world.finding_bundle.to_string())
        .replace("{finding_id}", &format!("{}.0", world.resource))
        .replace("{control_id}", "k8s.pod.privileged")
        .replace("{framework}", "cis-eks-1.8.0")
        .replace("{fix_unit_id}", &world.fix_unit.to_string())
        .replace("{digest}", &world.digest)
        .replace("{name}", &world.initiative)
        .replace("{custom_control}", &world.custom_control)
        .replace("{bundle}", &world.bundle)
        .replace("{trial_id}", &world.trial.to_string())
        .replace("{assignment_id}", &world.assignment.to_string())
        .replace("{exemption_id}", &world.exemption.to_string())
        .replace("{disabled_control_id}", &world.disabled_control.to_string())
        .replace("{governance_rule_id}", &world.governance_rule.to_string())
        .replace("{criticality_rule_id}", &world.criticality_rule.to_string())
        .replace("{token_id}", &world.token.to_string())
        .replace("{identity_provider_id}", &world.identity_provider.to_string())
        .replace("{entry_id}", &world.audit_entry.to_string())
        .replace("{what_if_id}", &world.what_if.to_string())
        .replace("{webhook_id}", &world.webhook.to_string())
        .replace("{delivery_id}", &world.delivery.to_string())
        .replace("{cloud}", "aws");
    assert!(!path.contains('{'), "{path}: say what stands for the parameter");
    if path.ends_with("/diff") {
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        return format!("{path}?limit=100&from={now}&to={now}");
    }
    if operation.is_list { format!("{path}?limit=100") } else { path }
}

pub(crate) fn body(operation: &Operation, world: &World) -> Option<Value> {
    match operation.id.as_str() {
        "create_connector" => Some(json!({"name": "new", "source": {"provider": "kubernetes",
            "server": "https://k.example", "token": "t"}})),
        "create_connectors" => Some(json!({"connectors": [{"name": "new", "source": {"provider": "kubernetes",
            "server": "https://k.example", "token": "t"}}]})),
        "add_accounts" | "exclude_accounts" | "release_accounts" => Some(json!({"accounts": [world.account]})),
        "set_connector_pricing" | "set_cluster_pricing" => Some(json!({"enabled": false})),
        "create_initiative" => Some(json!({"name": "new", "title": "t", "controls": [{"id": "*"}]})),
        "update_initiative" => Some(json!({"title": "t", "controls": [{"id": "*"}]})),
        "create_custom_control" => Some(json!({"source": control_source("custom.new")})),
        "update_custom_control" => Some(json!({"source": control_source(&world.custom_control)})),
        "create_policies" => Some(json!({"name": "new", "source": POLICY})),
        "update_policies" => Some(json!({"source": POLICY})),
        "start_policy_trial" => Some(json!({"format": "policies", "source": POLICY,
            "scope": {"type": "cluster", "cluster_id": world.cluster}})),
        "create_assignment" | "update_assignment" => Some(json!({"name": "new", "initiative": "pss-baseline",
            "scope": {"type": "cluster", "cluster_id": world.cluster}})),
        "start_finding_bundle" => Some(json!({"finding_id": format!("{}.0", world.resource)})),
        "start_pod_security_readiness" => Some(json!({"cluster_id": world.cluster})),
        "create_exemption" | "update_exemption" => Some(json!({"name": "new", "category": "waiver", "reason": "r",
            "controls": ["k8s.pod.privileged"], "where": {"cluster": world.cluster}})),
        "preview_exemption" => Some(json!({"controls": ["k8s.pod.privileged"], "where": {"cluster": world.cluster}})),
        "disable_control" => Some(json!({"control": "k8s.pod.privileged", "reason": "r",
            "scope": {"type": "cluster", "cluster_id": world.cluster}})),
        "create_governance_rule" | "update_governance_rule" => Some(json!({"name": "new", "priority": 1,
            "owner": "jo", "scope": {"type": "cluster", "cluster_id": world.cluster}})),
        "create_criticality_rule" | "update_criticality_rule" => Some(json!({"name": "new", "level": "critical",
            "scope": {"type": "cluster", "cluster_id": world.cluster}})),
        "set_finding_assignment" => Some(json!({"owner": "jo"})),
        "start_what_if" => Some(json!({"scope": {"type": "cluster", "cluster_id": world.cluster},
            "changes": [{"type": "fix", "control": "k8s.pod.privileged"}]})),
        "create_identity_provider" | "update_identity_provider" => Some(json!({"name": "new",
            "issuer": "https://other.example", "rules": [{"claims": [{"path": "/groups", "value": "all"}],
            "role": "security_reader", "scope": {"type": "tenant"}}]})),
        "create_webhook" | "update_webhook" => Some(json!({"name": "new", "url": "https://hooks.example/new",
            "events": ["scan.finished"]})),
        "replay_webhook_deliveries" => Some(json!({"since": "2026-01-01T00:00:00Z"})),
        "create_token" => Some(json!({"name": "new", "grants": [{"role": "owner", "scope": {"type": "tenant"}}]})),
        _ if operation.method == Method::GET || operation.method == Method::DELETE => None,
        _ => Some(json!({})),
    }
}

pub(crate) async fn call(api: &TestApi, operation: &Operation, world: &World, token: &str) -> Answered {
    let headers: &[_] =
        if matches!(operation.method, Method::PUT | Method::PATCH) { &[("if-match", "*")] } else { &[] };
    if operation.id == "create_batch" {
        return api.push(&path(operation, world), token, world.batch.clone()).await;
    }
    api.call(operation.method.clone(), &path(operation, world), token, headers, body(operation, world)).await
}

/// What anybody may read: how clouds check statements of Rampart as an OIDC issuer. Nothing else.
const PUBLIC: [&str; 2] = ["get_issuer_keys", "get_openid_configuration"];

/// Whether an answer does not depend on who asks, nor on what the tenant has.
fn is_the_products(operation: &Operation) -> bool {
    operation.is_public || ["{control_id}", "{framework}", "{cloud}"].iter().any(|part| operation.path.contains(part))
}

#[tokio::test]
async fn nothing_answers_without_a_valid_token() {
    let api = start().await;
    let world = api.world("alpha").await;
    let expired = api.scoped(&world, Role::Owner, world.cluster).await;
    let hash = rampart_store::token::hex(&rampart_store::token::hash(&expired));
    api.db.run(&format!("update tokens set expires_at = now() where hash = '\\x{hash}'")).await;
    let revoked = api
        .post(
            "/v1/tokens",
            &world.owner,
            json!({"name": "gone",
        "grants": [{"role": "owner", "scope": {"type": "tenant"}}]}),
        )
        .await
        .json();
    let place = format!("/v1/tokens/{}", revoked["id"].as_str().unwrap());
    api.call(Method::DELETE, &place, &world.owner, &[], None).await.expect(StatusCode::NO_CONTENT);
    let unknown = format!("rmp_{}", "A".repeat(43));
    let tokens = [
        ("none", ""),
        ("expired", &expired),
        ("revoked", revoked["secret"].as_str().unwrap()),
        ("unknown", &unknown),
        ("garbage", "x"),
    ];
    let public: Vec<_> = operations().into_iter().filter(|it| it.is_public).map(|it| it.id).collect();
    assert_eq!(public, PUBLIC);
    for operation in operations() {
        for (what, token) in tokens {
            let answered = call(&api, &operation, &world, token).await;
            if operation.is_public {
                assert_eq!(answered.status, StatusCode::OK, "{} with {what} token: {}", operation.id, answered.text);
                assert_eq!(answered.headers["cache-control"], "public, max-age=3600");
                continue;
            }
            assert_eq!(answered.status, StatusCode::UNAUTHORIZED, "{} with {what} token", operation.id);
            assert_eq!(answered.code(), "unauthenticated");
            assert!(answered.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"), "{}", operation.id);
        }
    }
}

#[tokio::test]
async fn the_owner_may_do_everything_and_each_change_is_in_the_audit_log() {
    let api = start().await;
    for operation in operations() {
        // Each on a world of its own: some operations take away what others need.
        let world = api.world(&operation.id.replace('_', "-")).await;
        let answered = call(&api, &operation, &world, &world.owner).await;
        assert!(answered.status.is_success(), "{}: {} {}", operation.id, answered.status, answered.text);
        audit::check(&api, &world, &operation, &answered).await;
    }
}

#[tokio::test]
async fn what_belongs_to_another_tenant_is_not_there() {
    let api = start().await;
    let (own, foreign) = (api.world("alpha").await, api.world("beta").await);
    for operation in operations() {
        let answered = call(&api, &operation, &foreign, &own.owner).await;
        let text = answered.text.to_lowercase();
        assert!(!text.contains("beta") && !text.contains(&foreign.tenant.to_string()), "{}: {text}", operation.id);
        if operation.path.contains('{') && !is_the_products(&operation) {
            assert_eq!(answered.status, StatusCode::NOT_FOUND, "{}: {}", operation.id, answered.text);
            assert_eq!(answered.code(), "not_found", "{}", operation.id);
        }
    }
    let left = api.get(&format!("/v1/connectors/{}", foreign.connector), &foreign.owner).await.json();
    assert_eq!(left["deleting"], false, "another tenant's token deleted it");
}

#[tokio::test]
async fn what_lies_outside_the_scope_is_not_there() {
    let api = start().await;
    let world = api.world("alpha").await;
    let elsewhere = api.scoped(&world, Role::Owner, world.other_cluster).await;
    let whole_tenant = [
        "get_tenant",
        "list_controls",
        "get_control",
        "list_initiatives",
        "get_initiative",
        "get_custom_control",
        "list_custom_control_versions",
        "get_policies",
        "list_policies_versions",
    ];
    for operation in operations() {
        let answered = call(&api, &operation, &world, &elsewhere).await;
        assert!(!answered.text.contains("alpha-one"), "{}: {}", operation.id, answered.text);
        assert!(!answered.text.contains(&world.resource.to_string()), "{}: {}", operation.id, answered.text);
        let named = operation.path.contains('{') && !is_the_products(&operation);
        // What everybody in the tenant sees is there, and is not theirs to change.
        let seen = ["{name}", "{custom_control}", "{bundle}"].iter().any(|part| operation.path.contains(part));
        let refused = if named && !seen {
            answered.status == StatusCode::NOT_FOUND
        } else {
            matches!(answered.status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN)
        };
        // These belong to the whole tenant: an owner of a part does not even list them.
        let whole = ["list_tokens", "list_identity_providers", "list_audit_log"];
        let writes = operation.method != Method::GET || whole.contains(&operation.id.as_str());
        if (named || writes) && !whole_tenant.contains(&operation.id.as_str()) {
            assert!(refused, "{}: {} {}", operation.id, answered.status, answered.text);
        } else {
            assert_eq!(answered.status, StatusCode::OK, "{}: {}", operation.id, answered.text);
        }
    }
    let own = api.get("/v1/resources?limit=10", &elsewhere).await.json();
    assert_eq!(own["items"].as_array().unwrap().len(), 1, "{own}");
    assert_eq!(own["items"][0]["id"], world.other_resource.to_string());
}

/// Nouns whose reading takes the right to read findings.
const FINDINGS: [&str; 13] = [
    "bundle-keys",
    "finding-bundles",
    "findings",
    "fix-units",
    "recommendations",
    "secure-score",
    "compliance",
    "exemptions",
    "governance",
    "pod-security-readiness",
    "policy-trials",
    "what-if",
    "webhooks",
];

#[tokio::test]
async fn a_role_allows_what_it_says_and_no_more() {
    let api = start().await;
    let world = api.world("alpha").await;
    let token = |role| api.token(world.tenant, role, rampart_store::AccessScope::Tenant);
    let reader = token(Role::SecurityReader).await;
    let connectors = token(Role::ConnectorAdmin).await;
    let admin = token(Role::SecurityAdmin).await;
    for operation in operations() {
        let posts = operation.method != Method::GET;
        let tag = operation.path.split(['/', ':']).nth(2).unwrap();
        // What a job works out is a read, however it is asked for.
        let writes = posts && !matches!(tag, "finding-bundles" | "pod-security-readiness" | "what-if");
        let access = matches!(tag, "tokens" | "identity-providers");
        let connects = matches!(tag, "connectors" | "scans") || operation.path.contains("/pricings");
        let exported = matches!(operation.id.as_str(), "export_findings" | "export_recommendations");
        let findings = FINDINGS.contains(&tag) || operation.id.contains("verdicts") || exported;
        let forbidden = [
            ("reader", &reader, writes || access || tag == "audit-log"),
            ("connector admin", &connectors, findings || access || tag == "audit-log" || (writes && !connects)),
            ("security admin", &admin, access || (writes && connects)),
        ];
        for (who, token, forbidden) in forbidden {
            if forbidden {
                let answered = call(&api, &operation, &world, token).await.expect(StatusCode::FORBIDDEN);
                assert_eq!(answered.code(), "forbidden", "{} as {who}", operation.id);
            } else if !writes {
                let answered = call(&api, &operation, &world, token).await;
                let expected = if posts { StatusCode::ACCEPTED } else { StatusCode::OK };
                assert_eq!(answered.status, expected, "{} as {who}: {}", operation.id, answered.text);
            }
        }
    }
    let seen = api.get(&format!("/v1/resources/{}", world.resource), &connectors).await.json();
    assert_eq!(seen["health"], Value::Null, "a connector admin may not read findings: {seen}");
}
