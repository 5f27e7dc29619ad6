use std::collections::HashSet;

use rampart_connector_kube::Known;
use rampart_domain::{Cloud, Kind, ManagedBy, NativeId, Resource, ResourceId, UnitId};
use rampart_store::inventory::{self, Ended, Prepared, follow, prepare};
use rampart_store::verdict;
use rampart_store::watch::{self, RunningPod};

use super::Trouble;
use super::write::{Writer, placed};

/// Tells from all stored pods which images run, as the end of a scan does. One pod alone cannot: others may run the same
/// image under other names, or go on running it.
pub(super) async fn tell(writer: &Writer<'_>) -> Result<(), Trouble> {
    let _turn = writer.watcher.turn(writer.lease.tenant).await;
    let unit = UnitId::from(writer.place.id);
    let tenant = writer.lease.tenant;
    let at = writer.lease.now();
    let mut tx = writer.watcher.discovery.store.tenant(tenant).await?;
    let pods: Vec<Resource> = watch::running_pods(&mut tx, unit).await?.into_iter().map(pod_of).collect();
    let mut known = Known::default();
    let nodes = verdict::resource_page(&mut tx, unit, &[Kind::K8sNode], None, None).await?;
    for node in verdict::resources_by_id(&mut tx, unit, &nodes).await? {
        known.note(node.kind, &node.config);
    }
    let before = verdict::resource_page(&mut tx, unit, &[Kind::RunningImage], None, None).await?;
    drop(tx);

    let (watch, place) = (writer.watch.clone(), writer.place.clone());
    let work = tokio::task::spawn_blocking(move || {
        let images = watch.images(&known, &pods)?;
        Some(images.into_iter().map(|image| prepare(tenant, placed(&place, image))).collect::<Vec<Prepared>>())
    });
    // More images than are remembered: the scan says so, and nothing is ended for want of memory.
    let Some(images) = work.await.expect("images are told without a panic") else { return Ok(()) };
    let now: HashSet<_> = images.iter().map(|image| image.id().0).collect();
    let gone = before.into_iter().filter(|id| !now.contains(id));
    let gone: Vec<Ended> = gone.map(|id| Ended { id: ResourceId(id), uid: None }).collect();
    let mut tx = writer.watcher.discovery.store.fenced(writer.lease).await?;
    inventory::end(&mut tx, unit, &gone, at).await?;
    if !images.is_empty() {
        follow(&mut tx, &writer.source, at, &images).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn pod_of(pod: RunningPod) -> Resource {
    Resource {
        native_id: NativeId::new(""),
        kind: Kind::K8sPod,
        name: pod.name,
        cloud: Cloud::OnPremises,
        account: None,
        region: None,
        cluster: None,
        namespace: pod.namespace,
        labels: std::collections::BTreeMap::new(),
        managed_by: ManagedBy::Customer,
        owner: None,
        active: true,
        uid: None,
        version: None,
        partial: false,
        config: pod.config,
    }
}
