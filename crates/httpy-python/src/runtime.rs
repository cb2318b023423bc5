//! `Runtime`: what all apps of the process share: the interpreter, its ready-made objects, the loaded targets, the pool.

use std::any::Any;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use httpy_core::{
    ExitLimits, ExitReport, Kind, Lane, Listener, LoadError, LoadErrorKind, StartError, TargetId,
};
use pyo3::prelude::*;

use crate::context::{Current, Start};
use crate::convert::Names;
use crate::deadline::Deadline;
use crate::doctor;
use crate::exception::Describe;
use crate::exit::{self, Exit};
use crate::interpreter::{Interpreter, MainError, Options};
use crate::lifespan::Lifespans;
use crate::load::{self, Moment, Plain, Targets};
use crate::log::Log;
use crate::pool::{Pool, PoolOptions, differs};
use crate::stream::Streams;
use crate::upload::Uploads;

/// CPython is global to the process, and with it everything that is made once per interpreter.
static RUNTIME: Mutex<Option<Arc<Runtime>>> = Mutex::new(None);

/// Time for the event loop to end, however long the shutdown function took.
const LEAST: Duration = Duration::from_secs(1);

/// Time in which whoever reads the figures of an app that was dropped releases it.
const RELEASE: Duration = Duration::from_secs(1);

/// Time between two looks whether that has happened.
const LOOK: Duration = Duration::from_millis(1);

/// Time in which all but a start have let go of `RUNTIME`.
const PATIENCE: Duration = Duration::from_millis(100);

/// The Python objects that workers use, of one interpreter.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) names: Names,
    pub(crate) describe: Describe,
    pub(crate) current: Current,
    pub(crate) start: Start,
    pub(crate) deadline: Deadline,
    pub(crate) streams: Streams,
    pub(crate) uploads: Uploads,
    pub(crate) targets: Targets,
    /// An empty function: CPython gives way to threads that wait before it runs one.
    pub(crate) pause: Py<PyAny>,
}

impl Shared {
    fn new(py: Python<'_>) -> PyResult<Self> {
        Ok(Self {
            names: Names::new(py),
            describe: Describe::new(py)?,
            current: Current::new(py)?,
            start: Start::new(py)?,
            deadline: Deadline::new(py)?,
            streams: Streams::new(py)?,
            uploads: Uploads::new(py)?,
            targets: Targets::default(),
            pause: py.import("httpy_rs._embed")?.getattr("pause")?.unbind(),
        })
    }
}

/// A function that an app wants called at its end. Dropped without having been given to [`Runtime::shut_down`], it is not
/// called.
#[derive(Debug)]
pub struct ShutdownFunction(Plain);

/// The running interpreter with what all apps share of it.
#[derive(Debug)]
pub struct Runtime {
    pub(crate) interpreter: Arc<Interpreter>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Log,
    pool: Mutex<Weak<Pool>>,
    lifespans: Lifespans,
    /// How many apps use the interpreter. Changed under the lock of `RUNTIME`.
    apps: AtomicUsize,
    /// Of the first app; it is the same one for all.
    pub(crate) listener: Listener,
    pub(crate) exit: Exit,
}

impl Runtime {
    /// Starts CPython, or returns what runs already, for one more app: it ends with [`leave`](Self::leave) or
    /// [`shut_down`](Self::shut_down), once.
    ///
    /// # Blocking
    ///
    /// Until CPython runs.
    ///
    /// # Errors
    ///
    /// Each variant of [`StartError`] says when.
    pub fn start(options: &Options, listener: Listener) -> Result<Arc<Self>, StartError> {
        let mut runtime = lock_runtime();
        let interpreter = Interpreter::start(options)?;
        if let Some(running) = &*runtime {
            running.log.check(options)?;
            running.apps.fetch_add(1, Ordering::Relaxed);
            return Ok(Arc::clone(running));
        }
        let shared = interpreter
            .on_main(|py| Shared::new(py).map_err(|error| error.to_string()))
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(|message| StartError::Interpreter { message })?;
        let log = Log::start(&interpreter, options)?;
        let started = Arc::new(Self {
            interpreter,
            shared: Arc::new(shared),
            log,
            pool: Mutex::default(),
            lifespans: Lifespans::default(),
            apps: AtomicUsize::new(1),
            listener,
            exit: Exit::default(),
        });
        exit::register();
        *runtime = Some(Arc::clone(&started));
        Ok(started)
    }

