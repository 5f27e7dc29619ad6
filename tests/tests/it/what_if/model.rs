//! A cluster that changes twice: first in a question, then for real.

use std::collections::{BTreeMap, BTreeSet};

use platform_tests::Estate;
use rampart_domain::patch::{self, Operation};
use rampart_domain::{Kind, NativeId, Resource, ResourceId, is_active};
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};
use uuid::Uuid;

pub(super) const PRIVILEGED: &str = "k8s.pod.privileged";

/// What exists, by native id.
pub(super) struct Model<'e> {
    estate: &'e Estate,
    resources: BTreeMap<String, Resource>,
    /// Kinds that differ from what was listed.
    moved: BTreeSet<Kind>,
}

fn template(labels: &str, privileged: bool) -> Value {
    json!({
        "metadata": {"labels": {"app": labels}},
        "spec": {
            "serviceAccountName": "web",
            "containers": [{
                "name": "web", "image": "registry.example/web:1", "securityContext": {"privileged": privileged},
            }],
        },
    })
}

impl<'e> Model<'e> {
    /// Two namespaces with a bit of everything, listed.
    pub(super) async fn new(estate: &'e Estate) -> Self {
        let mut model = Self { estate, resources: BTreeMap::new(), moved: BTreeSet::new() };
        for ns in ["a", "b"] {
            model.put(Kind::K8sNamespace, json!({"metadata": {"name": ns, "labels": {}}}));
            model.put(
                Kind::K8sServiceAccount,
                json!({"metadata": {"name": "web", "namespace": ns}, "automountServiceAccountToken": true}),
            );
            for (index, name) in ["one", "two", "three"].into_iter().enumerate() {
                model.deploy(ns, name, index != 1);
            }
            let service = json!({"metadata": {"name": "web", "namespace": ns},
                "spec": {"type": "LoadBalancer", "selector": {"app": "one"}, "ports": [{"port": 22}]}});
            model.put(Kind::K8sService, service);
            model.put(Kind::K8sNetworkPolicy, policy(ns));
        }
        let rules = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]);
        model.put(Kind::K8sClusterRole, json!({"metadata": {"name": "reader"}, "rules": rules}));
        let subjects = json!([{"kind": "ServiceAccount", "name": "web", "namespace": "a"}]);
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"});
        let binding = json!({"metadata": {"name": "readers"}, "roleRef": role, "subjects": subjects});
        model.put(Kind::K8sClusterRoleBinding, binding);
        model.moved.extend(Kind::ALL.iter().filter(|kind| kind.as_str().starts_with("k8s.")));
        model.list().await;
        model
    }

    fn put(&mut self, kind: Kind, object: Value) -> String {
        let mut resource = self.estate.object(kind, object);
        // What edges lead to is named as the API server names it.
        let (stated, real) = match kind {
            Kind::K8sServiceAccount => ("//k8s.serviceaccount/", "//ServiceAccount/"),
            Kind::K8sClusterRole => ("//k8s.clusterrole/", "/rbac.authorization.k8s.io/ClusterRole/"),
            _ => ("", ""),
        };
        if !stated.is_empty() {
            resource.native_id = NativeId::new(resource.native_id.as_str().replace(stated, real));
        }
        let id = resource.native_id.to_string();
        self.resources.insert(id.clone(), resource);
        self.moved.insert(kind);
        id
    }

    fn deploy(&mut self, ns: &str, name: &str, privileged: bool) {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": ns, "labels": {"app": name}},
            "spec": {"replicas": 1, "template": template(name, privileged)}});
        let owner = self.put(Kind::K8sDeployment, object);
        let pod =
            self.put(Kind::K8sPod, json!({"metadata": {"name": format!("{name}-0"), "namespace": ns}, "spec": {}}));
        let owner = self.resources[&owner].native_id.clone();
        self.resources.get_mut(&pod).unwrap().owner = Some(owner.clone());
        self.roll(owner.as_str());
    }

    /// Makes the pods of a deployment what its template says, with what is injected into those of `three`.
    fn roll(&mut self, owner: &str) {
        let template = self.resources[owner].config["spec"]["template"].clone();
        let pods = self.resources.values_mut().filter(|it| it.owner.as_ref().is_some_and(|id| id.as_str() == owner));
        for pod in pods {
            pod.config["metadata"]["labels"] = template["metadata"]["labels"].clone();
            pod.config["spec"] = template["spec"].clone();
            if pod.name.starts_with("three") {
                let proxy = json!({"name": "proxy", "image": "registry.example/proxy:1"});
                pod.config["spec"]["containers"].as_array_mut().unwrap().push(proxy);
            }
        }
        self.moved.insert(Kind::K8sPod);
    }

    /// Lists what differs.
    pub(super) async fn list(&mut self) {
        for kind in std::mem::take(&mut self.moved) {
            let own = self.resources.values_mut().filter(|it| it.kind == kind);
            let resources = own.map(|resource| {
                let labels = resource.config.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
                resource.labels = serde_json::from_value(labels).unwrap();
                resource.active = is_active(kind, resource.config.as_object().unwrap());
                resource.clone()
            });
            let resources = resources.collect();
            self.estate.list(kind, resources).await;
        }
    }

    pub(super) fn id(&self, native: &str) -> Uuid {
        ResourceId::derive(self.estate.tenant, &self.resources[native].native_id).0
    }

    pub(super) fn config(&self, native: &str) -> &Value {
        &self.resources[native].config
    }

    /// Native ids of a kind.
    pub(super) fn of(&self, kind: Kind) -> Vec<String> {
        self.resources.values().filter(|it| it.kind == kind).map(|it| it.native_id.to_string()).collect()
    }

    /// Brings back what deletions took, so that something is left to change.
    pub(super) fn refill(&mut self) {
        for ns in ["a", "b"] {
            let has = |model: &Self, kind: Kind, name: &str| {
                model
                    .resources
                    .values()
                    .any(|it| (it.kind, &*it.name) == (kind, name) && it.namespace.as_deref() == Some(ns))
            };
            if !has(self, Kind::K8sNetworkPolicy, "all") {
                self.put(Kind::K8sNetworkPolicy, policy(ns));
            }
            if !has(self, Kind::K8sDeployment, "two") {
                self.deploy(ns, "two", true);
            }
        }
    }

    /// A random change of resources, as it is asked about; the model has it from now on. `unhealthy` are the resources that
    /// are privileged as far as is stored.
    pub(super) fn mutate(&mut self, rng: &mut StdRng, unhealthy: &BTreeSet<Uuid>) -> Value {
        let deployment = self.of(Kind::K8sDeployment).choose(rng).unwrap().clone();
        match rng.random_range(0..9) {
            0 => {
                let context =
                    json!({"privileged": rng.random_bool(0.5), "allowPrivilegeEscalation": rng.random_bool(0.5)});
                let path = "/spec/template/spec/containers/0/securityContext";
                self.patch(&deployment, &json!([{"op": "add", "path": path, "value": context}]))
            }
            1 => {
                let spec = json!({"hostNetwork": rng.random_bool(0.5), "hostPID": rng.random_bool(0.5)});
                self.merge(&deployment, &json!({"spec": {"template": {"spec": spec}}}))
            }
            2 => {
                let sidecar =
                    json!({"name": "side", "image": "registry.example/side", "securityContext": {"privileged": true}});
                let path = "/spec/template/spec/containers/-";
                self.patch(&deployment, &json!([{"op": "add", "path": path, "value": sidecar}]))
            }
            3 => {
                let label = ["one", "other"][rng.random_range(0..2)];
                self.merge(&deployment, &json!({"spec": {"template": {"metadata": {"labels": {"app": label}}}}}))
            }
            4 => {
                let account = self.of(Kind::K8sServiceAccount).choose(rng).unwrap().clone();
                self.merge(&account, &json!({"automountServiceAccountToken": rng.random_bool(0.5)}))
            }
            5 => {
                let role = self.of(Kind::K8sClusterRole)[0].clone();
                let verbs = [json!(["create"]), json!(["*"]), json!(["get"])].choose(rng).unwrap().clone();
                self.patch(&role, &json!([{"op": "replace", "path": "/rules/0/verbs", "value": verbs}]))
            }
            6 => {
                let binding = self.of(Kind::K8sClusterRoleBinding)[0].clone();
                let ns = ["a", "b"][rng.random_range(0..2)];
                self.patch(&binding, &json!([{"op": "replace", "path": "/subjects/0/namespace", "value": ns}]))
            }
            7 => {
                let going = *[Kind::K8sNetworkPolicy, Kind::K8sDeployment].choose(rng).unwrap();
                match self.of(going).choose(rng).cloned() {
                    Some(native) if self.of(Kind::K8sDeployment).len() > 3 => self.delete(&native),
                    _ => self.mutate(rng, unhealthy),
                }
            }
            _ => self.fix(rng, unhealthy),
        }
    }

    fn changed(&mut self, native: &str) {
        self.moved.insert(self.resources[native].kind);
        if self.resources[native].kind == Kind::K8sDeployment {
            self.roll(native);
        }
    }

    fn patch(&mut self, native: &str, operations: &Value) -> Value {
        let parsed: Vec<Operation> = serde_json::from_value(operations.clone()).unwrap();
        patch::apply(&mut self.resources.get_mut(native).unwrap().config, &parsed).unwrap();
        self.changed(native);
        json!({"type": "patch", "resource_id": self.id(native), "patch": operations})
    }

    fn merge(&mut self, native: &str, merge: &Value) -> Value {
        patch::merge(&mut self.resources.get_mut(native).unwrap().config, merge);
        self.changed(native);
        json!({"type": "merge_patch", "resource_id": self.id(native), "patch": merge})
    }

    fn delete(&mut self, native: &str) -> Value {
        let change = json!({"type": "delete", "resource_id": self.id(native)});
        self.moved.insert(self.resources[native].kind);
        self.moved.insert(Kind::K8sPod);
        self.resources.retain(|id, it| id != native && it.owner.as_ref().is_none_or(|owner| owner.as_str() != native));
        change
    }

    fn fix(&mut self, rng: &mut StdRng, unhealthy: &BTreeSet<Uuid>) -> Value {
        let all = self.of(Kind::K8sDeployment);
        let chosen: Option<String> = rng.random_bool(0.5).then(|| all.choose(rng).unwrap().clone());
        for native in &all {
            let fixed = chosen.as_ref().map_or_else(|| unhealthy.contains(&self.id(native)), |it| it == native);
            let config = &mut self.resources.get_mut(native).unwrap().config;
            let containers = config.pointer_mut("/spec/template/spec/containers").unwrap().as_array_mut().unwrap();
            for container in containers.iter_mut().filter(|it| fixed && it["securityContext"]["privileged"] == true) {
                container["securityContext"]["privileged"] = json!(false);
            }
            self.changed(native);
        }
        let mut change = json!({"type": "fix", "control": PRIVILEGED});
        if let Some(native) = chosen {
            change["resources"] = json!([self.id(&native)]);
        }
        change
    }
}

fn policy(ns: &str) -> Value {
    json!({"metadata": {"name": "all", "namespace": ns},
        "spec": {"podSelector": {"matchLabels": {"app": "one"}}, "policyTypes": ["Ingress", "Egress"]}})
}
