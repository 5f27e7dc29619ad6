use std::net::IpAddr;

use ipnet::IpNet;
use rampart_domain::{Cloud, Factor, Kind};
use serde_json::Value;

use super::Circumstance;

/// Networks whose addresses no one on the internet reaches.
const PRIVATE: [&str; 7] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"];

/// How a service leads to its pods from outside of the cluster; `None` when it does not.
pub fn service(name: &str, config: &Value, cloud: Cloud) -> Option<Circumstance> {
    let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let told = |factor, how: &str| Some(Circumstance::new(factor, format!("service {name} {how}")));
    let external: Vec<&str> = texts(config, "/spec/externalIPs").collect();
    if external.iter().any(|address| !is_private(address)) {
        return told(Factor::InternetExposed, "selects it and takes what comes for external addresses");
    }
    match text("/spec/type") {
        "LoadBalancer" if is_internal(config) => {
            told(Factor::NetworkExposed, "of type LoadBalancer, with an internal address, selects it")
        }
        "LoadBalancer" => {
            let given = config.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
            let given: Vec<&Value> = given.into_iter().flatten().collect();
            let private = |entry: &&Value| entry.get("ip").and_then(Value::as_str).is_some_and(is_private);
            let limited = is_limited(texts(config, "/spec/loadBalancerSourceRanges"));
            // What balances loads where no cloud does hands out what it was told to.
            let untold = given.is_empty() && cloud == Cloud::OnPremises;
            if limited || untold || (!given.is_empty() && given.iter().all(private)) {
                told(Factor::NetworkExposed, "of type LoadBalancer, not known to be open to all, selects it")
            } else {
                told(Factor::InternetExposed, "of type LoadBalancer selects it")
            }
        }
        "NodePort" => told(Factor::NetworkExposed, "of type NodePort selects it"),
        _ if !external.is_empty() => {
            told(Factor::NetworkExposed, "selects it and takes what comes for other addresses")
        }
        _ => None,
    }
}

/// The port of its node at which what runs by a pod spec listens; `None` without one. In a pod of the node's network every
/// port of a container is the node's.
pub fn node_port(spec: &Value) -> Option<Circumstance> {
    let shares = spec.get("hostNetwork") == Some(&Value::Bool(true));
    items(spec, "/containers").find_map(|container| {
        let port = items(container, "/ports").find_map(|port| {
            let own = port.get("hostPort").and_then(Value::as_u64).filter(|own| *own > 0);
            own.or_else(|| port.get("containerPort").filter(|_| shares)?.as_u64())
        })?;
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        let because = format!("container {name} listens at port {port} of its node");
        Some(Circumstance::new(Factor::NetworkExposed, because))
    })
}

/// Whether the cloud is asked for an internal load balancer.
fn is_internal(config: &Value) -> bool {
    let annotations = config.pointer("/metadata/annotations");
    let said = |name: &str| annotations.and_then(|all| all.get(name)).and_then(Value::as_str).unwrap_or_default();
    let class = config.pointer("/spec/loadBalancerClass").and_then(Value::as_str).unwrap_or_default();
    let scheme = said("service.beta.kubernetes.io/aws-load-balancer-scheme");
    // The controller of AWS makes internal ones unless told otherwise; the cloud provider inside Kubernetes public ones.
    let by_controller = ["service.k8s.aws/nlb", "eks.amazonaws.com/nlb"].contains(&class)
        || ["external", "nlb-ip"].contains(&said("service.beta.kubernetes.io/aws-load-balancer-type"));
    said("service.beta.kubernetes.io/azure-load-balancer-internal") == "true"
        || !["", "false"].contains(&said("service.beta.kubernetes.io/aws-load-balancer-internal"))
        || scheme == "internal"
        || said("networking.gke.io/load-balancer-type").eq_ignore_ascii_case("internal")
        || said("cloud.google.com/load-balancer-type").eq_ignore_ascii_case("internal")
        || (by_controller && scheme != "internet-facing")
}

