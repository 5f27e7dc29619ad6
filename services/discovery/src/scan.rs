use std::time::Duration;

use chrono::Utc;
use futures::StreamExt;
use rampart_connector::{Connector, ConnectorError, DiscoveredCluster, ErrorKind, ScanContext, Sink};
use rampart_domain::{ClusterId, ScanId, Scope};
use rampart_store::inventory::{self, ClusterSeen};
use rampart_store::scan_run::{self, ScanEnd};
use rampart_store::work::{self, Lease, WorkKind};
use rampart_store::worker::Failure;
use rampart_store::{StoreError, connector};
use tokio_util::sync::CancellationToken;

use crate::connect::{self, Source};
use crate::pipeline::{self, Found, Pipeline};
use crate::progress::Progress;
use crate::{Discovery, gap::gap_of};

/// Events that may wait between a connector and the store: at most that many pages in memory per connector.
const BACKLOG: usize = 4;

/// What a scan did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanSummary {
    /// What happened to resources.
    pub applied: inventory::Applied,
    /// Resources that are gone.
    pub removed: u64,
    /// Listings that are not the whole truth.
    pub incomplete: u64,
}

/// Runs the scan of a claimed connector.
pub(crate) async fn run(discovery: &Discovery, lease: &Lease, cancel: CancellationToken) -> Result<(), Failure> {
    let mut tx = discovery.store.fenced(lease).await?;
    let connector = match connector::get(&mut tx, lease.subject.into()).await {
        Ok(connector) if !connector.deleting => connector,
        // Deleted while the work waited: nothing is left to do.
        Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let scan = scan_run::begin(&mut tx, connector.id, Utc::now()).await?;
    let credentials = connector::credentials(&mut tx, &discovery.keyring, connector.id).await;
    tx.commit().await?;

    let progress = Progress::default();
    let stop = cancel.child_token();
    let reporter = tokio::spawn(report(discovery.clone(), lease.clone(), scan, progress.clone(), stop.clone()));
    let outcome = match credentials {
        Ok(credentials) => match connect::source(discovery, lease.tenant, &connector, &credentials, stop.clone()) {
            Ok(source) => read(discovery, lease, &source, &connector, &progress, &stop).await,
            Err(error) => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    };
    let asked_to_stop = stop.is_cancelled() && !cancel.is_cancelled();
    reporter.abort();
    if cancel.is_cancelled() {
        return Err("the process is stopping".into());
    }
    conclude(discovery, lease, scan, &progress, outcome, asked_to_stop).await
}

async fn conclude(
    discovery: &Discovery,
    lease: &Lease,
    scan: ScanId,
    progress: &Progress,
    outcome: Result<(), Failure>,
    asked_to_stop: bool,
) -> Result<(), Failure> {
    let error = outcome.as_ref().err().map(ToString::to_string);
    let how = match (&outcome, asked_to_stop) {
        (_, true) => ScanEnd::Cancelled,
        (Err(_), _) => ScanEnd::Failed,
        (Ok(()), _) if progress.incomplete() > 0 => ScanEnd::Partial,
        (Ok(()), _) => ScanEnd::Succeeded,
    };
    let mut tx = discovery.store.fenced(lease).await?;
    scan_run::end(&mut tx, scan, how, &progress.to_json(), error.as_deref(), Utc::now()).await?;
    tx.commit().await?;
    let (applied, removed) = progress.applied();
    tracing::info!(tenant.id = %lease.tenant, connector.id = %lease.subject, scan.id = %scan, outcome = ?how,
        added = applied.added, changed = applied.changed, unchanged = applied.unchanged, removed,
        incomplete = progress.incomplete(), error, "scan ended");
    // A scan that failed is done: it is told in its row and in coverage, and the schedule tries again.
    Ok(())
}

/// Writes the progress every half second and passes on the wish to stop.
async fn report(
    discovery: Discovery,
    lease: Lease,
    scan: ScanId,
    progress: Progress,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    let mut last = serde_json::Value::Null;
    let mut checked = tokio::time::Instant::now();
    loop {
        tick.tick().await;
        let now = progress.to_json();
        if now == last && checked.elapsed() < Duration::from_secs(2) {
            continue;
        }
        checked = tokio::time::Instant::now();
        let mut tx = discovery.store.tenant(lease.tenant).await?;
        if scan_run::report(&mut tx, scan, &now).await? {
            stop.cancel();
        }
        tx.commit().await?;
        last = now;
    }
}

async fn read(
    discovery: &Discovery,
    lease: &Lease,
    source: &Source,
    connector: &connector::Connector,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let cx = ScanContext { cancel: stop.clone(), kinds: connector.settings.kinds().to_vec(), started_at: Utc::now() };
    match source {
        Source::Cloud(cloud) => {
            let found = run_connector_found(discovery, lease, cloud.as_ref(), &cx, progress, "cloud", None).await??;
            read_clusters(discovery, lease, found.clusters, &cx, progress).await
        }
        Source::Cluster { connector, seen } => {
            let outcome = run_connector_found(
                discovery,
                lease,
                connector.as_ref(),
                &cx,
                progress,
                &seen.name,
                Some(seen.clone()),
            )
            .await?;
            match outcome {
                Ok(found) => keep_only(discovery, lease, found.cluster).await,
                Err(error) => {
                    let mut tx = discovery.store.tenant(lease.tenant).await?;
                    let scopes = inventory::cluster_scopes(&mut tx, lease.subject.into()).await?;
                    drop(tx);
                    for native_id in scopes {
                        let scope = Scope::Cluster { native_id, uid: None };
                        pipeline::fail_scope(&discovery.store, lease, &scope, place_of(seen), &error).await?;
                    }
                    Err(Box::new(error))
                }
            }
        }
    }
}

fn place_of(seen: &ClusterSeen) -> (String, Option<String>, Option<String>) {
    let cloud = seen.cloud.map_or("on_premises", rampart_domain::Cloud::as_str);
    (cloud.to_owned(), seen.account.clone(), seen.region.clone())
}

/// A connector of one cluster that now answers as another: the old one is gone. Then the cluster is assessed.
async fn keep_only(discovery: &Discovery, lease: &Lease, cluster: Option<ClusterId>) -> Result<(), Failure> {
    let Some(cluster) = cluster else { return Ok(()) };
    let mut tx = discovery.store.fenced(lease).await?;
    inventory::retire_other_clusters(&mut tx, lease.subject.into(), cluster, Utc::now()).await?;
    work::request(&mut tx, WorkKind::Assess, cluster.0).await?;
    tx.commit().await?;
    Ok(())
}

async fn read_clusters(
    discovery: &Discovery,
    lease: &Lease,
    clusters: Vec<DiscoveredCluster>,
    cx: &ScanContext,
    progress: &Progress,
) -> Result<(), Failure> {
    let wanted = cx.kinds.is_empty() || cx.kinds.iter().any(|kind| kind.family() == rampart_domain::Family::Kubernetes);
    if !wanted {
        return Ok(());
    }
    let mut runs = futures::stream::iter(clusters)
        .map(|cluster| read_cluster(discovery, lease, cluster, cx, progress))
        .buffer_unordered(discovery.config.clusters_per_scan.max(1));
    while let Some(run) = runs.next().await {
        run?;
    }
    Ok(())
}

/// Reads one cluster of a cloud. That it cannot be reached is a fact for the ledger, not a failure of the scan.
async fn read_cluster(
    discovery: &Discovery,
    lease: &Lease,
    cluster: DiscoveredCluster,
    cx: &ScanContext,
    progress: &Progress,
) -> Result<(), Failure> {
    if cx.cancel.is_cancelled() {
        return Ok(());
    }
    let scope = Scope::Cluster { native_id: cluster.native_id.to_string(), uid: None };
    let seen = ClusterSeen {
        native_id: Some(cluster.native_id.to_string()),
        name: cluster.name.clone(),
        cloud: Some(cluster.cloud),
        account: cluster.account.clone(),
        region: cluster.region.clone(),
        ..ClusterSeen::default()
    };
    let kube = connect::cluster(discovery, lease.tenant, &cluster, cx.cancel.clone());
    let outcome = run_connector_found(discovery, lease, &kube, cx, progress, &cluster.name, Some(seen.clone())).await?;
    match outcome {
        Ok(found) => {
            if let Some(id) = found.cluster {
                let mut tx = discovery.store.fenced(lease).await?;
                work::request(&mut tx, WorkKind::Assess, id.0).await?;
                tx.commit().await?;
            }
        }
        Err(error) => {
            tracing::info!(cluster = %cluster.native_id, error = %error, "the cluster's API could not be read");
            pipeline::fail_scope(&discovery.store, lease, &scope, place_of(&seen), &error).await?;
            progress.finished(&cluster.name, 0, false);
        }
    }
    progress.cluster_done();
    Ok(())
}

/// Runs any connector under a lease and stores what it reports.
pub async fn run_connector(
    discovery: &Discovery,
    lease: &Lease,
    connector: &dyn Connector,
    cx: &ScanContext,
    cluster: Option<ClusterSeen>,
) -> Result<Result<ScanSummary, ConnectorError>, Failure> {
    let progress = Progress::default();
    let outcome = run_connector_found(discovery, lease, connector, cx, &progress, "scan", cluster).await?;
    let (applied, removed) = progress.applied();
    Ok(outcome.map(|_| ScanSummary { applied, removed, incomplete: progress.incomplete() }))
}

async fn run_connector_found(
    discovery: &Discovery,
    lease: &Lease,
    connector: &dyn Connector,
    cx: &ScanContext,
    progress: &Progress,
    phase: &str,
    cluster: Option<ClusterSeen>,
) -> Result<Result<Found, ConnectorError>, Failure> {
    let (sink, events) = Sink::new(BACKLOG);
    let consumer = pipeline::spawn(Pipeline::new(&discovery.store, lease, progress, phase, cluster), events);
    let scanned = connector.scan(cx, &sink).await;
    drop(sink);
    let found = consumer.await??;
    Ok(match scanned {
        Err(error) if error.kind == ErrorKind::Cancelled && cx.cancel.is_cancelled() => Ok(found),
        Err(error) => {
            tracing::debug!(gap = ?gap_of(&error), "a connector could read nothing");
            Err(error)
        }
        Ok(()) => Ok(found),
    })
}
