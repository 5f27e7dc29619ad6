use std::collections::BTreeMap;

use super::client::Client;

const TOP: u32 = 10;

/// What was found, how good it is, what to do first, and what could not be seen.
pub(super) async fn print(client: &Client) -> anyhow::Result<()> {
    let (inventory, score) = tokio::try_join!(client.inventory(), client.score())?;
    let (recommendations, coverage) = tokio::try_join!(client.recommendations(TOP), client.coverage())?;

    println!("\nInventory");
    for group in &inventory {
        println!("  {:>6}  {}", group.count, group.value);
    }

    println!("\nSecure score  {}", percent(score.score));
    println!("  from {} of the verdicts", percent(score.coverage.map(|share| share * 100.0)));

    println!("\nTop recommendations");
    for recommendation in &recommendations {
        let total = recommendation.unhealthy + recommendation.healthy;
        let (severity, title) = (&recommendation.severity, &recommendation.title);
        println!("  {severity:<9} {:>5} of {total:<5} {title}", recommendation.unhealthy);
    }

    println!("\nCoverage gaps");
    let unread = |state: &str| !matches!(state, "read" | "not_applicable");
    let gaps: Vec<_> = coverage.iter().filter(|line| unread(&line.state)).collect();
    let mut by_place = BTreeMap::<(&str, &str, &str), Vec<&str>>::new();
    for gap in &gaps {
        let place = (gap.scope.as_str(), gap.state.as_str(), gap.remedy.as_deref().unwrap_or(""));
        by_place.entry(place).or_default().push(&gap.kind);
    }
    for ((scope, state, remedy), kinds) in by_place {
        println!("  {scope}: {state}, {} kinds ({}) {remedy}", kinds.len(), kinds.join(", "));
    }
    if gaps.is_empty() {
        println!("  none");
    }
    Ok(())
}

/// What to try now.
pub(super) fn print_next_steps(url: &str, token: &str) {
    println!("\nAPI documentation   {url}/docs");
    println!("Token               {token}\n");
    println!("export TOKEN={token}");
    for path in [
        "/v1/recommendations?limit=5",
        "/v1/findings?status=unhealthy&severity=critical&limit=5",
        "/v1/resources?kind=k8s.pod&limit=5",
    ] {
        println!("curl -s -H \"Authorization: Bearer $TOKEN\" '{url}{path}'");
    }
    println!("\nCtrl-C stops everything; the data stays for the next start.");
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.0} %"))
}
