//! The context in which one call runs: a copy of the one that loading the app has left, with the token behind
//! `httpy_rs.request()`.
//!
//! The token is a capsule around the call's [`Ticket`]. Nothing is computed from it until Python asks.

use std::ffi::CStr;
use std::mem;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use httpy_core::{Details, Ticket, version};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyCapsule, PyCapsuleMethods, PyTuple};

const TOKEN: &CStr = c"httpy_rs.token";

/// What tells a handler about its request, for one interpreter.
#[derive(Debug)]
pub(crate) struct Current {
    /// `httpy_rs._request._current`, a `ContextVar`.
    variable: Py<PyAny>,
}

/// What `_describe` gives: target, route, client, scheme, HTTP version, seconds left, extras as JSON.
type Described = (
    String,
    Option<String>,
    Option<(String, u16)>,
    String,
    &'static str,
    f64,
    Option<String>,
);

impl Current {
    /// Connects `httpy_rs.request()` of this interpreter with the tokens.
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let module = py.import("httpy_rs._request")?;
        let describe = PyCFunction::new_closure(
            py,
            Some(c"describe"),
            None,
            |arguments, _| -> PyResult<Py<PyTuple>> {
                Ok(describe_token(&arguments.get_item(0)?)?.unbind())
            },
        )?;
        module.setattr("_describe", describe)?;
        let is_gone = PyCFunction::new_closure(
            py,
            Some(c"is_gone"),
            None,
            |arguments, _| -> PyResult<bool> {
                with_ticket(&arguments.get_item(0)?, Ticket::is_gone)
            },
        )?;
        py.import("httpy_rs._client")?
            .setattr("_is_gone", is_gone)?;
        let traceparents =
            PyCFunction::new_closure(py, Some(c"traceparents"), None, |arguments, _| {
                with_ticket(&arguments.get_item(0)?, traceparents)
            })?;
        py.import("httpy_rs._trace_context")?
            .setattr("_traceparents", traceparents)?;
        let stop_clock = PyCFunction::new_closure(
            py,
            Some(c"stop_clock"),
            None,
            |arguments, _| -> PyResult<bool> {
                with_ticket(&arguments.get_item(0)?, Ticket::stop_clock)
            },
        )?;
        let debugger = py.import("httpy_rs._debugger")?;
        debugger.setattr("_stop_clock", stop_clock)?;
        debugger.setattr("refusal", debugger.getattr("WITHOUT_TERMINAL")?)?;
        Ok(Self {
            variable: module.getattr("_current")?.unbind(),
        })
    }

    /// Runs `work` in a context of its own, in which `ticket` is the current request.
    ///
    /// # Errors
    ///
    /// What CPython raises when it has no memory left, and what `work` gives.
    pub(crate) fn run<R>(
        &self,
        py: Python<'_>,
        start: &Start,
        ticket: &Arc<Ticket>,
        work: impl FnOnce() -> PyResult<R>,
    ) -> PyResult<R> {
        start.context(py)?.run(|| {
            self.set(py, ticket)?;
            work()
        })
    }

    /// Makes `ticket` the request of this thread's current context.
    ///
    /// # Errors
    ///
    /// What CPython raises when it has no memory left.
    pub(crate) fn set(&self, py: Python<'_>, ticket: &Arc<Ticket>) -> PyResult<()> {
        let token = PyCapsule::new_with_value(py, Arc::clone(ticket), TOKEN)?;
        // SAFETY: 1. `variable` is a `ContextVar`: it comes from our own module. 2. `py` proves that this thread is attached.
        // 3. The call gives a new reference to a token, or null with an exception set.
        let _previous = unsafe {
            Bound::from_owned_ptr_or_err(
                py,
                ffi::PyContextVar_Set(self.variable.as_ptr(), token.as_ptr()),
            )?
        };
        Ok(())
    }
}

/// What calls begin with: what modules, as they were imported, and init functions have set for the whole app.
#[derive(Debug)]
pub(crate) struct Start {
    /// `httpy_rs._context.Start`
    class: Py<PyAny>,
    left: Mutex<Left>,
    /// Counts what was loaded.
    version: AtomicU64,
}

/// What loading something has left.
#[derive(Debug)]
struct Left {
    context: Py<PyAny>,
    /// Called in each copy of the context: replaces what one call could change for others.
    isolate: Option<Py<PyAny>>,
}

impl Start {
    /// With the context of this thread.
    ///
    /// # Errors
    ///
    /// What CPython raises when it has no memory left.
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let class = py.import("httpy_rs._context")?.getattr("Start")?.unbind();
        Ok(Self {
            left: Mutex::new(Left::of(class.bind(py))?),
            class,
            version: AtomicU64::new(0),
        })
    }

    /// Something was loaded on this thread. Keeps what there was where app code has broken what looks at it.
    pub(crate) fn take(&self, py: Python<'_>) {
        if let Ok(left) = Left::of(self.class.bind(py)) {
            // Dropped after the lock, as that may run Python code.
            let before = mem::replace(&mut *self.lock(), left);
            drop(before);
        }
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Changes whenever something is loaded.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The context of a call.
    ///
    /// # Errors
    ///
    /// What CPython raises when it has no memory left.
    pub(crate) fn context<'py>(&self, py: Python<'py>) -> PyResult<Context<'py>> {
        let (context, isolate) = {
            let left = self.lock();
            let isolate = left.isolate.as_ref().map(|isolate| isolate.clone_ref(py));
            (left.context.clone_ref(py), isolate)
        };
        let context = Context::copy_of(context.bind(py))?;
        if let Some(isolate) = isolate {
            context.run(|| isolate.call0(py))?;
        }
        Ok(context)
    }

    fn lock(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Left {
    fn of(class: &Bound<'_, PyAny>) -> PyResult<Self> {
        let start = class.call0()?;
        Ok(Self {
            context: start.getattr("context")?.unbind(),
            isolate: start.getattr("isolate")?.extract()?,
        })
    }
}

/// A `contextvars` context.
#[derive(Clone, Debug)]
pub(crate) struct Context<'py>(Bound<'py, PyAny>);

