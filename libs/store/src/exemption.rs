//! Exemptions: deviations that were accepted. Every change makes the units that it touches due for assessment, and so does
//! the moment at which one expires.

mod candidate;
mod reach;
mod report;

pub use candidate::{Candidate, candidates};
pub use reach::{is_covered, is_visible, must_be_there};
pub(crate) use reach::{may_hold, places, resources};
pub use report::{Hidden, hidden, hidden_by};

use chrono::{DateTime, Utc};
use rampart_domain::exemption::Condition;
use rampart_domain::{ExemptionCategory, ExemptionId};
use sqlx::types::Json;
use uuid::Uuid;

use crate::work::{self, Lease, WorkKind};
use crate::{Store, StoreError, TenantTx};

/// What an exemption says.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Unique name.
    pub name: String,
    /// Whether the risk is accepted, or taken care of otherwise.
    pub category: ExemptionCategory,
    /// Why.
    pub reason: String,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// From when on it holds no more.
    pub expires_at: Option<DateTime<Utc>>,
    /// Which controls it is about.
    pub selected: Selected,
    /// Which resources, and which elements of them.
    pub condition: Condition,
}

/// Which controls an exemption is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selected {
    /// Ids of controls, or `prefix.*`.
    Controls(Vec<String>),
    /// All of an initiative, by its id or name.
    Initiative(String),
}

/// A deviation that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemption {
    /// Its id.
    pub id: ExemptionId,
    /// What it says.
    pub terms: Terms,
    /// Rises with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

