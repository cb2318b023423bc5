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
use httpy_core::Health;
use tower::Service;

use super::{PyEngine, Shared};
use crate::ResponseBody;

/// An engine whose interpreter is held for longer is not ready: its calls only wait.
const HELD: Duration = Duration::from_secs(1);
/// Time after the deadline of every call that may hold the interpreter; after this, liveness fails.
const HELD_FOR_GOOD: Duration = Duration::from_secs(60);

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
                against_readiness(self.engine.gate.is_stopping(), &health),
            ),
            Question::Alive => (
                "alive\n",
                against_liveness(self.longest_deadline(), &health),
            ),
        };
        if reasons.is_empty() {
            text(StatusCode::OK, yes.to_owned(), is_head)
        } else {
            text(
                StatusCode::SERVICE_UNAVAILABLE,
                reasons.join("\n") + "\n",
                is_head,
            )
        }
    }
}

/// Why nothing should be sent here.
pub(super) fn against_readiness(is_stopping: bool, health: &Health) -> Vec<String> {
    let Health {
        lost, replacements, ..
    } = *health;
    let mut reasons = Vec::new();
    if is_stopping {
        reasons.push("shutting down".to_owned());
    }
    if lost > 0 && lost >= replacements {
        reasons.push(format!(
            "{replacements} of {replacements} replacements for lost workers are spent"
        ));
    }
    reasons.extend(held_longer_than(HELD, health));
    reasons
}

/// Why this process cannot recover.
fn against_liveness(deadline: Duration, health: &Health) -> Vec<String> {
    let Health {
        lost,
        replacements,
        workers_max,
        ..
    } = *health;
    let mut reasons = Vec::new();
    if lost >= workers_max.saturating_add(replacements) {
        reasons.push(format!(
            "all workers are lost, and {replacements} of {replacements} replacements are spent"
        ));
    }
    reasons.extend(held_longer_than(
        deadline.saturating_add(HELD_FOR_GOOD),
        health,
    ));
    reasons
}

fn held_longer_than(limit: Duration, health: &Health) -> Option<String> {
    let held_for = health.held_for.filter(|held_for| *held_for > limit)?;
    Some(format!(
        "Python code has held the interpreter for {} s",
        held_for.as_secs()
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTHY: Health = Health {
        workers_max: 4,
        lost: 0,
        replacements: 16,
        held_for: None,
    };
    const DEADLINE: Duration = Duration::from_secs(30);

    fn lost(lost: usize) -> Health {
        Health { lost, ..HEALTHY }
    }

    fn held(seconds: u64) -> Health {
        Health {
            held_for: Some(Duration::from_secs(seconds)),
            ..HEALTHY
        }
    }

    #[test]
    fn a_healthy_app_is_ready_and_alive_also_where_nothing_would_be_replaced() {
        for health in [
            HEALTHY,
            Health {
                replacements: 0,
                ..HEALTHY
            },
        ] {
            assert!(against_readiness(false, &health).is_empty());
            assert!(against_liveness(DEADLINE, &health).is_empty());
        }
    }

    #[test]
    fn it_is_not_ready_once_the_last_replacement_is_spent() {
        assert!(against_readiness(false, &lost(15)).is_empty());
        for health in [lost(16), lost(18)] {
            assert_eq!(
                against_readiness(false, &health),
                ["16 of 16 replacements for lost workers are spent"]
            );
        }
    }

    #[test]
    fn it_is_alive_until_the_last_worker_is_lost() {
        assert!(against_liveness(DEADLINE, &lost(19)).is_empty());
        assert_eq!(
            against_liveness(DEADLINE, &lost(20)),
            ["all workers are lost, and 16 of 16 replacements are spent"]
        );
    }

    #[test]
    fn a_held_interpreter_makes_it_unready_after_1_s_and_dead_60_s_after_the_deadline() {
        assert!(against_readiness(false, &held(1)).is_empty());
        assert_eq!(
            against_readiness(false, &held(12)),
            ["Python code has held the interpreter for 12 s"]
        );
        assert!(against_liveness(DEADLINE, &held(90)).is_empty());
        assert_eq!(
            against_liveness(DEADLINE, &held(91)),
            ["Python code has held the interpreter for 91 s"]
        );
    }

    #[test]
    fn all_reasons_are_given() {
        let health = Health {
            lost: 16,
            ..held(2)
        };
        assert_eq!(against_readiness(true, &health).len(), 3);
    }
}
