//! `Driver`: one event loop's thread at work. When it is rung, it cancels what is to be cancelled, wakes what waits for a
//! stream, and takes jobs and runs their first steps, for half a switch interval at most.
//!
//! The ticket of a job that was admitted still waits, and the caller may withdraw it until its own first step begins. What
//! becomes of a call after its first step is in `end.rs`.

use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use httpy_core::{
    BodyMode, Freight, Kind, Notice, Outcome, Overdue, Seat, Step, TargetId, Ticket, Upload,
};
use pyo3::prelude::*;

use super::EventLoop;
use super::allowance::Allowance;
use super::asyncio::Asyncio;
use super::call::Call;
use super::end::{Next, panicked};
use super::inbox::{Admitted, Cancel, Look};
use super::upload::Receiving;
use crate::answer::{Answer, Ended};
use crate::context::Context;
use crate::convert;
use crate::hook::Hooks;
use crate::load::Target;
use crate::pool::Crew;
use crate::turn::Turn;

/// One loop's thread at work.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) crew: Arc<Crew>,
    pub(super) event_loop: Arc<EventLoop>,
    pub(super) asyncio: Asyncio,
    /// Is called with each task that has ended.
    pub(super) done: OnceLock<Py<PyAny>>,
    /// Jobs whose first step has not begun.
    ready: Mutex<VecDeque<Admitted>>,
    hooks: Mutex<Hooks>,
    stacks: Allowance,
}

impl Driver {
    pub(super) fn new(crew: Arc<Crew>, event_loop: Arc<EventLoop>, asyncio: Asyncio) -> Self {
        let (done, ready) = (OnceLock::new(), Mutex::default());
        Self {
            crew,
            event_loop,
            asyncio,
            done,
            ready,
            hooks: Mutex::default(),
            stacks: Allowance::default(),
        }
    }

    /// Sees to what was rung for. False when the loop is to end.
    pub(super) fn take(self: &Arc<Self>, py: Python<'_>) -> bool {
        let (inbox, turn) = (&self.event_loop.inbox, self.turn());
        inbox.hear();
        self.event_loop.lag.comes_round();
        loop {
            self.event_loop.rounds.fetch_add(1, Ordering::Relaxed);
            match inbox.look() {
                Look::Closed => return false,
                Look::Nothing if self.ready().is_empty() => return true,
                Look::Nothing => {}
                Look::Some {
                    jobs,
                    cancels,
                    woken,
                } => {
                    self.ready().extend(jobs);
                    for cancel in &cancels {
                        self.cancel(py, cancel);
                    }
                    for woken in &woken {
                        self.wake(py, woken);
                    }
                }
            }
            loop {
                if turn.is_over(Instant::now()) {
                    // Other callbacks and tasks of the loop come first now.
                    inbox.put_off();
                    return true;
                }
                let Some(job) = self.next() else { break };
                self.start(py, job);
            }
        }
    }

    /// A turn that begins now.
    pub(super) fn turn(&self) -> Turn {
        Turn::new(self.crew.interpreter.switch_interval())
    }

    /// Gives up all calls that are left.
    pub(super) fn end_all(&self) {
        drop(mem::take(&mut *self.ready()));
        let left = self.event_loop.calls().end_all();
        for call in left {
            call.ticket.finish();
        }
        self.event_loop.load.store(0, Ordering::SeqCst);
    }

    /// Jobs whose first step has not begun, for another loop.
    pub(super) fn hand_over(&self) -> Vec<Admitted> {
        mem::take(&mut *self.ready()).into()
    }

    /// Whether a job whose first step has not begun was to be answered by `before`.
    pub(super) fn is_overdue(&self, before: Instant) -> bool {
        self.ready()
            .iter()
            .any(|job| job.ticket.clocks.deadline <= before)
    }

    fn next(&self) -> Option<Admitted> {
        self.ready().pop_front()
    }

    fn start(self: &Arc<Self>, py: Python<'_>, job: Admitted) {
        let Admitted {
            target,
            ticket,
            answer,
        } = job;
        let (number, around, body) = {
            let mut calls = self.event_loop.calls();
            let number = calls.next();
            // The order matters: a call that nobody waits for any more must not count as taken.
            if answer.is_closed() || !ticket.take(Seat(number)) {
                drop(calls);
                return self.leave();
            }
            let now = Instant::now();
            ticket.stamp_taken(now, Duration::ZERO);
            let Freight { body, permits } = ticket.unload();
            calls.add(Call::new(
                target,
                Arc::clone(&ticket),
                Answer::Open(answer),
                permits,
            ));
            (number, calls.start(number), body)
        };
        let next = catch_unwind(AssertUnwindSafe(|| {
            self.first_step(py, number, target, &ticket, body)
        }));
        self.event_loop.calls().started(around);
        self.proceed(
            py,
            number,
            &ticket,
            next.unwrap_or_else(|payload| Next::Ended(panicked(payload.as_ref()))),
        );
    }

