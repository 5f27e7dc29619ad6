//! How a source is changed: words and commands for each way in which it is applied. Pure.

use std::collections::BTreeMap;

use rampart_domain::{Cloud, Deliverer, SourceType};
use rampart_store::fix_unit::{FixUnit, Instance, Known};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Commands given for one way.
const COMMANDS: usize = 50;

/// How to change a source where it is applied in one way.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FixUnitChange)]
pub(super) struct ChangeView {
    /// What applies it: `helm`, `argo_cd`, `flux_helm_release` or `flux_kustomization`; null where no mark tells.
    deliverer: Option<String>,
    /// Where to set what the controls ask for.
    text: String,
    /// What to run for each instance once that is done, those with the most findings first, at most 50. Words in capitals
    /// are yours to fill in.
    commands: Vec<CommandView>,
}

/// A command for one instance.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FixUnitCommand)]
pub(super) struct CommandView {
    cluster_id: Option<Uuid>,
    #[schema(example = "helm upgrade edge REPOSITORY/ingress-nginx --namespace ingress --values VALUES.yaml")]
    command: String,
}

/// What a change of a fix unit brings.
pub(super) fn sentence(unit: &FixUnit, controls: usize) -> String {
    let name = match unit.source_type.parse() {
        Ok(SourceType::HelmChart) => format!("the chart {}", unit.source_name),
        Ok(SourceType::ArgoApplication) => format!("the Argo CD application {}", unit.source_name),
        Ok(SourceType::FluxKustomization) => format!("the Flux kustomization {}", unit.source_name),
        Ok(SourceType::Addon) => format!("the add-on {}", unit.source_name),
        Ok(SourceType::Operator) => format!("what the operator {} makes", unit.source_name),
        Ok(SourceType::Manifest) | Err(_) => format!("the manifest of {}", unit.source_name),
    };
    if unit.findings == 0 {
        return format!("Nothing that comes from {name} is unhealthy.");
    }
    let findings = counted(unit.findings, "finding");
    let controls = counted(i64::try_from(controls).unwrap_or(i64::MAX), "control");
    let clusters = counted(unit.clusters, "cluster");
    format!("One change of {name} closes {findings} of {controls} in {clusters}.")
}

