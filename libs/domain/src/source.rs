use crate::text_enum::text_enum;

text_enum! {
    /// What sort of source delivers a resource, and so where a change to it has to be made.
    pub enum SourceType as "source type" {
        /// A Helm chart, whatever applies it.
        HelmChart = "helm_chart",
        /// An application of Argo CD that is not made from a known chart.
        ArgoApplication = "argo_application",
        /// A kustomization of Flux that is not made from a known chart.
        FluxKustomization = "flux_kustomization",
        /// An add-on or component of the cloud or the distribution.
        Addon = "addon",
        /// An operator that makes objects from custom resources, or that a lifecycle manager installs.
        Operator = "operator",
        /// A manifest that was applied by hand, or by what leaves no mark.
        Manifest = "manifest",
    }
}

text_enum! {
    /// What applies a source to a cluster.
    pub enum Deliverer as "deliverer" {
        /// `helm upgrade`.
        Helm = "helm",
        /// Argo CD.
        ArgoCd = "argo_cd",
        /// A `HelmRelease` of Flux.
        FluxHelmRelease = "flux_helm_release",
        /// A `Kustomization` of Flux.
        FluxKustomization = "flux_kustomization",
    }
}
