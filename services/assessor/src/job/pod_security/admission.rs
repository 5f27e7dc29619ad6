use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use rampart_domain::{ConfigHash, Kind};
use rampart_posture::pod_security::{judged_minor, recreated, shape};
use rampart_posture::policy::admission::webhook::{Asked, Webhook};
use rampart_posture::policy::admission::{self, Unbound};
use rampart_posture::policy::gatekeeper::{self, Action};
use rampart_posture::policy::{Decision, Inventory, Operation, Policy, Review};
use rampart_store::StoreError;
use rampart_store::job::pod_security::{Refuser, Stranded, Unjudged};
use rampart_store::verdict::StoredResource;
use serde_json::{Value, json};

use super::members::Members;
use super::{Ground, Unasked, labels_of};

const POD_SECURITY: &str = "pod_security";
const ADMISSION_POLICY: &str = "validating_admission_policy";
const GATEKEEPER: &str = "gatekeeper";
/// The webhook by which Gatekeeper is asked about everything that is created.
const GATEKEEPER_WEBHOOK: &str = "validation.gatekeeper.sh";
/// Controllers whose pods are created by a service account of their own.
const CONTROLLERS: [(&str, &str); 5] = [
    ("ReplicaSet", "replicaset-controller"),
    ("DaemonSet", "daemon-set-controller"),
    ("StatefulSet", "statefulset-controller"),
    ("Job", "job-controller"),
    ("ReplicationController", "replication-controller"),
];

/// What refuses pods in a cluster beside the labels of namespaces.
pub(super) struct Admission {
    rules: Vec<Rule>,
    /// Those that ask Gatekeeper.
    gatekeeper: Vec<Webhook>,
    /// Whether every webhook was read.
    knows_webhooks: bool,
    /// Those that ask somebody else.
    others: Vec<Webhook>,
    unloaded: Vec<Unjudged>,
    inventory: Inventory,
}

/// A policy that refuses what violates it.
struct Rule {
    r#type: &'static str,
    policy: Box<dyn Policy>,
}

/// What is said about pods of one shape.
#[derive(Clone, Default)]
struct Said {
    refused_by: Vec<Refuser>,
    unjudged: Unasked,
}

impl Admission {
    /// Reads policies and webhooks as the cluster has them. `unread` are kinds that were not read to the end.
    pub(super) fn load(stored: Vec<StoredResource>, unread: &[Kind]) -> Self {
        let mut by_kind: HashMap<Kind, Vec<Value>> = HashMap::new();
        for resource in stored {
            by_kind.entry(resource.kind).or_default().push(resource.config);
        }
        let mut of = |kind| by_kind.remove(&kind).unwrap_or_default();
        let webhooks = [Kind::K8sValidatingWebhookConfiguration, Kind::K8sMutatingWebhookConfiguration].map(&mut of);
        let webhooks = webhooks.iter().flatten().flat_map(Webhook::of);
        let (gatekeeper, others) = webhooks.partition(|it| it.name == GATEKEEPER_WEBHOOK && !it.is_mutating);
        let knows_webhooks = !unread.contains(&Kind::K8sValidatingWebhookConfiguration);
        let (rules, unloaded, inventory) = Default::default();
        let mut admission = Self { rules, gatekeeper, knows_webhooks, others, unloaded, inventory };
        admission.policies(of(Kind::K8sValidatingAdmissionPolicy), of(Kind::K8sValidatingAdmissionPolicyBinding));
        admission.constraints(of(Kind::K8sConstraintTemplate), of(Kind::K8sConstraint));
        admission
    }

    /// What refuses pods and could not be loaded.
    pub(super) fn unloaded(&self) -> impl Iterator<Item = Unjudged> {
        self.unloaded.iter().cloned()
    }

