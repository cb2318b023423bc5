//! `PyApp`: loaded Python code, and everything that is mounted of it.

mod announce;
mod builder;
mod doctor;
#[cfg(feature = "processes")]
mod file_watch;
mod gate;
mod probe;
mod reload;
mod shutdown;
mod snapshot;
#[cfg(feature = "processes")]
mod source;

#[cfg(feature = "axum")]
use std::any::Any;
use std::fmt;
#[cfg(feature = "axum")]
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

#[cfg(feature = "axum")]
use axum::Router;
use httpy_core::{Execute, Ticket, UnderWay};
use tokio::sync::watch;
use tracing::Span;

pub use self::builder::PyAppBuilder;
pub use self::doctor::{Diagnosis, InterpreterFacts, PackageCopy, PathEntry, PathOrigin};
#[cfg(feature = "processes")]
use self::file_watch::FileWatch;
pub(crate) use self::gate::Gate;
pub use self::probe::Probe;
use self::reload::LiveRoutes;
pub(crate) use self::reload::Swap;
pub use self::shutdown::shutdown_signal;
pub use self::snapshot::{Snapshot, Stacks, Versions, WorkerHealth};
use crate::failure::Choice;
#[cfg(feature = "axum")]
use crate::route::{Routes, mount};
use crate::service::{Budget, Extra, Slots, TraceContext};
use crate::status::Recorder;
use crate::{Config, Error, PyService, RouteMap};

/// Loaded Python code: a handler, its routes, and the worker threads that call it.
///
/// Made by [`PyApp::builder`]. A clone is one reference count. The workers live while an app or a service of it does;
/// dropping never blocks. Several apps of one process share the interpreter and its workers, each with its own queue and
/// limits.
#[derive(Clone)]
pub struct PyApp {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    service: PyService,
    /// Of the start.
    routes: RouteMap,
    /// Of now.
    live: LiveRoutes,
    /// As it was given.
    config: Config,
    /// Where it is asked for.
    #[cfg(feature = "processes")]
    watch: OnceLock<FileWatch>,
    /// True when Python has ended, for all who wait for that; set by the first shutdown.
    ended: OnceLock<watch::Receiver<bool>>,
}

/// What an app and its services share.
pub(crate) struct Shared {
    pub(crate) executor: Arc<dyn Execute>,
    pub(crate) gate: Gate,
    /// The places of the queue.
    pub(crate) slots: Slots,
    pub(crate) budget: Budget,
    pub(crate) under_way: Arc<UnderWay>,
    pub(crate) limits: Limits,
    pub(crate) extras: Vec<Extra>,
    pub(crate) trace_context: Option<TraceContext>,
    pub(crate) failure_response: Choice,
    /// A handler in which a debugger waits has no deadline.
    pub(crate) debug: bool,
    pub(crate) recorder: Recorder,
    /// The host had a recorder of metrics when this was built.
    pub(crate) metrics: bool,
}

pub(crate) struct Limits {
    pub(crate) deadline: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) body: usize,
    pub(crate) body_timeout: Duration,
    pub(crate) chunk_timeout: Duration,
    pub(crate) slow_call: Duration,
    pub(crate) drain: Duration,
}

impl Shared {
    /// Lets go of the span of a call, when what Python code has logged of it is out.
    pub(crate) fn release(&self, span: &Span, ticket: &Ticket) {
        if !span.is_disabled() && ticket.has_logged() {
            self.executor.keep(Box::new(span.clone()));
        }
    }
}

impl PyApp {
    /// Begins an app whose handler is `target`, `"module:attribute"`.
    pub fn builder(target: impl Into<String>) -> PyAppBuilder {
        PyAppBuilder::new(target)
    }

    /// The app's handler as a service.
    pub fn service(&self) -> PyService {
        self.inner.service.clone()
    }

    /// Another function of the app's folders as a service with the same workers, queue and limits.
    ///
    /// # Blocking
    ///
    /// Until its module is imported, which happens on Python's main thread. Needs no runtime and may be called inside one,
    /// at start.
    ///
    /// # Errors
    ///
    /// When the target cannot be loaded; the predicates of [`Error`] tell the ways apart.
    pub fn handler(&self, target: impl Into<String>) -> Result<PyService, Error> {
        let target = target.into();
        let shared = &self.inner.shared;
        let loaded = shared
            .executor
            .load_handler(&target)
            .map_err(Error::not_loaded)?;
        Ok(PyService::new(Arc::clone(shared), loaded, target))
    }

