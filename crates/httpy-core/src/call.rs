//! `Call`: one request as plain data; `Ticket`: a call with its stage, shared by both sides.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use http::{Method, Uri, Version};

use crate::{Fields, Headers};

/// The arguments of a handler but for its body, decoded as far as that can be done without an interpreter.
#[derive(Debug)]
pub struct Call {
    /// The method as sent.
    pub method: Method,
    /// The target as tower sees it: a prefix taken off by `nest` is off.
    pub uri: Uri,
    /// The percent-decoded path, where it differs from `uri.path()`.
    pub decoded_path: Option<Vec<u8>>,
    /// What the route captured, percent-decoded.
    pub params: Fields,
    /// The decoded query, in order.
    pub query: Fields,
    /// The header lines.
    pub headers: Headers,
    /// What the six arguments do not tell.
    pub details: Details,
}

impl Call {
    /// The percent-decoded path without the query.
    pub fn path(&self) -> &[u8] {
        self.decoded_path.as_deref().unwrap_or_else(|| self.uri.path().as_bytes())
    }
}

/// What a handler can ask for beyond its six arguments.
#[derive(Debug)]
pub struct Details {
    /// The target as the client sent it.
    pub target: Uri,
    /// The pattern that matched, in axum's syntax.
    pub route: Option<String>,
    /// The client's address, where the server was told to pass it on.
    pub client: Option<SocketAddr>,
    /// `http` or `https`, as far as the server knows.
    pub scheme: &'static str,
    /// The HTTP version.
    pub version: Version,
    /// What the host found out about the request: one JSON object.
    pub extras: Option<String>,
}

/// One call and its stage, shared by the response future and the worker.
///
/// The two race at the moment a deadline passes: whoever moves the stage first decides whether the handler runs. The
/// worker only reads the call and lets go of its share before it answers, so that the memory is freed where it was
/// allocated.
#[derive(Debug)]
pub struct Ticket {
    stage: AtomicU8,
    /// What is asked.
    pub call: Call,
    /// When the call's time is up.
    pub deadline: Instant,
}

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    /// A ticket of a call that waits.
    pub const fn new(call: Call, deadline: Instant) -> Self {
        Self { stage: AtomicU8::new(WAITING), call, deadline }
    }

    /// The worker's side: true, once, when the call still waits; from then on it runs.
    pub fn take(&self) -> bool {
        self.leave_waiting_for(TAKEN)
    }

    /// The caller's side: true when the call still waits; from then on it never runs.
    pub fn withdraw(&self) -> bool {
        self.leave_waiting_for(WITHDRAWN)
    }

    /// Whether a worker has taken the call.
    pub fn is_taken(&self) -> bool {
        self.stage.load(Ordering::Acquire) == TAKEN
    }

    fn leave_waiting_for(&self, stage: u8) -> bool {
        self.stage.compare_exchange(WAITING, stage, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        let call = Call {
            method: Method::GET,
            uri: Uri::from_static("/"),
            decoded_path: None,
            params: Fields::new(),
            query: Fields::new(),
            headers: Headers::default(),
            details: Details {
                target: Uri::from_static("/"),
                route: None,
                client: None,
                scheme: "http",
                version: Version::HTTP_11,
                extras: None,
            },
        };
        Ticket::new(call, Instant::now())
    }

    #[test]
    fn a_taken_call_cannot_be_withdrawn() {
        let ticket = ticket();
        assert!(ticket.take());
        assert!(ticket.is_taken());
        assert!(!ticket.withdraw());
        assert!(!ticket.take());
    }

    #[test]
    fn a_withdrawn_call_never_runs() {
        let ticket = ticket();
        assert!(ticket.withdraw());
        assert!(!ticket.take());
        assert!(!ticket.is_taken());
    }
}
