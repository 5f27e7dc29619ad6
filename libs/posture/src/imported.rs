use std::borrow::Cow;
use std::sync::Arc;

use rampart_content::Within;
use rampart_domain::{Evidence, Kind, UnknownReason, Verdict};
use serde_json::{Map, Value, json};

use crate::engine::CompiledNeighbour;
use crate::input::{Input, NeighbourQuery};
use crate::policy::{Decision, Inventory, Policy, Review, Violation};

/// Messages of one verdict; of more only the number is told.
const MESSAGES: usize = 5;
/// Longest message in characters.
const MESSAGE: usize = 500;

/// The kinds that are kept whole, as the API server gives them: group and kind in its spelling. Calico serves its kinds in
/// two groups. Kinds of which only a part is read (config maps, secrets, custom resource definitions, endpoint slices)
/// are missing: a policy would judge what is not there.
const WHOLE: &[(Kind, &str, &str)] = &[
    (Kind::K8sNode, "", "Node"),
    (Kind::K8sNamespace, "", "Namespace"),
    (Kind::K8sPod, "", "Pod"),
    (Kind::K8sDeployment, "apps", "Deployment"),
    (Kind::K8sDaemonSet, "apps", "DaemonSet"),
    (Kind::K8sStatefulSet, "apps", "StatefulSet"),
    (Kind::K8sReplicaSet, "apps", "ReplicaSet"),
    (Kind::K8sReplicationController, "", "ReplicationController"),
    (Kind::K8sJob, "batch", "Job"),
    (Kind::K8sCronJob, "batch", "CronJob"),
    (Kind::K8sService, "", "Service"),
    (Kind::K8sIngress, "networking.k8s.io", "Ingress"),
    (Kind::K8sGatewayClass, "gateway.networking.k8s.io", "GatewayClass"),
    (Kind::K8sGateway, "gateway.networking.k8s.io", "Gateway"),
    (Kind::K8sHttpRoute, "gateway.networking.k8s.io", "HTTPRoute"),
    (Kind::K8sGrpcRoute, "gateway.networking.k8s.io", "GRPCRoute"),
    (Kind::K8sTlsRoute, "gateway.networking.k8s.io", "TLSRoute"),
    (Kind::K8sTcpRoute, "gateway.networking.k8s.io", "TCPRoute"),
    (Kind::K8sNetworkPolicy, "networking.k8s.io", "NetworkPolicy"),
    (Kind::K8sCiliumNetworkPolicy, "cilium.io", "CiliumNetworkPolicy"),
    (Kind::K8sCiliumClusterwideNetworkPolicy, "cilium.io", "CiliumClusterwideNetworkPolicy"),
    (Kind::K8sCalicoNetworkPolicy, "crd.projectcalico.org", "NetworkPolicy"),
    (Kind::K8sCalicoNetworkPolicy, "projectcalico.org", "NetworkPolicy"),
    (Kind::K8sCalicoGlobalNetworkPolicy, "crd.projectcalico.org", "GlobalNetworkPolicy"),
    (Kind::K8sCalicoGlobalNetworkPolicy, "projectcalico.org", "GlobalNetworkPolicy"),
    (Kind::K8sAdminNetworkPolicy, "policy.networking.k8s.io", "AdminNetworkPolicy"),
    (Kind::K8sBaselineAdminNetworkPolicy, "policy.networking.k8s.io", "BaselineAdminNetworkPolicy"),
    (Kind::K8sServiceAccount, "", "ServiceAccount"),
    (Kind::K8sRole, "rbac.authorization.k8s.io", "Role"),
    (Kind::K8sClusterRole, "rbac.authorization.k8s.io", "ClusterRole"),
    (Kind::K8sRoleBinding, "rbac.authorization.k8s.io", "RoleBinding"),
    (Kind::K8sClusterRoleBinding, "rbac.authorization.k8s.io", "ClusterRoleBinding"),
    (Kind::K8sValidatingWebhookConfiguration, "admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    (Kind::K8sMutatingWebhookConfiguration, "admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    (Kind::K8sResourceQuota, "", "ResourceQuota"),
    (Kind::K8sLimitRange, "", "LimitRange"),
    (Kind::K8sStorageClass, "storage.k8s.io", "StorageClass"),
    (Kind::K8sPersistentVolume, "", "PersistentVolume"),
];

/// A policy in another format, judged on resources as they are kept.
///
/// A workload is judged as itself, where the policy looks at such, and by the pod that its template makes, where the
/// policy looks at pods: its own pods are judged through it, as they are by controls.
pub(crate) struct Imported {
    policy: Arc<dyn Policy>,
    /// Whether it looks at pods.
    pods: bool,
    neighbours: [CompiledNeighbour; 1],
}

impl std::fmt::Debug for Imported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Imported").field("policy", &self.policy.id()).finish_non_exhaustive()
    }
}

