//! Controls and policies of customers: judged beside the product's, tried before they are saved, kept apart from other
//! tenants, and harmless however hostile they are.

use std::sync::Arc;

use platform_tests::Estate;
use rampart_assessor::{Isolation, Knowledge, run_job};
use rampart_content::Catalogue;
use rampart_domain::{ActorId, JobId, Kind, Resource, ResourceId};
use rampart_store::assignment::{self, NewAssignment};
use rampart_store::custom::{self, Format};
use rampart_store::job::{self, JobKind};
use rampart_store::work::{self, WorkKind};
use rampart_store::{Access, AccessScope, Actor, StoreError, Visible, initiative, resource, verdict};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

fn knowledge() -> Arc<Knowledge> {
    let program = Some(env!("CARGO_BIN_EXE_rampart-under-test").into());
    let isolation = Isolation { program, ..Isolation::default() };
    let product = Knowledge::new(Catalogue::embedded().expect("the content loads")).expect("it compiles");
    Arc::new(product.with_isolation(isolation))
}

fn deployment(estate: &Estate, name: &str, image: &str) -> Resource {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "labels": {"team": "payments"}},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "c", "image": image}]}}},
    });
    estate.object(Kind::K8sDeployment, object)
}

/// A template with a constraint for pods; `body` is the rule's.
fn rego(kind: &str, body: &str) -> String {
    let body: Vec<_> = body.lines().map(|line| format!("          {}\n", line.trim())).collect();
    let body = body.concat();
    let name = kind.to_lowercase();
    format!(
        "apiVersion: templates.gatekeeper.sh/v1\nkind: ConstraintTemplate\nmetadata: {{ name: {name} }}\nspec:\n  \
         crd: {{ spec: {{ names: {{ kind: {kind} }} }} }}\n  targets:\n    - target: admission.k8s.gatekeeper.sh\n      \
         rego: |\n        package {name}\n        violation[{{\"msg\": msg}}] {{\n{body}        }}\n---\n\
         apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: {kind}\nmetadata: {{ name: all }}\nspec:\n  \
         match: {{ kinds: [{{ apiGroups: [\"\"], kinds: [Pod] }}] }}\n---\n"
    )
}

fn latest() -> String {
    rego("NoLatest", "endswith(input.review.object.spec.containers[_].image, \":latest\")\nmsg := \"not pinned\"")
}

fn control(violation: &str) -> String {
    format!(
        "id: custom.own\nversion: 1\ntitle: Own\nseverity: high\ngroup: security_configurations\ntype: data_plane\n\
         kinds: [k8s.deployment]\nrationale: Why.\nviolation: {violation}\nmessage: \"'wrong'\"\n\
         remediation: {{ text: Do., manual: by hand }}\nexamples:\n  - {{ name: a, status: healthy, object: {{}} }}\n  \
         - {{ name: b, status: unhealthy, object: {{}} }}\n"
    )
}

const TOKEN: ActorId = ActorId(Uuid::nil());

async fn save(estate: &Estate, format: Format, name: &str, text: &str) {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let there = custom::get(&mut tx, format, name).await.is_ok();
    let saved = if there {
        custom::update(&mut tx, format, name, None, (text, &[]), TOKEN).await
    } else {
        custom::create(&mut tx, format, name, text, TOKEN).await
    };
    saved.unwrap();
    tx.commit().await.unwrap();
}

