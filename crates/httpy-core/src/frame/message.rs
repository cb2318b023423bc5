//! `Message`: what a worker says about a job, on the lane on which it got it.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::{FrameError, PART, Plain, Unread, seconds};
use crate::view::{Refusal, read};
use crate::{ContractFailure, Exception, Fault, Fields, Heartbeat, Returned, UploadFault};

/// One message about one job.
#[derive(Debug, Deserialize)]
pub struct Message<'a> {
    /// Which job of the lane.
    pub id: u64,
    /// What the message is about it.
    #[serde(borrow)]
    pub kind: Kind<'a>,
    /// How far it came when, where that was wanted.
    pub times: Option<Times>,
}

/// A message about a job.
#[derive(Debug, Deserialize)]
pub enum Kind<'a> {
    /// The reply, with all of its body.
    #[serde(rename = "r", borrow)]
    Reply(Reply<'a>),
    /// A part of a body that goes ahead of its reply, or a chunk of one that is streamed; no more than [`PART`].
    #[serde(rename = "bytes", deserialize_with = "part")]
    Part(&'a [u8]),
    /// The reply, whose body went ahead.
    #[serde(rename = "p")]
    Rest(Rest<'a>),
    /// It returned what the contract does not allow.
    #[serde(rename = "f")]
    Refused(ContractFailure),
    /// The head of a reply whose chunks follow.
    #[serde(rename = "s")]
    Head(Head<'a>),
    /// No chunk follows.
    #[serde(rename = "end")]
    End {
        /// Why it broke off, where it did.
        fault: Option<Fault>,
        /// What its iterator raised as it was closed.
        closing: Option<Exception>,
    },
    /// All of an application's reply. On the event loop its task may run on: an end follows.
    #[serde(rename = "a")]
    App {
        /// Its status and header lines.
        head: AppHead,
        /// Its body, if that did not go ahead.
        body: Option<&'a [u8]>,
    },
    /// The head of an application's reply whose chunks follow.
    #[serde(rename = "b")]
    AppHead(AppHead),
    /// The body of an application's reply is complete. Its task may run on: an end follows.
    #[serde(rename = "c")]
    Complete,
    /// It raised.
    #[serde(rename = "e")]
    Raised(Exception),
    /// It let pass that the request's body broke off.
    #[serde(rename = "u")]
    Upload(UploadFault),
    /// It was cancelled before it began.
    #[serde(rename = "x")]
    NotRun,
}

/// The head of an application's reply.
#[derive(Debug, Deserialize)]
pub struct AppHead {
    /// Its status.
    #[serde(deserialize_with = "status")]
    pub status: StatusCode,
    /// Its header lines.
    #[serde(deserialize_with = "lines")]
    pub headers: Fields,
}

/// When a job came how far, since the worker received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Times {
    /// The handler was called.
    #[serde(with = "seconds")]
    pub called: Duration,
    /// It returned.
    #[serde(with = "seconds")]
    pub returned: Duration,
    /// Its result was read.
    #[serde(with = "seconds")]
    pub converted: Duration,
}

/// A handler's result, still in its frame.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Reply<'a>(#[serde(borrow)] Unread<'a>);

/// A handler's result but for its body, still in its frame.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Rest<'a> {
    #[serde(borrow)]
    status: Unread<'a>,
    body: Whole,
    headers: Unread<'a>,
}

/// What a body was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Whole {
    #[serde(rename = "t")]
    Text,
    #[serde(rename = "b")]
    Bytes,
}

/// A handler's result with an iterator as its body, still in its frame.
#[derive(Clone, Debug, Deserialize)]
pub struct Head<'a> {
    #[serde(borrow)]
    status: Unread<'a>,
    headers: Unread<'a>,
    /// What is sent when no chunk comes, where the body asks for that.
    #[serde(deserialize_with = "heartbeat")]
    pub heartbeat: Option<Heartbeat>,
}

/// A result that could not be read: what it breaks, or that it is none.
pub type Read = Result<Result<Returned, ContractFailure>, FrameError>;

impl Reply<'_> {
    /// Reads it by the contract's rules. `frame` is what it lies in; `on_loop` the body may be an async iterator.
    ///
    /// # Errors
    ///
    /// What is no result, or one that has an iterator as its body and yet no chunks.
    pub fn read(&self, frame: &Bytes, on_loop: bool) -> Read {
        judged(&Plain::new(self.0.value(), frame), on_loop, false)
    }
}

impl Rest<'_> {
    /// Reads it as [`Reply::read`] does; `ahead` are the parts of its body that came before, joined.
    ///
    /// # Errors
    ///
    /// What is no result.
    pub fn read(&self, frame: &Bytes, ahead: &Bytes, on_loop: bool) -> Read {
        let body = Plain::Ahead {
            bytes: ahead,
            is_text: self.body == Whole::Text,
        };
        let [status, headers] =
            [self.status, self.headers].map(|part| Plain::new(part.value(), frame));
        judged(&Plain::Reply(&[status, body, headers]), on_loop, false)
    }
}

impl Head<'_> {
    /// Reads it as [`Reply::read`] does, with an empty body in the place of its chunks.
    ///
    /// # Errors
    ///
    /// What is no result, or has no iterator as its body.
    pub fn read(&self, frame: &Bytes, on_loop: bool) -> Read {
        let [status, headers] =
            [self.status, self.headers].map(|part| Plain::new(part.value(), frame));
        judged(
            &Plain::Reply(&[status, Plain::Iterator, headers]),
            on_loop,
            true,
        )
    }
}

fn part<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de [u8], D::Error> {
    let part = <&[u8]>::deserialize(deserializer)?;
    if part.len() <= PART {
        Ok(part)
    } else {
        Err(D::Error::custom("at most 64 KiB of a body"))
    }
}

fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
    let status = u16::deserialize(deserializer)?;
    StatusCode::from_u16(status).map_err(|_| D::Error::custom("100 to 999"))
}

fn lines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
    let lines = Vec::<(&[u8], &[u8])>::deserialize(deserializer)?;
    let mut fields = Fields::new();
    for (name, value) in lines {
        fields.push(name, value);
    }
    Ok(fields)
}

fn heartbeat<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Heartbeat>, D::Error> {
    Option::deserialize(deserializer).map(|seconds| seconds.and_then(Heartbeat::every))
}

/// Reads a result whose body is an iterator, or is not.
fn judged(result: &Plain<'_>, on_loop: bool, is_iterator: bool) -> Read {
    match read(result, on_loop) {
        Ok(read) if read.iterator.is_some() == is_iterator => Ok(Ok(read.returned)),
        Ok(_) => {
            let bodies = ["a reply with all of its body", "a reply with an iterator"];
            let [found, expected] = if is_iterator {
                bodies
            } else {
                [bodies[1], bodies[0]]
            };
            Err(FrameError::new(found, 0, expected))
        }
        Err(Refusal::Contract(failure)) => Ok(Err(failure)),
        Err(Refusal::Unread(error)) => Err(error),
    }
}
