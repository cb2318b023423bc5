//! `Turn`: how long a worker has had the interpreter, and how it gives way to others.

use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// How long a worker or an event loop has been at something. A turn is half a switch interval, so that it is over before
/// CPython would take the interpreter away in the middle of a handler.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) interval: Duration,
    pub(crate) begun: Instant,
}

impl Turn {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            begun: Instant::now(),
        }
    }

    /// Whether the turn is over; `now` is the time.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.begun) >= self.interval / 2
    }

    /// Lets threads of Python's own run, if there are any that wait: CPython looks for them only between bytecodes, which a
    /// row of handlers in C never reaches, nor an iterator in C. Detaching for a moment would not do: the same thread takes
    /// the interpreter back at once, and those who wait begin their interval anew.
    ///
    /// # Errors
    ///
    /// What a signal or another thread raises here.
    pub(crate) fn give_way(&mut self, py: Python<'_>, pause: &Py<PyAny>) -> PyResult<()> {
        // An empty function of Python's.
        let paused = pause.bind(py).call0();
        *self = Self::new(self.interval);
        paused.map(drop)
    }
}
