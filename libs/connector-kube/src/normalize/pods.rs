//! Pods and what they reveal: owners that nobody lists, static pods, running images.

use std::collections::{BTreeSet, HashMap};

use rampart_domain::{Kind, ManagedBy, NativeId, Resource, image_digest};
use serde_json::{Map, Value, json};

use super::image::repository;
use super::managed::is_operator_group;
use super::{Cluster, OwnerRef, object};
use crate::kinds::PODS;

/// Distinct images that are remembered; a cluster with more is reported as incomplete.
const MAX_IMAGES: usize = 50_000;
/// Names under which one image is remembered.
const MAX_REFERENCES: usize = 32;

/// Labels that tell the node pool of a node, per cloud.
const POOL_LABELS: &[&str] = &[
    "eks.amazonaws.com/nodegroup",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
    "karpenter.sh/nodepool",
];
/// Labels that differ between the pods of one template.
const POD_LABELS: &[&str] = &[
    "pod-template-hash",
    "rollouts-pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
];
/// Fields of a pod spec that scheduling and admission fill in per pod.
const POD_FIELDS: &[&str] = &["nodeName", "hostname", "ephemeralContainers", "priority", "serviceAccount"];

/// What is kept of the objects that pods roll up through: owners by uid, and nodes by name.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    controllers: HashMap<Box<str>, Option<OwnerRef>>,
    nodes: HashMap<Box<str>, Node>,
}

#[derive(Debug)]
struct Node {
    pool: String,
    architecture: Option<String>,
}

/// Where the chain of controllers of a pod ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Top {
    /// At something that is listed.
    Listed(OwnerRef),
    /// At something that is not.
    Unlisted(OwnerRef),
}

impl Owners {
    /// Remembers what `item`, an object of `kind`, tells about owners. Other kinds than those read first tell nothing.
    pub(crate) fn note(&mut self, kind: Kind, item: &Value) {
        let Some(metadata) = item.get("metadata").and_then(Value::as_object) else { return };
        let text = |field: &str| metadata.get(field).and_then(Value::as_str);
        match kind {
            Kind::K8sReplicaSet | Kind::K8sJob | Kind::K8sReplicationController => {
                if let Some(uid) = text("uid") {
                    self.controllers.insert(uid.into(), OwnerRef::controller(metadata));
                }
            }
            Kind::K8sNode => {
                let label = |name: &&str| metadata.get("labels")?.get(*name)?.as_str();
                let pool = POOL_LABELS.iter().find_map(label).unwrap_or("default").to_owned();
                let architecture = item.pointer("/status/nodeInfo/architecture").and_then(Value::as_str);
                if let Some(name) = text("name") {
                    self.nodes.insert(name.into(), Node { pool, architecture: architecture.map(str::to_owned) });
                }
            }
            _ => {}
        }
    }

    /// Whether the object with this uid is remembered.
    pub(super) fn knows(&self, uid: &str) -> bool {
        self.controllers.contains_key(uid)
    }

    /// Follows the controllers upwards from a pod's own one.
    pub(super) fn top(&self, owner: &OwnerRef, pod_labels: &std::collections::BTreeMap<String, String>) -> Top {
        let mut owner = owner.clone();
        // A chain is two or three long; a circle of references must not hold the scan.
        for _ in 0..8 {
            if !owner.is_listed() {
                return Top::Unlisted(owner);
            }
            if !owner.is_indexed() {
                return Top::Listed(owner);
            }
            match self.controllers.get(owner.uid.as_str()) {
                Some(Some(parent)) => owner = parent.clone(),
                Some(None) => return Top::Listed(owner),
                None => return unseen(owner, pod_labels),
            }
        }
        Top::Listed(owner)
    }
}

/// The top of a chain whose next link was not read. Only deployments label pods with the hash that their replica sets
/// end in, so that their name is known all the same.
fn unseen(owner: OwnerRef, pod_labels: &std::collections::BTreeMap<String, String>) -> Top {
    let hash = pod_labels.get("pod-template-hash").filter(|_| owner.is("apps", "ReplicaSet"));
    let name = hash.and_then(|hash| Some(owner.name.strip_suffix(hash.as_str())?.strip_suffix('-')?.to_owned()));
    match name {
        Some(name) => Top::Listed(OwnerRef { kind: "Deployment".to_owned(), name, uid: String::new(), ..owner }),
        None => Top::Unlisted(owner),
    }
}

/// Resources of one page of pods.
#[derive(Debug, Default)]
pub(crate) struct PodsPage {
    pub(crate) pods: Vec<Resource>,
    pub(crate) workloads: Vec<Resource>,
    pub(crate) static_pods: Vec<Resource>,
}

