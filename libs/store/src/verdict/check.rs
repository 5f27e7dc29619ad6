use std::collections::HashMap;

use serde_json::Value;

use crate::{StoreError, TenantTx};

/// A control with its effective parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckIdentity {
    /// Canonical control id.
    pub control_id: String,
    /// Hash of the effective parameters, defaults filled in.
    pub params_hash: Vec<u8>,
    /// The parameters themselves, for evidence.
    pub params: Value,
}

/// The ordinal of each check, giving new ones the next free. Ordinals are never reused.
pub async fn ensure_checks(tx: &mut TenantTx, checks: &[CheckIdentity]) -> Result<Vec<i32>, StoreError> {
    let tenant = tx.tenant_uuid();
    // Two assessments that meet a new check must agree on its ordinal.
    let mut known = check_ordinals(tx).await?;
    let missing = |known: &HashMap<(String, Vec<u8>), i32>| {
        checks.iter().any(|check| !known.contains_key(&(check.control_id.clone(), check.params_hash.clone())))
    };
    if missing(&known) {
        sqlx::query!("select pg_advisory_xact_lock(hashtextextended('checks' || $1, 0))", tenant.to_string())
            .execute(tx.conn())
            .await?;
        known = check_ordinals(tx).await?;
        let mut next = known.values().max().map_or(0, |max| max + 1);
        for check in checks {
            let key = (check.control_id.clone(), check.params_hash.clone());
            if known.contains_key(&key) {
                continue;
            }
            sqlx::query!(
                "insert into checks (tenant_id, ordinal, control_id, params_hash, params) values ($1, $2, $3, $4, $5)",
                tenant,
                next,
                check.control_id,
                check.params_hash,
                check.params
            )
            .execute(tx.conn())
            .await?;
            known.insert(key, next);
            next += 1;
        }
    }
    Ok(checks.iter().map(|check| known[&(check.control_id.clone(), check.params_hash.clone())]).collect())
}

/// The control of every ordinal ever given.
pub async fn check_controls(tx: &mut TenantTx) -> Result<HashMap<i32, String>, StoreError> {
    Ok(check_ordinals(tx).await?.into_iter().map(|((control, _), ordinal)| (ordinal, control)).collect())
}

/// The ordinals that were given, by control and hash of its parameters.
pub async fn check_ordinals(tx: &mut TenantTx) -> Result<HashMap<(String, Vec<u8>), i32>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!("select ordinal, control_id, params_hash from checks where tenant_id = $1", tenant)
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(|row| ((row.control_id, row.params_hash), row.ordinal)).collect())
}
