//! What is exempt, and how it begins and ends to be.

use std::time::Duration;

use chrono::Utc;
use platform_tests::{Estate, Verdicts};
use rampart_domain::exemption::{Condition, Cover};
use rampart_domain::{Cause, Cloud, ExemptionCategory, ExemptionId, Kind, NativeId, Resource, UnitId};
use rampart_store::exemption::{self, Hidden, Selected, Terms};
use rampart_store::finding::{self, Filter, Finding, Sort};
use rampart_store::page::Page;
use rampart_store::work::{self, WorkKind};
use rampart_store::{AccessScope, Visible, disabled_control};
use serde_json::{Value, json};

const CONTROL: &str = "k8s.pod.privileged";

/// A deployment with these containers, each privileged or not.
fn deployment(estate: &Estate, name: &str, containers: &[(&str, bool)]) -> Resource {
    let containers: Vec<Value> = containers
        .iter()
        .map(|(name, privileged)| {
            json!({"name": name, "image": "registry.example/web:1", "securityContext": {"privileged": privileged}})
        })
        .collect();
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
        "spec": {"replicas": 1, "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}}},
    });
    estate.object(Kind::K8sDeployment, object)
}

fn terms(name: &str, condition: &Value) -> Terms {
    Terms {
        name: name.to_owned(),
        category: ExemptionCategory::Waiver,
        reason: "accepted".to_owned(),
        approved_by: None,
        expires_at: None,
        selected: Selected::Controls(vec!["k8s.pod.*".to_owned()]),
        condition: Condition::read(condition, "").expect("a condition"),
    }
}

async fn create(estate: &Estate, terms: &Terms) -> ExemptionId {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let made = exemption::create(&mut tx, terms).await.unwrap();
    tx.commit().await.unwrap();
    made.id
}

async fn delete(estate: &Estate, id: ExemptionId) {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    exemption::delete(&mut tx, id, None).await.unwrap();
    tx.commit().await.unwrap();
}

const fn everything() -> Visible {
    Visible {
        all: true,
        accounts: Vec::new(),
        clusters: Vec::new(),
        namespace_clusters: Vec::new(),
        namespaces: Vec::new(),
    }
}

async fn hidden(estate: &Estate, id: ExemptionId) -> Hidden {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    exemption::hidden_by(&mut tx, &everything(), id).await.unwrap()
}

/// The finding of the one control on a deployment, with the causes of its changes, the latest first.
async fn found(estate: &Estate, name: &str) -> (Finding, Vec<String>) {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let filter = Filter { controls: vec![CONTROL.to_owned()], ..Filter::default() };
    let list = finding::list(&mut tx, &everything(), &filter, Sort::Severity, &Page::first(100)).await.unwrap();
    let row = list.items.into_iter().find(|row| row.resource_name.as_deref() == Some(name)).expect("a finding");
    let events = finding::events(&mut tx, row.resource_id.into(), row.ordinal, 10).await.unwrap();
    (row, events.into_iter().map(|event| event.cause).collect())
}

