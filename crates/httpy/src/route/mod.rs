//! Routing on the HTTP side: from Python's route map to axum's routes, and from a raw path to params and query.

mod map;
mod matcher;
mod mount;
mod param;
mod pattern;
mod query;
mod routes;

pub use map::RouteMap;
pub(crate) use matcher::{Match, Matcher};
pub(crate) use mount::mount;
pub(crate) use param::{captures, decode_path};
pub(crate) use query::query;
pub(crate) use routes::{RouteError, Routes};
