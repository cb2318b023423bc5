//! `PyErr` to plain text. The words are made by `httpy_rs._exception`, which never raises on its own account.

use httpy_core::Exception;
use pyo3::prelude::*;

/// Describes exceptions of one interpreter.
#[derive(Debug)]
pub(crate) struct Describe(Py<PyAny>);

impl Describe {
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        Ok(Self(py.import("httpy_rs._exception")?.getattr("describe")?.unbind()))
    }

    pub(crate) fn describe(&self, py: Python<'_>, error: &PyErr) -> Exception {
        let value = error.value(py);
        if let Some(traceback) = error.traceback(py) {
            // Before 3.12 CPython hands the two over apart; refused only by an exception that forbids all attributes.
            drop(value.setattr("__traceback__", traceback));
        }
        let described = self.0.bind(py).call1((value,)).and_then(|parts| parts.extract());
        match described {
            Ok((type_name, message, traceback, place)) => Exception::new(type_name, message, traceback, place),
            // Only when CPython itself is at its limits: out of memory, or interrupted just here.
            Err(_) => {
                let name = error
                    .get_type(py)
                    .name()
                    .map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned());
                Exception::new(name, "<the exception could not be described>".to_owned(), String::new(), String::new())
            }
        }
    }
}
