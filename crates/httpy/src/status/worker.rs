//! `Worker`: one worker and its call at one moment, as plain data.

use std::sync::Arc;
use std::time::Duration;

use httpy_core::{Member, Stack, StackOf, Standing, Ticket, Work};
use serde::Serialize;

use super::ring::shortened;
use super::seconds;

/// A worker thread, or a worker process.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// engine.handler("shop:report")?;
/// let workers = engine.snapshot().workers.each;
/// assert!(workers.iter().all(|worker| worker.number >= 1 && worker.call.is_none()));
/// # Ok(()) }
/// ```
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
    /// The Python stack of its call, if it was asked for and the call still ran; empty if no Python code runs in it.
    pub stack: Option<String>,
}

/// The state of a worker.
///
/// ```
/// use httpy::WorkerState;
///
/// assert_eq!(serde_json::to_string(&WorkerState::Lead).unwrap(), r#""lead""#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkerState {
    /// It sleeps.
    Idle,
    /// It runs the jobs in the queue, one after the other, or polls for the next one.
    Lead,
    /// It takes over as soon as the lead's handler waits or computes for long.
    Standby,
    /// It is in a handler while another worker leads.
    Working,
    /// It is in a handler that computes: CPython has to take the interpreter from it.
    Computing,
    /// It is in a handler that did not end after its deadline.
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

/// A call that a worker or an event loop runs.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let snapshot = engine.snapshot();
/// let calls = snapshot.workers.each.iter().filter_map(|worker| worker.call.as_ref());
/// assert_eq!(calls.filter(|call| call.elapsed > call.limit).count(), 0); // overdue
/// # Ok(()) }
/// ```
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
    /// Time since it was put into the queue.
    #[serde(serialize_with = "seconds::of")]
    pub elapsed: Duration,
    /// Its deadline, from then on; for a stream, the limit of one chunk.
    #[serde(serialize_with = "seconds::of")]
    pub limit: Duration,
    /// The head of its response is sent, and its body follows.
    pub streaming: bool,
    /// Its client has left.
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
            limit: ticket.limit().time,
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
