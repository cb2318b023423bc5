//! The Python end of a deadline: how a worker's thread comes to interrupt itself (`httpy_rs._interrupt`), what a stuck thread
//! is doing, and the functions behind `httpy_rs.shield()` and `httpy_rs.remaining()`.
//!
//! Which call is interrupted and when is the watchdog's business; whether a call is still to be interrupted is known by its
//! [`Ticket`].

use std::cell::Cell;
use std::ffi::c_ulong;
use std::ptr;
use std::time::Instant;

use httpy_core::Ticket;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyType};

use crate::context;
#[cfg(not(Py_3_12))]
use crate::trace;

thread_local! {
    /// The call that this thread runs, null while it runs none. A context variable would not do: a handler may leave the
    /// context of its call, and carry that to other threads.
    static RUNNING: Cell<*const Ticket> = const { Cell::new(ptr::null()) };
}

/// A thread as Python knows it, `threading.get_ident()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadId(pub(crate) c_ulong);

impl ThreadId {
    /// The calling thread.
    pub(crate) fn current() -> Self {
        // SAFETY: 1. The function only asks the operating system who it is that calls; it needs no interpreter.
        Self(unsafe { ffi::PyThread_get_thread_ident() })
    }
}

/// What interrupts handlers, of one interpreter.
#[derive(Debug)]
pub(crate) struct Deadline {
    /// `httpy_rs._interrupt.interrupt`
    interrupt: Py<PyAny>,
    /// `httpy_rs._interrupt.end`
    end: Py<PyAny>,
    /// Asks the call that the calling thread runs whether it is interrupted just here.
    strikes: Py<PyAny>,
    /// `httpy_rs._stack.capture`
    capture: Py<PyAny>,
    /// `httpy_rs._stack.show`
    show: Py<PyAny>,
}

impl Deadline {
    /// Connects `httpy_rs._deadline` of this interpreter with the calls.
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let module = py.import("httpy_rs._deadline")?;
        let exceeded = module
            .getattr("DeadlineExceeded")?
            .cast_into::<PyType>()?
            .unbind();
        let enter = PyCFunction::new_closure(py, Some(c"enter"), None, |_, _| -> PyResult<()> {
            running(Ticket::shield);
            Ok(())
        })?;
        let leave = PyCFunction::new_closure(py, Some(c"leave"), None, move |arguments, _| {
            let py = arguments.py();
            if running(Ticket::unshield).unwrap_or(false) {
                return Err(PyErr::from_type(exceeded.bind(py).clone(), ()));
            }
            Ok(())
        })?;
        let seconds_left = PyCFunction::new_closure(
            py,
            Some(c"seconds_left"),
            None,
            |arguments, _| -> PyResult<Option<f64>> {
                let due = context::due(&arguments.get_item(0)?)?;
                Ok(due.map(|due| due.saturating_duration_since(Instant::now()).as_secs_f64()))
            },
        )?;
        module.setattr("_enter", enter)?;
        module.setattr("_leave", leave)?;
        module.setattr("_seconds_left", seconds_left)?;
        let strikes = PyCFunction::new_closure(
            py,
            Some(c"strikes"),
            None,
            |arguments, _| -> PyResult<Option<bool>> {
                let raises: bool = arguments.get_item(0)?.extract()?;
                Ok(running(|ticket| ticket.strikes(!raises)).flatten())
            },
        )?;
        let interrupt = py.import("httpy_rs._interrupt")?;
        #[cfg(not(Py_3_12))]
        interrupt.setattr("trace_thread", trace::setter(py)?)?;
        let stack = py.import("httpy_rs._stack")?;
        Ok(Self {
            interrupt: interrupt.getattr("interrupt")?.unbind(),
            end: interrupt.getattr("end")?.unbind(),
            strikes: strikes.into_any().unbind(),
            capture: stack.getattr("capture")?.unbind(),
            show: stack.getattr("show")?.unbind(),
        })
    }

    /// The frames of `thread`, for [`show`](Self::show).
    pub(crate) fn capture<'py>(
        &self,
        py: Python<'py>,
        thread: ThreadId,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.capture.bind(py).call1((thread.0,))
    }

    /// Frames as text; a note in its place where app code has broken what makes it.
    pub(crate) fn show(&self, py: Python<'_>, frames: PyResult<Bound<'_, PyAny>>) -> String {
        let shown = frames
            .and_then(|frames| self.show.bind(py).call1((frames,)))
            .and_then(|text| text.extract());
        shown.unwrap_or_else(|error| {
            format!("  <the stack could not be read: {}>", error.get_type(py))
        })
    }

    /// Has the worker on `thread` interrupt itself, if it still runs the call of `ticket` when it can.
    pub(crate) fn interrupt(&self, py: Python<'_>, thread: ThreadId, ticket: &Ticket) {
        self.interrupt_where(py, thread, ticket, self.strikes.bind(py));
    }

    /// Has `thread` interrupt itself as soon as it can be cut: then it calls `strikes`, which knows whether it still is to.
    pub(crate) fn interrupt_where(
        &self,
        py: Python<'_>,
        thread: ThreadId,
        ticket: &Ticket,
        strikes: &Bound<'_, PyAny>,
    ) {
        let call = ptr::from_ref(ticket) as usize;
        // Fails only where app code has broken `sys`; such a worker is lost when it does not come back.
        drop(self.interrupt.bind(py).call1((thread.0, call, strikes)));
    }

    /// The call that the calling thread was to be interrupted in has ended.
    pub(crate) fn end(&self, py: Python<'_>) {
        drop(self.end.bind(py).call0());
    }
}

/// Runs `work` as what this thread does for `ticket`.
pub(crate) fn during<R>(ticket: &Ticket, work: impl FnOnce() -> R) -> R {
    struct Ended;
    impl Drop for Ended {
        fn drop(&mut self) {
            RUNNING.set(ptr::null());
        }
    }
    let _ended = Ended;
    RUNNING.set(ticket);
    work()
}

fn running<R>(work: impl FnOnce(&Ticket) -> R) -> Option<R> {
    // SAFETY: 1. The pointer is null, or `during` has set it on this very thread. 2. `during` borrows the ticket until it has
    // set the pointer to null again, also when it unwinds.
    unsafe { RUNNING.get().as_ref() }.map(work)
}
