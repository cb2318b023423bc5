//! `PyEngine`: the interpreter with its workers, and what runs on it.

mod announce;
mod builder;
mod doctor;
#[cfg(feature = "processes")]
mod file_watch;
mod gauge;
mod not_ready;
mod probe;
mod reload;
mod routes;
#[cfg(feature = "axum")]
mod serve;
mod shutdown;
mod snapshot;
#[cfg(feature = "processes")]
mod source;
mod start;
mod surroundings;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use httpy_core::Kind;
use tokio::sync::watch;

pub use self::builder::PyEngineBuilder;
pub use self::doctor::{Diagnosis, InterpreterFacts, PackageCopy, PathEntry, PathOrigin};
#[cfg(feature = "processes")]
use self::file_watch::FileWatch;
pub use self::not_ready::NotReady;
pub use self::probe::Probe;
use self::reload::LiveRoutes;
pub use self::routes::PyRoutes;
pub use self::shutdown::shutdown_signal;
pub use self::snapshot::{Snapshot, Stacks, Versions, WorkerHealth};
use self::surroundings::Surroundings;
use crate::error;
use crate::service::Shared;
use crate::{Config, Error, PyService, RouteMap};

/// A Python interpreter with its workers, their queue and its folders. Handlers run on it.
///
/// A clone is one reference count. The workers live while an engine or a service of it does; dropping never blocks. Several
/// engines with threads share the interpreter and its workers; each has its own queue.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use http::Request;
/// use http_body_util::BodyExt;
/// use httpy::PyEngine;
/// use tower::ServiceExt;
///
/// // python/shop.py:
/// //     def report(method, path, params, query, headers, body):
/// //         return 200, "a report", {}
/// let engine = PyEngine::builder().path("python").build()?;
/// let report = engine.handler("shop:report")?;
///
/// let response = report.oneshot(Request::get("/").body(String::new())?).await?;
/// assert_eq!(response.status(), 200);
/// let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
/// assert_eq!(body.to_bytes(), "a report");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PyEngine {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    /// As it was given.
    config: Config,
    loaded: Mutex<Loaded>,
    /// The start has been logged.
    announced: OnceLock<()>,
    /// Where it is asked for.
    #[cfg(feature = "processes")]
    watch: OnceLock<FileWatch>,
    /// True when Python has ended, for all who wait for that; set by the first shutdown.
    ended: OnceLock<watch::Receiver<bool>>,
}

/// What was loaded until now.
#[derive(Debug, Default)]
struct Loaded {
    targets: Vec<String>,
    /// Number of routes of all init functions.
    routes: usize,
    /// The routes of each init function, for a reload: what is mounted has to follow it.
    live: Vec<(String, Arc<LiveRoutes>)>,
    /// The services that the configuration names.
    named: BTreeMap<String, PyService>,
}

impl PyEngine {
    /// The options of an engine, all at their defaults.
    pub fn builder() -> PyEngineBuilder {
        Config::default().into()
    }

    /// The handler `target` (`"module:attribute"`) as a service.
    ///
    /// # Blocking
    ///
    /// Until its module is imported. Needs no runtime and may be called inside one, at the start.
    ///
    /// # Errors
    ///
    /// When the target cannot be loaded; the predicates of [`Error`] tell the ways apart.
    pub fn handler(&self, target: impl Into<String>) -> Result<PyService, Error> {
        self.load(Kind::Handler, target.into())
    }

