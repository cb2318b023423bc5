//! `StatusPage`: the engine's snapshot as a page that renews itself, and as JSON.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode};
use tower::Service;

use crate::{PyEngine, ResponseBody, Snapshot};

const HTML: &str = concat!(
    include_str!("head.html"),
    "<style>",
    include_str!("page.css"),
    "</style>\n",
    include_str!("body.html"),
    "<script>",
    include_str!("chart.js"),
    include_str!("where.js"),
    include_str!("loop.js"),
    include_str!("page.js"),
    "</script>\n",
);

/// Nothing is loaded but the page's own data, and nothing runs but its own script, which is known by its hash.
const POLICY: &str = concat!(
    "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; ",
    "script-src 'sha256-5koU+3pTcBjFNVvYeE7IX8iuqnUo31LAq7tESO5edFU='; style-src 'sha256-uGLU5KalbggRsJSPwIVIoXfqCQSQcdoGsLjrBnfU2Mo='",
);

/// A page that shows what an engine does, and the same as JSON: a [`tower::Service`] for `GET` and `HEAD`.
///
/// It takes any request, never fails, and never waits for Python, so that it answers while every worker is stuck.
///
/// | path | what |
/// |---|---|
/// | `/` | the page: one HTML document that loads nothing else, and reads the data every second |
/// | `/data.json` | [`PyEngine::snapshot`] |
/// | `/stacks.json` | [`PyEngine::snapshot_with_stacks`], after half a second at most |
///
/// Made by [`PyEngine::status_page`]. A clone is one reference count.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, body::Body};
/// use http::Request;
/// use tower::ServiceExt;
///
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let app: Router = Router::new().nest_service("/status", engine.status_page());
/// let response = app.oneshot(Request::get("/status/data.json").body(Body::empty())?).await?;
/// assert_eq!(response.headers()["content-type"], "application/json");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct StatusPage {
    engine: PyEngine,
}

/// The future of [`StatusPage`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use http::Request;
/// use httpy::StatusFuture;
/// use tower::Service;
///
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let future: StatusFuture = engine.status_page().call(Request::get("/").body(())?);
/// let Ok(response) = future.await;
/// assert_eq!(response.status(), 200);
/// # Ok(()) }
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct StatusFuture(Answer);

enum Answer {
    Now(Option<Response<ResponseBody>>),
    Stacks(Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>),
}

impl PyEngine {
    /// A page for operators: whether the engine is up, where its requests wait, and what is stuck.
    ///
    /// It shows targets, routes, paths, messages of exceptions, and source lines in stacks: mount it behind your own
    /// authentication, on an address of its own, or not at all. It works below any prefix:
    ///
    /// ```
    /// use axum::extract::Request;
    /// use axum::http::{StatusCode, header::AUTHORIZATION};
    /// use axum::middleware::{Next, from_fn};
    /// use axum::response::{IntoResponse, Response};
    ///
    /// async fn operators_only(request: Request, next: Next) -> Response {
    ///     // "operator:secret", as a browser sends it after it has asked for them.
    ///     let known = request.headers().get(AUTHORIZATION).is_some_and(|value| value == "Basic b3BlcmF0b3I6c2VjcmV0");
    ///     if known {
    ///         return next.run(request).await;
    ///     }
    ///     (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"status\"")]).into_response()
    /// }
    ///
    /// # fn check(python: httpy::PyEngine) -> axum::Router {
    /// let status = axum::Router::new().nest_service("/status", python.status_page()).route_layer(from_fn(operators_only));
    /// # axum::Router::new().merge(status)
    /// # }
    /// ```
    pub fn status_page(&self) -> StatusPage {
        StatusPage {
            engine: self.clone(),
        }
    }
}

