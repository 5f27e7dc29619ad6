//! Compute Engine's networks, as far as clusters stand in them: the subnetworks of every region and the firewall rules,
//! which belong to no region.

use std::collections::BTreeSet;
use std::pin::pin;

use futures::StreamExt;
use rampart_connector::{ConnectorError, ErrorKind, Lister, Outcome};
use rampart_domain::Kind;
use serde_json::{Map, Value};

use crate::calls::{LIST_FIREWALLS, LIST_SUBNETWORKS, items};
use crate::connector::Run;
use crate::normalize;

/// The most that one page holds.
const PAGE: usize = 500;
/// The warning of a region that has nothing on a page. Any other one says that something is missing.
const NOTHING_HERE: &str = "NO_RESULTS_ON_PAGE";

pub(crate) async fn read(run: &Run<'_>) {
    tokio::join!(subnetworks(run), firewalls(run));
}

async fn subnetworks(run: &Run<'_>) {
    let lister = run.start(Kind::GcpComputeSubnetwork).await;
    if lister.is_open()
        && let Err(error) = of_all_regions(run, &lister).await
    {
        lister.fail(error);
    }
    lister.finish(Outcome::Complete).await;
}

async fn of_all_regions(run: &Run<'_>, lister: &Lister<'_>) -> Result<(), ConnectorError> {
    let calls = &run.calls;
    let list = |page| calls.subnetworks(&run.config.project_id, page);
    let mut pages = pin!(calls.pages_as(LIST_SUBNETWORKS, PAGE, list, regions));
    let mut missing = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let Regions { subnetworks, silent } = page?;
        for (region, subnetwork) in subnetworks {
            if run.config.covers_region(&region) {
                lister.push(LIST_SUBNETWORKS, normalize::subnetwork(&run.place.at(&region), subnetwork)).await;
            }
        }
        missing.extend(silent.into_iter().filter(|region| run.config.covers_region(region)));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<_> = missing.into_iter().collect();
    let message = format!("the answer lacks subnetworks of {}, which did not respond", missing.join(", "));
    let remedy = "Google Cloud could not ask these regions; the next scan tries again.";
    Err(ConnectorError::new(ErrorKind::Transient, LIST_SUBNETWORKS, message).with_remedy(remedy))
}

/// One page of a listing of all regions.
#[derive(Debug, Default)]
struct Regions {
    /// With their regions.
    subnetworks: Vec<(String, Value)>,
    /// Regions that were not asked, or not to their end.
    silent: Vec<String>,
}

fn regions(answer: &mut Value) -> Result<Regions, ConnectorError> {
    let mut page = Regions::default();
    let unreachable = items(LIST_SUBNETWORKS, answer, "unreachables")?;
    page.silent.extend(unreachable.iter().filter_map(Value::as_str).map(last_part));
    let scopes = match answer.get_mut("items").map(Value::take) {
        None => Map::new(),
        Some(Value::Object(scopes)) => scopes,
        Some(_) => {
            let message = "the answer has no subnetworks by region";
            return Err(ConnectorError::new(ErrorKind::Permanent, LIST_SUBNETWORKS, message));
        }
    };
    for (scope, mut content) in scopes {
        let region = last_part(&scope);
        if content.get("warning").is_some_and(|warning| warning["code"] != NOTHING_HERE) {
            page.silent.push(region.clone());
        }
        let subnetworks = items(LIST_SUBNETWORKS, &mut content, "subnetworks")?;
        page.subnetworks.extend(subnetworks.into_iter().map(|subnetwork| (region.clone(), subnetwork)));
    }
    Ok(page)
}

/// `europe-west1` of `regions/europe-west1`.
fn last_part(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

async fn firewalls(run: &Run<'_>) {
    let lister = run.start(Kind::GcpComputeFirewall).await;
    if lister.is_open() {
        let calls = &run.calls;
        let list = |page| calls.firewalls(&run.config.project_id, page);
        let mut pages = pin!(calls.pages(LIST_FIREWALLS, "items", PAGE, list));
        while let Some(page) = pages.next().await {
            match page {
                Ok(rules) => {
                    for rule in rules {
                        lister.push(LIST_FIREWALLS, normalize::firewall(&run.place, rule)).await;
                    }
                }
                Err(error) => lister.fail(error),
            }
        }
    }
    lister.finish(Outcome::Complete).await;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn regions_that_did_not_answer_are_told_from_those_that_have_nothing() {
        let mut answer = json!({
            "items": {
                "regions/europe-west1": { "subnetworks": [{ "name": "a" }, { "name": "b" }] },
                "regions/asia-east1": { "warning": { "code": "NO_RESULTS_ON_PAGE" } },
                "regions/us-east4": { "warning": { "code": "UNREACHABLE" } },
                "regions/us-west1": { "subnetworks": [{ "name": "c" }], "warning": {} },
            },
            "unreachables": ["projects/shop-prod/regions/us-east5"],
        });
        let page = regions(&mut answer).unwrap();
        let found: Vec<_> =
            page.subnetworks.iter().map(|(region, it)| (region.as_str(), it["name"].as_str())).collect();
        assert_eq!(found, [("europe-west1", Some("a")), ("europe-west1", Some("b")), ("us-west1", Some("c"))]);
        assert_eq!(page.silent, ["us-east5", "us-east4", "us-west1"]);
        assert!(regions(&mut json!({})).unwrap().subnetworks.is_empty());
        for unusable in [json!([]), json!({ "items": [] }), json!({ "items": { "regions/x": [] } })] {
            assert_eq!(regions(&mut unusable.clone()).unwrap_err().kind, ErrorKind::Permanent, "{unusable}");
        }
    }
}
