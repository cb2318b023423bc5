//! `PyService`: one Python handler as a `tower::Service`.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use httpy_core::{Loaded, TargetId};
use tower::{BoxError, Service};

use super::limit::Limit;
use super::slot::Readiness;
use super::{CallFuture, ResponseBody, ResponseFuture, prepare};
use crate::app::{Shared, Swap};
use crate::config::LONGEST;
use crate::debug_page::Asked;
use crate::metric::TargetSeries;

/// One Python handler as a [`tower::Service`], to be mounted wherever a service fits: [`Router::route_service`], a tower
/// stack, hyper itself.
///
/// Takes requests with any body of [`Bytes`]; it never fails ([`Infallible`]): what goes wrong becomes a response as the
/// contract's table says, with the [`Error`](crate::Error) in its extensions. Those who want the error itself call
/// [`try_call`](Self::try_call).
///
/// Made by [`PyApp::service`](crate::PyApp::service), [`PyApp::handler`](crate::PyApp::handler) and
/// [`PyApp::fallback`](crate::PyApp::fallback). A clone is one reference count. It is always ready, and a full queue is
/// answered with 503; unless the app was built with [`OnFull::Wait`](crate::OnFull::Wait): then it is ready when it has
/// reserved a place in the queue, which its next call takes, and a clone starts without one.
///
/// # Cancellation
///
/// A dropped future gives up its call: one that still waits never runs, and lets go of its body at once; one that runs may
/// end until its deadline, where it is interrupted, and its result is dropped. A service that is dropped before its call gives
/// back the place that it has reserved.
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
    pub(super) app: Arc<Shared>,
    pub(super) id: TargetId,
    pub(super) target: String,
    /// The handler reads its body as a stream.
    pub(super) reads_stream: bool,
    /// The routes that are matched here instead of by axum.
    pub(super) routes: Option<Arc<Swap>>,
    pub(super) deadline: Duration,
    pub(super) max_wait: Duration,
    /// Bytes of a request's body.
    pub(super) body_limit: usize,
    pub(super) limit: Option<Limit>,
    /// Where the host has a recorder of metrics.
    pub(super) series: Option<Arc<TargetSeries>>,
}

impl PyService {
    pub(crate) fn new(app: Arc<Shared>, loaded: Loaded, target: String) -> Self {
        let Loaded { id, reads_stream } = loaded;
        let (deadline, max_wait, body_limit) =
            (app.limits.deadline, app.limits.max_wait, app.limits.body);
        let series = app.metrics.then(|| Arc::new(TargetSeries::new(&target)));
        Inner {
            app,
            id,
            target,
            reads_stream,
            routes: None,
            deadline,
            max_wait,
            body_limit,
            limit: None,
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

    pub(crate) fn target(&self) -> &str {
        &self.inner.target
    }

    /// This service with a limit of its own: at most so many of its jobs wait in the queue or are at work; one more is
    /// answered with 503 at once, whatever [`on_full`](crate::PyAppBuilder::on_full) says. What is slow so leaves room for the
    /// app's other services, which share the workers:
    ///
    /// ```
    /// # fn check(python: httpy::PyApp) -> Result<axum::Router, httpy::Error> {
    /// let report = python.handler("report:report")?.with_limit(2);
    /// let app = axum::Router::new().route_service("/report", report).merge(python.router()?);
    /// # Ok(app) }
    /// ```
    ///
    /// A job counts until its handler has returned, and where that returned an iterator, until that is closed; also when its
    /// client was answered with 504 long before. A call that is
    /// abandoned in the queue stops counting at once. All clones share the limit; the service that this one was made of does
    /// not, and a limit that it has is replaced. With 0 every call is refused. Defaults to none: the app's queue and workers
    /// are the limit.
    #[must_use = "the limit is that of the service which is returned"]
    pub fn with_limit(self, jobs: usize) -> Self {
        Inner {
            limit: Some(Limit::new(jobs)),
            ..Inner::clone(&self.inner)
        }
        .into()
    }

    /// This service with a deadline of its own instead of [the app's](crate::PyAppBuilder::deadline); the longest wait for a
    /// worker is the app's, but not longer than this deadline. A year at most; with 0 no call is in time. A limit stays
    /// shared with the service that this one was made of. Defaults to the app's deadline.
    #[must_use = "the deadline is that of the service which is returned"]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        let deadline = deadline.min(LONGEST);
        let max_wait = self.inner.app.limits.max_wait.min(deadline);
        Inner {
            deadline,
            max_wait,
            ..Inner::clone(&self.inner)
        }
        .into()
    }

    /// This service with a limit of its own for the bytes of a request's body, instead of
    /// [the app's](crate::PyAppBuilder::body_limit): uploads that a handler reads as a stream (`httpy_rs.Body`) may be
    /// as large as they like, since they are never held. A body that is read whole has to fit into the app's
    /// [`body_budget`](crate::PyAppBuilder::body_budget) as well, and is answered with 503 where it does not. A limit of jobs
    /// stays shared with the service that this one was made of. Defaults to the app's limit.
    #[must_use = "the limit is that of the service which is returned"]
    pub fn with_body_limit(self, bytes: usize) -> Self {
        Inner {
            body_limit: bytes,
            ..Inner::clone(&self.inner)
        }
        .into()
    }

    /// Calls the handler like [`Service::call`], but gives the failure as it is instead of a response. It is logged all the
    /// same. It takes its place in the queue itself: a full one is an error, whatever the app's
    /// [`on_full`](crate::PyAppBuilder::on_full).
    ///
    /// # Errors
    ///
    /// Every way in which a call fails, told apart by the predicates of [`Error`](crate::Error).
    pub fn try_call<B>(&self, request: Request<B>) -> CallFuture<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        CallFuture::new(self.clone(), Ok(None), request)
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
        let (mut head, body) = request.into_parts();
        let is_debug = self.inner.app.failure_response.is_debug();
        let asked = is_debug.then(|| {
            let found = prepare::route(&self.inner, &mut head).ok();
            Box::new(Asked::new(&head, found))
        });
        let request = Request::from_parts(head, Asked::watch(asked.as_deref(), body));
        ResponseFuture::new(CallFuture::new(self.clone(), slot, request), asked)
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
