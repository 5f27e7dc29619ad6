//! Circumstances of judged resources that raise or lower the risk of their findings, and what they are worked out from.

use std::collections::BTreeMap;

use rampart_domain::{Kind, UnitId};
use serde_json::Value;
use uuid::Uuid;

use crate::{StoreError, TenantTx};

/// What is known of where a resource stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// The resource.
    pub resource_id: Uuid,
    /// Its namespace.
    pub namespace: Option<String>,
    /// What the factors weigh together.
    pub weight: i16,
    /// `[{factor, because}]`; empty when there are none.
    pub factors: Value,
}

/// Stores the contexts of some resources, and rewrites only what differs. One without factors leaves no row.
pub async fn write(tx: &mut TenantTx, unit: UnitId, contexts: &[Context]) -> Result<(), StoreError> {
    let (some, none): (Vec<&Context>, Vec<&Context>) =
        contexts.iter().partition(|context| context.factors.as_array().is_some_and(|factors| !factors.is_empty()));
    remove(tx, &none.iter().map(|context| context.resource_id).collect::<Vec<_>>()).await?;
    if some.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into resource_contexts as c (tenant_id, unit_id, resource_id, namespace, weight, factors)
         select $1, $2, i.* from unnest($3::uuid[], $4::text[], $5::int2[], $6::jsonb[]) as i
         on conflict (tenant_id, resource_id) do update set unit_id = excluded.unit_id, namespace = excluded.namespace,
             weight = excluded.weight, factors = excluded.factors
         where (c.unit_id, c.namespace, c.weight, c.factors)
             is distinct from (excluded.unit_id, excluded.namespace, excluded.weight, excluded.factors)",
        tenant,
        unit.0,
        &some.iter().map(|context| context.resource_id).collect::<Vec<_>>(),
        &some.iter().map(|context| context.namespace.as_deref()).collect::<Vec<_>>() as _,
        &some.iter().map(|context| context.weight).collect::<Vec<_>>(),
        &some.iter().map(|context| context.factors.clone()).collect::<Vec<_>>() as _,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Removes the contexts of some resources.
pub async fn remove(tx: &mut TenantTx, ids: &[Uuid]) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "delete from resource_contexts where tenant_id = $1 and resource_id in (select unnest($2::uuid[]))",
        tenant,
        ids
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The factors of a resource, `[{factor, because}]`. The caller must have seen the resource or a finding on it.
pub async fn factors(tx: &mut TenantTx, resource: Uuid) -> Result<Value, StoreError> {
    let tenant = tx.tenant_uuid();
    let found = sqlx::query_scalar!(
        "select factors from resource_contexts where tenant_id = $1 and resource_id = $2",
        tenant,
        resource
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(found.unwrap_or_else(|| Value::Array(Vec::new())))
}

/// Every context of a unit, by resource.
pub async fn of_unit(tx: &mut TenantTx, unit: UnitId) -> Result<BTreeMap<Uuid, Context>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query_as!(
        Context,
        "select resource_id, namespace, weight, factors from resource_contexts where tenant_id = $1 and unit_id = $2",
        tenant,
        unit.0
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|context| (context.resource_id, context)).collect())
}

/// The namespaces of a unit in which a resource has one of some factors.
pub async fn namespaces_with(tx: &mut TenantTx, unit: UnitId, factors: &[&str]) -> Result<Vec<String>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!(
        r#"select distinct namespace as "namespace!" from resource_contexts c
           where tenant_id = $1 and unit_id = $2 and namespace is not null
             and exists (select from jsonb_array_elements(c.factors) as f where f->>'factor' = any($3))"#,
        tenant,
        unit.0,
        factors as _
    )
    .fetch_all(tx.conn())
    .await?)
}

/// The labels of each namespace of a unit.
pub async fn namespace_labels(tx: &mut TenantTx, unit: UnitId) -> Result<Vec<(String, Value)>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        "select name, labels from resources where tenant_id = $1 and unit_id = $2 and kind = 'k8s.namespace'",
        tenant,
        unit.0
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.labels)).collect())
}

