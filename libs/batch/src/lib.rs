//! What a collector sends: the events of a scan as messages, packed into signed batches of bounded size.
//!
//! ```text
//! collector   Event ─▶ Message (one a line) ─▶ Packer: gzip, cut at a size ─▶ Frame: header, signature, body
//! platform    Frame ─▶ signature, sequence ─▶ stored ─▶ Unpacker: capped, line by line ─▶ Replay ─▶ Event
//! ```
//! One collection run is a session: its batches are numbered from 0 and the last one says so. A message carries no
//! scope, cloud or account: the platform knows them, so that a collector can only ever speak of its own cluster.

mod frame;
mod key;
mod message;
mod pack;
mod replay;
mod token;
mod unpack;

pub use frame::{FRAME_LIMIT, Frame, FrameError, Header};
pub use key::{PublicKey, SigningKey};
pub use message::{Ended, FORMAT, Failure, Item, Manifest, Message, messages};
pub use pack::{LineTooLong, Packer};
pub use replay::{Place, Replay};
pub use token::{CollectorToken, TokenError};
pub use unpack::{LINE_LIMIT, UnpackError, Unpacker};
