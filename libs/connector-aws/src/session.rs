use std::sync::Arc;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rampart_connector::{Caller, ConnectorError, Egress, ErrorKind, causes, is_local};
use secrecy::ExposeSecret;
use url::Url;

use crate::config::{AwsAuth, AwsConfig, StaticKeys};
use crate::http::CappedClient;
use crate::partition::Partition;
use crate::role::{AssumedRole, Proof, RoleCredentials, RoleProvider};

/// Credentials and transport of one connector, shared by all its clients and by the token sources of its clusters.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) partition: Partition,
    pub(crate) endpoint_override: Option<Url>,
    pub(crate) credentials: SharedCredentialsProvider,
    /// For the preflight, which tries the role without its external id.
    pub(crate) role: Option<Arc<RoleCredentials>>,
    sdk: SdkConfig,
}

impl Session {
    /// Builds everything that needs no call. Credentials are fetched when first used.
    pub(crate) async fn open(
        config: &AwsConfig,
        partition: Partition,
        caller: &Caller,
        egress: &Egress,
    ) -> Result<Self, ConnectorError> {
        let transport = transport(config, caller, egress)?;
        let home = config.home_region(partition);
        let (credentials, role) = match &config.auth {
            AwsAuth::Static(keys) => (fixed(keys), None),
            AwsAuth::Role { role_arn, external_id, session_name } => {
                let base = match &config.base {
                    Some(keys) => fixed(keys),
                    None => SharedCredentialsProvider::new(DefaultCredentialsChain::builder().build().await),
                };
                let proof = Proof::ExternalId(external_id.clone());
                let role = AssumedRole { arn: role_arn.clone(), session_name: session_name.clone(), proof };
                assumed(role, &transport.to_builder().credentials_provider(base).build(), home, caller)
            }
            AwsAuth::WebIdentity { role_arn, session_name, identity } => {
                let proof = Proof::WebIdentity(identity.clone());
                let role = AssumedRole { arn: role_arn.clone(), session_name: session_name.clone(), proof };
                // The statement is the only credential of the call: it is not signed.
                assumed(role, &transport, home, caller)
            }
        };
        let sdk = transport.to_builder().credentials_provider(credentials.clone()).build();
        Ok(Self { partition, endpoint_override: config.endpoint_override.clone(), credentials, role, sdk })
    }

    /// The configuration of the clients of one region.
    pub(crate) fn region(&self, region: &str) -> SdkConfig {
        self.sdk.to_builder().region(Region::new(region.to_owned())).build()
    }

    /// Where STS answers for a region.
    pub(crate) fn sts_url(&self, region: &str) -> Result<Url, ConnectorError> {
        if let Some(url) = &self.endpoint_override {
            return Ok(url.clone());
        }
        let text = format!("https://sts.{region}.{}/", self.partition.dns_suffix());
        Url::parse(&text).map_err(|error| ConnectorError::new(ErrorKind::Permanent, "sts", error.to_string()))
    }
}

/// The credentials of a role that is taken on through STS in `region`.
fn assumed(
    role: AssumedRole,
    transport: &SdkConfig,
    region: &str,
    caller: &Caller,
) -> (SharedCredentialsProvider, Option<Arc<RoleCredentials>>) {
    let sts = transport.to_builder().region(Region::new(region.to_owned())).build();
    let role = Arc::new(RoleCredentials::new(aws_sdk_sts::Client::new(&sts), caller.clone(), role));
    (SharedCredentialsProvider::new(RoleProvider(Arc::clone(&role))), Some(role))
}

fn transport(config: &AwsConfig, caller: &Caller, egress: &Egress) -> Result<SdkConfig, ConnectorError> {
    let limits = caller.limits();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5).min(limits.attempt_timeout))
        .read_timeout(limits.attempt_timeout)
        .build();
    let app =
        AppName::new("rampart").map_err(|error| ConnectorError::new(ErrorKind::Permanent, "aws", error.to_string()))?;
    // The process's proxy settings apply, save for an override on this machine.
    let is_local = config.endpoint_override.as_ref().is_some_and(is_local);
    let proxy = if is_local { ProxyConfig::disabled() } else { ProxyConfig::from_env() };
    let client = CappedClient::new(proxy, &egress.authorities, limits.max_body)
        .map_err(|error| ConnectorError::new(ErrorKind::Permanent, "aws", causes(&error)))?;
    let mut sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .app_name(app)
        .http_client(SharedHttpClient::new(client))
        // `Caller` repeats; a second layer would multiply the attempts and hide throttling from the buckets.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .identity_cache(IdentityCache::lazy().load_timeout(limits.attempt_timeout).build());
    if let Some(url) = &config.endpoint_override {
        sdk.set_endpoint_url(Some(url.to_string()));
    }
    Ok(sdk.build())
}

fn fixed(keys: &StaticKeys) -> SharedCredentialsProvider {
    let secret = keys.secret_access_key.expose_secret();
    let token = keys.session_token.as_ref().map(|token| token.expose_secret().to_owned());
    SharedCredentialsProvider::new(Credentials::new(&keys.access_key_id, secret, token, None, "rampart"))
}
