//! `PyAppBuilder`: the options of an app, and `build`, where every failure of the start is.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::request::Parts;
use httpy_core::Listener;
use serde::Serialize;

use super::announce::Started;
#[cfg(feature = "processes")]
use super::file_watch::FileWatch;
use super::gate::Gate;
use super::reload::LiveRoutes;
#[cfg(feature = "processes")]
use super::source::Sources;
use super::{Inner, Limits, PyApp, Shared};
use crate::config::Workers;
use crate::failure::Choice;
use crate::metric::{self, Gauges};
use crate::service::{Budget, Extra, Slots, TraceContext};
use crate::status::Recorder;
use crate::{Config, Error, Executor, FailureResponse, OnFull, PyService, RouteMap, executor, log};

/// Begun by [`PyApp::builder`], or from a [`Config`].
#[must_use = "nothing starts before `build()`"]
pub struct PyAppBuilder {
    config: Config,
    extras: Vec<Extra>,
    trace_context: Option<TraceContext>,
    failure_response: Option<Arc<dyn FailureResponse>>,
}

impl From<Config> for PyAppBuilder {
    fn from(config: Config) -> Self {
        Self {
            config,
            extras: Vec::new(),
            trace_context: None,
            failure_response: None,
        }
    }
}

impl PyAppBuilder {
    pub(super) fn new(target: impl Into<String>) -> Self {
        Config::new(target).into()
    }

    /// The init function, `"module:attribute"`: called once, without arguments, before any request; returns
    /// `{"route": ["METHOD", ...]}` or `None`. An `async def` runs on the event loop. Defaults to none.
    pub fn init(mut self, target: impl Into<String>) -> Self {
        self.config.init = Some(target.into());
        self
    }

    /// The shutdown function, `"module:attribute"`: called once, without arguments, by [`PyApp::shutdown`], after serving and
    /// before `atexit`; what it raises is logged. An `async def` runs on the event loop, and has 5 s. An app that is dropped
    /// without a shutdown does not call it. Defaults to none.
    pub fn shutdown_function(mut self, target: impl Into<String>) -> Self {
        self.config.shutdown_function = Some(target.into());
        self
    }

    /// A folder for `sys.path`, where it stands before what Python has there itself; of several the first given stands
    /// first. Defaults to none.
    pub fn path(mut self, dir: impl Into<PathBuf>) -> Self {
        self.config.path.push(dir.into());
        self
    }

    /// The folder of a virtual environment, made by the same version of Python as the linked one. Shared by all apps of the
    /// process. Defaults to the one that `VIRTUAL_ENV` names, else none.
    pub fn venv(mut self, dir: impl Into<PathBuf>) -> Self {
        self.config.venv = Some(dir.into());
        self
    }

    /// What runs the handlers: [`Executor::threads()`] of this process, or [`Executor::processes(n)`](Executor::processes) with
    /// their own interpreters. Defaults to threads.
    pub fn executor(mut self, executor: impl Into<Executor>) -> Self {
        self.config.executor = executor.into();
        self
    }

    /// How many worker threads there are: at least, when there is nothing to do, and at most. Shared by all apps of the
    /// process. More are started while handlers wait (for a database, another server, a sleep), and retire when they have
    /// been idle for 10 s; one that waits costs some 20 KiB of memory. Where the system gives no more threads, those that
    /// there are take all calls. Defaults to `1..=96`: libraries in C have tables for 64 or 128 threads, and `OpenBLAS`, for
    /// one, writes beyond its own when more threads call it at once. Where handlers wait and do not call such libraries, a
    /// larger maximum answers more of them: handlers that sleep 10 ms get at most 100 requests per second and worker.
    pub fn workers(mut self, workers: RangeInclusive<usize>) -> Self {
        self.config.workers = Workers::from(workers);
        self
    }

    /// How many calls may wait for a worker; what happens to one more is [`on_full`](Self::on_full)'s business. Defaults to
    /// 1024.
    pub fn queue(mut self, calls: usize) -> Self {
        self.config.queue = calls;
        self
    }

    /// What happens to a call when the queue is full: refused with 503 at once, or its service is not ready, so that it
    /// waits in tower's `poll_ready`. Defaults to [`OnFull::Refuse`].
    pub fn on_full(mut self, on_full: OnFull) -> Self {
        self.config.on_full = on_full;
        self
    }

