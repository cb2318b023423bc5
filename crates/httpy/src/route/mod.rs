//! Routes: from the map that Python's init returned to axum routes, and from a matched path to params.
//!
//! [`RouteMap`] is what Python said, [`Routes`] is what it means, checked in full. [`mount`] turns it into an axum
//! router, `Routes::find` matches without one. [`captures`], [`query`] and [`decode_path`] read the raw target of a
//! request. Nothing but `behind` knows what answers a request: the service is a type parameter.

#[cfg(feature = "axum")]
mod behind;
mod check;
mod error;
mod literal;
mod map;
mod matcher;
mod method;
#[cfg(feature = "axum")]
mod mount;
mod param;
mod pattern;
mod query;

#[cfg(feature = "axum")]
pub use behind::Pass;
#[cfg(feature = "axum")]
pub(crate) use behind::Unrouted;
pub(crate) use check::Routes;
pub use map::RouteMap;
pub(crate) use matcher::Match;
#[cfg(feature = "axum")]
pub(crate) use mount::mount;
pub(crate) use param::{captures, decode_path};
pub(crate) use query::query;
