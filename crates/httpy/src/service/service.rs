//! `PyService`: one Python handler as a `tower::Service`.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use httpy_core::TargetId;
use tower::{BoxError, Service};

use super::debug_page::Asked;
use super::limit::{Concurrency, Limit};
use super::shared::Shared;
use super::slot::Readiness;
use super::{CallFuture, ResponseBody, ResponseFuture, prepare};
use crate::ServiceOptions;
use crate::config::Limits;
use crate::metric::TargetSeries;
use crate::route::Swap;

/// A Python handler as a [`tower::Service`], to be mounted wherever a service fits: [`Router::route_service`], a tower stack,
/// hyper itself.
///
/// It takes requests with any body of [`Bytes`], and never fails ([`Infallible`]): a failure becomes a response as the
/// contract's table says, with the [`Error`](crate::Error) in its extensions. [`try_call`](Self::try_call) returns the error
/// itself.
///
/// Made by [`PyEngine::handler`](crate::PyEngine::handler), [`PyEngine::service`](crate::PyEngine::service) and
/// [`PyRoutes::fallback`](crate::PyRoutes::fallback). A clone is one reference count. It is always ready, and a call beyond a
/// full queue is answered with 503; unless the engine was built with [`OnFull::Wait`](crate::OnFull::Wait): then it is ready
/// when it has reserved a place in the queue, which its next call takes, and a clone starts without one.
///
/// Its options are its own: each `with_*` method returns another service, which shares a [limit](Self::with_limit) with the
/// first one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::Router;
/// use axum::body::Body;
/// use http::Request;
/// use std::time::Duration;
/// use tower::ServiceExt;
///
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let report = engine.handler("shop:report")?
///     .with_deadline(Duration::from_secs(90))
///     .with_limit(2);
/// let app: Router = Router::new().route_service("/report", report);
///
/// let response = app.oneshot(Request::get("/report").body(Body::empty())?).await?;
/// assert_eq!(response.status(), 200);
/// # Ok(()) }
/// ```
///
/// # Cancellation
///
/// A dropped future gives up its call. A call that still waits never runs, and its body is dropped at once. A call that runs
/// may end until its deadline, where it is interrupted; its result is dropped. A service that is dropped before its call
/// releases the place that it has reserved.
///
/// # Panics
///
/// The futures need a tokio runtime with its timer, as `#[tokio::main]` makes it.
///
/// [`Router::route_service`]: axum::Router::route_service
pub struct PyService {
    pub(super) inner: Arc<Inner>,
    readiness: Readiness,
}

#[derive(Clone)]
pub(super) struct Inner {
    pub(super) engine: Arc<Shared>,
    pub(super) id: TargetId,
    pub(super) target: String,
    /// The routes that are matched here instead of by axum.
    pub(super) routes: Option<Arc<Swap>>,
    options: ServiceOptions,
    /// What the options come to.
    pub(super) limits: Limits,
    pub(super) limit: Option<Limit>,
    pub(super) concurrency: Option<Concurrency>,
    /// Where the host has a recorder of metrics.
    pub(super) series: Option<Arc<TargetSeries>>,
}

impl PyService {
    pub(crate) fn new(engine: Arc<Shared>, id: TargetId, target: String) -> Self {
        let options = engine.defaults.clone();
        let limits = options.limits(id.interface);
        engine.note_deadline(limits.deadline);
        let series = engine.metrics.then(|| Arc::new(TargetSeries::new(&target)));
        Inner {
            engine,
            id,
            target,
            routes: None,
            limits,
            limit: options.limit.map(Limit::new),
            concurrency: options.concurrency.map(Concurrency::new),
            options,
            series,
        }
        .into()
    }

    /// A service of the same handler that matches routes by itself.
    pub(crate) fn matching(&self, routes: Arc<Swap>) -> Self {
        Inner {
            routes: Some(routes),
            ..Inner::clone(&self.inner)
        }
        .into()
    }

    /// This service with `options`, where they say something. Each has a `with_*` method, where it is described.
    #[must_use = "the options are those of the service which is returned"]
    pub fn with(self, options: &ServiceOptions) -> Self {
        let limit = options.limit.map(Limit::new);
        let concurrency = options.concurrency.map(Concurrency::new);
        let options = options.clone().or(&self.inner.options);
        let limits = options.limits(self.inner.id.interface);
        self.inner.engine.note_deadline(limits.deadline);
        Inner {
            limits,
            limit: limit.or_else(|| self.inner.limit.clone()),
            concurrency: concurrency.or_else(|| self.inner.concurrency.clone()),
            options,
            ..Inner::clone(&self.inner)
        }
        .into()
    }

    fn set(self, set: impl FnOnce(&mut ServiceOptions)) -> Self {
        let mut options = ServiceOptions::new();
        set(&mut options);
        self.with(&options)
    }

