//! Callers that go before their call has run, and what a call that never runs still holds.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use httpy_tests::app::{ask, get, post};

use super::{Turn, is_pending};

/// A body of this size is passed on without a copy.
const LARGE: usize = 8192;

#[tokio::test]
async fn when_a_waiting_caller_has_gone_its_call_never_runs() {
    let turn = Turn::begin(|builder| builder).await;
    let (first, held) = turn.hold().await;
    {
        let mut gone = Box::pin(turn.app.ask(get("/gone")));
        assert!(is_pending(&mut gone).await);
    }
    drop(held);
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(turn.ran().await, "/hold /ran");
}

#[tokio::test]
async fn an_outer_timeout_means_that_a_waiting_call_never_runs() {
    let turn = Turn::begin(|builder| builder).await;
    let layer = tower_http::timeout::TimeoutLayer::with_status_code(
        http::StatusCode::BAD_GATEWAY,
        Duration::from_secs(1),
    );
    let router = Router::new()
        .fallback_service(turn.app.service())
        .layer(layer);
    let (first, held) = turn.hold().await;
    tokio::time::pause();
    assert_eq!(ask(router, get("/gone")).await.status, 502);
    tokio::time::resume();
    drop(held);
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(turn.ran().await, "/hold /ran");
}

/// Bytes that tell whether somebody still holds them.
#[derive(Clone)]
struct Watched(Arc<Vec<u8>>);

impl Watched {
    fn new() -> Self {
        Self(Arc::new(vec![b'a'; LARGE]))
    }

    fn bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[tokio::test]
async fn when_a_waiting_caller_has_gone_its_body_and_its_bytes_are_given_up_at_once() {
    let turn = Turn::begin(|builder| builder.body_limit(LARGE).body_budget(LARGE)).await;
    let (first, held) = turn.hold().await;
    let body = Watched::new();
    let mut gone = Box::pin(turn.app.ask(post("/gone", body.bytes())));
    assert!(is_pending(&mut gone).await && body.is_held());
    let before = turn.app.python.snapshot();
    assert_eq!(
        (before.waiting, before.body_bytes, before.calls.abandoned),
        (1, LARGE, 0)
    );

    drop(gone);
    assert!(!body.is_held());
    let after = turn.app.python.snapshot();
    assert_eq!(
        (after.waiting, after.body_bytes, after.calls.abandoned),
        (1, 0, 1),
        "its place is passed on by the worker"
    );
    let mut next = Box::pin(turn.app.ask(post("/next", vec![b'a'; LARGE])));
    assert!(is_pending(&mut next).await);

    drop(held);
    assert_eq!((first.await.unwrap().status, next.await.status), (200, 200));
    assert_eq!(turn.ran().await, "/hold /next /ran");
    let end = turn.app.python.snapshot();
    assert_eq!(
        (end.waiting, end.body_bytes, end.calls.abandoned),
        (0, 0, 1)
    );
}

#[tokio::test]
async fn what_ran_out_of_time_in_the_queue_holds_nothing_and_is_not_counted() {
    let turn = Turn::begin(|builder| builder.max_wait(Duration::from_secs(5))).await;
    let (_first, held) = turn.hold().await;
    let body = Watched::new();
    tokio::time::pause();
    assert_eq!(turn.app.ask(post("/late", body.bytes())).await.status, 503);
    tokio::time::resume();
    assert!(!body.is_held());
    let snapshot = turn.app.python.snapshot();
    assert_eq!((snapshot.body_bytes, snapshot.calls.abandoned), (0, 0));
    drop(held);
}

#[tokio::test]
async fn what_a_shutdown_answers_in_the_queue_holds_nothing_and_is_not_counted() {
    let turn = Turn::begin(|builder| builder).await;
    let (_first, held) = turn.hold().await;
    let body = Watched::new();
    let mut waiting = Box::pin(turn.app.ask(post("/waiting", body.bytes())));
    assert!(is_pending(&mut waiting).await);
    tokio::time::pause();
    turn.app
        .python
        .stop_on(std::future::ready(()), Duration::from_secs(10))
        .await;
    assert_eq!(waiting.await.status, 503);
    tokio::time::resume();
    assert!(!body.is_held());
    let snapshot = turn.app.python.snapshot();
    assert_eq!((snapshot.body_bytes, snapshot.calls.abandoned), (0, 0));
    drop(held);
}

#[tokio::test]
async fn when_the_caller_of_a_running_call_has_gone_its_bytes_stay_taken() {
    let turn = Turn::begin(|builder| builder).await;
    let (call, held) = turn
        .hold_by(post(&format!("/hold?gate={}", turn.gate.port), "1234"))
        .await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    let snapshot = turn.app.python.snapshot();
    assert_eq!((snapshot.body_bytes, snapshot.calls.abandoned), (4, 0));
    drop(held);
    assert_eq!(turn.ran().await, "/hold /ran");
    assert_eq!(turn.app.python.snapshot().body_bytes, 0);
}

#[tokio::test]
async fn a_call_that_was_abandoned_in_the_queue_leaves_its_services_limit_at_once() {
    let turn = Turn::begin(|builder| builder).await;
    let limited = turn.app.service().with_limit(1);
    let (_first, held) = turn.hold().await;
    let mut gone = Box::pin(ask(limited.clone(), get("/gone")));
    assert!(is_pending(&mut gone).await);
    assert_eq!(ask(limited.clone(), get("/refused")).await.status, 503);
    drop(gone);
    let mut next = Box::pin(ask(limited, get("/next")));
    assert!(is_pending(&mut next).await);
    drop(held);
    assert_eq!(next.await.text(), "served");
    assert_eq!(turn.ran().await, "/hold /next /ran");
}

#[tokio::test]
async fn a_snapshot_is_data() {
    let turn = Turn::begin(|builder| builder).await;
    let json = serde_json::to_value(turn.app.python.snapshot()).unwrap();
    assert_eq!(
        (&json["waiting"], &json["calls"]["abandoned"]),
        (&0.into(), &0.into())
    );
    assert_eq!(
        (&json["workers"]["max"], &json["workers"]["lost"]),
        (&1.into(), &0.into())
    );
}
