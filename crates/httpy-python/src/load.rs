//! Loading targets, on Python's main thread: the checks themselves are written in Python (`httpy_rs._load`), so that
//! `httpy_rs.testing` makes the same ones. Here their results become plain data and entries of the table of targets.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use httpy_core::{Exception, Interface, Kind, LoadError, LoadErrorKind, TargetId};
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use crate::exception::Describe;

/// A loaded handler or application.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// The name as the one of its tasks.
    pub(crate) label: Py<PyString>,
    pub(crate) handler: Py<PyAny>,
    pub(crate) interface: Interface,
}

/// The loaded handlers of one interpreter. Grows only by functions that are not in it yet.
#[derive(Debug, Default)]
pub(crate) struct Targets(RwLock<Vec<Arc<Target>>>);

impl Targets {
    pub(crate) fn all(&self) -> Vec<Arc<Target>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn get(&self, target: TargetId) -> Option<Arc<Target>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(target.index)
            .cloned()
    }

    /// The application of this name, if it is loaded.
    pub(crate) fn app(&self, kind: Kind, name: &str) -> Option<TargetId> {
        let targets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let is_it = |known: &Arc<Target>| known.name == name && known.interface.kind == kind;
        let index = targets.iter().position(is_it)?;
        let interface = targets.get(index)?.interface;
        Some(TargetId { index, interface })
    }

    fn add(&self, py: Python<'_>, target: Target) -> TargetId {
        // Equal and not only the same: a bound method is another object each time. Compared without the lock, since that
        // may run code of the app; only Python's main thread ever adds.
        let same = |known: &Target| {
            known.name == target.name
                && known.interface == target.interface
                && known
                    .handler
                    .bind(py)
                    .eq(target.handler.bind(py))
                    .unwrap_or(false)
        };
        let interface = target.interface;
        if let Some(index) = self.all().iter().position(|known| same(known)) {
            return TargetId { index, interface };
        }
        let mut targets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        targets.push(Arc::new(target));
        TargetId {
            index: targets.len() - 1,
            interface,
        }
    }
}

/// Puts `paths` at the front of `sys.path`, the first one first; one that is there already moves to its new place. What is
/// imported from then on is the app's own, even where it is called like a module that this package has imported.
pub(crate) fn add_paths(py: Python<'_>, paths: &[PathBuf]) -> PyResult<()> {
    let path = py.import("sys")?.getattr("path")?.cast_into::<PyList>()?;
    for new in paths.iter().rev() {
        let new = new.as_os_str();
        if path.contains(new)? {
            path.call_method1("remove", (new,))?;
        }
        path.insert(0, new)?;
    }
    py.import("httpy_rs._embed")?.call_method0("make_way")?;
    Ok(())
}

/// Sets environment variables as Python code does, so that it sees them too.
pub(crate) fn set_variables(py: Python<'_>, variables: &[(String, String)]) -> PyResult<()> {
    if variables.is_empty() {
        return Ok(());
    }
    let environ = py.import("os")?.getattr("environ")?;
    variables
        .iter()
        .try_for_each(|(name, value)| environ.set_item(name, value))
}

/// Loads a handler or an application into `targets`.
pub(crate) fn target(
    py: Python<'_>,
    describe: &Describe,
    targets: &Targets,
    kind: Kind,
    target: &str,
    paths: &[PathBuf],
) -> Result<TargetId, LoadError> {
    let paths = as_str(paths);
    let loaded = call_loader(
        py,
        describe,
        "load",
        (kind.word(), target, paths.as_slice()),
    );
    let (handler, [kind, lane, body]): (Py<PyAny>, [String; 3]) = loaded?;
    let interface = Interface::named([&kind, &lane, &body]).ok_or_else(|| LoadError {
        kind: LoadErrorKind::Internal,
        message: format!("{target} has an unknown interface: {kind} {lane} {body}"),
        exception: None,
    })?;
    Ok(targets.add(
        py,
        Target {
            name: target.to_owned(),
            label: PyString::new(py, target).unbind(),
            handler,
            interface,
        },
    ))
}

/// A function without arguments that is called at the start or at the end.
#[derive(Debug)]
pub(crate) struct Plain {
    name: String,
    function: Py<PyAny>,
    is_async: bool,
}

/// Which function without arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Init,
    Shutdown,
}

