use std::net::Ipv6Addr;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rampart_connector::{BearerToken, ClusterAccess, ClusterEndpoint, ConnectorError, ErrorKind};
use serde_json::Value;
use url::Url;

use crate::auth::Tokens;
use crate::calls::LIST_CLUSTERS;
use crate::permissions::CONNECT;

const OPEN_DNS: &str = "gcloud container clusters update <cluster> --enable-dns-access";

/// The way to the Kubernetes API of one GKE cluster, by the configuration that the cluster was listed with.
#[derive(Debug)]
pub(crate) struct GkeAccess {
    tokens: Arc<Tokens>,
    endpoint: Result<ClusterEndpoint, ConnectorError>,
    way: Way,
}

/// What the cluster offers for reaching it from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A name that Google's front end answers for, with the public roots; it asks for [`CONNECT`].
    Dns,
    /// A public address.
    Public,
    /// A public address for chosen networks only.
    Authorized,
    /// An address inside the customer's network.
    Private,
    /// Nothing.
    None,
}

impl GkeAccess {
    /// From an item of `clusters.list`. A CA that cannot be read is an error of every later call, never a reason to trust
    /// the public roots instead.
    pub(crate) fn new(tokens: Arc<Tokens>, cluster: &Value) -> Self {
        let way = way(cluster);
        Self { tokens, endpoint: endpoint(cluster, way), way }
    }
}

#[async_trait]
impl ClusterAccess for GkeAccess {
    async fn endpoint(&self) -> Result<ClusterEndpoint, ConnectorError> {
        if self.way == Way::Dns {
            self.tokens.note(CONNECT);
        }
        self.endpoint.clone()
    }

    async fn token(&self) -> Result<BearerToken, ConnectorError> {
        self.tokens.token(None).await
    }

    fn remedy(&self, error: &ConnectorError) -> Option<String> {
        remedy(self.way, self.tokens.identity(), error)
    }
}

fn remedy(way: Way, identity: &str, error: &ConnectorError) -> Option<String> {
    if let Some(own) = error.remedy.as_deref() {
        return Some(own.to_owned());
    }
    let remedy = match (error.kind, way) {
        (ErrorKind::Unreachable, Way::Private) => format!(
            "The API has a private address only. Open its DNS endpoint to the outside ({OPEN_DNS}), or run Rampart where \
             the address can be reached and allow the range with RAMPART_EGRESS_ALLOW."
        ),
        (ErrorKind::Unreachable, Way::Authorized) => format!(
            "The API answers authorised networks only. Add the addresses that Rampart connects from to \
             masterAuthorizedNetworksConfig, or open its DNS endpoint ({OPEN_DNS})."
        ),
        (ErrorKind::Unauthorized, _) => format!(
            "The API server does not accept the token of {identity}. Check that the identity still exists and that no \
             organisation policy restricts it."
        ),
        (ErrorKind::Forbidden, Way::Dns) => format!(
            "Grant {identity} the permission {CONNECT}, which the DNS endpoint asks for, and bind it to a ClusterRole with \
             get, list and watch."
        ),
        (ErrorKind::Forbidden, _) => format!(
            "Bind {identity} to a ClusterRole with get, list and watch, or grant it roles/container.viewer on the project."
        ),
        _ => return None,
    };
    Some(remedy)
}

fn is_true(value: &Value) -> bool {
    *value == Value::Bool(true)
}

/// The DNS endpoint first: it needs no network path but the public one and no authorised networks.
fn way(cluster: &Value) -> Way {
    let endpoints = &cluster["controlPlaneEndpointsConfig"];
    let (dns, ip) = (&endpoints["dnsEndpointConfig"], &endpoints["ipEndpointsConfig"]);
    if is_true(&dns["allowExternalTraffic"]) && dns["endpoint"].as_str().is_some_and(|name| !name.is_empty()) {
        return Way::Dns;
    }
    let (none, private, networks) = if ip.is_object() {
        let networks = &ip["authorizedNetworksConfig"];
        (!is_true(&ip["enabled"]), !is_true(&ip["enablePublicEndpoint"]), networks)
    } else {
        (false, is_true(&cluster["privateClusterConfig"]["enablePrivateEndpoint"]), &Value::Null)
    };
    let networks = if networks.is_object() { networks } else { &cluster["masterAuthorizedNetworksConfig"] };
    match (none, private, is_true(&networks["enabled"])) {
        (true, ..) => Way::None,
        (_, true, _) => Way::Private,
        (.., true) => Way::Authorized,
        (.., false) => Way::Public,
    }
}

