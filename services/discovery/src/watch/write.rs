use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rampart_connector_kube::{ClusterWatch, Known, RolledUp};
use rampart_domain::{Kind, NativeId, Resource, ResourceId, UnitId};
use rampart_store::inventory::{self, ClusterRow, Ended, Placed, Prepared, Source, follow, prepare};
use rampart_store::verdict::{self, StoredResource};
use rampart_store::work::Lease;
use rampart_store::{StoreError, TenantTx, watch};
use uuid::Uuid;

use super::batch::Batch;
use super::{Trouble, Watcher};

/// Kinds that are told from their pods.
const DERIVED: [Kind; 2] = [Kind::K8sWorkload, Kind::K8sStaticPod];
/// Kinds that pods roll up through.
const LINKS: [Kind; 4] = [Kind::K8sNode, Kind::K8sReplicaSet, Kind::K8sJob, Kind::K8sReplicationController];

/// What a batch comes to, before it is written.
struct Plan {
    puts: Vec<Resource>,
    /// Pods that wait for their controllers.
    waiting: Vec<Resource>,
    /// Owners to be told anew from their pods.
    derived: BTreeSet<Uuid>,
}

/// Puts what a watch of one cluster tells into the store.
pub(super) struct Writer<'a> {
    pub(super) watcher: &'a Watcher,
    pub(super) lease: &'a Lease,
    pub(super) source: Source,
    pub(super) place: ClusterRow,
    pub(super) watch: Arc<ClusterWatch>,
}

