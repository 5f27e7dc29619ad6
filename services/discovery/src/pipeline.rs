use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rampart_connector::{DiscoveredCluster, Event, Listing, Outcome};
use rampart_domain::{ClusterId, ConnectorId, Gap, Kind, NativeId, Resource, Scope, UnitId};
use rampart_store::inventory::{
    self, ClusterRow, ClusterSeen, Ending, ListingEnd, Placed, Source, apply, finish_listing, prepare, resolve_cluster,
};
use rampart_store::work::Lease;
use rampart_store::{Store, StoreError};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::gap::gap_of;
use crate::progress::Progress;

/// Turns the events of one running connector into inventory, page by page, each page in one fenced transaction.
pub(crate) struct Pipeline {
    pub(crate) store: Store,
    pub(crate) lease: Lease,
    pub(crate) connector: ConnectorId,
    pub(crate) progress: Progress,
    /// Name shown for this part of the scan.
    pub(crate) phase: String,
    /// The cluster as the cloud knows it, when a Kubernetes API is read through a cloud connector.
    pub(crate) cluster: Option<ClusterSeen>,
    /// When everything was read; `None` when it is read now.
    read_at: Option<DateTime<Utc>>,
    open: HashMap<Listing, Open>,
    clusters: HashMap<NativeId, ClusterRow>,
}

/// A listing that is under way.
struct Open {
    started_at: DateTime<Utc>,
    seen: Vec<Uuid>,
}

/// What a connector reported besides inventory.
#[derive(Default)]
pub(crate) struct Found {
    /// Clusters whose API can be read.
    pub(crate) clusters: Vec<DiscoveredCluster>,
    /// The cluster that was read, for Kubernetes connectors.
    pub(crate) cluster: Option<ClusterId>,
}

impl Pipeline {
    pub(crate) fn new(
        store: &Store,
        lease: &Lease,
        progress: &Progress,
        phase: impl Into<String>,
        cluster: Option<ClusterSeen>,
    ) -> Self {
        Self {
            store: store.clone(),
            lease: lease.clone(),
            connector: lease.subject.into(),
            progress: progress.clone(),
            phase: phase.into(),
            cluster,
            read_at: None,
            open: HashMap::new(),
            clusters: HashMap::new(),
        }
    }

    /// The same for what was read at an earlier time, as by a collector.
    #[must_use]
    pub(crate) fn read_at(self, read_at: Option<DateTime<Utc>>) -> Self {
        Self { read_at, ..self }
    }

    fn now(&self) -> DateTime<Utc> {
        self.read_at.unwrap_or_else(|| self.lease.now())
    }

    /// Takes events until the connector hangs up.
    pub(crate) async fn consume(mut self, mut events: mpsc::Receiver<Event>) -> Result<Found, StoreError> {
        let mut found = Found::default();
        while let Some(event) = events.recv().await {
            match event {
                Event::Planned { listings } => self.progress.planned(&self.phase, listings.len() as u64),
                Event::Started { listing } => {
                    self.open.insert(listing, Open { started_at: self.now(), seen: Vec::new() });
                }
                Event::Page { listing, resources, remaining } => self.page(&listing, resources, remaining).await?,
                Event::Finished { listing, outcome } => self.finished(listing, outcome).await?,
                Event::Cluster(cluster) => {
                    self.progress.cluster_found();
                    found.clusters.push(cluster);
                }
            }
        }
        // Whatever the connector began and did not end is not the whole truth.
        for (listing, _) in std::mem::take(&mut self.open) {
            let error = rampart_connector::ConnectorError::new(
                rampart_connector::ErrorKind::Cancelled,
                listing.kind.as_str(),
                "the listing was broken off",
            );
            self.end(listing, self.now(), Ending::Incomplete(gap_of(&error))).await?;
        }
        found.cluster = self.cluster_read();
        Ok(found)
    }

    fn cluster_read(&self) -> Option<ClusterId> {
        self.clusters.iter().find(|(id, _)| id.as_str().starts_with("k8s://")).map(|(_, row)| row.id)
    }

    async fn page(
        &mut self,
        listing: &Listing,
        resources: Vec<Resource>,
        remaining: Option<u64>,
    ) -> Result<(), StoreError> {
        let count = resources.len() as u64;
        let placed = self.place(resources).await?;
        let tenant = self.lease.tenant;
        let prepared = tokio::task::spawn_blocking(move || {
            placed.into_iter().map(|placed| prepare(tenant, placed)).collect::<Vec<_>>()
        })
        .await
        .expect("hashing and serialising do not panic");
        let Some(open) = self.open.get_mut(listing) else {
            tracing::error!(kind = %listing.kind, scope = %listing.scope, "a page came before its listing started");
            return Ok(());
        };
        open.seen.extend(prepared.iter().map(|item| item.id().0));
        let started_at = open.started_at;
        let source = Source { connector: self.connector, scope: listing.scope.to_string() };
        let mut tx = self.store.fenced(&self.lease).await?;
        let applied = apply(&mut tx, &source, started_at, &prepared).await?;
        tx.commit().await?;
        self.progress.page(&self.phase, applied, count, remaining);
        metrics::counter!("rampart_resources_read_total", "kind" => listing.kind.as_str()).increment(count);
        Ok(())
    }

    async fn finished(&mut self, listing: Listing, outcome: Outcome) -> Result<(), StoreError> {
        let open = self.open.remove(&listing);
        let started_at = open.as_ref().map_or_else(|| self.now(), |open| open.started_at);
        let ending = match outcome {
            Outcome::Complete => Ending::Complete(open.map(|open| open.seen).unwrap_or_default()),
            Outcome::NotApplicable(why) => Ending::NotApplicable(why),
            Outcome::Incomplete(error) => Ending::Incomplete(gap_of(&error)),
        };
        self.end(listing, started_at, ending).await
    }

