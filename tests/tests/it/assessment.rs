//! What changed is assessed, nothing else, and the result is the same as if all were assessed from empty.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use platform_tests::Estate;
use rampart_domain::exemption::Condition;
use rampart_domain::{Cloud, ExemptionCategory, Kind, NativeId, Resource, UnitId};
use rampart_store::exemption::{Selected, Terms};
use rampart_store::verdict::{self, News};
use rampart_store::{AccessScope, disabled_control, exemption, inventory};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

fn pod_template(privileged: bool, account: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "serviceAccountName": account,
            "containers": [{
                "name": "web", "image": "registry.example/web:1",
                "securityContext": {"privileged": privileged, "allowPrivilegeEscalation": privileged},
            }],
        },
    })
}

fn deployment(estate: &Estate, ns: &str, name: &str, privileged: bool) -> Resource {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": ns, "labels": {"app": name}},
        "spec": {"replicas": 1, "template": pod_template(privileged, "web")},
    });
    estate.object(Kind::K8sDeployment, object)
}

fn policy(estate: &Estate, ns: &str, name: &str) -> Resource {
    let object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": ns},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    });
    estate.object(Kind::K8sNetworkPolicy, object)
}

fn service_account(estate: &Estate, ns: &str, automount: bool) -> Resource {
    let object = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "web", "namespace": ns}, "automountServiceAccountToken": automount,
    });
    estate.object(Kind::K8sServiceAccount, object)
}

fn binding(estate: &Estate, name: &str, role: &str) -> Resource {
    let object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "web", "namespace": "a"}],
    });
    estate.object(Kind::K8sClusterRoleBinding, object)
}

fn role(estate: &Estate, name: &str, verbs: &[&str]) -> Resource {
    let object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}],
    });
    estate.object(Kind::K8sClusterRole, object)
}

fn namespace(estate: &Estate, name: &str) -> Resource {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {}}});
    estate.object(Kind::K8sNamespace, object)
}

const MUTABLE: [Kind; 5] = [
    Kind::K8sDeployment,
    Kind::K8sNetworkPolicy,
    Kind::K8sServiceAccount,
    Kind::K8sClusterRole,
    Kind::K8sClusterRoleBinding,
];

/// Every other kind of the Kubernetes API, listed and mostly empty.
fn beside() -> impl Iterator<Item = Kind> {
    let kubernetes = |kind: &Kind| kind.family() == rampart_domain::Family::Kubernetes && !MUTABLE.contains(kind);
    Kind::ALL.iter().copied().filter(kubernetes)
}

/// What exists at one moment; listing it again is how changes arrive.
#[derive(Clone, Default)]
pub(crate) struct Model {
    deployments: Vec<(&'static str, String, bool)>,
    policies: Vec<(&'static str, String)>,
    automount: bool,
    bindings: Vec<(String, String)>,
    reads: bool,
    /// By the number of the condition in [`conditions`].
    exemptions: BTreeMap<usize, &'static str>,
    /// Whether a control is turned off in a namespace.
    off: bool,
}

/// What exemptions hold for.
fn conditions() -> [Value; 5] {
    [
        json!({"namespace": "a"}),
        json!({"labels": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["d0", "d1"]}]}}),
        json!({"element": "container *", "any_of": [{"name": "d2"}, {"namespace": "b"}]}),
        json!({"kind": "k8s.serviceaccount"}),
        json!({"element": "container other"}),
    ]
}

impl Model {
    /// Nothing, in which tokens are mounted.
    pub(crate) fn new() -> Self {
        Self { automount: true, ..Self::default() }
    }

    pub(crate) async fn list(&self, estate: &Estate, kind: Kind) {
        estate.list(kind, self.resources(estate, kind)).await;
    }

