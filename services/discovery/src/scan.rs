use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use rampart_connector::{Connector, ConnectorError, DiscoveredCluster, ErrorKind, ScanContext, Sink};
use rampart_connector_kube::KubeConnector;
use rampart_domain::{Cloud, ClusterId, CoverageState, Family, Gap, ScanId, Scope};
use rampart_store::batch::{self, Session};
use rampart_store::connector::Connector as Row;
use rampart_store::inventory::{self, ClusterSeen};
use rampart_store::permission_use::Declaration;
use rampart_store::plan::{self, Plan, PlanScope};
use rampart_store::scan_run::{self, ScanEnd};
use rampart_store::work::{self, Lease, WorkKind};
use rampart_store::worker::Failure;
use rampart_store::{StoreError, TenantTx, connector, watch};
use tokio_util::sync::CancellationToken;

use crate::connect::{self, Credentials, Source};
use crate::gap::gap_of;
use crate::pipeline::{self, Found, Pipeline};
use crate::progress::Progress;
use crate::pushed::{self, Due};
use crate::usage::{Counted, Counting};
use crate::{Discovery, organization};

/// Events that may wait between a connector and the store. Pages are large, and the store is the slower side: more would
/// only fill memory.
const BACKLOG: usize = 1;

/// Runs the scan of a claimed connector.
pub(crate) async fn run(discovery: &Discovery, lease: &Lease, cancel: CancellationToken) -> Result<(), Failure> {
    let mut tx = discovery.store.fenced(lease).await?;
    let connector = match connector::get(&mut tx, lease.subject.into()).await {
        Ok(connector) if !connector.deleting && connector.retired_at.is_none() => connector,
        // Deleted or retired while the work waited: nothing is left to do.
        Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let session = match pushed::due(&mut tx, &connector).await? {
        Due::Nothing => return Ok(tx.commit().await?),
        Due::Session(session) => Some(session),
        Due::Live => None,
    };
    let started_at = Utc::now();
    let scan = scan_run::begin(&mut tx, connector.id, started_at).await?;
    if !plan::one(&mut tx, PlanScope::Connector(connector.id), Plan::Discovery).await?.enabled {
        return switched_off(tx, &connector, scan, started_at).await;
    }
    let credentials = connector::credentials(&mut tx, &discovery.keyring, connector.id).await;
    tx.commit().await?;
    // What a collector read is as old as its reading.
    let read_at = session.as_ref().map(|session| session.started_at.min(started_at));

    let progress = Progress::default();
    let stop = cancel.child_token();
    let (counted, counting) = Counting::start(discovery, lease);
    let reporter = tokio::spawn(report(discovery.clone(), lease.clone(), scan, progress.clone(), stop.clone()));
    let outcome = match credentials {
        Ok(credentials) => match source(&counted, lease, &connector, (&credentials, session.as_ref()), &stop).await {
            Ok(source) => {
                let kinds = connector.settings.kinds().to_vec();
                let cx = ScanContext { cancel: stop.clone(), kinds, started_at: Utc::now() };
                let discovery = &counted;
                let progress = &progress;
                let reading = Reading { discovery, lease, scan, cx, progress, read_at, counting: &counting };
                reading.read(&source).await
            }
            Err(error) => Err(error),
        },
        Err(error) => Err(error.into()),
    };
    let asked_to_stop = stop.is_cancelled() && !cancel.is_cancelled();
    reporter.abort();
    let counted = counting.end().await;
    if cancel.is_cancelled() {
        return Err("the process is stopping".into());
    }
    let run = Run { scan, session, since: read_at.unwrap_or(started_at), asked_to_stop, counted };
    conclude(discovery, lease, &progress, run, outcome).await
}

/// The connector of a stored row: a live one, or the stored session of a collector.
async fn source(
    discovery: &Discovery,
    lease: &Lease,
    row: &Row,
    (credentials, session): (&Credentials, Option<&Session>),
    stop: &CancellationToken,
) -> Result<Source, Failure> {
    match session {
        Some(session) => Ok(pushed::source(discovery, lease, row, session).await?),
        None => Ok(connect::source(discovery, lease.tenant, row, credentials, stop.clone())?),
    }
}

/// A run that is over.
struct Run {
    scan: ScanId,
    /// The session that was taken up.
    session: Option<Session>,
    /// What was not tried since then was not read by this run.
    since: DateTime<Utc>,
    asked_to_stop: bool,
    /// What it asked of the provider.
    counted: Counted,
}

/// Discovery is off: nothing is read, and what was read before says that it grows old.
async fn switched_off(
    mut tx: TenantTx,
    connector: &Row,
    scan: ScanId,
    started_at: DateTime<Utc>,
) -> Result<(), Failure> {
    let gap = plan::off_gap();
    inventory::fail_untouched(&mut tx, connector.id, &gap, started_at, started_at).await?;
    let progress = Progress::default().to_json();
    scan_run::end(&mut tx, scan, ScanEnd::Cancelled, &progress, Some(&gap.message), started_at).await?;
    tx.commit().await?;
    Ok(())
}

async fn conclude(
    discovery: &Discovery,
    lease: &Lease,
    progress: &Progress,
    Run { scan, session, since, asked_to_stop, counted }: Run,
    outcome: Result<(), Failure>,
) -> Result<(), Failure> {
    let error = outcome.as_ref().err().map(ToString::to_string);
    let how = match (&outcome, asked_to_stop) {
        (_, true) => ScanEnd::Cancelled,
        (Err(_), _) => ScanEnd::Failed,
        (Ok(()), _) if progress.incomplete() > 0 => ScanEnd::Partial,
        (Ok(()), _) => ScanEnd::Succeeded,
    };
    let mut tx = discovery.store.fenced(lease).await?;
    if !asked_to_stop {
        let gap = outcome.as_ref().map_or_else(failure_gap, |()| no_longer_read());
        inventory::fail_untouched(&mut tx, lease.subject.into(), &gap, since, Utc::now()).await?;
    }
    if let Some(session) = &session {
        let stopped = asked_to_stop.then_some("somebody asked the scan to stop");
        batch::taken(&mut tx, session, scan, error.as_deref().or(stopped)).await?;
    }
    // Nothing more is coming: what waited for it is assessed now.
    work::hasten(&mut tx, WorkKind::Assess).await?;
    scan_run::end(&mut tx, scan, how, &progress.to_json(), error.as_deref(), Utc::now()).await?;
    // Only a scan that came to every place knows everything that is needed.
    let declaration = if how == ScanEnd::Succeeded { Declaration::Whole } else { Declaration::Partial };
    counted.declare(&mut tx, lease, declaration).await?;
    counted.conclude(&mut tx, scan).await?;
    tx.commit().await?;
    let (applied, removed) = progress.applied();
    tracing::info!(tenant.id = %lease.tenant, connector.id = %lease.subject, scan.id = %scan, outcome = ?how,
        added = applied.added, changed = applied.changed, unchanged = applied.unchanged, removed,
        incomplete = progress.incomplete(), error, "scan ended");
    // A scan that failed is done: it is told in its row and in coverage, and the schedule tries again.
    Ok(())
}

/// What a failure of the whole scan means for what an earlier one had read.
fn failure_gap(error: &Failure) -> Gap {
    match error.downcast_ref::<ConnectorError>() {
        Some(error) => gap_of(error),
        None => Gap {
            state: CoverageState::Failed,
            message: error.to_string(),
            remedy: "Correct the connector and scan again.".to_owned(),
        },
    }
}

/// What is left of places and kinds that a scan did not come to: taken out of the connector, or behind a failed listing.
fn no_longer_read() -> Gap {
    Gap {
        state: CoverageState::Failed,
        message: "the last scan did not come to this place or kind".to_owned(),
        remedy: "See what failed before it; if the region or kind was taken out of the connector, delete the connector with \
            its data or add it again."
            .to_owned(),
    }
}

/// Writes the progress every half second and passes on the wish to stop.
async fn report(discovery: Discovery, lease: Lease, scan: ScanId, progress: Progress, stop: CancellationToken) {
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
        match report_once(&discovery, &lease, scan, &now).await {
            Ok(true) => stop.cancel(),
            Ok(false) => last = now,
            // The next tick tries again: a scan must stay stoppable after a hiccup of the database.
            Err(error) => tracing::warn!(scan.id = %scan, error = %error, "progress was not written"),
        }
    }
}

async fn report_once(
    discovery: &Discovery,
    lease: &Lease,
    scan: ScanId,
    progress: &serde_json::Value,
) -> Result<bool, StoreError> {
    let mut tx = discovery.store.tenant(lease.tenant).await?;
    let asked_to_stop = scan_run::report(&mut tx, scan, progress).await?;
    tx.commit().await?;
    Ok(asked_to_stop)
}

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
    async fn read(&self, source: &Source) -> Result<(), Failure> {
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
        inventory::retire_other_clusters(&mut tx, self.lease.subject.into(), cluster, Utc::now()).await?;
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
        let is_off = plan::is_cluster_off(&mut tx, &source).await?;
        drop(tx);
        if is_off {
            pipeline::fail_scope(&self.discovery.store, self.lease, scope, place_of(seen), &plan::off_gap()).await?;
        }
        Ok(is_off)
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
