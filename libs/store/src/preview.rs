//! Previews: what a choice of an organisation's accounts would do, before anything is done.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rampart_domain::{ConnectorId, PreviewId};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::connector::{self, Connector};
use crate::organization::{self, Decision, Member, Seen, Selection, decide};
use crate::page::{Listed, Page};
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx};

/// What would become of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewAccount {
    /// The cloud's id of the account.
    pub account: String,
    /// Its name.
    pub name: String,
    /// Ids of the units above it, from the root down.
    pub path: Vec<String>,
    /// `included`, `excluded`, `suspended`, `waiting` or `removed`.
    pub decision: String,
    /// Why.
    pub reason: String,
    /// What would be done: `add`, `revive`, `keep`, `retire` or `none`.
    pub effect: String,
}

/// One run of a preview.
#[derive(Debug, Clone)]
pub struct Preview {
    /// Its id.
    pub preview_id: Uuid,
    /// Of which organisation.
    pub connector_id: Uuid,
    /// `queued`, `running`, `succeeded` or `failed`.
    pub status: String,
    /// What is tried; `None` for what the connector has.
    pub selection: Option<Json<Selection>>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Every account by id.
    pub accounts: Json<Vec<PreviewAccount>>,
    /// Why there is no result.
    pub error: Option<String>,
}

/// Asks for a preview. `selection` is what to try; `None` tries what the connector has.
pub async fn request(
    tx: &mut TenantTx,
    connector: ConnectorId,
    selection: Option<&Selection>,
) -> Result<Preview, StoreError> {
    let current = connector::get(tx, connector).await?;
    if current.deleting {
        return Err(StoreError::NotFound { what: "connector" });
    }
    if current.settings.selection().is_none() {
        return Err(StoreError::WrongState { what: "connector", why: "is of no organisation" });
    }
    let (tenant, id) = (tx.tenant_uuid(), Uuid::now_v7());
    sqlx::query!(
        "insert into previews (tenant_id, preview_id, connector_id, status, selection)
         values ($1, $2, $3, 'queued', $4)",
        tenant,
        id,
        connector.0,
        selection.map(|selection| serde_json::json!(selection))
    )
    .execute(tx.conn())
    .await?;
    work::request(tx, WorkKind::Preview, connector.0).await?;
    get(tx, connector, PreviewId(id)).await
}

/// One preview of an organisation.
pub async fn get(tx: &mut TenantTx, connector: ConnectorId, preview: PreviewId) -> Result<Preview, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(
        Preview,
        r#"select preview_id, connector_id, status, selection as "selection: Json<Selection>", requested_at, finished_at,
                  accounts as "accounts: Json<Vec<PreviewAccount>>", error
           from previews where tenant_id = $1 and connector_id = $2 and preview_id = $3"#,
        tenant,
        connector.0,
        preview.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: "preview" })
}

/// Previews of an organisation, the latest first.
pub async fn list(tx: &mut TenantTx, connector: ConnectorId, page: &Page) -> Result<Listed<Preview>, StoreError> {
    let tenant = tx.tenant_uuid();
    let (at, id) = page.after::<(DateTime<Utc>, Uuid)>()?.unzip();
    let rows = sqlx::query_as!(
        Preview,
        r#"select preview_id, connector_id, status, selection as "selection: Json<Selection>", requested_at, finished_at,
                  accounts as "accounts: Json<Vec<PreviewAccount>>", error
           from previews
           where tenant_id = $1 and connector_id = $2
             and ($3::timestamptz is null or (requested_at, preview_id) < ($3, $4))
           order by requested_at desc, preview_id desc limit $5"#,
        tenant,
        connector.0,
        at,
        id,
        page.fetch()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(page.cut(rows, |row| (row.requested_at, row.preview_id)))
}

/// The previews of an organisation that wait, marked as running, with what each tries.
pub async fn begin(
    tx: &mut TenantTx,
    connector: ConnectorId,
) -> Result<Vec<(PreviewId, Option<Selection>)>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        r#"update previews set status = 'running' where tenant_id = $1 and connector_id = $2
             and status in ('queued', 'running') returning preview_id, selection as "selection: Json<Selection>""#,
        tenant,
        connector.0
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (PreviewId(row.preview_id), row.selection.map(|json| json.0))).collect())
}

/// Ends a preview with its result.
pub async fn end(
    tx: &mut TenantTx,
    preview: PreviewId,
    result: Result<Vec<PreviewAccount>, &str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let (status, accounts, error) = match result {
        Ok(accounts) => ("succeeded", accounts, None),
        Err(error) => ("failed", Vec::new(), Some(error)),
    };
    sqlx::query!(
        "update previews set status = $3, accounts = $4, error = $5, finished_at = $6
         where tenant_id = $1 and preview_id = $2",
        tenant,
        preview.0,
        status,
        serde_json::json!(accounts),
        error,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What a choice would do to the accounts that a whole reading found, and to those that it did not.
pub async fn outcome(
    tx: &mut TenantTx,
    organization: &Connector,
    selection: &Selection,
    seen: &[Seen],
) -> Result<Vec<PreviewAccount>, StoreError> {
    let known: BTreeMap<String, Member> = organization::known(tx, organization.id, None)
        .await?
        .into_iter()
        .map(|member| (member.account.clone(), member))
        .collect();
    let found: BTreeSet<&str> = seen.iter().map(|seen| seen.account.as_str()).collect();
    let mut accounts: Vec<PreviewAccount> = seen
        .iter()
        .map(|seen| {
            let before = known.get(&seen.account);
            let choice = before.and_then(|member| member.choice);
            let (decision, reason) = decide(selection, choice, &seen.account, &seen.path, seen.is_active);
            line(&seen.account, &seen.name, &seen.path, decision, reason, before)
        })
        .collect();
    let gone = known.values().filter(|member| !found.contains(member.account.as_str()));
    accounts.extend(gone.map(|member| {
        let reason = "it left the organisation".to_owned();
        line(&member.account, &member.name, &member.path, Decision::Removed, reason, Some(member))
    }));
    accounts.sort_unstable_by(|a, b| a.account.cmp(&b.account));
    Ok(accounts)
}

fn line(
    account: &str,
    name: &str,
    path: &[String],
    decision: Decision,
    reason: String,
    before: Option<&Member>,
) -> PreviewAccount {
    let connector = before.filter(|member| member.connector.is_some());
    let effect = match (decision == Decision::Included, connector.map(|member| member.retired_at)) {
        (true, None) => "add",
        (true, Some(Some(_))) => "revive",
        (true, Some(None)) => "keep",
        (false, Some(None)) => "retire",
        (false, _) => "none",
    };
    PreviewAccount {
        account: account.to_owned(),
        name: name.to_owned(),
        path: path.to_vec(),
        decision: decision.to_string(),
        reason,
        effect: effect.to_owned(),
    }
}
