//! `App`: Python source text as a handler of this process, over the executor of the day, called directly or served over TCP.
//!
//! Each app has a folder and a module name of its own, so that the tests of one program cannot meet. What it logs is
//! kept by `log`.

use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use httpy::{
    Error, Executor, FailureResponse, OnFull, PyEngine, PyEngineBuilder, PyRoutes, PyService,
};
use serde::Serialize;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::{Service, ServiceExt};

use crate::config::{AppConfig, Built, Kind};
use crate::log;

/// Calls are held, and deadlines forced, in many tests, which look at what the log says of that and nothing else.
pub const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A handler, `handle` of a source text, on an engine of its own, and the routes of its init function, which is `init` where the
/// text has one; or the ASGI application `app` of the text.
#[derive(Debug)]
pub struct App {
    /// The engine under test.
    pub python: PyEngine,
    service: PyService,
    routes: Option<PyRoutes>,
    /// The name of its module.
    pub module: String,
    /// Where the module is.
    pub folder: TempDir,
}

/// The options of an [`App`], as methods in a row.
#[must_use]
pub struct Builder {
    config: AppConfig,
    host: Vec<Box<dyn FnOnce(PyEngineBuilder) -> PyEngineBuilder>>,
}

macro_rules! options {
    ($($name:ident: $type:ty => $($place:ident).+ = $value:expr;)*) => {
        $(
            #[doc = concat!("Sets the option `", stringify!($name), "`.")]
            pub fn $name(mut self, $name: $type) -> Self {
                self.config.$($place).+ = $value;
                self
            }
        )*
    };
}

impl Builder {
    options! {
        init: String => init = Some(init);
        executor: impl Into<Executor> => engine.executor = executor.into();
        queue: usize => engine.queue = queue;
        on_full: OnFull => engine.on_full = on_full;
        body_budget: usize => engine.body_budget = body_budget;
        slow_call: Duration => engine.slow_call = slow_call;
        drain: Duration => engine.drain = drain;
        debug: bool => engine.debug = debug;
        python_logging: bool => engine.python_logging = Some(python_logging);
        venv: &Path => engine.venv = Some(venv.to_owned());
        working_dir: &Path => engine.working_dir = Some(working_dir.to_owned());
        env_file: &Path => engine.env_file = Some(env_file.to_owned());
        shutdown_function: String => engine.shutdown_function = Some(shutdown_function);
        switch_interval: Duration => engine.advanced.switch_interval = Some(switch_interval);
        lost_after: Duration => engine.advanced.lost_after = lost_after;
        replacements: usize => engine.advanced.replacements = replacements;
        uvloop: bool => engine.advanced.uvloop = uvloop;
        in_flight: usize => engine.advanced.in_flight = in_flight;
        loop_blocked_after: Duration => engine.advanced.loop_blocked_after = loop_blocked_after;
        deadline: Duration => service.deadline = Some(deadline);
        max_wait: Duration => service.max_wait = Some(max_wait);
        body_limit: usize => service.body_limit = Some(body_limit);
        body_timeout: Duration => service.body_timeout = Some(body_timeout);
        chunk_timeout: Duration => service.chunk_timeout = Some(chunk_timeout);
        abandon_after: Duration => service.abandon_after = Some(abandon_after);
    }

