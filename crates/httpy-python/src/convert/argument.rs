//! A `Call` as the six arguments of a handler.

use httpy_core::{Call, Fields, Headers};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::{Names, text};

/// `method, path, params, query, headers, body`
pub(crate) type Arguments<'py> = (
    Bound<'py, PyString>,
    Bound<'py, PyString>,
    Bound<'py, PyDict>,
    Bound<'py, PyDict>,
    Bound<'py, PyDict>,
    Bound<'py, PyAny>,
);

/// The arguments of `call`, with its body as the handler wants it.
///
/// # Errors
///
/// What CPython raises when it has no memory left.
pub(crate) fn arguments<'py>(
    py: Python<'py>,
    names: &Names,
    call: &Call,
    body: Bound<'py, PyAny>,
) -> PyResult<Arguments<'py>> {
    Ok((
        names.method(py, &call.method),
        text::utf8(py, call.path())?,
        lists(py, &call.params)?,
        lists(py, &call.query)?,
        headers(py, names, &call.headers)?,
        body,
    ))
}

/// A whole body as `str` or, `as_bytes`, as `bytes`.
///
/// # Errors
///
/// What CPython raises when it has no memory left.
pub(crate) fn body<'py>(
    py: Python<'py>,
    body: &[u8],
    as_bytes: bool,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(if as_bytes {
        text::bytes(py, body)?.into_any()
    } else {
        text::utf8(py, body)?.into_any()
    })
}

/// Names to the lists of their values, in the order in which each name came first.
fn lists<'py>(py: Python<'py>, fields: &Fields) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in fields.iter() {
        let (name, value) = (text::utf8(py, name)?, text::utf8(py, value)?);
        match dict.get_item(&name)? {
            Some(values) => values.cast::<PyList>()?.append(value)?,
            None => dict.set_item(name, PyList::new(py, [value])?)?,
        }
    }
    Ok(dict)
}

fn headers<'py>(py: Python<'py>, names: &Names, headers: &Headers) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let mut last: Option<Bound<'py, PyList>> = None;
    for (name, value) in headers.iter() {
        let value = text::latin1(py, value)?;
        match (names.header(py, name)?, &last) {
            (None, Some(values)) => values.append(value)?,
            (Some(name), _) => {
                let values = PyList::new(py, [value])?;
                dict.set_item(name, &values)?;
                last = Some(values);
            }
            // A repetition stands behind what it repeats.
            (None, None) => {}
        }
    }
    Ok(dict)
}
