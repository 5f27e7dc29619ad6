use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rampart_connector::{IssuerUrl, Limits};
use rampart_content::Catalogue;
use rampart_store::custom::Recent;
use rampart_store::keyring::Keyring;
use rampart_store::{Store, TenantTx};

use crate::Config;
use crate::http::{ApiError, Caller};
use crate::limits::{Addresses, CallerLimits};
use crate::oidc::Oidc;
use crate::streams::Streams;

/// What every handler is given.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    store: Store,
    keyring: Arc<Keyring>,
    catalogue: Arc<Catalogue>,
    /// The same with what each tenant wrote.
    tenants: Recent<Catalogue>,
    callers: CallerLimits,
    addresses: Addresses,
    trusted_proxies: Vec<IpNet>,
    oidc: Oidc,
    body_limit: usize,
    request_timeout: Duration,
    issuer_url: Option<IssuerUrl>,
    aws_principal: Option<String>,
    limits: Limits,
    streams: Streams,
    webhook_allow_http: bool,
}

impl App {
    /// Puts the parts together.
    pub fn new(config: &Config, store: Store, keyring: Arc<Keyring>, catalogue: Catalogue) -> Self {
        Self(Arc::new(Inner {
            store,
            keyring,
            catalogue: Arc::new(catalogue),
            tenants: Recent::default(),
            callers: CallerLimits::new(config.rate_limit),
            addresses: Addresses::new(config.address_rate_limit),
            trusted_proxies: config.trusted_proxies.clone(),
            oidc: Oidc::new(config.egress.clone()),
            body_limit: config.body_limit,
            request_timeout: Duration::from_secs(config.request_timeout_s),
            issuer_url: config.issuer_url.clone(),
            aws_principal: config.aws_principal.clone(),
            limits: Limits::default().scaled(config.rate_fraction),
            streams: Streams::new(config.streams),
            webhook_allow_http: config.webhook_allow_http,
        }))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    /// The product's catalogue. What looks up a control of a tenant takes that of [`App::catalogue_of`].
    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.0.catalogue
    }

    pub(crate) fn shared_catalogue(&self) -> &Arc<Catalogue> {
        &self.0.catalogue
    }

    pub(crate) fn tenants(&self) -> &Recent<Catalogue> {
        &self.0.tenants
    }

    pub(crate) fn body_limit(&self) -> usize {
        self.0.body_limit
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.0.request_timeout
    }

    /// Where Rampart answers as an OIDC issuer; `None` when federation is off.
    pub(crate) fn issuer_url(&self) -> Option<&IssuerUrl> {
        self.0.issuer_url.as_ref()
    }

    /// The AWS identity with which roles are assumed, when the operator named it.
    pub(crate) fn aws_principal(&self) -> Option<&str> {
        self.0.aws_principal.as_deref()
    }

    /// The streams of events of this process.
    pub(crate) fn streams(&self) -> &Streams {
        &self.0.streams
    }

    /// Whether webhooks may have URLs without TLS.
    pub(crate) fn webhook_allow_http(&self) -> bool {
        self.0.webhook_allow_http
    }

    /// The pace at which discovery works.
    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// A transaction that sees the caller's tenant; with its commit goes the entry in the audit log, where there is one.
    pub(crate) async fn tx<P>(&self, caller: &Caller<P>) -> Result<TenantTx, ApiError> {
        Ok(caller.audit(self.0.store.tenant(caller.access.tenant).await?))
    }

    /// A transaction that sees the caller's tenant as it is at its first statement, and writes nothing.
    pub(crate) async fn snapshot<P>(&self, caller: &Caller<P>) -> Result<TenantTx, ApiError> {
        Ok(self.0.store.snapshot(caller.access.tenant).await?)
    }

    /// How often each caller may ask.
    pub(crate) fn callers(&self) -> &CallerLimits {
        &self.0.callers
    }

    /// How often nobody known may ask.
    pub(crate) fn addresses(&self) -> &Addresses {
        &self.0.addresses
    }

    /// Whose word about the address of a client is believed.
    pub(crate) fn trusted_proxies(&self) -> &[IpNet] {
        &self.0.trusted_proxies
    }

    /// Who vouches for callers without an API token.
    pub(crate) fn oidc(&self) -> &Oidc {
        &self.0.oidc
    }
}

/// The score group of every control.
pub(crate) fn groups(catalogue: &Catalogue) -> Vec<(String, String)> {
    catalogue.controls().map(|control| (control.id.clone(), control.group.clone())).collect()
}

/// The title of a control; its id when the catalogue does not have it any more.
pub(crate) fn control_title(catalogue: &Catalogue, id: &str) -> String {
    catalogue.control(id).map_or_else(|| id.to_owned(), |control| control.title.clone())
}