impl<'py> Context<'py> {
    /// A copy.
    ///
    /// # Errors
    ///
    /// What CPython raises when it has no memory left, and for what is no context.
    pub(crate) fn copy_of(context: &Bound<'py, PyAny>) -> PyResult<Self> {
        // SAFETY: 1. The bound reference proves that this thread is attached and that the object lives. 2. What is no context is
        // refused. 3. The call gives a new reference to a context, or null with an exception set.
        unsafe {
            Bound::from_owned_ptr_or_err(context.py(), ffi::PyContext_Copy(context.as_ptr()))
                .map(Self)
        }
    }

    /// One that somebody else has made; entering what is none fails.
    pub(crate) fn of(context: Bound<'py, PyAny>) -> Self {
        Self(context)
    }

    /// The object itself.
    pub(crate) fn as_any(&self) -> &Bound<'py, PyAny> {
        &self.0
    }

    /// Runs `work` as this thread's current context.
    ///
    /// # Errors
    ///
    /// When it is entered already, and what `work` gives.
    pub(crate) fn run<R>(&self, work: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
        let _entered = Entered::new(&self.0)?;
        work()
    }
}

/// A context that is this thread's current one until it is dropped.
struct Entered<'a, 'py>(&'a Bound<'py, PyAny>);

impl<'a, 'py> Entered<'a, 'py> {
    fn new(context: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        // SAFETY: 1. The bound reference proves that this thread is attached and that the object lives. 2. What is no context,
        // or one that is entered, is refused with an exception.
        if unsafe { ffi::PyContext_Enter(context.as_ptr()) } != 0 {
            return Err(PyErr::fetch(context.py()));
        }
        Ok(Self(context))
    }
}

impl Drop for Entered<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: 1. The bound reference proves that this thread is attached and that the context lives. 2. The context was
        // entered by this thread. 3. An exception that is set is taken away again.
        unsafe {
            if ffi::PyContext_Exit(self.0.as_ptr()) != 0 {
                // Somebody left another context entered on this thread; the next call enters its own on top of it.
                drop(PyErr::take(self.0.py()));
            }
        }
    }
}

/// When a token's call is late.
///
/// # Errors
///
/// When it is no token of ours.
pub(crate) fn due(token: &Bound<'_, PyAny>) -> PyResult<Option<Instant>> {
    with_ticket(token, Ticket::due)
}

/// The number of the span of a token's request, for what is logged of it.
///
/// # Errors
///
/// When it is no token of ours.
pub(crate) fn span(token: &Bound<'_, PyAny>) -> PyResult<Option<NonZeroU64>> {
    with_ticket(token, |ticket| {
        ticket.note_logged();
        ticket.call.details.span
    })
}

fn describe_token<'py>(token: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    with_ticket(token, |ticket| {
        described(&ticket.call.details, ticket.clocks.deadline)
    })?
    .into_pyobject(token.py())
}

fn with_ticket<R>(token: &Bound<'_, PyAny>, work: impl FnOnce(&Ticket) -> R) -> PyResult<R> {
    let Ok(capsule) = token.cast::<PyCapsule>() else {
        return Err(PyTypeError::new_err("not a request's token"));
    };
    let pointer = capsule.pointer_checked(Some(TOKEN))?;
    // SAFETY: 1. The capsule has our name, and only `run` makes capsules of that name: it points to an `Arc<Ticket>`. 2. The
    // capsule owns that value and `token` keeps the capsule alive. 3. The value is never written to.
    let ticket = unsafe { pointer.cast::<Arc<Ticket>>().as_ref() };
    Ok(work(ticket))
}

/// The `traceparent` lines of a call; bytes that are not ASCII become what is no hexadecimal digit.
fn traceparents(ticket: &Ticket) -> Vec<String> {
    let call = &ticket.call;
    call.details.trace.as_ref().map_or_else(
        || {
            call.headers
                .known("Traceparent")
                .map(|line| String::from_utf8_lossy(line).into_owned())
                .collect()
        },
        |trace| vec![trace.clone()],
    )
}

fn described(details: &Details, deadline: Instant) -> Described {
    let target = details
        .target
        .path_and_query()
        .map_or_else(|| details.target.to_string(), ToString::to_string);
    let seconds_left = deadline
        .saturating_duration_since(Instant::now())
        .as_secs_f64();
    (
        target,
        details.route.clone(),
        details
            .client
            .map(|client| (client.ip().to_string(), client.port())),
        details.scheme.to_string(),
        version(details.version),
        seconds_left,
        details.extras.clone(),
    )
}
