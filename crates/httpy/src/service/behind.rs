//! `PyService::behind`: native routes first, Python for everything else; `Pass`: a native handler that leaves a request to
//! Python.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::NestedPath;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode, Uri};
use tower::util::ServiceExt;
use tower::{Layer, Service};

use super::PyService;

/// What a native handler returns to leave its request to the Python service [behind](PyService::behind) it: one id of
/// many, one request of a hundred.
///
/// The request is whatever the handler extracted, usually all of it, with its body unread. Headers and extensions that the
/// handler has changed go along; the path is that of the router behind which the service stands.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, extract::Request, routing::get};
/// use http_body_util::BodyExt;
/// use httpy::Pass;
/// use tower::ServiceExt;
///
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// async fn order(request: Request) -> Result<&'static str, Pass> {
///     match request.uri().path() {
///         "/orders/new" => Err(Pass(request)),
///         _ => Ok("native"),
///     }
/// }
///
/// let app = Router::new().route("/orders/{id}", get(order));
/// let app: Router = engine.handler("shop:handle")?.behind(app);
///
/// for (path, expected) in [("/orders/7", "native"), ("/orders/new", "Python answers GET /orders/new")] {
///     let request = Request::get(path).body(axum::body::Body::empty())?;
///     let body = app.clone().oneshot(request).await?.into_body().collect().await?;
///     assert_eq!(body.to_bytes(), expected);
/// }
/// # Ok(()) }
/// ```
///
/// Outside of a router with a service behind it, the answer is 500.
#[derive(Debug)]
pub struct Pass(pub Request<Body>);

/// On its way to the layer, in the extensions of a response, which have to be `Clone`.
#[derive(Clone)]
struct Passed(Arc<Mutex<Option<Request<Body>>>>);

impl IntoResponse for Pass {
    fn into_response(self) -> Response {
        let text = "this request was passed on, but there is no service behind\n";
        let mut response = (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
        let passed = Passed(Arc::new(Mutex::new(Some(self.0))));
        response.extensions_mut().insert(passed);
        response
    }
}

impl PyService {
    /// `router`, with this service for everything that it does not have: paths, methods of its paths (a CORS preflight, for
    /// example), and requests that its handlers [`Pass`] on.
    ///
    /// [`Router::fallback_service`] alone answers 405 to a method that only Python knows. A fallback that the router has is
    /// replaced. Add layers for both, such as tracing and compression, to the router that is returned. Where the path has
    /// native methods and Python answers another one, axum adds an `Allow` header with the native ones, unless Python sets it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::{Router, body::Body, routing::get};
    /// use http::Request;
    /// use http_body_util::BodyExt;
    /// use tower::ServiceExt;
    ///
    /// # let engine = httpy::PyEngine::builder().path("python").build()?;
    /// let app = Router::new().route("/orders", get(|| async { "native" }));
    /// let app: Router = engine.handler("shop:handle")?.behind(app);
    ///
    /// for (method, path, expected) in [
    ///     ("GET", "/orders", "native"),
    ///     ("POST", "/orders", "Python answers POST /orders"),
    ///     ("GET", "/about", "Python answers GET /about"),
    /// ] {
    ///     let request = Request::builder().method(method).uri(path).body(Body::empty())?;
    ///     let body = app.clone().oneshot(request).await?.into_body().collect().await?;
    ///     assert_eq!(body.to_bytes(), expected);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn behind<S>(self, router: Router<S>) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        router
            .fallback_service(self.clone())
            .method_not_allowed_fallback(|request: Request<Body>| async { Pass(request) })
            .layer(BehindLayer(self))
    }
}

/// Sends what handlers pass on to the service.
#[derive(Clone)]
struct BehindLayer(PyService);

impl<N> Layer<N> for BehindLayer {
    type Service = Behind<N>;

    fn layer(&self, native: N) -> Behind<N> {
        Behind {
            native,
            python: self.0.clone(),
        }
    }
}

#[derive(Clone)]
struct Behind<N> {
    native: N,
    python: PyService,
}

impl<N> Service<Request<Body>> for Behind<N>
where
    N: Service<Request<Body>, Response = Response, Error = Infallible>,
    N::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.native.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let place = Place::of(&request);
        let native = self.native.call(request);
        let python = self.python.clone();
        Box::pin(async move {
            let mut response = native.await?;
            let passed = response.extensions_mut().remove::<Passed>();
            let passed = passed.and_then(|Passed(request)| {
                request
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take()
            });
            match passed {
                Some(mut request) => {
                    place.restore(&mut request);
                    Ok(python.oneshot(request).await?.into_response())
                }
                None => Ok(response),
            }
        })
    }
}

/// Where a request is among routers, outside of those that the router before the service has nested.
struct Place {
    uri: Uri,
    nested: Option<NestedPath>,
}

impl Place {
    fn of(request: &Request<Body>) -> Self {
        Self {
            uri: request.uri().clone(),
            nested: request.extensions().get().cloned(),
        }
    }

    fn restore(self, request: &mut Request<Body>) {
        *request.uri_mut() = self.uri;
        let extensions = request.extensions_mut();
        match self.nested {
            Some(nested) => drop(extensions.insert(nested)),
            None => drop(extensions.remove::<NestedPath>()),
        }
        extensions.insert(Unrouted);
    }
}

/// What routers have captured for a native route is not the service's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unrouted;
