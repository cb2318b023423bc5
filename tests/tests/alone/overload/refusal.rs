//! What is refused, and what runs out of time: queue, budget, longest wait, deadline.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use httpy::Error;
use httpy_tests::app::{ask, get, post, serve};
use httpy_tests::client;
use httpy_tests::log;
use tracing::Level;

use super::{OVERLOADED, Turn, is_pending, refused};

#[tokio::test]
async fn when_the_queue_is_full_answers_503_and_never_runs_the_call() {
    let turn = Turn::begin(|builder| builder.queue(2)).await;
    let (first, held) = turn.hold().await;
    let mut waiting: Vec<_> = ["/a", "/b"]
        .map(|path| Box::pin(turn.app.ask(get(path))))
        .into_iter()
        .collect();
    for call in &mut waiting {
        assert!(is_pending(call).await);
    }
    let answer = turn.app.ask(get("/c")).await;
    refused(&answer, OVERLOADED, Error::is_overloaded);
    assert_eq!(
        answer.message(),
        format!("{}: the queue is full", turn.app.target("handle"))
    );

    drop(held);
    for call in waiting {
        assert_eq!(call.await.text(), "served");
    }
    assert_eq!(first.await.unwrap().text(), "served");
    assert_eq!(turn.ran().await, "/hold /a /b /ran");
}

#[tokio::test]
async fn a_running_call_takes_no_place_in_the_queue() {
    let turn = Turn::begin(|builder| builder.queue(1)).await;
    let (first, held) = turn.hold().await;
    let mut waiting = Box::pin(turn.app.ask(get("/a")));
    assert!(is_pending(&mut waiting).await);
    drop(held);
    assert_eq!(
        (waiting.await.status, first.await.unwrap().status),
        (200, 200)
    );
}

#[tokio::test]
async fn while_the_only_worker_is_stuck_native_routes_and_refusals_are_answered() {
    let turn = Turn::begin(|builder| builder.queue(1)).await;
    let router = Router::new()
        .route("/native", axum::routing::get(|| async { "native" }))
        .fallback_service(turn.app.service());
    let server = serve(router).await;
    let (_first, held) = turn.hold().await;
    let mut waiting = Box::pin(turn.app.ask(get("/a")));
    assert!(is_pending(&mut waiting).await);
    assert_eq!(
        client::get(server.address, "/native").await.text(),
        "native"
    );
    let received = client::get(server.address, "/python").await;
    assert_eq!(
        (received.status, received.header("retry-after").as_str()),
        (503, "1")
    );
    drop(held);
    assert_eq!(waiting.await.status, 200);
}

#[tokio::test]
async fn when_the_budget_for_bodies_is_spent_answers_503_and_gives_it_back() {
    let turn = Turn::begin(|builder| builder.body_limit(8).body_budget(10)).await;
    let holding = post(&format!("/hold?gate={}", turn.gate.port), "12345678");
    let (first, held) = turn.hold_by(holding).await;
    // The body of a call that runs counts.
    refused(
        &turn.app.ask(post("/a", "123")).await,
        OVERLOADED,
        Error::is_overloaded,
    );
    let mut waiting = Box::pin(turn.app.ask(post("/b", "12")));
    assert!(is_pending(&mut waiting).await);
    drop(held);
    assert_eq!(
        (first.await.unwrap().status, waiting.await.status),
        (200, 200)
    );
    assert_eq!(turn.app.ask(post("/c", "12345678")).await.text(), "served");
    assert_eq!(turn.ran().await, "/hold /b /c /ran");
}