/// Name and labels of a unit's cluster, as its cloud tells of it.
pub async fn cluster_labels(tx: &mut TenantTx, unit: UnitId) -> Result<Vec<(String, Value)>, StoreError> {
    let tenant = tx.tenant_uuid();
    let kinds: Vec<&str> = Kind::ALL.iter().filter(|kind| kind.is_cloud_cluster()).map(|kind| kind.as_str()).collect();
    let rows = sqlx::query!(
        "select name, labels from resources where tenant_id = $1 and unit_id = $2 and kind = any($3) order by resource_id",
        tenant,
        unit.0,
        &kinds as _
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.labels)).collect())
}

/// Names of those of some namespaces that are in the inventory, by their ids.
pub async fn namespace_names(tx: &mut TenantTx, ids: &[Uuid]) -> Result<Vec<String>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!("select name from resources where tenant_id = $1 and resource_id = any($2)", tenant, ids)
        .fetch_all(tx.conn())
        .await?)
}

/// The namespaces of a unit's resources that are themselves not in the inventory.
pub async fn unlisted_namespaces(tx: &mut TenantTx, unit: UnitId) -> Result<Vec<String>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!(
        r#"select distinct namespace as "namespace!" from resources r
           where tenant_id = $1 and unit_id = $2 and namespace is not null
             and not exists (select from resources n where n.tenant_id = $1 and n.unit_id = $2
                                 and n.kind = 'k8s.namespace' and n.name = r.namespace)"#,
        tenant,
        unit.0
    )
    .fetch_all(tx.conn())
    .await?)
}

/// A binding of a cluster role to the whole cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterBinding {
    /// The binding.
    pub name: String,
    /// The cluster role.
    pub role: String,
    /// `[{kind, namespace, name}]`.
    pub subjects: Value,
}

/// The cluster role bindings of a unit.
pub async fn cluster_bindings(tx: &mut TenantTx, unit: UnitId) -> Result<Vec<ClusterBinding>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_as!(
        ClusterBinding,
        r#"select name, config#>>'{roleRef,name}' as "role!", (config->'subjects')::jsonb as "subjects!"
           from resources where tenant_id = $1 and unit_id = $2 and kind = 'k8s.clusterrolebinding'
             and config#>>'{roleRef,name}' is not null and config->'subjects' is not null
           order by name, resource_id"#,
        tenant,
        unit.0
    )
    .fetch_all(tx.conn())
    .await?)
}

/// The rules of some cluster roles of a unit, by name.
pub async fn cluster_roles(
    tx: &mut TenantTx,
    unit: UnitId,
    names: &[String],
) -> Result<BTreeMap<String, Value>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        r#"select name, (config->'rules')::jsonb as "rules!" from resources
           where tenant_id = $1 and unit_id = $2 and kind = 'k8s.clusterrole' and name = any($3)
             and config->'rules' is not null"#,
        tenant,
        unit.0,
        names
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.rules)).collect())
}

/// The service accounts of a unit whose tokens are not mounted unless a pod asks for it: namespace and name.
pub async fn unmounted_accounts(tx: &mut TenantTx, unit: UnitId) -> Result<Vec<(String, String)>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        r#"select namespace as "namespace!", name from resources
           where tenant_id = $1 and unit_id = $2 and kind = 'k8s.serviceaccount' and namespace is not null
             and config->>'automountServiceAccountToken' = 'false'"#,
        tenant,
        unit.0
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.namespace, row.name)).collect())
}

/// Which of some kinds are not read whole in a cluster.
pub async fn unread(tx: &mut TenantTx, cluster: Uuid, kinds: &[&str]) -> Result<Vec<String>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!(
        r#"select k.kind as "kind!" from unnest($3::text[]) as k(kind)
           where not exists (select from coverage v where v.tenant_id = $1 and v.cluster_id = $2 and v.kind = k.kind
                                 and v.state in ('read', 'not_applicable', 'unsupported') and not v.expired)
           order by 1"#,
        tenant,
        cluster,
        kinds as _
    )
    .fetch_all(tx.conn())
    .await?)
}
