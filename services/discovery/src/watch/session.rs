use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use rampart_connector::{Connector, ScanContext, Sink};
use rampart_connector_kube::KubeConnector;
use rampart_domain::{ClusterId, Kind, NativeId};
use rampart_store::inventory::{ClusterSeen, Source};
use rampart_store::watch::{self, State, Watch};
use rampart_store::work::{self, Lease, WorkKind};
use rampart_store::{StoreError, connector};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::status::Status;
use super::streams::{Step, backoff, follow};
use super::write::Writer;
use super::{Over, Trouble, Watcher, images};
use crate::connect::{self, ConnectError, Source as Connected};
use crate::pipeline::{self, Pipeline};
use crate::progress::Progress;

/// How often a position is stored that moved without anything to write.
const SAVE_EVERY: Duration = Duration::from_mins(1);
/// How long kinds that must be listed wait for others: they mostly expire together.
const LIST_DELAY: Duration = Duration::from_millis(500);
/// How long a pod waits for its controller to become known.
const UNSEEN_PATIENCE: Duration = Duration::from_secs(3);
/// How long images wait to be told from the pods again.
const IMAGES_DELAY: Duration = Duration::from_secs(10);

/// One cluster that is being watched.
struct Session<'a> {
    writer: Writer<'a>,
    cancel: &'a CancellationToken,
    kube: KubeConnector,
    streams: SelectAll<BoxStream<'static, (Kind, Step)>>,
    status: Status,
    /// Kinds that the connector reads; empty for all.
    wanted: Vec<Kind>,
    followed: BTreeSet<Kind>,
    batch: Batch,
    saved_at: Instant,
    /// Kinds to be listed, and when.
    lists: BTreeSet<Kind>,
    list_at: Option<Instant>,
    list_failures: u32,
    images_at: Option<Instant>,
    /// Pods whose controllers were not known, and until when to wait for them.
    unseen: BTreeMap<NativeId, Instant>,
}

/// Watches a cluster until it is told to stop, nobody wants it any more, or it fails.
pub(super) async fn run(
    watcher: &Watcher,
    lease: &Lease,
    cancel: &CancellationToken,
    failures: &mut u32,
) -> Result<Over, Trouble> {
    let discovery = &watcher.discovery;
    let id = ClusterId::from(lease.subject);
    let mut tx = discovery.store.fenced(lease).await?;
    let Some(wanted) = watch::get(&mut tx, id).await? else { return Ok(Over::NotWanted) };
    let Some((place, uid)) = watch::place(&mut tx, id).await? else { return Ok(Over::NotWanted) };
    let row = connector::get(&mut tx, wanted.connector).await?;
    let credentials = connector::credentials(&mut tx, &discovery.keyring, row.id).await?;
    tx.commit().await?;

    let kube = if let connector::Settings::Kubernetes(_) = &row.settings {
        match connect::source(discovery, lease.tenant, &row, &credentials, cancel.clone())? {
            Connected::Cluster { connector, .. } => *connector,
            _ => return Err(Trouble::Other("the connector reads no cluster")),
        }
    } else {
        let account = watcher.account(&row, || {
            // It outlives this watch: others of the same account share its session with the cloud.
            match connect::source(discovery, lease.tenant, &row, &credentials, discovery.caller.cancel().clone())? {
                Connected::Cloud(cloud) => Ok(Arc::from(cloud)),
                _ => Err(ConnectError::NoClusters),
            }
        })?;
        let native_id = NativeId::new(wanted.scope.strip_prefix("cluster/").unwrap_or(&wanted.scope));
        let found = account.cluster(&native_id).await?;
        let found = found.ok_or(Trouble::Other("the cloud does not offer the cluster's API now"))?;
        connect::cluster(discovery, lease.tenant, &found, cancel.clone())
    };
    let watch = Arc::new(kube.watch(cancel.clone()).await?);
    if uid.is_none_or(|uid| watch.native_id().as_str() != format!("k8s://{uid}")) {
        return Err(Trouble::Other("another cluster answers than the one that was scanned; the next scan settles it"));
    }
    *failures = 0;
    let source = Source { connector: wanted.connector, scope: wanted.scope.clone() };
    let mut session = Session {
        writer: Writer { watcher, lease, source, place, watch },
        cancel,
        kube,
        streams: SelectAll::new(),
        status: Status::default(),
        wanted: row.settings.kinds().to_vec(),
        followed: BTreeSet::new(),
        batch: Batch::default(),
        saved_at: Instant::now(),
        lists: BTreeSet::new(),
        list_at: None,
        list_failures: 0,
        images_at: None,
        unseen: BTreeMap::new(),
    };
    session.begin(wanted);
    session.go_on().await
}

