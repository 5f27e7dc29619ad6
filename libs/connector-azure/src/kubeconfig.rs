//! The user kubeconfig of a managed cluster: address and authority, and for clusters without Entra ID the user.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rampart_connector::{ClusterEndpoint, ConnectorError, ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::permissions::USER_CREDENTIAL;

#[derive(Deserialize)]
struct Document {
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedCluster {
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority_data: Option<String>,
}

#[derive(Deserialize)]
struct NamedUser {
    #[serde(default)]
    user: Option<User>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<SecretString>,
    client_certificate_data: Option<String>,
    client_key_data: Option<SecretString>,
}

/// What opens a cluster without Entra ID.
pub(crate) struct LocalUser {
    pub(crate) token: Option<SecretString>,
    /// Certificate and key in PEM.
    pub(crate) identity_pem: Option<SecretString>,
}

impl fmt::Debug for LocalUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalUser").finish_non_exhaustive()
    }
}

/// Reads what `listClusterUserCredential` handed out: the text of a kubeconfig, in base64 or as it is. The message of a
/// failure never quotes it.
pub(crate) fn parse(value: &SecretString) -> Result<(ClusterEndpoint, LocalUser), ConnectorError> {
    let bad = |message: &str| ConnectorError::new(ErrorKind::Permanent, USER_CREDENTIAL, message);
    let text = decoded(value.expose_secret());
    let text = text.as_ref().map_or(value.expose_secret(), |text| text.expose_secret());
    let document: Document = serde_saphyr::from_str(text).map_err(|_| bad("the user kubeconfig cannot be read"))?;
    let cluster =
        document.clusters.into_iter().next().ok_or_else(|| bad("the user kubeconfig names no cluster"))?.cluster;
    let url = Url::parse(&cluster.server).ok().filter(|url| url.scheme() == "https" && url.has_host());
    let url = url.ok_or_else(|| bad("the server in the user kubeconfig is not an https URL"))?;
    // Without an authority of its own the public roots would be trusted, which no managed cluster's certificate is from.
    let ca = cluster.certificate_authority_data.as_deref().and_then(pem);
    let ca = ca.filter(|pem| pem.contains("-----BEGIN CERTIFICATE-----"));
    let ca = ca.ok_or_else(|| bad("certificate-authority-data is not a PEM certificate in base64"))?;
    let endpoint = ClusterEndpoint { url, ca_pem: Some(ca.into()), tls_server_name: None };
    let user = document.users.into_iter().next().and_then(|named| named.user).unwrap_or_default();
    let pair = user.client_certificate_data.as_deref().and_then(pem).zip(user.client_key_data);
    let identity_pem =
        pair.and_then(|(certificate, key)| Some((certificate + "\n" + &pem(key.expose_secret())?).into()));
    Ok((endpoint, LocalUser { token: user.token, identity_pem }))
}

fn decoded(value: &str) -> Option<SecretString> {
    let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    Some(text.into())
}

fn pem(data: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(data.trim()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

    fn kubeconfig(server: &str, user: &str) -> String {
        let ca = STANDARD.encode(CA);
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster:\n    server: {server}\n    \
             certificate-authority-data: {ca}\nusers:\n- name: u\n  user: {user}\ncontexts: []\n"
        )
    }

    #[test]
    fn base64_and_plain_text_are_read_alike() {
        let plain = kubeconfig("https://c.hcp.westeurope.azmk8s.io:443", "{token: hush}");
        for value in [STANDARD.encode(&plain), plain] {
            let (endpoint, user) = parse(&value.into()).unwrap();
            assert_eq!(endpoint.url.host_str(), Some("c.hcp.westeurope.azmk8s.io"));
            assert_eq!((endpoint.ca_pem.as_deref(), user.token.unwrap().expose_secret()), (Some(CA), "hush"));
            assert!(user.identity_pem.is_none());
        }
        let (cert, key) = (STANDARD.encode("CERT"), STANDARD.encode("KEY"));
        let user = format!("{{client-certificate-data: {cert}, client-key-data: {key}}}");
        let (_, user) = parse(&kubeconfig("https://c", &user).into()).unwrap();
        assert_eq!(user.identity_pem.unwrap().expose_secret(), "CERT\nKEY");
        // Entra ID: the user names a program, which is not looked at.
        assert!(parse(&kubeconfig("https://c", "{exec: {command: kubelogin}}").into()).unwrap().1.token.is_none());
    }

    #[test]
    fn what_cannot_be_trusted_is_refused_without_quoting_it() {
        for broken in [kubeconfig("http://c", "{token: hush}"), "clusters: hush".into(), "clusters: []".into()] {
            let error = parse(&broken.into()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Permanent);
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        let without_ca = "clusters: [{name: c, cluster: {server: \"https://c\"}}]".to_owned();
        assert!(parse(&without_ca.into()).is_err(), "never the public roots");
    }
}
