//! Planted weaknesses, each beside a counterpart that is as it should be. Every weak workload is the hardened one with
//! a single thing changed, so that a control that fires for another reason shows.

use serde_json::{Value, json};

use super::pod::{self, App, Placement, Style};
use super::rbac::{cluster_binding, cluster_role, rule, subject};
use super::weaknesses::WEAKNESSES;
use super::workload::{Controller, Workload, objects as workload_objects};
use super::{base, images, node, team};
use crate::world::draft::{Draft, Object};
use crate::world::expected::{Expected, Status, Subject};
use crate::world::kinds::{self, Feature, KindKey};
use crate::world::plan::Cluster;

/// Namespace of the weak ones: no policy, no quota, no limits, no enforced level.
pub(crate) const WEAK: &str = "tooling";
/// Namespace of the healthy counterparts.
pub(crate) const SOUND: &str = "vault";
/// The workload that every pod control must find healthy.
const SOUND_WORKLOAD: &str = "signer";

/// A cluster role with a binding of the same name; the verdict is about the binding.
struct Grant {
    name: &'static str,
    control: &'static str,
    role: Option<&'static str>,
    rule: (&'static str, &'static str, &'static str),
    subject: (&'static str, &'static str),
}

const TOOL: (&str, &str) = ("ServiceAccount", "tooling/operator");
const GRANTS: &[Grant] = &[
    Grant {
        name: "tooling-admin",
        control: "k8s.rbac.cluster_admin",
        role: Some("cluster-admin"),
        rule: ("", "", ""),
        subject: TOOL,
    },
    Grant { name: "do-anything", control: "k8s.rbac.wildcard", role: None, rule: ("*", "*", "*"), subject: TOOL },
    Grant {
        name: "secret-backup",
        control: "k8s.rbac.read_secrets",
        role: None,
        rule: ("", "secrets", "list"),
        subject: TOOL,
    },
    Grant {
        name: "pod-starter",
        control: "k8s.rbac.create_pods",
        role: None,
        rule: ("", "pods", "create"),
        subject: TOOL,
    },
    Grant {
        name: "shell-access",
        control: "k8s.rbac.exec_pods",
        role: None,
        rule: ("", "pods/exec", "create"),
        subject: TOOL,
    },
    Grant {
        name: "tunnels",
        control: "k8s.rbac.port_forward",
        role: None,
        rule: ("", "pods/portforward", "create"),
        subject: TOOL,
    },
    Grant {
        name: "acts-as-others",
        control: "k8s.rbac.escalate_bind_impersonate",
        role: None,
        rule: ("", "users", "impersonate"),
        subject: TOOL,
    },
    Grant {
        name: "kubelet-access",
        control: "k8s.rbac.node_proxy",
        role: None,
        rule: ("", "nodes/proxy", "get"),
        subject: TOOL,
    },
    Grant {
        name: "token-minter",
        control: "k8s.rbac.token_create",
        role: None,
        rule: ("", "serviceaccounts/token", "create"),
        subject: TOOL,
    },
    Grant {
        name: "hook-editor",
        control: "k8s.rbac.webhook_config",
        role: None,
        rule: ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "update"),
        subject: TOOL,
    },
    Grant {
        name: "volume-maker",
        control: "k8s.rbac.pv_create",
        role: None,
        rule: ("", "persistentvolumes", "create"),
        subject: TOOL,
    },
    Grant {
        name: "open-dashboard",
        control: "k8s.rbac.anonymous",
        role: None,
        rule: ("", "pods", "get"),
        subject: ("User", "system:anonymous"),
    },
    Grant {
        name: "everyone-reads",
        control: "k8s.rbac.authenticated_group",
        role: None,
        rule: ("", "pods", "get"),
        subject: ("Group", "system:authenticated"),
    },
    Grant {
        name: "second-masters",
        control: "k8s.rbac.system_masters",
        role: Some("view"),
        rule: ("", "", ""),
        subject: ("Group", "system:masters"),
    },
];
/// The binding that every RBAC control must find healthy.
const SOUND_BINDING: &str = "pod-viewer";

const NO_POLICY: &str = "k8s.net.no_policy_in_namespace";
const NAMESPACE_CONTROLS: &[&str] = &[NO_POLICY, "k8s.ns.limit_range", "k8s.ns.resource_quota", "k8s.ns.pss_enforced"];