    /// The interpreter.
    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// The pool that all apps share; started when there is none.
    ///
    /// # Blocking
    ///
    /// For a second, if it runs with other options: the app that had them may have been dropped, and held only by a thread that
    /// reads its figures.
    ///
    /// # Errors
    ///
    /// [`StartError::Differs`] when it runs with other options, [`StartError::Thread`] when there is no thread for it.
    pub fn pool(&self, options: PoolOptions) -> Result<Arc<Pool>, StartError> {
        // Asked before the lock, since Python's main thread may be busy with an import.
        let exclusive = self.is_exclusive();
        let until = Instant::now() + RELEASE;
        let mut pool = loop {
            let pool = self.lock_pool();
            let Some(running) = pool.upgrade() else {
                break pool;
            };
            if running.options() == options {
                return Ok(running);
            }
            // The pool may end as it is released, which takes the lock.
            drop(pool);
            let its = running.options();
            let goes_on = || {
                thread::sleep(LOOK);
                Instant::now() < until
            };
            if !released(&running, goes_on) {
                return Err(differs(its, options));
            }
        };
        let (interpreter, shared) = (Arc::clone(&self.interpreter), Arc::clone(&self.shared));
        let started = Pool::start(interpreter, shared, options, exclusive, self.listener)
            .map_err(StartError::Thread)?;
        let started = Arc::new(started);
        *pool = Arc::downgrade(&started);
        Ok(started)
    }

    /// Keeps `kept` until all that Python code has logged until now is an event of the host's log.
    pub fn keep(&self, kept: Box<dyn Any + Send>) {
        self.log.keep(kept);
    }

    /// Puts folders at the front of `sys.path`; a warning for the log where that uncovers another `httpy_rs`.
    ///
    /// # Blocking
    ///
    /// Until Python's main thread has done it.
    ///
    /// # Errors
    ///
    /// When app code has broken `sys.path` or `os.environ`.
    pub fn prepare(
        &self,
        variables: Vec<(String, String)>,
        paths: Vec<PathBuf>,
    ) -> Result<Option<String>, LoadError> {
        let interpreter = Arc::clone(&self.interpreter);
        self.on_main(move |py, shared| {
            load::set_variables(py, &variables)
                .and_then(|()| load::add_paths(py, &paths))
                .and_then(|()| interpreter.installed_copy_warning(py))
                .map_err(|error| {
                    let exception = shared.describe.describe(py, &error);
                    LoadError {
                        kind: LoadErrorKind::Internal,
                        message: format!("sys.path and os.environ could not be set: {exception}"),
                        exception: Some(exception),
                    }
                })
        })
    }

    /// Loads `target`, which must come from one of `paths` where one of them has its module. An application that is loaded
    /// already is the same one; else its start-up runs on the event loop.
    ///
    /// # Blocking
    ///
    /// Until Python's main thread has imported it, and its start-up has ended.
    ///
    /// # Errors
    ///
    /// Each [`LoadErrorKind`] says when.
    pub fn load(
        self: &Arc<Self>,
        kind: Kind,
        target: String,
        paths: Vec<PathBuf>,
    ) -> Result<TargetId, LoadError> {
        let loaded = match kind {
            Kind::Handler => self.on_main(move |py, shared| {
                let loaded =
                    load::target(py, &shared.describe, &shared.targets, kind, &target, &paths);
                shared.start.take(py);
                loaded
            }),
            Kind::Wsgi => self.on_main(move |py, shared| {
                let known = shared.targets.app(kind, &target);
                let loaded = match known {
                    Some(id) => {
                        load::check_again(py, &shared.describe, &target, &paths).map(|()| id)
                    }
                    None => {
                        load::target(py, &shared.describe, &shared.targets, kind, &target, &paths)
                    }
                };
                shared.start.take(py);
                loaded
            }),
            Kind::Asgi => {
                let (pool, runtime) = (self.start_event_loop()?, Arc::clone(self));
                self.on_main(move |py, shared| {
                    let event_loop = pool.event_loop(py);
                    let loaded = runtime
                        .lifespans
                        .start(py, shared, event_loop, kind, &target, &paths);
                    shared.start.take(py);
                    loaded
                })
            }
        };
        self.look_at_gil();
        let loaded = loaded?;
        if loaded.lane() == Lane::EventLoop {
            self.start_event_loop()?;
        }
        Ok(loaded)
    }

