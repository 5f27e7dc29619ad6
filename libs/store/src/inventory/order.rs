//! Which of two readings of one thing is the newer one, and what keeps an older one from coming back.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use rampart_domain::{Family, Kind, ResourceId, UnitId};
use uuid::Uuid;

use super::{Prepared, listing};
use crate::{StoreError, TenantTx};

/// Longer than any list takes that is still to come to its end: what was seen before needs not be remembered.
const REMEMBERED: TimeDelta = TimeDelta::hours(2);

/// What is stored of a resource, as far as it orders readings.
pub(super) struct Stored {
    pub(super) hash: Vec<u8>,
    changed_at: DateTime<Utc>,
    uid: Option<String>,
    version: Option<i64>,
}

impl Stored {
    /// Whether `item` is newer: by the provider's version within one uid, else by when its reading began.
    pub(super) fn is_older_than(&self, item: &Prepared, read_at: DateTime<Utc>) -> bool {
        match (self.version, item.version) {
            (Some(stored), Some(read)) if stored != read && self.uid == item.resource.uid => read > stored,
            _ => self.changed_at <= read_at,
        }
    }
}

/// The clusters whose objects are in a page.
pub(super) fn clusters_of(page: &[Prepared]) -> BTreeSet<Uuid> {
    let inside = |kind: Kind| kind.family() == Family::Kubernetes || kind == Kind::RunningImage;
    page.iter().filter(|item| inside(item.resource.kind)).map(|item| item.unit.0).collect()
}

/// One writer of a cluster at a time, until the end of the transaction. What is not there cannot be locked by its row: a
/// list must not add what a watch has just ended, nor end what it has just added.
pub(super) async fn lock_units(tx: &mut TenantTx, units: &BTreeSet<Uuid>) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    for unit in units {
        sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 1))", format!("{tenant}/{unit}"))
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

pub(super) async fn stored(tx: &mut TenantTx, ids: &[Uuid]) -> Result<HashMap<Uuid, Stored>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        "select r.* from (select distinct unnest($2::uuid[])) i(id) cross join lateral (
             select resource_id, hash, changed_at, uid, provider_version from resources
             where tenant_id = $1 and resource_id = i.id offset 0) r",
        tenant,
        ids
    )
    .fetch_all(tx.conn())
    .await?;
    let stored = rows.into_iter().map(|row| {
        let version = row.provider_version;
        (row.resource_id, Stored { hash: row.hash, changed_at: row.changed_at, uid: row.uid, version })
    });
    Ok(stored.collect())
}

