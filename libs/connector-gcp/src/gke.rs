//! GKE: every cluster of a project with its node pools, out of one answer.

use std::sync::Arc;

use rampart_connector::{ConnectorError, DiscoveredCluster, ErrorKind, Event, Lister, Outcome};
use rampart_domain::{Cloud, Family, Kind};
use serde_json::Value;

use crate::access::GkeAccess;
use crate::calls::{LIST_CLUSTERS, items};
use crate::connector::Run;
use crate::normalize;

pub(crate) async fn read(run: &Run<'_>) {
    let start = |kind| Lister::start(run.sink, run.place.scope(), kind, run.kinds, run.cancel.clone());
    let clusters = start(Kind::GcpGkeCluster).await;
    let node_pools = start(Kind::GcpGkeNodePool).await;
    let scan = Gke { run, clusters, node_pools };
    let inside = run.kinds.is_empty() || run.kinds.iter().any(|kind| kind.family() == Family::Kubernetes);
    let wanted = inside || scan.clusters.is_open() || scan.node_pools.is_open();
    if wanted && let Err(error) = scan.read().await {
        scan.fail(&error);
    }
    scan.clusters.finish(Outcome::Complete).await;
    scan.node_pools.finish(Outcome::Complete).await;
}

struct Gke<'a> {
    run: &'a Run<'a>,
    clusters: Lister<'a>,
    node_pools: Lister<'a>,
}

impl Gke<'_> {
    async fn read(&self) -> Result<(), ConnectorError> {
        let mut answer = self.run.calls.clusters(&self.run.config.project_id, None).await?;
        let missing = items(LIST_CLUSTERS, &mut answer, "missingZones")?;
        for cluster in items(LIST_CLUSTERS, &mut answer, "clusters")? {
            if cluster["location"].as_str().is_none_or(|location| self.run.config.covers(location)) {
                self.cluster(cluster).await;
            }
        }
        let missing = missing.iter().filter_map(Value::as_str).filter(|zone| self.run.config.covers(zone));
        let missing: Vec<_> = missing.collect();
        if missing.is_empty() {
            return Ok(());
        }
        let message = format!("the answer lacks clusters of {}, which did not respond", missing.join(", "));
        let remedy = "Google Cloud could not ask these locations; the next scan tries again.";
        Err(ConnectorError::new(ErrorKind::Transient, LIST_CLUSTERS, message).with_remedy(remedy))
    }

    async fn cluster(&self, mut described: Value) {
        let node_pools = described.get_mut("nodePools").map(Value::take).unwrap_or_default();
        let access = GkeAccess::new(Arc::clone(&self.run.calls.tokens), &described);
        let Some(cluster) = normalize::cluster(&self.run.place, described) else {
            let message = "a cluster without a name or location was returned";
            return self.fail(&ConnectorError::new(ErrorKind::Permanent, LIST_CLUSTERS, message));
        };
        for node_pool in node_pools.as_array().into_iter().flatten() {
            self.push(&self.node_pools, normalize::node_pool(&self.run.place, &cluster, node_pool.clone())).await;
        }
        let found = DiscoveredCluster {
            native_id: cluster.native_id.clone(),
            name: cluster.name.clone(),
            cloud: Cloud::Gcp,
            account: cluster.account.clone(),
            region: cluster.region.clone(),
            access: Arc::new(access),
        };
        self.push(&self.clusters, Some(cluster)).await;
        // A sink that is closed is noticed by the listing itself, with the next page.
        let _ = self.run.sink.send(Event::Cluster(found)).await;
    }

    async fn push(&self, lister: &Lister<'_>, resource: Option<rampart_domain::Resource>) {
        if lister.is_wanted() {
            lister.push(LIST_CLUSTERS, resource).await;
        }
    }

    fn fail(&self, error: &ConnectorError) {
        self.clusters.fail(error.clone());
        self.node_pools.fail(error.clone());
    }
}