/// A service that an ingress or a route leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub service: String,
    /// Why what it selects is exposed.
    pub circumstance: Circumstance,
}

/// The services that an ingress or a route of the Gateway API leads to from outside. `namespace` is where it lies.
pub fn backends(kind: Kind, name: &str, namespace: &str, config: &Value) -> Vec<Backend> {
    let (mut found, word, internal) = match kind {
        Kind::K8sIngress => (of_ingress(config), "ingress", is_internal_ingress(config)),
        Kind::K8sHttpRoute | Kind::K8sGrpcRoute | Kind::K8sTlsRoute | Kind::K8sTcpRoute => {
            (of_route(config), "route", false)
        }
        _ => return Vec::new(),
    };
    found.sort_unstable();
    found.dedup();
    let (factor, how) =
        if internal { (Factor::NetworkExposed, ", with an internal address,") } else { (Factor::InternetExposed, "") };
    let backend = |(own, service): (Option<&str>, &str)| Backend {
        namespace: own.unwrap_or(namespace).to_owned(),
        service: service.to_owned(),
        circumstance: Circumstance::new(
            factor,
            format!("{word} {name}{how} leads to service {service}, which selects it"),
        ),
    };
    found.into_iter().map(backend).collect()
}

/// The ingress controllers of clouds that are asked for an address within the network.
fn is_internal_ingress(config: &Value) -> bool {
    let annotations = config.pointer("/metadata/annotations");
    let said = |name: &str| annotations.and_then(|all| all.get(name)).and_then(Value::as_str).unwrap_or_default();
    let class = config.pointer("/spec/ingressClassName").and_then(Value::as_str);
    let class = class.unwrap_or_else(|| said("kubernetes.io/ingress.class"));
    let scheme = said("alb.ingress.kubernetes.io/scheme");
    class == "gce-internal"
        || scheme == "internal"
        || (class == "alb" && scheme != "internet-facing")
        || said("appgw.ingress.kubernetes.io/use-private-ip") == "true"
}

type Named<'a> = (Option<&'a str>, &'a str);

fn of_ingress(config: &Value) -> Vec<Named<'_>> {
    let default = config.pointer("/spec/defaultBackend").or_else(|| config.pointer("/spec/backend"));
    let paths = items(config, "/spec/rules").flat_map(|rule| items(rule, "/http/paths"));
    let backends = default.into_iter().chain(paths.filter_map(|path| path.get("backend")));
    backends.filter_map(backend_service).collect()
}

fn backend_service(backend: &Value) -> Option<Named<'_>> {
    let name = backend.pointer("/service/name").or_else(|| backend.get("serviceName"))?;
    Some((None, name.as_str()?))
}

fn of_route(config: &Value) -> Vec<Named<'_>> {
    let references = items(config, "/spec/rules").flat_map(|rule| items(rule, "/backendRefs"));
    let services = references.filter(|it| it.get("kind").and_then(Value::as_str).is_none_or(|kind| kind == "Service"));
    let named =
        services.filter_map(|it| Some((it.get("namespace").and_then(Value::as_str), it.get("name")?.as_str()?)));
    named.collect()
}

