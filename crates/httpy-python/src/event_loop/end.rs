//! What becomes of a call on an event loop after a step: it goes on as a task, its reply's body begins to be sent, or it has
//! ended and is answered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use httpy_core::{Exception, Fault, Finish, Kind, Notice, Outcome, Step, Ticket};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::body::Sending;
use super::call::{Call, Cancelled};
use super::driver::Driver;
use crate::answer::{Answer, Ended, Streamed};
use crate::context::Context;
use crate::convert::{self, Found};
use crate::fork;
use crate::interpreter::panic_message;
use crate::stream;

/// What a step of a call gave.
pub(super) enum Next<'py> {
    Ended(Ended),
    /// This task goes on, in this context.
    GoesOn(Bound<'py, PyAny>, Context<'py>),
}

impl Driver {
    /// A task has ended.
    pub(super) fn end_task(self: &Arc<Self>, task: &Bound<'_, PyAny>) {
        let py = task.py();
        let found = {
            let mut calls = self.event_loop.calls();
            calls.of_task(task).and_then(|number| {
                let call = calls.get(number)?;
                let context = Context::of(call.task.as_ref()?.1.bind(py).clone());
                Some((
                    number,
                    call.target.interface,
                    Arc::clone(&call.ticket),
                    call.sending.is_some(),
                    context,
                ))
            })
        };
        let Some((number, interface, ticket, sends, context)) = found else {
            return;
        };
        let next = catch_unwind(AssertUnwindSafe(|| {
            let next = match self.asyncio.result(task) {
                result if interface.kind == Kind::Asgi => {
                    Ok(Next::Ended(self.app_ended(py, number, result, &context)))
                }
                Ok(result) if sends => self.sent(py, number, &result, &context).map(Next::Ended),
                Ok(result) => self.returned(py, number, &ticket, &result, context.clone()),
                Err(error) => Err(error),
            };
            next.unwrap_or_else(|error| {
                Next::Ended(if sends {
                    self.broken(py, &error)
                } else {
                    self.raised(py, number, &error, &context)
                })
            })
        }));
        self.proceed(
            py,
            number,
            &ticket,
            next.unwrap_or_else(|payload| Next::Ended(panicked(payload.as_ref()))),
        );
    }

    /// Goes on as `next` says.
    pub(super) fn proceed(
        &self,
        py: Python<'_>,
        number: usize,
        ticket: &Arc<Ticket>,
        next: Next<'_>,
    ) {
        let ended = match next {
            Next::Ended(ended) => ended,
            Next::GoesOn(task, context) => {
                let before = self
                    .event_loop
                    .calls()
                    .go_on(number, &task, context.as_any());
                drop(before);
                let done = self
                    .done
                    .get()
                    .ok_or_else(|| PyRuntimeError::new_err("the loop has ended"));
                let Err(error) = done.and_then(|done| self.asyncio.when_done(&task, done.bind(py)))
                else {
                    if self.event_loop.calls().was_cancelled_early(number) {
                        drop(task.call_method0("cancel"));
                    }
                    return;
                };
                // Out of memory: it would run on with nobody to hear of its end.
                drop(task.call_method0("cancel"));
                self.raised(py, number, &error, &context)
            }
        };
        self.end(py, number, ticket, ended);
    }