fn counted(count: i64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// How to change a source, for each way in which its instances are applied.
pub(super) fn changes(known: &Known, instances: &[Instance]) -> Vec<ChangeView> {
    let source_type = known.source_type.parse().unwrap_or(SourceType::Manifest);
    let mut ways: BTreeMap<Option<&str>, Vec<&Instance>> = BTreeMap::new();
    for instance in instances {
        ways.entry(instance.deliverer.as_deref()).or_default().push(instance);
    }
    let change = |(word, instances): (Option<&str>, Vec<&Instance>)| {
        let deliverer: Option<Deliverer> = word.and_then(|word| word.parse().ok());
        let commands = instances.into_iter().filter_map(|instance| {
            let command = command(source_type, deliverer, known, instance)?;
            Some(CommandView { cluster_id: instance.cluster_id, command })
        });
        ChangeView {
            deliverer: word.map(str::to_owned),
            text: text(source_type, deliverer, known),
            commands: commands.take(COMMANDS).collect(),
        }
    };
    ways.into_iter().map(change).collect()
}

fn text(source_type: SourceType, deliverer: Option<Deliverer>, known: &Known) -> String {
    let name = &known.source_name;
    match (source_type, deliverer) {
        (SourceType::HelmChart, Some(Deliverer::ArgoCd)) => format!(
            "Set it in the values of the chart {name}, or move `targetRevision` to a version of the chart that has it, in \
             the source of each application or in the ApplicationSet that makes them. Argo CD puts back what is changed \
             in the cluster."
        ),
        (SourceType::HelmChart, Some(Deliverer::FluxHelmRelease)) => format!(
            "Set it in `spec.values` of the HelmRelease, or move `spec.chart.spec.version` to a version of the chart {name} \
             that has it, in the repository that the HelmRelease comes from. Flux puts back what is changed in the cluster."
        ),
        (SourceType::HelmChart, Some(Deliverer::FluxKustomization)) => format!(
            "Render the chart {name} again with values that set it, or patch it in the kustomization, in the repository \
             that Flux reads."
        ),
        (SourceType::HelmChart, _) => format!(
            "Set it in the values of the chart {name}, or move to a version of the chart that has it, and upgrade each \
             release with the same values. What is edited in the cluster is lost with the next upgrade."
        ),
        (SourceType::ArgoApplication, _) => format!(
            "Change the manifests in the repository and path that the application {name} reads, and sync it. Argo CD puts \
             back what is changed in the cluster."
        ),
        (SourceType::FluxKustomization, _) => format!(
            "Change or patch the manifests in the repository and path that the Kustomization {name} reads. Flux puts back \
             what is changed in the cluster."
        ),
        (SourceType::Addon, _) => addon_text(known),
        (SourceType::Operator, _) if name.contains('/') => format!(
            "Set it in the custom resources of {name}, or move to a version of the operator that does. The operator puts \
             back what is changed in the objects that it made."
        ),
        (SourceType::Operator, _) => format!(
            "Move the subscription of {name} to a version that has it, or set it in `spec.config` of the subscription. The \
             lifecycle manager puts back what is changed in the objects that it installed."
        ),
        (SourceType::Manifest, _) => format!(
            "Set in the manifest of {name} what each control asks for (`by_control`), and apply it wherever it was applied."
        ),
    }
}

fn addon_text(known: &Known) -> String {
    let name = &known.source_name;
    match known.cloud.parse() {
        Ok(Cloud::Aws) if name == "kubernetes" => {
            "It comes with the Kubernetes version: upgrade the cluster.".to_owned()
        }
        Ok(Cloud::Aws) => format!(
            "Set it in the configuration of the add-on {name} or move to a version that has it. What came with the cluster \
             is first made an add-on: `aws eks create-addon --resolve-conflicts OVERWRITE`."
        ),
        Ok(Cloud::Azure | Cloud::Gcp) => {
            format!(
                "The cloud keeps {name} as it is: a newer version comes with an upgrade of the cluster or extension."
            )
        }
        Ok(Cloud::OnPremises) | Err(_) => {
            format!("Change {name} where the distribution is configured that installs it, or upgrade the distribution.")
        }
    }
}

/// What makes the change take effect for one instance; `None` where nothing but the change itself does.
fn command(
    source_type: SourceType,
    deliverer: Option<Deliverer>,
    known: &Known,
    instance: &Instance,
) -> Option<String> {
    let at =
        |flag: &str, value: Option<&str>| value.map_or_else(String::new, |value| format!(" {flag} {}", quoted(value)));
    let name = instance.instance.as_deref();
    let namespace = at("--namespace", instance.instance_namespace.as_deref());
    let cluster = instance.cluster_name.as_deref();
    match (source_type, deliverer) {
        (SourceType::Addon, _) => addon_command(known, instance),
        (_, Some(Deliverer::ArgoCd)) => {
            let scope =
                instance.instance_namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
            Some(format!("argocd app sync {}", quoted(&format!("{scope}{}", name?))))
        }
        (_, Some(Deliverer::FluxHelmRelease | Deliverer::FluxKustomization)) => {
            let is_release = deliverer == Some(Deliverer::FluxHelmRelease);
            let kind = if is_release { "helmrelease" } else { "kustomization" };
            let context = at("--context", cluster);
            Some(format!("flux reconcile {kind} {}{namespace} --with-source{context}", quoted(name?)))
        }
        (SourceType::HelmChart, _) => {
            let (chart, context) = (quoted(&known.source_name), at("--kube-context", cluster));
            let release = quoted(name?);
            Some(format!("helm upgrade {release} REPOSITORY/{chart}{namespace} --values VALUES.yaml{context}"))
        }
        (SourceType::Operator, _) => {
            let context = at("--context", cluster);
            let (kind, name) = match known.source_name.split_once('/') {
                Some((group, kind)) => (format!("{}.{group}", kind.to_lowercase()), name?),
                None => ("subscription.operators.coreos.com".to_owned(), known.source_name.as_str()),
            };
            Some(format!("kubectl edit {} {}{namespace}{context}", quoted(&kind), quoted(name)))
        }
        _ => None,
    }
}

fn addon_command(known: &Known, instance: &Instance) -> Option<String> {
    let addon = quoted(&known.source_name);
    let cluster = quoted(instance.cluster_name.as_deref()?);
    let native_id = instance.cluster_native_id.as_deref().unwrap_or_default();
    let place = |value: Option<&str>, word: &str| value.map_or_else(|| word.to_owned(), quoted);
    let region = place(instance.region.as_deref(), "REGION");
    match known.cloud.parse().ok()? {
        Cloud::Aws if known.source_name == "kubernetes" => Some(format!(
            "aws eks update-cluster-version --name {cluster} --kubernetes-version VERSION --region {region}"
        )),
        Cloud::Aws => Some(format!(
            "aws eks update-addon --cluster-name {cluster} --addon-name {addon} --addon-version VERSION \
             --configuration-values file://VALUES.json --resolve-conflicts PRESERVE --region {region}"
        )),
        Cloud::Azure => {
            let mut parts = native_id.split('/').skip_while(|part| !part.eq_ignore_ascii_case("resourceGroups"));
            let group = place(parts.nth(1), "GROUP");
            Some(if native_id.to_ascii_lowercase().contains("/connectedclusters/") {
                format!(
                    "az k8s-extension update --name EXTENSION --cluster-type connectedClusters --cluster-name {cluster} \
                     --resource-group {group} --version VERSION"
                )
            } else {
                format!("az aks upgrade --name {cluster} --resource-group {group} --kubernetes-version VERSION")
            })
        }
        Cloud::Gcp => {
            let project = place(instance.account.as_deref(), "PROJECT");
            Some(format!(
                "gcloud container clusters upgrade {cluster} --master --location {region} --project {project}"
            ))
        }
        Cloud::OnPremises => None,
    }
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(source_type: SourceType, name: &str, cloud: Cloud) -> Known {
        Known { source_type: source_type.to_string(), source_name: name.into(), cloud: cloud.to_string() }
    }

    fn instance(deliverer: Option<Deliverer>, namespace: Option<&str>) -> Instance {
        Instance {
            cluster_id: None,
            cluster_name: Some("shop-eu".into()),
            cluster_native_id: Some("/subscriptions/s/resourceGroups/rg-1/providers/x/managedClusters/shop-eu".into()),
            account: Some("project-1".into()),
            region: Some("eu-west-1".into()),
            deliverer: deliverer.map(|word| word.to_string()),
            instance: Some("edge".into()),
            instance_namespace: namespace.map(str::to_owned),
            version: None,
            resources: 1,
            findings: 1,
            total: 1,
        }
    }

    #[track_caller]
    fn check(source_type: SourceType, name: &str, cloud: Cloud, deliverer: Option<Deliverer>, expected: Option<&str>) {
        let made = changes(&known(source_type, name, cloud), &[instance(deliverer, Some("ingress"))]);
        assert_eq!(made.len(), 1);
        assert!(made[0].text.contains(name), "{}", made[0].text);
        assert_eq!(made[0].commands.first().map(|it| it.command.as_str()), expected);
    }

    #[test]
    fn each_way_has_its_own_command() {
        let chart = |deliverer, expected| {
            check(SourceType::HelmChart, "ingress-nginx", Cloud::Aws, Some(deliverer), Some(expected));
        };
        let upgrade = "helm upgrade edge REPOSITORY/ingress-nginx --namespace ingress --values VALUES.yaml \
                       --kube-context shop-eu";
        chart(Deliverer::Helm, upgrade);
        chart(Deliverer::ArgoCd, "argocd app sync ingress/edge");
        let reconcile = "flux reconcile helmrelease edge --namespace ingress --with-source --context shop-eu";
        chart(Deliverer::FluxHelmRelease, reconcile);
        let argo = Some(Deliverer::ArgoCd);
        check(SourceType::ArgoApplication, "shop", Cloud::Aws, argo, Some("argocd app sync ingress/edge"));
        let reconcile = "flux reconcile kustomization edge --namespace ingress --with-source --context shop-eu";
        let flux = Some(Deliverer::FluxKustomization);
        check(SourceType::FluxKustomization, "apps", Cloud::Aws, flux, Some(reconcile));
        let edit = "kubectl edit prometheus.monitoring.coreos.com edge --namespace ingress --context shop-eu";
        check(SourceType::Operator, "monitoring.coreos.com/Prometheus", Cloud::Aws, None, Some(edit));
        check(SourceType::Manifest, "Deployment shell", Cloud::Aws, None, None);
    }

    #[test]
    fn addons_are_changed_by_their_cloud() {
        let addon = |cloud, expected| check(SourceType::Addon, "coredns", cloud, None, expected);
        let aws = "aws eks update-addon --cluster-name shop-eu --addon-name coredns --addon-version VERSION \
                   --configuration-values file://VALUES.json --resolve-conflicts PRESERVE --region eu-west-1";
        addon(Cloud::Aws, Some(aws));
        let azure = "az aks upgrade --name shop-eu --resource-group rg-1 --kubernetes-version VERSION";
        addon(Cloud::Azure, Some(azure));
        let gcp = "gcloud container clusters upgrade shop-eu --master --location eu-west-1 --project project-1";
        addon(Cloud::Gcp, Some(gcp));
        addon(Cloud::OnPremises, None);
    }

    #[test]
    fn what_is_applied_in_two_ways_is_changed_in_two_ways() {
        let instances = [instance(Some(Deliverer::Helm), None), instance(Some(Deliverer::ArgoCd), None)];
        let made = changes(&known(SourceType::HelmChart, "x", Cloud::Aws), &instances);
        assert_eq!(
            made.iter().map(|way| way.deliverer.as_deref()).collect::<Vec<_>>(),
            [Some("argo_cd"), Some("helm")]
        );
    }

    #[test]
    fn words_of_a_shell_stay_words() {
        assert_eq!(quoted("shop-eu"), "shop-eu");
        assert_eq!(quoted("a b; rm"), "'a b; rm'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn sentences_count() {
        let mut unit = FixUnit::healthy(Uuid::nil().into(), &known(SourceType::HelmChart, "nginx", Cloud::Aws));
        assert_eq!(sentence(&unit, 0), "Nothing that comes from the chart nginx is unhealthy.");
        (unit.findings, unit.clusters) = (412, 1);
        assert_eq!(sentence(&unit, 9), "One change of the chart nginx closes 412 findings of 9 controls in 1 cluster.");
    }
}