    /// The ASGI application `target` as a service: FastAPI, Starlette, Django, Litestar, as it runs under uvicorn.
    ///
    /// `target` is `"module:attribute"`, or a factory that is called without arguments: `"shop.main:create_app()"`. It gets
    /// HTTP requests (ASGI 3.0) on the event loop on which its lifespan has started. Mount it with
    /// [`behind`](PyService::behind) to have every path and method that Rust does not answer, or below a prefix with
    /// [`Router::nest_service`](axum::Router::nest_service): the prefix is its `root_path`.
    ///
    /// Its lifespan starts here, once for an application however often it is loaded, and ends with
    /// [`shutdown`](Self::shutdown) of the last engine. An application without lifespan is served without it. `scheme`
    /// in its scope is that of [`Origin`](crate::Origin), else `http`.
    ///
    /// The deadline is the time to the head of the reply. Defaults to 60 s. A request's body has no limit, nor the time between
    /// two chunks of a reply. An application learns that its client has left, as under uvicorn: `receive()` gives
    /// `http.disconnect`, and `send()` raises `OSError`. It is cancelled at its deadline, or
    /// [`with_abandon_after`](PyService::with_abandon_after) after it has sent the head. What runs on after the reply is
    /// complete, such as background tasks of Starlette, has no deadline and takes up no place of
    /// [`with_limit`](PyService::with_limit).
    ///
    /// It gets WebSockets too, over HTTP/1.1 and HTTP/2, with messages of at most 16 MiB and without compression. An open
    /// socket holds no worker and has no deadline.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::Router;
    /// use axum::body::Body;
    /// use axum::routing::get;
    /// use http::Request;
    /// use httpy::PyEngine;
    /// use tower::ServiceExt;
    ///
    /// // python/site_app.py has an ASGI application, `app`.
    /// let engine = PyEngine::builder().path("python").build()?;
    /// let site = engine.asgi("site_app:app")?;
    /// let app = site.behind(Router::new().route("/orders", get(|| async { "from Rust" })));
    ///
    /// let orders = Request::get("/orders").body(Body::empty())?;
    /// assert_eq!(app.clone().oneshot(orders).await?.status(), 200);
    /// let rest = app.oneshot(Request::get("/anything").body(Body::empty())?).await?;
    /// assert_eq!(rest.status(), 200);
    /// assert_eq!(rest.headers()["content-type"], "text/plain");
    /// # Ok(()) }
    /// ```
    ///
    /// # Blocking
    ///
    /// Until the module is imported and the application has started. Needs no runtime and may be called inside one, at the
    /// start.
    ///
    /// # Errors
    ///
    /// When the target cannot be loaded; [`is_startup`](Error::is_startup) when its start-up has failed.
    pub fn asgi(&self, target: impl Into<String>) -> Result<PyService, Error> {
        self.load(Kind::Asgi, target.into())
    }

    /// The WSGI application `target` as a service: Flask, Django, Bottle, as it runs under gunicorn's threads.
    ///
    /// `target` is `"module:attribute"`, or a factory that is called without arguments: `"shop:create_app()"`. Its calls run on
    /// the workers, as those of plain handlers do. Mount it with [`behind`](PyService::behind), or below a prefix with
    /// [`Router::nest_service`](axum::Router::nest_service): the prefix is its `SCRIPT_NAME`. `wsgi.url_scheme` is that of
    /// [`Origin`](crate::Origin), else `http`.
    ///
    /// The deadline is the time to the head of the reply. Defaults to 60 s. A request's body has no limit: up to 1 MiB is read
    /// before the application is called, and `wsgi.input` reads the rest as it comes. What the application returns is sent as
    /// one reply if it is complete with its first chunk, else chunk by chunk, with any time between two chunks. `close()` is
    /// called in every case.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::Router;
    /// use axum::body::Body;
    /// use axum::routing::get;
    /// use http::Request;
    /// use httpy::PyEngine;
    /// use tower::ServiceExt;
    ///
    /// // python/site_app.py has a WSGI application, `wsgi`.
    /// let engine = PyEngine::builder().path("python").build()?;
    /// let site = engine.wsgi("site_app:wsgi")?;
    /// let app = site.behind(Router::new().route("/orders", get(|| async { "from Rust" })));
    ///
    /// let rest = app.oneshot(Request::get("/anything").body(Body::empty())?).await?;
    /// assert_eq!(rest.status(), 200);
    /// assert_eq!(rest.headers()["content-type"], "text/plain");
    /// # Ok(()) }
    /// ```
    ///
    /// # Blocking
    ///
    /// Until the module is imported. Needs no runtime and may be called inside one, at the start.
    ///
    /// # Errors
    ///
    /// When the target cannot be loaded; the predicates of [`Error`] tell the ways apart.
    pub fn wsgi(&self, target: impl Into<String>) -> Result<PyService, Error> {
        self.load(Kind::Wsgi, target.into())
    }

