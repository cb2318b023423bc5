//! `Names`: the Python strings that are the same for every request, made once per interpreter.

use http::Method;
use httpy_core::{KNOWN, Name};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::text;

/// Ready-made strings of one interpreter. What clients send is looked up here, never added.
#[derive(Debug)]
pub(crate) struct Names {
    methods: Box<[(Method, Py<PyString>)]>,
    /// In the order of [`KNOWN`].
    headers: Box<[Py<PyString>]>,
    /// In lower case, as ASGI has them.
    lower: Box<[Py<PyBytes>]>,
}

impl Names {
    pub(crate) fn new(py: Python<'_>) -> Self {
        let methods = [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::HEAD,
            Method::PATCH,
            Method::OPTIONS,
            Method::TRACE,
        ];
        let string = |text: &str| PyString::new(py, text).unbind();
        Self {
            methods: methods
                .into_iter()
                .map(|method| (method.clone(), string(method.as_str())))
                .collect(),
            headers: KNOWN.iter().map(|name| string(name)).collect(),
            lower: KNOWN
                .iter()
                .map(|name| PyBytes::new(py, &name.as_bytes().to_ascii_lowercase()).unbind())
                .collect(),
        }
    }

    pub(super) fn method<'py>(&self, py: Python<'py>, method: &Method) -> Bound<'py, PyString> {
        match self.methods.iter().find(|(known, _)| known == method) {
            Some((_, string)) => string.bind(py).clone(),
            None => PyString::new(py, method.as_str()),
        }
    }

    /// A header's name in lower case; `None` for [`Name::Same`].
    pub(super) fn lower<'py>(
        &self,
        py: Python<'py>,
        name: Name<'_>,
    ) -> Option<Bound<'py, PyBytes>> {
        match name {
            Name::Same => None,
            Name::Known(index) => self.lower.get(index).map(|bytes| bytes.bind(py).clone()),
            Name::Other(name) => Some(PyBytes::new(py, &name.to_ascii_lowercase())),
        }
    }

    /// The string of a header's name; `None` for [`Name::Same`].
    pub(super) fn header<'py>(
        &self,
        py: Python<'py>,
        name: Name<'_>,
    ) -> PyResult<Option<Bound<'py, PyString>>> {
        Ok(match name {
            Name::Same => None,
            Name::Known(index) => self
                .headers
                .get(index)
                .map(|string| string.bind(py).clone()),
            Name::Other(name) => Some(text::latin1(py, name)?),
        })
    }
}
