//! What delivers a resource, and so where one change reaches it in every cluster.

use rampart_domain::{Cloud, ConfigHash, Deliverer, Family, Kind, ManagedBy, SourceType, hash_json};
use serde_json::Value;

use crate::Node;
use crate::chart::{package_and_version, without};
use crate::mark::{Instance, Marks};
use crate::template::{fingerprint, image_version, shape};

/// Raised when the rules here change, so that what is stored is derived again.
pub const SOURCE_RULES: i16 = 1;

/// A resource as far as its source needs it.
#[derive(Debug, Clone, Copy)]
pub struct Delivered<'a> {
    /// The resource as a node of the graph.
    pub node: Node<'a>,
    /// Short name.
    pub name: &'a str,
    /// Its labels, an object of texts.
    pub labels: &'a Value,
    /// Who manages it.
    pub managed_by: ManagedBy,
    /// Where it runs.
    pub cloud: Cloud,
}

/// What delivers a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What sort of source.
    pub source_type: SourceType,
    /// What people call it: the chart, the application, the add-on, the kind of custom resource, or the object.
    pub name: String,
    /// What makes it the same source in every cluster, within its type.
    pub key: String,
    /// What applies it, where a mark says so.
    pub deliverer: Option<Deliverer>,
    /// The release, application or custom resource through which it came.
    pub instance: Option<String>,
    /// Where that lies.
    pub instance_namespace: Option<String>,
    /// Name of the object within its source, without the names of instance and chart.
    pub part: String,
    /// Version of the chart, the add-on, the application or the image.
    pub version: Option<String>,
    /// Of the configuration, without what an installation decides.
    pub fingerprint: Option<ConfigHash>,
}

/// Whether resources of a kind have a source: what is delivered to clusters, and cloud add-ons themselves.
pub fn has_source(kind: Kind) -> bool {
    match kind {
        Kind::AwsEksAddon | Kind::AzureArcExtension => true,
        // Made by controllers or the cloud, or known by name alone.
        Kind::K8sCluster
        | Kind::K8sNode
        | Kind::K8sEndpointSlice
        | Kind::K8sSecret
        | Kind::K8sCustomResourceDefinition => false,
        kind => kind.family() == Family::Kubernetes,
    }
}

/// The source of a resource; `None` for what is judged through its owner and for kinds without.
///
/// The first rule that holds decides:
///
/// 1. What the cloud or the distribution manages is an **add-on**, whatever marks it has: clouds ship their add-ons as
///    charts. It is known by cloud and component.
/// 2. What a custom resource's controller made is the **operator**'s, known by the kind of the custom resource: marks on it
///    are copies of those on the custom resource.
/// 3. What is made from a Helm **chart** is known by the chart, however it is applied: releases and applications are called
///    differently in each cluster, and one change of the chart reaches them all. What a release owns without naming its
///    chart is taken for the chart that the release is called after.
/// 4. What Argo CD or Flux applies is known by the **application** or **kustomization**, which sets of applications call the
///    same in many clusters.
/// 5. What a lifecycle manager installed is the **operator**'s, known by its package.
/// 6. What an add-on manager's label is on is an **add-on**.
/// 7. Anything else is a **manifest**: workloads are known by kind, name, containers and images, not by namespace, tag or
///    registry; other objects by kind, namespace and name.
pub fn source(delivered: &Delivered<'_>) -> Option<Source> {
    let Delivered { node, managed_by, .. } = delivered;
    if !has_source(node.kind) || (node.kind.is_short_lived() && node.owner.is_some()) {
        return None;
    }
    let marks = Marks::of(delivered);
    let mut found = if matches!(managed_by, ManagedBy::Addon | ManagedBy::Platform) {
        addon(delivered, &marks)
    } else {
        made_by_operator(delivered)
            .or_else(|| chart(delivered, &marks))
            .or_else(|| application(delivered, &marks))
            .or_else(|| installed_operator(delivered, &marks))
            .unwrap_or_else(|| if marks.is_of_addon() { addon(delivered, &marks) } else { manifest(delivered) })
    };
    found.fingerprint = fingerprint(node);
    Some(found)
}

impl Source {
    fn new(source_type: SourceType, name: impl Into<String>, part: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            source_type,
            key: name.clone(),
            name,
            deliverer: None,
            instance: None,
            instance_namespace: None,
            part: part.into(),
            version: None,
            fingerprint: None,
        }
    }

    fn through(mut self, deliverer: Option<Deliverer>, instance: Option<Instance<'_>>) -> Self {
        self.deliverer = deliverer;
        self.instance = instance.map(|instance| instance.name.to_owned());
        self.instance_namespace = instance.and_then(|instance| instance.namespace).map(str::to_owned);
        self
    }
}

/// Add-ons of EKS by the name of the component that they install, where the two differ.
const EKS_ADDONS: &[(&str, &str)] = &[
    ("aws-node", "vpc-cni"),
    ("aws-vpc-cni", "vpc-cni"),
    ("amazon-vpc-cni", "vpc-cni"),
    ("kube-dns", "coredns"),
    ("ebs-csi-controller", "aws-ebs-csi-driver"),
    ("ebs-csi-node", "aws-ebs-csi-driver"),
    ("efs-csi-controller", "aws-efs-csi-driver"),
    ("efs-csi-node", "aws-efs-csi-driver"),
];

