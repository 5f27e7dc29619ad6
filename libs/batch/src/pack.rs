use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::{LINE_LIMIT, Message};

/// Bytes before compression after which a batch is cut whatever it has shrunk to; well below what readers accept.
const RAW_CUT: usize = 32 << 20;

/// A message longer than a reader would take. It was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of {length} bytes is longer than {LINE_LIMIT}")]
pub struct LineTooLong {
    /// Its length in bytes.
    pub length: usize,
}

/// Packs messages into bodies of about one size. Holds one body and one message.
#[derive(Debug)]
pub struct Packer {
    cut: usize,
    line: Vec<u8>,
    raw: usize,
    encoder: GzEncoder<Vec<u8>>,
}

impl Packer {
    /// A packer that cuts a body once it has `cut` bytes.
    pub fn new(cut: usize) -> Self {
        Self { cut, line: Vec::new(), raw: 0, encoder: encoder() }
    }

    /// Adds a message. Returns a body when one is full.
    ///
    /// # Panics
    /// Never: messages are JSON, and memory takes every byte.
    pub fn add(&mut self, message: &Message) -> Result<Option<Vec<u8>>, LineTooLong> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, message).expect("messages have string keys and no failing parts");
        self.line.push(b'\n');
        if self.line.len() > LINE_LIMIT {
            let length = self.line.len();
            self.line = Vec::new();
            return Err(LineTooLong { length });
        }
        self.encoder.write_all(&self.line).expect("memory takes every byte");
        self.raw += self.line.len();
        let full = self.encoder.get_ref().len() >= self.cut || self.raw >= RAW_CUT;
        Ok(full.then(|| self.take()))
    }

    /// What is left, as the body of the last batch; it may hold no message.
    pub fn finish(mut self) -> Vec<u8> {
        self.take()
    }

    fn take(&mut self) -> Vec<u8> {
        self.raw = 0;
        std::mem::replace(&mut self.encoder, encoder()).finish().expect("memory takes every byte")
    }
}

fn encoder() -> GzEncoder<Vec<u8>> {
    GzEncoder::new(Vec::new(), Compression::fast())
}

#[cfg(test)]
mod tests {
    use rampart_domain::Kind;
    use serde_json::json;

    use super::*;
    use crate::{Item, Unpacker};

    fn resource(n: usize) -> Message {
        let id = format!("k8s://u//Pod/ns/{n}");
        let item = json!({"id": id, "name": id, "managed_by": "customer", "active": true, "config": {"n": n * 7919}});
        Message::Resource(Kind::K8sPod, serde_json::from_value::<Item>(item).unwrap())
    }

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mut packer = Packer::new(2_000);
        let mut bodies: Vec<_> = (0..20_000).filter_map(|n| packer.add(&resource(n)).unwrap()).collect();
        bodies.push(packer.finish());
        assert!(bodies.len() > 3, "{}", bodies.len());
        let mut read = Vec::new();
        for body in bodies {
            let mut unpacker = Unpacker::new(&body);
            let mut line = Vec::new();
            while unpacker.next_line(&mut line).unwrap() {
                read.push(serde_json::from_slice::<Message>(&line).unwrap());
            }
        }
        assert_eq!(read, (0..20_000).map(resource).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_too_long_is_left_out_alone() {
        let mut packer = Packer::new(1 << 20);
        let Message::Resource(kind, mut item) = resource(1) else { panic!("a resource") };
        item.config = json!({"data": "x".repeat(LINE_LIMIT)});
        assert!(packer.add(&Message::Resource(kind, item)).is_err());
        assert_eq!(packer.add(&resource(2)), Ok(None));
        let body = packer.finish();
        let (mut unpacker, mut line) = (Unpacker::new(&body), Vec::new());
        assert!(unpacker.next_line(&mut line).unwrap());
        assert_eq!(serde_json::from_slice::<Message>(&line).unwrap(), resource(2));
        assert!(!unpacker.next_line(&mut line).unwrap());
    }
}
