//! `Names`: the Python strings that are the same for every request, made once per interpreter.

use http::Method;
use httpy_core::{KNOWN, Name};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::text;

/// Ready-made strings of one interpreter. What clients send is looked up here, never added.
#[derive(Debug)]
pub(crate) struct Names {
    methods: Box<[(Method, Py<PyString>)]>,
    /// In the order of [`KNOWN`].
    headers: Box<[Py<PyString>]>,
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
        }
    }

    pub(super) fn method<'py>(&self, py: Python<'py>, method: &Method) -> Bound<'py, PyString> {
        match self.methods.iter().find(|(known, _)| known == method) {
            Some((_, string)) => string.bind(py).clone(),
            None => PyString::new(py, method.as_str()),
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
