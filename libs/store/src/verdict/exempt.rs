//! What exemptions take from an assessment, and what they leave.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use rampart_domain::exemption::{Condition, Place};
use rampart_domain::{ExemptionId, Status, UnitId};
use sqlx::types::Json;
use uuid::Uuid;

use super::{FindingWrite, UnitPlace};
use crate::exemption::{Selected, may_hold, places, resources};
use crate::{StoreError, TenantTx};

/// An exemption that has not expired.
#[derive(Debug, Clone, PartialEq)]
pub struct ExemptionRow {
    /// Its id.
    pub id: ExemptionId,
    /// Which controls it is about.
    pub selected: Selected,
    /// Which resources, and which elements of them.
    pub condition: Condition,
    /// Units of the resources that it names.
    pub units: HashMap<Uuid, Uuid>,
}

impl ExemptionRow {
    /// Whether it may hold for something in a unit.
    pub fn concerns(&self, unit: UnitId, place: &UnitPlace) -> bool {
        let in_account = |account: &str| place.account.as_deref() == Some(account);
        let unit_of = |resource: Uuid| self.units.get(&resource).copied();
        places(&self.condition).iter().any(|it| may_hold(it, unit, place.is_cluster, in_account, unit_of))
    }
}

/// The exemptions that have not expired, the oldest first.
pub(super) async fn in_force(tx: &mut TenantTx) -> Result<Vec<ExemptionRow>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        r#"select exemption_id, controls, initiative, condition as "condition: Json<Condition>" from exemptions
           where tenant_id = $1 and (expires_at is null or expires_at > now()) order by exemption_id"#,
        tenant
    )
    .fetch_all(tx.conn())
    .await?;
    let all: Vec<Place> = rows.iter().flat_map(|row| places(&row.condition.0)).collect();
    let lies = resources(tx, all.iter()).await?;
    rows.into_iter()
        .map(|row| {
            let condition = row.condition.0;
            let named = places(&condition).into_iter().filter_map(|place| place.resource);
            let units = named.filter_map(|resource| Some((resource, lies.get(&resource)?.unit))).collect();
            let selected = Selected::from_columns(row.controls, row.initiative)?;
            Ok(ExemptionRow { id: row.exemption_id.into(), selected, condition, units })
        })
        .collect()
}

/// The resources of a unit whose verdicts may differ when exemptions do: those with an exempt finding, or with an unhealthy
/// one of `controls`.
pub async fn exemptible(tx: &mut TenantTx, unit: UnitId, controls: &[&str]) -> Result<Vec<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!(
        "select distinct resource_id from findings
         where tenant_id = $1 and unit_id = $2
           and (status = 'exempt' or status = 'unhealthy' and control_id = any($3))",
        tenant,
        unit.0,
        controls as _
    )
    .fetch_all(tx.conn())
    .await?)
}

/// The violating elements that the evidence of unhealthy and exempt findings names, by resource and ordinal.
pub async fn elements_of(tx: &mut TenantTx, ids: &[Uuid]) -> Result<HashMap<(Uuid, i32), Vec<String>>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        r#"select resource_id, ordinal, evidence -> 'elements' as "elements!: Json<Vec<String>>" from findings
           where tenant_id = $1 and resource_id in (select unnest($2::uuid[])) and status in ('unhealthy', 'exempt')
             and evidence ? 'elements'"#,
        tenant,
        ids
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| ((row.resource_id, row.ordinal), row.elements.0)).collect())
}

/// Notes which exemptions hide something in the unit.
pub(super) async fn note_uses(
    tx: &mut TenantTx,
    unit: UnitId,
    now: DateTime<Utc>,
    findings: &[FindingWrite],
) -> Result<(), StoreError> {
    let exempt = findings.iter().filter(|finding| finding.status == Status::Exempt);
    let used: BTreeSet<Uuid> = exempt.filter_map(|finding| Some(finding.exemption?.0)).collect();
    if used.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into exemption_uses (tenant_id, unit_id, exemption_id, matched_at)
         select $1, $2, id, $4 from unnest($3::uuid[]) as i(id)
         on conflict (tenant_id, exemption_id, unit_id) do update set matched_at = excluded.matched_at",
        tenant,
        unit.0,
        &used.into_iter().collect::<Vec<_>>(),
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
