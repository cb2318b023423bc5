//! How a failed call becomes a response: a trait, with the contract's table as its default.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use super::debug_page::{self, Asked};
use crate::error::Kind;
use crate::{Error, ResponseBody};

/// Makes the response of a call that failed.
///
/// Closures from `&Error` to a response implement it. It is given to [`PyEngineBuilder::failure_response`], whose default is
/// [`default_response`]. The [`Error`] is put into the response's extensions afterwards, so that layers can see it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use http::{Request, Response};
/// use httpy::{Error, PyEngine, ResponseBody, default_response};
/// use tower::ServiceExt;
///
/// fn in_json(error: &Error) -> Response<ResponseBody> {
///     let mut response = default_response(error, false);
///     *response.body_mut() = r#"{"error": "try again later"}"#.into();
///     response
/// }
///
/// let engine = PyEngine::builder().path("python").failure_response(in_json).build()?;
/// let response = engine.handler("shop:fail")?.oneshot(Request::get("/").body(String::new())?).await?;
/// let body = axum::body::to_bytes(axum::body::Body::new(response.into_body()), 1000).await?;
/// assert_eq!(body, r#"{"error": "try again later"}"#);
/// # Ok(()) }
/// ```
///
/// [`PyEngineBuilder::failure_response`]: crate::PyEngineBuilder::failure_response
pub trait FailureResponse: Send + Sync + 'static {
    /// The response for `error`.
    fn response(&self, error: &Error) -> Response<ResponseBody>;
}

impl<F> FailureResponse for F
where
    F: Fn(&Error) -> Response<ResponseBody> + Send + Sync + 'static,
{
    fn response(&self, error: &Error) -> Response<ResponseBody> {
        self(error)
    }
}

/// The contract's response for a failed call: a status and one short line of text. With `debug` the line is followed by
/// what the log says: the message and Python's traceback.
pub fn default_response(error: &Error, debug: bool) -> Response<ResponseBody> {
    let (status, text) = error.kind().status();
    let mut body = format!("{text}\n");
    if debug {
        body = format!("{body}\n{error:?}\n");
    }
    let mut response = Response::new(ResponseBody::from(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    match error.kind() {
        Kind::MethodNotAllowed(allow) => {
            response.headers_mut().insert(ALLOW, allow.clone());
        }
        _ if status == StatusCode::SERVICE_UNAVAILABLE => {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}

/// The choice of an engine.
#[derive(Clone)]
pub(crate) enum Choice {
    Default { debug: bool },
    Own(Arc<dyn FailureResponse>),
}

impl Choice {
    /// Whether failures are answered with a page about them.
    pub(crate) fn is_debug(&self) -> bool {
        matches!(self, Self::Default { debug: true })
    }

    /// The response for `error`; what was asked is known only in debug.
    pub(crate) fn response(&self, error: Error, asked: Option<&Asked>) -> Response<ResponseBody> {
        let mut response = match self {
            Self::Default { debug: true } => debug_page::response(&error, asked),
            Self::Default { debug: false } => default_response(&error, false),
            Self::Own(own) => own.response(&error),
        };
        response.extensions_mut().insert(error);
        response
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default { debug } => f.debug_struct("Default").field("debug", debug).finish(),
            Self::Own(_) => f.write_str("Own"),
        }
    }
}
