use chrono::{DateTime, Utc};
use futures::StreamExt;
use rampart_connector::{Connector, ConnectorError, DiscoveredCluster, ErrorKind, ScanContext, Sink};
use rampart_connector_kube::KubeConnector;
use rampart_domain::{Cloud, ClusterId, Family, ScanId, Scope};
use rampart_store::inventory::{self, ClusterSeen};
use rampart_store::plan;
use rampart_store::work::{self, Lease, WorkKind};
use rampart_store::worker::Failure;
use rampart_store::{StoreError, TenantTx, watch};

use crate::connect::{self, Source};
use crate::gap::gap_of;
use crate::pipeline::{self, Found, Pipeline};
use crate::progress::Progress;
use crate::usage::Counting;
use crate::{Discovery, organization};

/// Events that may wait between a connector and the store. Pages are large, and the store is the slower side: more would
/// only fill memory.
const BACKLOG: usize = 1;

/// A scan that runs: what its parts share.
pub(crate) struct Reading<'a> {
    pub(crate) discovery: &'a Discovery,
    pub(crate) lease: &'a Lease,
    pub(crate) scan: ScanId,
    pub(crate) cx: ScanContext,
    pub(crate) progress: &'a Progress,
    /// When a collector read it; `None` when it is read now.
    pub(crate) read_at: Option<DateTime<Utc>>,
    pub(crate) counting: &'a Counting,
}

