//! Connectors: onboarded accounts and clusters, and their sealed credentials.

mod aws;
mod azure;
mod credential;
mod gcp;
mod kubernetes;
mod settings;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rampart_domain::ConnectorId;
use secrecy::SecretString;
use uuid::Uuid;

use crate::keyring::Keyring;
use crate::page::{Listed, Page};
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx, collector, organization, watch};

pub use aws::{AwsOrganization, AwsSettings, RoleTrust};
pub use azure::{AzureAuth, AzureOrganization, AzureSettings};
pub use credential::{credentials, reseal};
pub use gcp::{GcpAuth, GcpOrganization, GcpSettings};
pub use kubernetes::{Delivery, KubernetesSettings};
pub use settings::Settings;

/// An onboarded account or cluster.
#[derive(Debug, Clone)]
pub struct Connector {
    /// Its id.
    pub id: ConnectorId,
    /// Unique name that the caller chose.
    pub name: String,
    /// What and how to read.
    pub settings: Settings,
    /// Generated for AWS roles that ask for it, shown to the caller for the trust policy; and for impersonation on Google
    /// Cloud, where the service account must be named so.
    pub external_id: Option<String>,
    /// Whether the schedule is off.
    pub paused: bool,
    /// Minutes between scheduled scans, 60 to 1440.
    pub interval_minutes: i32,
    /// Whether its clusters are watched between scans.
    pub watch: bool,
    /// Rises with every change.
    pub version: i64,
    /// Whether it is being deleted with its data.
    pub deleting: bool,
    /// When it was onboarded.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// The organisation and the account of it that this connector reads; `None` for what was onboarded by itself.
    pub member: Option<MemberOf>,
    /// Since when an account of an organisation is not read any more; its inventory stays for the retention time.
    pub retired_at: Option<DateTime<Utc>>,
}

/// The account that a connector below an organisation reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberOf {
    /// The organisation's connector, which holds settings and credentials.
    pub organization: ConnectorId,
    /// The cloud's id of the account.
    pub account: String,
}

impl Connector {
    /// The name of the connector's sessions in the customer's audit log, where the cloud has such names.
    pub fn session_name(&self) -> String {
        format!("rampart-{}", self.id.0.simple())
    }
}

/// What is needed to onboard.
#[derive(Debug)]
pub struct NewConnector {
    /// Unique name.
    pub name: String,
    /// What and how to read.
    pub settings: Settings,
    /// Secrets by field.
    pub credentials: BTreeMap<String, SecretString>,
    /// Minutes between scheduled scans, 60 to 1440.
    pub interval_minutes: i32,
    /// Whether its clusters are watched between scans.
    pub watch: bool,
}

/// A change; `None` leaves as is.
#[derive(Debug, Default)]
pub struct Change {
    /// New name.
    pub name: Option<String>,
    /// New settings, of the same provider.
    pub settings: Option<Settings>,
    /// Secrets that replace all earlier ones.
    pub credentials: Option<BTreeMap<String, SecretString>>,
    /// New interval.
    pub interval_minutes: Option<i32>,
    /// Whether the schedule is off.
    pub paused: Option<bool>,
    /// Whether its clusters are watched between scans.
    pub watch: Option<bool>,
}

impl Change {
    const fn is_pause_only(&self) -> bool {
        self.name.is_none() && self.settings.is_none() && self.credentials.is_none() && self.interval_minutes.is_none()
    }
}

struct Row {
    connector_id: Uuid,
    name: String,
    settings: serde_json::Value,
    external_id: Option<String>,
    paused: bool,
    interval_minutes: i32,
    watch: bool,
    version: i64,
    deleting: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    parent_id: Option<Uuid>,
    account: Option<String>,
    retired_at: Option<DateTime<Utc>>,
}

impl Row {
    fn parse(self) -> Result<Connector, StoreError> {
        let corrupt =
            |what: String| StoreError::Corrupt(format!("settings of connector {}: {what}", self.connector_id));
        let mut settings: Settings =
            serde_json::from_value(self.settings).map_err(|error| corrupt(error.to_string()))?;
        let member = self
            .parent_id
            .zip(self.account)
            .map(|(parent, account)| MemberOf { organization: ConnectorId(parent), account });
        if let Some(member) = &member {
            let own = settings.of_account(&member.account);
            settings = own.ok_or_else(|| corrupt("those above it are of no organisation".to_owned()))?;
        }
        Ok(Connector {
            id: ConnectorId(self.connector_id),
            name: self.name,
            settings,
            external_id: self.external_id,
            paused: self.paused,
            interval_minutes: self.interval_minutes,
            watch: self.watch,
            version: self.version,
            deleting: self.deleting,
            created_at: self.created_at,
            updated_at: self.updated_at,
            member,
            retired_at: self.retired_at,
        })
    }
}