impl Plain {
    /// Loads the function `target`.
    pub(crate) fn load(
        py: Python<'_>,
        describe: &Describe,
        moment: Moment,
        target: &str,
        paths: &[PathBuf],
    ) -> Result<Self, LoadError> {
        let loader = match moment {
            Moment::Init => "load_init",
            Moment::Shutdown => "load_shutdown",
        };
        let paths = as_str(paths);
        let loaded = call_loader(py, describe, loader, (target, paths.as_slice()));
        loaded.map(|(function, is_async)| Self {
            name: target.to_owned(),
            function,
            is_async,
        })
    }

    /// The method `method` of a loaded application.
    ///
    /// # Errors
    ///
    /// When it has none.
    pub(crate) fn of_app(py: Python<'_>, target: &Target, method: &'static str) -> PyResult<Self> {
        Ok(Self {
            name: target.name.clone(),
            function: target.handler.getattr(py, method)?,
            is_async: true,
        })
    }

    /// Calls it on `event_loop`, where it has as long as it likes.
    ///
    /// # Errors
    ///
    /// What it raised.
    pub(crate) fn run_startup(
        &self,
        py: Python<'_>,
        describe: &Describe,
        event_loop: Option<Py<PyAny>>,
    ) -> Result<(), LoadError> {
        let function = self
            .bound(py, event_loop, None)
            .map_err(|error| load_error(py, describe, &error))?;
        let started: Result<bool, LoadError> =
            call_loader(py, describe, "run_startup", (self.name.as_str(), function));
        started.map(drop)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is to be called on an event loop.
    pub(crate) fn is_async(&self) -> bool {
        self.is_async
    }

    /// Calls it as an init function, here or on `event_loop`: its patterns with their methods, as given.
    pub(crate) fn run_init(
        &self,
        py: Python<'_>,
        describe: &Describe,
        event_loop: Option<Py<PyAny>>,
    ) -> Result<Vec<(String, Vec<String>)>, LoadError> {
        let function = self
            .bound(py, event_loop, None)
            .map_err(|error| load_error(py, describe, &error))?;
        call_loader(py, describe, "run_init", (self.name.as_str(), function))
    }

    /// Calls it as a shutdown function, here or on `event_loop`, where it has until `limit` is over: what it raised.
    pub(crate) fn run_shutdown(
        &self,
        py: Python<'_>,
        describe: &Describe,
        event_loop: Option<Py<PyAny>>,
        limit: Duration,
    ) -> Option<Exception> {
        let called = self
            .bound(py, event_loop, Some(limit))
            .and_then(|function| function.call0());
        called.err().map(|error| describe.describe(py, &error))
    }

    /// The function as one that can be called on this thread.
    fn bound<'py>(
        &self,
        py: Python<'py>,
        event_loop: Option<Py<PyAny>>,
        limit: Option<Duration>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let function = self.function.bind(py).clone();
        let Some(event_loop) = event_loop else {
            return Ok(function);
        };
        let limit = limit.map(|limit| limit.as_secs_f64());
        py.import("httpy_rs._event_loop")?
            .getattr("bound")?
            .call1((event_loop, function, limit))
    }
}

/// As `str`: the import system passes over entries that are `Path`s.
fn as_str(paths: &[PathBuf]) -> Vec<&OsStr> {
    paths.iter().map(|path| path.as_os_str()).collect()
}

fn call_loader<'py, R>(
    py: Python<'py>,
    describe: &Describe,
    function: &str,
    arguments: impl PyCallArgs<'py>,
) -> Result<R, LoadError>
where
    R: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    let load = || {
        py.import("httpy_rs._load")?
            .getattr(function)?
            .call1(arguments)?
            .extract()
    };
    load().map_err(|error: PyErr| load_error(py, describe, &error))
}

/// Looks whether the application `target`, which is loaded, is that of `paths` too.
///
/// # Errors
///
/// When one of `paths` has another module of that name.
pub(crate) fn check_again(
    py: Python<'_>,
    describe: &Describe,
    target: &str,
    paths: &[PathBuf],
) -> Result<(), LoadError> {
    let paths = as_str(paths);
    let arguments = (target, paths.as_slice());
    call_loader(py, describe, "check_again", arguments).map(|_: bool| ())
}

pub(crate) fn load_error(py: Python<'_>, describe: &Describe, error: &PyErr) -> LoadError {
    let value = error.value(py);
    let kind = value
        .getattr("kind")
        .and_then(|kind| kind.extract::<String>());
    let message = value
        .getattr("message")
        .and_then(|message| message.extract::<String>());
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
