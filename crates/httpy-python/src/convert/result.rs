//! What a handler returned, as plain data: a Python object as the contract's [`View`], by which it is read.

use bytes::Bytes;
use http::StatusCode;
use httpy_core::view::{self, Integer, Latin1, Octets, Read, Refusal, Triple};
use httpy_core::{Content, ContractFailure, Fields, Outcome, RawReply, View};
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::list::BoundListIterator;
use pyo3::types::tuple::BoundTupleIterator;
use pyo3::types::{
    PyAnyMethods, PyBool, PyByteArray, PyBytes, PyDict, PyInt, PyIterator, PyList, PyMemoryView,
    PyString, PyTuple,
};

use super::text;

/// An object that a handler gave.
struct Object<'py>(Bound<'py, PyAny>);

/// What a handler returned.
pub(crate) enum Found<'py> {
    /// An outcome with all of its body.
    Outcome(Outcome),
    /// A head, in which the body is still to be put, and an iterator of its chunks.
    Stream(Outcome, Bound<'py, PyAny>),
    /// Something else, with an iterator where a body would be, which is still to be closed.
    Refused(ContractFailure, Bound<'py, PyAny>),
}

/// What the handler's result is; `on_loop` it may have an async iterator as its body.
///
/// # Errors
///
/// What CPython raised on the way: out of memory, or an exception that belongs to another thread's interruption.
pub(crate) fn returned<'py>(result: &Bound<'py, PyAny>, on_loop: bool) -> PyResult<Found<'py>> {
    match view::read(&Object(result.clone()), on_loop) {
        Ok(Read {
            returned,
            iterator: None,
        }) => Ok(Found::Outcome(Outcome::Returned(returned))),
        Ok(Read {
            returned,
            iterator: Some(iterator),
        }) => Ok(Found::Stream(Outcome::Returned(returned), iterator.0)),
        Err(Refusal::Contract(failure)) => Ok(match iterator(result) {
            Some(iterator) => Found::Refused(failure, iterator),
            None => Found::Outcome(Outcome::Contract(failure)),
        }),
        Err(Refusal::Unread(error)) => Err(error),
    }
}

/// What an application's own code in `httpy_rs` returned: a status, header lines, and `bytes` or an iterator of them.
///
/// # Errors
///
/// What CPython raised on the way.
pub(crate) fn raw<'py>(result: &Bound<'py, PyAny>) -> PyResult<Found<'py>> {
    let (status, headers, body): (u16, Lines, Bound<'py, PyAny>) = result.extract()?;
    Ok(match body.cast::<PyBytes>() {
        Ok(bytes) => {
            let body = Content::Whole(text::copy_bytes(bytes));
            Found::Outcome(Outcome::Raw(raw_reply(status, headers, body)?))
        }
        Err(_) => {
            let head = raw_reply(status, headers, Content::Whole(Bytes::new()))?;
            Found::Stream(Outcome::Raw(head), body)
        }
    })
}

/// Header lines as an application gives them.
pub(crate) type Lines = Vec<(PyBackedBytes, PyBackedBytes)>;

/// The reply of an application.
///
/// # Errors
///
/// When there is no such status.
pub(crate) fn raw_reply(status: u16, headers: Lines, body: Content) -> PyResult<RawReply> {
    let status = StatusCode::from_u16(status)
        .map_err(|_| PyValueError::new_err(format!("status {status}: expected 200 to 999")))?;
    let bytes = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let mut lines = Fields::with_capacity(headers.len(), bytes);
    for (name, value) in headers {
        lines.push(&name, &value);
    }
    Ok(RawReply {
        status,
        headers: lines,
        body,
    })
}

/// The iterator that stands as body in what a handler returned, whatever else is wrong with that.
fn iterator<'py>(result: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let tuple = result
        .cast::<PyTuple>()
        .ok()
        .filter(|tuple| tuple.len() == 3)?;
    tuple
        .get_item(1)
        .ok()
        .filter(|body| body.cast::<PyIterator>().is_ok())
}

/// The bytes of a chunk, the `number`th of its body.
///
/// # Errors
///
/// What CPython raised on the way, and inside of that what is wrong with the chunk.
pub(crate) fn chunk(
    chunk: &Bound<'_, PyAny>,
    number: u64,
) -> PyResult<Result<Bytes, ContractFailure>> {
    match view::read_chunk(&Object(chunk.clone()), number) {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(Refusal::Contract(failure)) => Ok(Err(failure)),
        Err(Refusal::Unread(error)) => Err(error),
    }
}

/// Whether it is what an `async def` function gives.
pub(crate) fn is_coroutine(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: 1. The bound reference proves that the object lives and that this thread is attached. 2. The call only looks at
    // its type.
    unsafe { ffi::PyCoro_CheckExact(object.as_ptr()) != 0 }
}