impl Reading<'_> {
    /// Reads everything that the connector gives.
    pub(super) async fn read(&self, source: &Source) -> Result<(), Failure> {
        match source {
            Source::Cloud(cloud) => {
                let found = self.run(cloud.as_ref(), "cloud", None).await??;
                self.clusters(found.clusters).await
            }
            Source::Organization { organization, scope, kind } => {
                organization::read(self, organization.as_ref(), scope, *kind).await
            }
            Source::Cluster { connector, seen } => {
                if self.own_cluster_is_off(seen).await? {
                    return Ok(());
                }
                match self.run(connector.as_ref(), &seen.name, Some(seen.clone())).await? {
                    Ok(found) => self.keep_only(found.cluster, Some(connector)).await,
                    Err(error) => {
                        self.fail_own_cluster(seen, &error).await?;
                        Err(Box::new(error))
                    }
                }
            }
            Source::Pushed { connector, seen } => {
                if self.own_cluster_is_off(seen).await? {
                    return Ok(());
                }
                match self.run(connector.as_ref(), &seen.name, Some(seen.clone())).await? {
                    Ok(found) if connector.is_whole() => self.keep_only(found.cluster, None).await,
                    Ok(_) => Ok(()),
                    Err(error) => {
                        self.fail_own_cluster(seen, &error).await?;
                        Err(Box::new(error))
                    }
                }
            }
        }
    }

    /// A connector of one cluster that now answers as another: the old one is gone. Then the cluster is assessed.
    async fn keep_only(&self, cluster: Option<ClusterId>, kube: Option<&KubeConnector>) -> Result<(), Failure> {
        let Some(cluster) = cluster else { return Ok(()) };
        let mut tx = self.discovery.store.fenced(self.lease).await?;
        inventory::retire_other_clusters(&mut tx, self.lease.subject.into(), cluster, self.lease.now()).await?;
        work::request(&mut tx, WorkKind::Assess, cluster.0).await?;
        if let Some(kube) = kube {
            self.seed_watch(&mut tx, cluster, kube).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Says where a watch of a cluster goes on that was just read.
    async fn seed_watch(&self, tx: &mut TenantTx, cluster: ClusterId, kube: &KubeConnector) -> Result<(), StoreError> {
        let Some((scope, positions)) = kube.positions() else { return Ok(()) };
        let source = inventory::Source { connector: self.lease.subject.into(), scope: scope.to_string() };
        watch::seed(tx, cluster, &source, &positions).await
    }

    async fn own_scopes(&self) -> Result<Vec<Scope>, StoreError> {
        let mut tx = self.discovery.store.tenant(self.lease.tenant).await?;
        let scopes = inventory::cluster_scopes(&mut tx, self.lease.subject.into()).await?;
        Ok(scopes.into_iter().map(|native_id| Scope::Cluster { native_id, uid: None }).collect())
    }

    async fn fail_own_cluster(&self, seen: &ClusterSeen, error: &ConnectorError) -> Result<(), Failure> {
        for scope in self.own_scopes().await? {
            pipeline::fail_scope(&self.discovery.store, self.lease, &scope, place_of(seen), &gap_of(error)).await?;
        }
        Ok(())
    }

    /// Whether the cluster that this connector is for has its discovery switched off; then coverage says so.
    async fn own_cluster_is_off(&self, seen: &ClusterSeen) -> Result<bool, Failure> {
        for scope in self.own_scopes().await? {
            if self.is_off(&scope, seen).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn is_off(&self, scope: &Scope, seen: &ClusterSeen) -> Result<bool, Failure> {
        let source = inventory::Source { connector: self.lease.subject.into(), scope: scope.to_string() };
        let mut tx = self.discovery.store.tenant(self.lease.tenant).await?;
        let gap = plan::cluster_gap(&mut tx, &source).await?;
        drop(tx);
        if let Some(gap) = &gap {
            pipeline::fail_scope(&self.discovery.store, self.lease, scope, place_of(seen), gap).await?;
        }
        Ok(gap.is_some())
    }

    async fn clusters(&self, clusters: Vec<DiscoveredCluster>) -> Result<(), Failure> {
        let kinds = &self.cx.kinds;
        let wanted = kinds.is_empty() || kinds.iter().any(|kind| kind.family() == Family::Kubernetes);
        if !wanted {
            return Ok(());
        }
        let mut runs = futures::stream::iter(clusters)
            .map(|cluster| self.cluster(cluster))
            .buffer_unordered(self.discovery.config.clusters_per_scan.max(1));
        let mut failed = None;
        while let Some(run) = runs.next().await {
            // One cluster that cannot be stored must not keep the others from being read.
            if let Err(error) = run {
                tracing::warn!(error = %error, "a cluster was not read to its end");
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Reads one cluster of a cloud. That it cannot be reached is a fact for the ledger, not a failure of the scan.
    async fn cluster(&self, cluster: DiscoveredCluster) -> Result<(), Failure> {
        if self.cx.cancel.is_cancelled() {
            return Ok(());
        }
        let seen = ClusterSeen {
            native_id: Some(cluster.native_id.to_string()),
            name: cluster.name.clone(),
            cloud: Some(cluster.cloud),
            account: cluster.account.clone(),
            region: cluster.region.clone(),
            ..ClusterSeen::default()
        };
        let scope = Scope::Cluster { native_id: cluster.native_id.to_string(), uid: None };
        if self.is_off(&scope, &seen).await? {
            self.progress.cluster_done();
            return Ok(());
        }
        let kube = connect::cluster(self.discovery, self.lease.tenant, &cluster, self.cx.cancel.clone());
        match self.run(&kube, &cluster.name, Some(seen.clone())).await? {
            Ok(found) => {
                if let Some(id) = found.cluster {
                    let mut tx = self.discovery.store.fenced(self.lease).await?;
                    work::request(&mut tx, WorkKind::Assess, id.0).await?;
                    self.seed_watch(&mut tx, id, &kube).await?;
                    tx.commit().await?;
                }
            }
            Err(error) => {
                let error = match cluster.access.remedy(&error) {
                    Some(remedy) => error.with_remedy(remedy),
                    None => error,
                };
                tracing::info!(cluster = %cluster.native_id, error = %error, "the cluster's API could not be read");
                let gap = gap_of(&error);
                pipeline::fail_scope(&self.discovery.store, self.lease, &scope, place_of(&seen), &gap).await?;
                self.progress.finished(&cluster.name, 0, false);
            }
        }
        self.progress.cluster_done();
        Ok(())
    }

    /// Runs a connector and stores what it reports.
    async fn run(
        &self,
        connector: &dyn Connector,
        phase: &str,
        cluster: Option<ClusterSeen>,
    ) -> Result<Result<Found, ConnectorError>, Failure> {
        self.counting.declare(connector.permissions());
        let (sink, events) = Sink::new(BACKLOG);
        let pipeline =
            Pipeline::new(&self.discovery.store, self.lease, self.progress, phase, cluster).read_at(self.read_at);
        let consumer = pipeline::spawn(pipeline, events);
        let scanned = connector.scan(&self.cx, &sink).await;
        drop(sink);
        let found = consumer.await??;
        Ok(match scanned {
            Err(error) if error.kind == ErrorKind::Cancelled && self.cx.cancel.is_cancelled() => Ok(found),
            Err(error) => Err(error),
            Ok(()) => Ok(found),
        })
    }
}

fn place_of(seen: &ClusterSeen) -> (String, Option<String>, Option<String>) {
    let cloud = seen.cloud.map_or("on_premises", Cloud::as_str);
    (cloud.to_owned(), seen.account.clone(), seen.region.clone())
}
