//! AKS in one subscription: clusters, and what each of them has.
//!
//! ```text
//! managedClusters (all of them, paged) ─▶ per cluster: cluster, way to its Kubernetes API
//!                                         agentPools, maintenanceConfigurations, trustedAccessRoleBindings,
//!                                         diagnosticSettings
//! ```
//! The listing of a child kind covers the subscription: it is complete when it was read in every cluster.

use std::pin::pin;
use std::sync::Arc;

use futures::{StreamExt, stream};
use rampart_connector::{ConnectorError, DiscoveredCluster, Event, Lister, Outcome, Sink};
use rampart_domain::{Cloud, Kind, Resource};
use serde_json::Value;

use crate::access::AksAccess;
use crate::arm_id::Located;
use crate::connector::{Run, lost};
use crate::draft::{Aks, Draft};
use crate::normalize::{self, text};
use crate::permissions::{AGENT_POOLS, CLUSTERS, DIAGNOSTIC_SETTINGS, MAINTENANCE, TRUSTED_ACCESS};

const CLUSTERS_AT_ONCE: usize = 8;
/// The stable version is of 2016 and knows one unnamed setting only.
const DIAGNOSTIC_SETTINGS_VERSION: &str = "2021-05-01-preview";

struct AksScan<'a> {
    run: &'a Run,
    sink: &'a Sink,
    aks: Aks,
    clusters: Lister<'a>,
    agent_pools: Lister<'a>,
    maintenance: Lister<'a>,
    trusted_access: Lister<'a>,
    diagnostics: Lister<'a>,
}

/// Reads all AKS kinds of the subscription.
pub(crate) async fn read(run: &Run, kinds: &[Kind], sink: &Sink) {
    let start = |kind| Lister::start(sink, run.place.scope(), kind, kinds, run.cancel().clone());
    let scan = AksScan {
        run,
        sink,
        aks: run.aks(),
        clusters: start(Kind::AzureAksCluster).await,
        agent_pools: start(Kind::AzureAksAgentPool).await,
        maintenance: start(Kind::AzureAksMaintenanceConfiguration).await,
        trusted_access: start(Kind::AzureAksTrustedAccessRoleBinding).await,
        diagnostics: start(Kind::AzureDiagnosticSetting).await,
    };
    if scan.listers().iter().any(|lister| lister.is_wanted()) {
        scan.read().await;
    }
    for lister in [scan.clusters, scan.agent_pools, scan.maintenance, scan.trusted_access, scan.diagnostics] {
        lister.finish(Outcome::Complete).await;
    }
}

impl<'a> AksScan<'a> {
    const fn listers(&self) -> [&Lister<'a>; 5] {
        [&self.clusters, &self.agent_pools, &self.maintenance, &self.trusted_access, &self.diagnostics]
    }

    async fn read(&self) {
        let first = match self.aks.clusters(CLUSTERS) {
            Ok(draft) => draft.url,
            Err(error) => return lost(&self.listers(), &error),
        };
        let mut pages = pin!(self.run.arm.pages(CLUSTERS, first));
        while let Some(page) = pages.next().await {
            match page {
                Ok(listed) => {
                    stream::iter(listed).for_each_concurrent(CLUSTERS_AT_ONCE, |one| self.cluster(one)).await;
                }
                Err(error) => lost(&self.listers(), &error),
            }
        }
    }

    async fn cluster(&self, listed: Value) {
        let id = text(&listed, "id").unwrap_or_default().to_owned();
        let Some(cluster) = normalize::cluster(&self.run.place, listed) else {
            return self.clusters.push(CLUSTERS, None).await;
        };
        let at = Located::parse(CLUSTERS, &id);
        if self.clusters.is_wanted() {
            if let Ok(at) = &at {
                self.announce(&cluster, at).await;
            }
            self.clusters.push(CLUSTERS, Some(cluster.clone())).await;
        }
        let at = match at {
            Ok(at) => at,
            Err(error) => return lost(&self.listers()[1..], &error),
        };
        let (run, cluster) = (self.run, &cluster);
        tokio::join!(
            children(run, &self.agent_pools, AGENT_POOLS, self.aks.agent_pools(AGENT_POOLS, &at), |one| {
                normalize::agent_pool(&run.place, cluster, one)
            }),
            children(
                run,
                &self.maintenance,
                MAINTENANCE,
                self.aks.maintenance_configurations(MAINTENANCE, &at),
                |one| { normalize::maintenance_configuration(&run.place, cluster, one) }
            ),
            children(
                run,
                &self.trusted_access,
                TRUSTED_ACCESS,
                self.aks.trusted_access_role_bindings(TRUSTED_ACCESS, &at),
                |one| normalize::trusted_access_role_binding(&run.place, cluster, one),
            ),
            children(run, &self.diagnostics, DIAGNOSTIC_SETTINGS, Ok(diagnostic_settings(run, &at)), |one| {
                normalize::diagnostic_setting(&run.place, cluster, one)
            }),
        );
    }

    /// Hands over the way to the Kubernetes API. Stopped and private clusters count: what hinders is told by the attempt.
    async fn announce(&self, cluster: &Resource, at: &Located) {
        if matches!(text(&cluster.config["properties"], "provisioningState"), Some("Creating" | "Deleting")) {
            return;
        }
        let found = DiscoveredCluster {
            native_id: cluster.native_id.clone(),
            name: cluster.name.clone(),
            cloud: Cloud::Azure,
            account: cluster.account.clone(),
            region: cluster.region.clone(),
            access: Arc::new(AksAccess::new(self.run, at.clone(), &cluster.config)),
        };
        // A sink that is closed is noticed by the listing itself, with the next page.
        let _ = self.sink.send(Event::Cluster(found)).await;
    }
}

/// The listing of a cluster's diagnostic settings.
pub(crate) fn diagnostic_settings(run: &Run, at: &Located) -> Draft {
    let path = format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.ContainerService/managedClusters/{}\
         /providers/Microsoft.Insights/diagnosticSettings",
        run.place.subscription, at.group, at.name
    );
    Draft { method: http::Method::GET, url: run.arm.address(&path, DIAGNOSTIC_SETTINGS_VERSION) }
}

/// Lists one kind of children of one parent. A parent that is gone by now was deleted, which is no failure.
pub(crate) async fn children(
    run: &Run,
    lister: &Lister<'_>,
    api: &str,
    draft: Result<Draft, ConnectorError>,
    normalize: impl Fn(Value) -> Option<Resource>,
) {
    if !lister.is_open() {
        return;
    }
    let first = match draft {
        Ok(draft) => draft.url,
        Err(error) => return lister.fail(error),
    };
    let mut pages = pin!(run.arm.pages(api, first));
    while let Some(page) = pages.next().await {
        match page {
            Ok(items) => {
                lister.succeed(api);
                for one in items {
                    lister.push(api, normalize(one)).await;
                }
            }
            Err(error) if error.kind == rampart_connector::ErrorKind::NotFound => return,
            Err(error) => return lost(&[lister], &error),
        }
    }
}
