//! Where resources stand bears on the risk of findings on them, rules and people say who mends them and by when, and nothing
//! that happens to the findings loses either.

use std::collections::{BTreeMap, BTreeSet};

use platform_tests::Estate;
use rampart_domain::{ActorId, Criticality, Kind, Resource, ResourceId, Severity, UnitId};
use rampart_store::criticality_rule::{self, NewCriticalityRule};
use rampart_store::finding::{self, Filter, Finding, Sort};
use rampart_store::governance::{self, NewFindingAssignment};
use rampart_store::governance_rule::{self, NewGovernanceRule};
use rampart_store::page::Page;
use rampart_store::{AccessScope, Visible, context, verdict};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use uuid::Uuid;

const PRIVILEGED: &str = "k8s.pod.privileged";

fn workload(estate: &Estate, ns: &str, name: &str, privileged: bool) -> Resource {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": ns, "labels": {"app": name}},
        "spec": {"replicas": 1, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"serviceAccountName": "web", "containers": [{
                "name": "web", "image": "registry.example/web:1", "securityContext": {"privileged": privileged},
            }]},
        }},
    });
    estate.object(Kind::K8sDeployment, object)
}

fn service(estate: &Estate, ns: &str, kind: &str, app: &str) -> Resource {
    let object = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "front", "namespace": ns},
        "spec": {"type": kind, "selector": {"app": app}},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}},
    });
    estate.object(Kind::K8sService, object)
}

fn ingress(estate: &Estate, ns: &str) -> Resource {
    let object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "edge", "namespace": ns},
        "spec": {"defaultBackend": {"service": {"name": "front"}}},
    });
    estate.object(Kind::K8sIngress, object)
}

fn route(estate: &Estate, ns: &str) -> Resource {
    let object = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "far", "namespace": "edge"},
        "spec": {"rules": [{"backendRefs": [{"name": "front", "namespace": ns}]}]},
    });
    estate.object(Kind::K8sHttpRoute, object)
}

fn namespace(estate: &Estate, name: &str, labels: &Value) -> Resource {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    estate.object(Kind::K8sNamespace, object)
}

fn binding(estate: &Estate, ns: &str) -> Resource {
    let object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "powerful"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "web", "namespace": ns}],
    });
    estate.object(Kind::K8sClusterRoleBinding, object)
}

fn account(estate: &Estate, ns: &str, automount: bool) -> Resource {
    let object = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": ns},
        "automountServiceAccountToken": automount,
    });
    estate.object(Kind::K8sServiceAccount, object)
}

async fn finding_on(estate: &Estate, resource: &Resource, control: &str) -> Finding {
    let id = ResourceId::derive(estate.tenant, &resource.native_id);
    let filter = Filter { resource: Some(id.0), controls: vec![control.into()], ..Filter::default() };
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let all = Visible { all: true, ..Visible::default() };
    let listed = finding::list(&mut tx, &all, &filter, Sort::Severity, &Page::first(10)).await.unwrap();
    assert_eq!(listed.items.len(), 1, "findings of {control} on {}", resource.name);
    listed.items.into_iter().next().unwrap()
}

/// The factors of a resource, as words.
async fn factors(estate: &Estate, resource: &Resource) -> Vec<String> {
    let id = ResourceId::derive(estate.tenant, &resource.native_id);
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let stored = context::factors(&mut tx, id.0).await.unwrap();
    stored.as_array().unwrap().iter().map(|factor| factor["factor"].as_str().unwrap().to_owned()).collect()
}

