use std::sync::Arc;

use async_trait::async_trait;
use rampart_connector::{BearerToken, ClusterAccess, ClusterEndpoint, ConnectorError};
use secrecy::SecretString;
use url::Url;

use crate::kubeconfig::KubeconfigError;

/// Access to a cluster by credentials that a customer supplied: nothing is minted, nothing is read from disk.
#[derive(Debug, Clone)]
pub struct StaticAccess {
    pub(crate) endpoint: ClusterEndpoint,
    pub(crate) token: Option<SecretString>,
    pub(crate) identity_pem: Option<SecretString>,
    pub(crate) proxy: Option<Url>,
}

impl StaticAccess {
    /// Access by server URL, bearer token and, where the certificate is not from a public authority, the cluster's CA
    /// in PEM.
    ///
    /// # Errors
    /// The URL is not `https://host[:port][/path]`, the CA holds no certificate, or the token is not a header value.
    pub fn from_token(server: &str, token: SecretString, ca_pem: Option<&str>) -> Result<Self, KubeconfigError> {
        let endpoint = ClusterEndpoint {
            url: server_url(server)?,
            ca_pem: ca_pem.map(|pem| certificates(pem, "ca")).transpose()?,
            tls_server_name: None,
        };
        check_token(&token)?;
        Ok(Self { endpoint, token: Some(token), identity_pem: None, proxy: None })
    }

    /// Checks the certificate against `name` instead of the URL's host.
    #[must_use]
    pub fn with_tls_server_name(mut self, name: Option<String>) -> Self {
        self.endpoint.tls_server_name = name;
        self
    }

    /// Where the cluster answers.
    pub fn endpoint(&self) -> &ClusterEndpoint {
        &self.endpoint
    }
}

#[async_trait]
impl ClusterAccess for StaticAccess {
    async fn endpoint(&self) -> Result<ClusterEndpoint, ConnectorError> {
        Ok(self.endpoint.clone())
    }

    /// The supplied token; the empty token when the client certificate is all there is.
    async fn token(&self) -> Result<BearerToken, ConnectorError> {
        Ok(BearerToken { token: self.token.clone().unwrap_or_default(), expires_at: None })
    }

    fn proxy(&self) -> Option<Url> {
        self.proxy.clone()
    }

    fn client_identity_pem(&self) -> Option<SecretString> {
        self.identity_pem.clone()
    }
}

/// Parses a server address. Credentials, query and fragment have no business there.
pub(crate) fn server_url(text: &str) -> Result<Url, KubeconfigError> {
    let refused = |reason| KubeconfigError::Refused { field: "server", reason };
    let url = Url::parse(text.trim()).map_err(|_| refused("it is not a URL"))?;
    if url.scheme() != "https" {
        return Err(refused("only https is accepted, credentials would travel in the clear"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refused("it names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(refused("it must be https://host[:port][/path] and nothing else"));
    }
    Ok(url)
}

/// Checks that `pem` holds at least one certificate.
pub(crate) fn certificates(pem: &str, field: &'static str) -> Result<Arc<str>, KubeconfigError> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(pem.into()),
        _ => Err(KubeconfigError::Refused { field, reason: "it holds no PEM certificate" }),
    }
}

/// Checks that the token can be sent as a header at all.
pub(crate) fn check_token(token: &SecretString) -> Result<(), KubeconfigError> {
    use secrecy::ExposeSecret;

    let text = token.expose_secret();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(KubeconfigError::Refused { field: "token", reason: "it is empty or holds white space or other characters" })
    }
}
