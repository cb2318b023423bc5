//! A reply's body as an iterator: run on the worker that called its handler, in the same context, chunk by chunk, and closed
//! in the end, whatever that is.

use std::time::Instant;

use httpy_core::{Fault, Gone, Heartbeat, Outcome, Ticket, Writer};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyType};

use crate::answer::{Answer, Streamed};
use crate::convert;
use crate::fork;
use crate::interpreter::Interpreter;
use crate::load::Target;
use crate::park;
use crate::runtime::Shared;
use crate::turn::Turn;
use crate::upload::Receiver;

/// What is known of streamed bodies, of one interpreter.
#[derive(Debug)]
pub(crate) struct Streams {
    /// `httpy_rs._events.Events`
    events: Py<PyType>,
}

impl Streams {
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        Ok(Self {
            events: py
                .import("httpy_rs._events")?
                .getattr("Events")?
                .cast_into::<PyType>()?
                .unbind(),
        })
    }

    /// What is sent when `body` has no chunk for a while.
    ///
    /// # Errors
    ///
    /// What app code raises that has changed the class.
    pub(crate) fn heartbeat(&self, body: &Bound<'_, PyAny>) -> PyResult<Option<Heartbeat>> {
        if !body.is_instance(self.events.bind(body.py()))? {
            return Ok(None);
        }
        let seconds: Option<f64> = body.getattr("heartbeat")?.extract()?;
        Ok(seconds.and_then(Heartbeat::every))
    }
}

/// A body that is about to be sent.
pub(crate) struct Sending<'a, 'py> {
    pub(crate) interpreter: &'a Interpreter,
    pub(crate) shared: &'a Shared,
    pub(crate) target: &'a Target,
    pub(crate) ticket: &'a Ticket,
    /// What the body may read of its request.
    pub(crate) upload: Option<&'a Receiver>,
    pub(crate) body: Bound<'py, PyAny>,
}

impl Sending<'_, '_> {
    /// Answers the head, sends the body, and closes it. Blocks, detached, for as long as the client is slow.
    ///
    /// # Errors
    ///
    /// What is raised before the head is answered.
    pub(crate) fn send(&self, answer: &mut Answer, head: Outcome) -> PyResult<Streamed> {
        let Self {
            shared,
            target,
            ticket,
            body,
            ..
        } = self;
        let py = body.py();
        let heartbeat = shared.streams.heartbeat(body)?;
        let limited = heartbeat.is_none();
        let allowed = head.allows_body(&ticket.call.method);
        ticket.begin_chunks(limited, Instant::now());
        let fault = match answer.begin(heartbeat, head) {
            Some(writer) if allowed => self.iterate(writer, limited).err(),
            _ => None,
        };
        ticket.begin_chunk(true, Instant::now());
        let closing = self
            .alone(close(body))
            .err()
            .map(|error| shared.describe.raised(py, target.label.bind(py), &error));
        Ok(Streamed { fault, closing })
    }

    /// Sends chunks until there is none, or nobody wants any more.
    fn iterate(&self, writer: &mut Writer<Fault>, limited: bool) -> Result<(), Fault> {
        let py = self.body.py();
        let interval = self.interpreter.switch_interval();
        let mut turn = Turn::new(interval);
        let mut iterator = self
            .body
            .cast::<PyIterator>()
            .map_err(|error| self.raised(&error.into()))?
            .clone();
        for number in 1.. {
            let next = self
                .alone(iterator.next().transpose())
                .map_err(|error| self.raised(&error))?;
            let Some(item) = next else { break };
            let chunk = convert::chunk(&item, number)
                .map_err(|error| self.raised(&error))?
                .map_err(Fault::Contract)?;
            match writer.write(chunk) {
                Err(Gone) => break,
                Ok(false) => {
                    drop(item);
                    let until = Instant::now() + self.ticket.clocks.chunk_timeout;
                    match py
                        .detach(|| park::wait(Some(until), |context| writer.poll_ready(context)))
                    {
                        Some(Ok(())) => turn = Turn::new(interval),
                        Some(Err(Gone)) => break,
                        None => return Err(Fault::Stalled),
                    }
                }
                Ok(true) if turn.is_over(Instant::now()) => {
                    turn.give_way(py, &self.shared.pause)
                        .map_err(|error| self.raised(&error))?;
                }
                Ok(true) => {}
            }
            self.ticket.begin_chunk(limited, Instant::now());
        }
        Ok(())
    }

    fn raised(&self, error: &PyErr) -> Fault {
        let py = self.body.py();
        match self
            .upload
            .and_then(|upload| upload.fault_behind(py, error))
        {
            Some(fault) => Fault::Upload(fault),
            None => {
                let label = self.target.label.bind(py);
                Fault::Raised(self.shared.describe.raised(py, label, error))
            }
        }
    }

    /// What Python code of the body's gave; in a child that it has forked, which must not answer, that ends the process.
    fn alone<R>(&self, result: PyResult<R>) -> PyResult<R> {
        if self.interpreter.is_forked_child() {
            fork::end_child(self.body.py(), result.map(|_| self.body.clone()));
        }
        result
    }
}

/// Calls the body's `close()`, where it has one: a generator's `finally` then runs here and now.
///
/// # Errors
///
/// What that raises.
pub(crate) fn close(body: &Bound<'_, PyAny>) -> PyResult<()> {
    match body.getattr_opt("close")? {
        Some(close) => close.call0().map(drop),
        None => Ok(()),
    }
}
