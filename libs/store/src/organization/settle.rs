use chrono::{DateTime, Utc};
use rampart_domain::{ConnectorId, CoverageState, Gap};
use uuid::Uuid;

use super::decide::{Decision, decide};
use super::member::{self, Member};
use crate::connector::{self, Connector};
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx, inventory};

/// What settling did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Connectors that were made for accounts.
    pub added: Vec<ConnectorId>,
    /// Connectors that read their accounts again.
    pub revived: Vec<ConnectorId>,
    /// Connectors that do not read their accounts any more.
    pub retired: Vec<ConnectorId>,
}

/// Decides about every known account and makes, revives and retires connectors accordingly. Idempotent. New and revived
/// ones are asked to scan at once.
pub async fn settle(tx: &mut TenantTx, organization: ConnectorId, now: DateTime<Utc>) -> Result<Settled, StoreError> {
    // In the order in which everybody locks: work first. Two settlements at once would make connectors twice.
    work::lock(tx, WorkKind::Scan, organization.0).await?;
    let parent = lock(tx, organization).await?;
    let Some(selection) = parent.settings.selection().filter(|_| !parent.deleting) else {
        return Ok(Settled::default());
    };
    let members = member::all(tx, organization, None).await?;
    let mut decided: Vec<(&Member, Decision, String)> = Vec::new();
    for member in &members {
        let (decision, reason) = match member.gone_at {
            Some(_) => (Decision::Removed, "it left the organisation".to_owned()),
            None => decide(selection, member.choice, &member.account, &member.path, member.is_active),
        };
        decided.push((member, decision, reason));
    }
    write_decisions(tx, organization, &decided).await?;
    let read = |decision: Decision| decision == Decision::Included;
    let accounts = |wanted: &dyn Fn(&Member, Decision) -> bool| -> Vec<String> {
        decided.iter().filter(|(m, d, _)| wanted(m, *d)).map(|(m, ..)| m.account.clone()).collect()
    };
    let fresh = accounts(&|m, d| read(d) && m.connector.is_none());
    let back = accounts(&|m, d| read(d) && m.retired_at.is_some());
    let over = accounts(&|m, d| !read(d) && m.connector.is_some() && m.retired_at.is_none());
    Ok(Settled {
        added: add(tx, &parent, &fresh).await?,
        revived: revive(tx, &parent, &back).await?,
        retired: retire(tx, organization, &over, now).await?,
    })
}

async fn lock(tx: &mut TenantTx, organization: ConnectorId) -> Result<Connector, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_scalar!(
        r#"select 1 as "row!" from connectors where tenant_id = $1 and connector_id = $2 for no key update"#,
        tenant,
        organization.0
    )
    .fetch_optional(tx.conn())
    .await?;
    connector::get(tx, organization).await
}

