use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use rampart_connector::{BearerToken, ClusterAccess, ClusterEndpoint, ConnectorError, ErrorKind};
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use crate::session::Session;

const API: &str = "EKS token";
/// The authenticator takes a token for 15 minutes from its signature; a minute is left for clocks that differ.
const VALID: Duration = Duration::from_mins(14);
/// What the authenticator itself puts in `X-Amz-Expires`.
const EXPIRES: Duration = Duration::from_mins(1);

/// The way to the Kubernetes API of one EKS cluster.
#[derive(Debug)]
pub(crate) struct EksAccess {
    session: Arc<Session>,
    cluster: String,
    region: String,
    endpoint: Result<ClusterEndpoint, ConnectorError>,
}

impl EksAccess {
    /// From the `cluster` object of `DescribeCluster`. A CA that cannot be read is an error of every later call, never a
    /// reason to trust the public roots instead.
    pub(crate) fn new(session: Arc<Session>, cluster: &str, region: &str, described: &Value) -> Self {
        let endpoint = endpoint(described);
        Self { session, cluster: cluster.to_owned(), region: region.to_owned(), endpoint }
    }
}

#[async_trait]
impl ClusterAccess for EksAccess {
    async fn endpoint(&self) -> Result<ClusterEndpoint, ConnectorError> {
        self.endpoint.clone()
    }

    async fn token(&self) -> Result<BearerToken, ConnectorError> {
        let credentials = self.session.credentials.provide_credentials().await.map_err(|error| {
            let own = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<ConnectorError>());
            own.cloned().unwrap_or_else(|| ConnectorError::new(ErrorKind::Unauthorized, API, error.to_string()))
        })?;
        let sts = self.session.sts_url(&self.region)?;
        let token = presign(&sts, &self.region, &self.cluster, &credentials, SystemTime::now())?;
        let ends = SystemTime::now() + VALID;
        let expires_at = DateTime::<Utc>::from(credentials.expiry().map_or(ends, |expiry| expiry.min(ends)));
        Ok(BearerToken { token, expires_at: Some(expires_at) })
    }
}

fn endpoint(cluster: &Value) -> Result<ClusterEndpoint, ConnectorError> {
    let bad = |message: &str| ConnectorError::new(ErrorKind::Permanent, "eks:DescribeCluster", message);
    let url = cluster["endpoint"].as_str().and_then(|url| Url::parse(url).ok());
    let url = url.filter(|url| url.scheme() == "https").ok_or_else(|| bad("the endpoint is not an https URL"))?;
    let data = cluster["certificateAuthority"]["data"].as_str().unwrap_or_default();
    let pem = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pem = pem.filter(|pem| pem.contains("-----BEGIN CERTIFICATE-----"));
    let pem = pem.ok_or_else(|| bad("certificateAuthority.data is not a PEM certificate in base64"))?;
    Ok(ClusterEndpoint { url, ca_pem: Some(pem.into()), tls_server_name: None })
}

/// `k8s-aws-v1.` and a presigned `GetCallerIdentity`, bound to the cluster by a signed header.
fn presign(
    sts: &Url,
    region: &str,
    cluster: &str,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<SecretString, ConnectorError> {
    let failed = |error: &dyn std::error::Error| ConnectorError::new(ErrorKind::Permanent, API, error.to_string());
    let mut url = sts.clone();
    url.set_query(Some("Action=GetCallerIdentity&Version=2011-06-15"));
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(EXPIRES);
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let headers = [("x-k8s-aws-id", cluster)].into_iter();
    let request = SignableRequest::new("GET", url.as_str(), headers, SignableBody::Bytes(b""));
    let signed = sign(request.map_err(|error| failed(&error))?, &params).map_err(|error| failed(&error))?;
    let (instructions, _) = signed.into_parts();
    let mut request = http::Request::get(url.as_str()).body(()).map_err(|error| failed(&error))?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(request.uri().to_string())).into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    fn signed_url(cluster: &str) -> Url {
        let keys = Credentials::new("AKIDEXAMPLE", "secret", Some("session/token==".into()), None, "test");
        let sts = Url::parse("https://sts.eu-west-1.amazonaws.com/").unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let token = presign(&sts, "eu-west-1", cluster, &keys, now).unwrap();
        let encoded = token.expose_secret().strip_prefix("k8s-aws-v1.").unwrap();
        Url::parse(std::str::from_utf8(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_token_is_a_presigned_url_that_the_authenticator_takes() {
        let url = signed_url("prod");
        assert_eq!((url.host_str(), url.path()), (Some("sts.eu-west-1.amazonaws.com"), "/"));
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        let names: Vec<_> = query.keys().map(String::as_str).collect();
        let want = [
            "Action",
            "Version",
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Date",
            "X-Amz-Expires",
            "X-Amz-Security-Token",
            "X-Amz-Signature",
            "X-Amz-SignedHeaders",
        ];
        assert_eq!(names, want);
        assert_eq!(query["X-Amz-Expires"], "60");
        assert_eq!(query["X-Amz-SignedHeaders"], "host;x-k8s-aws-id");
        assert_eq!(query["X-Amz-Security-Token"], "session/token==");
        assert_eq!(query["X-Amz-Credential"], "AKIDEXAMPLE/20231114/eu-west-1/sts/aws4_request");
    }

    #[test]
    fn a_token_for_one_cluster_is_not_good_for_another() {
        let signature = |cluster| {
            signed_url(cluster).query_pairs().find(|(name, _)| name == "X-Amz-Signature").unwrap().1.into_owned()
        };
        assert_ne!(signature("prod"), signature("test"));
        assert_eq!(signature("prod"), signature("prod"));
    }

    #[test]
    fn an_unreadable_ca_is_an_error_and_never_the_public_roots() {
        let pem = STANDARD.encode("-----BEGIN CERTIFICATE-----\n");
        let check = |url: &str, ca: Value| endpoint(&json!({"endpoint": url, "certificateAuthority": {"data": ca}}));
        assert!(check("https://a.eks.amazonaws.com", json!(pem)).unwrap().ca_pem.is_some());
        for (url, ca) in [
            ("https://a.eks.amazonaws.com", json!(null)),
            ("https://a.eks.amazonaws.com", json!("not base64!")),
            ("https://a.eks.amazonaws.com", json!(STANDARD.encode("no pem"))),
            ("http://a.eks.amazonaws.com", json!(pem)),
        ] {
            assert_eq!(check(url, ca).unwrap_err().kind, ErrorKind::Permanent);
        }
    }
}