/// The planted objects of a cluster.
pub(crate) fn objects(cluster: &Cluster) -> Vec<Object> {
    let mut objects = base::namespace(cluster, WEAK, &json!({ "team": "platform" }));
    objects.extend(base::namespace(
        cluster,
        SOUND,
        &json!({ "team": "platform", "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest" }),
    ));
    objects.extend(team::guards(SOUND).into_iter().map(|draft| draft.build(cluster.seed)));
    for weakness in WEAKNESSES {
        let mut spec = hardened(cluster, weakness.name);
        (weakness.change)(&mut spec);
        objects.extend(deployment(cluster, WEAK, weakness.name, spec));
    }
    objects.extend(deployment(cluster, SOUND, SOUND_WORKLOAD, hardened(cluster, SOUND_WORKLOAD)));
    objects.extend(deployment(cluster, "default", "left-behind", hardened(cluster, "left-behind")));
    objects.push(naked_pod(cluster));
    objects.extend(grants(cluster));
    objects.extend(network(cluster));
    objects
}

fn hardened(cluster: &Cluster, name: &str) -> Value {
    pod::spec(&app(cluster, name))
}

fn app<'a>(cluster: &Cluster, name: &'a str) -> App<'a> {
    let seed = cluster.seed.child("plant").child(name);
    let image = images::for_component(cluster.world, &cluster.registry, "platform", 0, seed);
    App { seed, name, team: "platform", style: Style::Hardened, image, service_account: name.to_owned() }
}

fn deployment(cluster: &Cluster, namespace: &str, name: &str, spec: Value) -> Vec<Object> {
    let app = app(cluster, name);
    workload_objects(
        cluster,
        &Workload {
            namespace,
            controller: Controller::Deployment,
            app,
            spec,
            replicas: 1,
            revisions: 0,
            service: false,
        },
    )
}

fn naked_pod(cluster: &Cluster) -> Object {
    let app = app(cluster, "debug-shell");
    let placement =
        Placement { namespace: WEAK, name: "debug-shell".to_owned(), node: node::name(cluster, 0), owner: None };
    pod::running(cluster.world, cluster.seed, &pod::spec(&app), &pod::labels(&app), &placement)
}

fn grants(cluster: &Cluster) -> Vec<Object> {
    let mut drafts = vec![
        Draft::new(kinds::SERVICE_ACCOUNT, Some(WEAK), "operator", json!({})).applied(),
        cluster_role(SOUND_BINDING, &[rule(&[""], &["pods"], &["get", "list"])]).applied(),
        cluster_binding(SOUND_BINDING, SOUND_BINDING, &[subject(TOOL.0, TOOL.1)]).applied(),
    ];
    for grant in GRANTS {
        let (group, resource, verb) = grant.rule;
        if grant.role.is_none() {
            drafts.push(cluster_role(grant.name, &[rule(&[group], &[resource], &[verb])]).applied());
        }
        let (kind, name) = grant.subject;
        drafts.push(cluster_binding(grant.name, grant.role.unwrap_or(grant.name), &[subject(kind, name)]).applied());
    }
    drafts.into_iter().map(|draft| draft.build(cluster.seed)).collect()
}

