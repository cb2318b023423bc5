//! Bytes to `str` and `bytes`, and back, in single copies: the calls for which PyO3 has no safe wrapper.

use std::ffi::CStr;

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
    if bytes.len() >= LARGE && py.detach(|| bytes.is_ascii()) {
        return large_ascii(py, bytes);
    }
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
pub(crate) fn bytes<'py>(py: Python<'py>, from: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    if from.len() < LARGE {
        return Ok(PyBytes::new(py, from));
    }
    let (_, length) = parts(from);
    // SAFETY: 1. With a null pointer the call makes a `bytes` of that length whose content is ours to write. 2. `object` keeps
    // it alive, and nobody else has seen it yet. 3. Its buffer has room for `length` bytes.
    unsafe {
        let object = Bound::from_owned_ptr_or_err(
            py,
            ffi::PyBytes_FromStringAndSize(std::ptr::null(), length),
        )?;
        fill(py, from, ffi::PyBytes_AsString(object.as_ptr()).cast());
        Ok(object.cast_into_unchecked())
    }
}

/// A large ASCII text as a `str` that is filled detached.
fn large_ascii<'py>(py: Python<'py>, from: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let (_, length) = parts(from);
    // SAFETY: 1. The call makes a `str` of that length for code points up to 127, whose content is ours to write, one byte
    // each. 2. `object` keeps it alive, and nobody else has seen it yet. 3. `from` is ASCII, as the caller has found.
    unsafe {
        let object = Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_New(length, 127))?;
        fill(py, from, ffi::PyUnicode_DATA(object.as_ptr()).cast());
        Ok(object.cast_into_unchecked())
    }
}

/// Copies `from` to `to`, detached.
///
/// # Safety
///
/// `to` has room for as many bytes, belongs to an object that lives, and is neither read nor written by anybody else.
unsafe fn fill(py: Python<'_>, from: &[u8], to: *mut u8) {
    // As a number, because a pointer does not go where the thread is detached.
    let to = to as usize;
    py.detach(|| {
        // SAFETY: 1. The caller promises room and that nobody else looks. 2. `from` is Rust's memory and cannot overlap it.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to as *mut u8, from.len()) }
    });
}

/// The content of a `bytes`; of a large one copied detached.
pub(crate) fn copy_bytes(bytes: &Bound<'_, PyBytes>) -> Bytes {
    // The object is immutable, and `bytes` keeps it alive while this thread is detached.
    copy(bytes.py(), bytes.as_bytes())
}

/// A `str` as UTF-8, surrogates that stand for bytes turned back into them (PEP 383).
///
/// # Errors
///
/// `UnicodeEncodeError` for any other lone surrogate.
#[inline]
pub(super) fn encode(text: &Bound<'_, PyString>) -> PyResult<Bytes> {
    let py = text.py();
    if let Ok(utf8) = text.to_str() {
        // The UTF-8 form lives as long as the immutable `str`, which `text` keeps alive.
        return Ok(copy(py, utf8.as_bytes()));
    }
    Ok(copy_bytes(&encoded(text, c"surrogateescape")?))
}

/// A `str` as UTF-8, lone surrogates as if they were characters.
///
/// # Errors
///
/// What CPython raises when it has no memory left.
pub(super) fn encode_all<'py>(text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyBytes>> {
    encoded(text, c"surrogatepass")
}

/// A `str` as UTF-8, read past what a subclass overrides; `errors` is one of CPython's error handlers.
fn encoded<'py>(text: &Bound<'py, PyString>, errors: &CStr) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: 1. `text` is a `str`. 2. Both names end with NUL. 3. The borrowed `text` shows that this thread is attached.
    // 4. The call gives a new reference to a `bytes`, or null with an exception set.
    unsafe {
        let object =
            ffi::PyUnicode_AsEncodedString(text.as_ptr(), c"utf-8".as_ptr(), errors.as_ptr());
        Ok(Bound::from_owned_ptr_or_err(text.py(), object)?.cast_into_unchecked())
    }
}

/// Gives `take` the text's bytes in latin-1.
///
/// # Errors
///
/// `UnicodeEncodeError` for text beyond latin-1.
#[inline]
pub(super) fn with_latin1<R>(
    text: Borrowed<'_, '_, PyString>,
    take: impl FnOnce(&[u8]) -> R,
) -> PyResult<R> {
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
    let text = exception
        .getattr("object")
        .ok()?
        .cast_into::<PyString>()
        .ok()?;
    // SAFETY: 1. `text` is a `str`, and the call reads it past what a subclass overrides. 2. Its `Bound` shows that this thread
    // is attached. 3. An index beyond its end gives `u32::MAX` with an exception set, which is taken.
    let code_point = unsafe { ffi::PyUnicode_ReadChar(text.as_ptr(), index.try_into().ok()?) };
    if code_point == u32::MAX {
        drop(PyErr::take(py));
        return None;
    }
    Some((code_point, index))
}

fn copy(py: Python<'_>, from: &[u8]) -> Bytes {
    if from.len() < LARGE {
        Bytes::copy_from_slice(from)
    } else {
        py.detach(|| Bytes::copy_from_slice(from))
    }
}

fn parts(bytes: &[u8]) -> (*const std::ffi::c_char, ffi::Py_ssize_t) {
    // A slice is never longer than `isize::MAX` bytes.
    (bytes.as_ptr().cast(), bytes.len().cast_signed())
}
