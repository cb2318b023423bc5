//! What goes between the server and a worker process: frames, and the values in them.
//!
//! A frame is the length of its payload (32 bits, little endian) and the payload, one value as Python's `marshal` writes it
//! (format version 2): a list of messages, each of them a tuple. What is written goes straight into bytes ([`Batch`],
//! [`Writer`]). What is read is walked over where it lies ([`Value`]) and then read into a struct by serde (`de.rs`), whose
//! fields are the names in errors. Whatever a worker sends, the reader ends with values or with a [`FrameError`], and
//! allocates nothing for a length that it has not checked.
//!
//! | from the server | to the server |
//! |---|---|
//! | [`JobMessage`], a part of a body ([`write_part`]) | [`Message`] |
//! | [`Command`] on the control socket | [`Notification`] on the control socket |
//!
//! What a handler's result means, and what it must be, is the business of [`View`](crate::View), which [`Plain`] implements.
//! A worker sends plain values only: a result of other types it judges itself, by the same rules in Python.

mod batch;
mod command;
mod cut;
mod de;
mod error;
mod job;
mod message;
mod notification;
mod octet;
mod plain;
pub mod seconds;
mod text;
mod value;
mod write;

#[cfg(test)]
mod tests;

pub use batch::{Batch, TooLong};
pub use command::{Command, Feed, Order, Question};
pub use cut::{Payload, cut, missing};
pub use de::Unread;
pub(crate) use de::named;
pub use error::FrameError;
pub use job::{JobBody, JobMessage, write_part};
pub use message::{AppHead, Head, Kind, Message, Read, Reply, Rest, Times};
pub use notification::{Facts, LogRecord, Notification};
pub use plain::Plain;
pub use text::Text;
pub use value::{Items, Pairs, Value};
pub use write::Writer;

/// Maximum size of a frame's payload: 16 MiB.
pub const FRAME_LIMIT: usize = 16 * 1024 * 1024;

/// Maximum size of a body, or a chunk of one, in one message: 64 KiB.
pub const PART: usize = 64 * 1024;

/// Containers in a payload are nested so deep at most.
pub const DEPTH: usize = 16;
