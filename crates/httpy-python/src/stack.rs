//! `Stacks`: reads what handlers are doing, for those who cannot wait for the interpreter themselves: of all workers and
//! event loops at once, or of one call that takes long, on a worker or an event loop. Nobody is interrupted.
//!
//! A thread of its own does the waiting. There is one at most, started when somebody asks and gone when all are answered, so
//! that however often it is asked while the interpreter is held, nothing piles up but the senders; and of these those
//! whose receivers have given up are dropped with each question.

use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use httpy_core::{Lane, Notice, Slow, Stack, StackOf, TargetId, Ticket};
use pyo3::prelude::*;
use tokio::sync::oneshot;

use crate::attach::attach;
use crate::pool::{Crew, Pool};

/// So many may wait for an answer; one more gets none.
const MOST_WAITING: usize = 64;
/// Of so many workers the stack is read at most: each takes a moment with the interpreter.
const MOST_STACKS: usize = 64;
const STACK_SIZE: usize = 1024 * 1024;
/// How often it looks whether the interpreter can be had.
const LOOK: Duration = Duration::from_millis(20);

/// Who waits for stacks.
#[derive(Debug, Default)]
pub(crate) struct Stacks(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<oneshot::Sender<Vec<Stack>>>,
    /// Calls that take long, with what is to be said of them.
    slow: Vec<(TargetId, Arc<Ticket>, Slow)>,
    /// There is a thread that will answer whoever waits.
    reading: bool,
}

impl Pool {
    /// The stacks of all calls that are in handlers, of those on event loops the oldest, as soon as the interpreter is
    /// available, which may be never: wait with a limit. Closed without an answer if there is no thread for it, or too many
    /// requests wait. Never blocks.
    pub fn stacks(&self) -> oneshot::Receiver<Vec<Stack>> {
        let (sender, receiver) = oneshot::channel();
        if self.crew.stacks.ask(sender) && start(&self.crew).is_err() {
            self.crew.stacks.give_up();
        }
        receiver
    }

    /// Reports a slow call with its stack, as soon as the interpreter is available. At most 64 reports are pending. Never
    /// blocks.
    pub fn tell_slow(&self, target: TargetId, ticket: &Arc<Ticket>, slow: Slow) {
        if self.crew.stacks.ask_slow(target, ticket, slow) && start(&self.crew).is_err() {
            self.crew.stacks.give_up();
        }
    }
}

/// # Errors
///
/// When the operating system gives no thread.
fn start(crew: &Arc<Crew>) -> io::Result<()> {
    let crew = Arc::clone(crew);
    let builder = thread::Builder::new()
        .name("httpy-stacks".to_owned())
        .stack_size(STACK_SIZE);
    builder.spawn(move || run(&crew)).map(drop)
}

/// Reads until nobody waits any more.
fn run(crew: &Crew) {
    while crew.stacks.is_asked() {
        wait_for_turn(crew);
        for (target, ticket, call) in crew.stacks.slow() {
            let stack = catch_unwind(AssertUnwindSafe(|| {
                attach(|py| read_one(py, crew, target, &ticket))
            }));
            crew.notify(&Notice::Slow {
                call,
                stack: stack.unwrap_or_default(),
            });
        }
        if !crew.stacks.is_waited_for() {
            continue;
        }
        // Without any where it panics: whoever asks next is to find a thread that is there or none.
        let stacks =
            catch_unwind(AssertUnwindSafe(|| attach(|py| read(py, crew)))).unwrap_or_default();
        for sender in crew.stacks.waiting() {
            // Fails where nobody waits any more.
            drop(sender.send(stacks.clone()));
        }
    }
}

/// Waits while a worker stands in line for the interpreter in vain: CPython wakes all who do once per switch interval, and one
/// that does is enough to notice when it can be had.
fn wait_for_turn(crew: &Crew) {
    while let Some(taken) = crew.queue.awaited() {
        thread::sleep(LOOK);
        if crew.queue.awaited() != Some(taken) {
            return;
        }
    }
}

fn read(py: Python<'_>, crew: &Crew) -> Vec<Stack> {
    let deadline = &crew.shared.deadline;
    let calls = crew.desks.all().into_iter().take(MOST_STACKS);
    let captured: Vec<_> = calls
        .filter_map(|(seat, ticket)| {
            let thread = crew.threads.with(seat, |thread| thread)?;
            let frames = deadline.capture(py, thread);
            // Asked afterwards: they are this call's only where the worker is still in it.
            let still = crew
                .desks
                .look(seat)
                .is_some_and(|(_, now)| Arc::ptr_eq(&now, &ticket));
            still.then_some((StackOf::Call(ticket), frames))
        })
        .chain(crew.async_lane.stacks(py))
        .collect();
    captured
        .into_iter()
        .map(|(of, frames)| Stack {
            of,
            text: deadline.show(py, frames),
        })
        .collect()
}

/// What one call is doing, if it still runs.
fn read_one(py: Python<'_>, crew: &Crew, target: TargetId, ticket: &Arc<Ticket>) -> Option<String> {
    let deadline = &crew.shared.deadline;
    let frames = match target.lane {
        Lane::Worker => deadline.capture(py, crew.threads.with(ticket.seat()?, |thread| thread)?),
        Lane::EventLoop => crew.async_lane.frames(py, ticket)?,
    };
    // Asked afterwards, as above.
    ticket.seat()?;
    Some(deadline.show(py, frames))
}

impl Stacks {
    /// True when a thread has to be started.
    fn ask_slow(&self, target: TargetId, ticket: &Arc<Ticket>, slow: Slow) -> bool {
        let mut state = self.lock();
        if state.slow.len() >= MOST_WAITING {
            return false;
        }
        state.slow.push((target, Arc::clone(ticket), slow));
        !mem::replace(&mut state.reading, true)
    }

    /// True when a thread has to be started.
    fn ask(&self, sender: oneshot::Sender<Vec<Stack>>) -> bool {
        let mut state = self.lock();
        state.waiting.retain(|waiting| !waiting.is_closed());
        if state.waiting.len() < MOST_WAITING {
            state.waiting.push(sender);
        }
        !mem::replace(&mut state.reading, true)
    }

    /// False, once, when nobody waits: the thread ends.
    fn is_asked(&self) -> bool {
        let mut state = self.lock();
        state.reading = !state.waiting.is_empty() || !state.slow.is_empty();
        state.reading
    }

    fn slow(&self) -> Vec<(TargetId, Arc<Ticket>, Slow)> {
        mem::take(&mut self.lock().slow)
    }

    fn is_waited_for(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    fn waiting(&self) -> Vec<oneshot::Sender<Vec<Stack>>> {
        mem::take(&mut self.lock().waiting)
    }

    /// There is no thread.
    fn give_up(&self) {
        *self.lock() = State::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
