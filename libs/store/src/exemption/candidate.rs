//! What an exemption would have to be tried on.

use rampart_domain::exemption::{Condition, Cover, Subject};
use serde_json::Value;
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::reach::places;
use crate::{StoreError, TenantTx, Visible};

/// An unhealthy finding with what conditions look at.
#[derive(Debug, Clone, FromRow)]
pub struct Candidate {
    /// The resource.
    pub resource_id: Uuid,
    /// Ordinal of the check.
    pub ordinal: i32,
    /// The control.
    pub control_id: String,
    /// Kind of the resource.
    pub kind: String,
    /// Name of the resource.
    pub name: String,
    /// Account of the resource.
    pub account: Option<String>,
    /// Cluster of the resource.
    pub cluster_id: Option<Uuid>,
    /// Namespace of the resource.
    pub namespace: Option<String>,
    labels: Value,
    elements: Option<Value>,
}

impl Candidate {
    /// How much of it a condition covers.
    pub fn covered_by(&self, condition: &Condition) -> Result<Cover, StoreError> {
        let elements = self.elements.as_ref().and_then(Value::as_array);
        let elements: Vec<&str> = elements.into_iter().flatten().filter_map(Value::as_str).collect();
        let subject = Subject {
            account: self.account.as_deref(),
            cluster: self.cluster_id,
            namespace: self.namespace.as_deref(),
            labels: self.labels.as_object(),
            resource: self.resource_id,
            kind: self.kind.parse()?,
            name: &self.name,
        };
        Ok(condition.covers(&subject, &elements))
    }
}

/// Up to `limit` unhealthy findings of `controls` that the caller may see and that lie where the condition may hold, after
/// a resource and ordinal, in their order.
pub async fn candidates(
    tx: &mut TenantTx,
    visible: &Visible,
    controls: &[String],
    condition: &Condition,
    after: Option<(Uuid, i32)>,
    limit: u16,
) -> Result<Vec<Candidate>, StoreError> {
    // Elements lie in the evidence, which is read only where it matters.
    let elements = if condition.looks_at_elements() { "f.evidence -> 'elements'" } else { "null::jsonb" };
    let mut query = QueryBuilder::new(format!(
        "select f.resource_id, f.ordinal, f.control_id, r.kind, r.name, r.account, r.cluster_id, r.namespace, r.labels,
                {elements} as elements
         from findings f join resources r on r.tenant_id = f.tenant_id and r.resource_id = f.resource_id
         where f.status = 'unhealthy' and f.tenant_id = "
    ));
    query.push_bind(tx.tenant_uuid()).push(" and f.control_id = any(").push_bind(controls.to_vec()).push(")");
    let places = places(condition);
    if places.iter().all(|place| place.account.is_some() || place.cluster.is_some() || place.resource.is_some()) {
        let accounts: Vec<String> = places.iter().filter_map(|place| place.account.clone()).collect();
        let clusters: Vec<Uuid> = places.iter().filter_map(|place| place.cluster).collect();
        let resources: Vec<Uuid> = places.iter().filter_map(|place| place.resource).collect();
        query.push(" and (r.account = any(").push_bind(accounts);
        query.push(") or r.cluster_id = any(").push_bind(clusters);
        query.push(") or r.resource_id = any(").push_bind(resources).push("))");
    }
    visible.push(&mut query, "f");
    if let Some((resource, ordinal)) = after {
        query.push(" and (f.resource_id, f.ordinal) > (").push_bind(resource).push(", ").push_bind(ordinal).push(")");
    }
    query.push(" order by f.resource_id, f.ordinal limit ").push_bind(i64::from(limit));
    Ok(query.build_query_as::<Candidate>().fetch_all(tx.conn()).await?)
}
