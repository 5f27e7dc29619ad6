use std::collections::HashSet;

use chrono::{DateTime, Utc};
use rampart_batch::{Ended, FORMAT, Failure, Frame, Header, Manifest, Message, Packer, SigningKey, messages};
use rampart_connector::{ConnectorError, ErrorKind, Event};
use rampart_domain::Kind;
use uuid::Uuid;

/// Where batches go.
pub(crate) trait Destination {
    /// Hands over one batch; it is safe there afterwards.
    async fn put(&mut self, frame: Vec<u8>) -> anyhow::Result<()>;
}

/// Turns the events of a scan into the signed batches of one session.
pub(crate) struct Writer<'a, D> {
    key: &'a SigningKey,
    destination: D,
    session: Uuid,
    started_at: DateTime<Utc>,
    sequence: u32,
    packer: Option<Packer>,
    begun: bool,
    /// Kinds of which an object was too large to be sent.
    cut: HashSet<Kind>,
    incomplete: usize,
    resources: u64,
}

impl<'a, D: Destination> Writer<'a, D> {
    /// A new session, its batches cut at `cut` bytes.
    pub(crate) fn new(key: &'a SigningKey, started_at: DateTime<Utc>, cut: u32, destination: D) -> Self {
        Self {
            key,
            destination,
            session: Uuid::now_v7(),
            started_at,
            sequence: 0,
            packer: Some(Packer::new(cut as usize)),
            begun: false,
            cut: HashSet::new(),
            incomplete: 0,
            resources: 0,
        }
    }

    pub(crate) const fn session(&self) -> Uuid {
        self.session
    }

    /// Listings that are not the whole truth.
    pub(crate) const fn incomplete(&self) -> usize {
        self.incomplete
    }

    pub(crate) const fn resources(&self) -> u64 {
        self.resources
    }

    pub(crate) fn into_destination(self) -> D {
        self.destination
    }

    /// Takes one event of the scan.
    pub(crate) async fn event(&mut self, event: Event) -> anyhow::Result<()> {
        let (uid, messages) = messages(event);
        self.begin(uid).await?;
        for message in messages {
            let message = self.note(message);
            self.message(&message).await?;
        }
        Ok(())
    }

    /// Counts, and tells the truth of a listing of which something was left out.
    fn note(&mut self, message: Message) -> Message {
        let message = match message {
            Message::Finished(kind, Ended::Complete) if self.cut.contains(&kind) => {
                let error =
                    ConnectorError::new(ErrorKind::TooLarge, kind.as_str(), "an object is too large to be sent");
                Message::Finished(kind, Ended::Incomplete(Failure::from(error)))
            }
            message => message,
        };
        match &message {
            Message::Finished(kind, Ended::Incomplete(failure)) => {
                self.incomplete += 1;
                tracing::warn!(kind = %kind, api = failure.api, error = failure.message, "not everything could be read");
            }
            Message::Resource(..) => self.resources += 1,
            _ => {}
        }
        message
    }

    async fn begin(&mut self, cluster_uid: Option<String>) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let agent = concat!("rampart/", env!("CARGO_PKG_VERSION")).to_owned();
        self.message(&Message::Session(Manifest { format: FORMAT, cluster_uid, agent })).await
    }

    async fn message(&mut self, message: &Message) -> anyhow::Result<()> {
        let Some(packer) = &mut self.packer else { return Ok(()) };
        match packer.add(message) {
            Ok(Some(body)) => self.put(&body, Part::More).await,
            Ok(None) => Ok(()),
            Err(error) => {
                if let Message::Resource(kind, item) = message {
                    tracing::warn!(id = %item.id, error = %error, "an object is left out");
                    self.cut.insert(*kind);
                }
                Ok(())
            }
        }
    }

    /// Closes the session. `failure` is that nothing could be read at all.
    pub(crate) async fn finish(&mut self, failure: Option<ConnectorError>) -> anyhow::Result<()> {
        self.begin(None).await?;
        if let Some(error) = failure {
            self.message(&Message::Failed(error.into())).await?;
        }
        let Some(packer) = self.packer.take() else { return Ok(()) };
        self.put(&packer.finish(), Part::Last).await
    }

    async fn put(&mut self, body: &[u8], part: Part) -> anyhow::Result<()> {
        let header = Header {
            session: self.session,
            sequence: self.sequence,
            last: part == Part::Last,
            started_at: self.started_at,
            length: 0,
            signature: String::new(),
        };
        let header = header.sign(body, self.key);
        self.destination.put(Frame { header, body }.to_bytes()).await?;
        tracing::debug!(session.id = %self.session, sequence = self.sequence, bytes = body.len(), "a batch is delivered");
        self.sequence += 1;
        Ok(())
    }
}

/// Whether a session goes on after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    More,
    Last,
}
