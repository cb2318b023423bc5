//! `Lifespans`: the applications that have started, and how each of them is ended. Their protocol is in
//! `httpy_rs._interface.lifespan`.

use std::mem;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use httpy_core::{Exception, Kind, LoadError, TargetId};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::load::{self, Plain};
use crate::runtime::Shared;

/// Time for the end of each application, however long what was before it took.
const LEAST: Duration = Duration::from_secs(1);

/// The applications on the event loop of the pool, and the shutdown of each. Used on Python's main thread alone, so that an
/// application is not started twice.
#[derive(Debug, Default)]
pub(crate) struct Lifespans(Mutex<Vec<(TargetId, Plain)>>);

impl Lifespans {
    /// Loads the application `name` and runs its startup on `event_loop`, unless it has started already.
    ///
    /// # Errors
    ///
    /// Each kind of [`LoadError`] says when.
    pub(crate) fn start(
        &self,
        py: Python<'_>,
        shared: &Shared,
        event_loop: Option<Py<PyAny>>,
        kind: Kind,
        name: &str,
        paths: &[PathBuf],
    ) -> Result<TargetId, LoadError> {
        let is_it = |(id, shutdown): &(TargetId, Plain)| (shutdown.name() == name).then_some(*id);
        let known = self.lock().iter().find_map(is_it);
        if let Some(id) = known {
            return load::check_again(py, &shared.describe, name, paths).map(|()| id);
        }
        let id = load::target(py, &shared.describe, &shared.targets, kind, name, paths)?;
        let part = |method| {
            let target = shared.targets.get(id);
            let target = target.ok_or_else(|| PyRuntimeError::new_err("no such target"))?;
            Plain::of_app(py, &target, method)
        };
        let parts = part("startup").and_then(|startup| Ok((startup, part("shutdown")?)));
        let (startup, shutdown) =
            parts.map_err(|error| load::load_error(py, &shared.describe, &error))?;
        startup.run_startup(py, &shared.describe, event_loop)?;
        self.lock().push((id, shutdown));
        Ok(id)
    }

    /// Runs the shutdown of each application, the last one first, until `ends`: what the first of them that raised has
    /// raised.
    pub(crate) fn end(
        &self,
        py: Python<'_>,
        shared: &Shared,
        event_loop: Option<&Py<PyAny>>,
        ends: Instant,
    ) -> Option<Exception> {
        let started = mem::take(&mut *self.lock());
        let mut raised = None;
        for (_, shutdown) in started.into_iter().rev() {
            let left = ends.saturating_duration_since(Instant::now()).max(LEAST);
            let event_loop = event_loop.map(|event_loop| event_loop.clone_ref(py));
            let its = shutdown.run_shutdown(py, &shared.describe, event_loop, left);
            raised = raised.or(its);
        }
        raised
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(TargetId, Plain)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
