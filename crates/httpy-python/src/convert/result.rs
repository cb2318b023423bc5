//! What a handler returned, as plain data: the types are looked at here, everything else is judged by the contract on
//! the HTTP side.

use bytes::Bytes;
use httpy_core::{BodyKind, Content, ContractFailure, Fields, MAX_HEADER_LINES, Outcome, Returned, check_status};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{
    PyAnyMethods, PyBool, PyByteArray, PyBytes, PyDict, PyInt, PyIterator, PyList, PyMemoryView, PyString, PyTuple,
    PyType,
};

use super::text;

/// Why there is no [`Returned`].
enum Refusal {
    /// The handler broke the contract.
    Contract(ContractFailure),
    /// CPython raised while we looked.
    Raised(PyErr),
}

impl From<ContractFailure> for Refusal {
    fn from(failure: ContractFailure) -> Self {
        Self::Contract(failure)
    }
}

impl From<PyErr> for Refusal {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

/// What a handler returned.
pub(crate) enum Found<'py> {
    /// An outcome with all of its body.
    Outcome(Outcome),
    /// A head, in which the body is still to be put, and an iterator of its chunks.
    Stream(Returned, Bound<'py, PyAny>),
    /// Something else, with an iterator where a body would be, which is still to be closed.
    Refused(ContractFailure, Bound<'py, PyAny>),
}

/// What the handler's result is; `on_loop` it may have an async iterator as its body.
///
/// # Errors
///
/// What CPython raised on the way: out of memory, or an exception that belongs to another thread's interruption.
pub(crate) fn returned<'py>(result: &Bound<'py, PyAny>, on_loop: bool) -> PyResult<Found<'py>> {
    match read(result, on_loop) {
        Ok((returned, None)) => Ok(Found::Outcome(Outcome::Returned(returned))),
        Ok((returned, Some(iterator))) => Ok(Found::Stream(returned, iterator)),
        Err(Refusal::Contract(failure)) => Ok(match iterator(result) {
            Some(iterator) => Found::Refused(failure, iterator),
            None => Found::Outcome(Outcome::Contract(failure)),
        }),
        Err(Refusal::Raised(error)) => Err(error),
    }
}

/// The iterator that stands as body in what a handler returned, whatever else is wrong with that.
fn iterator<'py>(result: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let tuple = result.cast::<PyTuple>().ok().filter(|tuple| tuple.len() == 3)?;
    tuple.get_item(1).ok().filter(|body| body.cast::<PyIterator>().is_ok())
}

/// The bytes of a chunk, the `number`th of its body.
///
/// # Errors
///
/// What CPython raised on the way, and inside of that what is wrong with the chunk.
pub(crate) fn chunk(chunk: &Bound<'_, PyAny>, number: u64) -> PyResult<Result<Bytes, ContractFailure>> {
    match binary(chunk) {
        Ok(Some((bytes, _))) => Ok(Ok(bytes)),
        Ok(None) => Ok(Err(ContractFailure::chunk_type(&type_name(chunk), number))),
        Err(error) => match text::unencodable(chunk.py(), &error) {
            Some((code_point, index)) => Ok(Err(ContractFailure::chunk_text(code_point, index, number))),
            None => Err(error),
        },
    }
}

fn read<'py>(result: &Bound<'py, PyAny>, on_loop: bool) -> Result<(Returned, Option<Bound<'py, PyAny>>), Refusal> {
    let Ok(tuple) = result.cast::<PyTuple>() else {
        if is_coroutine(result) {
            // Else Python warns that it was never awaited, some time, somewhere. It has not begun, so that nothing can fail.
            result.call_method0("close")?;
            return Err(ContractFailure::coroutine().into());
        }
        return Err(ContractFailure::not_a_tuple(&type_name(result)).into());
    };
    if tuple.len() != 3 {
        return Err(ContractFailure::wrong_count(&type_names(tuple), tuple.len()).into());
    }
    let (status, body, headers) = (tuple.get_item(0)?, tuple.get_item(1)?, tuple.get_item(2)?);
    let status = check_status(integer(tuple, &status)?)?;
    let (whole, kind) = content(tuple, &body, on_loop)?;
    let Lines { fields, count } = lines(tuple, &headers)?;
    let returned = Returned { status, body: Content::Whole(whole), kind, headers: fields, header_lines: count };
    Ok((returned, (kind == BodyKind::Iterator).then_some(body)))
}

/// Whether it is what an `async def` function gives.
pub(crate) fn is_coroutine(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: 1. The bound reference proves that the object lives and that this thread is attached. 2. The call only looks at
    // its type.
    unsafe { ffi::PyCoro_CheckExact(object.as_ptr()) != 0 }
}

fn integer(tuple: &Bound<'_, PyTuple>, status: &Bound<'_, PyAny>) -> Result<i64, Refusal> {
    match status.cast::<PyInt>() {
        Ok(number) if !status.is_instance_of::<PyBool>() => {
            number.extract::<i64>().map_err(|_| ContractFailure::status_beyond_64_bits().into())
        }
        _ => Err(ContractFailure::status_type(&type_names(tuple), &type_name(status)).into()),
    }
}

/// The body's bytes and kind; no bytes of an iterator.
fn content(tuple: &Bound<'_, PyTuple>, body: &Bound<'_, PyAny>, on_loop: bool) -> Result<(Bytes, BodyKind), Refusal> {
    let found = binary(body).map_err(|error| match text::unencodable(body.py(), &error) {
        Some((code_point, index)) => ContractFailure::body_text(code_point, index).into(),
        None => Refusal::Raised(error),
    })?;
    if let Some(found) = found {
        return Ok(found);
    }
    if body.is_none() {
        return Ok((Bytes::new(), BodyKind::Absent));
    }
    if body.cast::<PyIterator>().is_ok() {
        return Ok((Bytes::new(), BodyKind::Iterator));
    }
    let is_async = is_async_iterator(body)?;
    if is_async && on_loop {
        return Ok((Bytes::new(), BodyKind::Iterator));
    }
    let refuse = if is_async { ContractFailure::async_body } else { ContractFailure::body_type };
    Err(refuse(&type_names(tuple), &type_name(body)).into())
}

