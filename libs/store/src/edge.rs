//! Edges of the security graph, derived from resources by the assessment of their unit.

use std::collections::{HashMap, HashSet};

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

/// Whose edges are replaced.
#[derive(Debug, Clone, Copy)]
pub enum Ends<'a> {
    /// Edges that start at these resources.
    From(&'a [Uuid]),
    /// Edges that end at these resources.
    To(&'a [Uuid]),
}

/// Makes `edges` the only ones of the given kinds that start or end at some resources. Writes only what differs.
pub async fn replace(
    tx: &mut TenantTx,
    unit: UnitId,
    ends: Ends<'_>,
    kinds: &[&str],
    edges: &[EdgeWrite],
) -> Result<(), StoreError> {
    let (tenant, tenant_id) = (tx.tenant_uuid(), tx.tenant());
    let stored = stored(tx, ends).await?;
    let stored = stored.iter().filter(|edge| kinds.contains(&&*edge.kind));
    let stored: HashSet<(Uuid, &str, Uuid)> = stored.map(|edge| (edge.from_id, &*edge.kind, edge.to_id)).collect();
    let target = |edge: &EdgeWrite| ResourceId::derive(tenant_id, &edge.to).0;
    let wanted: HashMap<(Uuid, &str, Uuid), &EdgeWrite> =
        edges.iter().map(|edge| ((edge.from, edge.kind, target(edge)), edge)).collect();
    let gone: Vec<_> = stored.iter().filter(|key| !wanted.contains_key(*key)).copied().collect();
    let mut new: Vec<_> = wanted.iter().filter(|(key, _)| !stored.contains(*key)).collect();
    new.sort_unstable_by_key(|(key, _)| **key);
    if !gone.is_empty() {
        sqlx::query!(
            "delete from edges e using unnest($2::uuid[], $3::text[], $4::uuid[]) as i(start, kind, target)
             where e.tenant_id = $1 and e.from_id = i.start and e.kind = i.kind and e.to_id = i.target",
            tenant,
            &gone.iter().map(|(start, ..)| *start).collect::<Vec<_>>(),
            &gone.iter().map(|(_, kind, _)| *kind).collect::<Vec<_>>() as _,
            &gone.iter().map(|(.., target)| *target).collect::<Vec<_>>()
        )
        .execute(tx.conn())
        .await?;
    }
    if new.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into edges (tenant_id, unit_id, from_id, kind, to_id, to_native)
         select $1, $2, i.start, i.kind, i.target, i.native
         from unnest($3::uuid[], $4::text[], $5::uuid[], $6::text[]) as i(start, kind, target, native)
         on conflict (tenant_id, from_id, kind, to_id) do nothing",
        tenant,
        unit.0,
        &new.iter().map(|((start, ..), _)| *start).collect::<Vec<_>>(),
        &new.iter().map(|((_, kind, _), _)| *kind).collect::<Vec<_>>() as _,
        &new.iter().map(|((.., target), _)| *target).collect::<Vec<_>>(),
        &new.iter().map(|(_, edge)| edge.to.as_str()).collect::<Vec<_>>() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// An edge that is stored.
struct Stored {
    from_id: Uuid,
    kind: String,
    to_id: Uuid,
}

/// The edges of some resources. Looked up one by one: the planner would rather read a table that it knows nothing of.
async fn stored(tx: &mut TenantTx, ends: Ends<'_>) -> Result<Vec<Stored>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(match ends {
        Ends::From(ids) => {
            sqlx::query_as!(
                Stored,
                "select e.* from (select distinct unnest($2::uuid[])) i(id) cross join lateral (
                 select from_id, kind, to_id from edges where tenant_id = $1 and from_id = i.id offset 0) e",
                tenant,
                ids
            )
            .fetch_all(tx.conn())
            .await?
        }
        Ends::To(ids) => {
            sqlx::query_as!(
                Stored,
                "select e.* from (select distinct unnest($2::uuid[])) i(id) cross join lateral (
                 select from_id, kind, to_id from edges where tenant_id = $1 and to_id = i.id offset 0) e",
                tenant,
                ids
            )
            .fetch_all(tx.conn())
            .await?
        }
    })
}

/// Native ids of resources, where they are in the inventory.
pub async fn native_ids(tx: &mut TenantTx, ids: &[Uuid]) -> Result<HashMap<Uuid, NativeId>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        "select r.* from (select distinct unnest($2::uuid[])) i(id) cross join lateral (
             select resource_id, native_id from resources where tenant_id = $1 and resource_id = i.id offset 0) r",
        tenant,
        ids
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.resource_id, NativeId::new(row.native_id))).collect())
}
