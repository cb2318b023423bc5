//! `PyEngine::serve`: a router served until a signal, and everything that has to end then, in its order.

use std::any::Any;
use std::convert::Infallible;
use std::fmt::Debug;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use axum::middleware::AddExtension;
use axum::serve::{IncomingStream, Listener};
use axum::{Extension, Router};
use tower::util::Either;
use tower::{Layer, Service};

use super::{PyEngine, shutdown_signal};

impl PyEngine {
    /// Serves `router` until SIGINT (Ctrl-C) or SIGTERM, and ends the engine: what a program's `main` does last.
    ///
    /// ```no_run
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::Router;
    /// use httpy::PyEngine;
    ///
    /// let engine = PyEngine::builder().path("python").build()?;
    /// let app = engine.handler("shop:handle")?.behind(Router::new());
    ///
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    /// engine.serve(listener, app).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// The log has one line at the start (Python, targets, address), and one at the signal. From the signal on
    /// [`readiness`](Self::readiness) answers 503. After the [drain](crate::PyEngineBuilder::drain) the listener is closed and
    /// new calls are answered with 503. Pending calls end within the [grace period](crate::PyEngineBuilder::grace); then they
    /// are answered with 503, and half a second later connections that are still open are closed. Then the engine
    /// [shuts down](Self::shutdown). A second signal ends the process at once.
    ///
    /// Native handlers and Python code know the client's address where the listener is one of TCP
    /// (`ConnectInfo<SocketAddr>`). A program that serves in another way uses [`stop_on`](Self::stop_on),
    /// [`grace_elapsed`](Self::grace_elapsed) and [`shutdown`](Self::shutdown), of which this is made.
    ///
    /// # Errors
    ///
    /// When the listener has no address, and what [`axum::serve()`] returns.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with its timer and I/O.
    ///
    /// # Cancellation
    ///
    /// Dropping the future stops accepting connections. The engine does not shut down then.
    pub async fn serve<L>(&self, listener: L, router: Router) -> io::Result<()>
    where
        L: Listener,
        L::Addr: Debug + Sync + 'static,
    {
        // The signals are watched before anybody can know the address.
        let stop = self.stop_on(shutdown_signal(), self.inner.config.engine.grace);
        self.announce(Some(&listener.local_addr()?));
        let serving =
            axum::serve(listener, WithClient(router.with_state(()))).with_graceful_shutdown(stop);
        tokio::select! {
            served = serving => served?,
            () = self.grace_elapsed() => {} // connections that are still open are closed with the runtime
        }
        self.shutdown().await;
        Ok(())
    }
}

/// Makes the service of each connection: the router, which knows the client's address.
struct WithClient(Router);

impl<L> Service<IncomingStream<'_, L>> for WithClient
where
    L: Listener,
    L::Addr: 'static,
{
    type Response = Either<AddExtension<Router, ConnectInfo<SocketAddr>>, Router>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, connection: IncomingStream<'_, L>) -> Self::Future {
        let router = self.0.clone();
        let address: &dyn Any = connection.remote_addr();
        ready(Ok(match address.downcast_ref::<SocketAddr>() {
            Some(client) => Either::Left(Extension(ConnectInfo(*client)).layer(router)),
            None => Either::Right(router),
        }))
    }
}