impl StatusPage {
    fn answer<B>(&self, request: &Request<B>) -> Answer {
        let is_head = request.method() == Method::HEAD;
        if !is_head && request.method() != Method::GET {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET,HEAD"));
            return Answer::Now(Some(response));
        }
        let answer = move |content: Result<Response<ResponseBody>, serde_json::Error>| {
            let response = content.unwrap_or_else(|error| {
                text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
            });
            if is_head {
                without_body(response)
            } else {
                response
            }
        };
        // Wherever it is mounted, what it is asked for stands at the end.
        match request.uri().path().rsplit('/').next().unwrap_or_default() {
            "data.json" => Answer::Now(Some(answer(json(&self.engine.snapshot())))),
            "stacks.json" => {
                let engine = self.engine.clone();
                Answer::Stacks(Box::pin(async move {
                    answer(json(&engine.snapshot_with_stacks().await))
                }))
            }
            name if name.contains('.') => {
                Answer::Now(Some(answer(Ok(text(StatusCode::NOT_FOUND, "not found\n")))))
            }
            _ => Answer::Now(Some(answer(Ok(page())))),
        }
    }
}

fn page() -> Response<ResponseBody> {
    let mut response = response(
        "text/html; charset=utf-8",
        Bytes::from_static(HTML.as_bytes()),
    );
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

fn json(snapshot: &Snapshot) -> Result<Response<ResponseBody>, serde_json::Error> {
    Ok(response(
        "application/json",
        serde_json::to_vec(snapshot)?.into(),
    ))
}

fn text(status: StatusCode, text: &str) -> Response<ResponseBody> {
    let mut response = response(
        "text/plain; charset=utf-8",
        Bytes::copy_from_slice(text.as_bytes()),
    );
    *response.status_mut() = status;
    response
}

/// Nothing of it is kept, guessed at, or told to others.
fn response(content_type: &'static str, body: Bytes) -> Response<ResponseBody> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(body.into());
    let lines: [(HeaderName, HeaderValue); 5] = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CONTENT_LENGTH, length),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    response.headers_mut().extend(lines);
    response
}

fn without_body(response: Response<ResponseBody>) -> Response<ResponseBody> {
    response.map(|_| ResponseBody::default())
}

impl<B> Service<Request<B>> for StatusPage {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = StatusFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> StatusFuture {
        StatusFuture(self.answer(&request))
    }
}

impl Future for StatusFuture {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Answer::Now(response) => Poll::Ready(Ok(response.take().unwrap_or_default())),
            Answer::Stacks(stacks) => stacks.as_mut().poll(context).map(Ok),
        }
    }
}

impl fmt::Debug for StatusPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusPage").finish_non_exhaustive()
    }
}

impl fmt::Debug for StatusFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Ending, NotReady};

    #[test]
    fn the_page_has_words_for_each_reason_why_an_engine_is_not_ready() {
        let (_, rest) = HTML.split_once("const NOT_READY = {").unwrap();
        let (words, _) = rest.split_once("};\n").unwrap();
        let held_for = Duration::ZERO;
        for reason in [
            NotReady::ShuttingDown,
            NotReady::Starting,
            NotReady::ReplacementsSpent { replacements: 1 },
            NotReady::WorkersLost { replacements: 1 },
            NotReady::InterpreterHeld { held_for },
        ] {
            let json = serde_json::to_value(reason).unwrap();
            let name = json["reason"].as_str().unwrap();
            assert!(
                words.contains(&format!("\n  {name}: (")),
                "no words for {name}"
            );
        }
    }

    #[test]
    fn the_page_has_words_for_each_ending_and_knows_which_are_no_failures() {
        let (_, rest) = HTML.split_once("const ENDINGS = {").unwrap();
        let (words, rest) = rest.split_once("};\nconst NO_FAILURES = [").unwrap();
        let (no_failures, _) = rest.split_once("];").unwrap();
        for ending in Ending::ALL {
            let name = ending.name();
            assert!(
                words.contains(&format!(" {name}: \"")),
                "no words for {name}"
            );
            assert_eq!(
                no_failures.contains(&format!("\"{name}\"")),
                !ending.is_failure(),
                "{name}"
            );
        }
    }
}
