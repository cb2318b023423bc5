//! `Turn`: what an event loop's thread does when it is rung: it cancels what is to be cancelled, and takes jobs and runs
//! their first steps, for half a switch interval at most; and what it does when a task has ended.
//!
//! A job's place in the queue is given back as soon as the job is here, so that a burst of them finds room; its ticket
//! still waits then, and the caller may withdraw it until its own first step begins. How many may be here at once is an
//! option, and what is beyond it stays in the inbox with its place in the queue.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use httpy_core::{Finish, Freight, Job, Outcome, TargetId, Ticket};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::sync::oneshot;

use super::asyncio::Asyncio;
use super::call::{Call, Cancelled};
use super::inbox::{Cancel, Look};
use super::EventLoop;
use super::allowance::Allowance;
use crate::context::Context;
use crate::convert;
use crate::deadline;
use crate::enforcer;
use crate::fork;
use crate::interpreter::panic_message;
use crate::load::Target;
use crate::notice::Notice;
use crate::pool::Crew;

/// One loop's thread at work.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) crew: Arc<Crew>,
    pub(super) event_loop: Arc<EventLoop>,
    pub(super) asyncio: Asyncio,
    /// Is called with each task that has ended.
    pub(super) done: OnceLock<Py<PyAny>>,
    ready: Mutex<VecDeque<Ready>>,
    stacks: Allowance,
}

/// A job that has given its place in the queue back, and whose first step has not begun.
#[derive(Debug)]
struct Ready {
    target: TargetId,
    ticket: Arc<Ticket>,
    answer: oneshot::Sender<Outcome>,
}

/// What the first step of a call gave.
enum Step<'py> {
    Ended(Outcome),
    GoesOn(Bound<'py, PyAny>, Context<'py>),
}

impl Turn {
    pub(super) fn new(crew: Arc<Crew>, event_loop: Arc<EventLoop>, asyncio: Asyncio) -> Self {
        let (done, ready) = (OnceLock::new(), Mutex::default());
        Self { crew, event_loop, asyncio, done, ready, stacks: Allowance::default() }
    }

    /// Sees to what was rung for. False when the loop is to end.
    pub(super) fn take(&self, py: Python<'_>) -> bool {
        let (inbox, begun) = (&self.event_loop.inbox, Instant::now());
        let turn = self.crew.interpreter.switch_interval() / 2;
        inbox.hear();
        loop {
            self.event_loop.rounds.fetch_add(1, Ordering::Relaxed);
            match inbox.look(self.room()) {
                Look::Closed => return false,
                Look::Nothing if self.ready().is_empty() => return true,
                Look::Nothing => {}
                Look::Some { jobs, cancels } => {
                    self.ready().extend(jobs.into_iter().map(|Job { target, ticket, answer, slot }| {
                        drop(slot);
                        Ready { target, ticket, answer }
                    }));
                    for cancel in cancels {
                        self.cancel(py, &cancel);
                    }
                }
            }
            while let Some(ready) = self.next() {
                self.start(py, ready);
                if begun.elapsed() >= turn {
                    // Other callbacks and tasks of the loop come first now.
                    inbox.put_off();
                    return true;
                }
            }
        }
    }

    /// A task has ended.
    pub(super) fn end_task(&self, task: &Bound<'_, PyAny>) {
        let Some(number) = self.event_loop.calls().of_task(task) else { return };
        let outcome = catch_unwind(AssertUnwindSafe(|| self.outcome(task.py(), self.asyncio.result(task))));
        self.end(task.py(), number, outcome.unwrap_or_else(|payload| panicked(payload.as_ref())));
    }

    /// Gives up all calls that are left.
    pub(super) fn end_all(&self) {
        drop(std::mem::take(&mut *self.ready()));
        let left = self.event_loop.calls().end_all();
        for call in left {
            call.ticket.finish();
        }
        self.event_loop.load.store(0, Ordering::Relaxed);
    }

    /// How many more calls may be here.
    fn room(&self) -> usize {
        let here = self.event_loop.calls().len() + self.ready().len();
        self.crew.options().in_flight.saturating_sub(here)
    }

    fn next(&self) -> Option<Ready> {
        self.ready().pop_front()
    }

    fn start(&self, py: Python<'_>, ready: Ready) {
        let Ready { target, ticket, answer } = ready;
        let (number, around, body) = {
            let mut calls = self.event_loop.calls();
            let number = calls.next();
            // The order matters: a call that nobody waits for any more must not count as taken.
            if answer.is_closed() || !ticket.take(self.event_loop.seat(number)) {
                drop(calls);
                return self.leave();
            }
            let Freight { body, permits } = ticket.unload();
            let call = Call { target, ticket: Arc::clone(&ticket), answer, permits, task: None, cancelled: None };
            (number, calls.start(call), body)
        };
        let step = catch_unwind(AssertUnwindSafe(|| self.first_step(py, target, &ticket, body)));
        drop(ticket);
        let step = step.unwrap_or_else(|payload| Step::Ended(panicked(payload.as_ref())));
        let outcome = match step {
            Step::Ended(outcome) => {
                self.event_loop.calls().started(number, None, around);
                outcome
            }
            Step::GoesOn(task, context) => {
                self.event_loop.calls().started(number, Some(&task), around);
                let Err(error) = self.when_done(&task, &context) else { return };
                // Out of memory: it would run on with nobody to hear of its end.
                drop(task.call_method0("cancel"));
                Outcome::Raised(self.crew.shared.describe.describe(py, &error))
            }
        };
        self.end(py, number, outcome);
    }

