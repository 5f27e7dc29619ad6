//! The way to an issuer: over https, to addresses that the operator's egress policy allows, without redirects, and with a
//! cap on what is read.

use std::sync::Arc;
use std::time::Duration;

use rampart_connector::{Egress, EgressPolicy, USER_AGENT, causes, is_local, read_capped};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::keys::ReadKeys;

/// Time for one document.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest document. Issuers of a whole cloud have some 30 KiB of keys.
const LARGEST: usize = 512 * 1024;

/// Reads what issuers publish.
pub(super) struct Http {
    policy: EgressPolicy,
    /// Why there is none, where it could not be made.
    client: Result<Client, String>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: Url,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl Http {
    pub(super) fn new(egress: Egress) -> Self {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Whoever was first has won the race for the same provider.
            drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        }
        let client = client(&egress).map_err(|error| causes(&error));
        Self { policy: egress.policy, client }
    }

    /// The JSON document at `url`.
    async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, String> {
        let is_private = url.scheme() == "https" || (url.scheme() == "http" && is_local(&url));
        let (Some(host), Some(port), true) = (url.host_str(), url.port_or_known_default(), is_private) else {
            return Err(format!("{url} is no https URL"));
        };
        // A literal address is never resolved; names are, again, for the connection itself.
        self.policy.resolve(host, port).await.map_err(|error| error.to_string())?;
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let sent = client.get(url.clone()).header("accept", "application/json").send().await;
        let response = sent.map_err(|error| causes(&error.without_url()))?;
        if !response.status().is_success() {
            return Err(format!("{url} answers {}", response.status().as_u16()));
        }
        let body =
            read_capped("oidc:Get", response.bytes_stream(), LARGEST).await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&body).map_err(|error| format!("{url} does not fit: {error}"))
    }
}

impl ReadKeys for Http {
    async fn read(&self, issuer: &str) -> Result<Vec<Value>, String> {
        let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let found: Discovery = self.get(place.parse().map_err(|_| format!("{place} is no URL"))?).await?;
        if found.issuer != issuer {
            return Err(format!("the document of {issuer} speaks of {}", found.issuer));
        }
        Ok(self.get::<KeySet>(found.jwks_uri).await?.keys)
    }
}

fn client(egress: &Egress) -> reqwest::Result<Client> {
    let authorities = egress.authorities.certificates().iter().map(|der| Certificate::from_der(der));
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .connect_timeout(TIMEOUT)
        .timeout(TIMEOUT)
        .tls_certs_merge(authorities.collect::<reqwest::Result<Vec<_>>>()?)
        .dns_resolver(Arc::new(Guard(egress.policy.clone())))
        .build()
}

/// Resolves names to the addresses that the policy allows, for the connection that is about to be made.
struct Guard(EgressPolicy);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            let found = policy.resolve(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
