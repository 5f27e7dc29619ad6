//! What customers write: controls and bundles of policies, as text, with every version there was.

mod recent;

use chrono::{DateTime, Utc};
use rampart_domain::ActorId;
pub use recent::Recent;
use serde_json::Value;
use uuid::Uuid;

use crate::assignment::{self, Assignment};
use crate::page::{Listed, Page};
use crate::{StoreError, TenantTx, initiative};

/// What a source holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// One control.
    Control,
    /// A bundle of policies.
    Policies,
}

impl Format {
    /// The one spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Policies => "policies",
        }
    }

    /// The noun in messages.
    const fn what(self) -> &'static str {
        match self {
            Self::Control => "custom control",
            Self::Policies => "policy bundle",
        }
    }

    /// Sources of the format that a tenant may have.
    pub const fn most(self) -> i64 {
        match self {
            Self::Control => 200,
            Self::Policies => 20,
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        [Self::Control, Self::Policies]
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| StoreError::Corrupt(format!("format `{text}`")))
    }
}

/// A source as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomSource {
    /// Id of the control, name of the bundle.
    pub name: String,
    /// The text.
    pub source: String,
    /// Rises with every change.
    pub version: i64,
    /// The token that changed it last.
    pub changed_by: Uuid,
    /// When that was.
    pub changed_at: DateTime<Utc>,
}

/// A source as it once was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The version.
    pub version: i64,
    /// The text; `None` where it was deleted.
    pub source: Option<String>,
    /// The token that made it so.
    pub changed_by: Uuid,
    /// When that was.
    pub changed_at: DateTime<Utc>,
}

/// The versions of all sources of the tenant with the times of their changes, in a stable order: as long as they are the
/// same, so are the sources. A version alone does not tell: a change that is not committed uses it up for nothing.
pub type Versions = Vec<(Format, String, i64, DateTime<Utc>)>;

/// Reads which versions there are.
pub async fn versions(tx: &mut TenantTx) -> Result<Versions, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        "select format, name, version, changed_at from custom_sources where tenant_id = $1 order by format, name",
        tenant
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| Ok((Format::parse(&row.format)?, row.name, row.version, row.changed_at))).collect()
}

/// Every source of the tenant, in the order of [`versions`].
pub async fn all(tx: &mut TenantTx) -> Result<Vec<(Format, CustomSource)>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        "select format, name, source, version, changed_by, changed_at from custom_sources
         where tenant_id = $1 order by format, name",
        tenant
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            let (name, source, version) = (row.name, row.source, row.version);
            let (changed_by, changed_at) = (row.changed_by, row.changed_at);
            Ok((Format::parse(&row.format)?, CustomSource { name, source, version, changed_by, changed_at }))
        })
        .collect()
}

/// One source.
pub async fn get(tx: &mut TenantTx, format: Format, name: &str) -> Result<CustomSource, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(
        CustomSource,
        r#"select name, source, version, changed_by, changed_at from custom_sources
           where tenant_id = $1 and format = $2 and name = $3"#,
        tenant,
        format.as_str(),
        name
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: format.what() })
}

/// Sources of a format by name.
pub async fn list(tx: &mut TenantTx, format: Format, page: &Page) -> Result<Listed<CustomSource>, StoreError> {
    let tenant = tx.tenant_uuid();
    let after = page.after::<String>()?.unwrap_or_default();
    let rows = sqlx::query_as!(
        CustomSource,
        r#"select name, source, version, changed_by, changed_at from custom_sources
           where tenant_id = $1 and format = $2 and name > $3 order by name limit $4"#,
        tenant,
        format.as_str(),
        after,
        page.fetch()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(page.cut(rows, |row| row.name.clone()))
}

/// The versions of a source, the latest first; also of one that was deleted.
pub async fn history(
    tx: &mut TenantTx,
    format: Format,
    name: &str,
    page: &Page,
) -> Result<Listed<Version>, StoreError> {
    let tenant = tx.tenant_uuid();
    let after = page.after::<i64>()?;
    let rows = sqlx::query_as!(
        Version,
        r#"select version, source, changed_by, changed_at from custom_source_versions
           where tenant_id = $1 and format = $2 and name = $3 and ($4::bigint is null or version < $4)
           order by version desc limit $5"#,
        tenant,
        format.as_str(),
        name,
        after,
        page.fetch()
    )
    .fetch_all(tx.conn())
    .await?;
    if rows.is_empty() && after.is_none() {
        return Err(StoreError::NotFound { what: format.what() });
    }
    Ok(page.cut(rows, |row| row.version))
}

/// Keeps a new source; initiatives may select it already by a prefix. [`StoreError::Exists`] when the name is taken.
pub async fn create(
    tx: &mut TenantTx,
    format: Format,
    name: &str,
    source: &str,
    by: ActorId,
) -> Result<CustomSource, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('custom_sources' || $1, 0))", tenant.to_string())
        .execute(tx.conn())
        .await?;
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from custom_sources where tenant_id = $1 and format = $2"#,
        tenant,
        format.as_str()
    )
    .fetch_one(tx.conn())
    .await?;
    if count >= format.most() {
        let why = "cannot be added: the tenant has as many as it may have; delete another first";
        return Err(StoreError::WrongState { what: format.what(), why });
    }
    sqlx::query!(
        "insert into custom_sources (tenant_id, format, name, source, version, changed_by)
         values ($1, $2, $3, $4, coalesce((select max(version) from custom_source_versions
                 where tenant_id = $1 and format = $2 and name = $3), 0) + 1, $5)",
        tenant,
        format.as_str(),
        name,
        source,
        by.0
    )
    .execute(tx.conn())
    .await
    .map_err(|error| StoreError::on_conflict(error, format.what(), name))?;
    reassess(tx).await?;
    note(tx, format, name).await
}