/// What a session waits for.
enum Next {
    Told,
    Step(Kind, Step),
    Nothing,
}

impl Session<'_> {
    /// Opens the watch of every kind that was listed once and is not followed yet.
    fn begin(&mut self, watch: Watch) {
        for (kind, position) in watch.positions {
            let wanted = self.wanted.is_empty() || self.wanted.contains(&kind);
            if wanted && self.followed.insert(kind) {
                self.status.unopened.insert(kind);
                self.streams.push(follow(&self.writer.watch, kind, position));
            }
        }
    }

    async fn go_on(&mut self) -> Result<Over, Trouble> {
        loop {
            match self.next().await {
                Next::Told => {
                    // What has arrived and was not written arrives again, wherever the watch goes on.
                    return Ok(Over::Told);
                }
                Next::Step(kind, step) => self.take(kind, step),
                Next::Nothing => {}
            }
            let now = Instant::now();
            let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            if is_due(self.batch.due()) {
                self.write_batch().await?;
            }
            if is_due(self.images_at) {
                self.images_at = None;
                images::tell(&self.writer).await?;
            }
            if is_due(self.list_at) {
                self.write_batch().await?;
                self.list().await?;
            }
            if self.batch.due().is_none() && now.duration_since(self.saved_at) >= SAVE_EVERY {
                self.write_batch().await?;
                // A scan may have come upon kinds that were not served before.
                let mut tx = self.writer.watcher.discovery.store.tenant(self.writer.lease.tenant).await?;
                match watch::get(&mut tx, self.writer.place.id).await? {
                    Some(watch) => self.begin(watch),
                    None => return Ok(Over::NotWanted),
                }
            }
            self.tell().await?;
        }
    }

    /// Waits for a step or for the next moment at which something is due.
    async fn next(&mut self) -> Next {
        let save_at = self.saved_at + SAVE_EVERY;
        let wake = [self.batch.due(), self.images_at, self.list_at].into_iter().flatten().fold(save_at, Instant::min);
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Next::Told,
            () = tokio::time::sleep_until(wake) => Next::Nothing,
            step = self.streams.next(), if !self.streams.is_empty() => match step {
                Some((kind, step)) => Next::Step(kind, step),
                None => Next::Nothing,
            },
        }
    }

    fn take(&mut self, kind: Kind, step: Step) {
        self.status.note(kind, &step);
        match step {
            Step::Change(change) => {
                metrics::counter!("rampart_watch_events_total", "kind" => kind.as_str()).increment(1);
                self.batch.add(kind, change, self.writer.lease.now());
            }
            Step::Expired(error) => {
                tracing::debug!(cluster.id = %self.writer.lease.subject, kind = %kind, error = %error, "to be listed anew");
                self.lists.insert(kind);
                self.list_at.get_or_insert_with(|| Instant::now() + LIST_DELAY);
            }
            Step::Opened | Step::Broken(_) | Step::Refused(_) => {}
        }
    }

    /// Writes what has arrived, or the positions alone when nothing has.
    async fn write_batch(&mut self) -> Result<(), Trouble> {
        self.saved_at = Instant::now();
        let batch = std::mem::take(&mut self.batch);
        if batch.positions.is_empty() && batch.first.is_none() {
            return Ok(());
        }
        let _turn = self.writer.watcher.turn(self.writer.lease.tenant).await;
        let touches_pods = batch.puts.values().any(|put| put.kind == Kind::K8sPod)
            || batch.gone.iter().any(|gone| gone.native_id.as_str().contains("//Pod/"));
        let now = Instant::now();
        self.unseen.retain(|id, _| batch.puts.contains_key(id));
        let unseen = &self.unseen;
        let patient = |id: &NativeId| unseen.get(id).is_none_or(|until| *until > now);
        let waiting = self.writer.write(batch, patient).await?;
        for pod in waiting {
            self.unseen.entry(pod.native_id.clone()).or_insert(now + UNSEEN_PATIENCE);
            self.batch.put_back(pod, self.writer.lease.now());
        }
        if touches_pods {
            self.images_at.get_or_insert(now + IMAGES_DELAY);
        }
        Ok(())
    }

    /// Lists kinds whose watch cannot go on, by the same code as a scan, and watches on from there.
    async fn list(&mut self) -> Result<(), Trouble> {
        let mut kinds = std::mem::take(&mut self.lists);
        self.list_at = None;
        let watched: Vec<Kind> = kinds.iter().copied().collect();
        if kinds.contains(&Kind::K8sPod) {
            kinds.extend([Kind::K8sWorkload, Kind::K8sStaticPod, Kind::RunningImage]);
        }
        let _slot = self.writer.watcher.lists.acquire().await.expect("the semaphore is never closed");
        metrics::counter!("rampart_watch_lists_total").increment(watched.len() as u64);
        let cx = ScanContext {
            cancel: self.cancel.clone(),
            kinds: kinds.into_iter().collect(),
            started_at: self.writer.lease.now(),
        };
        let (sink, events) = Sink::new(1);
        let seen = ClusterSeen { name: "watched".to_owned(), ..ClusterSeen::default() };
        let store = &self.writer.watcher.discovery.store;
        let mut pipeline = Pipeline::new(store, self.writer.lease, &Progress::default(), "watch", Some(seen));
        pipeline.connector = self.writer.source.connector;
        let consumer = pipeline::spawn(pipeline, events);
        let listed = self.kube.scan(&cx, &sink).await;
        drop(sink);
        match consumer.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if matches!(*error, StoreError::LeaseLost) => return Err(StoreError::LeaseLost.into()),
            _ => return Err(Trouble::Other("a list could not be stored")),
        }
        // What the watch had missed is as urgent as what it tells.
        let mut tx = self.writer.watcher.discovery.store.fenced(self.writer.lease).await?;
        work::request(&mut tx, WorkKind::Assess, self.writer.place.id.0).await?;
        tx.commit().await?;
        let positions = match listed {
            Ok(()) => self.kube.positions().map(|(_, positions)| positions).unwrap_or_default(),
            Err(error) => {
                for kind in &watched {
                    self.status.note(*kind, &Step::Broken(error.clone()));
                }
                BTreeMap::new()
            }
        };
        for kind in watched {
            if let Some(position) = positions.get(&kind) {
                self.batch.positions.insert(kind, position.clone());
                self.streams.push(follow(&self.writer.watch, kind, position.clone()));
            } else {
                self.lists.insert(kind);
            }
        }
        if self.lists.is_empty() {
            self.list_failures = 0;
        } else {
            self.list_failures += 1;
            let delay = backoff(self.list_failures, Duration::from_secs(10), Duration::from_mins(10));
            self.list_at = Some(Instant::now() + delay);
        }
        Ok(())
    }

    /// Tells how the watch fares, when that changed.
    async fn tell(&mut self) -> Result<(), Trouble> {
        let Some((state, message, polled)) = self.status.news() else { return Ok(()) };
        let mut tx = self.writer.watcher.discovery.store.fenced(self.writer.lease).await?;
        watch::set_state(&mut tx, self.writer.place.id, state, message.as_deref(), &polled).await?;
        tx.commit().await?;
        if state == State::Watching {
            tracing::info!(tenant.id = %self.writer.lease.tenant, cluster.id = %self.writer.lease.subject, polled = polled.len(),
                "a cluster is watched");
        }
        Ok(())
    }
}