/// What pods revealed so far.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    /// Derived owners that were handed out already.
    emitted: std::collections::HashSet<NativeId>,
    /// Derived owners none of whose pods runs, as far as is known.
    idle: HashMap<NativeId, Resource>,
    images: HashMap<Box<str>, Image>,
    too_many_images: bool,
}

#[derive(Debug, Default)]
struct Image {
    references: BTreeSet<String>,
    ids: BTreeSet<String>,
    architectures: BTreeSet<String>,
}

impl Pods {
    /// Normalises a page of pods.
    pub(crate) fn page(&mut self, cluster: &Cluster, owners: &Owners, items: impl Iterator<Item = Value>) -> PodsPage {
        let mut page = PodsPage::default();
        for item in items {
            let metadata = item.get("metadata").and_then(Value::as_object);
            let controller = metadata.and_then(OwnerRef::controller);
            let Some(mut pod) = object(cluster, &PODS, "", "v1", item) else { continue };
            if pod.active {
                self.note_images(owners, &pod);
            }
            let namespace = pod.namespace.clone();
            if let Some(owner) = controller {
                if owner.is("", "Node") {
                    self.static_pod(cluster, owners, &mut pod, &mut page.static_pods);
                } else {
                    let (top, listed) = match owners.top(&owner, &pod.labels) {
                        Top::Listed(top) => (top, true),
                        Top::Unlisted(top) => (top, false),
                    };
                    let id = cluster.owner_id(&top, namespace.as_deref());
                    if !listed {
                        let derived = || workload(cluster, id.clone(), &top, &pod);
                        self.derive(&id, pod.active, derived, &mut page.workloads);
                    }
                    pod.owner = Some(id);
                }
            }
            page.pods.push(pod);
        }
        page
    }

    /// Derived owners none of whose pods runs, at the end of the list.
    pub(crate) fn idle(&mut self, kind: Kind) -> Vec<Resource> {
        let mut idle: Vec<_> = self.idle.extract_if(|_, owner| owner.kind == kind).map(|(_, owner)| owner).collect();
        idle.sort_by(|a, b| a.native_id.cmp(&b.native_id));
        idle
    }

    /// Every running image, and whether there were more than are remembered.
    pub(crate) fn images(&mut self, cluster: &Cluster) -> (Vec<Resource>, bool) {
        let images = std::mem::take(&mut self.images).into_iter();
        let mut resources: Vec<_> = images.map(|(digest, image)| running_image(cluster, &digest, &image)).collect();
        resources.sort_by(|a, b| a.native_id.cmp(&b.native_id));
        (resources, self.too_many_images)
    }

    /// Hands out a derived owner the first time one of its running pods is seen, and keeps it back until then.
    fn derive(&mut self, id: &NativeId, active: bool, make: impl FnOnce() -> Resource, out: &mut Vec<Resource>) {
        if self.emitted.contains(id) {
            return;
        }
        if active {
            self.idle.remove(id);
            self.emitted.insert(id.clone());
            out.push(make());
        } else if !self.idle.contains_key(id) {
            self.idle.insert(id.clone(), make());
        }
    }

    /// Rolls a static pod up to (node pool, component). Without its node the pool is unknown and the pod stands alone.
    fn static_pod(&mut self, cluster: &Cluster, owners: &Owners, pod: &mut Resource, out: &mut Vec<Resource>) {
        let Some(component) = Component::of(cluster, owners, pod) else { return };
        let id = component.id.clone();
        let make = || component.resource(cluster, pod);
        self.derive(&id, pod.active, make, out);
        pod.owner = Some(id);
    }

    pub(super) fn note_images(&mut self, owners: &Owners, pod: &Resource) {
        let node = pod.config.pointer("/spec/nodeName").and_then(Value::as_str).and_then(|name| owners.nodes.get(name));
        for list in ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"] {
            let statuses = pod.config.pointer(&format!("/status/{list}")).and_then(Value::as_array);
            for status in statuses.into_iter().flatten() {
                let text = |field: &str| status.get(field).and_then(Value::as_str);
                // An init container that has ended runs no more; one that restarts always is a sidecar.
                let runs = list == "containerStatuses" || status.pointer("/state/running").is_some();
                let Some(image_id) = text("imageID").filter(|_| runs) else { continue };
                let Some(digest) = image_digest(image_id) else { continue };
                if !self.images.contains_key(digest) {
                    if self.images.len() >= MAX_IMAGES {
                        self.too_many_images = true;
                        continue;
                    }
                    self.images.insert(digest.into(), Image::default());
                }
                let Some(image) = self.images.get_mut(digest) else { continue };
                let names = [repository(image_id), text("image").and_then(repository)];
                for name in names.into_iter().flatten() {
                    remember(&mut image.references, &name);
                }
                remember(&mut image.ids, image_id);
                if let Some(architecture) = node.and_then(|node| node.architecture.as_deref()) {
                    remember(&mut image.architectures, architecture);
                }
            }
        }
    }
}

