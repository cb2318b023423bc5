//! Loading targets, on Python's main thread: the checks themselves are written in Python (`httpy_rs._load`), so that
//! `httpy_rs.testing` makes the same ones. Here their results become plain data and entries of the table of targets.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use httpy_core::{Exception, TargetId};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::exception::Describe;

/// A loaded handler.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) handler: Py<PyAny>,
    /// As what its sixth parameter is annotated.
    pub(crate) wants: Wants,
}

/// How a handler gets its request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// As `str`.
    Text,
    /// As `bytes`.
    Bytes,
    /// As `httpy_rs.Body`.
    Stream,
}

impl Wants {
    fn named(name: &str) -> Self {
        match name {
            "bytes" => Self::Bytes,
            "stream" => Self::Stream,
            _ => Self::Text,
        }
    }
}

/// The loaded handlers of one interpreter. Grows only by functions that are not in it yet.
#[derive(Debug, Default)]
pub(crate) struct Targets(RwLock<Vec<Arc<Target>>>);

impl Targets {
    pub(crate) fn all(&self) -> Vec<Arc<Target>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn get(&self, target: TargetId) -> Option<Arc<Target>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(target.0).cloned()
    }

    fn add(&self, py: Python<'_>, target: Target) -> TargetId {
        // Equal and not only the same: a bound method is another object each time. Compared without the lock, since that
        // may run code of the app; only Python's main thread ever adds.
        let same = |known: &Target| {
            known.name == target.name && known.handler.bind(py).eq(target.handler.bind(py)).unwrap_or(false)
        };
        if let Some(found) = self.all().iter().position(|known| same(known)) {
            return TargetId(found);
        }
        let mut targets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        targets.push(Arc::new(target));
        TargetId(targets.len() - 1)
    }
}

/// Which way of loading failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoadErrorKind {
    /// Not of the form `module:attribute`.
    Target,
    /// No such module.
    ModuleNotFound,
    /// Importing the module raised.
    Import,
    /// The module has no such attribute.
    AttributeNotFound,
    /// A module of that name was loaded from another file.
    ModuleConflict,
    /// Not callable.
    NotCallable,
    /// Cannot take six positional arguments.
    Signature,
    /// `async def`.
    AsyncHandler,
    /// The init function takes arguments.
    InitSignature,
    /// The init function raised.
    InitException,
    /// The init function returned something else than routes.
    InitResult,
    /// Anything that is our own mistake or that app code did to the interpreter.
    Internal,
}

impl LoadErrorKind {
    fn named(name: &str) -> Self {
        match name {
            "target" => Self::Target,
            "module_not_found" => Self::ModuleNotFound,
            "import" => Self::Import,
            "attribute_not_found" => Self::AttributeNotFound,
            "module_conflict" => Self::ModuleConflict,
            "not_callable" => Self::NotCallable,
            "signature" => Self::Signature,
            "async_handler" => Self::AsyncHandler,
            "init_signature" => Self::InitSignature,
            "init_exception" => Self::InitException,
            "init_result" => Self::InitResult,
            _ => Self::Internal,
        }
    }
}

/// Why a target could not be loaded.
#[derive(Clone, Debug)]
pub struct LoadError {
    /// Which way it was.
    pub kind: LoadErrorKind,
    /// One sentence.
    pub message: String,
    /// What Python raised, where it did.
    pub exception: Option<Exception>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.exception.as_ref().map(|exception| exception as _)
    }
}

/// Puts `paths` at the front of `sys.path`, the first one first; one that is there already moves to its new place.
pub(crate) fn add_paths(py: Python<'_>, paths: &[PathBuf]) -> PyResult<()> {
    let path = py.import("sys")?.getattr("path")?.cast_into::<PyList>()?;
    for new in paths.iter().rev() {
        let new = new.as_os_str();
        if path.contains(new)? {
            path.call_method1("remove", (new,))?;
        }
        path.insert(0, new)?;
    }
    Ok(())
}

/// Loads a handler into `targets`.
pub(crate) fn handler(
    py: Python<'_>,
    describe: &Describe,
    targets: &Targets,
    target: &str,
    paths: &[PathBuf],
) -> Result<TargetId, LoadError> {
    let (handler, wants): (Py<PyAny>, String) = call_loader(py, describe, "load_handler", target, paths)?;
    Ok(targets.add(py, Target { name: target.to_owned(), handler, wants: Wants::named(&wants) }))
}

/// Calls an init function; its patterns with their methods, as given.
pub(crate) fn init(
    py: Python<'_>,
    describe: &Describe,
    target: &str,
    paths: &[PathBuf],
) -> Result<Vec<(String, Vec<String>)>, LoadError> {
    call_loader(py, describe, "run_init", target, paths)
}

fn call_loader<R>(
    py: Python<'_>,
    describe: &Describe,
    function: &str,
    target: &str,
    paths: &[PathBuf],
) -> Result<R, LoadError>
where
    R: for<'a, 'py> FromPyObject<'a, 'py, Error = PyErr>,
{
    // As `str`: the import system passes over entries that are `Path`s.
    let paths: Vec<&OsStr> = paths.iter().map(|path| path.as_os_str()).collect();
    let load = || py.import("httpy_rs._load")?.getattr(function)?.call1((target, paths.as_slice()))?.extract();
    load().map_err(|error: PyErr| load_error(py, describe, &error))
}

fn load_error(py: Python<'_>, describe: &Describe, error: &PyErr) -> LoadError {
    let value = error.value(py);
    let kind = value.getattr("kind").and_then(|kind| kind.extract::<String>());
    let message = value.getattr("message").and_then(|message| message.extract::<String>());
    match (kind, message) {
        (Ok(kind), Ok(message)) => LoadError {
            kind: LoadErrorKind::named(&kind),
            message,
            exception: error.cause(py).map(|cause| describe.describe(py, &cause)),
        },
        _ => {
            let exception = describe.describe(py, error);
            LoadError {
                kind: LoadErrorKind::Internal,
                message: format!("loading raised {exception}"),
                exception: Some(exception),
            }
        }
    }
}
