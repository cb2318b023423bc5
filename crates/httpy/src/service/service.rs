//! `PyService`: one Python handler as a `tower::Service`.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use httpy_core::TargetId;
use tower::{BoxError, Service};

use super::{CallFuture, ResponseBody, ResponseFuture};
use crate::app::Shared;
use crate::route::Routes;

/// One Python handler as a [`tower::Service`], to be mounted wherever a service fits: [`Router::route_service`], a tower
/// stack, hyper itself.
///
/// Takes requests with any body of [`Bytes`]; it never fails ([`Infallible`]): what goes wrong becomes a response as the
/// contract's table says, with the [`Error`](crate::Error) in its extensions. Those who want the error itself call
/// [`try_call`](Self::try_call).
///
/// Made by [`PyApp::service`](crate::PyApp::service), [`PyApp::handler`](crate::PyApp::handler) and
/// [`PyApp::fallback`](crate::PyApp::fallback). A clone is one reference count. It is always ready: a full queue is
/// answered with 503.
///
/// # Cancellation
///
/// A dropped future gives up its call: one that still waits never runs; one that runs is finished and its result dropped.
///
/// # Panics
///
/// The futures need a tokio runtime with its timer, as `#[tokio::main]` makes it.
///
/// [`Router::route_service`]: axum::Router::route_service
#[derive(Clone)]
pub struct PyService {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) app: Arc<Shared>,
    pub(super) id: TargetId,
    pub(super) target: String,
    /// The routes that are matched here instead of by axum.
    pub(super) routes: Option<Routes>,
}

impl PyService {
    pub(crate) fn new(app: Arc<Shared>, id: TargetId, target: String, routes: Option<Routes>) -> Self {
        Self { inner: Arc::new(Inner { app, id, target, routes }) }
    }

    /// A service of the same handler that matches routes by itself.
    pub(crate) fn matching(&self, routes: Routes) -> Self {
        let Inner { app, id, target, .. } = &*self.inner;
        Self::new(Arc::clone(app), *id, target.clone(), Some(routes))
    }

    /// Calls the handler like [`Service::call`], but gives the failure as it is instead of a response. It is logged all the
    /// same.
    ///
    /// # Errors
    ///
    /// Every way in which a call fails, told apart by the predicates of [`Error`](crate::Error).
    pub fn try_call<B>(&self, request: Request<B>) -> CallFuture<B>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        CallFuture::new(self.clone(), request)
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

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture<B> {
        ResponseFuture::new(self.try_call(request))
    }
}

impl fmt::Debug for PyService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PyService").field("target", &self.inner.target).finish_non_exhaustive()
    }
}
