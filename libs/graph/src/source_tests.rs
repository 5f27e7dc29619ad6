use rampart_domain::{Cloud, Deliverer, Kind, ManagedBy, NativeId, SourceType};
use serde_json::{Value, json};

use super::{Delivered, Source, source};
use crate::Node;

/// An object and what the inventory says of it beside its configuration.
struct Case {
    kind: Kind,
    object: Value,
    owner: Option<NativeId>,
    managed_by: ManagedBy,
    cloud: Cloud,
}

impl Case {
    fn new(kind: Kind, object: Value) -> Self {
        Self { kind, object, owner: None, managed_by: ManagedBy::Customer, cloud: Cloud::Aws }
    }

    fn by(self, managed_by: ManagedBy) -> Self {
        Self { managed_by, ..self }
    }

    fn source(&self) -> Option<Source> {
        let text = |pointer: &str| self.object.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").or(text("/addonName")).unwrap();
        let native = NativeId::kubernetes("c1", "apps", "X", text("/metadata/namespace").unwrap_or_default(), name);
        let node = Node {
            kind: self.kind,
            native_id: &native,
            cluster_uid: "c1",
            namespace: text("/metadata/namespace"),
            owner: self.owner.as_ref(),
            config: &self.object,
        };
        let labels = self.object.pointer("/metadata/labels").cloned().unwrap_or_default();
        let (managed_by, cloud) = (self.managed_by, self.cloud);
        source(&Delivered { node, name, labels: &labels, managed_by, cloud })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "callers write literals")]
fn deployment(namespace: &str, name: &str, labels: Value, annotations: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": name}}, "spec": {
            "serviceAccountName": name,
            "containers": [{"name": "controller", "image": "registry.k8s.io/ingress-nginx/controller:v1.11.3",
                "args": ["/nginx-ingress-controller", "--publish-service=ingress/web"],
                "env": [{"name": "POD_NAME", "value": "hmac:0011223344556677"}]}],
        }}},
    })
}

/// Type, name, deliverer, instance, its namespace, part, version.
type Told<'a> = (SourceType, &'a str, Option<Deliverer>, Option<&'a str>, Option<&'a str>, &'a str, Option<&'a str>);

#[track_caller]
fn check(case: &Case, expected: Told<'_>) {
    let source = case.source().unwrap();
    let told = (
        source.source_type,
        source.name.as_str(),
        source.deliverer,
        source.instance.as_deref(),
        source.instance_namespace.as_deref(),
        source.part.as_str(),
        source.version.as_deref(),
    );
    assert_eq!(told, expected);
}

#[expect(clippy::needless_pass_by_value, reason = "callers write literals")]
fn ingress(namespace: &str, name: &str, more: Value, annotations: Value) -> Case {
    let mut labels = json!({
        "helm.sh/chart": "ingress-nginx-4.11.3", "app.kubernetes.io/name": "ingress-nginx",
        "app.kubernetes.io/instance": "edge", "app.kubernetes.io/managed-by": "Helm",
        "app.kubernetes.io/version": "1.11.3", "app.kubernetes.io/component": "controller",
    });
    labels.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Case::new(Kind::K8sDeployment, deployment(namespace, name, labels, annotations))
}