    /// What the handler returned: the end, or the first step of its body, whose head is answered.
    pub(super) fn returned<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        number: usize,
        ticket: &Arc<Ticket>,
        result: &Bound<'py, PyAny>,
        context: Context<'py>,
    ) -> PyResult<Next<'py>> {
        ticket.stamp(Step::Returned);
        let found = convert::returned(result, true);
        ticket.stamp(Step::Converted);
        match found? {
            Found::Outcome(outcome) => Ok(Next::Ended(Ended::Whole(outcome))),
            Found::Refused(failure, body) => {
                // As of a destructor, since this call has something else to tell.
                stream::close(&body)
                    .unwrap_or_else(|error| error.write_unraisable(py, Some(&body)));
                Ok(Next::Ended(Ended::Whole(Outcome::Contract(failure))))
            }
            Found::Stream(head, body) => self.begin_body(py, number, ticket, head, &body, context),
        }
    }

    fn begin_body<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        number: usize,
        ticket: &Arc<Ticket>,
        head: Outcome,
        body: &Bound<'py, PyAny>,
        context: Context<'py>,
    ) -> PyResult<Next<'py>> {
        let heartbeat = self.crew.shared.streams.heartbeat(body)?;
        let sending = Sending::new(heartbeat.is_none(), self.turn());
        let allowed = head.allows_body(&ticket.call.method);
        let write = self.writer(py, number, ticket)?;
        ticket.begin_chunks(heartbeat.is_none(), Instant::now());
        let begun = self.event_loop.calls().get(number).is_some_and(|call| {
            call.sending = Some(sending);
            call.answer.begin(heartbeat, head).is_some()
        });
        let around = self.event_loop.calls().start(number);
        let next = (|| {
            let send = self.asyncio.send(
                body,
                write.as_any(),
                allowed && begun,
                ticket.clocks.chunk_timeout,
            )?;
            let name = PyString::new(py, "httpy body");
            let task = self.asyncio.start(&send, name.as_any(), &context);
            let task = self.unforked(py, task)?;
            if !self.asyncio.is_done(&task)? {
                return Ok(Next::GoesOn(task, context));
            }
            let result = self.asyncio.result(&task)?;
            self.sent(py, number, &result, &context).map(Next::Ended)
        })();
        self.event_loop.calls().started(around);
        Ok(next.unwrap_or_else(|error: PyErr| Next::Ended(self.broken(py, &error))))
    }

    /// How the call of an application ends: its reply is complete, or breaks off here.
    pub(super) fn app_ended(
        &self,
        py: Python<'_>,
        number: usize,
        result: PyResult<Bound<'_, PyAny>>,
        context: &Context<'_>,
    ) -> Ended {
        let (is_open, streams, fault) = {
            let mut calls = self.event_loop.calls();
            let call = calls.get(number);
            let answer = call.as_ref().map(|call| &call.answer);
            (
                matches!(answer, Some(Answer::Open(_))),
                matches!(answer, Some(Answer::Streaming(..))),
                call.and_then(|call| call.receiving.as_ref()?.fault()),
            )
        };
        match (result, fault) {
            // It has seen that the request's body broke off, and what it has raised follows from that.
            (_, Some(fault)) if is_open => Ended::Whole(Outcome::Upload(fault)),
            (Ok(_), _) => Ended::Streamed(Streamed::default()),
            (Err(error), _) => {
                let exception = self.described(py, number, &error, context);
                if streams {
                    Ended::Streamed(Streamed {
                        fault: Some(Fault::Raised(exception)),
                        closing: None,
                    })
                } else {
                    Ended::Whole(Outcome::Raised(exception))
                }
            }
        }
    }

    /// How a call ends whose head is answered, and whose body could not be sent.
    fn broken(&self, py: Python<'_>, error: &PyErr) -> Ended {
        let fault = Fault::Raised(self.crew.shared.describe.describe(py, error));
        Ended::Streamed(Streamed {
            fault: Some(fault),
            closing: None,
        })
    }

    /// How the sending of a body ended.
    fn sent(
        &self,
        py: Python<'_>,
        number: usize,
        result: &Bound<'_, PyAny>,
        context: &Context<'_>,
    ) -> PyResult<Ended> {
        type Raised<'py> = Option<Bound<'py, PyAny>>;
        let (stalled, raised, closing): (bool, Raised<'_>, Raised<'_>) = result.extract()?;
        let known = {
            let mut calls = self.event_loop.calls();
            calls
                .get(number)
                .and_then(|call| call.sending.as_mut()?.fault.take())
        };
        let closing =
            closing.map(|closing| self.described(py, number, &PyErr::from_value(closing), context));
        let fault = known
            .or_else(|| stalled.then_some(Fault::Stalled))
            .or_else(|| {
                let error = PyErr::from_value(raised?);
                Some(match self.raised(py, number, &error, context) {
                    Ended::Whole(Outcome::Raised(exception)) => Fault::Raised(exception),
                    Ended::Whole(Outcome::Upload(fault)) => Fault::Upload(fault),
                    _ => return None,
                })
            });
        Ok(Ended::Streamed(Streamed { fault, closing }))
    }

    /// How a call ends that has raised.
    pub(super) fn raised(
        &self,
        py: Python<'_>,
        number: usize,
        error: &PyErr,
        context: &Context<'_>,
    ) -> Ended {
        let fault = self.crew.shared.uploads.is_error(py, error).then(|| {
            let mut calls = self.event_loop.calls();
            calls
                .get(number)
                .and_then(|call| call.receiving.as_ref()?.fault())
        });
        Ended::Whole(match fault.flatten() {
            Some(fault) => Outcome::Upload(fault),
            None => Outcome::Raised(self.described(py, number, error, context)),
        })
    }

    /// An exception that the call has not caught, of which what the app has set up for exceptions hears, too.
    fn described(
        &self,
        py: Python<'_>,
        number: usize,
        error: &PyErr,
        context: &Context<'_>,
    ) -> Exception {
        let shared = &self.crew.shared;
        let target = self.event_loop.calls().get(number).map(|call| call.target);
        let described = target
            .and_then(|target| shared.targets.get(target))
            .map(|target| {
                context.run(|| Ok(shared.describe.raised(py, target.label.bind(py), error)))
            });
        match described {
            Some(Ok(exception)) => exception,
            // The context is that of a step which runs the loop again.
            _ => shared.describe.describe(py, error),
        }
    }

    /// `result`, unless this is a process that the handler has forked, which ends here.
    pub(super) fn unforked<'py>(
        &self,
        py: Python<'py>,
        result: PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if self.crew.interpreter.is_forked_child() {
            fork::end_child(py, result);
        }
        result
    }

    fn end(&self, py: Python<'_>, number: usize, ticket: &Arc<Ticket>, ended: Ended) {
        let ended_call = {
            let mut calls = self.event_loop.calls();
            calls
                .of_ticket(number, ticket)
                .is_some()
                .then(|| calls.end(number))
                .flatten()
        };
        let Some(call) = ended_call else { return };
        let Call {
            target,
            ticket: own,
            answer,
            permits,
            task,
            cancelled,
            sending,
            receiving,
            left,
        } = call;
        self.event_loop.load.fetch_sub(1, Ordering::SeqCst);
        // One that was answered has left before.
        if !own.is_answered() {
            self.event_loop.inbox.leave();
        }
        if own.finish() != Finish::Free {
            self.crew.shared.deadline.end(py);
        }
        drop((task, sending, receiving, left));
        if matches!(
            &ended,
            Ended::Streamed(Streamed {
                fault: Some(Fault::Stalled),
                ..
            })
        ) {
            self.crew.notify_later(Notice::Stalled {
                target: self.crew.name(target),
                subject: own.call.subject(),
                limit: own.clocks.chunk_timeout,
            });
        }
        // As under other servers, an application learns that its client has left, and what it raises then is no failure.
        let is_gone = target.interface.kind == Kind::Asgi && own.is_gone();
        // Both before the end of the answer: a client that has its answer finds the bytes of its body, and its service's
        // limit, given back.
        drop((own, permits));
        let interrupted = cancelled.is_some_and(|cancelled| cancelled.answered);
        let silent = |outcome: &Outcome| {
            is_gone && !matches!(outcome, Outcome::Panicked(_))
                || cancelled.is_some() && outcome.is_cancellation()
        };
        for late in answer.end(unless_cancelled(ended, cancelled), interrupted) {
            if !silent(&late.outcome) {
                self.crew.report_late(target, late);
            }
        }
    }

    /// One job less is here.
    pub(super) fn leave(&self) {
        self.event_loop.load.fetch_sub(1, Ordering::SeqCst);
        self.event_loop.inbox.leave();
    }
}

/// A body that broke off because its call was cancelled broke off for no other reason.
fn unless_cancelled(ended: Ended, cancelled: Option<Cancelled>) -> Ended {
    match ended {
        Ended::Streamed(Streamed {
            fault: Some(fault),
            closing,
        }) if cancelled.is_some()
            && fault
                .outcome()
                .is_some_and(|outcome| outcome.is_cancellation()) =>
        {
            Ended::Streamed(Streamed {
                fault: Some(Fault::Interrupted),
                closing,
            })
        }
        ended => ended,
    }
}

pub(super) fn panicked(payload: &(dyn std::any::Any + Send)) -> Ended {
    Ended::Whole(Outcome::Panicked(panic_message(payload)))
}