    fn when_done<'py>(&self, task: &Bound<'py, PyAny>, context: &Context<'py>) -> PyResult<()> {
        let done = self.done.get().ok_or_else(|| PyRuntimeError::new_err("the loop has ended"))?;
        self.asyncio.when_done(task, done.bind(task.py()), context)
    }

    fn first_step<'py>(&self, py: Python<'py>, target: TargetId, ticket: &Arc<Ticket>, body: Bytes) -> Step<'py> {
        let Some(target) = self.crew.shared.targets.get(target) else {
            return Step::Ended(Outcome::Panicked("a job for a handler that was never loaded".to_owned()));
        };
        match self.try_first_step(py, &target, ticket, body) {
            Ok(Ok(ended)) => Step::Ended(self.outcome(py, ended)),
            Ok(Err((task, context))) => Step::GoesOn(task, context),
            Err(error) => Step::Ended(self.outcome(py, Err(error))),
        }
    }

    /// Calls the handler, and runs what it gives until it waits: its result, or its task and context when it goes on.
    fn try_first_step<'py>(
        &self,
        py: Python<'py>,
        target: &Target,
        ticket: &Arc<Ticket>,
        body: Bytes,
    ) -> PyResult<Result<PyResult<Bound<'py, PyAny>>, (Bound<'py, PyAny>, Context<'py>)>> {
        let shared = &self.crew.shared;
        let context = Context::new(py)?;
        let result = context.run(|| {
            shared.current.set(py, ticket)?;
            let arguments = convert::arguments(py, &shared.names, &ticket.call, &body, target.wants_bytes)?;
            // Python has its own copy.
            drop(body);
            target.handler.bind(py).call1(arguments)
        })?;
        let Some(coroutine) = self.asyncio.coroutine(&result)? else { return Ok(Ok(Ok(result))) };
        let task = self.asyncio.start(&coroutine, target.label.bind(py), &context)?;
        if self.asyncio.is_done(&task)? { Ok(Ok(self.asyncio.result(&task))) } else { Ok(Err((task, context))) }
    }

    fn outcome(&self, py: Python<'_>, result: PyResult<Bound<'_, PyAny>>) -> Outcome {
        if self.crew.interpreter.is_forked_child() {
            fork::end_child(py, result);
        }
        let outcome = result.and_then(|result| convert::returned(&result));
        outcome.unwrap_or_else(|error| Outcome::Raised(self.crew.shared.describe.describe(py, &error)))
    }

    fn end(&self, py: Python<'_>, number: usize, outcome: Outcome) {
        let Some(call) = self.event_loop.calls().end(number) else { return };
        let Call { target, ticket, answer, permits, task, cancelled } = call;
        self.leave();
        loop {
            match ticket.finish() {
                Finish::Free => break,
                Finish::Interrupting => py.detach(thread::yield_now),
                Finish::Interrupted { .. } => {
                    deadline::take_back(py);
                    break;
                }
            }
        }
        drop(task);
        // Both before the answer: the response future then is the last owner and frees what its thread allocated; and a
        // client that has its answer finds the bytes of its body, and its service's limit, given back.
        drop((ticket, permits));
        if let Err(outcome) = answer.send(outcome)
            && is_news(cancelled, &outcome)
        {
            self.crew.report_late(target, outcome);
        }
    }

    /// One job less is here.
    fn leave(&self) {
        self.event_loop.load.fetch_sub(1, Ordering::Relaxed);
        self.event_loop.inbox.has_room();
    }

    /// Cancels a call, if it still runs. Python code runs in it: what the task waits for may be cancelled in turn.
    fn cancel(&self, py: Python<'_>, cancel: &Cancel) {
        let Cancel { target, ticket, answered } = cancel;
        let task = ticket.seat().and_then(|seat| {
            let (number, mut calls) = (EventLoop::number_of(seat), self.event_loop.calls());
            let task = calls.of_ticket(number, ticket).map(|call| call.task.as_ref().map(|task| task.clone_ref(py)))?;
            calls.cancel(number, *answered);
            Some(task)
        });
        if *answered && !self.event_loop.calls().was_interrupted(ticket) {
            let call = || enforcer::overdue(&self.crew, *target, ticket);
            self.crew.notify_later(match task.as_ref() {
                None => Notice::Late { target: self.crew.name(*target), limit: ticket.limit() },
                Some(task) => Notice::Cancelled { call: call(), stack: self.stack(py, task.as_ref()) },
            });
        }
        if let Some(Some(task)) = task {
            // Fails only where app code has replaced what a task awaits.
            drop(task.bind(py).call_method0("cancel"));
        }
    }

    fn stack(&self, py: Python<'_>, task: Option<&Py<PyAny>>) -> Option<String> {
        let task = task.filter(|_| self.stacks.take())?;
        Some(self.crew.shared.deadline.show(py, self.asyncio.frames(task.bind(py))))
    }

    fn ready(&self) -> MutexGuard<'_, VecDeque<Ready>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the outcome of a call that nobody waited for any more is to be seen in the log. How a call ends that was
/// cancelled at its deadline is the deadline's doing, and the log has it; one whose client has gone may end by the
/// cancellation without a word.
fn is_news(cancelled: Option<Cancelled>, outcome: &Outcome) -> bool {
    match (cancelled, outcome) {
        (_, Outcome::Panicked(_)) | (None, _) => true,
        (Some(Cancelled { answered: true, .. }), _) => false,
        (Some(_), Outcome::Raised(exception)) => exception.type_name() != "asyncio.exceptions.CancelledError",
        (Some(_), _) => true,
    }
}

fn panicked(payload: &(dyn std::any::Any + Send)) -> Outcome {
    Outcome::Panicked(panic_message(payload))
}
