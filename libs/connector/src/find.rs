use chrono::Utc;
use rampart_domain::{Kind, NativeId};
use tokio_util::sync::CancellationToken;

use crate::{Connector, ConnectorError, DiscoveredCluster, Event, Outcome, ScanContext, Sink};

/// Finds one cluster by listing all of its `kind`: for clouds that tell clusters with one or two calls. A listing that
/// lacks something does not say that the cluster is gone: then it is an error.
pub async fn find_cluster(
    connector: &dyn Connector,
    kind: Kind,
    native_id: &NativeId,
    cancel: &CancellationToken,
) -> Result<Option<DiscoveredCluster>, ConnectorError> {
    let (sink, mut events) = Sink::new(16);
    let cx = ScanContext { cancel: cancel.clone(), kinds: vec![kind], started_at: Utc::now() };
    // The sink goes with the scan: that ends the other half.
    let scanned = async move { connector.scan(&cx, &sink).await };
    let looked = async {
        let (mut found, mut lost) = (None, None);
        while let Some(event) = events.recv().await {
            match event {
                Event::Cluster(cluster) if cluster.native_id == *native_id => found = Some(cluster),
                Event::Finished { outcome: Outcome::Incomplete(error), .. } => lost = Some(error),
                _ => {}
            }
        }
        (found, lost)
    };
    let (outcome, (found, lost)) = tokio::join!(scanned, looked);
    match (found, lost) {
        (Some(found), _) => Ok(Some(found)),
        (None, Some(error)) => Err(error),
        (None, None) => outcome.map(|()| None),
    }
}