    /// The init function's result at the start, as it came, order kept; empty without an init function.
    pub fn routes(&self) -> &RouteMap {
        &self.inner.routes
    }

    /// One axum route per entry of [`routes`](Self::routes), to be merged into the host's router.
    ///
    /// # Errors
    ///
    /// All entries that are no routes, in one [`Error`] with [`is_routes`](Error::is_routes).
    ///
    /// # Panics
    ///
    /// Not this method, but [`Router::merge`] panics when the host has a route with the same path and method, or a conflicting
    /// one. The host's routes cannot be seen from here: [`merge_into`](Self::merge_into) returns an error instead of the
    /// panic, [`RouteMap::retain`] with [`router_for`](Self::router_for) leaves routes out, and behind
    /// [`fallback`](Self::fallback) the host's routes win.
    #[cfg(feature = "axum")]
    pub fn router<S>(&self) -> Result<Router<S>, Error>
    where
        S: Clone + Send + Sync + 'static,
    {
        self.router_for(&self.inner.routes)
    }

    /// One axum route per entry of `map`, all to the app's handler.
    ///
    /// # Errors
    ///
    /// As [`router`](Self::router).
    #[cfg(feature = "axum")]
    pub fn router_for<S>(&self, map: &RouteMap) -> Result<Router<S>, Error>
    where
        S: Clone + Send + Sync + 'static,
    {
        self.inner.live.fix();
        Ok(mount(&Routes::read(map)?, &self.inner.service))
    }

    /// `host` with one route per entry of [`routes`](Self::routes), as [`Router::merge`] with [`router`](Self::router) gives it;
    /// but a route that the host has already is an error, and not a panic.
    ///
    /// ```
    /// # fn check(python: httpy::PyApp) -> Result<axum::Router, httpy::Error> {
    /// use axum::{Router, routing::get};
    ///
    /// let app = Router::new().route("/native", get(|| async { "native" }));
    /// let app = python.merge_into(app)?;
    /// # Ok(app) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`router`](Self::router); and with [`is_routes`](Error::is_routes) all routes that conflict with the host's, each as
    /// Python wrote it.
    ///
    /// # Panics
    ///
    /// Where the program is built with `panic = "abort"`, as [`Router::merge`] does: its panic is caught here. The process's
    /// panic hook reports it before that.
    #[cfg(feature = "axum")]
    pub fn merge_into<S>(&self, host: Router<S>) -> Result<Router<S>, Error>
    where
        S: Clone + Send + Sync + 'static,
    {
        let merge = move |routes: Router<S>| {
            let merged = panic::catch_unwind(AssertUnwindSafe(|| host.clone().merge(routes)));
            merged.map_err(|payload| panic_message(payload.as_ref()))
        };
        merge(self.router()?).or_else(|all| {
            let mut conflicts = Vec::new();
            for (pattern, methods) in self.inner.routes.iter() {
                let one = RouteMap::new(vec![(pattern.to_owned(), methods.to_vec())]);
                if let Err(problem) = merge(self.router_for(&one)?) {
                    conflicts.push((pattern, problem));
                }
            }
            Err(Error::routes_of_host(&conflicts, &all))
        })
    }

    /// A service with a matcher of its own over [`routes`](Self::routes), for [`Router::fallback_service`]: the host's
    /// routes always win, and nothing can conflict. Unknown paths are answered with 404, other methods with 405.
    ///
    /// # Errors
    ///
    /// As [`router`](Self::router).
    pub fn fallback(&self) -> Result<PyService, Error> {
        Ok(self.inner.service.matching(self.inner.live.matched()?))
    }
}

/// The text of a panic.
#[cfg(feature = "axum")]
fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref().map(String::as_str))
        .unwrap_or("it panicked")
        .to_owned()
}

impl fmt::Debug for PyApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PyApp")
            .field("service", &self.inner.service)
            .field("routes", &self.inner.routes)
            .finish_non_exhaustive()
    }
}
