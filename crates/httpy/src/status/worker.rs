//! `Worker`: one worker and its call at one moment, as plain data.

use std::sync::Arc;
use std::time::Duration;

use httpy_core::{Member, Stack, StackOf, Standing, Ticket, Work};
use serde::Serialize;

use super::ring::shortened;
use super::seconds;

/// One worker of the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Worker {
    /// Its number, from 1 up.
    pub number: usize,
    /// The name of its thread, for the system and for Python.
    pub name: String,
    /// What it does.
    pub state: WorkerState,
    /// The call that it is in.
    pub call: Option<CurrentCall>,
    /// The Python stack of its call, where it was asked for and the call went on meanwhile; empty where no Python code runs
    /// in it.
    pub stack: Option<String>,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkerState {
    /// Sleeps.
    Idle,
    /// Takes the jobs that wait, one after the other; without a call, it looks out for the next one.
    Lead,
    /// Stands by to take over as soon as the lead's handler waits or computes for long.
    Standby,
    /// Is in a handler while another worker leads, or is about to be.
    Working,
    /// Is in a handler that keeps the interpreter until it is taken from it.
    Computing,
    /// Is in a handler that does not end.
    Lost,
}

impl WorkerState {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::Idle,
        Self::Lead,
        Self::Standby,
        Self::Working,
        Self::Computing,
        Self::Lost,
    ];

    /// As it is serialised, and in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Lead => "lead",
            Self::Standby => "standby",
            Self::Working => "working",
            Self::Computing => "computing",
            Self::Lost => "lost",
        }
    }
}

/// A call that a worker or an event loop is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CurrentCall {
    /// The handler's target.
    pub target: String,
    /// Its method; at most 400 bytes, as all texts here that come from a client.
    pub method: String,
    /// The pattern of its route.
    pub route: Option<String>,
    /// Its decoded path.
    pub path: String,
    /// How long ago it was put into the queue.
    #[serde(serialize_with = "seconds::of")]
    pub elapsed: Duration,
    /// How long it may take; for a chunk, once it streams.
    #[serde(serialize_with = "seconds::of")]
    pub limit: Duration,
    /// Its head is answered, and its body is on its way.
    pub streaming: bool,
    /// Nobody waits for its answer any more, or for the rest of it.
    pub gone: bool,
}

impl Worker {
    /// `stacks` are those that were read a moment ago.
    pub(crate) fn new(member: Member, stacks: &[Stack]) -> Self {
        let Member {
            number,
            name,
            standing,
            work,
        } = member;
        let stack = work.as_ref().and_then(|work| stack_of(work, stacks));
        Self {
            number,
            name,
            state: standing.into(),
            call: work.as_ref().map(CurrentCall::from),
            stack,
        }
    }
}

/// The stack of a call, if it was read.
pub(super) fn stack_of(work: &Work, stacks: &[Stack]) -> Option<String> {
    let is_its = |stack: &&Stack| matches!(&stack.of, StackOf::Call(ticket) if Arc::ptr_eq(ticket, &work.ticket));
    stacks.iter().find(is_its).map(|stack| stack.text.clone())
}

impl From<&Work> for CurrentCall {
    fn from(work: &Work) -> Self {
        let ticket: &Ticket = &work.ticket;
        let call = &ticket.call;
        Self {
            target: work.target.clone(),
            method: shortened(call.method.as_str()).to_owned(),
            route: call
                .details
                .route
                .as_deref()
                .map(|route| shortened(route).to_owned()),
            path: shortened(&String::from_utf8_lossy(call.path())).to_owned(),
            elapsed: ticket.pushed.elapsed(),
            limit: ticket.limit(),
            streaming: ticket.is_streaming(),
            gone: ticket.is_gone(),
        }
    }
}

impl From<Standing> for WorkerState {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Idle => Self::Idle,
            Standing::Lead => Self::Lead,
            Standing::Standby => Self::Standby,
            Standing::Working => Self::Working,
            Standing::Computing => Self::Computing,
            Standing::Lost => Self::Lost,
        }
    }
}