/// The kinds of resources that a policy can judge; sorted, each once.
pub(crate) fn kinds(policy: &dyn Policy) -> Vec<Kind> {
    let own = WHOLE.iter().filter(|(_, group, kind)| policy.may_match(group, kind)).map(|(kind, ..)| *kind);
    let templated = Kind::ALL.iter().copied().filter(|kind| policy.may_match("", "Pod") && is_templated(*kind));
    let mut kinds: Vec<Kind> = own.chain(templated).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Whether the kind is a workload with a template that pods are made from. The pods that kubelets run by themselves are
/// rolled up, and what is kept of them is no object.
fn is_templated(kind: Kind) -> bool {
    kind.is_workload() && !matches!(kind, Kind::K8sPod | Kind::K8sStaticPod)
}

impl Imported {
    pub(crate) fn new(policy: Arc<dyn Policy>) -> Self {
        let namespace = CompiledNeighbour {
            label: "namespace".to_owned(),
            kinds: vec![Kind::K8sNamespace],
            within: Within::Unit,
            name: None,
            through: None,
            outline: false,
            complete: false,
        };
        Self { pods: policy.may_match("", "Pod"), policy, neighbours: [namespace] }
    }

    /// The object's namespace: policies match by its labels.
    pub(crate) fn neighbours(&self) -> &[CompiledNeighbour] {
        &self.neighbours
    }

    /// What the policy says of a resource.
    pub(crate) fn judge(&self, input: &Input<'_>) -> Verdict {
        let [namespace] = &self.neighbours;
        let found = input.facts.namespace.map(|name| {
            let (label, kinds, within) = (&*namespace.label, &*namespace.kinds, namespace.within);
            input.neighbours.get(&NeighbourQuery { label, kinds, within, name: Some(name), outline: false })
        });
        let namespace = found.as_ref().and_then(|set| set.items.first()).map(|item| item.config);
        let inventory = Inventory::default();
        let review = |object: &Value| {
            let (old_object, operation, user) = (None, None, None);
            self.policy.review(&Review { object, old_object, operation, namespace, user, inventory: &inventory })
        };
        let own = object(input).map_or(Decision::NotMatched, |object| review(&object));
        let pod = Some(input).filter(|input| self.pods && is_templated(input.facts.kind)).map(pod_of);
        let pod = match pod {
            None => Decision::NotMatched,
            Some(Some(pod)) => review(&pod),
            Some(None) => Decision::Unknown("the pod template was not read".to_owned()),
        };
        verdict(both(own, pod))
    }
}

/// The resource as the API server gives it; `None` for what it gives in another form, or not at all.
fn object<'a>(input: &Input<'a>) -> Option<Cow<'a, Value>> {
    let (_, group, kind) = WHOLE.iter().find(|(kind, ..)| *kind == input.facts.kind)?;
    let given = |field: &str| input.config.get(field).is_some_and(Value::is_string);
    if given("apiVersion") && given("kind") {
        return Some(Cow::Borrowed(input.config));
    }
    let mut object = input.config.as_object().cloned().unwrap_or_default();
    let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    object.entry("apiVersion").or_insert(version.into());
    object.entry("kind").or_insert((*kind).into());
    object.entry("metadata").or_insert_with(|| metadata(input, Map::new()));
    Some(Cow::Owned(Value::Object(object)))
}

/// The pod that the template of a workload makes.
fn pod_of(input: &Input<'_>) -> Option<Value> {
    let pointer = input.facts.kind.pod_spec_pointer()?;
    let spec = input.config.pointer(pointer)?;
    let template = pointer.strip_suffix("/spec").and_then(|pointer| input.config.pointer(pointer));
    let own = template.and_then(|template| template.get("metadata")).and_then(Value::as_object);
    let metadata = metadata(input, own.cloned().unwrap_or_default());
    Some(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
}

fn metadata(input: &Input<'_>, mut own: Map<String, Value>) -> Value {
    own.insert("name".to_owned(), input.facts.name.into());
    if let Some(namespace) = input.facts.namespace {
        own.insert("namespace".to_owned(), namespace.into());
    }
    Value::Object(own)
}

/// What two reviews come to: a violation outweighs what is not known, and that what passed.
fn both(left: Decision, right: Decision) -> Decision {
    match (left, right) {
        (Decision::Violated(mut left), Decision::Violated(right)) => {
            left.extend(right);
            Decision::Violated(left)
        }
        (violated @ Decision::Violated(_), _) | (_, violated @ Decision::Violated(_)) => violated,
        (unknown @ Decision::Unknown(_), _) | (_, unknown @ Decision::Unknown(_)) => unknown,
        (Decision::Passed, _) | (_, Decision::Passed) => Decision::Passed,
        (Decision::NotMatched, Decision::NotMatched) => Decision::NotMatched,
    }
}

fn verdict(decision: Decision) -> Verdict {
    match decision {
        Decision::NotMatched => Verdict::NotApplicable("the policy does not look at it".to_owned()),
        Decision::Passed => Verdict::Healthy,
        Decision::Violated(violations) => {
            Verdict::Unhealthy(Evidence { message: message(&violations), facts: Vec::new(), elements: Vec::new() })
        }
        Decision::Unknown(message) => Verdict::Unknown(UnknownReason::Error { message: cut(&message) }),
    }
}

/// The messages of violations, each once.
fn message(violations: &[Violation]) -> String {
    let mut messages: Vec<&str> = Vec::new();
    for violation in violations {
        if !messages.contains(&violation.message.as_str()) {
            messages.push(&violation.message);
        }
    }
    let more = messages.len().saturating_sub(MESSAGES);
    let told: Vec<String> = messages.iter().take(MESSAGES).map(|message| cut(message)).collect();
    let told = told.join("; ");
    if more == 0 { told } else { format!("{told} and {more} more") }
}

fn cut(message: &str) -> String {
    match message.char_indices().nth(MESSAGE) {
        Some((at, _)) => format!("{}…", &message[..at]),
        None => message.to_owned(),
    }
}