    /// How long a call may take from its push into the queue, after the body was read, to its answer, or to the head of a
    /// streamed one (then [`chunk_timeout`](Self::chunk_timeout) holds). A handler that reads its body as a stream
    /// (`httpy_rs.Body`) has to do so in that time. Past it the client
    /// gets 504, or 503 when the handler was not even called. A handler that runs is interrupted then: it gets the exception
    /// `httpy_rs.DeadlineExceeded`, unless it is in a `httpy_rs.shield()`, and its stack goes to the log. What is not Python
    /// code is not interrupted before it returns; see [`lost_after`](Self::lost_after). Defaults to 30 s.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.config.deadline = deadline;
        self
    }

    /// How long a call may wait for a worker before it is answered with 503; at most the deadline. With [`OnFull::Wait`] also
    /// how long it may wait before that for its place in the queue. Defaults to the deadline.
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.config.max_wait = Some(max_wait);
        self
    }

    /// The bytes of a request's body; a longer one is answered with 413. Defaults to 2 MiB, as in axum.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.config.body_limit = bytes;
        self
    }

    /// How long a client may take to send its body before it is answered with 408; where the handler reads it as a stream
    /// (`httpy_rs.Body`), how long between two parts of it. Defaults to 30 s.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.config.body_timeout = timeout;
        self
    }

    /// How long Python may take for each chunk of a streamed response, once its head is out: from then on the deadline is
    /// over. Past it the response breaks off, and the handler is interrupted as by its deadline. As long may a client take
    /// nothing while Python waits for it; past that the response breaks off too, and its iterator is closed. Python may take
    /// as long as it likes for events with a heartbeat (`httpy_rs.sse()`). Defaults to 30 s.
    pub fn chunk_timeout(mut self, timeout: Duration) -> Self {
        self.config.chunk_timeout = timeout;
        self
    }

    /// The bytes of all bodies together that are being read, wait or are worked on; what goes beyond is answered with 503.
    /// Streams do not count, of which at most 256 KiB and one chunk are on their way at a time. Defaults to 256 MiB.
    pub fn body_budget(mut self, bytes: usize) -> Self {
        self.config.body_budget = bytes;
        self
    }

    /// Python's switch interval (`sys.setswitchinterval`): after so long a handler that computes lets others run. Shorter
    /// ones help quick handlers beside those that compute; longer ones wake fewer threads while C code keeps the
    /// interpreter. Shared by all apps of the process, and not to be changed by Python code. Defaults to 1 ms (CPython's own
    /// is 5 ms), where Python ran already in the process to what is set there, and in worker processes to 250 µs.
    pub fn switch_interval(mut self, interval: Duration) -> Self {
        self.config.switch_interval = Some(interval);
        self
    }

    /// The stack of each worker thread in bytes. Shared by all apps of the process. Defaults to 8 MiB, as on a main
    /// thread: Python's recursion limit counts on it.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.config.stack_size = bytes;
        self
    }

    /// A worker whose handler does not end so long after its deadline counts as lost, though it is interrupted every second:
    /// it is stuck in C code (`time.sleep`, a query without a timeout), or catches the exception and goes on. It is replaced,
    /// and takes its place again when it comes back after all. Not counted while the interpreter itself cannot be had, since
    /// its replacement could not run either. An event loop that such a call keeps is replaced as well, after 1 s at least:
    /// other calls under way on it get 502, and it ends should it come back. Shared by all apps of the process. Defaults
    /// to 5 s.
    pub fn lost_after(mut self, time: Duration) -> Self {
        self.config.lost_after = time;
        self
    }

    /// So many lost workers and event loops are replaced at a time: each keeps its thread, and what its handler holds. When they are spent,
    /// there are fewer workers than [`workers`](Self::workers) allows. Shared by all apps of the process. Defaults to 16.
    pub fn replacements(mut self, workers: usize) -> Self {
        self.config.replacements = workers;
        self
    }

    /// How many event loops there are for `async def` handlers, each on a thread of its own; started when the first such
    /// handler is loaded. A call goes to the one with the fewest. More than one pays on free-threaded builds only, where they
    /// run at the same time. Shared by all apps of the process. Defaults to 1.
    pub fn event_loops(mut self, loops: usize) -> Self {
        self.config.event_loops = loops;
        self
    }

    /// Whether the event loops are uvloop's: with true they are where it can be imported, else asyncio's own. Shared by all
    /// apps of the process. Defaults to true.
    pub fn uvloop(mut self, uvloop: bool) -> Self {
        self.config.uvloop = uvloop;
        self
    }

    /// How many calls of `async def` handlers are under way at once, on each event loop, whichever app they are of; those that
    /// the loop has not begun yet are counted. What goes beyond waits in its app's [`queue`](Self::queue). Shared by all apps
    /// of the process. Defaults to 10,000.
    pub fn in_flight(mut self, calls: usize) -> Self {
        self.config.in_flight = calls;
        self
    }

    /// An event loop that has not come round for so long, while calls are under way, is told of in the log, once, with the
    /// stack of what blocks it: a handler that computes, or waits without `await`. When that handler's deadline has passed, it
    /// is interrupted as a worker is. Shared by all apps of the process. Defaults to 1 s.
    pub fn loop_blocked_after(mut self, time: Duration) -> Self {
        self.config.loop_blocked_after = time;
        self
    }

    /// What the host has found out about a request (the user, the tenant, the request's id), for
    /// `httpy_rs.request().extras`: `extra` is called for every request, and the fields of the struct or map that it gives
    /// appear there. `None` and `()` add nothing; of several extras with one name the later wins. Clients cannot forge
    /// them, as they could a header. Defaults to none.
    ///
    /// ```
    /// #[derive(Clone, serde::Serialize)]
    /// struct User { name: String }
    ///
    /// # fn check(builder: httpy::PyAppBuilder) -> httpy::PyAppBuilder {
    /// builder.extra(|parts: &http::request::Parts| parts.extensions.get::<User>().cloned())
    /// # }
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

    /// Where a request belongs in a distributed trace, for `httpy_rs.trace_context()`: `trace_context` is called for every
    /// request, inside of the call's span ([`Span::current`](tracing::Span::current)), and gives a line as the `traceparent`
    /// header has it, for example from `tracing-opentelemetry`; spans that Python begins are children of the one that it names.
    /// `None` leaves the request's own line. Runs on the HTTP side, never attached. Defaults to the request's `traceparent`
    /// line.
    pub fn trace_context<F>(mut self, trace_context: F) -> Self
    where
        F: Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    {
        self.trace_context = Some(Box::new(trace_context));
        self
    }

    /// Whether what Python code logs becomes `tracing` events, target `python`: message, `logger`, `place` (file and line),
    /// `extra` (the record's own fields, as JSON), `exception`, inside of the request's span. Python's levels become
    /// tracing's; what the subscriber does not take costs Python one comparison, and a level that is set in Python holds as
    /// well. Events come from a thread of their own, which never attaches: a subscriber may be slow or wait for Python, and
    /// when more than 4096 records wait for it, the next ones are dropped and counted. `logging.basicConfig` sets the level
    /// only; when it names a file, a stream or handlers, the app has its own log instead. Without any subscriber, records go
    /// to stderr as in any Python program. Shared by all apps of the process. Defaults to true; where Python ran already in
    /// the process and its root logger has a handler, to false, since whoever added that handler has a log already.
    pub fn python_logging(mut self, on: bool) -> Self {
        self.config.python_logging = Some(on);
        self
    }

    /// Whether the lines that Python code writes to `sys.stdout` and `sys.stderr` become `tracing` events of level INFO,
    /// targets `python.stdout` and `python.stderr`. Lines of 8192 characters at most, longer ones in pieces; what C code
    /// writes, and bytes written to `sys.stdout.buffer`, go where they went. Shared by all apps of the process. Defaults to
    /// false: what is printed stays untouched.
    pub fn capture_stdout(mut self, on: bool) -> Self {
        self.config.capture_stdout = Some(on);
        self
    }

    /// Whether failures are answered with all that is known of them, for development: the exception, its traceback with the
    /// source lines around each frame, what the contract expects, and the request; as a page for browsers, as text for all
    /// others. It shows the inside of the app to every client, which a warning says at start; what is named like a secret in
    /// the request (`Authorization`, cookies, tokens, passwords) is left out. None of this beside
    /// [`failure_response`](Self::failure_response).
    ///
    /// A handler that has come to a `breakpoint()`, or to another debugger that is made of `bdb`, has no deadline from then on,
    /// so that the developer has time at the server's terminal. Worker processes have no terminal. Defaults to false.
    pub fn debug(mut self, debug: bool) -> Self {
        self.config.debug = debug;
        self
    }

    /// A call that has not been answered so long after its push into the queue is told of in the log (WARN, once per target,
    /// route and second), while it goes on: where it has waited, for what, and the Python stack of its handler at that moment;
    /// and it is kept among the slow calls of a [`snapshot`](PyApp::snapshot). A year at most. Defaults to 1 s.
    pub fn slow_call(mut self, time: Duration) -> Self {
        self.config.slow_call = time;
        self
    }

    /// Time after the signal of [`stop_on`](PyApp::stop_on) in which the app still serves every call, while
    /// [`readiness`](PyApp::readiness) already answers 503. A load balancer needs it to send requests elsewhere; with
    /// Kubernetes, a few seconds. It is a part of the grace period, and at most half of it. There is no drain after Ctrl-C
    /// (SIGINT, as [`shutdown_signal`](crate::shutdown_signal) sees it). Defaults to 500 ms.
    pub fn drain(mut self, time: Duration) -> Self {
        self.config.drain = time;
        self
    }

    /// How a failed call becomes a response. Defaults to [`default_response`](crate::default_response): the contract's
    /// table.
    pub fn failure_response(mut self, failure_response: impl FailureResponse) -> Self {
        self.failure_response = Some(Arc::new(failure_response));
        self
    }

    /// Starts CPython where it does not run yet, imports the handler's module, runs the init function and starts the
    /// workers.
    ///
    /// # Blocking
    ///
    /// Until all of that is done, so for as long as the imports take. Needs no runtime and may be called inside one, at
    /// start.
    ///
    /// # Errors
    ///
    /// Every way in which a start fails, told apart by the predicates of [`Error`], with Python's traceback where there is
    /// one.
    pub fn build(self) -> Result<PyApp, Error> {
        let Self {
            config,
            extras,
            trace_context,
            failure_response,
        } = self;
        config.check()?;
        let paths = absolute(&config.path)?;
        let listener = Listener {
            late: log::late,
            notice: log::notice,
            exit: log::exit_report,
        };
        #[cfg(feature = "processes")]
        let watched = config.executor.reloads_on_change().then(|| {
            // Before the code is loaded: what changes while it is loaded is a change.
            (paths.clone(), Sources::read(&paths))
        });
        let executor = executor::start(&config, paths, listener)?;
        for warning in executor.facts().warnings {
            tracing::warn!(target: "httpy", "{warning}");
        }
        let loaded = executor
            .load_handler(&config.target)
            .map_err(Error::not_loaded)?;
        let routes = match &config.init {
            Some(init) => executor.run_init(init).map_err(Error::not_loaded)?,
            None => Vec::new(),
        };
        if let Some(function) = &config.shutdown_function {
            executor
                .load_shutdown(function)
                .map_err(Error::not_loaded)?;
        }
        if config.debug {
            executor.show_source();
            tracing::warn!(
                target: "httpy",
                "debug is on: every client sees the exceptions of {}, with source lines: not for where others can reach it",
                config.target
            );
        }
        let shared = Arc::new(Shared {
            executor,
            gate: Gate::default(),
            slots: Slots::new(config.queue, config.on_full),
            budget: Budget::new(config.body_budget),
            under_way: Arc::default(),
            limits: Limits {
                deadline: config.deadline,
                max_wait: config.max_wait(),
                body: config.body_limit,
                body_timeout: config.body_timeout,
                chunk_timeout: config.chunk_timeout,
                slow_call: config.slow_call,
                drain: config.drain,
            },
            extras,
            trace_context,
            failure_response: failure_response.map_or(
                Choice::Default {
                    debug: config.debug,
                },
                Choice::Own,
            ),
            debug: config.debug,
            recorder: Recorder::new(config.slow_call),
            metrics: metric::is_recorded(),
        });
        let service = PyService::new(Arc::clone(&shared), loaded, config.target.clone());
        if shared.metrics {
            Gauges::start_or_log(&config.target, &shared);
        }
        let routes = RouteMap::new(routes);
        let started = Started {
            config: &config,
            facts: &shared.executor.facts(),
            routes: routes.len(),
        };
        tracing::info!(target: "httpy", "{started}");
        let live = LiveRoutes::new(routes.clone());
        let inner = Inner {
            shared,
            service,
            routes,
            live,
            config,
            #[cfg(feature = "processes")]
            watch: OnceLock::new(),
            ended: OnceLock::new(),
        };
        let inner = Arc::new(inner);
        #[cfg(feature = "processes")]
        if let Some((folders, loaded)) = watched {
            // Nothing else sets it.
            let _ = inner.watch.set(FileWatch::start(&inner, folders, loaded)?);
        }
        Ok(PyApp { inner })
    }
}

/// A relative folder is relative to where the process stands now, not to where Python code may go.
fn absolute(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let absolute = |dir: &PathBuf| {
        std::path::absolute(dir).map_err(|error| {
            Error::with_source(
                crate::error::Kind::Config,
                format!("path: {} has no absolute form", dir.display()),
                error,
            )
        })
    };
    paths.iter().map(absolute).collect()
}

impl fmt::Debug for PyAppBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PyAppBuilder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
