//! Labels and annotations by which tools mark what they deliver.

use serde_json::{Map, Value};

use crate::chart::chart_and_version;
use crate::source::Delivered;

/// A release, application or kustomization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instance<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: Option<&'a str>,
}

/// The marks on one object.
#[derive(Clone, Copy)]
pub(crate) struct Marks<'a> {
    labels: Option<&'a Map<String, Value>>,
    annotations: Option<&'a Map<String, Value>>,
}

impl<'a> Marks<'a> {
    pub(crate) fn of(delivered: &Delivered<'a>) -> Self {
        let annotations = delivered.node.config.pointer("/metadata/annotations").and_then(Value::as_object);
        Self { labels: delivered.labels.as_object(), annotations }
    }

    pub(crate) fn label(&self, key: &str) -> Option<&'a str> {
        self.labels?.get(key)?.as_str().filter(|value| !value.is_empty())
    }

    fn annotation(&self, key: &str) -> Option<&'a str> {
        self.annotations?.get(key)?.as_str().filter(|value| !value.is_empty())
    }

    /// The application of Argo CD that tracks the object.
    ///
    /// The annotation names the object that it was written for: on another one it is a copy and says nothing, as in Argo CD
    /// itself. The label that Argo CD shares with everybody counts beside another mark of Argo CD only, and not for what a
    /// release of Helm owns.
    pub(crate) fn argo(&self, delivered: &Delivered<'_>) -> Option<Instance<'a>> {
        const TRACKING: &str = "argocd.argoproj.io/tracking-id";
        if let Some(id) = self.annotation(TRACKING) {
            let mut parts = id.splitn(3, ':');
            let (app, kind, object) = (parts.next()?, parts.next()?, parts.next()?);
            let is_own = kind.rsplit('/').next() == delivered.node.config.get("kind").and_then(Value::as_str)
                && object.rsplit('/').next() == Some(delivered.name);
            return is_own.then(|| application(app));
        }
        if let Some(app) = self.label("argocd.argoproj.io/instance") {
            return Some(application(app));
        }
        let keys = |map: Option<&'a Map<String, Value>>| map.into_iter().flat_map(Map::keys);
        let beside = keys(self.annotations).chain(keys(self.labels)).any(|key| key.starts_with("argocd.argoproj.io/"));
        let shared = self.label("app.kubernetes.io/instance").filter(|_| beside && self.release_annotation().is_none());
        shared.map(application)
    }

    /// The `HelmRelease` of Flux that made the object.
    pub(crate) fn flux_release(&self) -> Option<Instance<'a>> {
        self.flux("helm.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/namespace")
    }

    /// The `Kustomization` of Flux that made the object.
    pub(crate) fn flux_kustomization(&self) -> Option<Instance<'a>> {
        self.flux("kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace")
    }

    fn flux(&self, name: &str, namespace: &str) -> Option<Instance<'a>> {
        Some(Instance { name: self.label(name)?, namespace: self.label(namespace) })
    }

    fn release_annotation(&self) -> Option<&'a str> {
        self.annotation("meta.helm.sh/release-name")
    }

    /// The release of Helm: as Helm 3 notes it, else as charts do by convention.
    pub(crate) fn release(&self, namespace: Option<&'a str>) -> Option<Instance<'a>> {
        if let Some(name) = self.release_annotation() {
            return Some(Instance { name, namespace: self.annotation("meta.helm.sh/release-namespace").or(namespace) });
        }
        let is_helms = self.chart().is_some()
            || self.label("app.kubernetes.io/managed-by") == Some("Helm")
            || self.is_of_old_helm()
            || self.flux_release().is_some();
        let name = self.label("app.kubernetes.io/instance").or_else(|| self.label("release")).filter(|_| is_helms)?;
        Some(Instance { name, namespace })
    }

    /// Chart and version, from the label that charts have by convention; the older one counts beside `heritage` only.
    pub(crate) fn chart(&self) -> Option<(&'a str, Option<String>)> {
        let label = self.label("helm.sh/chart").or_else(|| self.label("chart").filter(|_| self.is_of_old_helm()))?;
        Some(chart_and_version(label))
    }

    fn is_of_old_helm(&self) -> bool {
        matches!(self.label("heritage"), Some("Helm" | "Tiller"))
    }

    /// The component of a cloud or distribution that the object says it is.
    pub(crate) fn component(&self) -> Option<&'a str> {
        ["eks.amazonaws.com/component", "components.gke.io/component-name"].iter().find_map(|key| self.label(key))
    }

    /// Whether the object says that it is such a component, or that an add-on manager keeps it.
    pub(crate) fn is_of_addon(&self) -> bool {
        let managers = ["addonmanager.kubernetes.io/mode", "kubernetes.azure.com/managedby"];
        self.component().is_some() || managers.iter().any(|key| self.label(key).is_some())
    }

    /// What the object calls itself.
    pub(crate) fn app(&self) -> Option<&'a str> {
        ["k8s-app", "app.kubernetes.io/name", "app"].iter().find_map(|key| self.label(key))
    }
}

/// Applications beside Argo CD's own namespace are called `namespace_name`.
fn application(name: &str) -> Instance<'_> {
    match name.split_once('_') {
        Some((namespace, name)) => Instance { name, namespace: Some(namespace) },
        None => Instance { name, namespace: None },
    }
}
