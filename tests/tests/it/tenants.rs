//! Two tenants read the same account and the same cluster, and neither sees anything of the other.

use std::collections::{BTreeMap, BTreeSet};

use platform_tests::{Client, Collector, Platform};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

const BINARY: &str = env!("CARGO_BIN_EXE_rampart-under-test");

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

fn first(items: &[Value], field: &str) -> String {
    items.first().map(|item| text(item, field)).filter(|id| !id.is_empty()).expect("there is one")
}

/// The source of a control of that id.
fn control(id: &str) -> String {
    format!(
        "id: {id}\nversion: 1\ntitle: Own\nseverity: low\ngroup: best_practices\ntype: data_plane\nkinds: [workload]\n\
         rationale: Why.\nviolation: has(resource.labels.bad)\nmessage: \"'wrong'\"\n\
         remediation: {{ text: Do., manual: by hand }}\nexamples:\n  - {{ name: a, status: healthy, object: {{}} }}\n  \
         - {{ name: b, status: unhealthy, object: {{}}, resource: {{ labels: {{ bad: x }} }} }}\n"
    )
}

/// An admission policy without a binding.
const POLICY: &str = "\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: replicas }
spec:
  matchConstraints:
    resourceRules: [{ apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments] }]
  validations:
    - expression: object.spec.replicas >= 2
";

/// The client of a tenant and the session that was pushed to it. Names of connectors, initiatives and tokens tell whose they are; everything else is the same for both.
async fn settled_tenant(platform: &Platform, name: &str) -> (Client, String) {
    let client = platform.tenant(name).await;
    client.onboard_cluster(&platform.simulator, &format!("{name}-cluster"), "factory-floor").await;
    let account = platform.simulator.accounts().remove(1).id;
    client.onboard_account(&platform.simulator, &format!("{name}-account"), &account).await;
    client.post(&format!("/v1/connectors/{name}-cluster/test"), &json!({})).await;
    let rules = json!({ "auto_add": false });
    client.onboard_organization(&platform.simulator, &format!("{name}-organization"), &rules, &[]).await;
    client.post(&format!("/v1/connectors/{name}-organization/previews"), &json!({})).await;
    let collector =
        Collector::onboard(BINARY, &client, &platform.simulator, &format!("{name}-pushed"), "factory-floor").await;
    let file = collector.path("session");
    collector.write(&file).await;
    let uploaded = collector.upload(&file).await;
    assert!(uploaded.status.success(), "{}", String::from_utf8_lossy(&uploaded.stderr));
    let initiative = json!({ "name": format!("{name}-own"), "title": name, "controls": [{ "id": "k8s.pod.*" }] });
    client.post("/v1/initiatives", &initiative).await;
    let exemption = json!({ "name": name, "category": "waiver", "reason": name, "controls": ["k8s.pod.host_port"],
        "where": { "namespace": "nowhere" } });
    client.post("/v1/exemptions", &exemption).await;
    let off = json!({ "control": "k8s.pod.host_port", "reason": name, "scope": { "type": "account", "account": "0" } });
    client.post("/v1/disabled-controls", &off).await;
    let rule = json!({ "name": format!("{name}-rule"), "priority": 1, "owner": name, "scope": { "type": "tenant" } });
    client.post("/v1/governance-rules", &rule).await;
    let rule = json!({ "name": format!("{name}-rule"), "level": "high", "scope": { "type": "tenant" } });
    client.post("/v1/criticality-rules", &rule).await;
    let source = control(&format!("custom.{name}"));
    client.post("/v1/custom-controls", &json!({ "source": source })).await;
    client.post("/v1/policies", &json!({ "name": name, "source": POLICY })).await;
    let changes = json!([{ "type": "fix", "control": "k8s.pod.privileged" }]);
    client.post("/v1/what-if", &json!({ "changes": changes })).await;
    let written = std::fs::read(&file).expect("the collector wrote it");
    let rule = json!({ "claims": [{ "path": "/groups", "value": name }], "role": "security_reader",
        "scope": { "type": "tenant" } });
    let provider = json!({ "name": format!("{name}-sso"), "issuer": "https://sso.invalid", "rules": [rule] });
    client.post("/v1/identity-providers", &provider).await;
    let webhook =
        json!({ "name": format!("{name}-webhook"), "url": "https://hooks.invalid/in", "events": ["scan.finished"] });
    let webhook = text(&client.post("/v1/webhooks", &webhook).await, "id");
    client.post(&format!("/v1/webhooks/{webhook}/test"), &json!({})).await;
    (client, first_session(&written))
}

