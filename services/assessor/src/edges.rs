use rampart_domain::UnitId;
use rampart_store::work::Lease;
use rampart_store::{Store, StoreError};
use uuid::Uuid;

pub(crate) async fn derive(_: &Store, _: &Lease, _: UnitId, _: &[Uuid]) -> Result<(), StoreError> {
    Ok(())
}