async fn write_decisions(
    tx: &mut TenantTx,
    organization: ConnectorId,
    decided: &[(&Member, Decision, String)],
) -> Result<(), StoreError> {
    let changed: Vec<_> = decided.iter().filter(|(m, d, reason)| m.decision != *d || m.reason != *reason).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant_uuid();
    let accounts: Vec<String> = changed.iter().map(|(member, ..)| member.account.clone()).collect();
    let decisions: Vec<String> = changed.iter().map(|(_, decision, _)| decision.to_string()).collect();
    let reasons: Vec<String> = changed.iter().map(|(.., reason)| reason.clone()).collect();
    sqlx::query!(
        "update organization_members m set decision = d.decision, reason = d.reason
         from unnest($3::text[], $4::text[], $5::text[]) as d(account, decision, reason)
         where m.tenant_id = $1 and m.connector_id = $2 and m.account = d.account",
        tenant,
        organization.0,
        &accounts,
        &decisions,
        &reasons
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A name for the connector of an account. Callers cannot choose names with a colon, so it is free.
fn name_of(organization: &str, account: &str) -> String {
    format!("{organization}:{account}")
}

async fn add(tx: &mut TenantTx, parent: &Connector, accounts: &[String]) -> Result<Vec<ConnectorId>, StoreError> {
    let tenant = tx.tenant_uuid();
    let names: Vec<String> = accounts.iter().map(|account| name_of(&parent.name, account)).collect();
    let ids: Vec<Uuid> = accounts.iter().map(|_| Uuid::now_v7()).collect();
    sqlx::query!(
        "insert into connectors (tenant_id, connector_id, name, provider, parent_id, account, interval_minutes)
         select $1, n.id, n.name, $2, $3, n.account, $4
         from unnest($5::uuid[], $6::text[], $7::text[]) as n(id, name, account)",
        tenant,
        parent.settings.provider(),
        parent.id.0,
        parent.interval_minutes,
        &ids,
        &names,
        accounts
    )
    .execute(tx.conn())
    .await?;
    begin(tx, parent, &ids).await?;
    Ok(ids.into_iter().map(ConnectorId).collect())
}

async fn revive(tx: &mut TenantTx, parent: &Connector, accounts: &[String]) -> Result<Vec<ConnectorId>, StoreError> {
    let tenant = tx.tenant_uuid();
    // One whose data is being removed is let go; the next settlement makes another.
    let ids = sqlx::query_scalar!(
        "update connectors set retired_at = null, version = version + 1, updated_at = now()
         where tenant_id = $1 and parent_id = $2 and account = any($3) and not deleting returning connector_id",
        tenant,
        parent.id.0,
        accounts
    )
    .fetch_all(tx.conn())
    .await?;
    begin(tx, parent, &ids).await?;
    Ok(ids.into_iter().map(ConnectorId).collect())
}

/// Puts connectors on the schedule, and asks them to scan now unless the organisation is paused.
async fn begin(tx: &mut TenantTx, parent: &Connector, ids: &[Uuid]) -> Result<(), StoreError> {
    if parent.paused || ids.is_empty() {
        return Ok(());
    }
    let every = Some(connector::interval(parent.interval_minutes));
    work::schedule(tx, WorkKind::Scan, ids, every).await?;
    scan_now(tx, ids).await
}

async fn scan_now(tx: &mut TenantTx, ids: &[Uuid]) -> Result<(), StoreError> {
    for id in ids {
        work::request(tx, WorkKind::Scan, *id).await?;
    }
    Ok(())
}

/// Ends the reading of accounts: what runs is cut off, what was read is kept and says that it grows old.
async fn retire(
    tx: &mut TenantTx,
    organization: ConnectorId,
    accounts: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<ConnectorId>, StoreError> {
    let tenant = tx.tenant_uuid();
    let ids = sqlx::query_scalar!(
        "select connector_id from connectors where tenant_id = $1 and parent_id = $2 and account = any($3)
         order by connector_id",
        tenant,
        organization.0,
        accounts
    )
    .fetch_all(tx.conn())
    .await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    stop(tx, &ids).await?;
    sqlx::query!(
        "update connectors set retired_at = $3, version = version + 1, updated_at = now()
         where tenant_id = $1 and connector_id = any($2)",
        tenant,
        &ids,
        now
    )
    .execute(tx.conn())
    .await?;
    let gap = Gap {
        state: CoverageState::Disabled,
        message: "the account is not read any more: it left the organisation, is suspended or was excluded".to_owned(),
        remedy: "See the organisation's accounts for the reason; what was read before goes after the retention time."
            .to_owned(),
    };
    for id in &ids {
        inventory::fail_untouched(tx, ConnectorId(*id), &gap, now, now).await?;
    }
    Ok(ids.into_iter().map(ConnectorId).collect())
}

/// Takes work away and ends what runs or waits.
async fn stop(tx: &mut TenantTx, ids: &[Uuid]) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    for kind in [WorkKind::Scan, WorkKind::Preflight] {
        work::forget(tx, kind, ids).await?;
    }
    sqlx::query!(
        "update scans set cancel_requested = true, status = 'cancelled', finished_at = now(),
                error = 'the account is not read any more'
         where tenant_id = $1 and connector_id = any($2) and status in ('queued', 'running')",
        tenant,
        ids
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "update preflights set status = 'failed', finished_at = now(), error = 'the account is not read any more'
         where tenant_id = $1 and connector_id = any($2) and status in ('queued', 'running')",
        tenant,
        ids
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The connectors of an organisation's accounts that are read.
async fn reading(tx: &mut TenantTx, organization: ConnectorId) -> Result<Vec<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!(
        "select connector_id from connectors
         where tenant_id = $1 and parent_id = $2 and retired_at is null and not paused and not deleting
         order by connector_id",
        tenant,
        organization.0
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Asks every account that is read to be scanned now.
pub async fn scan_all(tx: &mut TenantTx, organization: ConnectorId) -> Result<(), StoreError> {
    let ids = reading(tx, organization).await?;
    scan_now(tx, &ids).await
}

/// Lets the accounts follow a change of their organisation: its name, its schedule, its rules.
pub(crate) async fn follow(tx: &mut TenantTx, before: &Connector, after: &Connector) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    if before.name != after.name {
        sqlx::query!(
            "update connectors set name = $3 || ':' || account where tenant_id = $1 and parent_id = $2",
            tenant,
            after.id.0,
            after.name
        )
        .execute(tx.conn())
        .await?;
    }
    if (before.paused, before.interval_minutes) != (after.paused, after.interval_minutes) {
        let ids = reading(tx, after.id).await?;
        let every = (!after.paused).then(|| connector::interval(after.interval_minutes));
        work::schedule(tx, WorkKind::Scan, &ids, every).await?;
    }
    if before.settings.selection() != after.settings.selection() {
        settle(tx, after.id, after.updated_at).await?;
    }
    Ok(())
}

/// The organisation is being deleted, and its accounts with it: whoever removes its data removes theirs.
pub(crate) async fn abandon(tx: &mut TenantTx, organization: ConnectorId) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let ids = sqlx::query_scalar!(
        "select connector_id from connectors where tenant_id = $1 and parent_id = $2 order by connector_id",
        tenant,
        organization.0
    )
    .fetch_all(tx.conn())
    .await?;
    stop(tx, &ids).await?;
    work::forget(tx, WorkKind::Delete, &ids).await?;
    sqlx::query!(
        "update connectors set deleting = true, version = version + 1, updated_at = now()
         where tenant_id = $1 and parent_id = $2",
        tenant,
        organization.0
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Lets go of accounts that were retired before `before`: their connectors are deleted with their data, and those that
/// left the organisation are forgotten.
pub async fn retire_expired(tx: &mut TenantTx, before: DateTime<Utc>) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let over = sqlx::query_scalar!(
        "select connector_id from connectors where tenant_id = $1 and retired_at < $2 and not deleting
         order by connector_id",
        tenant,
        before
    )
    .fetch_all(tx.conn())
    .await?;
    for id in over {
        connector::delete(tx, ConnectorId(id), None).await?;
    }
    sqlx::query!("delete from organization_members where tenant_id = $1 and gone_at < $2", tenant, before)
        .execute(tx.conn())
        .await?;
    Ok(())
}
