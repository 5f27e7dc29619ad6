//! The marks that tools leave on what they deliver.

use serde_json::{Value, json};

use crate::world::draft::Object;

/// How a group of objects came into a cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Delivery<'a> {
    /// A release of a chart, given with its version, by Helm itself.
    Helm { chart: &'a str, release: &'a str },
    /// A release of a chart, by a `HelmRelease` of Flux.
    FluxHelm { chart: &'a str, release: &'a str },
    /// A chart that an application of Argo CD renders.
    ArgoChart { chart: &'a str, application: &'a str },
    /// Plain manifests, by an application of Argo CD.
    Argo { application: &'a str },
    /// Plain manifests, by a `Kustomization` of Flux.
    FluxKustomization { name: &'a str },
}

impl Delivery<'_> {
    /// Marks the objects that were applied; what controllers made from them carries no marks.
    pub(crate) fn mark(self, objects: &mut [Object]) {
        for (key, object) in objects {
            let metadata = &mut object["metadata"];
            if !metadata["ownerReferences"].is_null() {
                continue;
            }
            let name = metadata["name"].as_str().unwrap_or_default().to_owned();
            let namespace = metadata["namespace"].as_str().unwrap_or_default().to_owned();
            let group = if key.group.is_empty() { String::new() } else { format!("{}/", key.group) };
            let tracked = |application| json!(format!("{application}:{group}{}:{namespace}/{name}", key.kind));
            match self {
                Delivery::Helm { chart, release } | Delivery::FluxHelm { chart, release } => {
                    chart_labels(metadata, chart, release);
                    metadata["annotations"]["meta.helm.sh/release-name"] = json!(release);
                    metadata["annotations"]["meta.helm.sh/release-namespace"] = json!(namespace);
                }
                Delivery::ArgoChart { chart, application } => {
                    chart_labels(metadata, chart, application);
                    metadata["annotations"]["argocd.argoproj.io/tracking-id"] = tracked(application);
                }
                Delivery::Argo { application } => {
                    metadata["annotations"]["argocd.argoproj.io/tracking-id"] = tracked(application);
                }
                Delivery::FluxKustomization { name } => {
                    metadata["labels"]["kustomize.toolkit.fluxcd.io/name"] = json!(name);
                    metadata["labels"]["kustomize.toolkit.fluxcd.io/namespace"] = json!("flux-system");
                }
            }
            if let Delivery::FluxHelm { release, .. } = self {
                metadata["labels"]["helm.toolkit.fluxcd.io/name"] = json!(release);
                metadata["labels"]["helm.toolkit.fluxcd.io/namespace"] = json!("flux-system");
            }
        }
    }
}

fn chart_labels(metadata: &mut Value, chart: &str, release: &str) {
    metadata["labels"]["helm.sh/chart"] = json!(chart);
    metadata["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
    metadata["labels"]["app.kubernetes.io/instance"] = json!(release);
}