    fn unload(&mut self, r#type: &str, name: String, reason: String) {
        self.unloaded.push(Unjudged { r#type: r#type.to_owned(), name, reason, namespaces: Vec::new() });
    }

    /// Policies with the bindings that deny. A binding to what is not there does nothing.
    fn policies(&mut self, policies: Vec<Value>, bindings: Vec<Value>) {
        let mut documents = Vec::new();
        let mut bound = BTreeSet::new();
        for binding in bindings.into_iter().filter(|it| denies(&it["spec"]["validationActions"])) {
            let name = text(&binding, "/spec/policyName");
            let Some(policy) = policies.iter().find(|policy| text(policy, "/metadata/name") == name) else { continue };
            let kind = text(policy, "/spec/paramKind/kind");
            if !kind.is_empty() && !binding["spec"]["paramRef"].is_null() {
                let id = format!("{name}/{}", text(&binding, "/metadata/name"));
                self.unload(ADMISSION_POLICY, id, format!("its parameters, of the kind {kind}, are not read"));
                continue;
            }
            bound.insert(name);
            documents.push(binding);
        }
        documents.extend(policies.into_iter().filter(|policy| bound.contains(&text(policy, "/metadata/name"))));
        let (loaded, errors) = admission::load(&documents, Unbound::Idle);
        self.rules.extend(loaded.into_iter().map(|policy| Rule { r#type: ADMISSION_POLICY, policy }));
        for error in errors {
            self.unload(ADMISSION_POLICY, error.document.clone(), error.to_string());
        }
    }

    /// Constraints that deny, with their templates.
    fn constraints(&mut self, templates: Vec<Value>, constraints: Vec<Value>) {
        let may_deny = |constraint: &Value| {
            matches!(&*text(constraint, "/spec/enforcementAction").to_lowercase(), "" | "deny" | "scoped")
        };
        let mut documents: Vec<Value> = constraints.into_iter().filter(may_deny).collect();
        for template in templates {
            let kind = text(&template, "/spec/crd/spec/names/kind");
            if !documents.iter().any(|constraint| text(constraint, "/kind") == kind) {
                continue;
            }
            if !template.to_string().contains("data.inventory") {
                documents.push(template);
                continue;
            }
            let (compare, rest): (Vec<_>, _) = documents.into_iter().partition(|it| text(it, "/kind") == kind);
            documents = rest;
            for constraint in compare {
                let reason = "it compares with other objects, of which Gatekeeper has a copy of its own";
                let id = format!("{kind}/{}", text(&constraint, "/metadata/name"));
                self.unload(GATEKEEPER, id, reason.to_owned());
            }
        }
        let (loaded, errors) = gatekeeper::constraints(&documents);
        let denying = loaded.into_iter().filter(|it| it.enforcement().at(GATEKEEPER_WEBHOOK).contains(&&Action::Deny));
        self.rules.extend(denying.map(|policy| Rule { r#type: GATEKEEPER, policy: Box::new(policy) }));
        for error in errors {
            self.unload(GATEKEEPER, error.document.clone(), error.to_string());
        }
    }

    /// What policies and webhooks have to say about the creation of a pod.
    fn say(&self, pod: &Value, namespace: &Value, said: &mut Said) {
        let user = creator(pod);
        let review = Review {
            object: pod,
            old_object: None,
            operation: Some(Operation::Create),
            namespace: Some(namespace),
            user: user.as_ref(),
            inventory: &self.inventory,
        };
        let gatekeeper = self.asks_gatekeeper(&review);
        for Rule { r#type, policy } in &self.rules {
            let asked = if *r#type == GATEKEEPER { gatekeeper } else { Asked::Yes };
            if asked == Asked::No {
                continue;
            }
            let name = || policy.id().to_owned();
            let reason = match (policy.review(&review), asked) {
                (Decision::NotMatched | Decision::Passed, _) => continue,
                (Decision::Unknown(reason), _) => reason,
                (Decision::Violated(_), Asked::Perhaps | Asked::No) => {
                    "it refuses such pods where it is asked, and whether it is could not be told".to_owned()
                }
                (Decision::Violated(violations), Asked::Yes) => {
                    let messages: BTreeSet<String> =
                        violations.into_iter().map(|violation| violation.message).collect();
                    let message = messages.into_iter().collect::<Vec<_>>().join("; ");
                    said.refused_by.push(Refuser { r#type: (*r#type).to_owned(), name: name(), message });
                    continue;
                }
            };
            said.unjudged.insert(((*r#type).to_owned(), name(), reason));
        }
        for webhook in self.others.iter().filter(|it| it.asked(&review) != Asked::No) {
            let (r#type, what) = if webhook.is_mutating {
                ("mutating_webhook", "it may change pods, or refuse them")
            } else {
                ("validating_webhook", "what it answers is its own")
            };
            let silent = if webhook.fails_closed { "; pods are refused when it does not answer" } else { "" };
            let name = format!("{}/{}", webhook.configuration, webhook.name);
            said.unjudged.insert((r#type.to_owned(), name, format!("{what}{silent}")));
        }
    }

    fn asks_gatekeeper(&self, review: &Review<'_>) -> Asked {
        let asked: Vec<Asked> = self.gatekeeper.iter().map(|webhook| webhook.asked(review)).collect();
        match () {
            () if asked.contains(&Asked::Yes) => Asked::Yes,
            () if asked.contains(&Asked::Perhaps) || !self.knows_webhooks => Asked::Perhaps,
            () => Asked::No,
        }
    }
}

impl Ground {
    /// Running pods of a namespace that would be refused if they were created again, and what could not be asked about them.
    /// What kubelets start from files comes back without asking.
    pub(super) fn stranded(
        &self,
        namespace: &StoredResource,
        members: &Members<'_>,
    ) -> Result<(Vec<Stranded>, Unasked), StoreError> {
        let (mut stranded, mut unjudged) = (Vec::new(), Unasked::new());
        for member in members.owners().filter(|member| member.resource.kind != Kind::K8sStaticPod) {
            let mut known: HashMap<ConfigHash, Said> = HashMap::new();
            let mut counts: BTreeMap<Vec<Refuser>, u64> = BTreeMap::new();
            for pod in &member.pods {
                let shape = shape(&pod.config);
                let said = match known.entry(shape) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => {
                        let said = self.said_of(namespace, pod)?;
                        unjudged.extend(said.unjudged.iter().cloned());
                        unknown.insert(said)
                    }
                };
                if !said.refused_by.is_empty() {
                    *counts.entry(said.refused_by.clone()).or_default() += 1;
                }
            }
            stranded.extend(counts.into_iter().map(|(refused_by, pods)| Stranded {
                namespace: namespace.name.clone(),
                resource_id: member.resource.id,
                kind: member.kind(),
                name: member.resource.name.clone(),
                pods,
                running: member.pods.len() as u64,
                refused_by,
            }));
        }
        Ok((stranded, unjudged))
    }

    fn said_of(&self, namespace: &StoredResource, pod: &StoredResource) -> Result<Said, StoreError> {
        let (mut said, again) = (Said::default(), recreated(&pod.config));
        if let Some(setting) = labels_of(namespace).enforce {
            let standards = self.standards(judged_minor(&setting.version, self.cluster_minor));
            let found = self.conformity(standards, pod, &again)?;
            let name = format!("{}:{}", setting.level.as_str(), setting.version);
            let messages: Vec<&str> = found.refused_by(setting.level).map(|refusal| &*refusal.message).collect();
            if messages.is_empty() {
                let undecided = found.undecided_by(setting.level);
                said.unjudged.extend(
                    undecided
                        .map(|it| (POD_SECURITY.to_owned(), name.clone(), format!("{}: {}", it.control, it.message))),
                );
            } else {
                let message = format!("violates PodSecurity \"{name}\": {}", messages.join("; "));
                said.refused_by.push(Refuser { r#type: POD_SECURITY.to_owned(), name, message });
            }
        }
        self.admission.say(&again, &namespace.config, &mut said);
        Ok(said)
    }
}

/// Who asks for the pod: the controller that owns it, as it does where each controller has an account of its own. Nobody
/// that is known, for a pod of anything else.
fn creator(pod: &Value) -> Option<Value> {
    let owners = pod.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let built_in = matches!(owner["apiVersion"].as_str(), Some("v1" | "apps/v1" | "batch/v1"));
    let (_, account) = CONTROLLERS.into_iter().find(|(kind, _)| built_in && owner["kind"] == *kind)?;
    Some(json!({
        "username": format!("system:serviceaccount:kube-system:{account}"),
        "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
    }))
}

/// Whether a binding refuses what violates its policy.
fn denies(actions: &Value) -> bool {
    actions.as_array().is_some_and(|actions| actions.iter().any(|action| action == "Deny"))
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