/// Locks the rows that are about to change and leaves out those that a newer read wrote meanwhile. Says of each whether its
/// outline, or the unit that it is in, changes too.
pub(super) async fn lock_older(
    tx: &mut TenantTx,
    read_at: DateTime<Utc>,
    items: &[&Prepared],
) -> Result<HashMap<Uuid, bool>, StoreError> {
    if items.is_empty() {
        return Ok(HashMap::new());
    }
    let tenant = tx.tenant_uuid();
    let ids: Vec<Uuid> = items.iter().map(|item| item.id.0).collect();
    let uids: Vec<Option<&str>> = items.iter().map(|item| item.resource.uid.as_deref()).collect();
    let versions: Vec<Option<i64>> = items.iter().map(|item| item.version).collect();
    let outlines: Vec<Option<&str>> = items.iter().map(|item| item.outline.as_deref()).collect();
    let units: Vec<Uuid> = items.iter().map(|item| item.unit.0).collect();
    let older = sqlx::query!(
        r#"select r.resource_id,
             (r.unit_id <> i.unit or r.outline is distinct from i.outline::jsonb) as "is_seen!"
         from resources r
         join unnest($2::uuid[], $3::text[], $4::bigint[], $6::uuid[], $7::text[]) as i(id, uid, version, unit, outline)
           on i.id = r.resource_id
         where r.tenant_id = $1
           and case when r.uid is not distinct from i.uid and r.provider_version <> i.version
                    then i.version > r.provider_version else r.changed_at <= $5 end
         order by r.resource_id for no key update of r"#,
        tenant,
        &ids,
        &uids as _,
        &versions as _,
        read_at,
        &units,
        &outlines as _
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(older.into_iter().map(|row| (row.resource_id, row.is_seen)).collect())
}

/// What of a page a watch knows to be gone, or to be newer than in the page.
pub(super) async fn outdated(
    tx: &mut TenantTx,
    page: &[Prepared],
    read_at: DateTime<Utc>,
) -> Result<HashSet<Uuid>, StoreError> {
    let items: Vec<&Prepared> = page.iter().filter(|item| item.cluster.is_some()).collect();
    if items.is_empty() {
        return Ok(HashSet::new());
    }
    let tenant = tx.tenant_uuid();
    let ids: Vec<Uuid> = items.iter().map(|item| item.id.0).collect();
    let uids: Vec<&str> = items.iter().map(|item| item.resource.uid.as_deref().unwrap_or_default()).collect();
    let versions: Vec<Option<i64>> = items.iter().map(|item| item.version).collect();
    // An object that is gone never comes back under its uid. What is derived has none of its own: there, time tells.
    let outdated = sqlx::query_scalar!(
        "select s.resource_id from sightings s
         join unnest($2::uuid[], $3::text[], $4::bigint[]) as i(id, uid, version) on i.id = s.resource_id
         where s.tenant_id = $1
           and (s.uid = i.uid and s.uid <> '' and (s.gone or s.provider_version > i.version)
                or s.uid = '' and s.gone and s.at > $5)",
        tenant,
        &ids,
        &uids as _,
        &versions as _,
        read_at
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(outdated.into_iter().collect())
}

/// Remembers what a watch told that differs in nothing from what is stored.
pub(super) async fn note_seen(tx: &mut TenantTx, items: &[&Prepared], at: DateTime<Utc>) -> Result<(), StoreError> {
    let items: Vec<&&Prepared> =
        items.iter().filter(|item| item.version.is_some() && item.resource.uid.is_some()).collect();
    if items.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant_uuid();
    let ids: Vec<Uuid> = items.iter().map(|item| item.id.0).collect();
    let uids: Vec<Option<&str>> = items.iter().map(|item| item.resource.uid.as_deref()).collect();
    let units: Vec<Uuid> = items.iter().map(|item| item.unit.0).collect();
    let versions: Vec<Option<i64>> = items.iter().map(|item| item.version).collect();
    sqlx::query!(
        "insert into sightings as s (tenant_id, resource_id, uid, unit_id, provider_version, gone, at)
         select $1, i.id, i.uid, i.unit, i.version, false, $6
         from unnest($2::uuid[], $3::text[], $4::uuid[], $5::bigint[]) as i(id, uid, unit, version)
         on conflict (tenant_id, resource_id, uid) do update
         set provider_version = excluded.provider_version, at = excluded.at
         where not s.gone and s.provider_version < excluded.provider_version",
        tenant,
        &ids,
        &uids as _,
        &units,
        &versions as _,
        at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Something that a watch knows to be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What.
    pub id: ResourceId,
    /// Its uid: another of the same name is not meant. `None` for what is derived.
    pub uid: Option<String>,
}

/// Ends what a watch says is gone, and remembers it: a list that began before does not bring it back. Returns how many
/// resources ended.
pub async fn end(tx: &mut TenantTx, unit: UnitId, gone: &[Ended], at: DateTime<Utc>) -> Result<u64, StoreError> {
    if gone.is_empty() {
        return Ok(0);
    }
    lock_units(tx, &BTreeSet::from([unit.0])).await?;
    let tenant = tx.tenant_uuid();
    let ids: Vec<Uuid> = gone.iter().map(|gone| gone.id.0).collect();
    let uids: Vec<Option<&str>> = gone.iter().map(|gone| gone.uid.as_deref()).collect();
    let here = sqlx::query_scalar!(
        "select r.resource_id from resources r
         join unnest($3::uuid[], $4::text[]) as g(id, uid) on g.id = r.resource_id
         where r.tenant_id = $1 and r.unit_id = $2 and (g.uid is null or r.uid is null or r.uid = g.uid)
         order by r.resource_id",
        tenant,
        unit.0,
        &ids,
        &uids as _
    )
    .fetch_all(tx.conn())
    .await?;
    let ended = listing::end_resources(tx, &here, at).await?;
    sqlx::query!(
        "insert into sightings as s (tenant_id, resource_id, uid, unit_id, gone, at)
         select distinct $1::uuid, g.id, coalesce(g.uid, ''), $2::uuid, true, $5::timestamptz
         from unnest($3::uuid[], $4::text[]) as g(id, uid)
         on conflict (tenant_id, resource_id, uid) do update set gone = true, at = excluded.at",
        tenant,
        unit.0,
        &ids,
        &uids as _,
        at
    )
    .execute(tx.conn())
    .await?;
    Ok(ended)
}

/// Forgets what no list can contradict any more.
pub(super) async fn forget_old(tx: &mut TenantTx, unit: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "delete from sightings where tenant_id = $1 and unit_id = $2 and at < $3",
        tenant,
        unit,
        now - REMEMBERED
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
