//! Python handlers inside axum and tower: some routes in Python, everything else native, one process.
//!
//! A [`PyApp`] starts CPython, imports a handler and keeps worker threads attached to the interpreter; its [`PyService`] is
//! a [`tower::Service`](https://docs.rs/tower/0.5/tower/trait.Service.html) that hands each request to them and answers
//! what the handler returned.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use httpy::PyApp;
//! use std::time::Duration;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // "module:attribute", called once per request
//!     let python = PyApp::builder("worker:go_request")
//!         .init("worker:go_init") // optional, called once before any request
//!         .path(concat!(env!("CARGO_MANIFEST_DIR"), "/python")) // on sys.path
//!         .build()?; // every failure of the start is here
//!
//!     let app = Router::new()
//!         .route("/native", get(|| async { "ok" }))
//!         .route_service("/python", python.service()) // a tower::Service
//!         .merge(python.router()?); // one route per entry of go_init's map
//!
//!     let stop = python.stop_on(httpy::shutdown_signal(), Duration::from_secs(10));
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     tokio::select! {
//!         served = axum::serve(listener, app).with_graceful_shutdown(stop) => served?,
//!         () = python.forced() => {} // a client that never reads holds nothing after the grace period
//!     }
//!     python.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! ```python
//! # python/worker.py
//! def go_init():
//!     return {"/": ["GET"], "/hello/:target": ["GET"]}
//!
//! def go_request(method, path, params, query, headers, body):
//!     target = params.get("target", ["world"])[0]
//!     return 200, f"hello {target}", {"X-Test": ["1"]}
//! ```
//!
//! The binary finds libpython at run time when its `build.rs` calls
//! [`httpy_build::link_python()`](https://docs.rs/httpy-build). Without it, it may end at once with `error while loading
//! shared libraries: libpython3...`.
//!
//! # The handler
//!
//! Called with six positional arguments, always in this order:
//!
//! | argument | type | what |
//! |---|---|---|
//! | `method` | `str` | as sent |
//! | `path` | `str` | percent-decoded, without the query, as tower sees it (a prefix taken off by `nest` is off) |
//! | `params` | `dict[str, list[str]]` | what the route captured when it matched, percent-decoded, in lists of one |
//! | `query` | `dict[str, list[str]]` | decoded, `+` is a space, repeated keys in order, `?flag` is `{"flag": [""]}` |
//! | `headers` | `dict[str, list[str]]` | names as in `X-Forwarded-For`; values as latin-1; `Host` is always there; cookies are joined |
//! | `body` | `str` | UTF-8; `bytes` or `httpy_rs.Body` where the handler's sixth parameter is annotated so |
//!
//! Bytes that are not UTF-8 arrive as lone surrogates (PEP 383), in path, params, query and body, so that
//! `text.encode("utf-8", "surrogateescape")` gives back what was sent. What the six do not say is in
//! `httpy_rs.request()`: the raw target, the matched route, the client's address, scheme, version, deadline, and the
//! [extras](PyAppBuilder::extra) that the host found out. Client and scheme are what the server knows, or what the host says by an
//! [`Origin`], never what a client writes into its target or headers.
//!
//! It returns a tuple of three:
//!
//! | item | accepted |
//! |---|---|
//! | status | `int`, 200 to 999 |
//! | body | `str` (as UTF-8), `bytes`, `bytearray`, `memoryview`, `None`; or an iterator of the first four, from `async def` an async one too |
//! | headers | `dict` of `str` to `str`, or to a list or tuple of `str`; or `None` |
//!
//! Without a `Content-Type` a `str` is `text/plain; charset=utf-8` and bytes are `application/octet-stream`. Anything else is
//! a *contract failure*: 500 for the client, and a line in the log that says what was found and what was expected.
//!
//! Handlers run on several threads at once. Each call has a `contextvars` context of its own.
//!
//! # Streams
//!
//! A body that is an iterator, a generator for one, is sent as it comes: the head at once, then each chunk. It runs on the
//! worker that called its handler, in the same context, and waits detached while the client is slow; at most 256 KiB and one
//! chunk lie between the two. It is closed in the end, whatever that is. The worker, the service's limit and the byte budget of
//! the request's body are held until then. The deadline ends with the head; [`PyAppBuilder::chunk_timeout`] holds from there on.
//! A body that cannot come to its end breaks off: the connection is aborted, so that the client can tell, and the log has why.
//!
//! A handler whose sixth parameter is annotated `httpy_rs.Body` is called as soon as the request's head is there, and reads the
//! body as it comes: an iterator of `bytes` with `read(n)`. The socket is read no faster than that. The body's limit holds; what
//! is on its way, 256 KiB at most and one frame, is in no budget. A body that does not come to its end raises
//! `httpy_rs.BodyError`; where the handler lets that pass, the client gets its 413, 400 or 408.
//!
//! `httpy_rs.client_gone()` tells a handler, or its iterator, that nobody waits any more.
//!
//! # Coroutines
//!
//! An `async def` handler takes the same arguments and returns the same tuple. It runs on an event loop of its own thread,
//! uvloop's where that can be imported, together with thousands of others ([`PyAppBuilder::in_flight`]); each has its own
//! `contextvars` context, and `asyncio.current_task()` is its own. When its client leaves or its deadline passes, its task is
//! cancelled: it sees `asyncio.CancelledError` where it waits. Its body may be an async iterator, and a parameter annotated
//! `httpy_rs.AsyncBody` is read with `async for`. One that computes, or calls what blocks, holds up all others: after
//! [`PyAppBuilder::loop_blocked_after`] the log has its stack. Init and [shutdown](PyAppBuilder::shutdown_function) functions may
//! be `async def` too.
//!
//! # Routes
//!
//! [`PyAppBuilder::init`] names a function that returns `{"route": ["METHOD", ...]}`. [`PyApp::router`] makes axum routes of it,
//! in axum's syntax (`/{id}`, `/{*rest}`) or httprouter's (`/:id`, `/*rest`). A route that the host has as well panics in axum's
//! `merge`: [`PyApp::merge_into`] returns an error that names it, and [`PyApp::fallback`] matches Python's routes behind all
//! routes of the host instead, so that nothing can conflict; [`RouteMap`] is the map itself, to be changed before it is
//! mounted. [`PyApp::service`] is the handler on whatever path you mount it, [`PyApp::handler`] another function on the
//! same workers.
//!
//! # When something fails
//!
//! Each body is one short line of text, never Python's message ([`PyAppBuilder::debug`] shows it during development). The
//! [`Error`] is in the response's extensions, and [`FailureResponse`] changes the answers.
//!
//! | what happened | status |
//! |---|---|
//! | the handler raised (`SystemExit` too), or broke the contract | 500, traceback in the log |
//! | the client's body is over the limit; broke off; was too slow | 413; 400; 408 |
//! | the queue, or a service's limit, is full; no budget for the body; no worker in time; shutting down | 503 with `Retry-After`, never run |
//! | the deadline passed while the handler ran | 504, the handler is interrupted, its stack in the log |
//! | a path or a method that [`PyApp::fallback`] does not know; `CONNECT` | 404; 405 |
//!
//! The same failure at the same place is logged once per second, with a count. Each line has the handler, method and route as
//! fields, and at DEBUG the path. The log is [`tracing`](https://docs.rs/tracing), target `httpy`: nothing is seen of it before the host installs a subscriber, with
//! `tracing_subscriber::fmt::init()` for one.
//!
//! What Python code gives to `logging` is there too, target `python`, in the span of its request
//! ([`PyAppBuilder::python_logging`]); what it prints, when [`PyAppBuilder::capture_stdout`] says so. With
//! [`PyAppBuilder::debug`] a browser gets a page about each failure, with source lines and the request. [`PyApp::doctor`] looks
//! at the embedded interpreter and says what looks wrong.
//!
//! # Workers
//!
//! A worker attaches to the interpreter once, for its whole life, and detaches only to wait; no tokio thread ever attaches, so
//! native routes answer while every worker is stuck. One worker leads; when its handler blocks or computes for long, the
//! next one takes over. More are started while handlers wait, up to [`PyAppBuilder::workers`]; there is nothing to tune for
//! handlers that return at once or that sleep. Handlers that compute share one interpreter, as threads in Python do.
//!
//! # Deadlines and limits
//!
//! One clock per call, started when it enters the queue: [`PyAppBuilder::deadline`] for the whole, [`PyAppBuilder::max_wait`]
//! for the wait; [`PyService::with_deadline`] gives one service a deadline of its own. The queue, each body and all bodies
//! together are bounded. A call whose client leaves while it waits lets go of its body at once and never runs.
//!
//! A handler that still runs at its deadline, whether its client waits or has left, is interrupted: `httpy_rs.DeadlineExceeded`
//! (a `BaseException`) is raised in it where it calls a function or a loop begins its next iteration, but not inside an import.
//! It can hold that off while it does what must be done as a whole (`with httpy_rs.shield():`), and ask how much time is left
//! (`httpy_rs.remaining()`). The log has one line about it, with the handler's stack.
//!
//! What is not Python code cannot be interrupted before it returns: `time.sleep`, a query without a timeout, a compiled
//! handler. A worker that does not come back from it within [`PyAppBuilder::lost_after`] is lost and replaced, up to
//! [`PyAppBuilder::replacements`]; it serves again once it comes back. While C code keeps the interpreter itself, nothing in
//! Python goes on and nothing can be interrupted; the log then says so, on Linux with the stack.
//!
//! # Overload
//!
//! One call more than the [queue](PyAppBuilder::queue) is long is answered with 503 at once. With [`OnFull::Wait`] the service
//! is not ready instead, so that layers of tower see it: `LoadShed` refuses in its own way, `Buffer` keeps what comes, and a
//! timeout around the router ends the wait. That wait is bounded too.
//!
//! [`PyService::with_limit`] is a bulkhead: at most so many jobs of that service wait or run, so that a slow report cannot
//! take all the workers from the login. A job counts until its handler has returned, whatever its client was answered.
//!
//! # Health
//!
//! [`PyApp::readiness`] and [`PyApp::liveness`] are services to be mounted, at `/readyz` and `/livez` for example. They give
//! their reasons, and answer without Python, so also while every worker is stuck. [`PyApp::snapshot`] has the numbers: the
//! queue, every worker with its call, what ended in each of the last seconds and where its time went, the last failed and slow calls.
//! [`PyApp::status_page`] shows them live, with the Python stacks on demand; mount it behind your own authentication.
//!
//! # Shutdown
//!
//! [`PyApp::stop_on`] with [`shutdown_signal`] first drains ([`PyAppBuilder::drain`]), then lets requests end within a grace
//! period and answers the rest with 503; [`PyApp::forced`] leaves clients behind that would hold the server beyond it.
//! [`PyApp::shutdown`] waits for handlers whose clients have left, calls the shutdown function and ends the event loops.
//! Python itself ends with the process: threads, `atexit`, open files. A second Ctrl-C ends the process at once.
//!
//! # Testing
//!
//! All apps of a test program share one interpreter, and so its modules. Build one app for all tests (`LazyLock<PyApp>`), or one
//! for each: after a shutdown the next one can be built. Nothing has to listen, a service is called with
//! `tower::ServiceExt::oneshot`.
//!
//! # Python, venv, threads
//!
//! The Python is chosen when the crate is built: what `PYO3_PYTHON` names, else the active virtual environment's, else that
//! of `PATH`. It has to be 3.11 or newer and to have its shared library; where it is not, the build ends and says how to get
//! one. The virtual environment is [`PyAppBuilder::venv`], else `VIRTUAL_ENV`; [`build`](PyAppBuilder::build) refuses one of
//! another version. SIGINT stays with the host. Child processes of `multiprocessing` are spawned, not forked.
//!
//! `import httpy_rs` works with nothing installed; `pip install httpy-rs` gives the same package to tests and type checkers.
//!
//! # What it does not do
//!
//! - It does not isolate: a segfault in a C extension ends the process.
//! - It does not use several cores for Python code that computes: one interpreter runs one thread at a time.
//! - It does not end a handler that is stuck in C code: its thread stays until it returns, and another one serves instead.
//! - It does not serve WSGI or ASGI apps. Not yet.
//! - Windows is not supported; macOS and free-threaded builds are not tested.
//!
//! The versions of PyO3 and axum are part of this crate's public interface: one program can link only one PyO3.

#![forbid(unsafe_code)]

mod app;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod config;
mod debug_page;
mod error;
mod executor;
mod failure;
mod log;
mod metric;
mod route;
mod service;
mod status;

pub use app::{
    Diagnosis, InterpreterFacts, PackageCopy, PathEntry, PathOrigin, Probe, PyApp, PyAppBuilder,
    Snapshot, Stacks, Versions, WorkerHealth, shutdown_signal,
};
pub use config::{Config, OnFull, Workers};
pub use error::Error;
pub use executor::{Executor, Processes};
pub use failure::{FailureResponse, default_response};
pub use httpy_core::{Exception, Frame, Link, Relation};
pub use route::RouteMap;
pub use service::{CallFuture, Origin, PyService, ResponseBody, ResponseFuture};
pub use status::{
    CallCounts, CurrentCall, Ending, EventLoop, History, LoopCall, Percentiles, Recent,
    RecordedCall, StatusFuture, StatusPage, Worker, WorkerState,
};
