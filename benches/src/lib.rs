//! What the measurements share: the standard request, the service that answers it, and the parts of its way.
//!
//! The standard request is what a browser sends: `GET` with 13 header lines, 2 query keys and 1 capture. Its handler is
//! `trivial` of `python/handler.py`, so that what is measured is httpy.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use httpy::{Executor, PyEngine, PyService};
use httpy_core::{BodyKind, Content, Fields, Listener, Returned};
use httpy_python::bench::Attached;
use httpy_python::{Runtime, interpreter::Options};

/// Any error: a measurement that cannot be made ends with its message.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The path of the standard request.
pub const PATH: &str = "/hello/world";
/// What its path matches.
pub const TEMPLATE: &str = "/hello/{target}";
/// Its query.
pub const QUERY: &str = "page=2&sort=name";
/// Its header lines.
pub const HEADERS: [(&str, &str); 13] = [
    ("host", "127.0.0.1:8080"),
    ("connection", "keep-alive"),
    ("cache-control", "max-age=0"),
    ("upgrade-insecure-requests", "1"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    ),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    ),
    ("sec-fetch-site", "none"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-user", "?1"),
    ("sec-fetch-dest", "document"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9"),
    ("cookie", "session=d3b07384d113edec49eaa6238ad5ff00"),
];

/// The handler of the standard request.
pub const TARGET: &str = "handler:trivial";
/// The folder of its module.
pub const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python");

/// The standard request.
pub fn request() -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static("/hello/world?page=2&sort=name");
    for (name, value) in HEADERS {
        request
            .headers_mut()
            .insert(name, http::HeaderValue::from_static(value));
    }
    request
}

/// The service that finds the standard request's route, captures and calls the handler.
///
/// # Errors
///
/// When CPython does not start.
pub fn service() -> Result<PyService> {
    let engine = PyEngine::builder()
        .path(PYTHON)
        .executor(Executor::threads().workers(1..=1))
        .build()?;
    Ok(engine.routes("handler:routes", TARGET)?.fallback()?)
}

/// The part of the standard request that runs attached.
///
/// # Errors
///
/// When CPython does not start.
pub fn attached() -> Result<Attached> {
    let call = httpy::bench::call(&service()?, request().into_parts().0)?;
    let listener = Listener {
        late: |_, _| {},
        notice: |_| {},
        exit: |_| {},
    };
    let runtime = Runtime::start(&Options::default(), listener)?;
    let target = runtime.load(
        httpy_core::Kind::Handler,
        TARGET.to_owned(),
        vec![PYTHON.into()],
    )?;
    Attached::new(runtime, target, call).ok_or_else(|| "the handler was not loaded".into())
}

/// What the handler returns, as plain data.
pub fn returned() -> Returned {
    let mut headers = Fields::with_capacity(1, 256);
    headers.push(b"X-Test", b"1");
    let body = Bytes::from_static(b"hello");
    Returned {
        status: StatusCode::OK,
        body: Content::Whole(body),
        kind: BodyKind::Text,
        headers,
        header_lines: 1,
    }
}