/// Whether it is to be iterated with `async for`.
fn is_async_iterator(body: &Bound<'_, PyAny>) -> PyResult<bool> {
    body.get_type().hasattr("__aiter__")
}

/// The bytes of what holds them, and what it is; none where it holds none.
///
/// # Errors
///
/// `UnicodeEncodeError` of a `str` that does not encode, and what CPython raises when it has no memory left.
fn binary(object: &Bound<'_, PyAny>) -> PyResult<Option<(Bytes, BodyKind)>> {
    let bytes = if let Ok(text) = object.cast::<PyString>() {
        return Ok(Some((text::encode(text)?, BodyKind::Text)));
    } else if let Ok(bytes) = object.cast::<PyBytes>() {
        text::copy_bytes(bytes)
    } else if let Ok(array) = object.cast::<PyByteArray>() {
        // Copied by CPython first: another thread may write into the array or resize it. Through a view, since `bytes` would
        // ask a subclass for its `__bytes__`.
        let copy = PyMemoryView::from(array)?.call_method0("tobytes")?;
        text::copy_bytes(copy.cast::<PyBytes>()?)
    } else if object.is_instance_of::<PyMemoryView>() {
        text::copy_bytes(object.call_method0("tobytes")?.cast::<PyBytes>()?)
    } else {
        return Ok(None);
    };
    Ok(Some((bytes, BodyKind::Binary)))
}

/// Header lines: no more are kept than a reply may have, the others are only counted.
#[derive(Default)]
struct Lines {
    fields: Fields,
    count: usize,
}

fn lines(tuple: &Bound<'_, PyTuple>, headers: &Bound<'_, PyAny>) -> Result<Lines, Refusal> {
    if headers.is_none() {
        return Ok(Lines::default());
    }
    let Ok(dict) = headers.cast::<PyDict>() else {
        return Err(ContractFailure::headers_type(&type_names(tuple), &type_name(headers)).into());
    };
    if dict.is_empty() {
        return Ok(Lines::default());
    }
    let mut lines = Lines { fields: Fields::with_capacity(dict.len().min(MAX_HEADER_LINES), 256), count: 0 };
    // Over a copy of its items: nothing that runs in between can change what is being walked.
    for item in dict.items() {
        let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
        let Ok(name) = name.cast::<PyString>() else {
            return Err(ContractFailure::header_name_type(&type_name(&name)).into());
        };
        let name = Utf8::new(name)?;
        if let Ok(value) = value.cast::<PyString>() {
            line(&mut lines, name.as_bytes(), value)?;
        } else if let Ok(values) = value.cast::<PyList>() {
            for value in values {
                item_line(&mut lines, name.as_bytes(), &value)?;
            }
        } else if let Ok(values) = value.cast::<PyTuple>() {
            for value in values {
                item_line(&mut lines, name.as_bytes(), &value)?;
            }
        } else {
            return Err(ContractFailure::header_value_type(name.as_bytes(), &type_name(&value)).into());
        }
    }
    Ok(lines)
}

fn item_line(lines: &mut Lines, name: &[u8], value: &Bound<'_, PyAny>) -> Result<(), Refusal> {
    match value.cast::<PyString>() {
        Ok(value) => line(lines, name, value),
        Err(_) => Err(ContractFailure::header_item_type(name, &type_name(value)).into()),
    }
}

fn line(lines: &mut Lines, name: &[u8], value: &Bound<'_, PyString>) -> Result<(), Refusal> {
    let push = |value: &[u8]| {
        lines.count += 1;
        if lines.count <= MAX_HEADER_LINES {
            lines.fields.push(name, value);
        }
    };
    text::with_latin1(value.as_borrowed(), push).map_err(|error| match text::unencodable(value.py(), &error) {
        Some((code_point, index)) => ContractFailure::header_value_text(name, code_point, index).into(),
        None => Refusal::Raised(error),
    })
}

/// A header name's UTF-8 bytes, lone surrogates passed through: it is judged, and quoted, on the HTTP side.
enum Utf8<'a, 'py> {
    Whole(&'a str),
    Odd(Bound<'py, PyBytes>),
}

impl<'a, 'py> Utf8<'a, 'py> {
    fn new(name: &'a Bound<'py, PyString>) -> PyResult<Self> {
        match name.to_str() {
            Ok(utf8) => Ok(Self::Whole(utf8)),
            Err(_) => Ok(Self::Odd(text::encode_all(name)?)),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Whole(utf8) => utf8.as_bytes(),
            Self::Odd(bytes) => bytes.as_bytes(),
        }
    }
}

fn type_name(object: &Bound<'_, PyAny>) -> String {
    let kind = object.get_type();
    // By `type`'s own descriptor: a metaclass may have replaced `__name__`, and before Python 3.11 PyO3 would ask it.
    let descriptor = kind.py().get_type::<PyType>().getattr("__dict__").and_then(|names| names.get_item("__name__"));
    let name = descriptor.and_then(|descriptor| descriptor.call_method1("__get__", (&kind,)));
    let name = name.and_then(|name| name.cast_into::<PyString>().map_err(PyErr::from));
    // It may hold surrogates.
    name.map_or_else(|_| "<unnamed type>".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn type_names(tuple: &Bound<'_, PyTuple>) -> Vec<String> {
    tuple.iter().take(8).map(|item| type_name(&item)).collect()
}
