use rampart_domain::{Cloud, Kind};
use rampart_store::connector::{Delivery, KubernetesSettings, Settings};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::connector_source::{Parsed, collect, given};
use crate::http::FieldErrors;

/// A Kubernetes API. Give `kubeconfig`, or `server` and `token`, or none of them with `"delivery": "push"`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KubernetesSource {
    /// `pull` when Rampart calls the API server; `push` when `rampart collect` runs beside the cluster and pushes what it
    /// reads, for clusters that cannot be reached from outside.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "pull")]
    delivery: Delivery,
    /// A kubeconfig with inlined certificates. Programs and files that it names are refused, never run or read.
    #[schema(value_type = Option<String>, write_only)]
    kubeconfig: Option<SecretString>,
    /// Context of the kubeconfig; its current one when left out.
    context: Option<String>,
    /// URL of the API server.
    #[schema(example = "https://10.0.0.10:6443")]
    server: Option<String>,
    /// CA bundle of the API server in PEM; the public roots when left out.
    ca_pem: Option<String>,
    /// Bearer token.
    #[schema(value_type = Option<String>, write_only)]
    token: Option<SecretString>,
    /// Name to check the server's certificate against, when it is not the host of `server`.
    tls_server_name: Option<String>,
    /// Name to show for the cluster; the connector's name when left out.
    cluster_name: Option<String>,
    /// Where the cluster runs, if in a cloud.
    #[schema(value_type = Option<String>, example = "on_premises")]
    cloud: Option<Cloud>,
    /// Cloud account that the cluster belongs to.
    account: Option<String>,
    /// Region that the cluster runs in.
    region: Option<String>,
    /// Id that its cloud has for the cluster: the ARN of EKS, the resource id of AKS or Azure Arc, the full resource name of
    /// GKE. What the cloud's connector and this one read is then one cluster, also when the cloud's does not reach its API.
    #[schema(
        example = "/subscriptions/0000/resourceGroups/edge/providers/Microsoft.Kubernetes/connectedClusters/plant-7"
    )]
    native_id: Option<String>,
}

/// The id of a cloud's cluster as its connector stores it; `None` for everything else.
fn cloud_cluster(id: &str) -> Option<String> {
    let words: Vec<&str> = id.split('/').collect();
    let eks: Vec<&str> = id.splitn(6, ':').collect();
    if let ["arn", _, "eks", _, _, cluster] = eks[..] {
        return cluster.strip_prefix("cluster/").filter(|name| !name.is_empty()).map(|_| id.to_owned());
    }
    match words[..] {
        ["", "subscriptions", _, _, _, "providers", _, _, _] => {
            let id = id.to_ascii_lowercase();
            let of_known = ["/microsoft.containerservice/managedclusters/", "/microsoft.kubernetes/connectedclusters/"];
            of_known.iter().any(|provider| id.contains(provider)).then_some(id)
        }
        ["", "", "container.googleapis.com", "projects", _, "locations", _, "clusters", _] => Some(id.to_owned()),
        _ => None,
    }
}

impl KubernetesSource {
    pub(super) fn parse(self, name: &str, kinds: Vec<Kind>, errors: &mut FieldErrors) -> Parsed {
        let (kubeconfig, token) = (given(self.kubeconfig), given(self.token));
        let by_file = kubeconfig.is_some() && token.is_none() && self.server.is_none() && self.ca_pem.is_none();
        let by_token = kubeconfig.is_none() && token.is_some() && self.server.is_some() && self.context.is_none();
        let by_name = self.context.is_some() || self.tls_server_name.is_some();
        let by_none = kubeconfig.is_none() && token.is_none() && self.server.is_none() && self.ca_pem.is_none();
        match self.delivery {
            Delivery::Pull => errors.check(
                by_file || by_token,
                "/source",
                "give `kubeconfig` (and `context`), or `server` and `token` (and `ca_pem`)",
            ),
            Delivery::Push => {
                errors.check(
                    by_none && !by_name,
                    "/source",
                    "a cluster that is pushed has no address and no credentials",
                );
            }
        }
        let small = |secret: &SecretString| secret.expose_secret().len() <= 512 * 1024;
        errors.check(kubeconfig.as_ref().is_none_or(small), "/source/kubeconfig", "must be at most 512 KiB");
        if let Some(server) = &self.server {
            let url = url::Url::parse(server).ok().filter(|url| url.scheme() == "https" && url.has_host());
            // It is shown to whoever may read connectors, and so must hold no credentials.
            let plain = url.is_some_and(|url| {
                let bare = url.query().is_none() && url.fragment().is_none();
                url.username().is_empty() && url.password().is_none() && bare
            });
            errors.check(plain, "/source/server", "must be https://host[:port][/path], without user and query");
        }
        let pem = self.ca_pem.as_ref().is_none_or(|pem| pem.contains("-----BEGIN CERTIFICATE-----"));
        errors.check(pem, "/source/ca_pem", "must be certificates in PEM");
        let native_id = self.native_id.map(|id| {
            let found = cloud_cluster(&id);
            errors.check(
                found.is_some(),
                "/source/native_id",
                "must be the ARN of an EKS cluster, the resource id of an AKS or Arc cluster or the full resource name of a GKE cluster",
            );
            found.unwrap_or(id)
        });
        let settings = KubernetesSettings {
            server: self.server,
            ca_pem: self.ca_pem,
            context: self.context,
            tls_server_name: self.tls_server_name,
            cluster_name: self.cluster_name.unwrap_or_else(|| name.to_owned()),
            cloud: self.cloud,
            account: self.account,
            region: self.region,
            native_id,
            delivery: self.delivery,
            kinds,
        };
        (Settings::Kubernetes(settings), collect([("kubeconfig", kubeconfig), ("token", token)]))
    }
}

