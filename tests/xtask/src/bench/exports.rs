use std::path::Path;

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use secrecy::ExposeSecret as _;

use super::filled::Filled;
use super::measure::Meter;

/// Exports three findings of each resource with their evidence, in every form, and the resources, to a reader that takes them as
/// fast as they come.
pub(super) async fn measure(binary: &Path, resources: u64) -> anyhow::Result<()> {
    let filled = Filled::start(binary, "exports", resources).await?;
    let before = filled.before.clone();
    let runs = [
        ("findings, NDJSON", "findings?status=unhealthy&status=healthy".to_owned(), None),
        ("findings, CSV", "findings?status=unhealthy&status=healthy&format=csv".to_owned(), None),
        ("findings, NDJSON, gzip", "findings?status=unhealthy&status=healthy".to_owned(), Some("gzip")),
        ("findings of a past moment", format!("findings?status=unhealthy&status=healthy&as_of={before}"), None),
        ("resources with configurations", "resources?format=ndjson".to_owned(), None),
    ];
    for (label, path, encoding) in runs {
        run(&filled, label, &path, encoding).await?;
    }
    filled.rampart.stop().await
}

async fn run(filled: &Filled, label: &str, path: &str, encoding: Option<&str>) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut request = http.get(format!("{}/v1/exports/{path}", filled.rampart.url));
    request = request.bearer_auth(filled.token.expose_secret());
    if let Some(encoding) = encoding {
        request = request.header("accept-encoding", encoding);
    }
    let meter = Meter::start(filled.rampart.pid()?)?;
    let at_start = meter.stop()?.peak_memory;
    let response = request.send().await?.error_for_status()?;
    let mut chunks = response.bytes_stream();
    let (mut bytes, mut lines, mut tail) = (0_u64, 0_u64, Vec::new());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.context("the export was cut")?;
        bytes += chunk.len() as u64;
        lines += chunk.split(|byte| *byte == b'\n').count() as u64 - 1;
        tail.extend_from_slice(&chunk);
        tail.drain(..tail.len().saturating_sub(200));
    }
    let cost = meter.stop()?;
    let end = String::from_utf8_lossy(&tail).into_owned();
    let plain = encoding.is_none();
    ensure!(!plain || end.contains("\"summary\"") || end.contains("#end"), "the export has no closing line: {end}");
    let megabytes = bytes as f64 / 1e6;
    let seconds = cost.wall.as_secs_f64();
    let rows = if plain { format!("{lines} lines, {:.0} a second, ", lines as f64 / seconds) } else { String::new() };
    println!("exports · {label}: {rows}{megabytes:.0} MB · {cost}, {} MB when it began", at_start / 1_000_000);
    Ok(())
}