/// The session of a file that a collector wrote: every batch in it begins with a line that says it.
fn first_session(written: &[u8]) -> String {
    let line = written.split(|byte| *byte == b'\n').next().unwrap_or_default();
    text(&serde_json::from_slice(line).expect("a header line"), "session")
}

async fn images(client: &Client) -> Vec<Value> {
    client.list("/v1/images").await
}

/// A value of this tenant for every path parameter of the API.
async fn own_values(client: &Client, name: &str) -> BTreeMap<&'static str, String> {
    let trial = json!({ "format": "control", "source": control("custom.tried") });
    let connector = format!("{name}-cluster");
    let changed = client.list("/v1/findings").await;
    let bundle = json!({"finding_id": first(&changed, "id")});
    let webhook = first(&client.list("/v1/webhooks").await, "id");
    let deliveries = client.list(&format!("/v1/webhooks/{webhook}/deliveries")).await;
    BTreeMap::from([
        ("assignment_id", first(&client.list("/v1/assignments").await, "id")),
        ("exemption_id", first(&client.list("/v1/exemptions").await, "id")),
        ("disabled_control_id", first(&client.list("/v1/disabled-controls").await, "id")),
        ("cluster_id", first(&client.list("/v1/clusters").await, "id")),
        ("governance_rule_id", first(&client.list("/v1/governance-rules").await, "id")),
        ("criticality_rule_id", first(&client.list("/v1/criticality-rules").await, "id")),
        ("preflight_id", first(&client.list(&format!("/v1/connectors/{connector}/preflights")).await, "id")),
        ("account", first(&client.list(&format!("/v1/connectors/{name}-organization/accounts")).await, "account")),
        ("preview_id", first(&client.list(&format!("/v1/connectors/{name}-organization/previews")).await, "id")),
        ("plan", "posture".to_owned()),
        ("organization", format!("{name}-organization")),
        ("pushed", format!("{name}-pushed")),
        ("connector", connector),
        ("finding_id", first(&changed, "id")),
        ("finding_bundle_id", text(&client.post("/v1/finding-bundles", &bundle).await, "id")),
        ("fix_unit_id", first(&client.list("/v1/fix-units").await, "id")),
        ("readiness_id", first(&client.list("/v1/pod-security-readiness").await, "id")),
        ("resource_id", first(&client.list("/v1/resources").await, "id")),
        ("scan_id", first(&client.list("/v1/scans").await, "id")),
        ("token_id", first(&client.list("/v1/tokens").await, "id")),
        ("name", format!("{name}-own")),
        ("custom_control", format!("custom.{name}")),
        ("bundle", name.to_owned()),
        ("trial_id", text(&client.post("/v1/policy-trials", &trial).await, "id")),
        ("delivery_id", first(&deliveries, "id")),
        ("webhook_id", webhook),
        ("identity_provider_id", first(&client.list("/v1/identity-providers").await, "id")),
        ("entry_id", first(&client.list("/v1/audit-log").await, "id")),
        ("what_if_id", first(&client.list("/v1/what-if").await, "id")),
    ])
}

/// Every UUID in an answer, at any depth.
fn uuids(value: &Value, found: &mut BTreeSet<Uuid>) {
    match value {
        Value::String(text) => found.extend(text.split('.').next().and_then(|id| id.parse::<Uuid>().ok())),
        Value::Array(items) => items.iter().for_each(|item| uuids(item, found)),
        Value::Object(fields) => fields.values().for_each(|item| uuids(item, found)),
        _ => {}
    }
}

