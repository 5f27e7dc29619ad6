use std::sync::Arc;

use async_trait::async_trait;
use rampart_connector::{
    Caller, Connector, ConnectorError, DiscoveredCluster, Egress, ErrorKind, Event, Lister, Listing, Permission,
    PermissionCheck, ScanContext, Sink, find_cluster,
};
use rampart_domain::{Kind, NativeId};
use tokio_util::sync::CancellationToken;

use crate::auth::Tokens;
use crate::calls::Calls;
use crate::config::{GcpConfig, GcpConfigError};
use crate::http::Http;
use crate::normalize::Place;
use crate::permissions::{KINDS, permissions_of};
use crate::{gke, network, preflight, project, registry};

/// Reads one Google Cloud project.
#[derive(Debug)]
pub struct GcpConnector {
    config: GcpConfig,
    calls: Calls,
}

/// What the parts of one scan share.
pub(crate) struct Run<'a> {
    pub(crate) config: &'a GcpConfig,
    pub(crate) calls: Calls,
    pub(crate) place: Place,
    pub(crate) kinds: &'a [Kind],
    pub(crate) sink: &'a Sink,
    pub(crate) cancel: CancellationToken,
}

impl<'a> Run<'a> {
    /// Begins the listing of a kind.
    pub(crate) async fn start(&self, kind: Kind) -> Lister<'a> {
        Lister::start(self.sink, self.place.scope(), kind, self.kinds, self.cancel.clone()).await
    }
}

/// Why a connector could not be made.
#[derive(Debug, thiserror::Error)]
pub enum GcpSetupError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] GcpConfigError),
    /// This machine cannot make connections at all.
    #[error(transparent)]
    Client(#[from] ConnectorError),
}

impl GcpConnector {
    /// Checks the configuration. Makes no call; a token is fetched by the first scan or preflight.
    ///
    /// `caller` brings limits and buckets. Its cancellation ends what outlives a scan: the tokens of discovered clusters.
    pub fn new(config: GcpConfig, caller: &Caller, egress: &Egress) -> Result<Self, GcpSetupError> {
        config.validate()?;
        let http = Arc::new(Http::new(config.login.endpoint_override.as_ref(), caller.limits(), egress)?);
        let tokens = Arc::new(Tokens::new(config.login.clone(), Arc::clone(&http), caller.clone()));
        let calls = Calls::new(tokens, http, caller.clone(), &config.project_id);
        Ok(Self { config, calls })
    }
}

#[async_trait]
impl Connector for GcpConnector {
    fn permissions(&self) -> Vec<Permission> {
        permissions_of(&self.config)
    }

    async fn scan(&self, cx: &ScanContext, sink: &Sink) -> Result<(), ConnectorError> {
        // A child: when nobody takes the results any more, the scan stops itself and nothing else.
        let cancel = cx.cancel.child_token();
        let calls = self.calls.until(cancel.clone());
        calls.sign_in().await?;
        if cancel.is_cancelled() {
            return Err(ConnectorError::new(ErrorKind::Cancelled, "scan", "the scan was told to stop"));
        }
        let place = Place::of_project(&self.config.project_id);
        let wanted = KINDS.into_iter().filter(|kind| cx.kinds.is_empty() || cx.kinds.contains(kind));
        let listings = wanted.map(|kind| Listing { scope: place.scope(), kind }).collect();
        if sink.send(Event::Planned { listings }).await.is_err() {
            return Ok(());
        }
        let run = Run { config: &self.config, calls, place, kinds: &cx.kinds, sink, cancel };
        tokio::join!(project::read(&run), gke::read(&run), registry::read(&run), network::read(&run));
        Ok(())
    }

    async fn cluster(&self, native_id: &NativeId) -> Result<Option<DiscoveredCluster>, ConnectorError> {
        find_cluster(self, Kind::GcpGkeCluster, native_id, self.calls.caller.cancel()).await
    }

    async fn preflight(&self, cx: &ScanContext) -> Result<Vec<PermissionCheck>, ConnectorError> {
        Box::pin(preflight::run(&self.config, &self.calls.until(cx.cancel.child_token()))).await
    }
}
