//! Which clusters are watched, by whom, and how far each watch has come.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rampart_domain::{ClusterId, ConnectorId, Gap, Kind, UnitId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::inventory::{ClusterRow, Source};
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx};

/// The provider's version up to which each kind is stored.
pub type Positions = BTreeMap<Kind, String>;

/// A cluster that is to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Whose credentials and settings are used.
    pub connector: ConnectorId,
    /// What is watched, as in coverage.
    pub scope: String,
    /// Where it goes on.
    pub positions: Positions,
}

/// How a watch fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was claimed and is being set up.
    Starting,
    /// Changes arrive.
    Watching,
    /// The cluster does not answer, or not to us.
    Failing,
}

impl State {
    /// The one spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Watching => "watching",
            Self::Failing => "failing",
        }
    }
}

fn positions_json(positions: &Positions) -> Value {
    positions
        .iter()
        .map(|(kind, at)| (kind.to_string(), Value::from(at.as_str())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn parse_positions(value: Value) -> Result<Positions, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::Corrupt(format!("positions of a watch: {error}")))
}

/// A scan listed a cluster: the watch goes on from there, unless it has come further. The first connector that sees a
/// cluster watches it. Asks for the watch when its connector wants one.
pub async fn seed(
    tx: &mut TenantTx,
    cluster: ClusterId,
    source: &Source,
    positions: &Positions,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let wanted = sqlx::query_scalar!(
        "select watch and not deleting as \"wanted!\" from connectors where tenant_id = $1 and connector_id = $2",
        tenant,
        source.connector.0
    )
    .fetch_optional(tx.conn())
    .await?;
    if wanted != Some(true) || positions.is_empty() {
        return Ok(());
    }
    let seeded = sqlx::query_scalar!(
        r#"insert into watches as w (tenant_id, cluster_id, connector_id, scope, positions) values ($1, $2, $3, $4, $5)
           on conflict (tenant_id, cluster_id) do update
           set positions = excluded.positions || w.positions, scope = excluded.scope
           where w.connector_id = excluded.connector_id
           returning xmax = 0 as "new!""#,
        tenant,
        cluster.0,
        source.connector.0,
        source.scope,
        positions_json(positions)
    )
    .fetch_optional(tx.conn())
    .await?;
    if seeded == Some(true) {
        work::request(tx, WorkKind::Watch, cluster.0).await?;
    }
    Ok(())
}

/// Where a watched cluster lies, and the uid of its kube-system namespace.
pub async fn place(tx: &mut TenantTx, cluster: ClusterId) -> Result<Option<(ClusterRow, Option<String>)>, StoreError> {
    let tenant = tx.tenant_uuid();
    let row = sqlx::query!(
        "select cloud, account, region, kube_uid from clusters
         where tenant_id = $1 and cluster_id = $2 and gone_at is null",
        tenant,
        cluster.0
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(|row| {
        let place = ClusterRow { id: cluster, cloud: row.cloud.parse()?, account: row.account, region: row.region };
        Ok((place, row.kube_uid))
    })
    .transpose()
}

/// What is to be watched of a cluster; `None` when nothing is any more.
pub async fn get(tx: &mut TenantTx, cluster: ClusterId) -> Result<Option<Watch>, StoreError> {
    let tenant = tx.tenant_uuid();
    let row = sqlx::query!(
        "select w.connector_id, w.scope, w.positions from watches w
         join connectors c using (tenant_id, connector_id)
         where w.tenant_id = $1 and w.cluster_id = $2 and c.watch and not c.deleting",
        tenant,
        cluster.0
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(|row| {
        let positions = parse_positions(row.positions)?;
        Ok(Watch { connector: ConnectorId(row.connector_id), scope: row.scope, positions })
    })
    .transpose()
}

/// Notes how a watch fares, and which kinds only scans read, with why. `since` moves when the state does.
pub async fn set_state(
    tx: &mut TenantTx,
    cluster: ClusterId,
    state: State,
    message: Option<&str>,
    polled: &BTreeMap<Kind, Gap>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let polled: serde_json::Map<String, Value> = polled
        .iter()
        .map(|(kind, gap)| {
            (kind.to_string(), json!({ "state": gap.state, "message": gap.message, "remedy": gap.remedy }))
        })
        .collect();
    sqlx::query!(
        "update watches set since = case when state = $3 then since else now() end, state = $3, message = left($4, 1000),
             polled = $5
         where tenant_id = $1 and cluster_id = $2",
        tenant,
        cluster.0,
        state.as_str(),
        message,
        Value::Object(polled)
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Changes were stored up to `positions`; call it in the transaction that stores them. `last_event` is when the last of
/// them arrived, with the milliseconds since the first. [`StoreError::LeaseLost`] when the cluster is not watched any more.
pub async fn advance(
    tx: &mut TenantTx,
    cluster: ClusterId,
    positions: &Positions,
    last_event: Option<(DateTime<Utc>, i32)>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let (at, lag) = last_event.unzip();
    let advanced = sqlx::query!(
        "update watches set positions = positions || $3, last_event_at = coalesce($4, last_event_at),
             lag_ms = coalesce($5, lag_ms)
         where tenant_id = $1 and cluster_id = $2",
        tenant,
        cluster.0,
        positions_json(positions),
        at,
        lag
    )
    .execute(tx.conn())
    .await?;
    if advanced.rows_affected() == 1 { Ok(()) } else { Err(StoreError::LeaseLost) }
}

/// A cluster is gone: whoever watches it finds that out with their next write, which is refused. The work is theirs to end;
/// their locks come in the order of work, then watch.
pub(crate) async fn abandon(tx: &mut TenantTx, cluster: ClusterId) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!("delete from watches where tenant_id = $1 and cluster_id = $2", tenant, cluster.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Nothing of a cluster is watched any more.
async fn forget(tx: &mut TenantTx, cluster: ClusterId) -> Result<(), StoreError> {
    work::forget(tx, WorkKind::Watch, &[cluster.0]).await?;
    abandon(tx, cluster).await
}

/// The clusters that a connector watches.
async fn of_connector(tx: &mut TenantTx, connector: ConnectorId) -> Result<Vec<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!(
        "select cluster_id from watches where tenant_id = $1 and connector_id = $2 order by cluster_id",
        tenant,
        connector.0
    )
    .fetch_all(tx.conn())
    .await?)
}

/// A connector's watches end at once: who holds them may write nothing any more.
pub async fn stop(tx: &mut TenantTx, connector: ConnectorId) -> Result<(), StoreError> {
    for cluster in of_connector(tx, connector).await? {
        forget(tx, cluster.into()).await?;
    }
    Ok(())
}

/// A connector's watches begin anew, with what it now says of credentials and kinds.
pub async fn restart(tx: &mut TenantTx, connector: ConnectorId) -> Result<(), StoreError> {
    let clusters = of_connector(tx, connector).await?;
    work::revoke(tx, WorkKind::Watch, &clusters).await
}

/// What tells of the images that run in a unit: every pod that runs, with its node, states and nothing else.
#[derive(Debug, Clone)]
pub struct RunningPod {
    /// Namespace.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// `{spec: {nodeName}, status}` as stored.
    pub config: Value,
}

/// Every pod of a unit that runs.
pub async fn running_pods(tx: &mut TenantTx, unit: UnitId) -> Result<Vec<RunningPod>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_as!(
        RunningPod,
        r#"select namespace, name,
               jsonb_build_object('spec', jsonb_build_object('nodeName', config #> '{spec,nodeName}'),
                                  'status', config -> 'status') as "config!"
           from resources where tenant_id = $1 and unit_id = $2 and kind = 'k8s.pod' and active"#,
        tenant,
        unit.0
    )
    .fetch_all(tx.conn())
    .await?)
}