/// Assigns what the tenant wrote, and one control of the product's, to the whole tenant.
async fn assign(estate: &Estate) {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let choices = json!([{"id": "custom.*"}, {"id": "policy.*"}, {"id": "k8s.pod.privileged"}]);
    initiative::create(&mut tx, "own", "Own", &json!({"description": "", "controls": choices})).await.unwrap();
    let new = NewAssignment {
        name: "own".into(),
        initiative: "own".into(),
        scope: AccessScope::Tenant,
        params: json!({}),
        excluded_namespaces: Vec::new(),
        enabled: true,
    };
    assignment::create(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
}

async fn estate() -> Estate {
    let estate = Estate::new().await.judged_by(knowledge());
    let resources = [("bad", "a:latest"), ("good", "a:1")].map(|(name, image)| deployment(&estate, name, image));
    estate.list(Kind::K8sDeployment, resources.into()).await;
    estate
}

/// The verdict of a control on a deployment.
async fn verdict_of(estate: &Estate, control: &str, name: &str) -> Option<String> {
    let all = estate.verdicts().await;
    let own = |(native, id): &&(String, String)| id == control && native.ends_with(&format!("/{name}"));
    let key = all.keys().find(own)?.clone();
    all.get(&key).cloned()
}

/// Why verdicts are unknown, with the control.
async fn reasons(estate: &Estate) -> Vec<(String, String)> {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let kinds = [Kind::K8sDeployment];
    let ids = verdict::resource_page(&mut tx, estate.cluster.id.into(), &kinds, None, None).await.unwrap();
    let mut reasons = Vec::new();
    for id in ids {
        let rows = resource::verdicts(&mut tx, &everything(), ResourceId(id)).await.unwrap();
        reasons.extend(rows.into_iter().filter_map(|row| Some((row.control_id, row.reason?.to_string()))));
    }
    reasons
}

async fn trial(estate: &Estate, visible: Visible, request: Value) -> (String, Value) {
    let actor = Actor { id: TOKEN, name: "test".to_owned(), identity: None };
    let access = Access { tenant: estate.tenant, actor, grants: Vec::new(), collector: None };
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let asked = job::request(&mut tx, JobKind::PolicyTrial, &access, &visible, &request).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = estate.store.worker().await.unwrap();
    let leases = work::claim(&mut tx, &[WorkKind::Job], 10, 10).await.unwrap();
    tx.commit().await.unwrap();
    let lease = leases.into_iter().find(|lease| lease.subject == asked.job_id).expect("the job is due");
    run_job(&estate.store, &knowledge(), &lease, &CancellationToken::new()).await.unwrap();
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let row = job::get(&mut tx, JobKind::PolicyTrial, &access, &visible, JobId(asked.job_id)).await.unwrap();
    (row.status, row.result.unwrap_or_else(|| json!(row.error)))
}

fn everything() -> Visible {
    Visible { all: true, ..Visible::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_says_what_the_findings_will_be() {
    let estate = estate().await;
    let request = json!({"format": "policies", "name": "mine", "source": latest()});
    let (status, result) = trial(&estate, everything(), request).await;
    assert_eq!(status, "succeeded", "{result}");
    assert_eq!(result["counts"], json!({"healthy": 1, "unhealthy": 1, "not_applicable": 0, "unknown": 0}));
    assert_eq!(result["failing"][0]["message"], "not pinned", "{result}");
    assert_eq!(result["owners"][0]["owner"], "payments", "{result}");
    assert_eq!(result["places"][0]["namespace"], "shop", "{result}");
    let before = estate.verdicts().await;
    assert!(before.keys().all(|(_, control)| !control.starts_with("policy.")), "a trial stores no verdict");

    save(&estate, Format::Policies, "mine", &latest()).await;
    assign(&estate).await;
    estate.assess().await;
    let stored = estate.verdicts().await;
    let failing: Vec<&String> = stored
        .iter()
        .filter(|((_, control), status)| control == "policy.mine.NoLatest.all" && *status == "unhealthy")
        .map(|((native, _), _)| native)
        .collect();
    assert_eq!(failing.len(), 1, "{stored:?}");
    let told = result["failing"][0]["native_id"].as_str().unwrap();
    assert!(told.ends_with(failing[0].trim_start_matches("k8s://")), "{told} and {failing:?}");

    // What lies beyond what the caller sees is neither judged nor told.
    let looks = "neighbours: { all: { kinds: [k8s.deployment], in: unit } }\nviolation";
    let curious = control("neighbours.all.size() > 0").replacen("violation", looks, 1);
    let cluster = estate.cluster.id.0;
    let shop = Visible { namespace_clusters: vec![cluster], namespaces: vec!["shop".into()], ..Visible::default() };
    let beyond =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hidden", "namespace": "bank"}});
    let mut resources = vec![estate.object(Kind::K8sDeployment, beyond)];
    resources.extend([("bad", "a:latest"), ("good", "a:1")].map(|(name, image)| deployment(&estate, name, image)));
    estate.list(Kind::K8sDeployment, resources).await;
    let request = json!({"format": "control", "source": curious});
    let (_, result) = trial(&estate, shop, request.clone()).await;
    assert_eq!((&result["resources"], &result["counts"]["unknown"]), (&json!(2), &json!(2)), "{result}");
    assert!(!result.to_string().contains("hidden") && !result.to_string().contains("bank"), "{result}");
    let (_, result) = trial(&estate, everything(), request).await;
    assert_eq!(result["counts"]["unhealthy"], 3, "{result}");
    let resources = [("bad", "a:latest"), ("good", "a:1")].map(|(name, image)| deployment(&estate, name, image));
    estate.list(Kind::K8sDeployment, resources.into()).await;

    // A control of one's own, whose examples do not hold, tried by somebody who sees nothing.
    let request = json!({"format": "control", "source": control("resource.name == 'bad'")});
    let (_, result) = trial(&estate, Visible::default(), request.clone()).await;
    assert_eq!(result["resources"], 0, "{result}");
    let (_, result) = trial(&estate, everything(), request).await;
    assert_eq!((&result["counts"]["unhealthy"], &result["counts"]["healthy"]), (&json!(1), &json!(1)), "{result}");
    assert_eq!(result["examples"][0]["name"], "b", "{result}");
    let (status, why) = trial(&estate, everything(), json!({"format": "control", "source": "id: x"})).await;
    assert_eq!(status, "failed", "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_judges_anew_and_versions_stay() {
    let estate = estate().await;
    save(&estate, Format::Control, "custom.own", &control("resource.name == 'bad'")).await;
    assign(&estate).await;
    estate.assess().await;
    assert_eq!(verdict_of(&estate, "custom.own", "bad").await.as_deref(), Some("unhealthy"));
    assert_eq!(verdict_of(&estate, "custom.own", "good").await.as_deref(), Some("healthy"));
    let counters = estate.counters().await;
    assert!(counters.to_string().contains("custom.own"), "{counters}");
    assert_eq!(estate.assess().await.judged, 0, "nothing changed");
    save(&estate, Format::Control, "custom.own", &control("resource.name == 'good'")).await;
    estate.assess().await;
    assert_eq!(verdict_of(&estate, "custom.own", "bad").await.as_deref(), Some("healthy"));
    assert_eq!(verdict_of(&estate, "custom.own", "good").await.as_deref(), Some("unhealthy"));

    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let named = json!({"description": "", "controls": [{"id": "custom.own"}]});
    initiative::create(&mut tx, "named", "Named", &named).await.unwrap();
    let held = ["custom.own".to_owned()];
    let refused = custom::delete(&mut tx, Format::Control, "custom.own", None, &held, TOKEN).await;
    assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
    initiative::delete(&mut tx, "named", None).await.unwrap();
    custom::delete(&mut tx, Format::Control, "custom.own", None, &held, TOKEN).await.unwrap();
    let page = rampart_store::page::Page::first(10);
    let history = custom::history(&mut tx, Format::Control, "custom.own", &page).await.unwrap().items;
    let versions: Vec<(i64, bool)> = history.iter().map(|it| (it.version, it.source.is_some())).collect();
    assert_eq!(versions, [(3, false), (2, true), (1, true)]);
    let again = custom::create(&mut tx, Format::Control, "custom.own", "x", TOKEN).await.unwrap();
    assert_eq!(again.version, 4, "a name that is used again goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_policies_harm_nobody_but_themselves() {
    let estate = estate().await;
    let doubling: Vec<_> = (1..12)
        .map(|n| {
            let before = vec![format!("v{}", n - 1); 8].join(", ");
            format!("v{n} := concat(\"\", [{before}])\n")
        })
        .collect();
    let doubling = doubling.concat();
    let memory = format!("v0 := \"0123456789abcdef\"\n{doubling}count(v11) > 0\nmsg := \"x\"");
    let time = "r := numbers.range(1, 5000)\na := r[_]\nb := r[_]\nc := r[_]\na + b + c < 0\nmsg := \"x\"";
    let bundle = [latest(), rego("Memory", &memory), rego("Time", time)].concat();
    save(&estate, Format::Policies, "mine", &bundle).await;
    let nested = "[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, \
        [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, a + b + c + d + e + f > 0))))))";
    save(&estate, Format::Control, "custom.own", &control(&format!("\"{nested}\""))).await;
    assign(&estate).await;
    estate.assess().await;
    for hostile in ["policy.mine.Memory.all", "policy.mine.Time.all", "custom.own"] {
        assert_eq!(verdict_of(&estate, hostile, "bad").await.as_deref(), Some("unknown"), "{hostile}");
    }
    let reasons = reasons(&estate).await;
    for (hostile, why) in [("Memory", "memory"), ("Time", "too long"), ("custom.own", "budget")] {
        assert!(reasons.iter().any(|(id, it)| id.contains(hostile) && it.contains(why)), "{hostile}: {reasons:?}");
    }
    assert_eq!(verdict_of(&estate, "policy.mine.NoLatest.all", "bad").await.as_deref(), Some("unhealthy"));
    assert_eq!(verdict_of(&estate, "policy.mine.NoLatest.all", "good").await.as_deref(), Some("healthy"));
    assert_eq!(verdict_of(&estate, "k8s.pod.privileged", "bad").await.as_deref(), Some("healthy"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_is_judged_by_what_it_wrote_itself() {
    let own = estate().await;
    let other = Estate::beside(own.database.clone()).await.judged_by(knowledge());
    other.list(Kind::K8sDeployment, vec![deployment(&other, "bad", "a:latest")]).await;
    save(&own, Format::Control, "custom.own", &control("true")).await;
    save(&own, Format::Policies, "mine", &latest()).await;
    for estate in [&own, &other] {
        assign(estate).await;
        estate.assess().await;
    }
    let controls = |verdicts: platform_tests::Verdicts| {
        verdicts.into_keys().map(|(_, control)| control).collect::<std::collections::BTreeSet<_>>()
    };
    let (mine, theirs) = (controls(own.verdicts().await), controls(other.verdicts().await));
    assert!(mine.contains("custom.own") && mine.contains("policy.mine.NoLatest.all"), "{mine:?}");
    assert!(theirs.contains("k8s.pod.privileged"), "{theirs:?}");
    assert!(!theirs.iter().any(|id| rampart_content::is_custom(id)), "{theirs:?}");
    let mut tx = other.store.tenant(other.tenant).await.unwrap();
    assert!(custom::all(&mut tx).await.unwrap().is_empty());
    let foreign = custom::get(&mut tx, Format::Control, "custom.own").await;
    assert!(matches!(foreign, Err(StoreError::NotFound { .. })), "{foreign:?}");
}
