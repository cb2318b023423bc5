//! What handlers are doing: of all workers and the event loop at once, or of one call that takes long. No call is
//! interrupted by it.
//!
//! The watchdog's [inspector](crate::watchdog) reads the stacks, as those that ask cannot wait for the interpreter. While the
//! interpreter is held, a request keeps no more than its sender, and drops the senders whose receivers have given up.

use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use httpy_core::{Lane, Notice, Slow, Stack, StackOf, TargetId, Ticket};
use pyo3::prelude::*;
use tokio::sync::oneshot;

use crate::attach::attach;
use crate::pool::{Crew, Pool};
use crate::watchdog::serve_clock;

/// Maximum number of requests of each kind that wait for an answer; one more gets none.
const MOST_WAITING: usize = 64;
/// Maximum number of workers whose stacks are read: each takes a moment with the interpreter.
const MOST_STACKS: usize = 64;

/// Requests for stacks.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    all: Vec<oneshot::Sender<Vec<Stack>>>,
    slow: VecDeque<SlowCall>,
}

/// A call that takes long, and what is to be logged of it.
type SlowCall = Box<(TargetId, Arc<Ticket>, Slow)>;

/// One request, or all of a kind that one reading answers.
pub(crate) enum Request {
    All(Vec<oneshot::Sender<Vec<Stack>>>),
    Slow(SlowCall),
}

impl Pool {
    /// The stacks of all calls that are in handlers, of those on the event loop the oldest, as soon as the interpreter is
    /// available, which may be never: wait with a limit. Closed without an answer if too many requests wait, or the pool has
    /// ended. Never blocks.
    pub fn stacks(&self) -> oneshot::Receiver<Vec<Stack>> {
        let (sender, receiver) = oneshot::channel();
        self.crew
            .watchdog
            .request_stacks(|requests| requests.ask(sender));
        receiver
    }

    /// Reports a slow call with its stack, as soon as the interpreter is available. At most 64 reports are pending. Never
    /// blocks.
    pub fn tell_slow(&self, target: TargetId, ticket: &Arc<Ticket>, slow: Slow) {
        let call = Box::new((target, Arc::clone(ticket), slow));
        self.crew
            .watchdog
            .request_stacks(|requests| requests.ask_slow(call));
    }
}

impl Request {
    /// Answers it. Without a stack if reading panics: the thread goes on.
    pub(crate) fn answer(self, crew: &Crew) {
        match self {
            Self::All(senders) => {
                let read = AssertUnwindSafe(|| attach(|py| read(py, crew)));
                let (notices, stacks) = catch_unwind(read).unwrap_or_default();
                crew.notify_all(&notices);
                for sender in senders {
                    // Fails if the receiver has given up.
                    drop(sender.send(stacks.clone()));
                }
            }
            Self::Slow(slow) => {
                let (target, ticket, call) = *slow;
                let read = AssertUnwindSafe(|| attach(|py| read_one(py, crew, target, &ticket)));
                let stack = catch_unwind(read).unwrap_or_default();
                crew.notify(&Notice::Slow { call, stack });
            }
        }
    }
}

/// All stacks, and what is to be logged of what the clock has asked for meanwhile.
fn read(py: Python<'_>, crew: &Crew) -> (Vec<Notice>, Vec<Stack>) {
    let deadline = &crew.shared.deadline;
    let mut notices = serve_clock(py, crew);
    let calls = crew.desks.all().into_iter().take(MOST_STACKS);
    let captured: Vec<_> = calls
        .filter_map(|(seat, ticket)| {
            let thread = crew.desks.thread(seat)?;
            let frames = deadline.capture(py, thread);
            // Asked afterwards: they are this call's only if the worker is still in it.
            let still = crew
                .desks
                .look(seat)
                .is_some_and(|(_, now)| Arc::ptr_eq(&now, &ticket));
            still.then_some((StackOf::Call(ticket), frames))
        })
        .chain(crew.async_lane.stacks(py))
        .collect();
    let shown = captured.into_iter().map(|(of, frames)| {
        let text = deadline.show(py, frames);
        notices.extend(serve_clock(py, crew));
        Stack { of, text }
    });
    let stacks = shown.collect();
    (notices, stacks)
}

/// What one call is doing, if it still runs.
fn read_one(py: Python<'_>, crew: &Crew, target: TargetId, ticket: &Arc<Ticket>) -> Option<String> {
    let deadline = &crew.shared.deadline;
    let frames = match target.lane() {
        Lane::Worker => deadline.capture(py, crew.desks.thread(ticket.seat()?)?),
        Lane::EventLoop => crew.async_lane.frames(py, ticket)?,
    };
    // Asked afterwards, as above.
    ticket.seat()?;
    Some(deadline.show(py, frames))
}

impl Requests {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.slow.is_empty()
    }

    pub(crate) fn next(&mut self) -> Option<Request> {
        let slow = self.slow.pop_front().map(Request::Slow);
        slow.or_else(|| (!self.all.is_empty()).then(|| Request::All(mem::take(&mut self.all))))
    }

    fn ask_slow(&mut self, call: SlowCall) {
        if self.slow.len() < MOST_WAITING {
            self.slow.push_back(call);
        }
    }

    pub(crate) fn ask(&mut self, sender: oneshot::Sender<Vec<Stack>>) {
        self.all.retain(|sender| !sender.is_closed());
        if self.all.len() < MOST_WAITING {
            self.all.push(sender);
        }
    }
}