    /// What a list of a kind would show.
    pub(crate) fn resources(&self, estate: &Estate, kind: Kind) -> Vec<Resource> {
        match kind {
            Kind::K8sDeployment => {
                self.deployments.iter().map(|(ns, name, bad)| deployment(estate, ns, name, *bad)).collect()
            }
            Kind::K8sNetworkPolicy => self.policies.iter().map(|(ns, name)| policy(estate, ns, name)).collect(),
            Kind::K8sServiceAccount => ["a", "b"].map(|ns| service_account(estate, ns, self.automount)).into(),
            Kind::K8sClusterRoleBinding => {
                self.bindings.iter().map(|(name, role)| binding(estate, name, role)).collect()
            }
            Kind::K8sClusterRole => {
                let verbs: &[&str] = if self.reads { &["get", "list"] } else { &["create"] };
                vec![role(estate, "reader", verbs), role(estate, "cluster-admin", &["*"])]
            }
            Kind::K8sNamespace => ["a", "b"].map(|ns| namespace(estate, ns)).into(),
            _ => Vec::new(),
        }
    }

    pub(crate) async fn list_all(&self, estate: &Estate) {
        for kind in MUTABLE.into_iter().chain(beside()) {
            self.list(estate, kind).await;
        }
    }

    /// Makes an exemption, or removes it, or turns a control off or on.
    pub(crate) async fn change_policy(&mut self, rng: &mut StdRng, estate: &Estate) {
        let mut tx = estate.store.tenant(estate.tenant).await.expect("a transaction");
        let number = rng.random_range(0..=conditions().len());
        if number == conditions().len() {
            self.off = !self.off;
            match disabled_control::all(&mut tx).await.expect("reads").first() {
                Some(off) => disabled_control::delete(&mut tx, off.id).await.expect("deletes"),
                None => turn_off(&mut tx, estate).await,
            }
        } else if self.exemptions.remove(&number).is_some() {
            let all = exemption::all(&mut tx).await.expect("reads");
            let id = all.iter().find(|it| it.terms.name == number.to_string()).expect("it was made").id;
            exemption::delete(&mut tx, id, None).await.expect("deletes");
        } else {
            let controls = ["*", "k8s.pod.*", "k8s.pod.privileged"][rng.random_range(0..3)];
            self.exemptions.insert(number, controls);
            exempt(&mut tx, number, controls).await;
        }
        tx.commit().await.expect("commits");
    }

    /// Brings an estate without exemptions to this state.
    pub(crate) async fn set_policy(&self, estate: &Estate) {
        let mut tx = estate.store.tenant(estate.tenant).await.expect("a transaction");
        for (number, controls) in &self.exemptions {
            exempt(&mut tx, *number, controls).await;
        }
        if self.off {
            turn_off(&mut tx, estate).await;
        }
        tx.commit().await.expect("commits");
    }

    pub(crate) fn mutate(&mut self, rng: &mut StdRng) -> Kind {
        let ns = ["a", "b"][rng.random_range(0..2)];
        let kind = MUTABLE[rng.random_range(0..MUTABLE.len())];
        match kind {
            Kind::K8sDeployment if rng.random_bool(0.3) && !self.deployments.is_empty() => {
                let index = rng.random_range(0..self.deployments.len());
                self.deployments.remove(index);
            }
            Kind::K8sDeployment => {
                let name = format!("d{}", rng.random_range(0..4));
                self.deployments.retain(|(n, existing, _)| (*n, existing) != (ns, &name));
                self.deployments.push((ns, name, rng.random_bool(0.5)));
            }
            Kind::K8sNetworkPolicy if self.policies.is_empty() => self.policies.push((ns, "p".into())),
            Kind::K8sNetworkPolicy => {
                self.policies.pop();
            }
            Kind::K8sServiceAccount => self.automount = !self.automount,
            Kind::K8sClusterRole => self.reads = !self.reads,
            _ => {
                let role = ["reader", "cluster-admin", "missing"][rng.random_range(0..3)].to_owned();
                self.bindings = vec![("b".into(), role)];
            }
        }
        kind
    }
}

async fn exempt(tx: &mut rampart_store::TenantTx, number: usize, controls: &str) {
    let terms = Terms {
        name: number.to_string(),
        category: ExemptionCategory::Mitigated,
        reason: "so".to_owned(),
        approved_by: None,
        expires_at: None,
        selected: Selected::Controls(vec![controls.to_owned()]),
        condition: Condition::read(&conditions()[number], "").expect("a condition"),
    };
    exemption::create(tx, &terms).await.expect("creates");
}