impl View for Object<'_> {
    /// What CPython raised on the way.
    type Error = PyErr;

    #[inline]
    fn triple(&self) -> PyResult<Triple<Self>> {
        let Ok(tuple) = self.0.cast::<PyTuple>() else {
            return Ok(Triple::NoTuple);
        };
        Ok(match tuple.len() {
            3 => {
                let item = |index| tuple.get_item(index).map(Object);
                Triple::Three(item(0)?, item(1)?, item(2)?)
            }
            count => Triple::Other(count),
        })
    }

    fn close_coroutine(&self) -> PyResult<bool> {
        let is_coroutine = is_coroutine(&self.0);
        if is_coroutine {
            // Else Python warns that it was never awaited, some time, somewhere. It has not begun, so that nothing can fail.
            self.0.call_method0("close")?;
        }
        Ok(is_coroutine)
    }

    fn type_name(&self) -> String {
        type_name(&self.0)
    }

    fn type_names(&self) -> Vec<String> {
        let tuple = self.0.cast::<PyTuple>();
        tuple.map_or_else(
            |_| Vec::new(),
            |tuple| tuple.iter().take(8).map(|item| type_name(&item)).collect(),
        )
    }

    #[inline]
    fn integer(&self) -> PyResult<Integer> {
        Ok(match self.0.cast::<PyInt>() {
            Ok(number) if !number.is_instance_of::<PyBool>() => number
                .extract::<i64>()
                .map_or(Integer::Beyond, Integer::Number),
            _ => Integer::NoInt,
        })
    }

    #[inline]
    fn octets(&self) -> PyResult<Octets> {
        let object = &self.0;
        if let Ok(text) = object.cast::<PyString>() {
            return match text::encode(text) {
                Ok(bytes) => Ok(Octets::Text(bytes)),
                Err(error) => match text::unencodable(object.py(), &error) {
                    Some((code_point, index)) => Ok(Octets::Unencodable(code_point, index)),
                    None => Err(error),
                },
            };
        }
        Ok(Octets::Binary(
            if let Ok(bytes) = object.cast::<PyBytes>() {
                text::copy_bytes(bytes)
            } else if let Ok(array) = object.cast::<PyByteArray>() {
                // Copied by CPython first: another thread may write into the array or resize it. Through a view, since `bytes`
                // would ask a subclass for its `__bytes__`.
                let copy = PyMemoryView::from(array)?.call_method0("tobytes")?;
                text::copy_bytes(copy.cast::<PyBytes>()?)
            } else if object.is_instance_of::<PyMemoryView>() {
                text::copy_bytes(object.call_method0("tobytes")?.cast::<PyBytes>()?)
            } else {
                return Ok(Octets::NoBytes);
            },
        ))
    }

    #[inline]
    fn is_none(&self) -> bool {
        self.0.is_none()
    }

    fn is_iterator(&self) -> PyResult<bool> {
        Ok(self.0.cast::<PyIterator>().is_ok())
    }

    fn is_async_iterator(&self) -> PyResult<bool> {
        self.0.get_type().hasattr("__aiter__")
    }

    #[inline]
    fn pairs(&self) -> PyResult<Option<impl Iterator<Item = PyResult<(Self, Self)>>>> {
        let Ok(dict) = self.0.cast::<PyDict>() else {
            return Ok(None);
        };
        // Over a copy of its items: nothing that runs in between can change what is being walked.
        let items = if dict.is_empty() {
            None
        } else {
            Some(dict.items().into_iter())
        };
        Ok(Some(Pairs(items)))
    }

    fn items(&self) -> PyResult<Option<impl Iterator<Item = PyResult<Self>>>> {
        Ok(if let Ok(list) = self.0.cast::<PyList>() {
            Some(Items::List(list.iter()))
        } else if let Ok(tuple) = self.0.cast::<PyTuple>() {
            Some(Items::Tuple(tuple.iter()))
        } else {
            None
        })
    }

    #[inline]
    fn with_utf8<R>(
        &self,
        take: impl FnOnce(&[u8]) -> Result<R, Refusal<PyErr>>,
    ) -> Result<Option<R>, Refusal<PyErr>> {
        let Ok(text) = self.0.cast::<PyString>() else {
            return Ok(None);
        };
        let utf8 = Utf8::new(text).map_err(Refusal::Unread)?;
        take(utf8.as_bytes()).map(Some)
    }

    #[inline]
    fn with_latin1<R>(&self, take: impl FnOnce(&[u8]) -> R) -> PyResult<Latin1<R>> {
        let Ok(text) = self.0.cast::<PyString>() else {
            return Ok(Latin1::NoStr);
        };
        match text::with_latin1(text.as_borrowed(), take) {
            Ok(taken) => Ok(Latin1::Text(taken)),
            Err(error) => match text::unencodable(text.py(), &error) {
                Some((code_point, index)) => Ok(Latin1::Unencodable(code_point, index)),
                None => Err(error),
            },
        }
    }
}

/// The items of a dict; none of an empty one.
struct Pairs<'py>(Option<BoundListIterator<'py>>);

impl<'py> Iterator for Pairs<'py> {
    type Item = PyResult<(Object<'py>, Object<'py>)>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let item = self.0.as_mut()?.next()?;
        let pair: PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> = item.extract();
        Some(pair.map(|(name, value)| (Object(name), Object(value))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0
            .as_ref()
            .map_or((0, Some(0)), BoundListIterator::size_hint)
    }
}

/// The items of a list, which may change meanwhile, or of a tuple.
enum Items<'py> {
    List(BoundListIterator<'py>),
    Tuple(BoundTupleIterator<'py>),
}

impl<'py> Iterator for Items<'py> {
    type Item = PyResult<Object<'py>>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = match self {
            Self::List(items) => items.next(),
            Self::Tuple(items) => items.next(),
        };
        item.map(|item| Ok(Object(item)))
    }
}

/// A header name's UTF-8 bytes, lone surrogates passed through: it is judged, and quoted, on the HTTP side.
enum Utf8<'a, 'py> {
    Whole(&'a str),
    Odd(Bound<'py, PyBytes>),
}

impl<'a, 'py> Utf8<'a, 'py> {
    #[inline]
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
    // It may hold surrogates.
    object.get_type().name().map_or_else(
        |_| "<unnamed type>".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
