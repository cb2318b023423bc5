//! Python inside axum and tower: some routes in Python, everything else in Rust, one program.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use httpy::PyEngine;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let python = PyEngine::builder()
//!         .path(concat!(env!("CARGO_MANIFEST_DIR"), "/python")) // on sys.path
//!         .build()?;
//!     let routes = python.routes("shop:startup", "shop:handle")?; // "module:attribute"
//!
//!     let app = Router::new()
//!         .route("/native", get(|| async { "native" }))
//!         .merge(routes.router()?);
//!
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     python.serve(listener, app).await?; // until Ctrl-C
//!     Ok(())
//! }
//! ```
//!
//! ```python
//! # python/shop.py
//! def startup():
//!     return {"/price/{item}": ["GET"]}
//!
//! def handle(method, path, params, query, headers, body):
//!     return 200, f"{params['item'][0]} costs 3", {"Cache-Control": "max-age=60"}
//! ```
//!
//! A program that embeds Python has a `build.rs` that calls [`httpy_build::link_python()`](https://docs.rs/httpy-build), so that
//! it finds libpython at run time. The log is [`tracing`](https://docs.rs/tracing), targets `httpy` and `python`: install a
//! subscriber to see it.
//!
//! # Engines and services
//!
//! A [`PyEngine`] is the interpreter with its workers and their queue. A [`PyService`] is a handler that runs on it: a
//! [`tower::Service`] with its own deadline and limits, which never fails. [`guide::handlers`] has the contract of handlers.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, body::Body};
//! use http::Request;
//! use tower::ServiceExt;
//!
//! let engine = httpy::PyEngine::builder().path("python").build()?;
//! let report = engine.handler("shop:report")?.with_limit(2); // at most two at the same time
//! let app: Router = Router::new().route_service("/report", report);
//!
//! let response = app.oneshot(Request::get("/report").body(Body::empty())?).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(()) }
//! ```
//!
//! # Routes
//!
//! [`PyEngine::routes`] calls an init function, and [`PyRoutes`] mounts what it returns. [`PyService::behind`] puts Python
//! behind native routes: each route and method that exists in Rust wins, Python gets the rest, and what a native handler
//! [passes](Pass) on.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use axum::{Router, body::Body, routing::get};
//! # use http::Request;
//! # use tower::ServiceExt;
//! # let engine = httpy::PyEngine::builder().path("python").build()?;
//! let python = engine.routes("shop:startup", "shop:handle")?.fallback()?;
//! let app: Router = python.behind(Router::new().route("/native", get(|| async { "native" })));
//! for (path, status) in [("/native", 200), ("/price/tea", 200), ("/tea", 404)] {
//!     let response = app.clone().oneshot(Request::get(path).body(Body::empty())?).await?;
//!     assert_eq!(response.status(), status, "{path}");
//! }
//! # Ok(()) }
//! ```
//!
//! # Failures
//!
//! A client gets a status and one line of text; the log has the traceback. The [`Error`] is in the response's extensions, and a
//! [`FailureResponse`] changes the response.
//!
//! | failure | status |
//! |---|---|
//! | the handler raised, or broke the contract | 500 |
//! | the request's body is too large; incomplete; too slow | 413; 400; 408 |
//! | no place in the queue or in a limit; no worker in time; shutting down: never run | 503 |
//! | the deadline passed while the handler ran, which is interrupted | 504 |
//! | the worker process died | 502 |
//!
//! # Threads or processes
//!
//! [`Executor::threads()`], the default, is the fastest. [`Executor::processes(n)`](Executor::processes) uses several cores for
//! handlers that compute, keeps a crash in C code away from the server, and loads new code while it serves
//! ([`PyEngine::reload`]). Contract, deadlines, streams and errors are the same. [`guide::processes`] compares them.
//!
//! # Testing
//!
//! All engines on threads of a program share one interpreter. Build one engine for all tests (`LazyLock<PyEngine>`), do not
//! shut it down, and call services or routers with `oneshot` as above. [`guide::testing`] has more, for Python code too.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `axum` (default) | routers, [`PyEngine::serve`], [`PyService::behind`], [`TrustedProxies`] |
//! | `embed` (default) | [`Executor::threads()`]; needs libpython to build and to run |
//! | `processes` (default) | [`Executor::processes`]; needs a Python to run |
//!
//! # Limits
//!
//! - On threads, a crash in C code ends the program, and Python code computes on one core at a time.
//! - Code in C cannot be interrupted. Its worker is replaced until it returns.
//! - Python is 3.11 to 3.15. Windows is not supported; macOS and free-threaded builds are not tested.
//! - A program links one version of PyO3, and that of axum is part of this crate's interface.

#![forbid(unsafe_code)]

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod config;
mod ended;
mod engine;
mod error;
pub mod guide;
mod judge;
mod log;
mod metric;
mod route;
mod service;
mod status;
mod status_page;

pub use config::{
    Advanced, Config, EngineConfig, Executor, OnFull, Processes, ServiceConfig, ServiceOptions,
    Threads, Workers,
};
pub use ended::Ending;
pub use engine::{
    Diagnosis, InterpreterFacts, NotReady, PackageCopy, PathEntry, PathOrigin, Probe, PyEngine,
    PyEngineBuilder, PyRoutes, Snapshot, Stacks, Versions, WorkerHealth, shutdown_signal,
};
pub use error::Error;
pub use httpy_core::{Exception, Frame, Link, Relation};
pub use route::RouteMap;
pub use service::{
    CallFuture, FailureResponse, Origin, PyService, ResponseBody, ResponseFuture, default_response,
};
#[cfg(feature = "axum")]
pub use service::{FromProxy, Pass, TrustedProxies};
pub use status::{
    CallCounts, CurrentCall, EventLoop, History, LoopCall, Percentiles, Recent, RecordedCall,
    Worker, WorkerState,
};
pub use status_page::{StatusFuture, StatusPage};
