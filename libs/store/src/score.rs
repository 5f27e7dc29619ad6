//! Counters behind secure score and recommendations, narrowed to what a caller asked about and may see.

use rampart_domain::{Cloud, UnitId};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{AccessScope, StoreError, TenantTx, Visible};

/// The part of a tenant that numbers are wanted for: whole units, and single namespaces of other units.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    /// Whole units; `None` means all of the tenant.
    pub units: Option<Vec<Uuid>>,
    /// Clusters of the namespaces, pairwise with `namespaces`.
    pub namespace_clusters: Vec<Uuid>,
    /// Namespaces, pairwise with `namespace_clusters`.
    pub namespaces: Vec<String>,
}

impl Reach {
    fn units(units: Vec<Uuid>) -> Self {
        Self { units: Some(units), ..Self::default() }
    }

    fn is_nothing(&self) -> bool {
        self.units.as_ref().is_some_and(Vec::is_empty) && self.namespaces.is_empty()
    }
}

/// What of `scope` the caller may see. [`StoreError::NotFound`] when that is nothing.
pub async fn reach(tx: &mut TenantTx, visible: &Visible, scope: &AccessScope) -> Result<Reach, StoreError> {
    reach_of(tx, visible, scope, false).await
}

/// The same with clusters that are gone: what of `scope` the caller may see of the past.
pub async fn past_reach(tx: &mut TenantTx, visible: &Visible, scope: &AccessScope) -> Result<Reach, StoreError> {
    reach_of(tx, visible, scope, true).await
}

async fn reach_of(
    tx: &mut TenantTx,
    visible: &Visible,
    scope: &AccessScope,
    with_gone: bool,
) -> Result<Reach, StoreError> {
    let (tenant, tenant_id) = (tx.tenant_uuid(), tx.tenant());
    if *scope == AccessScope::Tenant && visible.all {
        return Ok(Reach::default());
    }
    let clusters = sqlx::query!(
        "select cluster_id, account from clusters where tenant_id = $1 and ($2 or gone_at is null)",
        tenant,
        with_gone
    )
    .fetch_all(tx.conn())
    .await?;
    let whole = |cluster: Uuid, account: Option<&str>| visible.sees(account, Some(cluster), None);
    let accounts =
        |account: &str| Cloud::ALL.iter().map(|cloud| UnitId::account(tenant_id, *cloud, account).0).collect();
    let namespaces_of = |wanted: &dyn Fn(Uuid) -> bool| {
        let pairs = visible.namespace_clusters.iter().zip(&visible.namespaces);
        let pairs = pairs.filter(|(cluster, _)| {
            let account =
                clusters.iter().find(|row| row.cluster_id == **cluster).and_then(|row| row.account.as_deref());
            wanted(**cluster) && !whole(**cluster, account)
        });
        pairs.map(|(cluster, namespace)| (*cluster, namespace.clone())).unzip()
    };
    let in_scope = |row_cluster: Uuid, row_account: Option<&str>| match scope {
        AccessScope::Tenant => true,
        AccessScope::Account(account) => row_account == Some(account),
        AccessScope::Cluster(cluster) | AccessScope::Namespace(cluster, _) => row_cluster == cluster.0,
    };
    let found: Vec<(Uuid, Option<&str>)> = clusters
        .iter()
        .map(|row| (row.cluster_id, row.account.as_deref()))
        .filter(|(cluster, account)| in_scope(*cluster, *account))
        .collect();
    let mut units: Vec<Uuid> =
        found.iter().filter(|(cluster, account)| whole(*cluster, *account)).map(|(cluster, _)| *cluster).collect();
    match scope {
        AccessScope::Tenant => units.extend(visible.accounts.iter().flat_map(|account| {
            let ids: Vec<Uuid> = accounts(account);
            ids
        })),
        AccessScope::Account(account) if visible.sees(Some(account), None, None) => {
            let ids: Vec<Uuid> = accounts(account);
            units.extend(ids);
        }
        AccessScope::Account(_) | AccessScope::Cluster(_) => {}
        AccessScope::Namespace(cluster, namespace) => {
            let seen = !units.is_empty() || visible.has_namespace(cluster.0, namespace);
            if found.is_empty() || !seen {
                return Err(StoreError::NotFound { what: "namespace" });
            }
            let mut reach = Reach::units(Vec::new());
            reach.namespace_clusters = vec![cluster.0];
            reach.namespaces = vec![namespace.clone()];
            return Ok(reach);
        }
    }
    let (namespace_clusters, namespaces) = namespaces_of(&|cluster| found.iter().any(|(id, _)| *id == cluster));
    let reach = Reach { units: Some(units), namespace_clusters, namespaces };
    if reach.is_nothing() { Err(StoreError::NotFound { what: "scope" }) } else { Ok(reach) }
}