    async fn end(&mut self, listing: Listing, started_at: DateTime<Utc>, ending: Ending) -> Result<(), StoreError> {
        let (cluster, place) = match &listing.scope {
            Scope::Region { cloud, account, region } => {
                (None, (cloud.to_string(), Some(account.clone()), Some(region.clone())))
            }
            Scope::Cluster { uid, .. } => {
                let row = uid.as_ref().and_then(|uid| self.clusters.get(&NativeId::new(format!("k8s://{uid}"))));
                let place = row.map_or_else(
                    || ("on_premises".to_owned(), None, None),
                    |row| (row.cloud.to_string(), row.account.clone(), row.region.clone()),
                );
                (row.map(|row| row.id.0), place)
            }
        };
        let complete = !matches!(ending, Ending::Incomplete(_));
        let end = ListingEnd {
            source: Source { connector: self.connector, scope: listing.scope.to_string() },
            scope: listing.scope,
            kind: listing.kind,
            cluster,
            place,
            started_at,
            ending,
        };
        let mut tx = self.store.fenced(&self.lease).await?;
        let removed = finish_listing(&mut tx, &end).await?;
        tx.commit().await?;
        self.progress.finished(&self.phase, removed, complete);
        Ok(())
    }

    /// Finds the unit of each resource. What several sources say of a cluster's place is settled in its row, so that they
    /// do not rewrite each other's resources.
    async fn place(&mut self, resources: Vec<Resource>) -> Result<Vec<Placed>, StoreError> {
        let mut placed = Vec::with_capacity(resources.len());
        for mut resource in resources {
            let cluster = match &resource.cluster {
                Some(native) => Some(self.resolve(native.clone(), &resource).await?),
                None => None,
            };
            let unit = match &cluster {
                Some(row) => UnitId::from(row.id),
                None => {
                    UnitId::account(self.lease.tenant, resource.cloud, resource.account.as_deref().unwrap_or_default())
                }
            };
            if let Some(row) = &cluster {
                resource.cloud = row.cloud;
                resource.account.clone_from(&row.account);
                resource.region.clone_from(&row.region);
            }
            placed.push(Placed { resource, unit, cluster: cluster.map(|row| row.id) });
        }
        Ok(placed)
    }

    async fn resolve(&mut self, native: NativeId, resource: &Resource) -> Result<ClusterRow, StoreError> {
        let describes = resource.kind.is_cloud_cluster() || resource.kind == Kind::K8sCluster;
        if let Some(row) = self.clusters.get(&native)
            && !describes
        {
            return Ok(row.clone());
        }
        let seen = self.seen(&native, resource, describes);
        let mut tx = self.store.fenced(&self.lease).await?;
        let row = resolve_cluster(&mut tx, &seen, self.lease.now()).await?;
        tx.commit().await?;
        self.clusters.insert(native, row.clone());
        Ok(row)
    }

    fn seen(&self, native: &NativeId, resource: &Resource, describes: bool) -> ClusterSeen {
        let version = |pointer: &str| {
            let text = resource.config.pointer(pointer).and_then(|value| value.as_str());
            describes.then_some(text).flatten().map(str::to_owned)
        };
        match native.as_str().strip_prefix("k8s://") {
            Some(uid) => ClusterSeen {
                kube_uid: Some(uid.to_owned()),
                version: version("/version/gitVersion"),
                ..self.cluster.clone().unwrap_or_else(|| ClusterSeen { name: uid.to_owned(), ..ClusterSeen::default() })
            },
            None => ClusterSeen {
                native_id: Some(native.to_string()),
                is_claim: false,
                kube_uid: None,
                name: if describes {
                    resource.name.clone()
                } else {
                    native.as_str().rsplit('/').next().unwrap_or_default().to_owned()
                },
                cloud: Some(resource.cloud),
                account: resource.account.clone(),
                region: resource.region.clone(),
                version: version("/version")
                    .or_else(|| version("/properties/currentKubernetesVersion"))
                    .or_else(|| version("/currentMasterVersion")),
            },
        }
    }
}

/// Marks everything that a scope holds as not read, because the scope as a whole was not.
pub(crate) async fn fail_scope(
    store: &Store,
    lease: &Lease,
    scope: &Scope,
    place: (String, Option<String>, Option<String>),
    gap: &Gap,
) -> Result<(), StoreError> {
    let now = lease.now();
    let source = Source { connector: lease.subject.into(), scope: scope.to_string() };
    let mut tx = store.fenced(lease).await?;
    let cluster = inventory::cluster_of_scope(&mut tx, &source).await?;
    let end = ListingEnd {
        source: source.clone(),
        scope: scope.clone(),
        kind: match scope {
            Scope::Cluster { .. } => Kind::K8sCluster,
            Scope::Region { cloud, .. } => Kind::account_of(*cloud).unwrap_or(Kind::K8sCluster),
        },
        cluster,
        place,
        started_at: now,
        ending: Ending::Incomplete(gap.clone()),
    };
    finish_listing(&mut tx, &end).await?;
    inventory::fail_scope(&mut tx, &source, gap, now).await?;
    tx.commit().await
}

/// A reader's end of the events of one connector, running beside it.
pub(crate) fn spawn(
    pipeline: Pipeline,
    events: mpsc::Receiver<Event>,
) -> tokio::task::JoinHandle<Result<Found, Arc<StoreError>>> {
    tokio::spawn(async move { pipeline.consume(events).await.map_err(Arc::new) })
}