#[cfg(test)]
mod tests {
    use rampart_store::connector::Settings;
    use serde_json::json;

    use super::cloud_cluster;
    use crate::routes::connector_source::testing::check;

    #[test]
    fn a_kubernetes_api_needs_exactly_one_way_in() {
        let token = json!({"provider": "kubernetes", "server": "https://k.example:6443", "token": "t"});
        let (Settings::Kubernetes(kubernetes), _) = check(token).unwrap() else { panic!("not kubernetes") };
        assert_eq!(kubernetes.cluster_name, "prod");
        assert!(check(json!({"provider": "kubernetes", "kubeconfig": "a: b", "context": "c"})).is_ok());
        let push = json!({"provider": "kubernetes", "delivery": "push", "cluster_name": "floor"});
        let (settings, secrets) = check(push).unwrap();
        assert!(settings.is_pushed() && secrets.is_empty());
        let arc = "/subscriptions/S/resourceGroups/Edge/providers/Microsoft.Kubernetes/connectedClusters/Plant";
        let joined = json!({"provider": "kubernetes", "delivery": "push", "native_id": arc});
        let (Settings::Kubernetes(kubernetes), _) = check(joined).unwrap() else { panic!("not kubernetes") };
        assert_eq!(kubernetes.native_id, Some(arc.to_ascii_lowercase()));
        for id in [
            "arn:aws:eks:eu-west-1:111122223333:cluster/prod",
            "//container.googleapis.com/projects/p/locations/europe-west1/clusters/c",
        ] {
            assert_eq!(cloud_cluster(id).as_deref(), Some(id));
        }
        for (source, part) in [
            (json!({"provider": "kubernetes", "delivery": "push", "native_id": "plant"}), "/source/native_id"),
            (
                json!({"provider": "kubernetes", "delivery": "push", "native_id": arc.replace("connectedClusters", "x")}),
                "/source/native_id",
            ),
            (
                json!({"provider": "kubernetes", "delivery": "push", "native_id": "arn:aws:eks:eu-west-1:1:nodegroup/x"}),
                "/source/native_id",
            ),
            (json!({"provider": "kubernetes", "delivery": "push", "server": "https://k"}), "/source"),
            (json!({"provider": "kubernetes", "delivery": "push", "kubeconfig": "a"}), "/source"),
            (json!({"provider": "kubernetes", "delivery": "mail"}), "unknown variant"),
            (json!({"provider": "kubernetes", "server": "https://k"}), "/source"),
            (json!({"provider": "kubernetes", "server": "http://k", "token": "t"}), "/source/server"),
            (json!({"provider": "kubernetes", "server": "https://u:p@k", "token": "t"}), "/source/server"),
            (json!({"provider": "kubernetes", "server": "https://k?sig=s", "token": "t"}), "/source/server"),
            (json!({"provider": "kubernetes", "server": "https://k", "token": "t", "ca_pem": "x"}), "/source/ca_pem"),
            (json!({"provider": "kubernetes", "kubeconfig": "a", "token": "t"}), "/source"),
        ] {
            let error = check(source.clone()).unwrap_err();
            assert!(error.contains(part), "{source}: {error}");
        }
    }
}
