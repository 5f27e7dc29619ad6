use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Prepared, Source, order};
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx};

/// How long an assessment waits for more changes while a listing goes on; its end asks for one at once.
const DEBOUNCE: Duration = Duration::from_secs(20);

/// What a page did to the inventory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Resources seen for the first time.
    pub added: u64,
    /// Resources that differ from what was stored.
    pub changed: u64,
    /// Resources that do not.
    pub unchanged: u64,
}

impl std::ops::AddAssign for Applied {
    fn add_assign(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
    }
}

/// Writes what is new or changed, closes the version before, and asks for an assessment of every unit touched.
///
/// `read_at` is when the read began: a row that is newer than it stays. Idempotent; the order of pages does not matter.
pub async fn apply(
    tx: &mut TenantTx,
    source: &Source,
    read_at: DateTime<Utc>,
    page: &[Prepared],
) -> Result<Applied, StoreError> {
    Ok(write(tx, source, read_at, page, DEBOUNCE).await?.0)
}

/// Like [`apply`] for what a watch told, each of it by itself: units touched are assessed at once, and what differs in
/// nothing is remembered as seen, so that a list that began before does not bring back an older version.
pub async fn follow(
    tx: &mut TenantTx,
    source: &Source,
    read_at: DateTime<Utc>,
    page: &[Prepared],
) -> Result<Applied, StoreError> {
    let (applied, same) = write(tx, source, read_at, page, Duration::ZERO).await?;
    order::note_seen(tx, &same, read_at).await?;
    Ok(applied)
}

/// Writes a page. Returns what was in it as it is stored already, and current.
async fn write<'a>(
    tx: &mut TenantTx,
    source: &Source,
    read_at: DateTime<Utc>,
    page: &'a [Prepared],
    urgency: Duration,
) -> Result<(Applied, Vec<&'a Prepared>), StoreError> {
    // A provider may list one thing twice across pages that shifted; the last one counts.
    let latest: HashMap<Uuid, &Prepared> = page.iter().map(|item| (item.id.0, item)).collect();
    order::lock_units(tx, &order::clusters_of(page)).await?;
    let ids: Vec<Uuid> = page.iter().map(|item| item.id.0).collect();
    let stored = order::stored(tx, &ids).await?;
    let outdated = order::outdated(tx, page, read_at).await?;
    let (mut added, mut changed, mut same) = (Vec::new(), Vec::new(), Vec::new());
    for (id, item) in latest.iter().filter(|(id, _)| !outdated.contains(id)) {
        match stored.get(id) {
            None => added.push(*item),
            Some(stored) if stored.hash[..] == item.hash => same.push(*item),
            Some(stored) if !item.partial && stored.is_older_than(item, read_at) => changed.push(*item),
            Some(_) => {}
        }
    }
    // Rows are locked in one order everywhere, so that two writers cannot wait for each other.
    added.sort_unstable_by_key(|item| item.id);
    changed.sort_unstable_by_key(|item| item.id);
    same.sort_unstable_by_key(|item| item.id);
    // Work before resources before dirt: the order in which everybody locks them.
    let units: BTreeSet<Uuid> = added.iter().chain(&changed).map(|item| item.unit.0).collect();
    for unit in units {
        if urgency.is_zero() {
            work::request(tx, WorkKind::Assess, unit).await?;
        } else {
            work::request_after(tx, WorkKind::Assess, unit, urgency).await?;
        }
    }
    let older = order::lock_older(tx, read_at, &changed).await?;
    changed.retain(|item| older.contains_key(&item.id.0));
    insert(tx, source, read_at, &added).await?;
    update(tx, source, read_at, &changed).await?;
    let touched: Vec<&Prepared> = added.iter().chain(&changed).copied().collect();
    mark(tx, &touched, |item| older.get(&item.id.0).copied().unwrap_or(true)).await?;
    let (added, changed) = (added.len() as u64, changed.len() as u64);
    let unchanged = latest.len() as u64 - added - changed;
    Ok((Applied { added, changed, unchanged }, same))
}