    fn load(&self, kind: Kind, target: String) -> Result<PyService, Error> {
        let shared = &self.inner.shared;
        let id = shared
            .executor
            .load(kind, &target)
            .map_err(Error::not_loaded)?;
        let mut loaded = self.inner.loaded();
        if !loaded.targets.contains(&target) {
            loaded.targets.push(target.clone());
        }
        drop(loaded);
        Ok(PyService::new(Arc::clone(shared), id, target))
    }

    /// The routes that the function `init` returns, each served by `handler` (both `"module:attribute"`).
    ///
    /// `init` is called once, without arguments. It returns `{"route": ["METHOD", ...]}`, or `None` for no routes. An
    /// `async def` runs on the event loop.
    ///
    /// # Blocking
    ///
    /// Until the modules are imported and `init` has returned. Needs no runtime and may be called inside one, at the start.
    ///
    /// # Errors
    ///
    /// When a target cannot be loaded, when `init` fails, and when it returns something else; the predicates of [`Error`] tell
    /// the ways apart.
    pub fn routes(
        &self,
        init: impl Into<String>,
        handler: impl Into<String>,
    ) -> Result<PyRoutes, Error> {
        let service = self.handler(handler)?;
        let init = init.into();
        let executor = &self.inner.shared.executor;
        let map = RouteMap::new(executor.run_init(&init).map_err(Error::not_loaded)?);
        let routes = PyRoutes::new(service, map);
        let mut loaded = self.inner.loaded();
        loaded.routes += routes.map().len();
        loaded.live.push((init, routes.live()));
        drop(loaded);
        Ok(routes)
    }

    /// The service that the engine's [`Config`] names `name`. Where it has an init function, the service matches its routes by
    /// itself, as [`PyRoutes::fallback`] does. It is made once: all calls return clones of one service, which share its limits.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use httpy::{Config, PyEngineBuilder};
    ///
    /// let text = r#"{
    ///     "engine": {"path": ["python"]},
    ///     "services": {"shop": {"handler": "shop:handle", "deadline": "5s"}}
    /// }"#;
    /// let config: Config = serde_json::from_str(text)?;
    /// let engine = PyEngineBuilder::from(config).build()?;
    /// let shop = engine.service("shop")?;
    ///
    /// let error = engine.service("store").unwrap_err();
    /// assert_eq!(error.to_string(), "no service \"store\" in the configuration, which has \"shop\"");
    /// # Ok(()) }
    /// ```
    ///
    /// # Blocking
    ///
    /// As [`handler`](Self::handler).
    ///
    /// # Errors
    ///
    /// As [`handler`](Self::handler) and [`routes`](Self::routes); and [`is_config`](Error::is_config) when there is no such
    /// service.
    pub fn service(&self, name: &str) -> Result<PyService, Error> {
        let services = &self.inner.config.services;
        let Some(service) = services.get(name) else {
            let names: Vec<String> = services.keys().map(|name| format!("{name:?}")).collect();
            let which = if names.is_empty() {
                "has none".to_owned()
            } else {
                format!("has {}", names.join(", "))
            };
            let text = format!("no service {name:?} in the configuration, which {which}");
            return Err(Error::new(error::Kind::Config, text));
        };
        if let Some(made) = self.inner.loaded().named.get(name) {
            return Ok(made.clone());
        }
        let made = match &service.init {
            Some(init) => self.routes(init, &service.handler)?.fallback()?,
            None => self.handler(&service.handler)?,
        };
        let made = made.with(&service.options);
        let mut loaded = self.inner.loaded();
        // Another thread may have made it meanwhile: all share one limit.
        let kept = loaded.named.entry(name.to_owned()).or_insert(made);
        Ok(kept.clone())
    }
}

impl Inner {
    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PyEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PyEngine")
            .field("name", &self.inner.shared.name)
            .field("targets", &self.inner.loaded().targets)
            .finish_non_exhaustive()
    }
}
