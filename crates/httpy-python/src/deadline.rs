//! The Python end of a deadline: the exception, how it is sent to a worker's thread and taken back, what a stuck thread
//! is doing, and the functions behind `httpy_rs.shield()` and `httpy_rs.remaining()`.
//!
//! Who is interrupted and when is the enforcer's business; the stages that keep an interruption to its call are those of
//! [`Ticket`].

use std::cell::Cell;
use std::ffi::c_ulong;
use std::ptr;
use std::thread;
use std::time::Instant;

use httpy_core::Ticket;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyType};

use crate::context;

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
    /// `httpy_rs.DeadlineExceeded`
    exceeded: Py<PyType>,
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
        let raised = exceeded.clone_ref(py);
        let enter =
            PyCFunction::new_closure(py, Some(c"enter"), None, |arguments, _| -> PyResult<()> {
                enter(arguments.py());
                Ok(())
            })?;
        let leave = PyCFunction::new_closure(py, Some(c"leave"), None, move |arguments, _| {
            let py = arguments.py();
            if running(Ticket::unshield).unwrap_or(false) {
                return Err(PyErr::from_type(raised.bind(py).clone(), ()));
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
        let stack = py.import("httpy_rs._stack")?;
        Ok(Self {
            exceeded,
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

    /// Sends the exception to `thread`, which finds it before its next step of Python code.
    pub(crate) fn send(&self, _py: Python<'_>, thread: ThreadId) {
        // SAFETY: 1. The token proves that this thread is attached. 2. The pointer is a class, and lives as long as `self`;
        // the call takes a reference of its own. 3. A thread that has ended is not found, and nothing happens.
        unsafe { ffi::PyThreadState_SetAsyncExc(thread.0.cast_signed(), self.exceeded.as_ptr()) };
    }
}

/// Takes back what was sent to the calling thread and has not arrived there.
pub(crate) fn take_back(_py: Python<'_>) {
    // SAFETY: 1. The token proves that this thread is attached. 2. Null is allowed: nothing is pending from then on.
    unsafe { ffi::PyThreadState_SetAsyncExc(ThreadId::current().0.cast_signed(), ptr::null_mut()) };
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

fn enter(py: Python<'_>) {
    running(|ticket| {
        if !ticket.shield() {
            return;
        }
        // Without a GIL it may be on its way just now, and would arrive in the shield. It is sent again after it.
        while ticket.is_interrupting() {
            py.detach(thread::yield_now);
        }
        take_back(py);
    });
}