async fn insert(
    tx: &mut TenantTx,
    source: &Source,
    read_at: DateTime<Utc>,
    items: &[&Prepared],
) -> Result<(), StoreError> {
    if items.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(items);
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into resources (tenant_id, connector_id, scope, first_seen, changed_at, resource_id, unit_id, cluster_id,
             native_id, kind, name, name_lower, cloud, account, region, namespace, labels, managed_by, owner_id, active,
             uid, config, hash, provider_version, outline)
         select $1, $2, $3, $4, $4, i.id, i.unit, i.cluster, i.native_id, i.kind, i.name, lower(i.name), i.cloud,
             i.account, i.region, i.namespace, i.labels::jsonb, i.managed_by, i.owner, i.active, i.uid, i.config::json,
             i.hash, i.version, i.outline::jsonb
         from unnest($5::uuid[], $6::uuid[], $7::uuid[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
             $13::text[], $14::text[], $15::text[], $16::text[], $17::uuid[], $18::bool[], $19::text[], $20::text[],
             $21::bytea[], $22::bigint[], $23::text[])
           as i(id, unit, cluster, native_id, kind, name, cloud, account, region, namespace, labels, managed_by, owner,
             active, uid, config, hash, version, outline)
         on conflict (tenant_id, resource_id) do nothing",
        tenant,
        source.connector.0,
        source.scope,
        read_at,
        &columns.id,
        &columns.unit,
        &columns.cluster as _,
        &columns.native_id as _,
        &columns.kind as _,
        &columns.name as _,
        &columns.cloud as _,
        &columns.account as _,
        &columns.region as _,
        &columns.namespace as _,
        &columns.labels as _,
        &columns.managed_by as _,
        &columns.owner as _,
        &columns.active,
        &columns.uid as _,
        &columns.config as _,
        &columns.hash as _,
        &columns.version as _,
        &columns.outline as _,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn update(
    tx: &mut TenantTx,
    source: &Source,
    read_at: DateTime<Utc>,
    items: &[&Prepared],
) -> Result<(), StoreError> {
    if items.is_empty() {
        return Ok(());
    }
    let lasting: Vec<Uuid> =
        items.iter().filter(|item| !item.resource.kind.is_short_lived()).map(|item| item.id.0).collect();
    close_versions(tx, &lasting, read_at, false).await?;
    let columns = Columns::of(items);
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update resources r
         set connector_id = $2, scope = $3, changed_at = greatest(r.changed_at, $4), provider_version = i.version, revision = r.revision + 1, unit_id = i.unit,
             cluster_id = i.cluster, name = i.name, name_lower = lower(i.name), cloud = i.cloud, account = i.account,
             region = i.region, namespace = i.namespace, labels = i.labels::jsonb, managed_by = i.managed_by,
             owner_id = i.owner, active = i.active, uid = i.uid, config = i.config::json, hash = i.hash, kind = i.kind,
             outline = i.outline::jsonb
         from unnest($5::uuid[], $6::uuid[], $7::uuid[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
             $13::text[], $14::text[], $15::uuid[], $16::bool[], $17::text[], $18::text[], $19::bytea[], $20::text[],
             $21::bigint[], $22::text[])
           as i(id, unit, cluster, name, cloud, account, region, namespace, labels, managed_by, owner, active, uid,
             config, hash, kind, version, outline)
         where r.tenant_id = $1 and r.resource_id = i.id",
        tenant,
        source.connector.0,
        source.scope,
        read_at,
        &columns.id,
        &columns.unit,
        &columns.cluster as _,
        &columns.name as _,
        &columns.cloud as _,
        &columns.account as _,
        &columns.region as _,
        &columns.namespace as _,
        &columns.labels as _,
        &columns.managed_by as _,
        &columns.owner as _,
        &columns.active,
        &columns.uid as _,
        &columns.config as _,
        &columns.hash as _,
        &columns.kind as _,
        &columns.version as _,
        &columns.outline as _,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Moves what is stored now into history.
pub(super) async fn close_versions(
    tx: &mut TenantTx,
    ids: &[Uuid],
    at: DateTime<Utc>,
    gone: bool,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into resource_versions (tenant_id, resource_id, revision, kind, native_id, config, valid_from, valid_to,
             gone)
         select tenant_id, resource_id, revision, kind, native_id, config, changed_at, greatest($3, changed_at), $4
         from resources where tenant_id = $1 and resource_id in (select unnest($2::uuid[]))",
        tenant,
        ids,
        at,
        gone
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes what must be assessed; `is_seen` says of what changed whether its outline did.
async fn mark(tx: &mut TenantTx, items: &[&Prepared], is_seen: impl Fn(&Prepared) -> bool) -> Result<(), StoreError> {
    let columns = Columns::of(items);
    let seen: Vec<bool> = items.iter().map(|item| is_seen(item)).collect();
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into dirty (tenant_id, unit_id, resource_id, kind, namespace, region, owner_id, outline_changed)
         select $1, i.unit, i.id, i.kind, i.namespace, i.region, i.owner, i.seen
         from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::bool[])
           as i(unit, id, kind, namespace, region, owner, seen)
         on conflict (tenant_id, unit_id, kind, resource_id) do update set marks = dirty.marks + 1,
             owner_id = excluded.owner_id, outline_changed = dirty.outline_changed or excluded.outline_changed",
        tenant,
        &columns.unit,
        &columns.id,
        &columns.kind as _,
        &columns.namespace as _,
        &columns.region as _,
        &columns.owner as _,
        &seen,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The page column by column, as `unnest` takes it.
struct Columns<'a> {
    id: Vec<Uuid>,
    unit: Vec<Uuid>,
    cluster: Vec<Option<Uuid>>,
    owner: Vec<Option<Uuid>>,
    native_id: Vec<&'a str>,
    kind: Vec<&'a str>,
    name: Vec<&'a str>,
    cloud: Vec<&'a str>,
    account: Vec<Option<&'a str>>,
    region: Vec<Option<&'a str>>,
    namespace: Vec<Option<&'a str>>,
    labels: Vec<&'a str>,
    managed_by: Vec<&'a str>,
    active: Vec<bool>,
    uid: Vec<Option<&'a str>>,
    config: Vec<&'a str>,
    hash: Vec<&'a [u8]>,
    version: Vec<Option<i64>>,
    outline: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn of(items: &[&'a Prepared]) -> Self {
        fn column<'a, T>(items: &[&'a Prepared], get: impl Fn(&'a Prepared) -> T) -> Vec<T> {
            items.iter().map(|item| get(item)).collect()
        }
        Self {
            id: column(items, |i| i.id.0),
            unit: column(items, |i| i.unit.0),
            cluster: column(items, |i| i.cluster.map(|id| id.0)),
            owner: column(items, |i| i.owner.map(|id| id.0)),
            native_id: column(items, |i| i.resource.native_id.as_str()),
            kind: column(items, |i| i.resource.kind.as_str()),
            name: column(items, |i| i.resource.name.as_str()),
            cloud: column(items, |i| i.resource.cloud),
            account: column(items, |i| i.resource.account.as_deref()),
            region: column(items, |i| i.resource.region.as_deref()),
            namespace: column(items, |i| i.resource.namespace.as_deref()),
            labels: column(items, |i| i.labels.as_str()),
            managed_by: column(items, |i| i.resource.managed_by),
            active: column(items, |i| i.resource.active),
            uid: column(items, |i| i.resource.uid.as_deref()),
            config: column(items, |i| i.config.as_str()),
            hash: column(items, |i| &i.hash[..]),
            version: column(items, |i| i.version),
            outline: column(items, |i| i.outline.as_deref()),
        }
    }
}
