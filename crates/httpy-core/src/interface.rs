//! `Interface`: how a call becomes Python objects, and what runs it; decided once, when its target is loaded.

use serde::Deserialize;

use crate::frame::named;

/// How a call becomes Python objects, and what runs it.
///
/// ```
/// use httpy_core::{BodyMode, Interface, Lane};
///
/// let interface = Interface::named(["handler", "async", "stream"]).expect("three of its words");
/// assert_eq!(interface.lane(), Lane::EventLoop);
/// assert_eq!(interface.body(), BodyMode::Stream);
/// assert_eq!(interface.words(), ["handler", "async", "stream"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interface {
    /// A function of six arguments that returns a reply.
    Handler {
        /// What runs it.
        lane: Lane,
        /// How it gets its request's body.
        body: BodyMode,
    },
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

/// How a handler gets its request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyMode {
    /// As `str`.
    Text,
    /// As `bytes`.
    Bytes,
    /// As it comes: as `httpy_rs.Body`, an `async def` handler as `httpy_rs.AsyncBody`.
    Stream,
}

impl Interface {
    /// What runs its calls.
    pub fn lane(self) -> Lane {
        match self {
            Self::Handler { lane, .. } => lane,
        }
    }

    /// How it gets a request's body.
    pub fn body(self) -> BodyMode {
        match self {
            Self::Handler { body, .. } => body,
        }
    }

    /// Its kind, lane and body mode, as `httpy_rs` names them.
    pub fn words(self) -> [&'static str; 3] {
        match self {
            Self::Handler { lane, body } => ["handler", lane.word(), body.word()],
        }
    }

    /// The interface of these [`words`](Self::words); `None` if there is none.
    pub fn named([kind, lane, body]: [&str; 3]) -> Option<Self> {
        match kind {
            "handler" => Some(Self::Handler {
                lane: named(lane)?,
                body: named(body)?,
            }),
            _ => None,
        }
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
