//! The collector: reads one cluster with the code that discovery uses, and pushes what it read, or writes it to a file.
//!
//! ```text
//! kubeconfig or service account ─▶ KubeConnector::scan ──Event──▶ Writer ──Frame──▶ platform, or file
//!                                                                  file ──Frame──▶ platform
//! ```
//! It is made to be small: one list at a time, small pages, one batch in memory, one thread.

mod args;
mod client;
mod file;
mod reach;
mod upload;
mod writer;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use rampart_batch::CollectorToken;
use rampart_connector::{Connector as _, ConnectorError, ErrorKind, ScanContext, Sink};
use rampart_connector_kube::KubeConnector;
use tokio_util::sync::CancellationToken;

pub use args::Args;

use crate::client::{Client, Delivered};
use crate::file::FileWriter;
use crate::writer::{Destination, Writer};

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collected {
    /// Everything was read and delivered.
    Whole,
    /// It was delivered, but this many listings are not complete.
    Partial(usize),
}

/// Collects once, or at the interval until `cancel` fires; or uploads a file.
pub async fn run(args: &Args, cancel: &CancellationToken) -> anyhow::Result<Collected> {
    let token = args.token().await?;
    if let Some(file) = &args.upload {
        let client = Client::new(args, &token, cancel)?;
        return upload::upload(&client, file, cancel).await;
    }
    let connector = reach::connector(args, &token, cancel).await?;
    let Some(interval) = args.interval() else { return once(args, &token, &connector, cancel).await };
    loop {
        let began = tokio::time::Instant::now();
        match once(args, &token, &connector, cancel).await {
            Ok(_) => {}
            // The next round tries again; an orchestrator sees the log.
            Err(error) => tracing::error!(error = format!("{error:#}"), "the cluster was not collected"),
        }
        tokio::select! {
            () = cancel.cancelled() => return Ok(Collected::Whole),
            () = tokio::time::sleep_until(began + interval) => {}
        }
    }
}

async fn once(
    args: &Args,
    token: &CollectorToken,
    connector: &KubeConnector,
    cancel: &CancellationToken,
) -> anyhow::Result<Collected> {
    let started_at = Utc::now();
    if let Some(path) = &args.output {
        let mut writer = Writer::new(&token.key, started_at, args.batch_bytes, FileWriter::create(path).await?);
        let outcome = read(args, connector, &mut writer, started_at, cancel).await?;
        writer.into_destination().finish().await?;
        tracing::info!(path = %path.display(), "written: bring it to where `rampart collect --upload` reaches the API");
        return outcome;
    }
    let client = Client::new(args, token, cancel)?;
    let mut writer = Writer::new(&token.key, started_at, args.batch_bytes, client);
    let outcome = read(args, connector, &mut writer, started_at, cancel).await?;
    let session = writer.session();
    settle(&writer.into_destination(), session, cancel).await?;
    outcome
}

/// Reads the cluster into a session and closes it. The inner error is that nothing could be read: it is delivered too.
async fn read<D: Destination>(
    args: &Args,
    connector: &KubeConnector,
    writer: &mut Writer<'_, D>,
    started_at: DateTime<Utc>,
    cancel: &CancellationToken,
) -> anyhow::Result<anyhow::Result<Collected>> {
    let cx = ScanContext { cancel: cancel.clone(), kinds: args.kinds.clone(), started_at };
    let (sink, mut events) = Sink::new(1);
    let reading = async {
        let read = connector.scan(&cx, &sink).await;
        drop(sink);
        read
    };
    let writing = async {
        // The receiver goes with the first failure: then nobody takes events, and the reading ends.
        let mut taken = Ok(());
        while let Some(event) = events.recv().await {
            taken = writer.event(event).await;
            if taken.is_err() {
                break;
            }
        }
        drop(events);
        taken
    };
    let (read, written) = tokio::join!(Box::pin(reading), Box::pin(writing));
    written?;
    // A session that was broken off stays open: nobody takes it for the whole truth.
    anyhow::ensure!(!cancel.is_cancelled(), "stopped before the cluster was read");
    let failure: Option<ConnectorError> = read.err();
    writer.finish(failure.clone()).await?;
    if let Some(error) = failure {
        return Ok(Err(error).context("the cluster could not be read"));
    }
    let incomplete = writer.incomplete();
    let took_ms = (Utc::now() - started_at).num_milliseconds();
    tracing::info!(session.id = %writer.session(), resources = writer.resources(), incomplete, duration_ms = took_ms,
        "the cluster was read");
    Ok(Ok(if incomplete == 0 { Collected::Whole } else { Collected::Partial(incomplete) }))
}

/// How long the platform may take before a delivered session counts as a success unseen.
const PATIENCE: TimeDelta = TimeDelta::minutes(2);

/// Waits until the platform took the session up, so that its refusal is seen here.
async fn settle(client: &Client, session: uuid::Uuid, cancel: &CancellationToken) -> anyhow::Result<()> {
    let deadline = Utc::now() + PATIENCE;
    let mut pause = std::time::Duration::from_millis(200);
    while Utc::now() < deadline && !cancel.is_cancelled() {
        match client.session(session).await {
            Ok(Some(Delivered { state, error, .. })) => match state.as_str() {
                "applied" | "superseded" => return Ok(()),
                "failed" => anyhow::bail!("the platform refused the session: {}", error.unwrap_or_default()),
                _ => {}
            },
            Ok(None) => anyhow::bail!("the platform does not know the session any more"),
            Err(error) if error.kind == ErrorKind::Cancelled => break,
            Err(error) => return Err(error).context("could not ask what became of the session"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(std::time::Duration::from_secs(5));
    }
    tracing::info!(session.id = %session, "delivered; the platform has not taken it up yet");
    Ok(())
}
