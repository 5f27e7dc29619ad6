use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use url::{Host, Url};

use crate::ConnectorError;

/// States to a cloud who this connector is, for credentials that hold no secret (workload-identity federation).
///
/// Implemented by Rampart's own OIDC issuer; the subject of every statement is `<tenant>:<connector>`.
#[async_trait]
pub trait WorkloadIdentity: Send + Sync {
    /// A signed JWT for `audience`, valid for at least another five minutes.
    async fn token(&self, audience: &str) -> Result<SecretString, ConnectorError>;

    /// Somebody else of the same issuer. A preflight shows that a cloud which trusts this connector refuses its
    /// neighbours; `None` where there is nobody to try that with.
    fn stranger(&self) -> Option<Arc<dyn WorkloadIdentity>> {
        None
    }
}

/// The address under which clouds know Rampart as an OIDC issuer: the `iss` of its tokens and the place of its discovery
/// document. `https`, or `http` on this machine; no user, query or fragment; no slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerUrl(Arc<str>);

/// Why a text is no issuer URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an issuer is an https URL without user, query or fragment, such as https://rampart.example.com")]
pub struct NotAnIssuer;

impl IssuerUrl {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL without its scheme: how AWS names the issuer in conditions and in the provider's ARN.
    pub fn host_path(&self) -> &str {
        self.0.split_once("://").map_or(&self.0, |(_, rest)| rest)
    }
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for IssuerUrl {
    type Err = NotAnIssuer;

    fn from_str(text: &str) -> Result<Self, NotAnIssuer> {
        let url = Url::parse(text).map_err(|_| NotAnIssuer)?;
        let is_local = match url.host().ok_or(NotAnIssuer)? {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let is_private = url.scheme() == "https" || (url.scheme() == "http" && is_local);
        let is_bare = url.username().is_empty() && url.password().is_none();
        if is_private && is_bare && url.query().is_none() && url.fragment().is_none() {
            Ok(Self(url.as_str().trim_end_matches('/').into()))
        } else {
            Err(NotAnIssuer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{IssuerUrl, NotAnIssuer};

    fn check(text: &str, want: Option<(&str, &str)>) {
        let issuer = text.parse::<IssuerUrl>();
        let found = issuer.as_ref().map(|issuer| (issuer.as_str(), issuer.host_path()));
        assert_eq!(found, want.ok_or(&NotAnIssuer), "{text}");
    }

    #[test]
    fn an_issuer_is_private_and_bare() {
        check("https://rampart.example.com/", Some(("https://rampart.example.com", "rampart.example.com")));
        check("https://example.com/rampart", Some(("https://example.com/rampart", "example.com/rampart")));
        check("http://127.0.0.1:8080", Some(("http://127.0.0.1:8080", "127.0.0.1:8080")));
        for bad in ["http://example.com", "https://u:p@example.com", "https://example.com/?a", "ftp://localhost", "x"] {
            check(bad, None);
        }
    }
}