fn addon(delivered: &Delivered<'_>, marks: &Marks<'_>) -> Source {
    let Delivered { node, name, cloud, .. } = delivered;
    let text = |pointer: &str| node.config.pointer(pointer).and_then(Value::as_str);
    let (component, version) = match node.kind {
        Kind::AwsEksAddon => (*name, text("/addonVersion").map(str::to_owned)),
        Kind::AzureArcExtension => {
            (text("/properties/extensionType").unwrap_or(name), text("/properties/version").map(str::to_owned))
        }
        // The API server makes these itself: they come with the Kubernetes version.
        Kind::K8sNamespace => ("kubernetes", None),
        _ if marks.label("kubernetes.io/bootstrapping").is_some() => ("kubernetes", None),
        Kind::K8sStaticPod => (name.rsplit(':').next().unwrap_or(name), image_version(node)),
        _ => (marks.component().or_else(|| marks.app()).unwrap_or(name), image_version(node)),
    };
    let known = EKS_ADDONS.iter().find(|(word, _)| *cloud == Cloud::Aws && *word == component);
    let component = known.map_or(component, |(_, addon)| addon);
    let mut source = Source::new(SourceType::Addon, component, *name);
    source.key = format!("{cloud}/{component}");
    source.version = version;
    source
}

fn made_by_operator(delivered: &Delivered<'_>) -> Option<Source> {
    let node = &delivered.node;
    if delivered.managed_by != ManagedBy::Operator {
        return None;
    }
    let references = node.config.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controls = |reference: &&Value| reference.get("controller").and_then(Value::as_bool) == Some(true);
    // A workload that is known from its pods alone is the custom resource itself.
    let (object, name) = match references.into_iter().flatten().find(controls) {
        Some(reference) => (reference, reference.get("name")?.as_str()?),
        None if node.kind == Kind::K8sWorkload => (node.config, delivered.name),
        None => return None,
    };
    let (version, kind) = (object.get("apiVersion")?.as_str()?, object.get("kind")?.as_str()?);
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let part = without(delivered.name, &[name]);
    let part = part.strip_suffix(name).and_then(|part| part.strip_suffix('-')).unwrap_or(part);
    let instance = Instance { name, namespace: node.namespace };
    let mut source = Source::new(SourceType::Operator, format!("{group}/{kind}"), part).through(None, Some(instance));
    source.version = image_version(node);
    Some(source)
}

fn chart(delivered: &Delivered<'_>, marks: &Marks<'_>) -> Option<Source> {
    let release = marks.release(delivered.node.namespace);
    let (chart, version) = marks.chart().or_else(|| Some((release?.name, None)))?;
    let (by, instance) = match (marks.argo(delivered), marks.flux_release(), marks.flux_kustomization()) {
        (Some(app), ..) => (Deliverer::ArgoCd, Some(app)),
        (None, Some(release), _) => (Deliverer::FluxHelmRelease, Some(release)),
        (None, None, Some(kustomization)) => (Deliverer::FluxKustomization, Some(kustomization)),
        (None, None, None) => (Deliverer::Helm, release),
    };
    let named = release.or(instance).map_or("", |it| it.name);
    let part = without(delivered.name, &[named, chart]);
    let source = Source::new(SourceType::HelmChart, chart, part).through(Some(by), instance);
    Some(Source { version, ..source })
}

fn application(delivered: &Delivered<'_>, marks: &Marks<'_>) -> Option<Source> {
    let (source_type, by, instance) = match marks.argo(delivered) {
        Some(app) => (SourceType::ArgoApplication, Deliverer::ArgoCd, app),
        None => (SourceType::FluxKustomization, Deliverer::FluxKustomization, marks.flux_kustomization()?),
    };
    let part = without(delivered.name, &[instance.name]);
    let source = Source::new(source_type, instance.name, part).through(Some(by), Some(instance));
    Some(Source { version: marks.label("app.kubernetes.io/version").map(str::to_owned), ..source })
}

fn installed_operator(delivered: &Delivered<'_>, marks: &Marks<'_>) -> Option<Source> {
    let owner = marks.label("olm.owner")?;
    let (package, version) = package_and_version(owner);
    let instance = Instance { name: owner, namespace: marks.label("olm.owner.namespace") };
    let mut source = Source::new(SourceType::Operator, package, delivered.name).through(None, Some(instance));
    // A package may be called like the kind of a custom resource.
    source.key = format!("olm:{package}");
    Some(Source { version, ..source })
}

fn manifest(delivered: &Delivered<'_>) -> Source {
    let Delivered { node, name, .. } = delivered;
    let kind = node.config.get("kind").and_then(Value::as_str).unwrap_or(node.kind.as_str());
    let name = if node.kind == Kind::K8sStaticPod { name.rsplit(':').next().unwrap_or(name) } else { name };
    let Some(shape) = shape(node) else {
        let place = node.namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"));
        return Source::new(SourceType::Manifest, format!("{kind} {place}"), name);
    };
    let mut source = Source::new(SourceType::Manifest, format!("{kind} {name}"), name);
    source.key = format!("{kind}/{name}/{}", hash_json(&shape));
    source.version = image_version(node);
    source
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