impl Writer<'_> {
    /// Writes a batch in one fenced transaction, with what follows from its pods. Returns the pods whose controllers are not
    /// known yet and for which `patient` says to wait.
    pub(super) async fn write(
        &self,
        mut batch: Batch,
        patient: impl Fn(&NativeId) -> bool,
    ) -> Result<Vec<Resource>, Trouble> {
        let begun = std::time::Instant::now();
        let unit = UnitId::from(self.place.id);
        let store = &self.watcher.discovery.store;
        let puts: Vec<Resource> = batch.puts.drain().map(|(_, resource)| resource).collect();
        let plan = if puts.is_empty() && batch.gone.is_empty() {
            Plan { puts, waiting: Vec::new(), derived: BTreeSet::new() }
        } else {
            let mut tx = store.tenant(self.lease.tenant).await?;
            self.plan(&mut tx, puts, &batch, patient).await?
        };
        let gone: Vec<Ended> = batch.gone.iter().map(|gone| self.ended(&gone.native_id, gone.uid.clone())).collect();
        let (tenant, place) = (self.lease.tenant, self.place.clone());
        let resources = plan.puts;
        let prepared = tokio::task::spawn_blocking(move || {
            resources.into_iter().map(|resource| prepare(tenant, placed(&place, resource))).collect::<Vec<Prepared>>()
        })
        .await
        .expect("hashing and serialising do not panic");
        let at = batch.first.map_or_else(|| self.lease.now(), |(_, at)| at);
        if !plan.waiting.is_empty() {
            // Whoever takes over must see them again.
            batch.positions.remove(&Kind::K8sPod);
        }

        let mut tx = store.fenced(self.lease).await?;
        inventory::end(&mut tx, unit, &gone, at).await?;
        if !prepared.is_empty() {
            follow(&mut tx, &self.source, at, &prepared).await?;
        }
        for owner in plan.derived {
            self.derive(&mut tx, owner).await?;
        }
        let last_event = batch.first.map(|(first, _)| {
            let lag = first.elapsed().as_millis();
            (self.lease.now(), i32::try_from(lag).unwrap_or(i32::MAX))
        });
        watch::advance(&mut tx, self.place.id, &batch.positions, last_event).await?;
        tx.commit().await?;
        if let Some((first, _)) = batch.first {
            metrics::histogram!("rampart_watch_lag_seconds").record(first.elapsed().as_secs_f64());
            tracing::debug!(cluster.id = %self.lease.subject, changed = prepared.len(), gone = gone.len(),
                duration_ms = begun.elapsed().as_millis() as u64, "changes were stored");
        }
        Ok(plan.waiting)
    }

    fn ended(&self, id: &NativeId, uid: Option<String>) -> Ended {
        Ended { id: ResourceId::derive(self.lease.tenant, id), uid }
    }

    /// Gives pods their owners, and finds the owners that their pods tell about, before and after.
    async fn plan(
        &self,
        tx: &mut TenantTx,
        puts: Vec<Resource>,
        batch: &Batch,
        patient: impl Fn(&NativeId) -> bool,
    ) -> Result<Plan, StoreError> {
        let (mut pods, mut rest): (Vec<_>, Vec<_>) = puts.into_iter().partition(|put| put.kind == Kind::K8sPod);
        let mut known = self.known(tx, &pods).await?;
        for link in rest.iter().filter(|put| LINKS.contains(&put.kind)) {
            known.note(link.kind, &link.config);
        }
        let mut derived: BTreeSet<Uuid> = BTreeSet::new();
        let id = |native: &NativeId| ResourceId::derive(self.lease.tenant, native).0;
        let touched = pods.iter().map(|pod| &pod.native_id).chain(batch.gone.iter().map(|gone| &gone.native_id));
        let touched: Vec<Uuid> = touched.map(id).collect();
        derived.extend(self.derived_owners(tx, &touched).await?);

        let mut waiting = Vec::new();
        for mut pod in pods.drain(..) {
            match self.watch.roll_up(&known, &mut pod) {
                RolledUp::Unseen if patient(&pod.native_id) => {
                    waiting.push(pod);
                    continue;
                }
                RolledUp::Derived(owner) => {
                    derived.insert(id(&owner));
                }
                RolledUp::Settled | RolledUp::Unseen => {}
            }
            rest.push(pod);
        }
        Ok(Plan { puts: rest, waiting, derived })
    }

    /// What is stored of the objects that pods roll up through.
    pub(super) async fn known(&self, tx: &mut TenantTx, pods: &[Resource]) -> Result<Known, StoreError> {
        let links = self.watch.links(pods);
        let ids: Vec<Uuid> = links.iter().map(|link| ResourceId::derive(self.lease.tenant, link).0).collect();
        let mut known = Known::default();
        for link in verdict::resources_by_id(tx, self.place.id.into(), &ids).await? {
            known.note(link.kind, &link.config);
        }
        Ok(known)
    }

    /// The owners of stored pods that are told from their pods.
    async fn derived_owners(&self, tx: &mut TenantTx, pods: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let unit = UnitId::from(self.place.id);
        let stored = verdict::resources_by_id(tx, unit, pods).await?;
        let owners: BTreeSet<Uuid> = stored.iter().filter_map(|pod| pod.owner_id).collect();
        let owners: Vec<Uuid> = owners.into_iter().collect();
        let owners = verdict::resources_by_id(tx, unit, &owners).await?;
        Ok(owners.into_iter().filter(|owner| DERIVED.contains(&owner.kind)).map(|owner| owner.id).collect())
    }

    /// Tells an owner from all of its pods as they are stored now, or ends it with the last of them.
    async fn derive(&self, tx: &mut TenantTx, owner: Uuid) -> Result<(), StoreError> {
        let children = verdict::children(tx, &[owner]).await?;
        let pods: Result<Vec<Resource>, StoreError> =
            children.into_iter().filter(|child| child.kind == Kind::K8sPod).map(pod_of).collect();
        let pods = pods?;
        let now = self.lease.now();
        if pods.is_empty() {
            let ended = Ended { id: ResourceId(owner), uid: None };
            inventory::end(tx, self.place.id.into(), &[ended], now).await?;
            return Ok(());
        }
        let known = self.known(tx, &pods).await?;
        let Some(resource) = self.watch.derive(&known, &pods) else { return Ok(()) };
        if ResourceId::derive(self.lease.tenant, &resource.native_id).0 == owner {
            let prepared = prepare(self.lease.tenant, placed(&self.place, resource));
            follow(tx, &self.source, now, &[prepared]).await?;
        }
        Ok(())
    }
}

/// A stored pod as the connector knows it.
fn pod_of(stored: StoredResource) -> Result<Resource, StoreError> {
    let labels: HashMap<String, String> = serde_json::from_value(stored.labels).unwrap_or_default();
    Ok(Resource {
        native_id: NativeId::new(stored.native_id),
        kind: stored.kind,
        name: stored.name,
        cloud: stored.cloud.parse()?,
        account: stored.account,
        region: stored.region,
        cluster: None,
        namespace: stored.namespace,
        labels: labels.into_iter().collect(),
        managed_by: stored.managed_by.parse()?,
        owner: None,
        active: stored.active,
        uid: None,
        version: None,
        partial: false,
        config: stored.config,
    })
}

/// A resource with the place that the cluster's row settles.
pub(super) fn placed(place: &ClusterRow, mut resource: Resource) -> Placed {
    resource.cloud = place.cloud;
    resource.account.clone_from(&place.account);
    resource.region.clone_from(&place.region);
    Placed { resource, unit: place.id.into(), cluster: Some(place.id) }
}