struct Row {
    exemption_id: Uuid,
    name: String,
    category: String,
    reason: String,
    approved_by: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    controls: Option<Vec<String>>,
    initiative: Option<String>,
    condition: Json<Condition>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Selected {
    pub(crate) fn from_columns(controls: Option<Vec<String>>, initiative: Option<String>) -> Result<Self, StoreError> {
        match (controls, initiative) {
            (Some(controls), None) => Ok(Self::Controls(controls)),
            (None, Some(initiative)) => Ok(Self::Initiative(initiative)),
            _ => Err(StoreError::Corrupt("an exemption names controls or an initiative".into())),
        }
    }

    fn columns(&self) -> (Option<&[String]>, Option<&str>) {
        match self {
            Self::Controls(controls) => (Some(controls), None),
            Self::Initiative(initiative) => (None, Some(initiative)),
        }
    }
}

impl Row {
    fn parse(self) -> Result<Exemption, StoreError> {
        Ok(Exemption {
            id: ExemptionId(self.exemption_id),
            terms: Terms {
                name: self.name,
                category: self.category.parse()?,
                reason: self.reason,
                approved_by: self.approved_by,
                expires_at: self.expires_at,
                selected: Selected::from_columns(self.controls, self.initiative)?,
                condition: self.condition.0,
            },
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

const NOT_FOUND: StoreError = StoreError::NotFound { what: "exemption" };

/// Makes an exemption.
pub async fn create(tx: &mut TenantTx, terms: &Terms) -> Result<Exemption, StoreError> {
    let (tenant, id) = (tx.tenant_uuid(), Uuid::now_v7());
    let (controls, initiative) = terms.selected.columns();
    sqlx::query!(
        "insert into exemptions (tenant_id, exemption_id, name, category, reason, approved_by, expires_at, controls,
                                 initiative, condition)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        tenant,
        id,
        terms.name,
        terms.category.as_str(),
        terms.reason,
        terms.approved_by,
        terms.expires_at,
        controls,
        initiative,
        Json(&terms.condition) as _
    )
    .execute(tx.conn())
    .await
    .map_err(|error| StoreError::on_conflict(error, "exemption", &terms.name))?;
    due(tx, ExemptionId(id), terms.expires_at, &[&terms.condition]).await?;
    get(tx, ExemptionId(id)).await
}

/// One exemption.
pub async fn get(tx: &mut TenantTx, exemption: ExemptionId) -> Result<Exemption, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(
        Row,
        r#"select exemption_id, name, category, reason, approved_by, expires_at, controls, initiative,
                  condition as "condition: Json<Condition>", version, created_at, updated_at
           from exemptions where tenant_id = $1 and exemption_id = $2"#,
        tenant,
        exemption.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(NOT_FOUND)?
    .parse()
}

/// Every exemption of the tenant, by name. A tenant has few.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<Exemption>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query_as!(
        Row,
        r#"select exemption_id, name, category, reason, approved_by, expires_at, controls, initiative,
                  condition as "condition: Json<Condition>", version, created_at, updated_at
           from exemptions where tenant_id = $1 order by name"#,
        tenant
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(Row::parse).collect()
}

/// Replaces what an exemption says. What it leaves and what it reaches is assessed again.
pub async fn update(
    tx: &mut TenantTx,
    exemption: ExemptionId,
    version: Option<i64>,
    terms: &Terms,
) -> Result<Exemption, StoreError> {
    let before = lock(tx, exemption, version).await?;
    let tenant = tx.tenant_uuid();
    let (controls, initiative) = terms.selected.columns();
    sqlx::query!(
        "update exemptions set name = $3, category = $4, reason = $5, approved_by = $6, expires_at = $7, controls = $8,
                initiative = $9, condition = $10, version = version + 1, updated_at = now()
         where tenant_id = $1 and exemption_id = $2",
        tenant,
        exemption.0,
        terms.name,
        terms.category.as_str(),
        terms.reason,
        terms.approved_by,
        terms.expires_at,
        controls,
        initiative,
        Json(&terms.condition) as _
    )
    .execute(tx.conn())
    .await
    .map_err(|error| StoreError::on_conflict(error, "exemption", &terms.name))?;
    due(tx, exemption, terms.expires_at, &[&before.terms.condition, &terms.condition]).await?;
    get(tx, exemption).await
}

/// Removes an exemption.
pub async fn delete(tx: &mut TenantTx, exemption: ExemptionId, version: Option<i64>) -> Result<(), StoreError> {
    let before = lock(tx, exemption, version).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!("delete from exemptions where tenant_id = $1 and exemption_id = $2", tenant, exemption.0)
        .execute(tx.conn())
        .await?;
    due(tx, exemption, None, &[&before.terms.condition]).await?;
    // After the units: their assessments write these rows while they hold them.
    sqlx::query!("delete from exemption_uses where tenant_id = $1 and exemption_id = $2", tenant, exemption.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

async fn lock(tx: &mut TenantTx, exemption: ExemptionId, version: Option<i64>) -> Result<Exemption, StoreError> {
    let tenant = tx.tenant_uuid();
    let current = sqlx::query_scalar!(
        "select version from exemptions where tenant_id = $1 and exemption_id = $2 for update",
        tenant,
        exemption.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(NOT_FOUND)?;
    if version.is_some_and(|seen| seen != current) {
        return Err(StoreError::VersionMismatch { what: "exemption", current });
    }
    get(tx, exemption).await
}

/// Makes what the conditions may hold for due for assessment, now and when the exemption expires.
async fn due(
    tx: &mut TenantTx,
    exemption: ExemptionId,
    expires_at: Option<DateTime<Utc>>,
    conditions: &[&Condition],
) -> Result<(), StoreError> {
    // Before the units, in the order in which an expiry takes them.
    work::forget(tx, WorkKind::Expire, &[exemption.0]).await?;
    if let Some(at) = expires_at {
        work::request_at(tx, WorkKind::Expire, exemption.0, at).await?;
    }
    reassess(tx, conditions).await
}

/// Makes what conditions may hold for due for assessment.
pub(crate) async fn reassess(tx: &mut TenantTx, conditions: &[&Condition]) -> Result<(), StoreError> {
    let mut units = reach::units(tx, conditions).await?;
    // In the order in which everybody locks them.
    units.sort_unstable();
    for unit in units {
        work::request(tx, WorkKind::Assess, unit).await?;
    }
    Ok(())
}

/// Does what is due when an exemption expires: what it held for is assessed without it.
pub async fn expire(store: &Store, lease: &Lease) -> Result<(), StoreError> {
    let mut tx = store.fenced(lease).await?;
    match get(&mut tx, lease.subject.into()).await {
        Ok(exemption) => reassess(&mut tx, &[&exemption.terms.condition]).await?,
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    tx.commit().await
}
