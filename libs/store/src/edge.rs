//! Edges of the security graph, derived from resources by the assessment of their unit.

use rampart_domain::{NativeId, ResourceId, UnitId};
use uuid::Uuid;

use crate::{StoreError, TenantTx};

/// An edge to be stored. Its target may not be in the inventory (yet).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeWrite {
    /// What sort of edge, `rampart_graph`'s word.
    pub kind: &'static str,
    /// Where it starts.
    pub from: Uuid,
    /// Native id of where it ends.
    pub to: NativeId,
}

/// Makes `edges` of the given kinds the only ones that start at `from`. Writes only what differs.
pub async fn replace(
    tx: &mut TenantTx,
    unit: UnitId,
    from: &[Uuid],
    kinds: &[&str],
    edges: &[EdgeWrite],
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let to: Vec<Uuid> = edges.iter().map(|edge| ResourceId::derive(tx.tenant(), &edge.to).0).collect();
    let starts: Vec<Uuid> = edges.iter().map(|edge| edge.from).collect();
    let words: Vec<&str> = edges.iter().map(|edge| edge.kind).collect();
    sqlx::query!(
        "delete from edges e where tenant_id = $1 and from_id = any($2) and kind = any($3)
           and not exists (select from unnest($4::uuid[], $5::text[], $6::uuid[]) as i(start, kind, target)
                           where i.start = e.from_id and i.kind = e.kind and i.target = e.to_id)",
        tenant,
        from,
        kinds as _,
        &starts,
        &words as _,
        &to
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "insert into edges (tenant_id, unit_id, from_id, kind, to_id, to_native)
         select $1, $2, i.start, i.kind, i.target, i.native
         from unnest($3::uuid[], $4::text[], $5::uuid[], $6::text[]) as i(start, kind, target, native)
         on conflict (tenant_id, from_id, kind, to_id) do nothing",
        tenant,
        unit.0,
        &starts,
        &words as _,
        &to,
        &edges.iter().map(|edge| edge.to.as_str()).collect::<Vec<_>>() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
