use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use kube::client::Body;
use rampart_connector::{ConnectorError, ErrorKind, causes};

use crate::client::chunks;

/// The lines of a body that goes on for as long as the server likes.
pub(super) struct Lines {
    name: String,
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes, kube::Error>> + Send>>,
    buffer: BytesMut,
    /// Bytes of the buffer that are known to hold no end of line.
    searched: usize,
    longest: usize,
    patience: Duration,
}

impl Lines {
    /// Lines of at most `longest` bytes, with at most `patience` between two pieces of the body.
    pub(super) fn new(name: String, body: Body, longest: usize, patience: Duration) -> Self {
        Self { name, chunks: Box::pin(chunks(body)), buffer: BytesMut::new(), searched: 0, longest, patience }
    }

    /// The next line without its end; `None` when the server ended the body. What it had begun to say then is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ConnectorError> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + at + 1).freeze();
                self.searched = 0;
                return Ok(Some(line.slice(..line.len() - 1)));
            }
            self.searched = self.buffer.len();
            if self.searched > self.longest {
                let message = format!("an event is larger than {} bytes", self.longest);
                return Err(ConnectorError::new(ErrorKind::TooLarge, &*self.name, message));
            }
            match tokio::time::timeout(self.patience, self.chunks.next()).await {
                Err(_) => {
                    let message = format!("nothing came for {} s", self.patience.as_secs());
                    return Err(ConnectorError::new(ErrorKind::Unreachable, &*self.name, message));
                }
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => {
                    return Err(ConnectorError::new(ErrorKind::Transient, &*self.name, causes(&error)));
                }
                Ok(Some(Ok(chunk))) => self.buffer.extend_from_slice(&chunk),
            }
        }
    }
}
