use chrono::{DateTime, Utc};
use rampart_domain::ConnectorId;
use uuid::Uuid;

use super::{Choice, Decision, IsActive, settle};
use crate::page::{Listed, Page};
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx};

/// An account as a reading of the organisation found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The cloud's id of the account.
    pub account: String,
    /// Its name.
    pub name: String,
    /// Ids of the units above it, from the root down.
    pub path: Vec<String>,
    /// Whether it can be read.
    pub is_active: IsActive,
}

/// An account of an organisation and what was decided about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The cloud's id of the account.
    pub account: String,
    /// Its name.
    pub name: String,
    /// Ids of the units above it, from the root down.
    pub path: Vec<String>,
    /// Whether the cloud lets it be read.
    pub is_active: IsActive,
    /// What an operator decided about it.
    pub choice: Option<Choice>,
    /// Whether it is read.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// The connector that reads it, or did.
    pub connector: Option<ConnectorId>,
    /// Since when that connector does not read it any more.
    pub retired_at: Option<DateTime<Utc>>,
    /// When it was first seen in the organisation.
    pub first_seen: DateTime<Utc>,
    /// Start of the last whole reading that had it: of the last one at all, while it belongs to the organisation.
    pub last_seen: Option<DateTime<Utc>>,
    /// Start of the first whole reading that did not have it any more.
    pub gone_at: Option<DateTime<Utc>>,
}

pub(super) struct Row {
    account: String,
    name: String,
    path: Vec<String>,
    state: String,
    choice: Option<String>,
    decision: String,
    reason: String,
    connector_id: Option<Uuid>,
    retired_at: Option<DateTime<Utc>>,
    first_seen: DateTime<Utc>,
    whole_at: Option<DateTime<Utc>>,
    gone_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Member {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            account: row.account,
            name: row.name,
            path: row.path,
            is_active: if row.state == "active" { IsActive::Yes } else { IsActive::No },
            choice: row.choice.as_deref().map(Choice::parse).transpose()?,
            decision: Decision::parse(&row.decision)?,
            reason: row.reason,
            connector: row.connector_id.map(ConnectorId),
            retired_at: row.retired_at,
            first_seen: row.first_seen,
            last_seen: if row.gone_at.is_some() { None } else { row.whole_at },
            gone_at: row.gone_at,
        })
    }
}

/// Which accounts to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// With one of these decisions; empty means any.
    pub decisions: Vec<Decision>,
    /// In this unit, at any depth.
    pub unit: Option<String>,
    /// Whose id or name begins so.
    pub prefix: Option<String>,
}

/// Accounts of an organisation by id.
pub async fn list(
    tx: &mut TenantTx,
    organization: ConnectorId,
    filter: &Filter,
    page: &Page,
) -> Result<Listed<Member>, StoreError> {
    let tenant = tx.tenant_uuid();
    let decisions: Vec<String> = filter.decisions.iter().map(ToString::to_string).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"select m.account, m.name, m.path, m.state, m.choice, m.decision, m.reason,
                  c.connector_id as "connector_id?", c.retired_at as "retired_at?", m.first_seen,
                  (select max(v.whole_at) from coverage v where v.tenant_id = $1 and v.connector_id = $2) as whole_at,
                  m.gone_at
           from organization_members m
           left join connectors c on c.tenant_id = m.tenant_id and c.parent_id = m.connector_id and c.account = m.account
           where m.tenant_id = $1 and m.connector_id = $2 and m.account > coalesce($3, '')
             and (cardinality($4::text[]) = 0 or m.decision = any($4)) and ($5::text is null or $5 = any(m.path))
             and ($6::text is null or starts_with(m.account, $6) or starts_with(m.name, $6))
           order by m.account limit $7"#,
        tenant,
        organization.0,
        page.after::<String>()?,
        &decisions,
        filter.unit,
        filter.prefix,
        page.fetch()
    )
    .fetch_all(tx.conn())
    .await?;
    let members = rows.into_iter().map(Member::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(page.cut(members, |member| member.account.clone()))
}

/// One account of an organisation.
pub async fn get(tx: &mut TenantTx, organization: ConnectorId, account: &str) -> Result<Member, StoreError> {
    let found = all(tx, organization, Some(&[account.to_owned()])).await?;
    found.into_iter().next().ok_or(StoreError::NotFound { what: "account" })
}

/// Accounts of an organisation by id: these, or every one.
pub(crate) async fn all(
    tx: &mut TenantTx,
    organization: ConnectorId,
    accounts: Option<&[String]>,
) -> Result<Vec<Member>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query_as!(
        Row,
        r#"select m.account, m.name, m.path, m.state, m.choice, m.decision, m.reason,
                  c.connector_id as "connector_id?", c.retired_at as "retired_at?", m.first_seen,
                  (select max(v.whole_at) from coverage v where v.tenant_id = $1 and v.connector_id = $2) as whole_at,
                  m.gone_at
           from organization_members m
           left join connectors c on c.tenant_id = m.tenant_id and c.parent_id = m.connector_id and c.account = m.account
           where m.tenant_id = $1 and m.connector_id = $2 and ($3::text[] is null or m.account = any($3))
           order by m.account"#,
        tenant,
        organization.0,
        accounts as _
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(Member::try_from).collect()
}

/// Writes what a whole reading found: new accounts, changed ones, and that the others are gone. What is as before is not
/// rewritten.
pub async fn record(
    tx: &mut TenantTx,
    organization: ConnectorId,
    seen: &[Seen],
    read_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let column = |get: fn(&Seen) -> String| seen.iter().map(get).collect::<Vec<_>>();
    let state = |seen: &Seen| if seen.is_active == IsActive::Yes { "active" } else { "suspended" }.to_owned();
    let accounts = column(|seen| seen.account.clone());
    sqlx::query!(
        "insert into organization_members as m (tenant_id, connector_id, account, name, path, state, first_seen)
         select $1, $2, s.account, s.name, array(select jsonb_array_elements_text(s.path::jsonb)), s.state, $7
         from unnest($3::text[], $4::text[], $5::text[], $6::text[]) as s(account, name, path, state)
         order by s.account
         on conflict (tenant_id, connector_id, account) do update
         set name = excluded.name, path = excluded.path, state = excluded.state, gone_at = null
         where (m.name, m.path, m.state) is distinct from (excluded.name, excluded.path, excluded.state)
            or m.gone_at is not null",
        tenant,
        organization.0,
        &accounts,
        &column(|seen| seen.name.clone()),
        &column(|seen| serde_json::json!(seen.path).to_string()),
        &column(state),
        read_at
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "update organization_members set gone_at = $4
         where tenant_id = $1 and connector_id = $2 and gone_at is null and not account = any($3)",
        tenant,
        organization.0,
        &accounts,
        read_at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Sets what an operator decided about accounts, or leaves them to the rules again with `None`, and settles what follows.
/// Those that are known, as they are then.
pub async fn choose(
    tx: &mut TenantTx,
    organization: ConnectorId,
    accounts: &[String],
    choice: Option<Choice>,
    now: DateTime<Utc>,
) -> Result<Vec<Member>, StoreError> {
    // In the order in which everybody locks: work first.
    work::lock(tx, WorkKind::Scan, organization.0).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update organization_members set choice = $4
         where tenant_id = $1 and connector_id = $2 and account = any($3)",
        tenant,
        organization.0,
        accounts,
        choice.map(Choice::as_str)
    )
    .execute(tx.conn())
    .await?;
    settle(tx, organization, now).await?;
    all(tx, organization, Some(accounts)).await
}