/// Services and ingresses, weak and sound.
fn network(cluster: &Cluster) -> Vec<Object> {
    let service = |namespace: &str, name: &str, external: Option<&str>| {
        let mut spec = json!({ "type": "ClusterIP", "clusterIP": "172.20.77.7", "clusterIPs": ["172.20.77.7"], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster", "sessionAffinity": "None",
            "selector": { "app.kubernetes.io/name": name }, "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080 }] });
        if let Some(address) = external {
            spec["externalIPs"] = json!([address]);
        }
        Draft::new(kinds::SERVICE, Some(namespace), name, json!({ "spec": spec, "status": { "loadBalancer": {} } }))
            .applied()
    };
    let ingress = |namespace: &str, name: &str, tls: bool| {
        let mut spec = json!({ "ingressClassName": "nginx", "rules": [{ "host": format!("{name}.example.com"), "http": { "paths": [{ "path": "/", "pathType": "Prefix",
            "backend": { "service": { "name": name, "port": { "number": 80 } } } }] } }] });
        if tls {
            spec["tls"] = json!([{ "hosts": [format!("{name}.example.com")], "secretName": "tls" }]);
        }
        Draft::new(kinds::INGRESS, Some(namespace), name, json!({ "spec": spec, "status": { "loadBalancer": {} } }))
            .applied()
    };
    [
        service(WEAK, "external-ip", Some("203.0.113.9")),
        service(SOUND, "internal-only", None),
        ingress(WEAK, "plain-http", false),
        ingress(SOUND, "with-tls", true),
        ingress(WEAK, "snippet", true)
            .annotation("nginx.ingress.kubernetes.io/configuration-snippet", "proxy_set_header X-Debug 1;"),
    ]
    .map(|draft| draft.build(cluster.seed))
    .into()
}

/// What controls must say about the planted objects of a cluster.
pub(crate) fn expected(cluster: &Cluster) -> Vec<Expected> {
    let about = |kind: KindKey, namespace: Option<&str>, name: &str, control, status| {
        let subject = Subject::Kube {
            cluster: cluster.name.clone(),
            kind,
            namespace: namespace.map(ToOwned::to_owned),
            name: name.to_owned(),
        };
        Expected::new(subject, control, status)
    };
    // Cluster-wide policies of a plugin may cover what no namespaced policy does.
    let plugin = [Feature::Calico, Feature::AdminNetworkPolicy].iter().any(|wide| cluster.features.contains(wide));
    let uncovered = if plugin { Status::Unknown } else { Status::Unhealthy };
    let mut expected = Vec::new();
    let mut pod_controls = Vec::new();
    for weakness in WEAKNESSES {
        for control in weakness.controls {
            expected.push(about(kinds::DEPLOYMENT, Some(WEAK), weakness.name, control, Status::Unhealthy));
            pod_controls.push(*control);
        }
    }
    pod_controls.extend(["k8s.net.no_policy_for_pod", "k8s.pod.default_namespace"]);
    pod_controls.sort_unstable();
    pod_controls.dedup();
    for control in pod_controls {
        expected.push(about(kinds::DEPLOYMENT, Some(SOUND), SOUND_WORKLOAD, control, Status::Healthy));
    }
    expected.push(about(kinds::DEPLOYMENT, Some(WEAK), "node-tuner", "k8s.net.no_policy_for_pod", uncovered));
    expected.push(about(
        kinds::DEPLOYMENT,
        Some("default"),
        "left-behind",
        "k8s.pod.default_namespace",
        Status::Unhealthy,
    ));
    expected.push(about(kinds::POD, Some(WEAK), "debug-shell", "k8s.pod.naked", Status::Unhealthy));
    for grant in GRANTS {
        expected.push(about(kinds::CLUSTER_ROLE_BINDING, None, grant.name, grant.control, Status::Unhealthy));
        expected.push(about(kinds::CLUSTER_ROLE_BINDING, None, SOUND_BINDING, grant.control, Status::Healthy));
    }
    for control in NAMESPACE_CONTROLS {
        let weak = if *control == NO_POLICY { uncovered } else { Status::Unhealthy };
        expected.push(about(kinds::NAMESPACE, None, WEAK, control, weak));
        expected.push(about(kinds::NAMESPACE, None, SOUND, control, Status::Healthy));
    }
    expected.extend([
        about(kinds::SERVICE, Some(WEAK), "external-ip", "k8s.net.external_ip_service", Status::Unhealthy),
        about(kinds::SERVICE, Some(SOUND), "internal-only", "k8s.net.external_ip_service", Status::Healthy),
        about(kinds::INGRESS, Some(WEAK), "plain-http", "k8s.net.ingress_tls", Status::Unhealthy),
        about(kinds::INGRESS, Some(SOUND), "with-tls", "k8s.net.ingress_tls", Status::Healthy),
        about(kinds::INGRESS, Some(WEAK), "snippet", "k8s.net.ingress_nginx_snippet", Status::Unhealthy),
        about(kinds::INGRESS, Some(SOUND), "with-tls", "k8s.net.ingress_nginx_snippet", Status::Healthy),
    ]);
    expected
}