const NOT_FOUND: StoreError = StoreError::NotFound { what: "connector" };

fn settings_json(settings: &Settings) -> serde_json::Value {
    serde_json::to_value(settings).expect("settings are strings and lists, which JSON can always hold")
}

/// Onboards: seals the credentials, generates the external id of an AWS role, and starts the schedule.
pub async fn create(tx: &mut TenantTx, keyring: &Keyring, new: &NewConnector) -> Result<Connector, StoreError> {
    let (tenant, id) = (tx.tenant_uuid(), Uuid::now_v7());
    let external_id = external_id(&new.settings);
    sqlx::query!(
        "insert into connectors (tenant_id, connector_id, name, provider, settings, external_id, interval_minutes,
             watch)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        tenant,
        id,
        new.name,
        new.settings.provider(),
        settings_json(&new.settings),
        external_id,
        new.interval_minutes,
        new.watch
    )
    .execute(tx.conn())
    .await
    .map_err(|error| StoreError::on_conflict(error, "connector", &new.name))?;
    credential::seal_all(tx, keyring, ConnectorId(id), &new.credentials).await?;
    work::schedule(tx, WorkKind::Scan, &[id], Some(interval(new.interval_minutes))).await?;
    get(tx, ConnectorId(id)).await
}

/// A new external id, where the source asks for one.
fn external_id(settings: &Settings) -> Option<String> {
    match settings {
        Settings::Aws(AwsSettings { role_arn: None, organization: None, .. }) => None,
        // Roles of an organisation's accounts ask for it even when the organisation itself is read by keys.
        Settings::Aws(AwsSettings { trust: RoleTrust::ExternalId, .. }) => {
            Some(format!("rampart-{}", Uuid::new_v4().simple()))
        }
        // Names of service accounts have 30 characters at most.
        Settings::Gcp(GcpSettings { auth: GcpAuth::Impersonation { .. }, .. }) => {
            Some(format!("rampart-{:.20}", Uuid::new_v4().simple().to_string()))
        }
        _ => None,
    }
}

/// Time between scheduled scans.
pub(crate) fn interval(minutes: i32) -> Duration {
    Duration::from_secs(60 * u64::from(minutes.unsigned_abs()))
}

/// One connector.
pub async fn get(tx: &mut TenantTx, connector: ConnectorId) -> Result<Connector, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(
        Row,
        r#"select c.connector_id, c.name, coalesce(p.settings, c.settings) as "settings!",
                  coalesce(p.external_id, c.external_id) as external_id, c.paused or coalesce(p.paused, false) as "paused!",
                  coalesce(p.interval_minutes, c.interval_minutes) as "interval_minutes!",
                  coalesce(p.watch, c.watch) as "watch!", c.version, c.deleting, c.created_at, c.updated_at, c.parent_id,
                  c.account, c.retired_at
           from connectors c left join connectors p on p.tenant_id = c.tenant_id and p.connector_id = c.parent_id
           where c.tenant_id = $1 and c.connector_id = $2"#,
        tenant,
        connector.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(NOT_FOUND)?
    .parse()
}

/// The id of the connector that `name_or_id` names.
pub async fn resolve(tx: &mut TenantTx, name_or_id: &str) -> Result<ConnectorId, StoreError> {
    let tenant = tx.tenant_uuid();
    let id: Option<Uuid> = name_or_id.parse().ok();
    sqlx::query_scalar!(
        "select connector_id from connectors where tenant_id = $1 and (name = $2 or connector_id = $3)
         order by connector_id = $3 desc nulls last limit 1",
        tenant,
        name_or_id,
        id
    )
    .fetch_optional(tx.conn())
    .await?
    .map(ConnectorId)
    .ok_or(NOT_FOUND)
}

/// Those of these names that a connector has.
pub async fn taken(tx: &mut TenantTx, names: &[String]) -> Result<Vec<String>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!("select name from connectors where tenant_id = $1 and name = any($2)", tenant, names)
        .fetch_all(tx.conn())
        .await?)
}

/// Connectors by name.
pub async fn list(tx: &mut TenantTx, page: &Page) -> Result<Listed<Connector>, StoreError> {
    let tenant = tx.tenant_uuid();
    let after = page.after::<String>()?;
    let rows = sqlx::query_as!(
        Row,
        r#"select c.connector_id, c.name, coalesce(p.settings, c.settings) as "settings!",
                  coalesce(p.external_id, c.external_id) as external_id, c.paused or coalesce(p.paused, false) as "paused!",
                  coalesce(p.interval_minutes, c.interval_minutes) as "interval_minutes!",
                  coalesce(p.watch, c.watch) as "watch!", c.version, c.deleting, c.created_at, c.updated_at, c.parent_id,
                  c.account, c.retired_at
           from connectors c left join connectors p on p.tenant_id = c.tenant_id and p.connector_id = c.parent_id
           where c.tenant_id = $1 and c.name > coalesce($2, '') order by c.name limit $3"#,
        tenant,
        after,
        page.fetch()
    )
    .fetch_all(tx.conn())
    .await?;
    let connectors = rows.into_iter().map(Row::parse).collect::<Result<Vec<_>, _>>()?;
    Ok(page.cut(connectors, |connector| connector.name.clone()))
}

