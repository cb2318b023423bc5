//! `Outcome`: what became of a call, on its way up; `Returned`: what the handler gave, types checked, rules not yet.

use http::{HeaderMap, Method, StatusCode};

use crate::{Content, ContractFailure, Exception, Fields, UploadFault, Warning, allows_body};

/// What became of a call.
#[derive(Debug)]
pub enum Outcome {
    /// The handler returned a tuple whose items have the right types.
    Returned(Returned),
    /// An application has answered.
    Raw(RawReply),
    /// The handler returned something else.
    Contract(ContractFailure),
    /// The handler raised.
    Raised(Exception),
    /// The handler let pass that the request's body, which it read as a stream, did not come to its end.
    Upload(UploadFault),
    /// Our own code panicked; the worker goes on.
    Panicked(String),
    /// The worker process that ran it died; in one sentence, to be put behind the target.
    Crashed(String),
}

impl Outcome {
    /// Whether the handler has returned or the application has replied; not whether the reply is right.
    pub fn is_reply(&self) -> bool {
        matches!(self, Self::Returned(_) | Self::Raw(_))
    }

    /// Whether it is the head of a reply whose body is a stream.
    pub fn is_streamed(&self) -> bool {
        let body = match self {
            Self::Returned(returned) => &returned.body,
            Self::Raw(reply) => &reply.body,
            _ => return false,
        };
        matches!(body, Content::Stream(_))
    }

    /// A reply with `body` in place of its own; anything else as it is.
    #[must_use]
    pub fn with_body(self, body: Content) -> Self {
        match self {
            Self::Returned(returned) => Self::Returned(Returned { body, ..returned }),
            Self::Raw(reply) => Self::Raw(RawReply { body, ..reply }),
            other => other,
        }
    }

    /// Whether it is a reply to a request of `method` that may have a body.
    pub fn allows_body(&self, method: &Method) -> bool {
        let status = match self {
            Self::Returned(returned) => returned.status,
            Self::Raw(reply) => reply.status,
            _ => return false,
        };
        allows_body(method, status)
    }

    /// Whether the call ended by being cancelled.
    pub fn is_cancellation(&self) -> bool {
        matches!(self, Self::Raised(exception) if exception.type_name() == "asyncio.exceptions.CancelledError")
    }
}

/// A handler's three items as plain data. [`Returned::check`] makes a [`Reply`] of it.
#[derive(Debug)]
pub struct Returned {
    /// The status, made by [`check_status`](crate::check_status).
    pub status: StatusCode,
    /// The body.
    pub body: Content,
    /// What the body was in Python.
    pub kind: BodyKind,
    /// The header lines as given: names as UTF-8, values as latin-1, lists spread out; the first
    /// [`MAX_HEADER_LINES`](crate::MAX_HEADER_LINES) of them.
    pub headers: Fields,
    /// How many header lines there were.
    pub header_lines: usize,
}

/// A reply of an application (ASGI or WSGI) as plain data. [`RawReply::check`] makes a [`Reply`] of it.
#[derive(Debug)]
pub struct RawReply {
    /// The status.
    pub status: StatusCode,
    /// The header lines as given.
    pub headers: Fields,
    /// The body.
    pub body: Content,
}

/// What a body was in Python; decides the default `Content-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// `str`
    Text,
    /// `bytes`, `bytearray` or `memoryview`
    Binary,
    /// `None`
    Absent,
    /// An iterator, sync or async.
    Iterator,
}

/// A reply that keeps every rule of the contract and of HTTP.
#[derive(Debug)]
pub struct Reply {
    /// 200 to 999.
    pub status: StatusCode,
    /// The header lines, the default `Content-Type` included.
    pub headers: HeaderMap,
    /// The body that goes out; whole and empty where the method or the status forbids one.
    pub body: Content,
    /// What a streamed body has to be long, where the handler has said so.
    pub length: Option<u64>,
    /// What was dropped.
    pub warnings: Vec<Warning>,
}
