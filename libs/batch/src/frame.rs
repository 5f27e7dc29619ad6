use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::key::sha256;
use crate::{PublicKey, SigningKey};

/// Largest body of one batch, in bytes as it travels.
pub const FRAME_LIMIT: usize = 8 << 20;
/// Longest header line.
const HEADER_LIMIT: usize = 1_024;
/// Keeps these signatures apart from whatever else a key might sign.
const CONTEXT: &[u8] = b"rampart batch 1";

/// The first line of a batch, as JSON; `length` bytes of gzip and a line end follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The collection run.
    pub session: Uuid,
    /// Number of the batch in its session, from 0.
    pub sequence: u32,
    /// Whether the session ends with this batch.
    pub last: bool,
    /// When the run began, by the collector's clock; the same in every batch of a session.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub started_at: DateTime<Utc>,
    /// Bytes of the body.
    pub length: usize,
    /// Ed25519 over session, sequence, last, start and the SHA-256 of the body, in base64.
    pub signature: String,
}

/// One batch: a header and its body. A file of a whole session is its batches one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The header.
    pub header: Header,
    /// Messages, one a line, as gzip.
    pub body: &'a [u8],
}

/// Why bytes are no batch, or none of this collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// There is no header line, or it does not fit.
    #[error("a batch must begin with its header as one line of JSON")]
    Header,
    /// The body ends before its stated length.
    #[error("the batch is cut short: its header states {stated} bytes, {found} are there")]
    Truncated {
        /// Bytes that the header states.
        stated: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// The body is larger than [`FRAME_LIMIT`].
    #[error("the batch is larger than {FRAME_LIMIT} bytes")]
    TooLarge,
    /// The signature is not that of the connector's current key over this header and body.
    #[error("the signature does not fit: the batch was altered, or signed for another connector or before a rotation")]
    Signature,
}

/// What is signed, of fixed length so that no two batches can look the same.
fn signed(header: &Header, body: &[u8]) -> Vec<u8> {
    let mut text = CONTEXT.to_vec();
    text.extend(header.session.as_bytes());
    text.extend(header.sequence.to_be_bytes());
    text.push(u8::from(header.last));
    text.extend(header.started_at.timestamp_millis().to_be_bytes());
    text.extend(sha256(body));
    text
}

impl Header {
    /// The header of `body` with its signature. `self` says everything else.
    #[must_use]
    pub fn sign(mut self, body: &[u8], key: &SigningKey) -> Self {
        self.length = body.len();
        self.signature = STANDARD.encode(key.sign(&signed(&self, body)));
        self
    }
}

impl<'a> Frame<'a> {
    /// Splits the first batch off `bytes`; what follows it comes second.
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), FrameError> {
        let window = &bytes[..bytes.len().min(HEADER_LIMIT)];
        let end = window.iter().position(|byte| *byte == b'\n').ok_or(FrameError::Header)?;
        let header: Header = serde_json::from_slice(&bytes[..end]).map_err(|_| FrameError::Header)?;
        if header.length > FRAME_LIMIT {
            return Err(FrameError::TooLarge);
        }
        let rest = &bytes[end + 1..];
        let truncated = FrameError::Truncated { stated: header.length, found: rest.len() };
        let (body, rest) = rest.split_at_checked(header.length).ok_or(truncated)?;
        Ok((Self { header, body }, rest.strip_prefix(b"\n").unwrap_or(rest)))
    }

    /// Checks that the collector with this key made the batch.
    pub fn verify(&self, key: &PublicKey) -> Result<(), FrameError> {
        let signature = STANDARD.decode(&self.header.signature).map_err(|_| FrameError::Signature)?;
        let fits = key.verify(&signed(&self.header, self.body), &signature);
        if fits { Ok(()) } else { Err(FrameError::Signature) }
    }

    /// SHA-256 of the body, by which a repeated batch is told from another one.
    pub fn digest(&self) -> [u8; 32] {
        sha256(self.body)
    }

    /// The batch as it travels and as files hold it.
    ///
    /// # Panics
    /// Never: a header is numbers and plain text.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(&self.header).expect("a header is numbers and plain text");
        bytes.reserve(self.body.len() + 2);
        bytes.push(b'\n');
        bytes.extend(self.body);
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed([seed; 32]).unwrap()
    }

    fn frame(sequence: u32, body: &[u8]) -> Vec<u8> {
        let header = Header {
            session: Uuid::nil(),
            sequence,
            last: false,
            started_at: DateTime::UNIX_EPOCH,
            length: 0,
            signature: String::new(),
        };
        Frame { header: header.sign(body, &key(1)), body }.to_bytes()
    }

    #[track_caller]
    fn check(bytes: &[u8], key: &SigningKey, expected: Result<(), FrameError>) {
        let result = Frame::split(bytes).and_then(|(frame, _)| frame.verify(&key.public()));
        assert_eq!(result, expected);
    }

    #[test]
    fn batches_follow_one_another() {
        let bytes = [frame(0, b"one"), frame(1, b"\ntwo\n")].concat();
        let (first, rest) = Frame::split(&bytes).unwrap();
        let (second, rest) = Frame::split(rest).unwrap();
        assert_eq!((first.body, second.body, rest), (&b"one"[..], &b"\ntwo\n"[..], &b""[..]));
        assert_eq!((first.header.sequence, second.header.sequence), (0, 1));
    }

    #[test]
    fn only_the_whole_truth_is_signed() {
        let good = frame(3, b"body");
        check(&good, &key(1), Ok(()));
        check(&good, &key(2), Err(FrameError::Signature));
        let text = String::from_utf8(good.clone()).unwrap();
        for (from, to) in [
            ("\"sequence\":3", "\"sequence\":4"),
            ("\"last\":false", "\"last\":true"),
            ("\"started_at\":0", "\"started_at\":1"),
            ("00000000-0000", "00000000-0001"),
            ("\nbody", "\nbodo"),
        ] {
            assert!(text.contains(from), "{from} in {text}");
            check(text.replace(from, to).as_bytes(), &key(1), Err(FrameError::Signature));
        }
        check(&good[..good.len() - 2], &key(1), Err(FrameError::Truncated { stated: 4, found: 3 }));
        check(b"{}\n", &key(1), Err(FrameError::Header));
        check(&[b' '; 4096], &key(1), Err(FrameError::Header));
        let huge = text.replace("\"length\":4", "\"length\":8388609");
        check(huge.as_bytes(), &key(1), Err(FrameError::TooLarge));
    }
}
