use std::collections::HashMap;

use rampart_domain::UnitId;
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::{StoreError, TenantTx, Visible};

/// Those of some resources that are there and that the caller may see, with what each is assessed with.
pub async fn known(tx: &mut TenantTx, visible: &Visible, ids: &[Uuid]) -> Result<HashMap<Uuid, UnitId>, StoreError> {
    let mut query = QueryBuilder::new("select r.resource_id, r.unit_id from resources r where r.tenant_id = ");
    query.push_bind(tx.tenant_uuid()).push(" and r.resource_id = any(").push_bind(ids.to_vec()).push(")");
    visible.push(&mut query, "r");
    let rows: Vec<(Uuid, Uuid)> = query.build_query_as().fetch_all(tx.conn()).await?;
    Ok(rows.into_iter().map(|(id, unit)| (id, UnitId(unit))).collect())
}
