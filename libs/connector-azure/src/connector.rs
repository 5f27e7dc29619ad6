use std::sync::Arc;

use async_trait::async_trait;
use rampart_connector::{
    Caller, Connector, ConnectorError, DiscoveredCluster, Egress, ErrorKind, Event, Lister, Listing, Outcome,
    Permission, PermissionCheck, ScanContext, Sink, find_cluster,
};
use rampart_domain::{Kind, NativeId};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::arm::Arm;
use crate::config::{AzureConfig, AzureConfigError, LocalAccounts};
use crate::draft::{Acr, Aks};
use crate::errors::is_unregistered;
use crate::normalize::{self, Place};
use crate::permissions::{KINDS, SUBSCRIPTION, permissions};
use crate::session::Session;
use crate::{acr, aks, arc, governance, preflight};

const SUBSCRIPTION_VERSION: &str = "2022-12-01";

/// Reads one subscription.
#[derive(Debug)]
pub struct AzureConnector {
    config: AzureConfig,
    caller: Caller,
    session: Arc<Session>,
}

/// What the parts of one scan or preflight share.
pub(crate) struct Run {
    pub(crate) arm: Arm,
    pub(crate) place: Place,
    pub(crate) local_accounts: LocalAccounts,
    /// Outlives the scan: for the tokens of discovered clusters.
    pub(crate) lasting: Caller,
}

impl AzureConnector {
    /// Checks the configuration. Makes no call; tokens are fetched by the first scan or preflight.
    ///
    /// `caller` brings limits and buckets (see [`crate::default_limits`]). Its cancellation ends what outlives a scan: the
    /// tokens of discovered clusters. `egress` says where the data planes of registries may be.
    pub fn new(config: AzureConfig, caller: Caller, egress: Egress) -> Result<Self, AzureConfigError> {
        config.validate()?;
        let session = Session::open(config.identity.clone(), egress, &caller)?;
        Ok(Self { config, caller, session })
    }

    /// Calls of this run stop with `cancel`.
    fn run(&self, cancel: CancellationToken) -> Run {
        let place = Place::new(&self.config.subscription_id);
        let arm = Arm::new(Arc::clone(&self.session), self.caller.with_cancel(cancel), &place.subscription);
        Run { arm, place, local_accounts: self.config.local_accounts, lasting: self.caller.clone() }
    }
}

impl Run {
    pub(crate) fn cancel(&self) -> &CancellationToken {
        self.arm.caller.cancel()
    }

    pub(crate) fn aks(&self) -> Aks {
        Aks { endpoint: self.arm.cloud().resource_manager(), subscription: self.place.subscription.clone() }
    }

    pub(crate) fn acr(&self) -> Acr {
        Acr { endpoint: self.arm.cloud().resource_manager(), subscription: self.place.subscription.clone() }
    }

    pub(crate) async fn subscription(&self) -> Result<Value, ConnectorError> {
        let path = format!("/subscriptions/{}", self.place.subscription);
        self.arm.get(SUBSCRIPTION, self.arm.address(&path, SUBSCRIPTION_VERSION)).await
    }
}

/// Notes what a failed listing means for these kinds. A service that the subscription never switched on has nothing to
/// list; every other failure leaves something unread.
pub(crate) fn lost(listers: &[&Lister<'_>], error: &ConnectorError) {
    for lister in listers {
        if is_unregistered(error) {
            lister.not_applicable(error.message.clone());
        } else {
            lister.fail(error.clone());
        }
    }
}

#[async_trait]
impl Connector for AzureConnector {
    fn permissions(&self) -> Vec<Permission> {
        permissions()
    }

    async fn scan(&self, cx: &ScanContext, sink: &Sink) -> Result<(), ConnectorError> {
        // A child: when nobody takes the results any more, the scan stops itself and nothing else.
        let run = self.run(cx.cancel.child_token());
        run.arm.sign_in().await?;
        let wanted = |kind: &&Kind| cx.kinds.is_empty() || cx.kinds.contains(kind);
        let listings = KINDS.iter().filter(wanted).map(|kind| Listing { scope: run.place.scope(), kind: *kind });
        if sink.send(Event::Planned { listings: listings.collect() }).await.is_err() {
            return Ok(());
        }
        read_subscription(&run, &cx.kinds, sink).await?;
        tokio::join!(
            aks::read(&run, &cx.kinds, sink),
            acr::read(&run, &cx.kinds, sink),
            arc::read(&run, &cx.kinds, sink),
            governance::read(&run, &cx.kinds, sink)
        );
        Ok(())
    }

    async fn cluster(&self, native_id: &NativeId) -> Result<Option<DiscoveredCluster>, ConnectorError> {
        find_cluster(self, Kind::AzureAksCluster, native_id, self.caller.cancel()).await
    }

    async fn preflight(&self, cx: &ScanContext) -> Result<Vec<PermissionCheck>, ConnectorError> {
        preflight::run(&self.run(cx.cancel.child_token())).await
    }
}

/// An identity that is refused here is refused everywhere: that ends the scan.
async fn read_subscription(run: &Run, kinds: &[Kind], sink: &Sink) -> Result<(), ConnectorError> {
    let cancel = run.cancel().clone();
    let lister = Lister::start(sink, run.place.scope(), Kind::AzureSubscription, kinds, cancel).await;
    let mut refused = None;
    if lister.is_open() {
        match run.subscription().await {
            Ok(answer) => lister.push(SUBSCRIPTION, normalize::subscription(&run.place, answer)).await,
            Err(error) => {
                refused = (error.kind == ErrorKind::Unauthorized).then(|| error.clone());
                lister.fail(error);
            }
        }
    }
    lister.finish(Outcome::Complete).await;
    refused.map_or(Ok(()), Err)
}
