use std::collections::BTreeMap;

use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_connector::Limits;
use rampart_domain::ConnectorId;
use rampart_store::page::Page;
use rampart_store::preflight::PermissionCheck;
use rampart_store::scan_calls::{self, FamilyCalls, LastCalls};
use rampart_store::{TenantTx, connector, preflight};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::http::{Answer, ApiError, Caller, PathOf, ReadInventory};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_scan_estimate))
}

/// What the next scan is expected to ask of the provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScanEstimate)]
struct EstimateView {
    connector_id: Uuid,
    /// `last_scan` (from its counts), `preflight` (each call that was tried counted once: the least that a scan makes) or
    /// `none` (nothing is known yet: test the connector).
    #[schema(example = "last_scan")]
    basis: &'static str,
    /// Calls in all; null when nothing is known.
    calls: Option<u64>,
    /// Least seconds at the configured rates; null when nothing is known.
    seconds: Option<u64>,
    /// By API family.
    families: Vec<FamilyView>,
    rates: RatesView,
    /// The scan that the estimate is taken from.
    last_scan: Option<LastScanView>,
}

/// One API family.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FamilyEstimate)]
struct FamilyView {
    #[schema(example = "eks")]
    family: String,
    calls: u64,
    /// Calls that were answered with "too many" the last time.
    throttled: u64,
    /// Places that the provider counts separately: account and region, or cluster.
    places: u64,
    /// Least seconds at the configured rates.
    seconds: u64,
}

/// The configured pace.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfiguredRates)]
struct RatesView {
    /// Calls a second in each place and family.
    calls_per_second: f64,
    /// Calls that a place at rest lets through at once.
    burst: u32,
    /// Calls in flight per account.
    concurrency: usize,
}

/// The scan that an estimate is taken from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EstimatedFrom)]
struct LastScanView {
    id: Uuid,
    finished_at: Option<DateTime<Utc>>,
    /// How long it took.
    seconds: Option<i64>,
}

impl From<&LastCalls> for LastScanView {
    fn from(last: &LastCalls) -> Self {
        let took = last.started_at.zip(last.finished_at).map(|(from, to)| (to - from).num_seconds());
        Self { id: last.scan_id, finished_at: last.finished_at, seconds: took }
    }
}

/// Estimate the next scan of a connector: its calls by API family, and the least time they take at the configured rates.
#[utoipa::path(get, path = "/v1/connectors/{connector}/scan-estimate", tag = "scans",
    params(("connector" = String, Path, description = "Name or id")), responses((status = 200, body = EstimateView)))]
async fn get_scan_estimate(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(name): PathOf<String>,
) -> Result<Answer, ApiError> {
    caller.must_see_everything("connector")?;
    let mut tx = app.tx(&caller).await?;
    let id = connector::resolve(&mut tx, &name).await?;
    let last = scan_calls::last(&mut tx, id).await?;
    let (basis, families) = match &last {
        Some(last) => ("last_scan", last.calls.0.clone()),
        None => match checks(&mut tx, id).await? {
            checks if checks.is_empty() => ("none", Vec::new()),
            checks => ("preflight", declared(&checks)),
        },
    };
    let limits = app.limits();
    let families: Vec<FamilyView> = families.into_iter().map(|family| view(family, limits)).collect();
    Ok(Answer::ok(EstimateView {
        connector_id: id.0,
        basis,
        calls: (basis != "none").then(|| families.iter().map(|family| family.calls).sum()),
        // Families are asked side by side: the longest decides.
        seconds: families.iter().map(|family| family.seconds).max(),
        families,
        rates: RatesView { calls_per_second: limits.rate, burst: limits.burst, concurrency: limits.concurrency },
        last_scan: last.as_ref().map(LastScanView::from),
    }))
}

/// The lines of the last permission check that came to its end.
async fn checks(tx: &mut TenantTx, connector: ConnectorId) -> Result<Vec<PermissionCheck>, ApiError> {
    let page = Page { limit: 20, filters: String::new(), after: None };
    let preflights = preflight::list(tx, connector, &page).await?.items;
    let ended = preflights.into_iter().find(|preflight| preflight.status == "succeeded");
    Ok(ended.map(|preflight| preflight.checks.0).unwrap_or_default())
}

/// Each call that was tried, once in each place. What is refused is asked again by a scan, too.
fn declared(checks: &[PermissionCheck]) -> Vec<FamilyCalls> {
    let mut places: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for check in checks {
        // `eks:ListClusters` is of the family eks; `list pods` and `get /version` are the Kubernetes API's.
        let family = check.permission.split_once([':', '/']).filter(|(word, _)| !word.contains(' '));
        let family = family.map_or("kubernetes", |(family, _)| family);
        *places.entry(family).or_default().entry(&check.scope).or_default() += 1;
    }
    let total = |(family, places): (&str, BTreeMap<&str, u64>)| FamilyCalls {
        family: family.to_owned(),
        calls: places.values().sum(),
        throttled: 0,
        buckets: places.len() as u64,
        largest: places.values().copied().max().unwrap_or_default(),
    };
    places.into_iter().map(total).collect()
}

fn view(family: FamilyCalls, limits: &Limits) -> FamilyView {
    let beyond_burst = family.largest.saturating_sub(limits.burst.into());
    let seconds = (beyond_burst as f64 / limits.rate).ceil() as u64;
    FamilyView {
        family: family.family,
        calls: family.calls,
        throttled: family.throttled,
        places: family.buckets,
        seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_that_is_asked_most_decides_the_time() {
        let family =
            |largest| FamilyCalls { family: "eks".into(), calls: 2 * largest, throttled: 0, buckets: 2, largest };
        let check = |largest, fraction, want| {
            let limits = Limits { rate: 40.0, burst: 80, ..Limits::default() }.scaled(fraction);
            assert_eq!(view(family(largest), &limits).seconds, want, "{largest} at {fraction}");
        };
        check(80, 1.0, 0);
        check(480, 1.0, 10);
        check(480, 0.5, 22);
        check(481, 1.0, 11);
    }

    #[test]
    fn a_preflight_tells_the_least_by_family_and_place() {
        let check = |permission: &str, scope: &str| PermissionCheck {
            permission: permission.into(),
            scope: scope.into(),
            state: "granted".into(),
            message: String::new(),
            remedy: String::new(),
            kinds: Vec::new(),
        };
        let families = declared(&[
            check("eks:ListClusters", "eu-west-1"),
            check("eks:DescribeCluster", "eu-west-1"),
            check("eks:ListClusters", "us-east-1"),
            check("list pods", "c"),
            check("get /version", "c"),
            check("Microsoft.ContainerService/managedClusters/read", "s"),
        ]);
        let found: Vec<_> = families.iter().map(|it| (it.family.as_str(), it.calls, it.buckets, it.largest)).collect();
        assert_eq!(found, [("Microsoft.ContainerService", 1, 1, 1), ("eks", 3, 2, 2), ("kubernetes", 2, 1, 2)]);
    }
}
