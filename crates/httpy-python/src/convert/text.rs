//! Bytes to `str` and `bytes`, and back, in single copies: the calls for which PyO3 has no safe wrapper.

use bytes::Bytes;
use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use pyo3::{Borrowed, ffi};

/// From this size on, bytes are copied detached: below it, giving the interpreter up costs more than the copy.
const LARGE: usize = 64 * 1024;

/// Any bytes as the text of the same code points.
pub(super) fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let (start, length) = parts(bytes);
    // SAFETY: 1. `start` and `length` describe one live slice, which the call copies. 2. `py` proves that this thread is
    // attached. 3. The call gives a new reference to a `str`, or null with an exception set.
    unsafe {
        let text = ffi::PyUnicode_DecodeLatin1(start, length, std::ptr::null());
        Ok(Bound::from_owned_ptr_or_err(py, text)?.cast_into_unchecked())
    }
}

/// UTF-8 as text; bytes that are not UTF-8 become lone surrogates (PEP 383).
pub(super) fn utf8<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let (start, length) = parts(bytes);
    // SAFETY: 1. `start` and `length` describe one live slice, which the call copies. 2. The name of the error handler
    // ends with NUL and is known to CPython. 3. `py` proves that this thread is attached. 4. The call gives a new
    // reference to a `str`, or null with an exception set.
    unsafe {
        let text = ffi::PyUnicode_DecodeUTF8(start, length, c"surrogateescape".as_ptr());
        Ok(Bound::from_owned_ptr_or_err(py, text)?.cast_into_unchecked())
    }
}

/// A `bytes` object; a large one is filled detached.
pub(super) fn bytes<'py>(py: Python<'py>, from: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    if from.len() < LARGE {
        return Ok(PyBytes::new(py, from));
    }
    let (_, length) = parts(from);
    // SAFETY: 1. With a null pointer the call makes a `bytes` of that length whose content is ours to write. 2. Nobody
    // else has seen the object yet, so no thread reads it while this one, detached, fills it. 3. The object is kept alive
    // by `object`. 4. `start` has room for `length` bytes and cannot overlap `from`, which is Rust's.
    unsafe {
        let object = Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromStringAndSize(std::ptr::null(), length))?;
        let start = ffi::PyBytes_AsString(object.as_ptr()).cast::<u8>();
        let content = std::slice::from_raw_parts_mut(start, from.len());
        py.detach(|| content.copy_from_slice(from));
        Ok(object.cast_into_unchecked())
    }
}

/// The content of a `bytes`; of a large one copied detached.
pub(super) fn copy_bytes(bytes: &Bound<'_, PyBytes>) -> Bytes {
    // The object is immutable, and `bytes` keeps it alive while this thread is detached.
    copy(bytes.py(), bytes.as_bytes())
}

/// A `str` as UTF-8, surrogates that stand for bytes turned back into them (PEP 383).
///
/// # Errors
///
/// `UnicodeEncodeError` for any other lone surrogate.
pub(super) fn encode(text: &Bound<'_, PyString>) -> PyResult<Bytes> {
    let py = text.py();
    if let Ok(utf8) = text.to_str() {
        // The UTF-8 form lives as long as the immutable `str`, which `text` keeps alive.
        return Ok(copy(py, utf8.as_bytes()));
    }
    // SAFETY: 1. `text` is a `str`. 2. Both names end with NUL and are known to CPython. 3. `py` proves that this thread is
    // attached. 4. The call gives a new reference to a `bytes`, or null with an exception set.
    let encoded = unsafe {
        let object = ffi::PyUnicode_AsEncodedString(text.as_ptr(), c"utf-8".as_ptr(), c"surrogateescape".as_ptr());
        Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked::<PyBytes>()
    };
    Ok(copy_bytes(&encoded))
}

/// Gives `take` the text's bytes in latin-1.
///
/// # Errors
///
/// `UnicodeEncodeError` for text beyond latin-1.
pub(super) fn with_latin1<R>(text: Borrowed<'_, '_, PyString>, take: impl FnOnce(&[u8]) -> R) -> PyResult<R> {
    if let Ok(utf8) = text.to_str()
        && utf8.is_ascii()
    {
        return Ok(take(utf8.as_bytes()));
    }
    // SAFETY: 1. `text` is a `str`. 2. This thread is attached, as the borrow shows. 3. The call gives a new reference to a
    // `bytes`, or null with an exception set.
    let encoded = unsafe {
        let object = ffi::PyUnicode_AsLatin1String(text.as_ptr());
        Bound::from_owned_ptr_or_err(text.py(), object)?.cast_into_unchecked::<PyBytes>()
    };
    Ok(take(encoded.as_bytes()))
}

/// The code point that could not be encoded and its index, from the exception that says so.
pub(super) fn unencodable(py: Python<'_>, error: &PyErr) -> Option<(u32, usize)> {
    let exception = error.value(py).cast::<PyUnicodeEncodeError>().ok()?;
    let index = exception.getattr("start").ok()?.extract::<usize>().ok()?;
    let text = exception.getattr("object").ok()?;
    let character = text.get_item(index).ok()?;
    let code_point = py.import("builtins").ok()?.getattr("ord").ok()?.call1((character,)).ok()?;
    Some((code_point.extract().ok()?, index))
}

fn copy(py: Python<'_>, from: &[u8]) -> Bytes {
    if from.len() < LARGE { Bytes::copy_from_slice(from) } else { py.detach(|| Bytes::copy_from_slice(from)) }
}

fn parts(bytes: &[u8]) -> (*const std::ffi::c_char, ffi::Py_ssize_t) {
    // A slice is never longer than `isize::MAX` bytes.
    (bytes.as_ptr().cast(), bytes.len().cast_signed())
}
