//! `Probe`: readiness and liveness as services, answered without Python.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use tower::Service;

use super::{NotReady, PyEngine};
use crate::ResponseBody;
use crate::service::Shared;

/// A health check of an engine, as a [`tower::Service`] for `GET` and `HEAD`.
///
/// It answers 200, or 503 with the reasons, one per line. It takes any request, never fails, and never waits for Python. Made by
/// [`PyEngine::readiness`] and [`PyEngine::liveness`]. A clone is one reference count.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, body::Body};
/// use http::Request;
/// use tower::ServiceExt;
///
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let app: Router = Router::new().route_service("/readyz", engine.readiness());
/// let response = app.oneshot(Request::get("/readyz").body(Body::empty())?).await?;
/// assert_eq!(response.status(), 200);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Probe {
    engine: Arc<Shared>,
    question: Question,
}

#[derive(Clone, Copy, Debug)]
enum Question {
    Ready,
    Alive,
}

impl PyEngine {
    /// Whether requests should be sent here, for a load balancer: `.route_service("/readyz", python.readiness())`.
    ///
    /// Answers 200 `ready`, or 503 while the engine is shutting down, from [`stop_on`](Self::stop_on)'s signal on; when all
    /// replacements for lost workers are spent; and while Python code has held the interpreter for more than 1 s.
    pub fn readiness(&self) -> Probe {
        self.probe(Question::Ready)
    }

    /// Whether this process can still recover, for a supervisor that would restart it: `.route_service("/livez",
    /// python.liveness())`.
    ///
    /// Answers 200 `alive`, also while it is overloaded or shutting down; or 503 when every worker is lost and cannot be
    /// replaced, and when Python code has held the interpreter for longer than 60 s beyond the longest deadline of a service.
    pub fn liveness(&self) -> Probe {
        self.probe(Question::Alive)
    }

    fn probe(&self, question: Question) -> Probe {
        Probe {
            engine: Arc::clone(&self.inner.shared),
            question,
        }
    }
}

impl Probe {
    fn longest_deadline(&self) -> Duration {
        Duration::from_millis(self.engine.longest_deadline.load(Ordering::Relaxed))
    }

    fn response(&self, method: &Method) -> Response<ResponseBody> {
        let is_head = method == Method::HEAD;
        if !is_head && method != Method::GET {
            let mut response = text(
                StatusCode::METHOD_NOT_ALLOWED,
                "method not allowed\n".to_owned(),
                is_head,
            );
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET,HEAD"));
            return response;
        }
        let health = self.engine.executor.health();
        let (yes, reasons) = match self.question {
            Question::Ready => (
                "ready\n",
                NotReady::of(self.engine.gate.is_stopping(), &health),
            ),
            Question::Alive => (
                "alive\n",
                NotReady::for_good(self.longest_deadline(), &health),
            ),
        };
        if reasons.is_empty() {
            return text(StatusCode::OK, yes.to_owned(), is_head);
        }
        let lines: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        let body = lines.join("\n") + "\n";
        text(StatusCode::SERVICE_UNAVAILABLE, body, is_head)
    }
}

fn text(status: StatusCode, text: String, is_head: bool) -> Response<ResponseBody> {
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(if is_head {
        ResponseBody::default()
    } else {
        text.into()
    });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl<B> Service<Request<B>> for Probe {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.response(request.method())))
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("question", &self.question)
            .finish_non_exhaustive()
    }
}