fn endpoint(cluster: &Value, way: Way) -> Result<ClusterEndpoint, ConnectorError> {
    let fail = |kind, message: &str| ConnectorError::new(kind, LIST_CLUSTERS, message);
    let down = |message: String, remedy: String| fail(ErrorKind::Unreachable, &message).with_remedy(remedy);
    let status = cluster["status"].as_str().unwrap_or("STATUS_UNSPECIFIED");
    match status {
        "PROVISIONING" => {
            let remedy = "The cluster is being created; the next scan reads it.".to_owned();
            return Err(down(format!("the cluster has status {status}"), remedy));
        }
        "STOPPING" => {
            let remedy = "The cluster is being deleted; what is known of it goes with it.".to_owned();
            return Err(down(format!("the cluster has status {status}"), remedy));
        }
        "ERROR" => {
            let why = cluster["conditions"][0]["message"].as_str().or(cluster["statusMessage"].as_str());
            let remedy = "Repair or delete the cluster: its control plane does not work.".to_owned();
            return Err(down(format!("the cluster has status ERROR: {}", why.unwrap_or("no reason is given")), remedy));
        }
        _ => {}
    }
    let name = match way {
        Way::None => {
            let remedy = format!("Open the DNS endpoint of the cluster to the outside: {OPEN_DNS}.");
            return Err(down("the cluster has no endpoint that can be reached from outside".to_owned(), remedy));
        }
        Way::Dns => cluster["controlPlaneEndpointsConfig"]["dnsEndpointConfig"]["endpoint"].as_str(),
        // The address that `endpoint` shows is the private one as soon as there is one to show.
        Way::Public | Way::Authorized => {
            let public = &cluster["controlPlaneEndpointsConfig"]["ipEndpointsConfig"]["publicEndpoint"];
            let public = public.as_str().or(cluster["privateClusterConfig"]["publicEndpoint"].as_str());
            public.filter(|address| !address.is_empty()).or(cluster["endpoint"].as_str())
        }
        Way::Private => cluster["endpoint"].as_str(),
    };
    let name = name.unwrap_or_default();
    let host = if name.parse::<Ipv6Addr>().is_ok() { format!("[{name}]") } else { name.to_owned() };
    let url = Url::parse(&format!("https://{host}")).ok().filter(|_| !name.is_empty());
    let url = url.ok_or_else(|| fail(ErrorKind::Permanent, "the endpoint is not a host name or address"))?;
    let ca_pem = if way == Way::Dns { None } else { Some(authority(cluster)?.into()) };
    Ok(ClusterEndpoint { url, ca_pem, tls_server_name: None })
}

