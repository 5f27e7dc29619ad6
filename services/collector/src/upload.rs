use std::path::Path;

use anyhow::Context as _;
use rampart_batch::{FRAME_LIMIT, Frame, Header};
use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Collected;
use crate::client::Client;

/// Longest header line.
const HEADER_LIMIT: u64 = 1_024;

/// Pushes the batches of a file, beginning with the first that the platform does not have. Holds one batch at a time.
pub(crate) async fn upload(client: &Client, path: &Path, cancel: &CancellationToken) -> anyhow::Result<Collected> {
    let file = File::open(path).await.with_context(|| format!("could not read {}", path.display()))?;
    let mut reader = BufReader::new(file);
    let mut current: Option<(Uuid, u32)> = None;
    let mut closed = false;
    while let Some((header, frame)) = next(&mut reader).await? {
        let expected = match current {
            Some((session, expected)) if session == header.session => expected,
            _ => client.session(header.session).await?.map_or(0, |known| known.next_sequence),
        };
        closed = header.last;
        let taken = if header.sequence < expected {
            expected
        } else {
            let pushed = client.push(frame.into()).await;
            pushed.with_context(|| format!("the platform did not take batch {}", header.sequence))?.next_sequence
        };
        current = Some((header.session, taken));
    }
    let (session, batches) = current.with_context(|| format!("{} holds no batch", path.display()))?;
    anyhow::ensure!(closed, "{} is cut short: its last batch is missing", path.display());
    tracing::info!(session.id = %session, batches, "uploaded");
    crate::settle(client, session, cancel).await?;
    Ok(Collected::Whole)
}

/// The next batch with its header, as it lies in the file.
async fn next(reader: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<Option<(Header, Vec<u8>)>> {
    let mut frame = Vec::new();
    if reader.take(HEADER_LIMIT).read_until(b'\n', &mut frame).await? == 0 {
        return Ok(None);
    }
    let header: Header = serde_json::from_slice(&frame).context("this is not a file that `rampart collect` wrote")?;
    anyhow::ensure!(header.length <= FRAME_LIMIT, "a batch of the file is too large");
    // The body and its line end.
    let length = header.length as u64 + 1;
    reader.take(length).read_to_end(&mut frame).await?;
    Frame::split(&frame).context("the file is damaged")?;
    Ok(Some((header, frame)))
}