    /// Calls the init function `target`: patterns and their methods, as given.
    ///
    /// # Blocking
    ///
    /// Until Python's main thread has run it.
    ///
    /// # Errors
    ///
    /// Each [`LoadErrorKind`] says when.
    pub fn run_init(
        &self,
        target: String,
        paths: Vec<PathBuf>,
    ) -> Result<Vec<(String, Vec<String>)>, LoadError> {
        let init = self.on_main(move |py, shared| {
            Plain::load(py, &shared.describe, Moment::Init, &target, &paths)
        });
        let init = init.and_then(|init| Ok((self.pool_of(&init)?, init)));
        let routes = init.and_then(|(pool, init)| {
            self.on_main(move |py, shared| {
                let routes = init.run_init(py, &shared.describe, event_loop(py, pool.as_deref()));
                shared.start.take(py);
                routes
            })
        });
        self.look_at_gil();
        routes
    }

    /// Loads the shutdown function `target`, for [`shut_down`](Self::shut_down).
    ///
    /// # Blocking
    ///
    /// Until Python's main thread has imported it.
    ///
    /// # Errors
    ///
    /// Each [`LoadErrorKind`] says when.
    pub fn load_shutdown(
        &self,
        target: String,
        paths: Vec<PathBuf>,
    ) -> Result<ShutdownFunction, LoadError> {
        let loaded = self.on_main(move |py, shared| {
            Plain::load(py, &shared.describe, Moment::Shutdown, &target, &paths)
        });
        self.look_at_gil();
        let function = loaded?;
        self.pool_of(&function)?;
        Ok(ShutdownFunction(function))
    }

    /// From now on the exceptions of all handlers have their frames with source lines; see [`Exception::chain`].
    ///
    /// [`Exception::chain`]: httpy_core::Exception::chain
    pub fn show_source(&self) {
        self.shared.describe.show_source();
    }

    /// What there is to know about the interpreter, as one JSON object; `paths` are the folders that the app has put on
    /// `sys.path`.
    ///
    /// # Blocking
    ///
    /// Until Python's main thread has looked.
    ///
    /// # Errors
    ///
    /// When app code has broken the interpreter so that it cannot look.
    pub fn examine(&self, paths: Vec<PathBuf>) -> Result<String, LoadError> {
        self.on_main(move |py, shared| {
            doctor::examine(py, &paths).map_err(|error| {
                let exception = shared.describe.describe(py, &error);
                LoadError {
                    kind: LoadErrorKind::Internal,
                    message: format!("the interpreter could not be examined: {exception}"),
                    exception: Some(exception),
                }
            })
        })
    }

    /// Takes an app off the count that [`start`](Self::start) put it on.
    pub fn leave(&self) {
        let _runtime = lock_runtime();
        self.leave_locked();
    }

    /// Takes an app off the count and calls its shutdown function. When it was the last one, what its handlers have
    /// shielded is waited for before that, and its applications and the event loop end after it; the next app has a pool of its
    /// own. Then `done` is called, on Python's main thread, detached. Never blocks.
    pub fn shut_down(
        self: &Arc<Self>,
        limits: ExitLimits,
        function: Option<ShutdownFunction>,
        done: impl FnOnce(ExitReport) + Send + 'static,
    ) {
        // Under the lock of `start`: no app can come between the count and the end.
        let _runtime = lock_runtime();
        let last = self.leave_locked();
        let ExitLimits { shielded, rest } = limits;
        let until = Instant::now() + shielded + rest;
        let mut place = self.lock_pool();
        let pool = place.upgrade();
        if last {
            *place = Weak::new();
            self.exit.app_begins(until);
        }
        drop(place);
        let (flush, runtime) = (self.log.flush(), Arc::clone(self));
        self.interpreter.submit(move |py| {
            if let Some(pool) = pool.as_deref().filter(|_| last) {
                pool.wait_for_shields(py, Instant::now() + shielded);
            }
            let ends = Instant::now() + rest;
            let raised = function.and_then(|ShutdownFunction(function)| {
                let event_loop = function
                    .is_async()
                    .then(|| event_loop(py, pool.as_deref()))
                    .flatten();
                function.run_shutdown(py, &runtime.shared.describe, event_loop, rest)
            });
            let raised = if last {
                let event_loop = event_loop(py, pool.as_deref());
                let its = runtime
                    .lifespans
                    .end(py, &runtime.shared, event_loop.as_ref(), ends);
                raised.or(its)
            } else {
                raised
            };
            if let Some(pool) = pool.filter(|_| last) {
                py.detach(|| pool.end_event_loop(ends.max(Instant::now() + LEAST)));
            }
            py.detach(|| {
                if last {
                    flush(rest);
                    runtime.exit.app_has_ended();
                }
                // Python code may have loaded libraries since it was loaded itself.
                exit::register();
                done(ExitReport {
                    shutdown: raised,
                    ..ExitReport::default()
                });
            });
        });
    }