/// How the Kubernetes API of a cluster is reached from the internet, as its cloud tells; `None` when it is not.
pub fn endpoint(kind: Kind, config: &Value) -> Option<Circumstance> {
    let yes = |pointer: &str| config.pointer(pointer) == Some(&Value::Bool(true));
    let exposed = match kind {
        Kind::AwsEksCluster => {
            yes("/resourcesVpcConfig/endpointPublicAccess")
                && !is_limited(texts(config, "/resourcesVpcConfig/publicAccessCidrs"))
        }
        Kind::AzureAksCluster => {
            config.get("properties").is_some()
                && !yes("/properties/apiServerAccessProfile/enablePrivateCluster")
                && !is_limited(texts(config, "/properties/apiServerAccessProfile/authorizedIPRanges"))
        }
        Kind::GcpGkeCluster => {
            let addresses = "/controlPlaneEndpointsConfig/ipEndpointsConfig";
            let public = match config.pointer(addresses) {
                Some(told) => {
                    told.get("enabled") == Some(&Value::Bool(true))
                        && told.get("enablePublicEndpoint") == Some(&Value::Bool(true))
                }
                None => !yes("/privateClusterConfig/enablePrivateEndpoint"),
            };
            let newer = config.pointer(addresses).and_then(|told| told.get("authorizedNetworksConfig"));
            let limited = [newer, config.get("masterAuthorizedNetworksConfig")].into_iter().flatten().any(|list| {
                let cidrs: Vec<&str> =
                    items(list, "/cidrBlocks").filter_map(|it| it.get("cidrBlock")?.as_str()).collect();
                let enabled = list.get("enabled") == Some(&Value::Bool(true));
                enabled && (cidrs.is_empty() || is_limited(cidrs.into_iter()))
            });
            public && !limited
        }
        _ => false,
    };
    exposed.then(|| Circumstance::new(Factor::InternetExposed, "its Kubernetes API answers everybody"))
}

/// Whether ranges of addresses are given, and none of them is everything.
fn is_limited<'a>(ranges: impl Iterator<Item = &'a str>) -> bool {
    let mut given = false;
    for range in ranges {
        given = true;
        // What does not parse limits nothing.
        if range.parse::<IpNet>().is_ok_and(|net| net.prefix_len() == 0) {
            return false;
        }
    }
    given
}

fn is_private(address: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    PRIVATE.iter().filter_map(|net| net.parse::<IpNet>().ok()).any(|net| net.contains(&address))
}

