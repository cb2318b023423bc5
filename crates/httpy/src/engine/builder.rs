//! `PyEngineBuilder`: the options of an engine, and `build`, which starts it.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use http::request::Parts;
use httpy_core::Listener;
use serde::Serialize;

#[cfg(feature = "processes")]
use super::file_watch::FileWatch;
use super::gauge::Gauges;
#[cfg(feature = "processes")]
use super::source::Sources;
use super::start::start;
use super::surroundings::Surroundings;
use super::{Inner, PyEngine};
use crate::metric;
use crate::service::{Budget, Choice, Extra, Gate, Shared, Slots, TraceContext};
use crate::status::Recorder;
use crate::{
    Advanced, Config, EngineConfig, Error, Executor, FailureResponse, OnFull, ServiceOptions, log,
};

/// The options of an engine. Made by [`PyEngine::builder`], or from a [`Config`].
///
/// ```
/// use httpy::{Executor, PyEngine};
///
/// let error = PyEngine::builder()
///     .path("/no/such/folder")
///     .executor(Executor::threads().workers(1..=0))
///     .build()
///     .unwrap_err();
/// assert!(error.is_config());
/// assert!(error.to_string().contains("path: /no/such/folder is not a folder"));
/// ```
#[must_use = "nothing starts before `build()`"]
pub struct PyEngineBuilder {
    config: Config,
    extras: Vec<Extra>,
    trace_context: Option<TraceContext>,
    failure_response: Option<Arc<dyn FailureResponse>>,
}

impl From<Config> for PyEngineBuilder {
    fn from(config: Config) -> Self {
        Self {
            config,
            extras: Vec::new(),
            trace_context: None,
            failure_response: None,
        }
    }
}

