//! Routes: from the map that Python's init returned to axum routes, and from a matched path to params.
//!
//! [`RouteMap`] is what Python said, [`Routes`] is what it means, checked in full. [`mount`] turns it into an axum
//! router, `Routes::find` matches without one. [`captures`], [`query`] and [`decode_path`] read the raw target of a
//! request. What answers a request is not known here: the service is
//! a type parameter.

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

pub(crate) use check::Routes;
pub use map::RouteMap;
pub(crate) use matcher::Match;
#[cfg(feature = "axum")]
pub(crate) use mount::mount;
pub(crate) use param::{captures, decode_path};
pub(crate) use query::query;

/// Routes that are matched here instead of by a router, and that a reload may change.
pub(crate) type Swap = arc_swap::ArcSwap<Routes>;