/// Replaces a source. `gone` are the ids of controls that it held and holds no more: [`StoreError::InUse`] while an
/// initiative or an assignment names one. What its controls are assigned to is assessed again.
pub async fn update(
    tx: &mut TenantTx,
    format: Format,
    name: &str,
    version: Option<i64>,
    (source, gone): (&str, &[String]),
    by: ActorId,
) -> Result<CustomSource, StoreError> {
    lock(tx, format, name, version).await?;
    refuse_named(tx, format, gone).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update custom_sources set source = $4, version = version + 1, changed_by = $5, changed_at = now()
         where tenant_id = $1 and format = $2 and name = $3",
        tenant,
        format.as_str(),
        name,
        source,
        by.0
    )
    .execute(tx.conn())
    .await?;
    reassess(tx).await?;
    note(tx, format, name).await
}

/// Removes a source; its versions stay. `held` are the ids of its controls: [`StoreError::InUse`] while an initiative or
/// an assignment names one. What they were assigned to by a prefix is assessed again.
pub async fn delete(
    tx: &mut TenantTx,
    format: Format,
    name: &str,
    version: Option<i64>,
    held: &[String],
    by: ActorId,
) -> Result<(), StoreError> {
    let last = lock(tx, format, name, version).await?;
    refuse_named(tx, format, held).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into custom_source_versions (tenant_id, format, name, version, source, changed_by)
         values ($1, $2, $3, $4, null, $5)",
        tenant,
        format.as_str(),
        name,
        last + 1,
        by.0
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "delete from custom_sources where tenant_id = $1 and format = $2 and name = $3",
        tenant,
        format.as_str(),
        name
    )
    .execute(tx.conn())
    .await?;
    reassess(tx).await
}

/// Adds a source as it stands to its versions.
async fn note(tx: &mut TenantTx, format: Format, name: &str) -> Result<CustomSource, StoreError> {
    let row = get(tx, format, name).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into custom_source_versions (tenant_id, format, name, version, source, changed_by, changed_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        tenant,
        format.as_str(),
        row.name,
        row.version,
        row.source,
        row.changed_by,
        row.changed_at
    )
    .execute(tx.conn())
    .await?;
    Ok(row)
}

async fn lock(tx: &mut TenantTx, format: Format, name: &str, version: Option<i64>) -> Result<i64, StoreError> {
    let tenant = tx.tenant_uuid();
    let current = sqlx::query_scalar!(
        "select version from custom_sources where tenant_id = $1 and format = $2 and name = $3 for update",
        tenant,
        format.as_str(),
        name
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: format.what() })?;
    if version.is_none_or(|seen| seen == current) {
        Ok(current)
    } else {
        Err(StoreError::VersionMismatch { what: format.what(), current })
    }
}

/// The ids, or prefixes of ids, that an initiative of the tenant selects.
fn choices(definition: &Value) -> impl Iterator<Item = &str> {
    let choices = definition.get("controls").and_then(Value::as_array).into_iter().flatten();
    choices.filter_map(|choice| choice.get("id")?.as_str())
}

async fn refuse_named(tx: &mut TenantTx, format: Format, ids: &[String]) -> Result<(), StoreError> {
    let is_named = |id: &str| ids.iter().any(|own| own == id);
    let in_use = |by: String| Err(StoreError::InUse { what: format.what(), by });
    let initiatives = initiative::all(tx).await?;
    if let Some(user) = initiatives.iter().find(|user| choices(&user.definition).any(is_named)) {
        return in_use(format!("initiative `{}`", user.name));
    }
    let names = |user: &Assignment| user.params.as_object().is_some_and(|params| params.keys().any(|id| is_named(id)));
    match assignment::all(tx).await?.iter().find(|user| names(user)) {
        Some(user) => in_use(format!("assignment `{}`", user.name)),
        None => Ok(()),
    }
}

/// Makes what initiatives of the tenant's own are assigned to due for assessment: nothing else selects what it wrote.
async fn reassess(tx: &mut TenantTx) -> Result<(), StoreError> {
    let own: Vec<String> = initiative::all(tx).await?.into_iter().map(|initiative| initiative.name).collect();
    for user in assignment::all(tx).await?.into_iter().filter(|user| own.contains(&user.initiative)) {
        assignment::reassess(tx, &user.scope).await?;
    }
    Ok(())
}
