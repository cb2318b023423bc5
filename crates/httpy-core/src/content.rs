//! `Content`: a reply's body, whole or in chunks, and why one in chunks may break off; `Upload`: a request's body, likewise.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::{ContractFailure, Exception, Outcome, Reader, Rule, stream};

/// Maximum number of bytes of a streamed body held between the client and Python, in each direction, plus one chunk.
pub const STREAM_BYTES: usize = 256 * 1024;

/// The body of a reply.
#[derive(Debug)]
pub enum Content {
    /// All of it.
    Whole(Bytes),
    /// As it comes.
    Stream(Chunks),
}

/// A reply's body on its way.
#[derive(Debug)]
pub struct Chunks {
    /// Where the chunks come out.
    pub reader: Reader<Fault>,
    /// What is sent when no chunk comes. Without one, Python may not take longer than the ticket's
    /// [`chunk_timeout`](crate::Clocks::chunk_timeout) for a chunk; with one, it may.
    pub heartbeat: Option<Heartbeat>,
}

/// What goes out when there was no chunk for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Time without a chunk after which it is sent.
    pub every: Duration,
    /// This is sent.
    pub bytes: Bytes,
}

/// Why a reply's body is aborted. The side that aborts it also logs it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum Fault {
    /// The iterator raised.
    #[serde(rename = "e")]
    Raised(Exception),
    /// The iterator yielded something that the contract does not allow.
    #[serde(rename = "c", deserialize_with = "bad_chunk")]
    Contract(ContractFailure),
    /// Our own code panicked.
    #[serde(skip)]
    Panicked(String),
    /// The worker process that ran it died; as [`Outcome::Crashed`].
    #[serde(skip)]
    Crashed(String),
    /// The iterator let pass that the request's body did not come to its end.
    #[serde(rename = "u")]
    Upload(UploadFault),
    /// The iterator took too long for a chunk, or went on after its client had gone, and was interrupted.
    #[serde(rename = "interrupted")]
    Interrupted,
    /// The client took nothing for too long.
    #[serde(skip)]
    Stalled,
}

fn bad_chunk<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ContractFailure, D::Error> {
    String::deserialize(deserializer).map(|text| ContractFailure::new(Rule::Chunk, text))
}

/// More than one of these in a second is no heartbeat; one per year is none.
const HEARTBEATS: [Duration; 2] = [
    Duration::from_millis(100),
    Duration::from_secs(365 * 24 * 60 * 60),
];

/// An empty comment and the end of an event, as `text/event-stream` has them.
const HEARTBEAT: &[u8] = b": \n\n";

impl Heartbeat {
    /// That of a body of server-sent events, every `seconds`: at least 0.1 s, at most a year. `None` if `seconds` is not a
    /// duration.
    pub fn every(seconds: f64) -> Option<Self> {
        let every = Duration::try_from_secs_f64(seconds).ok()?;
        let [least, most] = HEARTBEATS;
        Some(Self {
            every: every.clamp(least, most),
            bytes: Bytes::from_static(HEARTBEAT),
        })
    }
}

impl Fault {
    /// The outcome to log for it. `None` if it is logged elsewhere.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Raised(exception) => Some(Outcome::Raised(exception.clone())),
            Self::Contract(failure) => Some(Outcome::Contract(failure.clone())),
            Self::Panicked(text) => Some(Outcome::Panicked(text.clone())),
            Self::Crashed(text) => Some(Outcome::Crashed(text.clone())),
            Self::Upload(fault) => Some(Outcome::Upload(fault.clone())),
            Self::Interrupted | Self::Stalled => None,
        }
    }
}

/// The body of a request.
#[derive(Debug)]
pub enum Upload {
    /// All of it.
    Whole(Bytes),
    /// As it comes, for a handler that asks for that.
    Stream(Reader<UploadFault>),
}

impl Upload {
    /// Its chunks, also of one that is whole.
    pub fn into_reader(self) -> Reader<UploadFault> {
        match self {
            Self::Stream(reader) => reader,
            Self::Whole(body) => {
                let (mut writer, reader) = stream(body.len());
                // The reader is there.
                let _ = writer.write(body);
                writer.end();
                reader
            }
        }
    }
}

impl Default for Upload {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

/// Why a request's body that is streamed does not come to its end. `Display` is what the handler is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UploadFault {
    /// The status with which the client is answered where the handler has no other answer.
    #[serde(deserialize_with = "status")]
    pub status: u16,
    /// What went wrong, in one sentence.
    pub text: String,
}

fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let status = u16::deserialize(deserializer)?;
    if (400..600).contains(&status) {
        Ok(status)
    } else {
        Err(D::Error::custom("a status from 400 to 599"))
    }
}

impl fmt::Display for UploadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for UploadFault {}