impl PyEngineBuilder {
    /// The engine's name in metrics, on the status page and in the log. Defaults to `python`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options().name = name.into();
        self
    }

    /// Adds a folder to `sys.path`, before what Python has there itself. Of several the first given stands first. A relative
    /// one is relative to the working directory of the process. Defaults to none.
    pub fn path(mut self, dir: impl Into<PathBuf>) -> Self {
        self.options().path.push(dir.into());
        self
    }

    /// The folder of a virtual environment, made by the same version of Python as the linked one. All engines with threads
    /// share it. Defaults to the one that `VIRTUAL_ENV` names, else none.
    pub fn venv(mut self, dir: impl Into<PathBuf>) -> Self {
        self.options().venv = Some(dir.into());
        self
    }

    /// Sets an environment variable for Python code, before the first import. With threads it is set for the whole process,
    /// after Python's own start, so that those of Python itself (`PYTHONPATH`) change nothing. Defaults to none.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options().env.insert(name.into(), value.into());
        self
    }

    /// Reads environment variables from a file with lines such as `NAME=value`, as `.env` files have them. A variable that is
    /// set already is left as it is, by the environment or by [`env`](Self::env). Defaults to none.
    pub fn env_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.options().env_file = Some(file.into());
        self
    }

    /// The working directory, in which Python code opens relative paths. With threads it is that of the whole process, and
    /// all engines have to agree on it. Defaults to the one that the process has.
    pub fn working_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.options().working_dir = Some(dir.into());
        self
    }

    /// What runs Python code: [`Executor::threads()`] of this process, or [`Executor::processes(n)`](Executor::processes)
    /// with their own interpreters. Defaults to threads.
    pub fn executor(mut self, executor: impl Into<Executor>) -> Self {
        self.options().executor = executor.into();
        self
    }

    /// Maximum number of calls that wait for a worker. Defaults to 1024.
    pub fn queue(mut self, calls: usize) -> Self {
        self.options().queue = calls;
        self
    }

    /// What happens to a call when the queue is full: it is refused with 503 at once, or its service is not ready, so that it
    /// waits in tower's `poll_ready`. Defaults to [`OnFull::Refuse`].
    pub fn on_full(mut self, on_full: OnFull) -> Self {
        self.options().on_full = on_full;
        self
    }

    /// Maximum size in bytes of all bodies together that are being read, wait or are worked on. A call beyond it is answered
    /// with 503. Streams do not count: at most 256 KiB and one chunk of each are in memory. Defaults to 256 MiB.
    pub fn body_budget(mut self, bytes: usize) -> Self {
        self.options().body_budget = bytes;
        self
    }

    /// Options of services that do not say otherwise. Defaults to those of [`ServiceOptions`].
    ///
    /// ```
    /// use httpy::{PyEngine, ServiceOptions};
    /// use std::time::Duration;
    ///
    /// let mut options = ServiceOptions::new();
    /// options.deadline = Some(Duration::from_secs(5));
    /// let builder = PyEngine::builder().defaults(options);
    /// # assert!(format!("{builder:?}").contains("Some(5s)"));
    /// ```
    pub fn defaults(mut self, options: ServiceOptions) -> Self {
        self.config.defaults = options;
        self
    }

    /// The shutdown function, `"module:attribute"`. [`PyEngine::shutdown`] calls it once, without arguments, after serving and
    /// before `atexit`. An exception in it is logged. An `async def` runs on the event loop, and has 5 s. An engine that is
    /// dropped without a shutdown does not call it. Defaults to none.
    pub fn shutdown_function(mut self, target: impl Into<String>) -> Self {
        self.options().shutdown_function = Some(target.into());
        self
    }

    /// Adds what the host knows about a request (the user, the tenant, the request's id) to `httpy_rs.request().extras`.
    ///
    /// `extra` is called for every request, and the fields of the struct or map that it returns appear there. `None` and `()`
    /// add nothing; of several extras with one name the later wins. Clients cannot forge them, as they could a header.
    /// Defaults to none.
    ///
    /// ```
    /// #[derive(Clone, serde::Serialize)]
    /// struct User { name: String }
    ///
    /// let builder = httpy::PyEngine::builder()
    ///     .extra(|parts: &http::request::Parts| parts.extensions.get::<User>().cloned());
    /// # assert!(format!("{builder:?}").contains("extras: 1"));
    /// ```
    pub fn extra<F, T>(mut self, extra: F) -> Self
    where
        F: Fn(&Parts) -> T + Send + Sync + 'static,
        T: Serialize,
    {
        self.extras
            .push(Box::new(move |parts| serde_json::to_value(extra(parts))));
        self
    }

    /// The place of a request in a distributed trace, for `httpy_rs.trace_context()`.
    ///
    /// `trace_context` is called for every request, inside of the call's span ([`Span::current`](tracing::Span::current)), and
    /// returns a line as the `traceparent` header has it, for example from `tracing-opentelemetry`. Spans that Python begins
    /// are children of the one that it names. `None` leaves the request's own line. Defaults to the request's `traceparent`.
    pub fn trace_context<F>(mut self, trace_context: F) -> Self
    where
        F: Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    {
        self.trace_context = Some(Box::new(trace_context));
        self
    }

    /// Whether records of Python's `logging` become `tracing` events, target `python`.
    ///
    /// Their fields are the message, `logger`, `place` (file and line), `extra` (the record's own fields, as JSON) and
    /// `exception`, in the request's span. A record whose level the subscriber does not take costs Python one comparison, and
    /// a level that is set in Python holds as well. Events come from a thread of their own, which never attaches, so that a
    /// subscriber may be slow. At most 4096 records wait for it; more are dropped and counted. `logging.basicConfig` sets
    /// the level only; when it names a file, a stream or handlers, the app has its own log instead. Without any subscriber,
    /// records go to stderr as in any Python program. All engines with threads share it. Defaults to true; where the host
    /// has started Python itself and its root logger has a handler, to false.
    pub fn python_logging(mut self, on: bool) -> Self {
        self.options().python_logging = Some(on);
        self
    }

    /// Whether failures are answered with all details, for development: the exception, its traceback with source lines, what
    /// the contract expects, and the request. Browsers get a page, other clients text.
    ///
    /// Every client sees the inside of the app then, which a warning says at the start. What is named like a secret in the
    /// request (`Authorization`, cookies, tokens, passwords) is left out. [`failure_response`](Self::failure_response) wins
    /// over it.
    ///
    /// A handler that has reached a `breakpoint()`, or another debugger made of `bdb`, has no deadline from then on. Worker
    /// processes have no terminal for a debugger. Defaults to false.
    pub fn debug(mut self, debug: bool) -> Self {
        self.options().debug = debug;
        self
    }

    /// Time after which a call without an answer is logged, once per target, route and second, while it goes on: where it
    /// has waited, for what, and the Python stack of its handler. [`PyEngine::snapshot`] keeps the last slow calls. A year at
    /// most. Defaults to 1 s.
    pub fn slow_call(mut self, time: Duration) -> Self {
        self.options().slow_call = time;
        self
    }

    /// Time from the stop signal until new calls are refused. [`PyEngine::readiness`] already answers 503 then, so that a load
    /// balancer can send requests elsewhere; with Kubernetes, a few seconds. It is a part of the
    /// [grace period](Self::grace), and at most half of it. Ctrl-C (SIGINT) ends it at once. Defaults to 500 ms.
    pub fn drain(mut self, time: Duration) -> Self {
        self.options().drain = time;
        self
    }

    /// Time from the stop signal of [`PyEngine::serve`] until pending calls are answered with 503, and connections that are
    /// still open are closed. Defaults to 10 s.
    pub fn grace(mut self, time: Duration) -> Self {
        self.options().grace = time;
        self
    }

    /// How a failed call becomes a response. Defaults to [`default_response`](crate::default_response): the contract's
    /// table.
    pub fn failure_response(mut self, failure_response: impl FailureResponse) -> Self {
        self.failure_response = Some(Arc::new(failure_response));
        self
    }

    /// Options that are rarely changed. Defaults to those of [`Advanced`].
    pub fn advanced(mut self, advanced: Advanced) -> Self {
        self.options().advanced = advanced;
        self
    }

    fn options(&mut self) -> &mut EngineConfig {
        &mut self.config.engine
    }

    /// Starts CPython where it does not run yet, and the workers. What runs on it is loaded by [`PyEngine::handler`] and
    /// [`PyEngine::routes`].
    ///
    /// # Blocking
    ///
    /// Until all of that is done. Needs no runtime and may be called inside one, at the start.
    ///
    /// # Errors
    ///
    /// Every way in which a start fails, told apart by the predicates of [`Error`].
    pub fn build(self) -> Result<PyEngine, Error> {
        let Self {
            config,
            extras,
            trace_context,
            failure_response,
        } = self;
        config.check()?;
        let engine = &config.engine;
        let surroundings = Surroundings::of(engine)?;
        let listener = Listener {
            late: log::late,
            notice: log::notice,
            exit: log::exit_report,
        };
        #[cfg(feature = "processes")]
        let watched = engine.executor.reloads_on_change().then(|| {
            // Before any code is loaded: what changes while it is loaded is a change.
            let folders = surroundings.paths.clone();
            let loaded = Sources::read(&folders);
            (folders, loaded)
        });
        let executor = start(engine, surroundings, listener)?;
        for warning in executor.facts().warnings {
            tracing::warn!(target: "httpy", "{warning}");
        }
        if let Some(function) = &engine.shutdown_function {
            executor
                .load_shutdown(function)
                .map_err(Error::not_loaded)?;
        }
        let debug = engine.debug;
        if debug {
            tracing::warn!(
                target: "httpy",
                "debug is on: every client sees exceptions with source lines; not for servers that others can reach"
            );
        }
        let shared = Arc::new(Shared {
            name: engine.name.clone(),
            executor,
            gate: Gate::default(),
            slots: Slots::new(engine.queue, engine.on_full),
            budget: Budget::new(engine.body_budget),
            under_way: Arc::default(),
            defaults: config.defaults.clone(),
            longest_deadline: AtomicU64::default(),
            slow_call: engine.slow_call,
            drain: engine.drain,
            extras,
            trace_context,
            failure_response: failure_response.map_or(Choice::Default { debug }, Choice::Own),
            debug,
            recorder: Recorder::new(engine.slow_call),
            metrics: metric::is_recorded(),
        });
        if shared.metrics {
            Gauges::start(&shared);
        }
        let inner = Arc::new(Inner {
            shared,
            config,
            loaded: Mutex::default(),
            announced: OnceLock::new(),
            #[cfg(feature = "processes")]
            watch: OnceLock::new(),
            ended: OnceLock::new(),
        });
        #[cfg(feature = "processes")]
        if let Some((folders, loaded)) = watched {
            // Nothing else sets it.
            let _ = inner.watch.set(FileWatch::start(&inner, folders, loaded)?);
        }
        Ok(PyEngine { inner })
    }
}

impl fmt::Debug for PyEngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PyEngineBuilder")
            .field("config", &self.config)
            .field("extras", &self.extras.len())
            .finish_non_exhaustive()
    }
}