#[tokio::test]
async fn after_a_504_the_budget_is_still_spent_until_the_handler_ends() {
    let turn = Turn::begin(|builder| builder.body_limit(8).body_budget(8)).await;
    let (first, held) = turn
        .hold_by(post(&format!("/hold?gate={}", turn.gate.port), "12345678"))
        .await;
    tokio::time::pause();
    assert_eq!(first.await.unwrap().status, 504);
    tokio::time::resume();
    refused(
        &turn.app.ask(post("/a", "1")).await,
        OVERLOADED,
        Error::is_overloaded,
    );
    drop(held);
    // The worker takes this call after it has given the budget back.
    assert_eq!(turn.ran().await, "/hold /ran");
    assert_eq!(turn.app.ask(post("/b", "12345678")).await.status, 200);
}

#[tokio::test]
async fn a_call_that_waited_longer_than_max_wait_is_answered_with_503_and_never_runs() {
    let turn = Turn::begin(|builder| builder.max_wait(Duration::from_secs(5))).await;
    let (first, held) = turn.hold().await;
    tokio::time::pause();
    let answer = turn.app.ask(get("/late")).await;
    tokio::time::resume();
    refused(&answer, OVERLOADED, Error::is_overloaded);
    assert!(
        answer
            .message()
            .contains("was not called: no worker was free within"),
        "{}",
        answer.message()
    );
    drop(held);
    assert_eq!(turn.ran().await, "/hold /ran");
    assert_eq!(
        first.await.unwrap().status,
        200,
        "it was taken in time, and has until its deadline"
    );
}

#[tokio::test]
async fn a_service_waits_for_a_worker_no_longer_than_its_own_deadline() {
    let turn = Turn::begin(|builder| builder).await;
    let (_first, held) = turn.hold().await;
    let service = turn.app.service().with_deadline(Duration::from_secs(3));
    tokio::time::pause();
    let answer = ask(service, get("/late")).await;
    tokio::time::resume();
    refused(&answer, OVERLOADED, Error::is_overloaded);
    assert!(
        answer.message().ends_with("no worker was free within 3s"),
        "{}",
        answer.message()
    );
    drop(held);
    assert_eq!(turn.ran().await, "/hold /ran");
}

#[tokio::test]
async fn a_call_that_waited_until_its_deadline_is_answered_with_503_and_never_runs() {
    let turn = Turn::begin(|builder| builder).await;
    // With more time: its own clock must not end first.
    let holding = turn.app.service().with_deadline(Duration::from_secs(3600));
    let request = get(&format!("/hold?gate={}", turn.gate.port));
    let (call, held) = turn.gate.hold(ask(holding, request)).await;
    tokio::time::pause();
    refused(
        &turn.app.ask(get("/late")).await,
        OVERLOADED,
        Error::is_overloaded,
    );
    tokio::time::resume();
    drop((held, call));
    assert_eq!(turn.ran().await, "/hold /ran");
}

#[tokio::test]
async fn when_the_deadline_passes_while_the_handler_runs_answers_504() {
    let turn = Turn::begin(|builder| builder.deadline(Duration::from_secs(4))).await;
    let (call, held) = turn.hold().await;
    tokio::time::pause();
    let answer = call.await.unwrap();
    tokio::time::resume();
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (504, "the handler took too long\n")
    );
    assert_eq!(answer.header("retry-after"), "");
    assert!(answer.error.as_ref().is_some_and(Error::is_deadline));
    assert_eq!(
        answer.message(),
        format!("{} did not answer within 4s", turn.app.target("handle"))
    );
    let line = log::wait_for(&turn.app.target("handle"), &answer.message()).await;
    assert_eq!(line.level, Level::WARN);
    drop(held);
    assert_eq!(turn.ran().await, "/hold /ran");
}

#[tokio::test]
async fn the_clock_starts_after_the_body_was_read() {
    let turn = Turn::begin(|builder| builder.deadline(Duration::from_secs(4))).await;
    let slow = stream::once(async {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(20)).await;
        tokio::time::resume();
        Ok::<_, io::Error>(Bytes::from("a"))
    });
    assert_eq!(
        turn.app
            .ask(post("/", Body::from_stream(slow)))
            .await
            .text(),
        "served"
    );
}
