use std::collections::BTreeMap;

use rampart_domain::ConnectorId;
use secrecy::SecretString;

use crate::keyring::{Keyring, Label, Sealed};
use crate::{Store, StoreError, TenantTx, tenant};

pub(super) async fn clear(tx: &mut TenantTx, connector: ConnectorId) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!("delete from credentials where tenant_id = $1 and connector_id = $2", tenant, connector.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(super) async fn seal_all(
    tx: &mut TenantTx,
    keyring: &Keyring,
    connector: ConnectorId,
    credentials: &BTreeMap<String, SecretString>,
) -> Result<(), StoreError> {
    for (field, value) in credentials {
        let sealed = keyring.seal(&Label { tenant: tx.tenant(), connector, field }, value)?;
        let tenant = tx.tenant_uuid();
        sqlx::query!(
            "insert into credentials (tenant_id, connector_id, field, key_id, sealed) values ($1, $2, $3, $4, $5)",
            tenant,
            connector.0,
            field,
            sealed.key_id,
            sealed.bytes
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// Opens every secret of a connector, by field. An account of an organisation is read with the organisation's.
pub async fn credentials(
    tx: &mut TenantTx,
    keyring: &Keyring,
    connector: ConnectorId,
) -> Result<BTreeMap<String, SecretString>, StoreError> {
    let (tenant, tenant_id) = (tx.tenant_uuid(), tx.tenant());
    let rows = sqlx::query!(
        "select c.connector_id, field, key_id, sealed from credentials c
         join connectors o on o.tenant_id = c.tenant_id and c.connector_id = coalesce(o.parent_id, o.connector_id)
         where o.tenant_id = $1 and o.connector_id = $2",
        tenant,
        connector.0
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            let label = Label { tenant: tenant_id, connector: row.connector_id.into(), field: &row.field };
            let value = keyring.open(&label, &Sealed { key_id: row.key_id, bytes: row.sealed })?;
            Ok((row.field, value))
        })
        .collect()
}

/// Seals everything again that an earlier key sealed. Returns how many values that were.
pub async fn reseal(store: &Store, keyring: &Keyring) -> Result<u64, StoreError> {
    let mut resealed = 0;
    for tenant in tenant::all(store).await? {
        let mut tx = store.tenant(tenant).await?;
        resealed += reseal_tenant(&mut tx, keyring).await?;
        tx.commit().await?;
    }
    Ok(resealed)
}

async fn reseal_tenant(tx: &mut TenantTx, keyring: &Keyring) -> Result<u64, StoreError> {
    let (tenant, tenant_id) = (tx.tenant_uuid(), tx.tenant());
    let rows = sqlx::query!(
        "select connector_id, field, key_id, sealed from credentials
         where tenant_id = $1 and key_id <> $2 order by connector_id, field for update",
        tenant,
        keyring.active()
    )
    .fetch_all(tx.conn())
    .await?;
    let count = rows.len() as u64;
    for row in rows {
        let label = Label { tenant: tenant_id, connector: row.connector_id.into(), field: &row.field };
        let value = keyring.open(&label, &Sealed { key_id: row.key_id, bytes: row.sealed })?;
        let sealed = keyring.seal(&label, &value)?;
        sqlx::query!(
            "update credentials set key_id = $4, sealed = $5
             where tenant_id = $1 and connector_id = $2 and field = $3",
            tenant,
            row.connector_id,
            row.field,
            sealed.key_id,
            sealed.bytes
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(count)
}