/// The only checks that decide here are of pods and need no neighbours.
fn status(verdicts: &Verdicts, name: &str) -> String {
    let is = |key: &(String, String)| key.0.ends_with(&format!("/{name}")) && key.1 == CONTROL;
    verdicts.iter().find(|(key, _)| is(key)).map(|(_, status)| status.clone()).expect("a verdict")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exemption_hides_what_its_preview_told_and_gives_it_back() {
    let estate = Estate::new().await;
    let list = vec![deployment(&estate, "web", &[("app", true)]), deployment(&estate, "db", &[("app", true)])];
    estate.list(Kind::K8sDeployment, list).await;
    estate.assess().await;
    let (before, counters) = (estate.verdicts().await, estate.counters().await);
    let evidence = found(&estate, "web").await.0.evidence;

    let terms = terms("web", &json!({"labels": {"matchLabels": {"app": "web"}}}));
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let controls: Vec<String> =
        before.keys().map(|(_, control)| control.clone()).filter(|id| id.starts_with("k8s.pod.")).collect();
    let tried = exemption::candidates(&mut tx, &everything(), &controls, &terms.condition, None, 1000).await.unwrap();
    let would = tried.iter().filter(|it| it.covered_by(&terms.condition).unwrap() == Cover::Whole).count();
    drop(tx);
    assert!(would > 1, "several controls object");

    let id = create(&estate, &terms).await;
    let summary = estate.assess().await;
    assert_eq!(summary.judged, 2, "only what was unhealthy is judged again");
    let told = hidden(&estate, id).await;
    assert_eq!((told.findings, told.resources), (would as i64, 1), "as the preview told");
    assert!(told.last_matched_at.is_some());
    let after = estate.verdicts().await;
    assert_eq!((status(&after, "web"), status(&after, "db")), ("exempt".into(), "unhealthy".into()));
    let (row, causes) = found(&estate, "web").await;
    assert_eq!((row.exemption_id, &row.evidence), (Some(id.0), &evidence), "the evidence stays");
    assert_eq!(causes, ["exemption"]);
    assert_eq!(row.cause, Cause::Exemption.as_str());

    assert_eq!(estate.assess().await.judged, 0, "it costs nothing while nothing changes");
    delete(&estate, id).await;
    estate.assess().await;
    assert_eq!(estate.verdicts().await, before);
    assert_eq!(estate.counters().await, counters, "counters go back and forth");
    assert_eq!(found(&estate, "web").await.1, ["exemption", "exemption"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_is_exempt_only_while_every_violating_element_is() {
    let estate = Estate::new().await;
    let web = |app: bool| deployment(&estate, "web", &[("app", app), ("proxy", true)]);
    estate.list(Kind::K8sDeployment, vec![web(false)]).await;
    let mut proxy = terms("proxy", &json!({"element": "container proxy"}));
    proxy.selected = Selected::Controls(vec![CONTROL.to_owned()]);
    create(&estate, &proxy).await;
    estate.assess().await;
    assert_eq!(status(&estate.verdicts().await, "web"), "exempt");

    estate.list(Kind::K8sDeployment, vec![web(true)]).await;
    estate.assess().await;
    assert_eq!(status(&estate.verdicts().await, "web"), "unhealthy");
    let (row, causes) = found(&estate, "web").await;
    assert_eq!(causes, ["resource"], "the exemption stands, the resource changed");
    assert_eq!(row.exemption_id, None);
    assert_eq!(row.evidence["elements"], json!(["container app", "container proxy"]), "all of the evidence is shown");

    let mut app = terms("app", &json!({"any_of": [{"element": "container app"}, {"element": "container proxy"}]}));
    app.selected = proxy.selected.clone();
    create(&estate, &app).await;
    estate.assess().await;
    assert_eq!(status(&estate.verdicts().await, "web"), "exempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_no_longer_be_read_is_exempt_and_ceases_to_be_by_its_last_evidence() {
    let estate = Estate::new().await;
    estate.list(Kind::K8sDeployment, vec![deployment(&estate, "web", &[("app", true)])]).await;
    estate.assess().await;
    estate.deny(Kind::K8sDeployment).await;
    estate.assess().await;
    let id = create(&estate, &terms("app", &json!({"element": "container app"}))).await;
    estate.assess().await;
    assert_eq!(status(&estate.verdicts().await, "web"), "exempt");
    delete(&estate, id).await;
    estate.assess().await;
    assert_eq!(status(&estate.verdicts().await, "web"), "unhealthy", "lost access heals nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exemption_ends_at_its_moment_by_itself() {
    let estate = Estate::new().await;
    estate.list(Kind::K8sDeployment, vec![deployment(&estate, "web", &[("app", true)])]).await;
    estate.assess().await;
    let claim = async || {
        let mut tx = estate.store.worker().await.unwrap();
        let leases = work::claim(&mut tx, &[WorkKind::Expire], 10, 10).await.unwrap();
        tx.commit().await.unwrap();
        leases
    };
    let ends = Utc::now() + Duration::from_secs(2);
    create(&estate, &Terms { expires_at: Some(ends), ..terms("soon", &json!({})) }).await;
    estate.assess().await;
    assert_eq!(status(&estate.verdicts().await, "web"), "exempt");
    assert!(claim().await.is_empty(), "nothing is due before");

    tokio::time::sleep((ends - Utc::now()).to_std().unwrap_or_default() + Duration::from_millis(50)).await;
    let due = claim().await;
    assert_eq!(due.len(), 1);
    exemption::expire(&estate.store, &due[0]).await.unwrap();
    let mut tx = estate.store.worker().await.unwrap();
    work::finish(&mut tx, &due[0]).await.unwrap();
    let units = work::claim(&mut tx, &[WorkKind::Assess], 10, 10).await.unwrap();
    assert_eq!(units.iter().map(|lease| lease.subject).collect::<Vec<_>>(), [estate.cluster.id.0], "its units are due");
    work::release(&mut tx, &units[0]).await.unwrap();
    tx.commit().await.unwrap();
    estate.assess().await;
    assert_eq!(status(&estate.verdicts().await, "web"), "unhealthy");
    assert_eq!(found(&estate, "web").await.1, ["exemption", "exemption"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_units_that_an_exemption_may_hold_for_are_assessed_again() {
    const ACCOUNT: &str = "111122223333";
    let estate = Estate::new().await;
    estate.database.run(&format!("update clusters set cloud = 'aws', account = '{ACCOUNT}'")).await;
    let account = UnitId::account(estate.tenant, Cloud::Aws, ACCOUNT);
    let repository = Resource {
        native_id: NativeId::new("arn:aws:ecr:eu-west-1:111122223333:repository/web"),
        kind: Kind::AwsEcrRepository,
        cloud: Cloud::Aws,
        account: Some(ACCOUNT.into()),
        cluster: None,
        ..estate.object(Kind::AwsEcrRepository, json!({"metadata": {"name": "web"}}))
    };
    estate.put(repository, account).await;
    let web = Resource { account: Some(ACCOUNT.into()), ..deployment(&estate, "web", &[("app", true)]) };
    estate.list(Kind::K8sDeployment, vec![web]).await;
    // Takes what is due, and leaves it as it is.
    let settle = async || {
        let mut tx = estate.store.worker().await.unwrap();
        let units = work::claim(&mut tx, &[WorkKind::Assess], 10, 10).await.unwrap();
        for unit in &units {
            work::finish(&mut tx, unit).await.unwrap();
        }
        tx.commit().await.unwrap();
        let mut due: Vec<_> = units.into_iter().map(|lease| lease.subject).collect();
        due.sort_unstable();
        due
    };
    settle().await;
    estate.assess().await;
    estate.assess_unit(account).await;
    let resource = found(&estate, "web").await.0.resource_id;
    let due = async |condition: Value| {
        let id = create(&estate, &terms("x", &condition)).await;
        let begun = settle().await;
        delete(&estate, id).await;
        assert_eq!(settle().await, begun, "what began is what ends");
        begun
    };
    let (cluster, account) = (estate.cluster.id.0, account.0);
    let mut both = vec![cluster, account];
    both.sort_unstable();
    assert_eq!(due(json!({})).await, both);
    assert_eq!(due(json!({"account": ACCOUNT})).await, both);
    assert_eq!(due(json!({"cluster": cluster})).await, [cluster]);
    assert_eq!(due(json!({"resource": resource})).await, [cluster]);
    assert!(due(json!({"account": "444455556666"})).await.is_empty());
    create(&estate, &terms("account", &json!({"account": ACCOUNT}))).await;
    estate.assess().await;
    assert_eq!(status(&estate.verdicts().await, "web"), "exempt", "an account holds for its clusters");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_that_is_turned_off_gives_no_verdicts_there() {
    let estate = Estate::new().await;
    estate.list(Kind::K8sDeployment, vec![deployment(&estate, "web", &[("app", true)])]).await;
    estate.assess().await;
    let (before, counters) = (estate.verdicts().await, estate.counters().await);
    let scope = AccessScope::Namespace(estate.cluster.id, "shop".into());
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let off = disabled_control::create(&mut tx, CONTROL, &scope, "a sandbox").await.unwrap();
    let elsewhere = AccessScope::Namespace(estate.cluster.id, "other".into());
    disabled_control::create(&mut tx, "k8s.*", &elsewhere, "a sandbox").await.unwrap();
    tx.commit().await.unwrap();
    estate.assess().await;
    let mut expected = before.clone();
    expected.retain(|key, _| key.1 != CONTROL);
    assert_eq!(estate.verdicts().await, expected, "nothing else changes");
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    disabled_control::delete(&mut tx, off.id).await.unwrap();
    tx.commit().await.unwrap();
    estate.assess().await;
    assert_eq!((estate.verdicts().await, estate.counters().await), (before, counters));
}
