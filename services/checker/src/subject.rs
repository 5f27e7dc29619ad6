//! Objects as the engine judges them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rampart_connector_kube::Manifests;
use rampart_domain::{Kind, Resource, strip_nulls};
use serde_json::{Map, Value};

use crate::object::{Object, Place};
use crate::template::{Origins, templates};

/// Kinds of Kubernetes that live in no namespace.
const CLUSTER_WIDE: &[Kind] = &[
    Kind::K8sNode,
    Kind::K8sNamespace,
    Kind::K8sGatewayClass,
    Kind::K8sCiliumClusterwideNetworkPolicy,
    Kind::K8sCalicoGlobalNetworkPolicy,
    Kind::K8sAdminNetworkPolicy,
    Kind::K8sBaselineAdminNetworkPolicy,
    Kind::K8sClusterRole,
    Kind::K8sClusterRoleBinding,
    Kind::K8sValidatingWebhookConfiguration,
    Kind::K8sMutatingWebhookConfiguration,
    Kind::K8sValidatingAdmissionPolicy,
    Kind::K8sValidatingAdmissionPolicyBinding,
    Kind::K8sConstraintTemplate,
    Kind::K8sConstraint,
    Kind::K8sCustomResourceDefinition,
    Kind::K8sStorageClass,
    Kind::K8sPersistentVolume,
];
/// The namespace of an object that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// An object with what it is judged as.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) place: Arc<Place>,
    /// As written, without nulls; only where policies look at it.
    pub(crate) written: Option<Packed>,
    /// One for what a scan reads, one per pod template for what it does not.
    pub(crate) units: Vec<Unit>,
}

/// A value as JSON text, which takes a tenth of the room.
#[derive(Debug)]
pub(crate) struct Packed(Box<str>);

impl Packed {
    pub(crate) fn of(value: &Value) -> Self {
        Self(value.to_string().into())
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.0).expect("it was written from a value that is less deep than what can be read")
    }
}

/// A resource to judge.
#[derive(Debug)]
pub(crate) struct Unit {
    /// Its configuration is packed away unless others look at it.
    pub(crate) resource: Resource,
    pub(crate) packed: Option<Packed>,
    pub(crate) labels: Value,
    pub(crate) origins: Origins,
}

/// What becomes of objects.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) manifests: Manifests,
    /// Whether policies look at the objects too.
    pub(crate) keep_written: bool,
    /// Kinds that controls look at around what they judge.
    pub(crate) neighbours: HashSet<Kind>,
}

impl Reading {
    /// The subject that an object is.
    pub(crate) fn subject(&self, object: Object) -> Subject {
        let Object { place, mut value } = object;
        strip_nulls(&mut value);
        let written = self.keep_written.then(|| Packed::of(&value));
        let api_version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        let units = if let Some(kind) = Manifests::kind(api_version, &place.kind) {
            self.unit(kind, value, Origins::default()).into_iter().collect()
        } else {
            let found = templates(&value).into_iter();
            found.filter_map(|it| self.unit(Kind::K8sWorkload, it.object, it.origins)).collect()
        };
        Subject { place, written, units }
    }

    fn unit(&self, kind: Kind, value: Value, origins: Origins) -> Option<Unit> {
        let mut resource = self.manifests.resource(kind, value)?;
        if CLUSTER_WIDE.contains(&kind) {
            resource.namespace = None;
        } else if resource.namespace.is_none() {
            resource.namespace = Some(DEFAULT_NAMESPACE.to_owned());
        }
        let labels = resource.labels.iter().map(|(key, value)| (key.clone(), value.as_str().into()));
        let labels = Value::Object(labels.collect::<Map<_, _>>());
        let packed = (!self.neighbours.contains(&kind)).then(|| Packed::of(&resource.config.take()));
        Some(Unit { resource, packed, labels, origins })
    }
}

/// What a resource goes by among others: kind, namespace and name.
pub(crate) type Identity<'r> = (Kind, Option<&'r str>, &'r str);

pub(crate) fn identity(resource: &Resource) -> Identity<'_> {
    (resource.kind, resource.namespace.as_deref(), &resource.name)
}

/// Namespaces of the input and of a live cluster, by name; those of the input come first.
pub(crate) fn namespaces(subjects: &[Subject], live: &[Resource]) -> HashMap<String, Value> {
    let live = live.iter().filter(|resource| resource.kind == Kind::K8sNamespace);
    let mut found: HashMap<_, _> = live.map(|resource| (resource.name.clone(), resource.config.clone())).collect();
    found.extend(subjects.iter().filter_map(|subject| {
        let unit = subject.units.first().filter(|unit| unit.resource.kind == Kind::K8sNamespace)?;
        Some((unit.resource.name.clone(), subject.written.as_ref()?.value()))
    }));
    found
}

/// Live resources that the input does not state anew.
pub(crate) fn others<'r>(subjects: &'r [Subject], live: &'r [Resource]) -> impl Iterator<Item = &'r Resource> {
    let units = subjects.iter().flat_map(|subject| &subject.units);
    let stated: HashSet<Identity<'_>> = units.map(|unit| identity(&unit.resource)).collect();
    live.iter().filter(move |resource| !stated.contains(&identity(resource)))
}
