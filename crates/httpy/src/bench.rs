//! The pieces of a request's way that are private, for the measurements in `benches/`.
//!
//! Behind the feature `bench`, which nothing else switches on, and no part of the public interface.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::request::Parts;
use http::{Method, Request};
use httpy_core::{Call, Fields};
use tower::Service;

use crate::route::{Match, Routes, captures, mount, query};
use crate::{Error, PyService, RouteMap};

/// The call for a request's head, as `service` prepares it.
///
/// # Errors
///
/// What a request like it would be refused with.
pub fn call(service: &PyService, parts: Parts) -> Result<Call, Error> {
    crate::service::prepare(service, parts)
}

/// What `template` captures in the raw path.
pub fn params(template: &str, raw_path: &str) -> Fields {
    let mut params = Fields::new();
    captures(template, raw_path, &mut params);
    params
}

/// A raw query, decoded.
pub fn fields(raw_query: &str) -> Fields {
    query(raw_query)
}

/// A checked route map.
#[derive(Clone, Debug)]
pub struct Checked(Routes);

impl Checked {
    /// Checks `map`.
    ///
    /// # Errors
    ///
    /// Entries that are no routes.
    pub fn read(map: &RouteMap) -> Result<Self, Error> {
        Ok(Self(Routes::read(map)?))
    }

    /// The template that matches, as [`PyRoutes::fallback`](crate::PyRoutes::fallback) finds it.
    pub fn find(&self, method: &Method, raw_path: &str) -> Option<&str> {
        match self.0.find(method, raw_path) {
            Match::Found { template } => Some(template),
            _ => None,
        }
    }

    /// The routes as an axum router, each of them `service`.
    pub fn mount<T>(&self, service: &T) -> Router
    where
        T: Service<Request<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
        T::Response: IntoResponse + 'static,
        T::Future: Send + 'static,
    {
        mount(&self.0, service)
    }
}