fn items<'a>(holder: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    holder.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn texts<'a>(holder: &'a Value, pointer: &str) -> impl Iterator<Item = &'a str> {
    items(holder, pointer).filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use rampart_domain::{Cloud, Factor, Kind};
    use serde_json::{Value, json};

    use super::{backends, endpoint, node_port, service};

    #[track_caller]
    fn check(config: &Value, expected: Option<Factor>) {
        assert_eq!(service("web", config, Cloud::Aws).map(|it| it.factor), expected, "{config}");
    }

    fn balanced(annotation: &str, value: &str) -> Value {
        json!({"metadata": {"annotations": {annotation: value}}, "spec": {"type": "LoadBalancer"}})
    }

    #[test]
    fn services_lead_to_their_pods_by_type_and_address() {
        let (internet, network) = (Some(Factor::InternetExposed), Some(Factor::NetworkExposed));
        check(&json!({"spec": {"type": "LoadBalancer"}}), internet);
        check(&json!({"spec": {"type": "NodePort"}}), network);
        check(&json!({"spec": {"type": "ClusterIP"}}), None);
        check(&json!({"spec": {}}), None);
        check(&json!({"spec": {"type": "ClusterIP", "externalIPs": ["203.0.113.7"]}}), internet);
        check(&json!({"spec": {"type": "ClusterIP", "externalIPs": ["10.0.0.7"]}}), network);
        check(&balanced("service.beta.kubernetes.io/aws-load-balancer-scheme", "internal"), network);
        check(&balanced("service.beta.kubernetes.io/aws-load-balancer-type", "external"), network);
        check(&balanced("service.beta.kubernetes.io/azure-load-balancer-internal", "false"), internet);
        check(&balanced("networking.gke.io/load-balancer-type", "Internal"), network);
        let at =
            |ip: &str| json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": ip}]}}});
        check(&at("10.1.2.3"), network);
        check(&at("203.0.113.7"), internet);
        let ranges = |range: &str| json!({"spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": [range]}});
        check(&ranges("198.51.100.0/24"), network);
        check(&ranges("0.0.0.0/0"), internet);
        let untold = service("web", &json!({"spec": {"type": "LoadBalancer"}}), Cloud::OnPremises);
        assert_eq!(untold.map(|it| it.factor), network, "what balances loads there is not known");
    }

    #[test]
    fn ports_of_the_node_count() {
        let because = |spec: Value| node_port(&spec).map(|found| found.because);
        let listens = |port: Value| json!({"containers": [{"name": "a", "ports": [port]}]});
        assert_eq!(
            because(listens(json!({"containerPort": 80, "hostPort": 8080}))).as_deref(),
            Some("container a listens at port 8080 of its node")
        );
        assert_eq!(because(listens(json!({"containerPort": 80, "hostPort": 0}))), None);
        let mut shared = listens(json!({"containerPort": 80}));
        shared["hostNetwork"] = json!(true);
        assert_eq!(because(shared).as_deref(), Some("container a listens at port 80 of its node"));
        assert_eq!(because(json!({"hostNetwork": true, "containers": [{"name": "a"}]})), None);
    }

    #[test]
    fn ingresses_and_routes_lead_to_services() {
        let names = |kind, config: &Value| -> Vec<String> {
            let found = backends(kind, "front", "edge", config);
            found.into_iter().map(|it| format!("{}/{} {}", it.namespace, it.service, it.circumstance.factor)).collect()
        };
        let path = json!({"backend": {"service": {"name": "web"}}});
        let ingress = json!({"spec": {"defaultBackend": {"service": {"name": "rest"}},
            "rules": [{"http": {"paths": [path, path]}}]}});
        assert_eq!(names(Kind::K8sIngress, &ingress), ["edge/rest internet_exposed", "edge/web internet_exposed"]);
        let old = json!({"spec": {"backend": {"serviceName": "old"}, "ingressClassName": "gce-internal"}});
        assert_eq!(names(Kind::K8sIngress, &old), ["edge/old network_exposed"]);
        let route = json!({"spec": {"rules": [{"backendRefs": [{"name": "web", "namespace": "shop"},
            {"kind": "Bucket", "name": "files"}]}]}});
        assert_eq!(names(Kind::K8sHttpRoute, &route), ["shop/web internet_exposed"]);
        assert!(names(Kind::K8sService, &ingress).is_empty());
    }

    #[test]
    fn an_api_is_exposed_where_no_list_limits_it() {
        let exposed = |kind, config: Value| endpoint(kind, &config).is_some();
        let eks =
            |cidrs: Value| json!({"resourcesVpcConfig": {"endpointPublicAccess": true, "publicAccessCidrs": cidrs}});
        assert!(exposed(Kind::AwsEksCluster, eks(json!(["0.0.0.0/0"]))));
        assert!(!exposed(Kind::AwsEksCluster, eks(json!(["198.51.100.0/24"]))));
        assert!(!exposed(Kind::AwsEksCluster, json!({})));
        let aks = |profile: Value| json!({"properties": {"apiServerAccessProfile": profile}});
        assert!(exposed(Kind::AzureAksCluster, aks(Value::Null)));
        assert!(!exposed(Kind::AzureAksCluster, aks(json!({"enablePrivateCluster": true}))));
        assert!(!exposed(Kind::AzureAksCluster, aks(json!({"authorizedIPRanges": ["198.51.100.7/32"]}))));
        assert!(!exposed(Kind::AzureAksCluster, json!({})));
        assert!(exposed(Kind::GcpGkeCluster, json!({})));
        assert!(!exposed(Kind::GcpGkeCluster, json!({"privateClusterConfig": {"enablePrivateEndpoint": true}})));
        let networks = json!({"enabled": true, "cidrBlocks": [{"cidrBlock": "198.51.100.0/24"}]});
        assert!(!exposed(Kind::GcpGkeCluster, json!({"masterAuthorizedNetworksConfig": networks})));
    }
}
