use chrono::Utc;
use rampart_connector::{Connector, PermissionCheck, PermissionState, ScanContext};
use rampart_store::permission_use::Declaration;
use rampart_store::work::Lease;
use rampart_store::worker::Failure;
use rampart_store::{StoreError, connector, scan_run};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::Discovery;
use crate::connect::{self, Source};
use crate::usage::Counting;

/// Tries the permissions of a claimed connector and stores what is missing.
pub(crate) async fn run(discovery: &Discovery, lease: &Lease, cancel: CancellationToken) -> Result<(), Failure> {
    let mut tx = discovery.store.fenced(lease).await?;
    let waiting = scan_run::begin_preflights(&mut tx, lease.subject.into()).await?;
    let row = match connector::get(&mut tx, lease.subject.into()).await {
        Ok(row) => row,
        Err(StoreError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let credentials = connector::credentials(&mut tx, &discovery.keyring, row.id).await;
    tx.commit().await?;
    let (counted, counting) = Counting::start(discovery, lease);
    let result = match credentials {
        Ok(credentials) => match connect::source(&counted, lease.tenant, &row, &credentials, cancel.clone()) {
            Ok(source) => check(&source, &counting, &cancel).await,
            Err(error) => Err(error.to_string()),
        },
        Err(error) => Err(error.to_string()),
    };
    let counted = counting.end().await;
    if cancel.is_cancelled() {
        return Err("the process is stopping".into());
    }
    let mut tx = discovery.store.fenced(lease).await?;
    counted.declare(&mut tx, lease, Declaration::Partial).await?;
    scan_run::end_preflights(&mut tx, &waiting, result.as_ref().map_err(String::as_str), Utc::now()).await?;
    tx.commit().await?;
    Ok(())
}

async fn check(source: &Source, counting: &Counting, cancel: &CancellationToken) -> Result<Value, String> {
    let cx = ScanContext { cancel: cancel.clone(), kinds: Vec::new(), started_at: Utc::now() };
    let (permissions, checks) = match source {
        Source::Cloud(cloud) => (cloud.permissions(), cloud.preflight(&cx).await),
        Source::Cluster { connector, .. } => (connector.permissions(), connector.preflight(&cx).await),
        Source::Pushed { connector, .. } => (connector.permissions(), connector.preflight(&cx).await),
        Source::Organization { organization, .. } => (organization.permissions(), organization.preflight(&cx).await),
    };
    counting.declare(permissions);
    let checks = checks.map_err(|error| error.to_string())?;
    Ok(Value::Array(checks.iter().map(line).collect()))
}

fn line(check: &PermissionCheck) -> Value {
    let (state, message, remedy) = match &check.state {
        PermissionState::Granted => ("granted", "", ""),
        PermissionState::Missing(gap) => ("missing", gap.message.as_str(), gap.remedy.as_str()),
        PermissionState::Unproven(why) => ("unproven", why.as_str(), ""),
    };
    json!({
        "permission": check.permission.name, "scope": check.scope, "state": state, "message": message,
        "remedy": remedy, "kinds": check.permission.kinds,
    })
}
