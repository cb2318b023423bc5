//! `Exchange`: one request of a mounted ASGI application: what is asked, and where its reply goes. The messages of ASGI are
//! the business of `httpy_rs._interface.asgi`, which uses it on the loop's thread.
//!
//! The application's task is the call's own. A reply can be complete while the task still runs, for example a background task
//! of Starlette. The call then gives back its permits and its place on the loop.

use std::mem;
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use httpy_core::{Content, Outcome, RawReply, Step, Ticket, Upload};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::body::Sending;
use super::driver::Driver;
use super::ready::of_call;
use super::upload::Receiving;
use crate::answer::{Answer, Ended, Streamed};
use crate::convert;

/// See `httpy_rs._interface.asgi.Exchange`.
#[pyclass(frozen, module = "httpy_rs")]
pub(super) struct Exchange {
    driver: Weak<Driver>,
    ticket: Weak<Ticket>,
    number: usize,
    #[pyo3(get)]
    scope: Py<PyDict>,
    /// The part of the request's body that came with the call.
    #[pyo3(get)]
    body: Py<PyBytes>,
    /// Whether `body` is the whole of it.
    #[pyo3(get)]
    is_whole: bool,
}

#[pymethods]
impl Exchange {
    /// A future of the next chunk of the request's body, `None` at its end.
    fn next_chunk(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (driver, ticket) = self.call()?;
        driver.next_chunk(py, self.number, &ticket)
    }

    /// A future that has a result when the client has left.
    fn left(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (driver, ticket) = self.call()?;
        driver.left(py, self.number, &ticket)
    }

    fn is_gone(&self) -> bool {
        let ticket = self.ticket.upgrade();
        ticket.is_none_or(|ticket| ticket.is_gone() || ticket.seat().is_none())
    }

    /// Answers with all of the reply.
    fn answer(
        &self,
        status: u16,
        headers: convert::Lines,
        body: &Bound<'_, PyBytes>,
    ) -> PyResult<()> {
        let (driver, ticket) = self.call()?;
        let body = Content::Whole(convert::copy_bytes(body));
        let reply = convert::raw_reply(status, headers, body)?;
        driver.answer(self.number, &ticket, reply);
        Ok(())
    }

    /// Answers with the head of a reply that has a body, whose chunks follow.
    fn begin(&self, status: u16, headers: convert::Lines) -> PyResult<()> {
        let (driver, ticket) = self.call()?;
        let reply = convert::raw_reply(status, headers, Content::Whole(Bytes::new()))?;
        driver.begin(self.number, &ticket, reply);
        Ok(())
    }

    /// Hands a chunk over: whether to go on, or a future of that.
    fn write(&self, py: Python<'_>, chunk: &Bound<'_, PyBytes>) -> PyResult<Py<PyAny>> {
        let (driver, ticket) = self.call()?;
        driver.write_chunk(py, convert::copy_bytes(chunk), self.number, &ticket)
    }

    /// No chunk follows.
    fn end(&self) -> PyResult<()> {
        let (driver, ticket) = self.call()?;
        driver.end_reply(self.number, &ticket);
        Ok(())
    }
}

impl Exchange {
    fn call(&self) -> PyResult<(Arc<Driver>, Arc<Ticket>)> {
        of_call(&self.driver, &self.ticket)
            .map_err(|_| PyRuntimeError::new_err("the request has ended"))
    }
}

impl Driver {
    /// What an application is called with.
    ///
    /// # Errors
    ///
    /// What CPython raises when it has no memory left.
    pub(super) fn exchange<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        number: usize,
        ticket: &Arc<Ticket>,
        body: Upload,
    ) -> PyResult<Bound<'py, Exchange>> {
        let (came, is_whole) = match body {
            Upload::Whole(body) => (convert::bytes(py, &body)?, true),
            stream @ Upload::Stream(_) => {
                let receiving = Receiving::new(stream, self.turn());
                if let Some(call) = self.event_loop.calls().get(number) {
                    call.receiving = Some(receiving);
                }
                (PyBytes::new(py, &[]), false)
            }
        };
        let scope = convert::scope(py, &self.crew.shared.names, &ticket.call)?;
        let exchange = Exchange {
            driver: Arc::downgrade(self),
            ticket: Arc::downgrade(ticket),
            number,
            scope: scope.unbind(),
            body: came.unbind(),
            is_whole,
        };
        Bound::new(py, exchange)
    }

    fn left(&self, py: Python<'_>, number: usize, ticket: &Arc<Ticket>) -> PyResult<Py<PyAny>> {
        let future = self.asyncio.future(py)?;
        if ticket.is_gone() {
            self.asyncio.resolve(&future, Ok(py.None()))?;
            return Ok(future.unbind());
        }
        let waits = future.clone().unbind();
        let before = {
            let mut calls = self.event_loop.calls();
            calls
                .of_ticket(number, ticket)
                .map(|call| mem::take(&mut call.left))
        };
        // Not below the lock, as Python code runs.
        let mut left = before.unwrap_or_default();
        left.retain(|future| !self.asyncio.is_done(future.bind(py)).unwrap_or(true));
        left.push(waits);
        if let Some(call) = self.event_loop.calls().of_ticket(number, ticket) {
            call.left.append(&mut left);
        }
        Ok(future.unbind())
    }

    /// The client of an application's call has left: tells the application.
    pub(super) fn tell_left(&self, py: Python<'_>, number: usize, ticket: &Arc<Ticket>) {
        let left = {
            let mut calls = self.event_loop.calls();
            calls
                .of_ticket(number, ticket)
                .map(|call| mem::take(&mut call.left))
        };
        for future in left.into_iter().flatten() {
            // Fails only where app code has got hold of the future.
            drop(self.asyncio.resolve(future.bind(py), Ok(py.None())));
        }
    }

    fn answer(&self, number: usize, ticket: &Arc<Ticket>, reply: RawReply) {
        ticket.stamp(Step::Returned);
        ticket.stamp(Step::Converted);
        // What comes back is the reply of a client that has left.
        drop(self.complete(number, ticket, Ended::Whole(Outcome::Raw(reply))));
    }

    fn begin(&self, number: usize, ticket: &Arc<Ticket>, reply: RawReply) {
        ticket.stamp(Step::Returned);
        ticket.stamp(Step::Converted);
        let sending = Sending::new(true, self.turn());
        ticket.begin_chunks(true, Instant::now());
        if let Some(call) = self.event_loop.calls().of_ticket(number, ticket) {
            call.sending = Some(sending);
            call.answer.begin(None, Outcome::Raw(reply));
        }
    }

    fn end_reply(&self, number: usize, ticket: &Arc<Ticket>) {
        drop(self.complete(number, ticket, Ended::Streamed(Streamed::default())));
    }

    /// The reply is complete; its task may run on.
    fn complete(&self, number: usize, ticket: &Arc<Ticket>, ended: Ended) -> Vec<httpy_core::Late> {
        let taken = {
            let mut calls = self.event_loop.calls();
            calls.of_ticket(number, ticket).map(|call| {
                let closed = Answer::Closed(ticket.call.subject());
                let answer = mem::replace(&mut call.answer, closed);
                let streams = (call.sending.take(), call.receiving.take());
                (answer, mem::take(&mut call.permits), streams)
            })
        };
        let Some((answer, permits, streams)) = taken else {
            return Vec::new();
        };
        ticket.set_answered();
        self.event_loop.inbox.leave();
        // Before the client has its answer: it finds the limits given back.
        drop((permits, streams));
        answer.end(ended, false)
    }
}
