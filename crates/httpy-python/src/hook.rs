//! `Hooks`: the functions that debuggers, profilers and tools for coverage set for all threads, on one thread of the server's.

use pyo3::prelude::*;

use crate::context::Start;

/// What one thread has of them; `httpy_rs._threading.Hooks`.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    /// Made on the thread, and what was loaded then.
    followed: Option<(Py<PyAny>, u64)>,
}

impl Hooks {
    /// Sets on this thread what a thread of Python's has that starts now, where something was loaded since the last time.
    pub(crate) fn follow(&mut self, py: Python<'_>, start: &Start) {
        let version = start.version();
        if self
            .followed
            .as_ref()
            .is_some_and(|(_, seen)| *seen == version)
        {
            return;
        }
        let hooks = match self.followed.take() {
            Some((hooks, _)) => Ok(hooks),
            None => make(py),
        };
        // App code may have broken `threading`; calls are made without hooks then.
        if let Ok(hooks) = hooks {
            drop(hooks.call_method0(py, "follow"));
            self.followed = Some((hooks, version));
        }
    }
}

fn make(py: Python<'_>) -> PyResult<Py<PyAny>> {
    py.import("httpy_rs._threading")?
        .getattr("Hooks")?
        .call0()
        .map(Bound::unbind)
}
