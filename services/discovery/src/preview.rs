use chrono::Utc;
use rampart_connector::ScanContext;
use rampart_domain::PreviewId;
use rampart_store::connector::Connector as Row;
use rampart_store::organization::{Seen, Selection};
use rampart_store::work::Lease;
use rampart_store::worker::Failure;
use rampart_store::{StoreError, connector, preview};
use tokio_util::sync::CancellationToken;

use crate::connect::{self, Source};
use crate::{Discovery, organization};

/// Reads the membership of a claimed organisation once and tells for every preview that waits what its choice would do.
/// Nothing else is written.
pub(crate) async fn run(discovery: &Discovery, lease: &Lease, cancel: CancellationToken) -> Result<(), Failure> {
    let mut tx = discovery.store.fenced(lease).await?;
    let waiting = preview::begin(&mut tx, lease.subject.into()).await?;
    let row = match connector::get(&mut tx, lease.subject.into()).await {
        Ok(row) => row,
        Err(StoreError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let credentials = connector::credentials(&mut tx, &discovery.keyring, row.id).await;
    tx.commit().await?;
    let read = match credentials {
        Ok(credentials) => match connect::source(discovery, lease.tenant, &row, &credentials, cancel.clone()) {
            Ok(Source::Organization { organization, .. }) => {
                let cx = ScanContext { cancel: cancel.clone(), kinds: Vec::new(), started_at: Utc::now() };
                organization.members(&cx).await.map_err(|error| error.to_string())
            }
            Ok(_) => Err("the connector is of no organisation".to_owned()),
            Err(error) => Err(error.to_string()),
        },
        Err(error) => Err(error.to_string()),
    };
    if cancel.is_cancelled() {
        return Err("the process is stopping".into());
    }
    let seen = read.map(|membership| membership.members.into_iter().map(organization::seen).collect::<Vec<_>>());
    finish(discovery, lease, &row, waiting, seen.as_deref().map_err(String::as_str)).await
}

async fn finish(
    discovery: &Discovery,
    lease: &Lease,
    row: &Row,
    waiting: Vec<(PreviewId, Option<Selection>)>,
    seen: Result<&[Seen], &str>,
) -> Result<(), Failure> {
    let mut tx = discovery.store.fenced(lease).await?;
    for (id, selection) in waiting {
        let selection = selection.or_else(|| row.settings.selection().cloned()).unwrap_or_default();
        let result = match seen {
            Ok(seen) => Ok(preview::outcome(&mut tx, row, &selection, seen).await?),
            Err(error) => Err(error),
        };
        preview::end(&mut tx, id, result, Utc::now()).await?;
    }
    tx.commit().await?;
    Ok(())
}
