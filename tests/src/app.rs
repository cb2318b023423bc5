//! `App`: Python source text as a `PyApp` of this process, over the executor of the day, called directly or served over TCP.
//!
//! Each app has a folder and a module name of its own, so that the tests of one program cannot meet. What it logs is
//! kept by `log`.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use httpy::{Error, PyApp, PyAppBuilder, PyService};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::{Service, ServiceExt};

use crate::{executor, log};

/// Calls are held, and deadlines forced, in many tests, which look at what the log says of that and nothing else.
pub const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A `PyApp` whose handler is `handle` of a source text, and whose init function is `init` where the text has one.
#[derive(Debug)]
pub struct App {
    /// The app under test.
    pub python: PyApp,
    /// The name of its module.
    pub module: String,
    /// Where the module is.
    pub folder: TempDir,
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
    pub fn with(source: &str, options: impl FnOnce(PyAppBuilder) -> PyAppBuilder) -> Self {
        Self::try_with(source, options)
            .unwrap_or_else(|error| panic!("the app does not build: {error:?}"))
    }

    /// An app with `options` set.
    ///
    /// # Errors
    ///
    /// Those of `build()`.
    ///
    /// # Panics
    ///
    /// When no file can be written.
    pub fn try_with(
        source: &str,
        options: impl FnOnce(PyAppBuilder) -> PyAppBuilder,
    ) -> Result<Self, Error> {
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
        let builder = PyApp::builder(format!("{module}:handle"))
            .path(folder.path())
            .slow_call(NEVER);
        let mut builder = builder.executor(executor::chosen());
        if source.contains("def init(") {
            builder = builder.init(format!("{module}:init"));
        }
        let python = options(builder).build()?;
        Ok(Self {
            python,
            module,
            folder,
        })
    }

    /// `module:attribute` with this app's module.
    pub fn target(&self, attribute: &str) -> String {
        format!("{}:{attribute}", self.module)
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
        ask(self.python.service(), request).await
    }

    /// Serves the handler for all paths.
    pub async fn serve(&self) -> Server {
        serve(Router::new().fallback_service(self.python.service())).await
    }

    /// Serves the routes of the init function.
    ///
    /// # Panics
    ///
    /// When they are no routes.
    pub async fn serve_routes(&self) -> Server {
        serve(
            self.python
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