async fn criticality(estate: &Estate, name: &str, namespaces: &[&str], level: Criticality) {
    let new = NewCriticalityRule {
        name: name.into(),
        scope: AccessScope::Tenant,
        namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
        selector: None,
        level,
        enabled: true,
    };
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    criticality_rule::create(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
}

fn rule(name: &str, priority: i32) -> NewGovernanceRule {
    NewGovernanceRule {
        name: name.into(),
        priority,
        scope: AccessScope::Tenant,
        severities: Vec::new(),
        risks: Vec::new(),
        controls: Vec::new(),
        selector: None,
        owner: Some(name.into()),
        owner_label: None,
        due_days: Severity::ALL.iter().map(|severity| (*severity, 10)).collect(),
        grace_period_days: 5,
        enabled: true,
    }
}

async fn governed(estate: &Estate, new: &NewGovernanceRule) -> rampart_domain::GovernanceRuleId {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let made = governance_rule::create(&mut tx, new).await.unwrap();
    tx.commit().await.unwrap();
    made.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_comes_and_goes_with_what_it_is_seen_by() {
    let estate = Estate::new().await;
    let web = workload(&estate, "shop", "web", true);
    estate.list(Kind::K8sDeployment, vec![web.clone()]).await;
    estate.assess().await;
    assert_eq!(factors(&estate, &web).await, ["privileged"]);
    let plain = finding_on(&estate, &web, PRIVILEGED).await;

    // Each step changes one neighbour; the workload itself is never touched again.
    let shop = |labels: Value| namespace(&estate, "shop", &labels);
    for (kind, resources, expected) in [
        (
            Kind::K8sService,
            vec![service(&estate, "shop", "LoadBalancer", "web")],
            &["internet_exposed", "privileged"][..],
        ),
        (Kind::K8sService, vec![service(&estate, "shop", "LoadBalancer", "db")], &["privileged"]),
        (Kind::K8sService, vec![service(&estate, "shop", "NodePort", "web")], &["network_exposed", "privileged"]),
        (Kind::K8sService, vec![service(&estate, "shop", "ClusterIP", "web")], &["privileged"]),
        (Kind::K8sIngress, vec![ingress(&estate, "shop")], &["internet_exposed", "privileged"]),
        (Kind::K8sIngress, vec![], &["privileged"]),
        (Kind::K8sHttpRoute, vec![route(&estate, "shop")], &["internet_exposed", "privileged"]),
        (Kind::K8sHttpRoute, vec![route(&estate, "other")], &["privileged"]),
        (Kind::K8sClusterRoleBinding, vec![binding(&estate, "shop")], &["privileged", "sensitive_identity"]),
        (Kind::K8sServiceAccount, vec![account(&estate, "shop", false)], &["privileged"]),
        (Kind::K8sServiceAccount, vec![account(&estate, "shop", true)], &["privileged", "sensitive_identity"]),
        (Kind::K8sClusterRoleBinding, vec![binding(&estate, "other")], &["privileged"]),
        (Kind::K8sNamespace, vec![shop(json!({"env": "prod"}))], &["privileged", "production"]),
        (Kind::K8sNamespace, vec![shop(json!({"env": "dev"}))], &["non_production", "privileged"]),
        (Kind::K8sNamespace, vec![], &["privileged"]),
    ] {
        let step = format!("{kind}: {expected:?}");
        estate.list(kind, resources).await;
        estate.assess().await;
        let mut found = factors(&estate, &web).await;
        found.sort();
        assert_eq!(found, expected, "{step}");
    }
    assert_eq!(finding_on(&estate, &web, PRIVILEGED).await.risk, plain.risk, "the way back is the way there");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_risk_of_findings_follows_their_context_and_the_rules() {
    let estate = Estate::new().await;
    let (web, batch) = (workload(&estate, "shop", "web", true), workload(&estate, "batch", "nightly", true));
    estate.list(Kind::K8sDeployment, vec![web.clone(), batch.clone()]).await;
    estate.assess().await;
    let of = async |resource: &Resource, control: &str| finding_on(&estate, resource, control).await.risk;
    let medium = "k8s.pod.allow_privilege_escalation";
    let before = of(&web, medium).await;
    criticality(&estate, "payments", &["sh*"], Criticality::Critical).await;
    assert_eq!(estate.assess().await.judged, 0, "nothing is judged again for a rule");
    assert!(of(&web, medium).await > before, "{before}");
    assert_eq!(of(&batch, medium).await, before, "the rule is about another namespace");
    assert_eq!(factors(&estate, &web).await, ["privileged", "criticality_critical"]);
    criticality(&estate, "unimportant", &[], Criticality::Low).await;
    estate.assess().await;
    assert!(of(&batch, medium).await < before);
    assert_eq!(factors(&estate, &web).await, ["privileged", "criticality_critical"], "the highest level counts");
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    for rule in criticality_rule::all(&mut tx).await.unwrap() {
        criticality_rule::delete(&mut tx, rule.id, None).await.unwrap();
    }
    tx.commit().await.unwrap();
    estate.assess().await;
    assert_eq!((of(&web, medium).await, of(&batch, medium).await), (before, before));
}

#[tokio::test(flavor = "multi_thread")]
async fn owner_and_due_date_follow_the_rules_and_survive_what_happens_to_the_finding() {
    let estate = Estate::new().await;
    let web = workload(&estate, "shop", "web", true);
    let shop = namespace(&estate, "shop", &json!({"team": "payments"}));
    estate.list(Kind::K8sNamespace, vec![shop]).await;
    let first = governed(&estate, &rule("everybody", 900)).await;
    estate.list(Kind::K8sDeployment, vec![web.clone()]).await;
    estate.assess().await;
    let found = finding_on(&estate, &web, PRIVILEGED).await;
    assert_eq!((found.owner.as_deref(), found.governance_rule_id), (Some("everybody"), Some(first.0)));
    assert_eq!((found.due_at.unwrap() - found.since).num_days(), 10);
    assert_eq!((found.overdue_at.unwrap() - found.since).num_days(), 15);
    assert_eq!(found.governance_state.as_deref(), Some("on_time"));

    // A rule with a lower number, by a label of the namespace, takes over without any judgement.
    let labelled = NewGovernanceRule {
        owner: None,
        owner_label: Some("team".into()),
        controls: vec!["k8s.pod.priv*".into()],
        due_days: BTreeMap::new(),
        ..rule("by-label", 1)
    };
    let second = governed(&estate, &labelled).await;
    assert_eq!(estate.assess().await.judged, 0);
    let found = finding_on(&estate, &web, PRIVILEGED).await;
    assert_eq!((found.owner.as_deref(), found.due_at), (Some("payments"), None));
    estate.list(Kind::K8sNamespace, vec![namespace(&estate, "shop", &json!({"team": "checkout"}))]).await;
    estate.assess().await;
    assert_eq!(finding_on(&estate, &web, PRIVILEGED).await.owner.as_deref(), Some("checkout"));

    // What somebody decides goes before the rules, whatever then happens.
    let due_at = "2030-01-02T03:04:05Z".parse().unwrap();
    let decided =
        NewFindingAssignment { owner: Some("jo@acme.example".into()), due_at: Some(due_at), note: "agreed".into() };
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let subject = (ResourceId(found.resource_id), PRIVILEGED);
    governance::assign(&mut tx, subject, None, ActorId(Uuid::nil()), &decided).await.unwrap();
    governance_rule::delete(&mut tx, second, None).await.unwrap();
    tx.commit().await.unwrap();
    let stands = async |what: &str| {
        let found = finding_on(&estate, &web, PRIVILEGED).await;
        assert_eq!(found.owner.as_deref(), Some("jo@acme.example"), "{what}");
        assert_eq!(found.due_at, (found.status == "unhealthy").then_some(due_at), "{what}");
        found
    };
    stands("at once").await;
    estate.assess().await;
    stands("after the rules changed").await;
    estate.list(Kind::K8sDeployment, vec![workload(&estate, "shop", "web", false)]).await;
    estate.assess().await;
    assert_eq!(stands("after it was mended").await.status, "healthy");
    estate.list(Kind::K8sDeployment, vec![web.clone()]).await;
    estate.assess().await;
    assert_eq!(stands("after it came back").await.status, "unhealthy");
    estate.list(Kind::K8sDeployment, vec![]).await;
    estate.assess().await;
    estate.list(Kind::K8sDeployment, vec![web.clone()]).await;
    estate.assess().await;
    stands("after the workload was made anew").await;
    // Another severity, another set of parameters: a row that is not there yet gets what was decided about the control.
    let severity = format!("update findings set severity = 1 where resource_id = '{}'", found.resource_id);
    estate.database.run(&format!("{severity}; update assessments set inputs = '\\x00', rules = null")).await;
    estate.assess().await;
    assert!(stands("after its severity changed").await.severity > 1);
    estate.database.run(&format!("delete from findings where resource_id = '{}'", found.resource_id)).await;
    estate.database.run("update assessments set inputs = '\\x00'").await;
    estate.assess().await;
    stands("as a new row").await;

    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    governance::unassign(&mut tx, subject, None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(finding_on(&estate, &web, PRIVILEGED).await.owner.as_deref(), Some("everybody"), "the rules again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_date_counts_from_the_start_of_the_unhealthy_period() {
    let estate = Estate::new().await;
    let web = workload(&estate, "shop", "web", true);
    governed(&estate, &rule("everybody", 1)).await;
    estate.list(Kind::K8sDeployment, vec![web.clone()]).await;
    estate.assess().await;
    let id = ResourceId::derive(estate.tenant, &web.native_id);
    let shift = |days: u32| {
        format!(
            "update findings set since = since - interval '{days} days',
                 open_since = open_since - interval '{days} days' where resource_id = '{id}'"
        )
    };
    let state = async || finding_on(&estate, &web, PRIVILEGED).await.governance_state;
    for (days, expected) in [(9, "on_time"), (2, "grace"), (3, "grace"), (2, "overdue")] {
        estate.database.run(&shift(days)).await;
        assert_eq!(state().await.as_deref(), Some(expected), "{days} days later");
    }
    // A time in which it could not be judged does not start the period anew …
    let turned = format!("update findings set status = 'unknown' where resource_id = '{id}'");
    estate.database.run(&format!("{turned}; update assessments set inputs = '\\x00'")).await;
    assert_eq!(state().await, None, "what is not known to be unhealthy is not overdue");
    estate.assess().await;
    assert_eq!(state().await.as_deref(), Some("overdue"));
    // … one in which it was healthy does.
    estate.list(Kind::K8sDeployment, vec![workload(&estate, "shop", "web", false)]).await;
    estate.assess().await;
    estate.list(Kind::K8sDeployment, vec![web.clone()]).await;
    estate.assess().await;
    assert_eq!(state().await.as_deref(), Some("on_time"));
}

/// Everything that a random edit may change.
#[derive(Clone, Default)]
struct Model {
    workloads: BTreeMap<(&'static str, u8), bool>,
    service: Option<(&'static str, &'static str, u8)>,
    ingress: Option<&'static str>,
    route: Option<&'static str>,
    labels: BTreeMap<&'static str, &'static str>,
    binding: Option<&'static str>,
    automount: bool,
}

const KINDS: [Kind; 7] = [
    Kind::K8sDeployment,
    Kind::K8sService,
    Kind::K8sIngress,
    Kind::K8sHttpRoute,
    Kind::K8sNamespace,
    Kind::K8sClusterRoleBinding,
    Kind::K8sServiceAccount,
];

impl Model {
    async fn list(&self, estate: &Estate, kind: Kind) {
        let resources: Vec<Resource> = match kind {
            Kind::K8sDeployment => {
                let made = self.workloads.iter();
                made.map(|((ns, number), bad)| workload(estate, ns, &format!("d{number}"), *bad)).collect()
            }
            Kind::K8sService => {
                let made = self.service.iter();
                made.map(|(ns, kind, number)| service(estate, ns, kind, &format!("d{number}"))).collect()
            }
            Kind::K8sIngress => self.ingress.iter().map(|ns| ingress(estate, ns)).collect(),
            Kind::K8sHttpRoute => self.route.iter().map(|ns| route(estate, ns)).collect(),
            Kind::K8sNamespace => {
                self.labels.iter().map(|(ns, env)| namespace(estate, ns, &json!({"env": env, "team": ns}))).collect()
            }
            Kind::K8sClusterRoleBinding => self.binding.iter().map(|ns| binding(estate, ns)).collect(),
            _ => ["a", "b"].map(|ns| account(estate, ns, self.automount)).into(),
        };
        estate.list(kind, resources).await;
    }

    fn mutate(&mut self, rng: &mut StdRng) -> Kind {
        let ns = ["a", "b"][rng.random_range(0..2)];
        let some = rng.random_bool(0.7);
        let kind = KINDS[rng.random_range(0..KINDS.len())];
        let number = rng.random_range(0..3);
        match kind {
            Kind::K8sDeployment if some => {
                self.workloads.insert((ns, number), rng.random_bool(0.5));
            }
            Kind::K8sDeployment => {
                self.workloads.remove(&(ns, number));
            }
            Kind::K8sService => {
                let kind = ["LoadBalancer", "NodePort", "ClusterIP"][rng.random_range(0..3)];
                self.service = some.then_some((ns, kind, number));
            }
            Kind::K8sIngress => self.ingress = some.then_some(ns),
            Kind::K8sHttpRoute => self.route = some.then_some(ns),
            Kind::K8sNamespace if some => {
                self.labels.insert(ns, ["prod", "dev", "blue"][rng.random_range(0..3)]);
            }
            Kind::K8sNamespace => {
                self.labels.remove(ns);
            }
            Kind::K8sClusterRoleBinding => self.binding = some.then_some(ns),
            _ => self.automount = !self.automount,
        }
        kind
    }
}

/// Every context, and how every finding on what is there stands, by names that compare across estates.
async fn standings(estate: &Estate) -> BTreeMap<String, Value> {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let unit = UnitId::from(estate.cluster.id);
    let packs = verdict::packs_of_unit(&mut tx, unit).await.unwrap();
    let ids: Vec<Uuid> = packs.iter().map(|pack| pack.resource_id).collect();
    let resources = verdict::resources_by_id(&mut tx, unit, &ids).await.unwrap();
    let name = |id: Uuid| {
        let found = resources.iter().find(|resource| resource.id == id);
        found.map(|r| format!("{}/{}/{}", r.kind, r.namespace.as_deref().unwrap_or_default(), r.name))
    };
    let mut all = BTreeMap::new();
    for (id, stored) in context::of_unit(&mut tx, unit).await.unwrap() {
        let name = name(id).unwrap_or_else(|| format!("gone {id}"));
        all.insert(name, json!([stored.weight, stored.factors]));
    }
    let open = verdict::findings_of(&mut tx, &ids).await.unwrap();
    let open: BTreeSet<(Uuid, i32)> =
        open.iter().filter(|it| it.status == "unhealthy").map(|it| (it.resource_id, it.ordinal)).collect();
    for finding in governance::graded(&mut tx, &ids).await.unwrap() {
        if open.contains(&(finding.resource_id, finding.ordinal)) {
            let standing = &finding.standing;
            let key = format!("{} {}", name(finding.resource_id).unwrap(), finding.control_id);
            all.insert(key, json!([standing.risk, standing.owner, standing.due_days, standing.grace_period_days]));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn after_any_edits_findings_stand_as_if_all_were_assessed_from_empty() {
    let rounds = if std::env::var_os("RAMPART_TEST_FULL").is_some() { 16 } else { 4 };
    let first = Estate::new().await;
    for seed in 0..rounds {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut model = Model { automount: true, ..Model::default() };
        let grown = Estate::beside(first.database.clone()).await;
        let fresh = Estate::beside(first.database.clone()).await;
        let by_label = NewGovernanceRule { owner_label: Some("team".into()), ..rule("team", 5) };
        let risky = NewGovernanceRule { risks: vec![rampart_domain::Risk::Critical], ..rule("risky", 1) };
        for step in 0..rng.random_range(10..25) {
            let kind = model.mutate(&mut rng);
            model.list(&grown, kind).await;
            if step == 5 {
                governed(&grown, &by_label).await;
                criticality(&grown, "half", &["a"], Criticality::High).await;
            }
            if step == 8 {
                governed(&grown, &risky).await;
            }
            if rng.random_bool(0.5) {
                grown.assess().await;
            }
        }
        for kind in KINDS {
            model.list(&grown, kind).await;
            model.list(&fresh, kind).await;
        }
        grown.assess().await;
        governed(&fresh, &by_label).await;
        governed(&fresh, &risky).await;
        criticality(&fresh, "half", &["a"], Criticality::High).await;
        fresh.assess().await;
        let expected = standings(&fresh).await;
        assert_eq!(standings(&grown).await, expected, "seed {seed}");
        assert!(expected.len() > 3, "seed {seed}: {expected:?}");
    }
}
