//! `Woken` and its waker: how a stream tells an event loop that there is room in it, or a chunk, without the interpreter.

use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use httpy_core::Ticket;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::EventLoop;
use super::driver::Driver;

/// What a call on a loop waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Room for another chunk of its reply.
    Room,
    /// The next chunk of its request.
    Chunk,
}

/// What there may be for a call now.
#[derive(Clone, Debug)]
pub(super) struct Woken {
    pub(super) number: usize,
    pub(super) kind: Kind,
    /// Whose number that was when it began to wait.
    pub(super) ticket: Weak<Ticket>,
}

struct Bell {
    event_loop: Weak<EventLoop>,
    woken: Woken,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Some(event_loop) = self.event_loop.upgrade() {
            event_loop.inbox.wake(self.woken.clone());
        }
    }
}

/// Wakes a call on `event_loop`.
pub(super) fn waker(event_loop: &Arc<EventLoop>, woken: Woken) -> Waker {
    Waker::from(Arc::new(Bell {
        event_loop: Arc::downgrade(event_loop),
        woken,
    }))
}

/// What a function that Python code keeps works with, while its call runs.
///
/// # Errors
///
/// `RuntimeError` afterwards.
pub(super) fn of_call(
    driver: &Weak<Driver>,
    ticket: &Weak<Ticket>,
) -> PyResult<(Arc<Driver>, Arc<Ticket>)> {
    let both = driver
        .upgrade()
        .zip(ticket.upgrade().filter(|ticket| ticket.seat().is_some()));
    both.ok_or_else(|| {
        PyRuntimeError::new_err("the request's body was read after its call had ended")
    })
}

impl Driver {
    /// There may be what a call has waited for.
    pub(super) fn wake(&self, py: Python<'_>, woken: &Woken) {
        // Its number may be another one's by now.
        let Some(ticket) = woken.ticket.upgrade() else {
            return;
        };
        let found = match woken.kind {
            Kind::Room => self
                .room(py, woken.number, &ticket)
                .map(|(future, room)| (future, Ok(room))),
            Kind::Chunk => self.chunk(py, woken.number, &ticket),
        };
        if let Some((future, result)) = found {
            // Fails only where app code has got hold of the future.
            drop(self.asyncio.resolve(future.bind(py), result));
        }
    }
}