    /// The event loop runs from now on.
    fn start_event_loop(&self) -> Result<Arc<Pool>, LoadError> {
        let started = self
            .lock_pool()
            .upgrade()
            .ok_or_else(|| "there is no pool".to_owned());
        let started = started.and_then(|pool| pool.start_event_loop().map(|()| pool));
        started.map_err(|error| {
            let message = format!("the event loop could not be started: {error}");
            LoadError {
                kind: LoadErrorKind::Internal,
                message,
                exception: None,
            }
        })
    }

    /// The pool whose event loop runs `function`, where it is async.
    fn pool_of(&self, function: &Plain) -> Result<Option<Arc<Pool>>, LoadError> {
        function
            .is_async()
            .then(|| self.start_event_loop())
            .transpose()
    }

    fn leave_locked(&self) -> bool {
        self.apps.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// An import can switch the GIL on for good.
    fn look_at_gil(&self) {
        let exclusive = self.is_exclusive();
        if let Some(pool) = self.lock_pool().upgrade() {
            pool.set_exclusive(exclusive);
        }
        // It can also load libraries.
        exit::register();
    }

    pub(crate) fn lock_pool(&self) -> MutexGuard<'_, Weak<Pool>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_exclusive(&self) -> bool {
        let interpreter = Arc::clone(&self.interpreter);
        // Where nothing can be found out, one worker at a time is always right.
        self.interpreter
            .on_main(move |py| interpreter.is_gil_enabled(py).unwrap_or(true))
            .unwrap_or(true)
    }

    fn on_main<R: Send + 'static>(
        &self,
        work: impl for<'py> FnOnce(Python<'py>, &Shared) -> Result<R, LoadError> + Send + 'static,
    ) -> Result<R, LoadError> {
        let shared = Arc::clone(&self.shared);
        self.interpreter
            .on_main(move |py| work(py, &shared))
            .unwrap_or_else(|error: MainError| {
                Err(LoadError {
                    kind: LoadErrorKind::Internal,
                    message: error.to_string(),
                    exception: None,
                })
            })
    }
}

fn event_loop(py: Python<'_>, pool: Option<&Pool>) -> Option<Py<PyAny>> {
    pool?.event_loop(py)
}

/// What all apps share, where it is not just being started. Never waits for that.
pub(crate) fn running() -> Result<Option<Arc<Runtime>>, Starting> {
    let until = Instant::now() + PATIENCE;
    loop {
        match RUNTIME.try_lock() {
            Ok(runtime) => return Ok(runtime.clone()),
            Err(TryLockError::Poisoned(runtime)) => return Ok(runtime.into_inner().clone()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => thread::yield_now(),
            Err(TryLockError::WouldBlock) => return Err(Starting),
        }
    }
}

/// CPython is being started.
pub(crate) struct Starting;

fn lock_runtime() -> MutexGuard<'static, Option<Arc<Runtime>>> {
    RUNTIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether nobody else holds `held` any more, looked at again as long as it `goes_on`.
fn released<T>(held: &Arc<T>, mut goes_on: impl FnMut() -> bool) -> bool {
    while Arc::strong_count(held) > 1 {
        if !goes_on() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_hold_is_waited_for_while_that_goes_on() {
        let held = Arc::new(());
        let mut others = vec![Arc::clone(&held), Arc::clone(&held)];
        assert!(released(&held, || others.pop().is_some()));
        let held = Arc::new(());
        let other = Arc::clone(&held);
        assert!(!released(&held, || false));
        drop(other);
        assert!(released(&held, || false));
    }
}
