//! `Call`: one request as plain data; `Ticket`: a call with its stage, shared by both sides.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use http::{Method, Uri, Version};

use crate::{Fields, Freight, Headers};

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
    /// Never contended: the stage says who may take it.
    freight: Mutex<Option<Freight>>,
}

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    /// A ticket of a call that waits.
    pub const fn new(call: Call, deadline: Instant, freight: Freight) -> Self {
        Self { stage: AtomicU8::new(WAITING), call, deadline, freight: Mutex::new(Some(freight)) }
    }

    /// The worker's side: true, once, when the call still waits; from then on it runs, and its freight is the worker's.
    pub fn take(&self) -> bool {
        self.leave_waiting_for(TAKEN)
    }

    /// The caller's side: true, once, when the call still waits; from then on it never runs. Its freight is given up here,
    /// whenever a worker comes by its job.
    pub fn withdraw(&self) -> bool {
        let withdrawn = self.leave_waiting_for(WITHDRAWN);
        if withdrawn {
            drop(self.unload());
        }
        withdrawn
    }

    /// What the call holds, for the worker that took it; nothing the second time.
    pub fn unload(&self) -> Freight {
        self.freight.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
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
    use bytes::Bytes;

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
        Ticket::new(call, Instant::now(), Freight { body: Bytes::from_static(b"body"), ..Freight::default() })
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

    #[test]
    fn a_withdrawn_call_gives_up_its_freight_at_once() {
        let ticket = ticket();
        assert!(ticket.withdraw());
        assert!(ticket.unload().body.is_empty());
    }

    #[test]
    fn the_freight_of_a_taken_call_is_the_workers_once() {
        let ticket = ticket();
        assert!(ticket.take() && !ticket.withdraw());
        assert_eq!(ticket.unload().body, "body");
        assert!(ticket.unload().body.is_empty());
    }
}