fn helm_annotations(release: &str, namespace: &str) -> Value {
    json!({"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace})
}

#[test]
fn a_release_of_helm_is_known_by_its_chart() {
    let case = ingress("ingress", "edge-ingress-nginx-controller", json!({}), helm_annotations("edge", "ingress"));
    let chart = SourceType::HelmChart;
    let told =
        (chart, "ingress-nginx", Some(Deliverer::Helm), Some("edge"), Some("ingress"), "controller", Some("4.11.3"));
    check(&case, told);
    // Without the annotations, as `helm template` prints it, the release is what charts call the instance.
    check(&ingress("ingress", "edge-ingress-nginx-controller", json!({}), json!({})), told);
}

#[test]
fn charts_of_old_and_releases_that_do_not_name_their_chart() {
    let old = json!({"chart": "redis-10.5.7", "release": "cache", "heritage": "Tiller", "app": "redis"});
    let case = Case::new(Kind::K8sDeployment, deployment("shop", "cache-redis-master", old, json!({})));
    let helm = Some(Deliverer::Helm);
    check(&case, (SourceType::HelmChart, "redis", helm, Some("cache"), Some("shop"), "master", Some("10.5.7")));

    let foreign = json!({"chart": "redis-10.5.7", "release": "cache", "app": "redis"});
    let case = Case::new(Kind::K8sDeployment, deployment("shop", "redis", foreign, json!({})));
    assert_eq!(case.source().unwrap().source_type, SourceType::Manifest, "anybody may have a label `chart`");

    let managed = json!({"app.kubernetes.io/managed-by": "Helm"});
    let case = Case::new(Kind::K8sDeployment, deployment("a", "loki-gateway", managed, helm_annotations("loki", "a")));
    check(&case, (SourceType::HelmChart, "loki", helm, Some("loki"), Some("a"), "gateway", None));
}

#[test]
fn a_chart_stays_one_unit_whoever_applies_it() {
    let name = "prod-eu-ingress-nginx-controller";
    let tracking = json!({"argocd.argoproj.io/tracking-id": format!("prod-eu-ingress:apps/Deployment:ingress/{name}")});
    let argo = ingress("ingress", name, json!({"app.kubernetes.io/instance": "prod-eu"}), tracking);
    let (chart, version) = (SourceType::HelmChart, Some("4.11.3"));
    let told = (chart, "ingress-nginx", Some(Deliverer::ArgoCd), Some("prod-eu-ingress"), None, "controller", version);
    check(&argo, told);

    let marks = json!({"helm.toolkit.fluxcd.io/name": "edge", "helm.toolkit.fluxcd.io/namespace": "flux-system"});
    let flux = ingress("ingress", "edge-ingress-nginx-controller", marks, helm_annotations("edge", "ingress"));
    let told = (
        chart,
        "ingress-nginx",
        Some(Deliverer::FluxHelmRelease),
        Some("edge"),
        Some("flux-system"),
        "controller",
        version,
    );
    check(&flux, told);
    assert_eq!(argo.source().unwrap().key, flux.source().unwrap().key);
    assert_eq!(argo.source().unwrap().fingerprint, flux.source().unwrap().fingerprint);
}

#[test]
fn applications_of_argo_cd_by_each_of_their_marks() {
    let told = |instance, namespace, part| {
        (SourceType::ArgoApplication, instance, Some(Deliverer::ArgoCd), Some(instance), namespace, part, None)
    };
    let of = |labels: Value, annotations: Value| {
        Case::new(Kind::K8sDeployment, deployment("shop", "shop-web", labels, annotations))
    };
    let tracking = |id: &str| json!({"argocd.argoproj.io/tracking-id": id});
    check(&of(json!({}), tracking("shop:apps/Deployment:shop/shop-web")), told("shop", None, "web"));
    check(&of(json!({}), tracking("team-a_shop:apps/Deployment:shop/shop-web")), told("shop", Some("team-a"), "web"));
    check(&of(json!({"argocd.argoproj.io/instance": "shop"}), json!({})), told("shop", None, "web"));
    let shared = json!({"app.kubernetes.io/instance": "shop"});
    let wave = json!({"argocd.argoproj.io/sync-wave": "2"});
    check(&of(shared.clone(), wave.clone()), told("shop", None, "web"));

    let source_type = |case: Case| case.source().unwrap().source_type;
    assert_eq!(source_type(of(shared.clone(), json!({}))), SourceType::Manifest, "the shared label alone says nothing");
    let copied = tracking("shop:apps/Deployment:shop/other");
    assert_eq!(source_type(of(shared.clone(), copied)), SourceType::Manifest, "an annotation about another object");
    let mut annotations = wave;
    annotations.as_object_mut().unwrap().extend(helm_annotations("shop", "shop").as_object().unwrap().clone());
    assert_eq!(source_type(of(shared, annotations)), SourceType::HelmChart, "a chart that may be synced, but is not");
}

#[test]
fn kustomizations_of_flux() {
    let labels = json!({"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
        "app.kubernetes.io/version": "7.1.0"});
    let case = Case::new(Kind::K8sDeployment, deployment("podinfo", "podinfo", labels, json!({})));
    let (flux, version) = (Some(Deliverer::FluxKustomization), Some("7.1.0"));
    check(&case, (SourceType::FluxKustomization, "apps", flux, Some("apps"), Some("flux-system"), "podinfo", version));
}

#[test]
fn what_the_cloud_manages_is_its_addon_though_it_is_a_chart() {
    let labels = json!({"app.kubernetes.io/name": "aws-node", "app.kubernetes.io/instance": "aws-vpc-cni",
        "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "aws-vpc-cni-1.18.3", "k8s-app": "aws-node"});
    let mut object = deployment("kube-system", "aws-node", labels, json!({}));
    object["kind"] = "DaemonSet".into();
    let cni = Case::new(Kind::K8sDaemonSet, object).by(ManagedBy::Addon);
    check(&cni, (SourceType::Addon, "vpc-cni", None, None, None, "aws-node", Some("v1.11.3")));
    let addon = json!({"addonName": "vpc-cni", "addonVersion": "v1.18.3-eksbuild.2"});
    let addon = Case::new(Kind::AwsEksAddon, addon).by(ManagedBy::Addon);
    check(&addon, (SourceType::Addon, "vpc-cni", None, None, None, "vpc-cni", Some("v1.18.3-eksbuild.2")));
    assert_eq!(cni.source().unwrap().key, addon.source().unwrap().key);

    let labels = json!({"k8s-app": "kube-dns", "addonmanager.kubernetes.io/mode": "Reconcile"});
    let object = deployment("kube-system", "coredns", labels, json!({}));
    let labelled = Case { cloud: Cloud::Azure, ..Case::new(Kind::K8sDeployment, object) };
    check(&labelled, (SourceType::Addon, "kube-dns", None, None, None, "coredns", Some("v1.11.3")));
    assert_eq!(labelled.source().unwrap().key, "azure/kube-dns");

    let role = json!({"kind": "ClusterRole", "metadata": {"name": "system:node",
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}, "rules": []});
    let role = Case::new(Kind::K8sClusterRole, role).by(ManagedBy::Platform);
    check(&role, (SourceType::Addon, "kubernetes", None, None, None, "system:node", None));
}

#[test]
fn what_an_operator_made_is_its_though_the_marks_of_the_custom_resource_were_copied() {
    let labels = json!({"helm.sh/chart": "kube-prometheus-stack-65.1.0", "app.kubernetes.io/managed-by": "Helm"});
    let mut object = deployment("monitoring", "prometheus-main", labels, helm_annotations("kps", "monitoring"));
    object["metadata"]["ownerReferences"] = json!([{"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus",
        "name": "main", "uid": "u", "controller": true}]);
    let case = Case::new(Kind::K8sStatefulSet, object).by(ManagedBy::Operator);
    let (name, version) = ("monitoring.coreos.com/Prometheus", Some("v1.11.3"));
    check(&case, (SourceType::Operator, name, None, Some("main"), Some("monitoring"), "prometheus", version));
    let mut object = deployment("kafka", "brokers", json!({}), json!({}));
    (object["apiVersion"], object["kind"]) = ("core.strimzi.io/v1beta2".into(), "StrimziPodSet".into());
    let case = Case::new(Kind::K8sWorkload, object).by(ManagedBy::Operator);
    let name = "core.strimzi.io/StrimziPodSet";
    check(&case, (SourceType::Operator, name, None, Some("brokers"), Some("kafka"), "brokers", version));

    let labels = json!({"olm.owner": "etcdoperator.v0.9.4", "olm.owner.kind": "ClusterServiceVersion",
        "olm.owner.namespace": "operators"});
    let case = Case::new(Kind::K8sDeployment, deployment("operators", "etcd-operator", labels, json!({})));
    let (csv, version) = (Some("etcdoperator.v0.9.4"), Some("0.9.4"));
    check(&case, (SourceType::Operator, "etcdoperator", None, csv, Some("operators"), "etcd-operator", version));
}

#[test]
fn a_manifest_is_the_same_in_every_cluster_that_it_was_applied_to() {
    let base = Case::new(Kind::K8sDeployment, deployment("tools", "shell", json!({}), json!({})));
    check(&base, (SourceType::Manifest, "Deployment shell", None, None, None, "shell", Some("v1.11.3")));
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut object = base.object.clone();
        edit(&mut object);
        Case::new(Kind::K8sDeployment, object).source().unwrap()
    };
    let base = base.source().unwrap();
    let container = "/spec/template/spec/containers/0";
    let elsewhere = edited(&|object| {
        object["metadata"]["namespace"] = "ops".into();
        object["spec"]["replicas"] = 9.into();
        object.pointer_mut("/spec/template/spec").unwrap()["nodeSelector"] = json!({"pool": "a"});
        let container = object.pointer_mut(container).unwrap();
        container["image"] = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/mirror/controller:v1.12.0".into();
        container["env"][0]["value"] = "hmac:8899aabbccddeeff".into();
        container["args"][1] = "--publish-service=ops/web".into();
    });
    assert_eq!((&elsewhere.key, elsewhere.fingerprint), (&base.key, base.fingerprint));
    assert_eq!(elsewhere.version.as_deref(), Some("v1.12.0"));

    let changed = edited(&|object| {
        object.pointer_mut(container).unwrap()["securityContext"] = json!({"privileged": true});
    });
    assert_eq!(changed.key, base.key, "the same manifest");
    assert_ne!(changed.fingerprint, base.fingerprint, "with a difference");
    let other = edited(&|object| object.pointer_mut(container).unwrap()["image"] = "busybox:1".into());
    assert_ne!(other.key, base.key, "another one of the same name");
    let renamed = edited(&|object| object["metadata"]["name"] = "shell-2".into());
    assert_ne!(renamed.key, base.key);
}

#[test]
fn objects_without_a_template_are_known_by_their_place() {
    let object =
        |namespace: &str| json!({"kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}});
    let of = |namespace: &str| Case::new(Kind::K8sServiceAccount, object(namespace)).source().unwrap();
    assert_eq!(of("shop").name, "ServiceAccount shop/default");
    assert_ne!(of("shop").key, of("pay").key);
    let role = |verb: &str| json!({"kind": "ClusterRole", "metadata": {"name": "ops"}, "rules": [{"verbs": [verb]}]});
    let of = |verb: &str| Case::new(Kind::K8sClusterRole, role(verb)).source().unwrap();
    assert_eq!(of("get").key, of("*").key);
    assert_ne!(of("get").fingerprint, of("*").fingerprint);
}

#[test]
fn what_is_judged_through_its_owner_or_not_delivered_has_no_source() {
    let pod = json!({"kind": "Pod", "metadata": {"name": "web-1", "namespace": "a"}, "spec": {"containers": []}});
    let owner = Some(NativeId::kubernetes("c1", "apps", "Deployment", "a", "web"));
    assert_eq!(Case { owner, ..Case::new(Kind::K8sPod, pod.clone()) }.source(), None);
    assert_eq!(Case::new(Kind::K8sPod, pod).source().unwrap().name, "Pod web-1");
    let node = json!({"kind": "Node", "metadata": {"name": "n"}});
    assert_eq!(Case::new(Kind::K8sNode, node).source(), None);
}