/// Resources that count, by their worst verdict within a score group.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct GroupCounts {
    /// The group.
    pub score_group: String,
    /// Resources without an unhealthy or unknown verdict in the group.
    pub healthy: i64,
    /// Resources with an unhealthy verdict in the group.
    pub unhealthy: i64,
    /// Resources with an unknown verdict and no unhealthy one in the group.
    pub unknown: i64,
    /// Of the healthy and unhealthy ones, those with a verdict that could not be given again.
    pub stale: i64,
    /// Resources with an exempt verdict in the group, however else they count.
    pub exempt: i64,
}

/// Resources per score group. `groups` maps control ids to groups; only namespaces need it, units are counted already.
pub async fn groups(
    tx: &mut TenantTx,
    reach: &Reach,
    groups: &[(String, String)],
) -> Result<Vec<GroupCounts>, StoreError> {
    let tenant = tx.tenant_uuid();
    let mut counts = sqlx::query_as!(
        GroupCounts,
        r#"select score_group, sum(healthy)::bigint as "healthy!", sum(unhealthy)::bigint as "unhealthy!",
                  sum(unknown)::bigint as "unknown!", sum(stale)::bigint as "stale!", sum(exempt)::bigint as "exempt!"
           from score_counts where tenant_id = $1 and ($2::uuid[] is null or unit_id = any($2))
           group by score_group order by score_group"#,
        tenant,
        reach.units.as_deref() as _
    )
    .fetch_all(tx.conn())
    .await?;
    if reach.namespaces.is_empty() {
        return Ok(counts);
    }
    let (controls, names): (Vec<String>, Vec<String>) = groups.iter().cloned().unzip();
    let own = sqlx::query_as!(
        GroupCounts,
        r#"with checked as (
               select r.resource_id, g.score_group,
                      coalesce(bool_or(f.status <> 'exempt'), false) as unhealthy,
                      coalesce(bool_or(f.status = 'exempt'), false) as exempt,
                      bool_or(b.unknown and not b.healthy and not b.not_applicable and f.ordinal is null) as unknown,
                      coalesce(bool_or(b.unknown and (b.healthy or f.status <> 'exempt')), false) as stale,
                      bool_or(b.healthy) as healthy
               from unnest($2::uuid[], $3::text[]) as n(cluster_id, namespace)
               join resources r on r.tenant_id = $1 and r.unit_id = n.cluster_id and r.namespace = n.namespace
               join verdicts v on v.tenant_id = $1 and v.resource_id = r.resource_id and v.scored
               join checks c on c.tenant_id = $1
               cross join lateral (select
                   get_bit(v.unknown || '\x00', least(c.ordinal, octet_length(v.unknown) * 8)) = 1 as unknown,
                   get_bit(v.healthy || '\x00', least(c.ordinal, octet_length(v.healthy) * 8)) = 1 as healthy,
                   get_bit(v.not_applicable || '\x00', least(c.ordinal, octet_length(v.not_applicable) * 8)) = 1
                       as not_applicable) b
               join unnest($4::text[], $5::text[]) as g(control_id, score_group) on g.control_id = c.control_id
               left join findings f on f.tenant_id = $1 and f.resource_id = r.resource_id and f.ordinal = c.ordinal
                    and (f.status in ('unhealthy', 'exempt')
                         -- Unknown for want of a reading, and violated at the last one.
                         or (f.status = 'unknown' and f.open_since is not null
                             and v.reasons -> f.ordinal::text ->> 'reason' = 'unread'))
               group by r.resource_id, g.score_group
           )
           select score_group as "score_group!",
                  count(*) filter (where healthy and not unhealthy and not unknown) as "healthy!",
                  count(*) filter (where unhealthy) as "unhealthy!",
                  count(*) filter (where unknown and not unhealthy) as "unknown!",
                  count(*) filter (where stale and (unhealthy or healthy and not unknown)) as "stale!",
                  count(*) filter (where exempt) as "exempt!"
           from checked group by score_group order by score_group"#,
        tenant,
        &reach.namespace_clusters,
        &reach.namespaces,
        &controls,
        &names
    )
    .fetch_all(tx.conn())
    .await?;
    for add in own {
        match counts.iter_mut().find(|sum| sum.score_group == add.score_group) {
            Some(sum) => {
                sum.healthy += add.healthy;
                sum.unhealthy += add.unhealthy;
                sum.unknown += add.unknown;
                sum.stale += add.stale;
                sum.exempt += add.exempt;
            }
            None => counts.push(add),
        }
    }
    Ok(counts)
}