/// Ids that come from the world, such as a cluster's uid, are the same for everybody.
fn ids_of_the_world(resources: &[Value], clusters: &[Value]) -> BTreeSet<Uuid> {
    let mut ids = BTreeSet::new();
    for cluster in clusters {
        uuids(&cluster["kube_uid"], &mut ids);
    }
    for resource in resources {
        uuids(&resource["labels"], &mut ids);
        uuids(&resource["name"], &mut ids);
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_one_tenant_is_visible_to_another() {
    let platform = Platform::start().await;
    let names = ["acme", "globex"];
    let (mut clients, mut sessions) = (Vec::new(), Vec::new());
    for name in names {
        let (client, session) = settled_tenant(&platform, name).await;
        clients.push(client);
        sessions.push(session);
    }
    for (client, name) in clients.iter().zip(names) {
        platform.scan(client, &["cluster", "account", "organization"].map(|what| format!("{name}-{what}"))).await;
    }
    for client in &clients {
        let cluster = first(&client.list("/v1/clusters").await, "id");
        client.post("/v1/pod-security-readiness", &json!({ "cluster_id": cluster })).await;
    }
    let (acme, globex) = (&clients[0], &clients[1]);

    both_see_the_same_world(acme, globex).await;
    lists_are_disjoint(acme, globex).await;
    let mut values = own_values(globex, "globex").await;
    values.insert("session_id", sessions.remove(1));
    the_other_is_not_found(acme, globex, &values).await;
}

async fn both_see_the_same_world(acme: &Client, globex: &Client) {
    let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
    for (client, map) in [(acme, &mut ours), (globex, &mut theirs)] {
        for resource in client.list("/v1/resources").await {
            map.insert(text(&resource, "native_id"), text(&resource, "id"));
        }
    }
    assert!(ours.len() > 500, "{}", ours.len());
    assert!(ours.keys().eq(theirs.keys()), "both see the same things");
    let shared: Vec<_> = ours.iter().filter(|(native_id, id)| theirs.get(*native_id) == Some(id)).take(5).collect();
    assert!(shared.is_empty(), "one id for two tenants: {shared:?}");
    let (ours, theirs) = (acme.get("/v1/secure-score").await, globex.get("/v1/secure-score").await);
    assert_eq!(ours["percent"], theirs["percent"], "the same world scores the same");
}

/// Parameterless GET operations of the API's own document, with `limit` where they list.
fn operations() -> (Vec<String>, Vec<String>) {
    let document = serde_json::to_value(rampart_api::openapi()).expect("the document is JSON");
    let paths = document["paths"].as_object().expect("the document has paths");
    let reads = paths.iter().filter(|(_, item)| item.get("get").is_some()).map(|(path, _)| path.clone());
    reads.partition(|path| !path.contains('{'))
}

async fn lists_are_disjoint(acme: &Client, globex: &Client) {
    let (plain, _) = operations();
    assert!(plain.len() > 10, "{plain:?}");
    let of_tenants = |path: &&String| {
        // Exports are not JSON, and differences need two moments: the tests of the API ask them for another tenant's.
        let of_lists = path.starts_with("/v1/exports/") || path.ends_with("/diff");
        let shared = matches!(path.as_str(), "/v1/controls" | "/v1/frameworks" | "/v1/bundle-keys");
        !shared && !path.starts_with("/.well-known/") && !of_lists
    };
    for path in plain.iter().filter(of_tenants) {
        let mut seen = Vec::new();
        for client in [acme, globex] {
            let answers = if matches!(
                path.as_str(),
                "/v1/tenant" | "/v1/secure-score" | "/v1/secure-score/history" | "/v1/compliance" | "/v1/governance"
            ) {
                vec![client.get(path).await]
            } else {
                client.list(path).await
            };
            let mut ids = BTreeSet::new();
            for answer in &answers {
                uuids(answer, &mut ids);
            }
            let world = ids_of_the_world(&client.list("/v1/resources").await, &client.list("/v1/clusters").await);
            seen.push(ids.difference(&world).copied().collect::<BTreeSet<_>>());
        }
        let common: Vec<_> = seen[0].intersection(&seen[1]).collect();
        assert!(common.is_empty(), "GET {path} shows both tenants {common:?}");
    }
}

async fn the_other_is_not_found(acme: &Client, globex: &Client, values: &BTreeMap<&'static str, String>) {
    let (_, single) = operations();
    let digest = first(&images(globex).await, "digest");
    let mut tried = 0;
    for path in single {
        // Controls, frameworks and templates are the product's; both tenants run the same images, so their digests are no
        // secret of either.
        if ["{control_id}", "{framework}", "{cloud}", "{digest}"].iter().any(|shared| path.contains(shared)) {
            continue;
        }
        let of_organization = ["/accounts", "/previews"].iter().any(|noun| path.contains(noun));
        let pushes = ["/collector", "/batches"].iter().any(|noun| path.contains(noun));
        let whose = match () {
            () if of_organization => "{organization}",
            () if pushes => "{pushed}",
            () => "{connector}",
        };
        let mut filled = path.replace("{connector}", whose);
        for (name, value) in values {
            filled = filled.replace(&format!("{{{name}}}"), value);
        }
        assert!(!filled.contains('{'), "{path} has a parameter that the test does not know");
        let lists =
            ["/preflights", "/history", "/accounts", "/previews", "/pricings", "/outliers", "/versions", "/deliveries"];
        let asked = if lists.iter().any(|list| filled.ends_with(list)) { "?limit=10" } else { "" };
        let asked = format!("{filled}{asked}");
        let (status, own) = globex.request(Method::GET, &asked, None).await;
        assert_eq!(status, StatusCode::OK, "GET {asked} by its owner: {own}");
        let (status, answer) = acme.request(Method::GET, &asked, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "GET {asked}: {answer}");
        tried += 1;
    }
    assert!(tried >= 10, "{tried} operations were tried");
    let mut ids = BTreeSet::new();
    uuids(&acme.get(&format!("/v1/images/{digest}")).await, &mut ids);
    let theirs: BTreeSet<Uuid> =
        globex.list("/v1/resources").await.iter().filter_map(|resource| text(resource, "id").parse().ok()).collect();
    assert!(ids.is_disjoint(&theirs), "an image names where only its own tenant runs it");

    // Filters by somebody else's id find nothing, and changes to somebody else's things are refused.
    for (filter, parameter) in [("cluster", "cluster_id"), ("resource", "resource_id"), ("fix_unit", "fix_unit_id")] {
        let value = &values[parameter];
        assert_eq!(acme.list(&format!("/v1/findings?{filter}={value}")).await, Vec::<Value>::new(), "{filter}");
    }
    let connector = &values["connector"];
    for (method, path) in [
        (Method::DELETE, format!("/v1/connectors/{connector}")),
        (Method::POST, format!("/v1/connectors/{connector}/scans")),
        (Method::POST, format!("/v1/connectors/{connector}/pause")),
        (Method::POST, format!("/v1/scans/{}/cancel", values["scan_id"])),
        (Method::DELETE, format!("/v1/assignments/{}", values["assignment_id"])),
        (Method::DELETE, format!("/v1/exemptions/{}", values["exemption_id"])),
        (Method::DELETE, format!("/v1/disabled-controls/{}", values["disabled_control_id"])),
        (Method::DELETE, format!("/v1/governance-rules/{}", values["governance_rule_id"])),
        (Method::DELETE, format!("/v1/criticality-rules/{}", values["criticality_rule_id"])),
        (Method::DELETE, format!("/v1/findings/{}/assignment", values["finding_id"])),
        (Method::DELETE, format!("/v1/tokens/{}", values["token_id"])),
        (Method::DELETE, format!("/v1/initiatives/{}", values["name"])),
    ] {
        let (status, answer) = acme.request(method.clone(), &path, Some(&json!({}))).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}: {answer}");
    }
}