    /// The options of an app with the handler `target`.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            config: AppConfig::new(target.into()),
            host: Vec::new(),
        }
    }

    /// Adds a folder to `sys.path`.
    pub fn path(mut self, dir: impl Into<PathBuf>) -> Self {
        self.config.path.push(dir.into());
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.config.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Minimum and maximum number of worker threads.
    pub fn workers(mut self, workers: RangeInclusive<usize>) -> Self {
        self.config.workers(workers);
        self
    }

    /// Size of each worker thread's stack.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.config.threads().stack_size = bytes;
        self
    }

    /// Whether threads capture what is printed.
    pub fn capture_stdout(mut self, on: bool) -> Self {
        self.config.threads().capture_stdout = Some(on);
        self
    }

    /// See [`PyEngineBuilder::extra`].
    pub fn extra<F, T>(self, extra: F) -> Self
    where
        F: Fn(&Parts) -> T + Send + Sync + 'static,
        T: Serialize,
    {
        self.host(move |builder| builder.extra(extra))
    }

    /// See [`PyEngineBuilder::trace_context`].
    pub fn trace_context<F>(self, trace_context: F) -> Self
    where
        F: Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    {
        self.host(move |builder| builder.trace_context(trace_context))
    }

    /// See [`PyEngineBuilder::failure_response`].
    pub fn failure_response(self, response: impl FailureResponse) -> Self {
        self.host(move |builder| builder.failure_response(response))
    }

    fn host(mut self, option: impl FnOnce(PyEngineBuilder) -> PyEngineBuilder + 'static) -> Self {
        self.host.push(Box::new(option));
        self
    }

    /// Starts the engine, and loads the handler and its routes.
    ///
    /// # Errors
    ///
    /// When either fails.
    pub fn build(self) -> Result<Built, Error> {
        let host = self.host;
        self.config.build(|builder| {
            host.into_iter()
                .fold(builder, |builder, option| option(builder))
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl App {
    /// An app with default options.
    ///
    /// # Panics
    ///
    /// When it cannot be built.
    pub fn new(source: &str) -> Self {
        Self::with(source, |builder| builder)
    }

    /// An app with `options` set.
    ///
    /// # Panics
    ///
    /// When it cannot be built.
    pub fn with(source: &str, options: impl FnOnce(Builder) -> Builder) -> Self {
        Self::try_with(source, options)
            .unwrap_or_else(|error| panic!("the app does not build: {error:?}"))
    }

    /// An app with `options` set.
    ///
    /// # Errors
    ///
    /// Those of its start.
    ///
    /// # Panics
    ///
    /// When no file can be written.
    pub fn try_with(source: &str, options: impl FnOnce(Builder) -> Builder) -> Result<Self, Error> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        log::keep();
        let module = format!(
            "app_{}_{}",
            process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let folder = tempfile::tempdir().expect("no temporary folder");
        std::fs::write(folder.path().join(format!("{module}.py")), source)
            .expect("the module cannot be written");
        // Tests let time pass, and count what is logged.
        let mut builder = Builder::new(format!("{module}:handle"))
            .path(folder.path())
            .slow_call(NEVER);
        if source.contains("async def app(scope") {
            builder.config.target = format!("{module}:app");
            builder.config.kind = Kind::Asgi;
        }
        if source.contains("def app(environ") {
            builder.config.target = format!("{module}:app");
            builder.config.kind = Kind::Wsgi;
        }
        if source.contains("def init(") {
            builder = builder.init(format!("{module}:init"));
        }
        let Built {
            engine,
            service,
            routes,
        } = options(builder).build()?;
        Ok(Self {
            python: engine,
            service,
            routes,
            module,
            folder,
        })
    }

    /// `module:attribute` with this app's module.
    pub fn target(&self, attribute: &str) -> String {
        format!("{}:{attribute}", self.module)
    }

    /// The handler for any path.
    pub fn service(&self) -> PyService {
        self.service.clone()
    }

    /// The routes of its init function.
    ///
    /// # Panics
    ///
    /// When it has none.
    pub fn routes(&self) -> &PyRoutes {
        self.routes.as_ref().expect("an init function")
    }

    /// Another function of the module as a service.
    ///
    /// # Panics
    ///
    /// When it cannot be loaded.
    pub fn handler(&self, attribute: &str) -> PyService {
        self.python
            .handler(self.target(attribute))
            .unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Calls the handler without a server in between.
    pub async fn ask(&self, request: Request<Body>) -> Answer {
        ask(self.service(), request).await
    }

    /// Serves the handler for all paths.
    pub async fn serve(&self) -> Server {
        serve(Router::new().fallback_service(self.service())).await
    }

    /// Serves the routes of the init function.
    ///
    /// # Panics
    ///
    /// When they are no routes.
    pub async fn serve_routes(&self) -> Server {
        serve(
            self.routes()
                .router()
                .unwrap_or_else(|error| panic!("{error:?}")),
        )
        .await
    }
}

/// A response that was read whole, and the error that was in its extensions.
#[derive(Debug)]
pub struct Answer {
    /// The status as a number.
    pub status: u16,
    /// The headers as httpy gave them: what a server adds is not there.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Why the call failed, where it did.
    pub error: Option<Error>,
}

impl Answer {
    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The error's message, empty when there was none.
    pub fn message(&self) -> String {
        self.error
            .as_ref()
            .map_or_else(String::new, ToString::to_string)
    }

    /// A header's first value, empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// Calls any service without a server in between.
///
/// # Panics
///
/// When the response's body fails.
pub async fn ask<S, B>(service: S, request: Request<B>) -> Answer
where
    S: Service<Request<B>, Error = Infallible>,
    S::Response: IntoResponse,
{
    let Ok(response) = service.oneshot(request).await;
    let (parts, body) = response.into_response().into_parts();
    let body = body
        .collect()
        .await
        .expect("the response's body fails")
        .to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
        error: parts.extensions.get().cloned(),
    }
}

/// A request without a body.
///
/// # Panics
///
/// When `target` is no URI.
pub fn get(target: &str) -> Request<Body> {
    Request::builder()
        .uri(target)
        .body(Body::empty())
        .expect("not a URI")
}

/// A `POST` with a body.
///
/// # Panics
///
/// When `target` is no URI.
pub fn post(target: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method("POST")
        .uri(target)
        .body(body.into())
        .expect("not a URI")
}

/// A server on a port of its own; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

/// Serves `router` over HTTP/1 and HTTP/2, with the clients' addresses.
///
/// # Panics
///
/// When no port is free.
pub async fn serve(router: Router) -> Server {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("no port is free");
    let address = listener.local_addr().expect("a listener has an address");
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let task = tokio::spawn(async move {
        axum::serve(listener, service)
            .await
            .expect("serving failed");
    });
    Server { address, task }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
