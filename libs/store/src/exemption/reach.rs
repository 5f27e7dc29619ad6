//! Which units an exemption may hold for, and who may see it and decide about it.

use std::collections::{BTreeSet, HashMap};

use rampart_domain::exemption::{Condition, Place, fits};
use rampart_domain::{Cloud, ClusterId, TenantId, UnitId};
use uuid::Uuid;

use crate::assignment::{accounts_of_clusters, covers, touches};
use crate::score::reach;
use crate::{AccessScope, StoreError, TenantTx, Visible};

/// The places of a condition; the whole tenant where they cannot be told.
pub(crate) fn places(condition: &Condition) -> Vec<Place> {
    condition.places().unwrap_or_else(|| vec![Place::default()])
}

/// Where a resource lies, or lay when it was last seen.
pub(crate) struct Lies {
    pub(crate) unit: Uuid,
    account: Option<String>,
    cluster: Option<Uuid>,
    namespace: Option<String>,
}

/// Where the resources that places name lie. Of what is gone, its findings tell.
pub(crate) async fn resources(
    tx: &mut TenantTx,
    places: impl Iterator<Item = &Place>,
) -> Result<HashMap<Uuid, Lies>, StoreError> {
    let ids: Vec<Uuid> = places.filter_map(|place| place.resource).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        r#"select distinct on (resource_id) resource_id as "resource_id!", unit_id as "unit_id!", account, cluster_id, namespace
           from (select resource_id, unit_id, account, cluster_id, namespace, 0 as gone from resources
                 where tenant_id = $1 and resource_id = any($2)
                 union all
                 select resource_id, unit_id, account, cluster_id, namespace, 1 from findings
                 where tenant_id = $1 and resource_id = any($2)) known
           order by resource_id, gone"#,
        tenant,
        &ids
    )
    .fetch_all(tx.conn())
    .await?;
    let lies = rows.into_iter().map(|row| {
        let (account, cluster, namespace) = (row.account, row.cluster_id, row.namespace);
        (row.resource_id, Lies { unit: row.unit_id, account, cluster, namespace })
    });
    Ok(lies.collect())
}

/// Whether something in a unit may lie in a place. `account` tells whether the unit belongs to the account.
pub(crate) fn may_hold(
    place: &Place,
    unit: UnitId,
    is_cluster: bool,
    account: impl Fn(&str) -> bool,
    unit_of: impl Fn(Uuid) -> Option<Uuid>,
) -> bool {
    place.account.as_deref().is_none_or(account)
        && place.cluster.is_none_or(|cluster| is_cluster && cluster == unit.0)
        && place.resource.is_none_or(|resource| unit_of(resource) == Some(unit.0))
}

/// The units that conditions may hold for: clusters, and accounts as what belongs to no cluster.
pub(super) async fn units(tx: &mut TenantTx, conditions: &[&Condition]) -> Result<Vec<Uuid>, StoreError> {
    let (tenant, tenant_id) = (tx.tenant_uuid(), tx.tenant());
    let places: Vec<Place> = conditions.iter().flat_map(|condition| places(condition)).collect();
    let resources = resources(tx, places.iter()).await?;
    let unit_of = |resource: Uuid| resources.get(&resource).map(|lies| lies.unit);
    let rows = sqlx::query!(
        r#"select c.cluster_id as "unit!", c.account, true as "is_cluster!" from clusters c
           where c.tenant_id = $1 and c.gone_at is null
           union all
           select a.unit_id, null, false from assessments a
           where a.tenant_id = $1
             and not exists (select from clusters c where c.tenant_id = $1 and c.cluster_id = a.unit_id)"#,
        tenant
    )
    .fetch_all(tx.conn())
    .await?;
    let concerned = rows.into_iter().filter(|row| {
        let unit = UnitId(row.unit);
        let in_account = |account: &str| {
            row.account.as_deref() == Some(account) || (!row.is_cluster && is_unit_of(tenant_id, unit, account))
        };
        places.iter().any(|place| may_hold(place, unit, row.is_cluster, in_account, unit_of))
    });
    Ok(concerned.map(|row| row.unit).collect())
}

/// Whether a unit is what belongs to no cluster in an account.
fn is_unit_of(tenant: TenantId, unit: UnitId, account: &str) -> bool {
    Cloud::ALL.iter().any(|cloud| UnitId::account(tenant, *cloud, account) == unit)
}

/// Whether an exemption with this condition may hold for something that the caller may see.
pub async fn is_visible(tx: &mut TenantTx, visible: &Visible, condition: &Condition) -> Result<bool, StoreError> {
    if visible.all {
        return Ok(true);
    }
    let (places, accounts) = (places(condition), accounts_of_clusters(tx).await?);
    let resources = resources(tx, places.iter()).await?;
    Ok(places.iter().any(|place| match place {
        Place { resource: Some(resource), .. } => sees(visible, resources.get(resource)),
        Place { cluster: Some(cluster), namespace: Some(pattern), .. } => {
            let mut own = visible.namespace_clusters.iter().zip(&visible.namespaces);
            own.any(|(own, namespace)| own == cluster && fits(pattern, namespace))
                || covers(visible, &AccessScope::Cluster(ClusterId(*cluster)), &accounts)
        }
        Place { cluster: Some(cluster), .. } => touches(visible, &AccessScope::Cluster(ClusterId(*cluster)), &accounts),
        Place { account: Some(account), .. } => touches(visible, &AccessScope::Account(account.clone()), &accounts),
        _ => true,
    }))
}

/// Whether the caller's grants cover all that an exemption with this condition may hold for, so that it may decide about it.
pub async fn is_covered(tx: &mut TenantTx, visible: &Visible, condition: &Condition) -> Result<bool, StoreError> {
    if visible.all {
        return Ok(true);
    }
    let (places, accounts) = (places(condition), accounts_of_clusters(tx).await?);
    let resources = resources(tx, places.iter()).await?;
    let covered = |place: &Place| {
        let account = place.account.clone().map(AccessScope::Account);
        let cluster = place.cluster.map(|cluster| AccessScope::Cluster(ClusterId(cluster)));
        let exact = place.namespace.clone().filter(|namespace| !namespace.contains('*'));
        let namespace = place.cluster.zip(exact);
        let namespace = namespace.map(|(cluster, name)| AccessScope::Namespace(ClusterId(cluster), name));
        [account, cluster, namespace].iter().flatten().any(|scope| covers(visible, scope, &accounts))
            || place.resource.is_some_and(|resource| sees(visible, resources.get(&resource)))
    };
    Ok(places.iter().all(covered))
}

/// [`StoreError::NotFound`] when a condition names a cluster or a resource that is not there, or that the caller may not see.
pub async fn must_be_there(tx: &mut TenantTx, visible: &Visible, condition: &Condition) -> Result<(), StoreError> {
    let places = places(condition);
    let resources = resources(tx, places.iter()).await?;
    let clusters: BTreeSet<Uuid> = places.iter().filter_map(|place| place.cluster).collect();
    for cluster in clusters {
        reach(tx, visible, &AccessScope::Cluster(ClusterId(cluster))).await?;
    }
    let mut named = places.iter().filter_map(|place| place.resource);
    if named.all(|resource| sees(visible, resources.get(&resource))) {
        Ok(())
    } else {
        Err(StoreError::NotFound { what: "resource" })
    }
}

fn sees(visible: &Visible, lies: Option<&Lies>) -> bool {
    lies.is_some_and(|lies| visible.sees(lies.account.as_deref(), lies.cluster, lies.namespace.as_deref()))
}
