//! `Uploads`: gives handlers their request's body as a stream, `httpy_rs.Body`; `Receiver`: the server's hand on one of them.
//!
//! A stream is read on the worker that calls the handler, which waits detached, and for as long as the call runs.

use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use httpy_core::{Broken, Reader, Ticket, Upload, UploadFault};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCFunction, PyType};

use crate::convert;
use crate::deadline::ThreadId;
use crate::park;

/// What is known of streamed uploads, of one interpreter.
#[derive(Debug)]
pub(crate) struct Uploads {
    /// `httpy_rs.Body`
    body: Py<PyAny>,
    /// `httpy_rs.AsyncBody`
    async_body: Py<PyAny>,
    /// `httpy_rs.BodyError`
    error: Py<PyType>,
}

/// One upload, while its call runs. When it is dropped, the rest of the upload is nobody's business.
#[derive(Debug)]
pub(crate) struct Receiver {
    shared: Arc<Shared>,
    error: Py<PyType>,
}

#[derive(Debug)]
struct Shared {
    thread: ThreadId,
    /// The process id: a forked child has the same threads' ids.
    process: u32,
    state: Mutex<State>,
}

/// How far an upload has come.
#[derive(Debug)]
pub(crate) enum State {
    /// Chunks may still come.
    Open(Reader<UploadFault>),
    /// All have come.
    Ended,
    /// No more will come.
    Failed(UploadFault),
    /// The call has ended.
    Closed,
}

impl Uploads {
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let module = py.import("httpy_rs._body")?;
        let error = module.getattr("BodyError")?.cast_into::<PyType>()?.unbind();
        let (body, async_body) = (
            module.getattr("Body")?.unbind(),
            module.getattr("AsyncBody")?.unbind(),
        );
        Ok(Self {
            body,
            async_body,
            error,
        })
    }

    /// A `Body` of `upload` for the handler that is called for `ticket` on this thread.
    ///
    /// # Errors
    ///
    /// What CPython raises when it has no memory left.
    pub(crate) fn open<'py>(
        &self,
        py: Python<'py>,
        ticket: &Arc<Ticket>,
        upload: Upload,
    ) -> PyResult<(Bound<'py, PyAny>, Receiver)> {
        let state = Mutex::new(State::Open(upload.into_reader()));
        let shared = Arc::new(Shared {
            thread: ThreadId::current(),
            process: process::id(),
            state,
        });
        let receiver = Receiver {
            shared: Arc::clone(&shared),
            error: self.error.clone_ref(py),
        };
        let (error, ticket) = (self.error.clone_ref(py), Arc::clone(ticket));
        let next = PyCFunction::new_closure(
            py,
            Some(c"next_chunk"),
            None,
            move |arguments, _| -> PyResult<Option<Py<PyBytes>>> {
                let py = arguments.py();
                match shared.next(py, &ticket)? {
                    Ok(chunk) => chunk
                        .map(|chunk| Ok(convert::bytes(py, &chunk)?.unbind()))
                        .transpose(),
                    Err(fault) => Err(PyErr::from_type(
                        error.bind(py).clone(),
                        (fault.text, fault.status),
                    )),
                }
            },
        )?;
        Ok((self.body.bind(py).call1((next,))?, receiver))
    }
}

impl Uploads {
    /// An `AsyncBody` whose chunks `next` gives.
    ///
    /// # Errors
    ///
    /// What CPython raises when it has no memory left.
    pub(crate) fn open_async<'py>(&self, next: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.async_body.bind(next.py()).call1((next,))
    }

    /// What a handler gets that reads on when there is no more.
    pub(crate) fn error(&self, py: Python<'_>, fault: &UploadFault) -> PyErr {
        PyErr::from_type(
            self.error.bind(py).clone(),
            (fault.text.clone(), fault.status),
        )
    }

    /// Whether it is what [`error`](Self::error) makes.
    pub(crate) fn is_error(&self, py: Python<'_>, error: &PyErr) -> bool {
        error.is_instance(py, self.error.bind(py))
    }
}

/// What a reader gave, as the next chunk, none at the end, or why there is no more.
pub(crate) fn read(
    next: Option<Result<Bytes, Broken<UploadFault>>>,
) -> Result<Option<Bytes>, UploadFault> {
    match next {
        Some(Ok(chunk)) => Ok(Some(chunk)),
        None => Ok(None),
        Some(Err(Broken::Failed(fault))) => Err(fault),
        Some(Err(Broken::Dropped)) => Err(UploadFault {
            status: 400,
            text: "the client has gone".to_owned(),
        }),
    }
}

impl Shared {
    /// The next chunk, none at the end; or why there is no more.
    ///
    /// # Errors
    ///
    /// `RuntimeError` where the stream must not be read.
    fn next(
        &self,
        py: Python<'_>,
        ticket: &Ticket,
    ) -> PyResult<Result<Option<Bytes>, UploadFault>> {
        let mut reader = match &mut *self.lock() {
            State::Closed => {
                return Err(PyRuntimeError::new_err(
                    "the request's body was read after its call had ended",
                ));
            }
            // No thread of a forked child brings any chunks.
            _ if process::id() != self.process => {
                return Err(PyRuntimeError::new_err(
                    "the request's body was read in a process that its handler has forked",
                ));
            }
            // Else a thread of the handler's could wait here when the call has long ended.
            _ if ThreadId::current() != self.thread => {
                return Err(PyRuntimeError::new_err(
                    "the request's body was read on another thread than its handler's",
                ));
            }
            State::Ended => return Ok(Ok(None)),
            State::Failed(fault) => return Ok(Err(fault.clone())),
            // Taken out, so that nothing is locked while this thread waits. It is the only one that comes here.
            open @ State::Open(_) => match std::mem::replace(open, State::Ended) {
                State::Open(reader) => reader,
                _ => return Ok(Ok(None)),
            },
        };
        let due = ticket.due();
        let (reader, next) = py.detach(move || {
            let next = park::wait(due, |context| reader.poll_next(context));
            (reader, next)
        });
        let late = || "the request's body did not come in the time that the call had".to_owned();
        let next = next.map_or_else(
            || {
                Err(UploadFault {
                    status: 408,
                    text: late(),
                })
            },
            read,
        );
        *self.lock() = match &next {
            Ok(Some(_)) => State::Open(reader),
            Ok(None) => State::Ended,
            Err(fault) => State::Failed(fault.clone()),
        };
        Ok(next)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver {
    /// What happened to the client's upload, where `error` says just that.
    pub(crate) fn fault_behind(&self, py: Python<'_>, error: &PyErr) -> Option<UploadFault> {
        if !error.is_instance(py, self.error.bind(py)) {
            return None;
        }
        match &*self.shared.lock() {
            State::Failed(fault) => Some(fault.clone()),
            _ => None,
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *self.shared.lock(), State::Closed);
        drop(before);
    }
}
