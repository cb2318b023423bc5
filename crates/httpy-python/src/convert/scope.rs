//! A request as the `scope` of an ASGI application, a `dict`.

use httpy_core::{Call, Headers, Visit, scope as describe};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use super::Names;

/// The scope of `call`, without `state`.
///
/// # Errors
///
/// What CPython raises when it has no memory left.
pub(crate) fn scope<'py>(
    py: Python<'py>,
    names: &Names,
    call: &Call,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    describe(call, &mut Scope { dict: &dict, names })?;
    Ok(dict)
}

struct Scope<'a, 'py> {
    dict: &'a Bound<'py, PyDict>,
    names: &'a Names,
}

impl<'py> Scope<'_, 'py> {
    fn set(&self, name: &'static str, value: impl IntoPyObject<'py>) -> PyResult<()> {
        self.dict
            .set_item(PyString::intern(self.dict.py(), name), value)
    }
}

impl Visit for Scope<'_, '_> {
    type Error = PyErr;

    fn text(&mut self, name: &'static str, value: &str) -> PyResult<()> {
        self.set(name, value)
    }

    fn bytes(&mut self, name: &'static str, value: &[u8]) -> PyResult<()> {
        self.set(name, PyBytes::new(self.dict.py(), value))
    }

    fn address(&mut self, name: &'static str, address: Option<(&str, u16)>) -> PyResult<()> {
        self.set(name, address)
    }

    fn headers(&mut self, name: &'static str, headers: &Headers) -> PyResult<()> {
        let py = self.dict.py();
        let lines = PyList::empty(py);
        let mut last: Option<Bound<'_, PyBytes>> = None;
        for (header, value) in headers.iter() {
            if let Some(header) = self.names.lower(py, header) {
                last = Some(header);
            }
            if let Some(header) = &last {
                lines.append((header, PyBytes::new(py, value)))?;
            }
        }
        self.set(name, lines)
    }

    fn table(
        &mut self,
        name: &'static str,
        items: &[(&'static str, &'static str)],
    ) -> PyResult<()> {
        let py = self.dict.py();
        let table = PyDict::new(py);
        for (name, value) in items {
            table.set_item(PyString::intern(py, name), PyString::intern(py, value))?;
        }
        self.set(name, table)
    }
}