/// What kubelets run from static manifests, rolled up over the nodes of a pool.
pub(super) struct Component {
    pub(super) id: NativeId,
    name: String,
    pool: String,
    program: String,
}

impl Component {
    /// The component that a static pod is one of; `None` while its node is not known.
    pub(super) fn of(cluster: &Cluster, owners: &Owners, pod: &Resource) -> Option<Self> {
        let node_name = pod.config.pointer("/spec/nodeName").and_then(Value::as_str)?;
        let pool = owners.nodes.get(node_name)?.pool.clone();
        let component = pod.name.strip_suffix(node_name).and_then(|name| name.strip_suffix('-')).unwrap_or(&pod.name);
        let name = format!("{pool}:{component}");
        let id = cluster.id("", "StaticPod", pod.namespace.as_deref(), &name);
        Some(Self { id, name, pool, program: component.to_owned() })
    }

    /// The component as one of its pods shows it.
    pub(super) fn resource(&self, cluster: &Cluster, pod: &Resource) -> Resource {
        let config = templated("v1", "Pod", &self.program, pod);
        let mut resource = cluster.resource(Kind::K8sStaticPod, self.id.clone(), self.name.clone(), config);
        resource.config["metadata"]["nodePool"] = self.pool.as_str().into();
        inherit(&mut resource, pod);
        resource.managed_by = pod.managed_by;
        resource
    }
}

fn remember(set: &mut BTreeSet<String>, text: &str) {
    if set.len() < MAX_REFERENCES && !set.contains(text) {
        set.insert(text.to_owned());
    }
}

fn running_image(cluster: &Cluster, digest: &str, image: &Image) -> Resource {
    let short = &digest[.."sha256:".len() + 12];
    let name = image.references.first().map_or_else(|| short.to_owned(), |reference| format!("{reference}@{short}"));
    let config = json!({
        "digest": digest,
        "references": image.references,
        "imageIds": image.ids,
        "architectures": image.architectures,
    });
    let id = NativeId::running_image(digest, &cluster.uid);
    cluster.resource(Kind::RunningImage, id, name, config)
}

/// An owner that is not listed, with the template that its pod shows.
pub(super) fn workload(cluster: &Cluster, id: NativeId, owner: &OwnerRef, pod: &Resource) -> Resource {
    let config = templated(&owner.api_version(), &owner.kind, &owner.name, pod);
    let mut resource = cluster.resource(Kind::K8sWorkload, id, owner.name.clone(), config);
    inherit(&mut resource, pod);
    resource.managed_by = if is_operator_group(&owner.group) { ManagedBy::Operator } else { ManagedBy::Customer };
    resource.uid = (!owner.uid.is_empty()).then(|| owner.uid.clone());
    resource
}

fn inherit(resource: &mut Resource, pod: &Resource) {
    resource.namespace.clone_from(&pod.namespace);
    resource.labels = pod.labels.clone();
    resource.labels.retain(|key, _| !POD_LABELS.contains(&key.as_str()));
    resource.active = pod.active;
}

/// A workload's configuration around the template that a pod was made from, as far as the pod still shows it: what
/// differs from pod to pod is left out.
fn templated(api_version: &str, kind: &str, name: &str, pod: &Resource) -> Value {
    let mut spec = pod.config.get("spec").cloned().unwrap_or_else(|| json!({}));
    if let Some(spec) = spec.as_object_mut() {
        untouched(spec);
    }
    let mut labels: Map<String, Value> = pod.labels.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
    labels.retain(|key, _| !POD_LABELS.contains(&key.as_str()));
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": pod.namespace.as_deref().unwrap_or_default()},
        "spec": {"template": {"metadata": {"labels": labels}, "spec": spec}},
    })
}

/// Takes out what the API server added to the pod: token volumes of random name, default tolerations, placement.
fn untouched(spec: &mut Map<String, Value>) {
    spec.retain(|field, _| !POD_FIELDS.contains(&field.as_str()));
    let is_token = |name: Option<&Value>| {
        name.and_then(Value::as_str)
            .is_some_and(|name| name.starts_with("kube-api-access-") || name.starts_with("aws-iam-token"))
    };
    retain(spec.get_mut("volumes"), |volume| !is_token(volume.get("name")));
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            retain(container.get_mut("volumeMounts"), |mount| !is_token(mount.get("name")));
        }
    }
    retain(spec.get_mut("tolerations"), |toleration| {
        !matches!(
            toleration.get("key").and_then(Value::as_str),
            Some("node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable")
        )
    });
}

fn retain(list: Option<&mut Value>, keep: impl Fn(&Value) -> bool) {
    if let Some(list) = list.and_then(Value::as_array_mut) {
        list.retain(keep);
    }
}
