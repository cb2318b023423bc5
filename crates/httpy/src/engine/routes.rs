//! `PyRoutes`: the routes of an init function, and the ways to mount them.

#[cfg(feature = "axum")]
use std::any::Any;
use std::fmt;
#[cfg(feature = "axum")]
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

#[cfg(feature = "axum")]
use axum::Router;

use super::LiveRoutes;
#[cfg(feature = "axum")]
use crate::route::{Routes, mount};
use crate::{Error, PyService, RouteMap};

/// The routes that an init function has returned, with the handler that serves them. Made by
/// [`PyEngine::routes`](crate::PyEngine::routes).
///
/// A clone is one reference count.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::Router;
/// use axum::body::Body;
/// use http::Request;
/// use tower::ServiceExt;
///
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// // python/shop.py:
/// //     def startup():
/// //         return {"/price/{item}": ["GET"]}
/// let routes = engine.routes("shop:startup", "shop:handle")?;
/// assert_eq!(routes.map().iter().next(), Some(("/price/{item}", &["GET".to_owned()][..])));
///
/// let app: Router = routes.router()?;
/// let response = app.clone().oneshot(Request::get("/price/tea").body(Body::empty())?).await?;
/// assert_eq!(response.status(), 200);
/// let response = app.oneshot(Request::post("/price/tea").body(Body::empty())?).await?;
/// assert_eq!(response.status(), 405);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PyRoutes {
    live: Arc<LiveRoutes>,
    service: PyService,
}

impl PyRoutes {
    pub(super) fn new(service: PyService, map: RouteMap) -> Self {
        Self {
            live: Arc::new(LiveRoutes::new(map)),
            service,
        }
    }

    pub(super) fn live(&self) -> Arc<LiveRoutes> {
        Arc::clone(&self.live)
    }

    /// These routes, served by `service`, such as [`self.service()`](Self::service) with options of its own.
    #[must_use = "the service is that of the routes which are returned"]
    pub fn with_service(mut self, service: PyService) -> Self {
        self.service = service;
        self
    }

    /// The handler as a service for any path.
    pub fn service(&self) -> PyService {
        self.service.clone()
    }

    /// The init function's result at the start, as it came, order kept.
    pub fn map(&self) -> &RouteMap {
        self.live.map()
    }

    /// One axum route per entry of [`map`](Self::map), to be merged into the host's router.
    ///
    /// # Errors
    ///
    /// All entries that are no routes, in one [`Error`] with [`is_routes`](Error::is_routes).
    ///
    /// # Panics
    ///
    /// Not this method, but [`Router::merge`] panics when the host has a route with the same path and method, or a
    /// conflicting one. [`merge_into`](Self::merge_into) returns an error instead, [`RouteMap::retain`] with
    /// [`router_for`](Self::router_for) leaves routes out, and behind [`fallback`](Self::fallback) the host's routes win.
    #[cfg(feature = "axum")]
    pub fn router<S>(&self) -> Result<Router<S>, Error>
    where
        S: Clone + Send + Sync + 'static,
    {
        self.router_for(self.map())
    }

    /// One axum route per entry of `map`, all to the handler.
    ///
    /// # Errors
    ///
    /// As [`router`](Self::router).
    #[cfg(feature = "axum")]
    pub fn router_for<S>(&self, map: &RouteMap) -> Result<Router<S>, Error>
    where
        S: Clone + Send + Sync + 'static,
    {
        let router = self.mounted(map)?;
        self.live.fix();
        Ok(router)
    }

    /// `host` with one route per entry of [`map`](Self::map), as [`Router::merge`] with [`router`](Self::router) gives it; but
    /// a route that the host has already is an error, and not a panic.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::{Router, routing::get};
    ///
    /// # let engine = httpy::PyEngine::builder().path("python").build()?;
    /// let routes = engine.routes("shop:startup", "shop:handle")?; // {"/price/{item}": ["GET"]}
    /// let host: Router = Router::new().route("/price/{id}", get(|| async { "native" }));
    /// let error = routes.merge_into(host).unwrap_err();
    /// assert!(error.is_routes() && error.to_string().contains("\"/price/{item}\""));
    /// # Ok(()) }
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
        let merged = merge(self.mounted(self.map())?);
        if merged.is_ok() {
            self.live.fix();
        }
        merged.or_else(|all| {
            let mut conflicts = Vec::new();
            for (pattern, methods) in self.map().iter() {
                let one = RouteMap::new(vec![(pattern.to_owned(), methods.to_vec())]);
                if let Err(problem) = merge(self.mounted(&one)?) {
                    conflicts.push((pattern, problem));
                }
            }
            Err(Error::routes_of_host(&conflicts, &all))
        })
    }

    #[cfg(feature = "axum")]
    fn mounted<S>(&self, map: &RouteMap) -> Result<Router<S>, Error>
    where
        S: Clone + Send + Sync + 'static,
    {
        Ok(mount(&Routes::read(map)?, &self.service))
    }

    /// A service with a matcher of its own over [`map`](Self::map), for [`PyService::behind`] or
    /// [`Router::fallback_service`]: the host's routes always win, and nothing can conflict. Unknown paths are answered with
    /// 404, other methods with 405.
    ///
    /// # Errors
    ///
    /// As [`router`](Self::router).
    pub fn fallback(&self) -> Result<PyService, Error> {
        Ok(self.service.matching(self.live.matched()?))
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

impl fmt::Debug for PyRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PyRoutes")
            .field("service", &self.service)
            .field("map", self.map())
            .finish_non_exhaustive()
    }
}
