//! Clusters connected through Azure Arc, and their extensions. Their own APIs are not reachable from here.

use std::pin::pin;

use futures::{StreamExt, stream};
use rampart_connector::{Lister, Outcome, Sink};
use rampart_domain::Kind;
use serde_json::Value;

use crate::aks::children;
use crate::arm_id::Located;
use crate::connector::{Run, lost};
use crate::draft::Draft;
use crate::normalize::{self, text};
use crate::permissions::{CONNECTED_CLUSTERS, EXTENSIONS};

const CLUSTERS_AT_ONCE: usize = 8;
const CLUSTERS_VERSION: &str = "2024-01-01";
const EXTENSIONS_VERSION: &str = "2023-05-01";

/// Reads all Arc kinds of the subscription.
pub(crate) async fn read(run: &Run, kinds: &[Kind], sink: &Sink) {
    let start = |kind| Lister::start(sink, run.place.scope(), kind, kinds, run.cancel().clone());
    let (clusters, extensions) = (start(Kind::AzureArcCluster).await, start(Kind::AzureArcExtension).await);
    if clusters.is_wanted() || extensions.is_wanted() {
        let mut pages = pin!(run.arm.pages(CONNECTED_CLUSTERS, connected_clusters(run).url));
        while let Some(page) = pages.next().await {
            match page {
                Ok(listed) => {
                    let each = |one| cluster(run, one, [&clusters, &extensions]);
                    stream::iter(listed).for_each_concurrent(CLUSTERS_AT_ONCE, each).await;
                }
                Err(error) => lost(&[&clusters, &extensions], &error),
            }
        }
    }
    for lister in [clusters, extensions] {
        lister.finish(Outcome::Complete).await;
    }
}

async fn cluster(run: &Run, listed: Value, [clusters, extensions]: [&Lister<'_>; 2]) {
    let id = text(&listed, "id").unwrap_or_default().to_owned();
    let Some(cluster) = normalize::connected_cluster(&run.place, listed) else {
        return clusters.push(CONNECTED_CLUSTERS, None).await;
    };
    if clusters.is_wanted() {
        clusters.push(CONNECTED_CLUSTERS, Some(cluster.clone())).await;
    }
    let draft = Located::parse(EXTENSIONS, &id).map(|at| extensions_of(run, &at));
    let normalize = |one| normalize::extension(&run.place, &cluster, one);
    children(run, extensions, EXTENSIONS, draft, normalize).await;
}

/// The listing of connected clusters.
pub(crate) fn connected_clusters(run: &Run) -> Draft {
    let path = format!("/subscriptions/{}/providers/Microsoft.Kubernetes/connectedClusters", run.place.subscription);
    Draft { method: http::Method::GET, url: run.arm.address(&path, CLUSTERS_VERSION) }
}

/// The listing of a connected cluster's extensions.
pub(crate) fn extensions_of(run: &Run, at: &Located) -> Draft {
    let path = format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Kubernetes/connectedClusters/{}\
         /providers/Microsoft.KubernetesConfiguration/extensions",
        run.place.subscription, at.group, at.name
    );
    Draft { method: http::Method::GET, url: run.arm.address(&path, EXTENSIONS_VERSION) }
}
