//! Calls with keywords, without the tuple and the dict that the usual way makes for each.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Calls `callable` with `arguments`, of which the last ones have the names in `keywords`.
///
/// # Errors
///
/// What it raises.
///
/// # Panics
///
/// When there are more names than arguments.
pub(super) fn call<'py, const N: usize>(
    callable: &Bound<'py, PyAny>,
    arguments: [&Bound<'py, PyAny>; N],
    keywords: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let positional = positional(N, keywords);
    let pointers = arguments.map(Bound::as_ptr);
    // SAFETY: 1. `callable` and all of `arguments` live for the call, and show that this thread is attached. 2. The pointer is
    // to `positional` arguments with those of `keywords` behind them, N in all. 3. `keywords` is a tuple of `str`. 4. The call
    // gives a new reference, or null with an exception set.
    unsafe {
        let result = ffi::PyObject_Vectorcall(
            callable.as_ptr(),
            pointers.as_ptr(),
            positional,
            keywords.as_ptr(),
        );
        Bound::from_owned_ptr_or_err(callable.py(), result)
    }
}

fn positional(count: usize, keywords: &Bound<'_, PyTuple>) -> usize {
    assert!(
        keywords.len() <= count,
        "{} names for {count} arguments",
        keywords.len()
    );
    count - keywords.len()
}