fn authority(cluster: &Value) -> Result<String, ConnectorError> {
    let data = cluster["masterAuth"]["clusterCaCertificate"].as_str().unwrap_or_default();
    let pem = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    pem.filter(|pem| pem.contains("-----BEGIN CERTIFICATE-----")).ok_or_else(|| {
        let message = "masterAuth.clusterCaCertificate is not a PEM certificate in base64";
        ConnectorError::new(ErrorKind::Permanent, LIST_CLUSTERS, message)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster(change: impl FnOnce(&mut Value)) -> Value {
        let ca = STANDARD.encode("-----BEGIN CERTIFICATE-----\n");
        let mut cluster = json!({ "name": "prod", "location": "europe-west1", "status": "RUNNING", "endpoint": "203.0.113.10",
            "masterAuth": { "clusterCaCertificate": ca }, "controlPlaneEndpointsConfig": {
                "dnsEndpointConfig": { "endpoint": "gke-0123.europe-west1.gke.goog" },
                "ipEndpointsConfig": { "enabled": true, "enablePublicEndpoint": true, "publicEndpoint": "203.0.113.10" } } });
        change(&mut cluster);
        cluster
    }

    /// The way, the address and whether the cluster's own CA is used.
    fn reached(change: impl FnOnce(&mut Value)) -> (Way, Result<(String, bool), ConnectorError>) {
        let cluster = cluster(change);
        let way = way(&cluster);
        (way, endpoint(&cluster, way).map(|endpoint| (endpoint.url.to_string(), endpoint.ca_pem.is_some())))
    }

    const ENDPOINTS: &str = "controlPlaneEndpointsConfig";

    #[test]
    fn the_dns_endpoint_is_preferred_when_it_is_open_to_the_outside() {
        let public = ("https://203.0.113.10/".to_owned(), true);
        assert_eq!(reached(|_| ()), (Way::Public, Ok(public.clone())));
        let dns = reached(|it| it[ENDPOINTS]["dnsEndpointConfig"]["allowExternalTraffic"] = json!(true));
        assert_eq!(dns, (Way::Dns, Ok(("https://gke-0123.europe-west1.gke.goog/".to_owned(), false))));
        let older = reached(|it| it[ENDPOINTS] = Value::Null);
        assert_eq!(older, (Way::Public, Ok(public)));
        let v6 = reached(|it| it[ENDPOINTS]["ipEndpointsConfig"]["publicEndpoint"] = json!("2600:1900::1"));
        assert_eq!(v6.1.unwrap().0, "https://[2600:1900::1]/");
    }

    #[test]
    fn what_keeps_rampart_out_is_told_apart() {
        let refused = ConnectorError::new(ErrorKind::Unreachable, "connect", "no connection within 10 s");
        let advice = |change: fn(&mut Value)| {
            let (way, endpoint) = reached(change);
            let error = endpoint.err().unwrap_or_else(|| refused.clone());
            assert_eq!(error.kind, ErrorKind::Unreachable);
            (way, remedy(way, "rampart@shop.iam.gserviceaccount.com", &error).unwrap())
        };
        for (change, want, part) in [
            (
                (|it| drop(it[ENDPOINTS]["ipEndpointsConfig"]["enablePublicEndpoint"].take())) as fn(&mut Value),
                Way::Private,
                "RAMPART_EGRESS_ALLOW",
            ),
            (|it| it[ENDPOINTS]["ipEndpointsConfig"] = json!({}), Way::None, "--enable-dns-access"),
            (
                |it| it[ENDPOINTS]["ipEndpointsConfig"]["authorizedNetworksConfig"] = json!({ "enabled": true }),
                Way::Authorized,
                "authorised networks",
            ),
            (|it| it["status"] = json!("STOPPING"), Way::Public, "being deleted"),
            (|it| it["status"] = json!("PROVISIONING"), Way::Public, "being created"),
            (|it| it["status"] = json!("ERROR"), Way::Public, "Repair"),
        ] {
            let (way, advice) = advice(change);
            assert_eq!(way, want);
            assert!(advice.contains(part), "{advice}");
        }
        let forbidden = ConnectorError::new(ErrorKind::Forbidden, "GET /version", "no");
        assert!(remedy(Way::Dns, "me", &forbidden).unwrap().contains("container.clusters.connect"));
        assert!(remedy(Way::Public, "me", &forbidden).unwrap().contains("roles/container.viewer"));
    }

    #[test]
    fn an_unreadable_ca_is_an_error_and_never_the_public_roots() {
        for ca in [Value::Null, json!("not base64!"), json!(STANDARD.encode("no pem"))] {
            let (_, endpoint) = reached(|it| it["masterAuth"]["clusterCaCertificate"] = ca);
            assert_eq!(endpoint.unwrap_err().kind, ErrorKind::Permanent);
        }
    }
}