    /// Maximum time from the queue to the answer, or to the head of a streamed one, after which
    /// [`chunk_timeout`](Self::with_chunk_timeout) holds. It starts when the body has been read; a handler that reads its body
    /// as a stream (`httpy_rs.Body`) reads it within that time.
    ///
    /// Past it the client gets 504, or 503 where the handler was not called yet. A handler that runs is interrupted: the
    /// exception `httpy_rs.DeadlineExceeded` is raised in it, unless it is in a `httpy_rs.shield()`, and its stack is logged.
    /// Code that is not Python cannot be interrupted; see [`Advanced::lost_after`](crate::Advanced::lost_after). A year at
    /// most; with 0 no call is in time. Defaults to 30 s, and to 60 s for an ASGI or WSGI app.
    #[must_use = "the deadline is that of the service which is returned"]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        self.set(|options| options.deadline = Some(deadline))
    }

    /// Maximum time that a call waits for a worker before it is answered with 503; not longer than the deadline. With
    /// [`OnFull::Wait`](crate::OnFull::Wait) also the maximum time before that, in which it waits for a place in the queue.
    /// Defaults to the deadline.
    #[must_use = "the limit is that of the service which is returned"]
    pub fn with_max_wait(self, max_wait: Duration) -> Self {
        self.set(|options| options.max_wait = Some(max_wait))
    }

    /// Maximum number of calls of this service that wait in the queue or run; one more is answered with 503 at once, whatever
    /// [`on_full`](crate::PyEngineBuilder::on_full) says. So a slow report leaves room for the engine's other services.
    ///
    /// A call counts until its handler has returned, and where that returned an iterator, until that is closed; also when its
    /// client was answered with 504 long before. A call that is abandoned in the queue stops counting at once. All clones
    /// share the limit; the service that this one was made of does not. With 0 every call is refused. Defaults to none.
    #[must_use = "the limit is that of the service which is returned"]
    pub fn with_limit(self, calls: usize) -> Self {
        self.set(|options| options.limit = Some(calls))
    }

    /// Maximum number of calls of this service that run at the same time; more wait in the queue, first come, first served.
    /// Calls of other services pass them. [`with_limit`](Self::with_limit) refuses more calls instead.
    ///
    /// A call waits for [`max_wait`](Self::with_max_wait) at most, and its deadline goes on meanwhile. All clones share the
    /// number; the service that this one was made of does not. With 0 no call runs. Defaults to none.
    #[must_use = "the limit is that of the service which is returned"]
    pub fn with_concurrency(self, calls: usize) -> Self {
        self.set(|options| options.concurrency = Some(calls))
    }

    /// Maximum size of a request's body, in bytes; a longer one is answered with 413. A handler that reads its body as a stream
    /// (`httpy_rs.Body`) holds none of it, so that its limit may be as large as you like. A body that is read whole has to
    /// fit into the engine's [`body_budget`](crate::PyEngineBuilder::body_budget) as well. Defaults to 2 MiB, as in
    /// axum; an ASGI or WSGI app has no limit.
    #[must_use = "the limit is that of the service which is returned"]
    pub fn with_body_limit(self, bytes: usize) -> Self {
        self.set(|options| options.body_limit = Some(bytes))
    }

    /// Maximum time in which a client sends its body before it is answered with 408; for a handler that reads it as a stream
    /// (`httpy_rs.Body`), between two parts of it. Defaults to 30 s.
    #[must_use = "the limit is that of the service which is returned"]
    pub fn with_body_timeout(self, timeout: Duration) -> Self {
        self.set(|options| options.body_timeout = Some(timeout))
    }

    /// Maximum time between two chunks of a streamed response, once its head is out. Past it the response is aborted, and the
    /// handler is interrupted as by its deadline. A client may take nothing for the same time while Python waits for it;
    /// past that the response is aborted too, and its iterator is closed. Events with a heartbeat (`httpy_rs.sse()`) have no
    /// such limit in Python. Defaults to 30 s; an ASGI or WSGI app has no limit.
    #[must_use = "the limit is that of the service which is returned"]
    pub fn with_chunk_timeout(self, timeout: Duration) -> Self {
        self.set(|options| options.chunk_timeout = Some(timeout))
    }

    /// Maximum time for which the handler of a streamed response runs after its client has left. Its iterator is closed at the
    /// next chunk; if it yields none within this time, it is interrupted as by its deadline, which frees the worker.
    /// [`chunk_timeout`](Self::with_chunk_timeout) does not apply any more. A year at most. Defaults to 30 s.
    #[must_use = "the limit is that of the service which is returned"]
    pub fn with_abandon_after(self, time: Duration) -> Self {
        self.set(|options| options.abandon_after = Some(time))
    }

    /// Calls the handler like [`Service::call`], but returns a failure as an error instead of a response. It is logged all the
    /// same. A full queue is an error, whatever the engine's [`on_full`](crate::PyEngineBuilder::on_full).
    ///
    /// # Errors
    ///
    /// Every way in which a call fails, told apart by the predicates of [`Error`](crate::Error).
    pub fn try_call<B>(&self, request: Request<B>) -> CallFuture<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        CallFuture::new(self.clone(), Ok(None), request, None)
    }
}

impl From<Inner> for PyService {
    fn from(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
            readiness: Readiness::Unasked,
        }
    }
}

impl Clone for PyService {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            readiness: Readiness::Unasked,
        }
    }
}

impl<B> Service<Request<B>> for PyService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture<B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.readiness.poll(&self.inner, context).map(Ok)
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture<B> {
        let slot = self.readiness.take();
        if !self.inner.engine.failure_response.is_debug() {
            let call = CallFuture::new(self.clone(), slot, request, None);
            return ResponseFuture::new(call, None);
        }
        let (mut head, body) = request.into_parts();
        let found = prepare::route(&self.inner, &mut head).ok();
        let asked = Box::new(Asked::new(&head, found));
        let request = Request::from_parts(head, body);
        let call = CallFuture::new(self.clone(), slot, request, Some(asked.body_start()));
        ResponseFuture::new(call, Some(asked))
    }
}

impl fmt::Debug for PyService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PyService")
            .field("target", &self.inner.target)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