    fn first_step<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        number: usize,
        target: TargetId,
        ticket: &Arc<Ticket>,
        body: Upload,
    ) -> Next<'py> {
        let Some(target) = self.crew.shared.targets.get(target) else {
            let text = "a job for a handler that was never loaded".to_owned();
            return Next::Ended(Ended::Whole(Outcome::Panicked(text)));
        };
        self.follow_hooks(py);
        let shared = &self.crew.shared;
        let context = match shared.start.context(py) {
            Ok(context) => context,
            Err(error) => {
                let exception = shared.describe.describe(py, &error);
                return Next::Ended(Ended::Whole(Outcome::Raised(exception)));
            }
        };
        let next = self.try_first_step(py, number, &target, ticket, body, context.clone());
        next.unwrap_or_else(|error| Next::Ended(self.raised(py, number, &error, &context)))
    }

    /// Debuggers and profilers see what runs on this thread, too.
    fn follow_hooks(&self, py: Python<'_>) {
        // Not under the lock, as Python code runs here.
        let mut hooks = mem::take(&mut *self.hooks());
        hooks.follow(py, &self.crew.shared.start);
        *self.hooks() = hooks;
    }

    /// Calls the handler, and runs what it gives until it waits.
    fn try_first_step<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        number: usize,
        target: &Target,
        ticket: &Arc<Ticket>,
        body: Upload,
        context: Context<'py>,
    ) -> PyResult<Next<'py>> {
        let shared = &self.crew.shared;
        let is_app = target.interface.kind == Kind::Asgi;
        let result = context.run(|| {
            shared.current.set(py, ticket)?;
            if is_app {
                let exchange = self.exchange(py, number, ticket, body)?;
                ticket.stamp(Step::Called);
                return target.handler.bind(py).call1((exchange,));
            }
            let body = match (target.interface.body, body) {
                (BodyMode::Stream, body) => {
                    let receiving = Receiving::new(body, self.turn());
                    if let Some(call) = self.event_loop.calls().get(number) {
                        call.receiving = Some(receiving);
                    }
                    self.async_body(py, number, ticket)?
                }
                (mode, Upload::Whole(body)) => convert::body(py, &body, mode == BodyMode::Bytes)?,
                // Nobody sends one to a handler that has not asked for it.
                (_, Upload::Stream(_)) => convert::body(py, &[], false)?,
            };
            let arguments = convert::arguments(py, &shared.names, &ticket.call, body)?;
            ticket.stamp(Step::Called);
            target.handler.bind(py).call1(arguments)
        });
        let result = self.unforked(py, result)?;
        let Some(coroutine) = self.asyncio.coroutine(&result)? else {
            return self.returned(py, number, ticket, &result, context);
        };
        let task = self
            .asyncio
            .start(&coroutine, target.label.bind(py), &context);
        let task = match self.unforked(py, task) {
            // From Python 3.12 on, a `SystemExit` in the first step is raised here.
            Err(error) if is_app => {
                return Ok(Next::Ended(self.app_ended(
                    py,
                    number,
                    Err(error),
                    &context,
                )));
            }
            task => task?,
        };
        if !self.asyncio.is_done(&task)? {
            return Ok(Next::GoesOn(task, context));
        }
        let result = self.asyncio.result(&task);
        if is_app {
            return Ok(Next::Ended(self.app_ended(py, number, result, &context)));
        }
        self.returned(py, number, ticket, &result?, context)
    }

    /// Cancels a call, if it still runs; an application is told that its client has left, and cancelled when its time is
    /// over. Python code runs in it: what the task waits for may be cancelled in turn.
    fn cancel(&self, py: Python<'_>, cancel: &Cancel) {
        let Cancel {
            target,
            ticket,
            answered,
        } = cancel;
        let is_due = ticket.due().is_some_and(|due| due <= Instant::now());
        if target.interface.kind == Kind::Asgi && !answered && !is_due {
            if let Some(Seat(number)) = ticket.seat() {
                self.event_loop.calls().abandon(*target, ticket);
                self.tell_left(py, number, ticket);
            }
            return;
        }
        let task = ticket.seat().and_then(|Seat(number)| {
            let mut calls = self.event_loop.calls();
            let call = calls.of_ticket(number, ticket)?;
            let task = call.task.as_ref().map(|(task, _)| task.clone_ref(py));
            calls.cancel(number, *answered);
            Some(task)
        });
        if *answered && self.event_loop.calls().interrupted(ticket).is_none() {
            self.crew.notify_later(match task.as_ref() {
                None => Notice::Late {
                    target: self.crew.name(*target),
                    subject: ticket.call.subject(),
                    limit: ticket.limit(),
                },
                Some(task) => Notice::Cancelled {
                    call: Overdue::of(self.crew.name(*target), ticket),
                    stack: self.stack(py, task.as_ref()),
                },
            });
        }
        if let Some(Some(task)) = task {
            // Fails only where app code has replaced what a task awaits.
            drop(self.asyncio.cancel(task.bind(py)));
        }
    }

    fn stack(&self, py: Python<'_>, task: Option<&Py<PyAny>>) -> Option<String> {
        let task = task.filter(|_| self.stacks.take())?;
        Some(
            self.crew
                .shared
                .deadline
                .show(py, self.asyncio.frames(task.bind(py))),
        )
    }

    fn hooks(&self) -> MutexGuard<'_, Hooks> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(&self) -> MutexGuard<'_, VecDeque<Admitted>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
