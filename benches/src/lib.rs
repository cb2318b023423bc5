//! What the measurements share: the standard request, the app that answers it, and its parts one by one.
//!
//! The standard request is what a browser sends: `GET` with 13 header lines, 2 query keys and 1 capture. Its handler is
//! `trivial` of `python/handler.py`, so that what is measured is httpy.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use httpy::{PyApp, RouteMap};
use httpy_core::{BodyKind, Call, Fields, Returned};
use httpy_python::bench::Attached;
use httpy_python::{Runtime, interpreter::Options};

/// The handler.
pub const TARGET: &str = "handler:trivial";

/// The path of the standard request, and the template that it matches.
pub const PATH: &str = "/hello/world";
/// See [`PATH`].
pub const TEMPLATE: &str = "/hello/{target}";
/// The query of the standard request.
pub const QUERY: &str = "page=2&sort=name";

/// The header lines of the standard request.
pub const HEADERS: [(&str, &str); 13] = [
    ("host", "127.0.0.1:8080"),
    ("connection", "keep-alive"),
    ("cache-control", "max-age=0"),
    ("upgrade-insecure-requests", "1"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("sec-fetch-site", "none"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-user", "?1"),
    ("sec-fetch-dest", "document"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9"),
    ("cookie", "session=d3b07384d113edec49eaa6238ad5ff00"),
];

/// The standard request, without a body.
///
/// # Panics
///
/// Never: its parts are constants.
pub fn request() -> Request<Body> {
    let mut request = Request::builder().uri(format!("{PATH}?{QUERY}"));
    for (name, value) in HEADERS {
        request = request.header(name, value);
    }
    request.body(Body::empty()).unwrap_or_default()
}

/// The app with one handler and one route for the standard request.
///
/// # Errors
///
/// When CPython does not start.
pub fn app() -> Result<PyApp, httpy::Error> {
    PyApp::builder(TARGET).path(python()).workers(1..=1).build()
}

/// The route map of the standard request.
pub fn map() -> RouteMap {
    RouteMap::new(vec![("/hello/:target".to_owned(), vec!["GET".to_owned()])])
}

/// The attached part of the standard request.
///
/// # Errors
///
/// When CPython does not start or `call` is for a handler that cannot be loaded.
pub fn attached(call: Call) -> Result<Attached, Box<dyn std::error::Error>> {
    let runtime = Runtime::start(&Options::default())?;
    runtime.add_paths(vec![python().into()])?;
    let target = runtime.load_handler(TARGET.to_owned(), vec![python().into()])?;
    Attached::new(Arc::clone(&runtime), target, call).ok_or_else(|| "the handler was not loaded".into())
}