async fn turn_off(tx: &mut rampart_store::TenantTx, estate: &Estate) {
    let scope = AccessScope::Namespace(estate.cluster.id, "b".to_owned());
    disabled_control::create(tx, "k8s.pod.privileged", &scope, "so").await.expect("creates");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_any_edits_and_denials_the_state_equals_an_assessment_from_empty() {
    let rounds = if std::env::var_os("RAMPART_TEST_FULL").is_some() { 12 } else { 3 };
    let first = Estate::new().await;
    for seed in 0..rounds {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut model = Model { automount: true, ..Model::default() };
        let grown = Estate::beside(first.database.clone()).await;
        for _ in 0..rng.random_range(8..20) {
            let kind = model.mutate(&mut rng);
            if rng.random_bool(0.2) {
                grown.deny(kind).await;
            } else {
                model.list(&grown, kind).await;
            }
            if rng.random_bool(0.4) {
                model.change_policy(&mut rng, &grown).await;
            }
            if rng.random_bool(0.5) {
                grown.assess().await;
            }
        }
        model.list_all(&grown).await;
        grown.assess().await;
        let fresh = Estate::beside(first.database.clone()).await;
        model.list_all(&fresh).await;
        model.set_policy(&fresh).await;
        fresh.assess().await;
        assert_eq!(grown.verdicts().await, fresh.verdicts().await, "seed {seed}");
        assert_eq!(grown.counters().await, fresh.counters().await, "counters, seed {seed}");
        assert!(!fresh.verdicts().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_access_keeps_the_last_verdict_and_unread_kinds_are_unknown() {
    let estate = Estate::new().await;
    let model = Model { deployments: vec![("a", "d".into(), true)], automount: true, ..Model::default() };
    let control = |verdicts: &platform_tests::Verdicts, id: &str| {
        let of_deployment = |(key, _): &(&(String, String), &String)| key.0.contains("/Deployment/") && key.1 == id;
        verdicts.iter().find(of_deployment).map(|(_, status)| status.clone())
    };
    model.list(&estate, Kind::K8sDeployment).await;
    estate.assess().await;
    let blind = estate.verdicts().await;
    assert_eq!(control(&blind, "k8s.pod.privileged").as_deref(), Some("unhealthy"));
    let unknown: Vec<&str> =
        blind.iter().filter(|(_, status)| *status == "unknown").map(|(key, _)| key.1.as_str()).collect();
    assert!(!unknown.is_empty(), "some control looks at neighbours that were never listed");

    model.list_all(&estate).await;
    estate.assess().await;
    let sighted = estate.verdicts().await;
    assert!(unknown.iter().any(|id| control(&sighted, id).as_deref() != Some("unknown")), "reading settles verdicts");
    for kind in MUTABLE.into_iter().chain(beside()).filter(|kind| *kind != Kind::K8sDeployment) {
        estate.deny(kind).await;
    }
    estate.assess().await;
    assert_eq!(estate.verdicts().await, sighted, "nothing looks better or worse because it can no longer be read");
}

/// Sums of `[healthy, unhealthy, not applicable, unknown, stale]` over all checks; nothing is exempt.
fn sums(counters: &Value) -> [i64; 5] {
    let checks = counters.as_object().into_iter().flatten().filter(|(name, _)| !name.starts_with("group/"));
    checks.fold([0; 5], |sums, (_, counts)| {
        std::array::from_fn(|at| sums[at] + counts[at].as_i64().expect("counters are numbers"))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_verdict_counts_as_it_stood_until_it_is_too_old() {
    let estate = Estate::new().await;
    let model = Model { deployments: vec![("a", "d".into(), true)], automount: true, ..Model::default() };
    model.list_all(&estate).await;
    estate.assess().await;
    let (verdicts, counters) = (estate.verdicts().await, estate.counters().await);
    let [healthy, unhealthy, _, unknown, stale] = sums(&counters);
    assert!(healthy > 0 && unhealthy > 0 && stale == 0);

    estate.deny(Kind::K8sDeployment).await;
    estate.assess().await;
    assert_eq!(estate.verdicts().await, verdicts, "nothing looks better or worse because it can no longer be read");
    let after = sums(&estate.counters().await);
    assert_eq!(after[..2], [healthy, unhealthy], "a score that lost access does not move");
    assert!(after[4] > 0, "its coverage does");

    let later = Utc::now() + TimeDelta::hours(25);
    assert_eq!(inventory::expire(&estate.store, 26, later).await.unwrap(), 0);
    assert!(inventory::expire(&estate.store, 24, later).await.unwrap() > 0);
    estate.assess().await;
    let of_deployment = |verdicts: &platform_tests::Verdicts| -> Vec<String> {
        verdicts.iter().filter(|(key, _)| key.0.contains("/Deployment/")).map(|(_, status)| status.clone()).collect()
    };
    let old = of_deployment(&estate.verdicts().await);
    assert!(!old.is_empty() && old.iter().all(|status| status == "unknown"), "{old:?}");
    assert!(sums(&estate.counters().await)[3] > unknown);

    model.list_all(&estate).await;
    estate.assess().await;
    assert_eq!(estate.verdicts().await, verdicts);
    assert_eq!(estate.counters().await, counters);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_estate_costs_no_judgement() {
    let estate = Estate::new().await;
    let model = Model { deployments: vec![("a", "d".into(), true)], ..Model::default() };
    model.list_all(&estate).await;
    assert!(estate.assess().await.judged > 0);
    let again = estate.list(Kind::K8sDeployment, vec![deployment(&estate, "a", "d", true)]).await;
    assert_eq!((again.added, again.changed, again.unchanged), (0, 0, 1));
    assert_eq!(estate.assess().await.judged, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_in_an_account_is_told_to_the_clusters_that_are_judged_by_it() {
    const ACCOUNT: &str = "111122223333";
    let estate = Estate::new().await;
    estate.database.run(&format!("update clusters set cloud = 'aws', account = '{ACCOUNT}'")).await;
    let role_arn = format!("arn:aws:iam::{ACCOUNT}:role/nodes");
    let resource = |kind: Kind, native_id: &str, config: Value| Resource {
        native_id: NativeId::new(native_id),
        kind,
        cloud: Cloud::Aws,
        account: Some(ACCOUNT.into()),
        cluster: None,
        ..estate.object(kind, json!({"metadata": {"name": "nodes"}, "config": config}))
    };
    let (cluster, account) = (estate.cluster.id.into(), UnitId::account(estate.tenant, Cloud::Aws, ACCOUNT));
    let news = async || {
        let mut tx = estate.store.tenant(estate.tenant).await.expect("reads");
        let rows = verdict::dirty(&mut tx, cluster, 100).await.expect("reads");
        rows.iter().filter(|row| row.news() == News::Account).map(|row| row.kind).collect::<Vec<_>>()
    };
    let role = |policy: &str| resource(Kind::AwsIamRole, &role_arn, json!({"policy": policy}));
    estate.put(role("read"), account).await;
    estate.assess_unit(account).await;
    assert!(news().await.is_empty(), "the cluster has nothing that is judged by roles");

    estate.put(resource(Kind::AwsEksNodegroup, "arn:aws:eks:nodes", json!({"nodeRole": role_arn})), cluster).await;
    estate.assess().await;
    estate.put(role("write"), account).await;
    estate.assess_unit(account).await;
    assert_eq!(news().await, [Kind::AwsIamRole]);
    assert!(estate.assess().await.judged >= 1, "the node group is judged again");
    assert!(news().await.is_empty());
    estate.put(resource(Kind::AwsEcrImage, "arn:aws:ecr:image", json!({})), account).await;
    estate.assess_unit(account).await;
    assert!(news().await.is_empty(), "no cluster is judged by images of the account");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_cannot_write() {
    let estate = Estate::new().await;
    let stale = estate.lease().await;
    let mut tx = estate.store.worker().await.unwrap();
    rampart_store::work::release(&mut tx, &stale).await.unwrap();
    tx.commit().await.unwrap();
    let _next = estate.lease().await;
    let refused = estate.store.fenced(&stale).await.unwrap_err();
    assert!(matches!(refused, rampart_store::StoreError::LeaseLost));
}