/// Locks the row for a change and checks the version that the caller saw.
async fn lock(tx: &mut TenantTx, connector: ConnectorId, version: Option<i64>) -> Result<Connector, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_scalar!(
        r#"select 1 as "row!" from connectors where tenant_id = $1 and connector_id = $2 for no key update"#,
        tenant,
        connector.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(NOT_FOUND)?;
    let current = get(tx, connector).await?;
    match version {
        Some(seen) if seen != current.version => {
            Err(StoreError::VersionMismatch { what: "connector", current: current.version })
        }
        _ if current.deleting => Err(NOT_FOUND),
        _ => Ok(current),
    }
}

/// Changes a connector. `version` is what the caller saw; `None` changes whatever is there.
pub async fn update(
    tx: &mut TenantTx,
    keyring: &Keyring,
    connector: ConnectorId,
    version: Option<i64>,
    change: &Change,
) -> Result<Connector, StoreError> {
    let current = lock(tx, connector, version).await?;
    if current.member.is_some() && !change.is_pause_only() {
        return Err(StoreError::WrongState {
            what: "connector",
            why: "belongs to an organisation, whose connector says how it is read; only pausing is its own",
        });
    }
    let name = change.name.as_ref().unwrap_or(&current.name);
    let settings = change.settings.as_ref().unwrap_or(&current.settings);
    let watch = change.watch.unwrap_or(current.watch);
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update connectors set name = $3, settings = case when parent_id is null then $4 else settings end,
                interval_minutes = coalesce($5, interval_minutes), paused = coalesce($6, paused),
                external_id = coalesce(external_id, $7), watch = $8, version = version + 1, updated_at = now()
         where tenant_id = $1 and connector_id = $2",
        tenant,
        connector.0,
        name,
        settings_json(settings),
        change.interval_minutes,
        change.paused,
        external_id(settings),
        watch
    )
    .execute(tx.conn())
    .await
    .map_err(|error| StoreError::on_conflict(error, "connector", name))?;
    if let Some(credentials) = &change.credentials {
        credential::clear(tx, connector).await?;
        credential::seal_all(tx, keyring, connector, credentials).await?;
    }
    let after = get(tx, connector).await?;
    let is_rescheduled = (after.interval_minutes, after.paused) != (current.interval_minutes, current.paused);
    if is_rescheduled && after.retired_at.is_none() {
        let every = (!after.paused).then(|| interval(after.interval_minutes));
        work::schedule(tx, WorkKind::Scan, &[connector.0], every).await?;
    }
    match (current.watch, watch) {
        // A watch goes on from where a scan ended.
        (false, true) => work::request(tx, WorkKind::Scan, connector.0).await?,
        (true, false) => watch::stop(tx, connector).await?,
        (true, true) if change.settings.is_some() || change.credentials.is_some() => {
            watch::restart(tx, connector).await?;
        }
        _ => {}
    }
    if current.settings.selection().is_some() {
        organization::follow(tx, &current, &after).await?;
    }
    Ok(after)
}

/// Marks a connector as going: nothing starts any more, what runs is asked to stop, and its data is removed in the
/// background by whoever takes the work.
pub async fn delete(tx: &mut TenantTx, connector: ConnectorId, version: Option<i64>) -> Result<Connector, StoreError> {
    work::lock(tx, WorkKind::Scan, connector.0).await?;
    let current = lock(tx, connector, version).await?;
    if current.settings.selection().is_some() {
        organization::abandon(tx, connector).await?;
    }
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update connectors set deleting = true, paused = true, version = version + 1, updated_at = now()
         where tenant_id = $1 and connector_id = $2",
        tenant,
        connector.0
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "update scans set cancel_requested = true
         where tenant_id = $1 and connector_id = $2 and status in ('queued', 'running')",
        tenant,
        connector.0
    )
    .execute(tx.conn())
    .await?;
    credential::clear(tx, connector).await?;
    collector::revoke(tx, connector).await?;
    watch::stop(tx, connector).await?;
    for kind in [WorkKind::Scan, WorkKind::Preflight, WorkKind::Preview] {
        work::forget(tx, kind, &[connector.0]).await?;
    }
    work::request(tx, WorkKind::Delete, connector.0).await?;
    get(tx, connector).await
}
