//! The body of a request on its way to an event loop, as `httpy_rs.AsyncBody`: each chunk is awaited by a future of the
//! loop's.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use std::time::Instant;

use httpy_core::{Ticket, Upload, UploadFault};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::driver::Driver;
use super::ready::{Kind, Woken, of_call, waker};
use crate::convert;
use crate::deadline::ThreadId;
use crate::turn::Turn;
use crate::upload::{self, State};

/// How far the body of a request has come.
#[derive(Debug)]
pub(super) struct Receiving {
    state: State,
    /// Since when its reader has let nobody else run.
    turn: Turn,
    /// What waits for the next chunk.
    waits: Option<Py<PyAny>>,
}

/// A chunk, none at the end, or why there is no more.
type Next = Result<Option<Bytes>, UploadFault>;

impl Receiving {
    pub(super) fn new(body: Upload, turn: Turn) -> Self {
        Self {
            state: State::Open(body.into_reader()),
            turn,
            waits: None,
        }
    }

    /// Why there is no more.
    pub(super) fn fault(&self) -> Option<UploadFault> {
        match &self.state {
            State::Failed(fault) => Some(fault.clone()),
            _ => None,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let next = match &mut self.state {
            State::Open(reader) => upload::read(ready!(reader.poll_next(context))),
            State::Failed(fault) => Err(fault.clone()),
            State::Ended | State::Closed => Ok(None),
        };
        match &next {
            Ok(Some(_)) => {}
            Ok(None) => self.state = State::Ended,
            Err(fault) => self.state = State::Failed(fault.clone()),
        }
        Poll::Ready(next)
    }
}

impl Driver {
    /// The body of a call's request for its handler.
    pub(super) fn async_body<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        number: usize,
        ticket: &Arc<Ticket>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (driver, ticket, thread) = (
            Arc::downgrade(self),
            Arc::downgrade(ticket),
            ThreadId::current(),
        );
        let next = PyCFunction::new_closure(py, Some(c"next_chunk"), None, move |arguments, _| {
            if ThreadId::current() != thread {
                return Err(PyRuntimeError::new_err(
                    "the request's body was read on another thread than its handler's",
                ));
            }
            let (driver, ticket) = of_call(&driver, &ticket)?;
            driver.next_chunk(arguments.py(), number, &ticket)
        })?;
        self.crew.shared.uploads.open_async(&next)
    }

    /// A future of the next chunk.
    pub(super) fn next_chunk(
        &self,
        py: Python<'_>,
        number: usize,
        ticket: &Arc<Ticket>,
    ) -> PyResult<Py<PyAny>> {
        let waiting = self
            .with_receiving(number, ticket, |receiving| receiving.waits.take())
            .flatten();
        if let Some(waiting) = waiting
            && !self.asyncio.is_done(waiting.bind(py))?
        {
            drop(self.with_receiving(number, ticket, |receiving| receiving.waits.replace(waiting)));
            return Err(PyRuntimeError::new_err(
                "the request's body is being read by another task",
            ));
        }
        let future = self.asyncio.future(py)?;
        let waits = future.clone().unbind();
        let woken = Woken {
            number,
            kind: Kind::Chunk,
            ticket: Arc::downgrade(ticket),
        };
        let polled = self.with_receiving(number, ticket, |receiving| {
            if receiving.turn.is_over(Instant::now()) {
                // Others come first: it is woken in the loop's next round.
                receiving.waits = Some(waits);
                self.event_loop.inbox.wake(woken);
                return Poll::Pending;
            }
            let polled = receiving.poll(&mut Context::from_waker(&waker(&self.event_loop, woken)));
            if polled.is_pending() {
                receiving.waits = Some(waits);
            }
            polled
        });
        match polled {
            None => Err(PyRuntimeError::new_err(
                "the request's body was read after its call had ended",
            )),
            Some(Poll::Pending) => Ok(future.unbind()),
            Some(Poll::Ready(next)) => {
                self.asyncio.resolve(&future, self.object(py, next))?;
                Ok(future.unbind())
            }
        }
    }

    /// There may be a chunk for a reader that has waited for it: its future, and what it gives.
    pub(super) fn chunk(
        &self,
        py: Python<'_>,
        number: usize,
        ticket: &Arc<Ticket>,
    ) -> Option<(Py<PyAny>, PyResult<Py<PyAny>>)> {
        // One that was cancelled must not take a chunk with it.
        let future = self
            .with_receiving(number, ticket, |receiving| receiving.waits.take())
            .flatten()?;
        if self.asyncio.is_done(future.bind(py)).unwrap_or(true) {
            return None;
        }
        let woken = Woken {
            number,
            kind: Kind::Chunk,
            ticket: Arc::downgrade(ticket),
        };
        let found = self.with_receiving(number, ticket, |receiving| {
            receiving.turn = Turn::new(receiving.turn.interval);
            match receiving.poll(&mut Context::from_waker(&waker(&self.event_loop, woken))) {
                Poll::Ready(next) => Some((future, next)),
                Poll::Pending => {
                    receiving.waits = Some(future);
                    None
                }
            }
        });
        found
            .flatten()
            .map(|(future, next)| (future, self.object(py, next)))
    }

    fn object(&self, py: Python<'_>, next: Next) -> PyResult<Py<PyAny>> {
        match next {
            Ok(None) => Ok(py.None()),
            Ok(Some(chunk)) => Ok(convert::bytes(py, &chunk)?.into_any().unbind()),
            Err(fault) => Err(self.crew.shared.uploads.error(py, &fault)),
        }
    }

    fn with_receiving<R>(
        &self,
        number: usize,
        ticket: &Arc<Ticket>,
        work: impl FnOnce(&mut Receiving) -> R,
    ) -> Option<R> {
        let mut calls = self.event_loop.calls();
        Some(work(calls.of_ticket(number, ticket)?.receiving.as_mut()?))
    }
}
