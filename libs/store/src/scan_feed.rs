//! Who watches scans is woken when one moves.

use rampart_domain::ScanId;
use sqlx::postgres::PgListener;

use crate::{Store, StoreError, TenantTx};

/// Channel that is notified when a scan's row changes; the payload is its id.
pub(crate) const CHANNEL: &str = "rampart_scan";

/// Tells that a scan's row changed, once the transaction is committed.
pub(crate) async fn announce(tx: &mut TenantTx, scan: ScanId) -> Result<(), StoreError> {
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, scan.to_string()).execute(tx.conn()).await?;
    Ok(())
}

impl Store {
    /// A connection on which moves of scans are announced, of every tenant.
    pub async fn watch_scans(&self) -> Result<ScanFeed, StoreError> {
        let mut listener = PgListener::connect_with(self.pool()).await?;
        listener.listen(CHANNEL).await?;
        Ok(ScanFeed(listener))
    }
}

/// The moves of scans.
#[derive(Debug)]
pub struct ScanFeed(PgListener);

impl ScanFeed {
    /// The scan that moved next; `None` when the connection was lost in between, so that any scan may have moved.
    pub async fn next(&mut self) -> Result<Option<ScanId>, StoreError> {
        loop {
            match self.0.try_recv().await? {
                None => return Ok(None),
                Some(moved) => {
                    if let Ok(scan) = moved.payload().parse() {
                        return Ok(Some(scan));
                    }
                }
            }
        }
    }
}
