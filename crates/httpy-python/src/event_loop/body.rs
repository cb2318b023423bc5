//! The body of a reply on its way from an event loop: the task that iterates it hands its chunks over here, and waits by a
//! future of the loop's when there is no room, or when others come first.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use httpy_core::{Fault, Gone, Ticket};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyCFunction, PyTuple};

use super::driver::Driver;
use super::ready::{Kind, Woken, of_call, waker};
use crate::answer::Answer;
use crate::convert;
use crate::turn::Turn;

/// How far the body of a reply has come.
#[derive(Debug)]
pub(super) struct Sending {
    /// Python has a limited time for each chunk.
    limited: bool,
    chunks: u64,
    /// Since when the body has let nobody else run.
    turn: Turn,
    /// What waits for room, or for its next turn.
    waits: Option<Py<PyAny>>,
    /// Why it stops, where it does not know by itself.
    pub(super) fault: Option<Fault>,
}

impl Sending {
    pub(super) fn new(limited: bool, turn: Turn) -> Self {
        Self {
            limited,
            chunks: 0,
            turn,
            waits: None,
            fault: None,
        }
    }

    /// From now on Python has its time for one more chunk, or as long as it likes.
    pub(super) fn begin_chunk(&self, ticket: &Ticket) {
        ticket.begin_chunk(self.limited, Instant::now());
    }
}

/// What became of a chunk.
enum Written {
    /// There is room for the next one, and it is this body's turn.
    Room,
    /// There is room, but others come first.
    Over,
    Full,
    Gone,
}

impl Driver {
    /// The function by which the body of a reply hands its chunks over; see `httpy_rs._event_loop.send`.
    pub(super) fn writer<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        number: usize,
        ticket: &Arc<Ticket>,
    ) -> PyResult<Bound<'py, PyCFunction>> {
        let (driver, ticket) = (Arc::downgrade(self), Arc::downgrade(ticket));
        PyCFunction::new_closure(
            py,
            Some(c"write"),
            None,
            move |arguments, _| -> PyResult<Py<PyAny>> {
                let (driver, ticket) = of_call(&driver, &ticket)?;
                driver.write(arguments, number, &ticket)
            },
        )
    }

    /// Takes a chunk: whether to go on, or what to wait for to know it.
    fn write(
        &self,
        arguments: &Bound<'_, PyTuple>,
        number: usize,
        ticket: &Arc<Ticket>,
    ) -> PyResult<Py<PyAny>> {
        let py = arguments.py();
        // Also in a process that the body has forked, which ends here.
        drop(self.unforked(py, Ok(py.None().into_bound(py))));
        if arguments.is_empty() {
            // It has as long to close as it had for a chunk.
            ticket.begin_chunk(true, Instant::now());
            return Ok(truth(py, false));
        }
        let chunks = self.with_sending(number, ticket, |_, sending| {
            sending.chunks += 1;
            sending.chunks
        });
        match convert::chunk(&arguments.get_item(0)?, chunks.unwrap_or_default())? {
            Ok(chunk) => self.write_chunk(py, chunk, number, ticket),
            Err(failure) => {
                self.with_sending(number, ticket, |_, sending| {
                    sending.fault = Some(Fault::Contract(failure));
                });
                Ok(truth(py, false))
            }
        }
    }

    /// Hands a chunk over: whether to go on, or what to wait for to know it.
    pub(super) fn write_chunk(
        &self,
        py: Python<'_>,
        chunk: Bytes,
        number: usize,
        ticket: &Arc<Ticket>,
    ) -> PyResult<Py<PyAny>> {
        let written = self.with_sending(number, ticket, |answer, sending| {
            let Answer::Streaming(writer, _) = answer else {
                return Written::Gone;
            };
            sending.begin_chunk(ticket);
            match writer.write(chunk) {
                Err(Gone) => Written::Gone,
                Ok(false) => Written::Full,
                Ok(true) if sending.turn.is_over(Instant::now()) => Written::Over,
                Ok(true) => Written::Room,
            }
        });
        match written {
            None | Some(Written::Gone) => Ok(truth(py, false)),
            Some(Written::Room) => Ok(truth(py, true)),
            Some(Written::Over) => {
                let future = self.asyncio.future(py)?;
                let waits = future.clone().unbind();
                // What waited before is dropped here, as that may run Python code.
                drop(self.with_sending(number, ticket, |_, sending| sending.waits.replace(waits)));
                self.event_loop.inbox.wake(Woken {
                    number,
                    kind: Kind::Room,
                    ticket: Arc::downgrade(ticket),
                });
                Ok(future.unbind())
            }
            Some(Written::Full) => {
                let future = self.asyncio.future(py)?;
                let waits = future.clone().unbind();
                let polled = self.with_sending(number, ticket, |answer, sending| {
                    let before = sending.waits.replace(waits);
                    (before, self.poll_room(number, ticket, answer))
                });
                match polled.map(|(_, polled)| polled) {
                    Some(Poll::Pending) => Ok(future.unbind()),
                    polled => Ok(truth(py, polled == Some(Poll::Ready(true)))),
                }
            }
        }
    }

    /// There may be room for a body that has waited for it: its future, and whether to go on.
    pub(super) fn room(
        &self,
        py: Python<'_>,
        number: usize,
        ticket: &Arc<Ticket>,
    ) -> Option<(Py<PyAny>, Py<PyAny>)> {
        let found = self.with_sending(number, ticket, |answer, sending| {
            let Poll::Ready(room) = self.poll_room(number, ticket, answer) else {
                return None;
            };
            sending.turn = Turn::new(sending.turn.interval);
            sending.begin_chunk(ticket);
            Some((sending.waits.take()?, room))
        });
        found
            .flatten()
            .map(|(future, room)| (future, truth(py, room)))
    }

    /// Whether there is room, or nobody wants any more.
    fn poll_room(&self, number: usize, ticket: &Arc<Ticket>, answer: &mut Answer) -> Poll<bool> {
        let Answer::Streaming(writer, _) = answer else {
            return Poll::Ready(false);
        };
        let waker = waker(
            &self.event_loop,
            Woken {
                number,
                kind: Kind::Room,
                ticket: Arc::downgrade(ticket),
            },
        );
        writer
            .poll_ready(&mut Context::from_waker(&waker))
            .map(|room| room.is_ok())
    }

    /// What `work` gives of a call whose body is being sent; none of one that has ended.
    fn with_sending<R>(
        &self,
        number: usize,
        ticket: &Arc<Ticket>,
        work: impl FnOnce(&mut Answer, &mut Sending) -> R,
    ) -> Option<R> {
        let mut calls = self.event_loop.calls();
        let call = calls.of_ticket(number, ticket)?;
        Some(work(&mut call.answer, call.sending.as_mut()?))
    }
}

/// As Python's `bool`.
pub(super) fn truth(py: Python<'_>, goes_on: bool) -> Py<PyAny> {
    PyBool::new(py, goes_on).to_owned().into_any().unbind()
}
