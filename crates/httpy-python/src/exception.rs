//! `PyErr` to plain text. The words are made by `httpy_rs._exception`, which never raises on its own account.

use std::sync::atomic::{AtomicBool, Ordering};

use httpy_core::{Exception, Frame, Link, Relation};
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Describes exceptions of one interpreter.
#[derive(Debug)]
pub(crate) struct Describe {
    describe: Py<PyAny>,
    /// Whether an app of the process shows source lines.
    with_source: AtomicBool,
}

/// What `httpy_rs._source` gives for one exception of a chain, and for one frame of it.
type Linked = (String, String, Vec<Framed>);
type Framed = (String, u32, String, bool, u32, Vec<String>);

impl Describe {
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let describe = py
            .import("httpy_rs._exception")?
            .getattr("describe")?
            .unbind();
        Ok(Self {
            describe,
            with_source: AtomicBool::new(false),
        })
    }

    /// From now on exceptions have their frames and source lines, which takes longer.
    pub(crate) fn show_source(&self) {
        self.with_source.store(true, Ordering::Relaxed);
    }

    /// As [`describe`](Self::describe), for an exception that code of `target` has not caught, in the context of its call:
    /// what the app has set up for exceptions hears of it, too.
    pub(crate) fn raised(
        &self,
        py: Python<'_>,
        target: &Bound<'_, PyString>,
        error: &PyErr,
    ) -> Exception {
        restore_traceback(py, error);
        let report = || {
            py.import("httpy_rs._report")?
                .getattr("report")?
                .call1((target, error.value(py)))
        };
        // Fails only where CPython is at its limits; then there is the host's log.
        drop(report());
        self.describe(py, error)
    }

    pub(crate) fn describe(&self, py: Python<'_>, error: &PyErr) -> Exception {
        let value = error.value(py);
        restore_traceback(py, error);
        let described = self
            .describe
            .bind(py)
            .call1((value,))
            .and_then(|parts| parts.extract());
        match described {
            Ok((type_name, message, traceback, place)) => {
                let exception = Exception::new(type_name, message, traceback, place);
                if self.with_source.load(Ordering::Relaxed) {
                    exception.with_chain(chain(value))
                } else {
                    exception
                }
            }
            // Only when CPython itself is at its limits: out of memory, or interrupted just here.
            Err(_) => {
                let name = error.get_type(py).name().map_or_else(
                    |_| String::new(),
                    |name| name.to_string_lossy().into_owned(),
                );
                Exception::new(
                    name,
                    "<the exception could not be described>".to_owned(),
                    String::new(),
                    String::new(),
                )
            }
        }
    }
}

/// Before 3.12 CPython hands an exception and its traceback over apart.
fn restore_traceback(py: Python<'_>, error: &PyErr) {
    if let Some(traceback) = error.traceback(py) {
        // Refused only by an exception that forbids all attributes.
        drop(error.value(py).setattr("__traceback__", traceback));
    }
}

/// The frames and lines of an exception and of what it came from; none where they cannot be had.
fn chain(value: &Bound<'_, PyBaseException>) -> Vec<Link> {
    let read = || {
        value
            .py()
            .import("httpy_rs._source")?
            .getattr("chain")?
            .call1((value,))?
            .extract()
    };
    let linked: Vec<Linked> = read().unwrap_or_else(|_: PyErr| Vec::new());
    let frame = |(file, line, function, own, first, source): Framed| {
        Frame::new(file, line, function, own).with_source(first, source)
    };
    let link = |(relation, title, frames): Linked| {
        let relation = match relation.as_str() {
            "cause" => Relation::Cause,
            "context" => Relation::Context,
            _ => Relation::Raised,
        };
        Link::new(relation, title, frames.into_iter().map(frame).collect())
    };
    linked.into_iter().map(link).collect()
}
