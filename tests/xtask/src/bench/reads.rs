use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use tokio::task::JoinSet;

use super::filled::Filled;
use super::measure::Meter;

/// How hard the API is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Resources there are, with three findings each.
    pub(super) resources: u64,
    /// Requests begun each second, whether or not earlier ones were answered.
    pub(super) rate: u32,
    /// For how long.
    pub(super) time: Duration,
}

/// One sort of request, and how many of a hundred are of it.
struct Sort {
    name: &'static str,
    share: u32,
    path: fn(&Filled, usize) -> String,
}

/// What a dashboard, a script and an auditor ask for. Of a hundred requests, 50 filter, count or read the past.
const SORTS: [Sort; 16] = [
    Sort { name: "resource", share: 15, path: |it, n| format!("resources/{}", pick(&it.resources, n)) },
    Sort { name: "finding list", share: 15, path: |_, _| "findings?limit=50".to_owned() },
    Sort { name: "resource list", share: 10, path: |_, n| format!("resources?limit=50&kind={}", KINDS[n % 4]) },
    Sort { name: "cluster list", share: 5, path: |_, _| "clusters?limit=50".to_owned() },
    Sort { name: "verdicts", share: 5, path: |it, n| format!("resources/{}/verdicts", pick(&it.resources, n)) },
    Sort {
        name: "findings of a cluster",
        share: 8,
        path: |it, n| format!("findings?limit=50&cluster={}", pick(&it.clusters, n)),
    },
    Sort {
        name: "findings by risk",
        share: 5,
        path: |_, n| format!("findings?limit=50&sort=risk&risk={}", ["high", "critical"][n % 2]),
    },
    Sort {
        name: "resources by part of a name",
        share: 5,
        path: |_, n| format!("resources?limit=20&name_contains={:04x}", n * 7919 % 65_536),
    },
    Sort {
        name: "resources by label",
        share: 5,
        path: |_, n| format!("resources?limit=20&label=app:app-{}", n % 1000),
    },
    Sort {
        name: "counts of a cluster",
        share: 5,
        path: |it, n| format!("findings?limit=20&group_by=control&cluster={}", pick(&it.clusters, n)),
    },
    Sort { name: "counts of all", share: 3, path: |_, n| format!("findings?limit=20&group_by={}", FACETS[n % 3]) },
    Sort { name: "recommendations", share: 2, path: |_, _| "recommendations?limit=50".to_owned() },
    Sort { name: "score", share: 5, path: |_, _| "secure-score".to_owned() },
    Sort { name: "past findings", share: 5, path: |it, _| format!("findings?limit=50&as_of={}", it.before) },
    Sort {
        name: "past resources",
        share: 4,
        path: |it, n| format!("resources?limit=50&kind={}&as_of={}", KINDS[n % 4], it.before),
    },
    Sort {
        name: "past resource",
        share: 3,
        path: |it, n| format!("resources/{}?as_of={}", pick(&it.resources, n), it.before),
    },
];

const FACETS: [&str; 3] = ["control", "severity", "risk"];

const KINDS: [&str; 4] = ["k8s.deployment", "k8s.statefulset", "k8s.service", "k8s.daemonset"];

fn pick(ids: &[String], n: usize) -> &str {
    &ids[n % ids.len()]
}

/// The sort of the n-th request: the shares are spread evenly, not one sort after the other.
fn sort_of(n: usize) -> &'static Sort {
    // 37 and 100 have no common divisor, so each of a hundred places comes once.
    let mut place = (n * 37 % 100) as u32;
    for sort in &SORTS {
        if place < sort.share {
            return sort;
        }
        place -= sort.share;
    }
    &SORTS[0]
}

/// How long a request took from the moment at which it was due, or why it failed.
struct Outcome {
    sort: &'static str,
    took: Duration,
    error: Option<String>,
}

/// Reads as many clients do: at a steady rate that does not wait for slow answers.
pub(super) async fn measure(binary: &Path, load: Load) -> anyhow::Result<()> {
    let filled = Arc::new(Filled::start(binary, "reads", load.resources).await?);
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
    // A few of each first: connections are made, and pages of the database are in memory.
    for n in 0..200 {
        let warm = request(&http, &filled, n, Instant::now()).await;
        anyhow::ensure!(warm.error.is_none(), "{}: {:?}", warm.sort, warm.error);
    }
    let meter = Meter::start(filled.rampart.pid()?)?;
    let total = load.time.as_secs() as usize * load.rate as usize;
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for n in 0..total {
        let due = begun + Duration::from_secs_f64(n as f64 / f64::from(load.rate));
        tokio::time::sleep_until(due.into()).await;
        let (http, filled) = (http.clone(), Arc::clone(&filled));
        running.spawn(async move { request(&http, &filled, n, due).await });
    }
    let outcomes = running.join_all().await;
    let cost = meter.stop()?;
    report(load, &outcomes, &cost.to_string());
    Arc::into_inner(filled).context("a request is still running")?.rampart.stop().await
}

async fn request(http: &reqwest::Client, filled: &Filled, n: usize, due: Instant) -> Outcome {
    let sort = sort_of(n);
    let url = format!("{}/v1/{}", filled.rampart.url, (sort.path)(filled, n));
    let answered = async {
        let response = http.get(&url).bearer_auth(filled.token.expose_secret()).send().await?.error_for_status()?;
        response.bytes().await
    };
    let error = answered.await.err().map(|error| error.to_string());
    Outcome { sort: sort.name, took: due.elapsed(), error }
}

fn report(load: Load, outcomes: &[Outcome], cost: &str) {
    let mut by_sort: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for outcome in outcomes {
        by_sort.entry(outcome.sort).or_default().push(outcome.took);
    }
    for (sort, mut took) in by_sort {
        took.sort_unstable();
        println!("reads · {sort}: {} requests, {}", took.len(), percentiles(&took));
    }
    let mut took: Vec<Duration> = outcomes.iter().map(|outcome| outcome.took).collect();
    took.sort_unstable();
    let errors: Vec<&String> = outcomes.iter().filter_map(|outcome| outcome.error.as_ref()).collect();
    println!(
        "reads · {} resources, {} requests a second for {} s: {}, {} errors · {cost}",
        load.resources,
        load.rate,
        load.time.as_secs(),
        percentiles(&took),
        errors.len()
    );
    if let Some(first) = errors.first() {
        println!("reads · the first error: {first}");
    }
}

fn percentiles(sorted: &[Duration]) -> String {
    let at = |share: usize| {
        let index = (sorted.len() * share / 100).min(sorted.len().saturating_sub(1));
        sorted.get(index).map_or(0.0, |took| took.as_secs_f64() * 1e3)
    };
    format!("p50 {:.1} ms, p99 {:.1} ms, worst {:.1} ms", at(50), at(99), at(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_requests_are_of_every_sort_as_often_as_it_says() {
        assert_eq!(SORTS.iter().map(|sort| sort.share).sum::<u32>(), 100);
        for sort in &SORTS {
            let found = (0..100).filter(|n| sort_of(*n).name == sort.name).count();
            assert_eq!(found, sort.share as usize, "{}", sort.name);
        }
    }
}
