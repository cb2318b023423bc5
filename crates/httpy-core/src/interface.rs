//! `Interface`: how a call becomes Python objects, and what runs it; decided once, when its target is loaded.

use serde::Deserialize;

use crate::frame::named;

/// How a call becomes Python objects, and what runs it.
///
/// ```
/// use httpy_core::{BodyMode, Interface, Kind, Lane};
///
/// let interface = Interface::named(["handler", "async", "stream"]).expect("three of its words");
/// assert_eq!(interface.kind, Kind::Handler);
/// assert_eq!(interface.lane, Lane::EventLoop);
/// assert_eq!(interface.body, BodyMode::Stream);
/// assert_eq!(interface.words(), ["handler", "async", "stream"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct Interface {
    /// What is called.
    pub kind: Kind,
    /// What runs its calls.
    pub lane: Lane,
    /// How it gets a request's body.
    pub body: BodyMode,
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A function of six arguments that returns a reply.
    Handler,
    /// A whole application (ASGI 3.0).
    Asgi,
    /// A whole application (WSGI, PEP 3333).
    Wsgi,
}

/// What runs a call. A worker process is sent the jobs of either by a socket of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum Lane {
    /// A worker thread, which is in one call at a time.
    #[serde(rename = "sync")]
    Worker,
    /// An event loop, on which any number of `async def` handlers are under way.
    #[serde(rename = "async")]
    EventLoop,
}

/// How a request's body is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyMode {
    /// As `str`.
    Text,
    /// As `bytes`.
    Bytes,
    /// As it comes. A handler gets `httpy_rs.Body`, or `httpy_rs.AsyncBody` if it is an `async def`.
    Stream,
}

/// Maximum size in bytes of a request's body that is read before an application is called. Longer ones are streamed.
const COLLECTED: u64 = 64 * 1024;

/// The same for WSGI, where a slow client would hold a thread.
const COLLECTED_FOR_THREAD: u64 = 1024 * 1024;

impl Interface {
    /// Whether a body of at most `upper` bytes, if that is known, is read before the call.
    pub fn collects(self, upper: Option<u64>) -> bool {
        match self.kind {
            Kind::Handler => self.body != BodyMode::Stream,
            Kind::Asgi => upper.is_some_and(|upper| upper <= COLLECTED),
            Kind::Wsgi => upper.is_some_and(|upper| upper <= COLLECTED_FOR_THREAD),
        }
    }

    /// Its parts, as `httpy_rs` names them.
    pub fn words(self) -> [&'static str; 3] {
        [self.kind.word(), self.lane.word(), self.body.word()]
    }

    /// The interface of these [`words`](Self::words); `None` if there is none.
    pub fn named([kind, lane, body]: [&str; 3]) -> Option<Self> {
        Some(Self {
            kind: named(kind)?,
            lane: named(lane)?,
            body: named(body)?,
        })
    }
}

impl Kind {
    /// Its name in `httpy_rs`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Asgi => "asgi",
            Self::Wsgi => "wsgi",
        }
    }

    /// Whether it gets a request as one scope, and gives a raw reply.
    pub fn is_app(self) -> bool {
        matches!(self, Self::Asgi | Self::Wsgi)
    }
}

impl Lane {
    /// Its name in `httpy_rs`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Worker => "sync",
            Self::EventLoop => "async",
        }
    }
}

impl BodyMode {
    fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Stream => "stream",
        }
    }
}
