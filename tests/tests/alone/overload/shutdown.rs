//! What waits and runs when the app stops: the grace period, and what comes after it.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use httpy::Error;
use httpy_tests::app::{App, get, post};
use httpy_tests::executor::Options;
use httpy_tests::gate::Gate;
use tokio::sync::oneshot;

use super::{HOLDING, SHUTTING_DOWN, Turn, is_pending, refused};

#[tokio::test]
async fn from_the_signal_on_new_calls_get_503_and_after_the_grace_period_pending_ones_too() {
    let turn = Turn::begin(|builder| builder).await;
    let (signal, signalled) = oneshot::channel::<()>();
    let stop = turn.app.python.stop_on(signalled, Duration::from_secs(10));
    let (running, held) = turn.hold().await;
    let mut waiting = Box::pin(turn.app.ask(get("/waiting")));
    assert!(is_pending(&mut waiting).await);

    signal.send(()).unwrap();
    stop.await;
    refused(
        &turn.app.ask(get("/new")).await,
        SHUTTING_DOWN,
        Error::is_shutting_down,
    );
    assert!(
        is_pending(&mut waiting).await,
        "the grace period has just begun"
    );

    tokio::time::pause();
    refused(&waiting.await, SHUTTING_DOWN, Error::is_shutting_down);
    refused(
        &running.await.unwrap(),
        SHUTTING_DOWN,
        Error::is_shutting_down,
    );
    tokio::time::resume();
    drop(held);
}

#[tokio::test]
async fn a_body_that_is_still_being_read_is_given_up_after_the_grace_period() {
    let turn = Turn::begin(|builder| builder.body_timeout(Duration::from_secs(60))).await;
    let endless = Body::from_stream(stream::pending::<Result<Bytes, io::Error>>());
    let mut reading = Box::pin(turn.app.ask(post("/", endless)));
    assert!(is_pending(&mut reading).await);
    tokio::time::pause();
    turn.app
        .python
        .stop_on(std::future::ready(()), Duration::from_secs(10))
        .await;
    refused(&reading.await, SHUTTING_DOWN, Error::is_shutting_down);
}

#[tokio::test]
async fn calls_that_end_within_the_grace_period_are_answered() {
    let turn = Turn::begin(|builder| builder).await;
    let (running, held) = turn.hold().await;
    let mut waiting = Box::pin(turn.app.ask(get("/waiting")));
    assert!(is_pending(&mut waiting).await);
    turn.app
        .python
        .stop_on(std::future::ready(()), Duration::from_secs(3600))
        .await;
    drop(held);
    assert_eq!(
        (running.await.unwrap().status, waiting.await.status),
        (200, 200)
    );
}

#[tokio::test]
async fn shutdown_answers_pending_calls_with_503_and_leaves_other_apps_alone() {
    let turn = Turn::begin(|builder| builder).await;
    let other = App::with(&format!("{}{HOLDING}", Gate::SOURCE), |builder| {
        builder.at_once(1)
    });
    let (running, held) = turn.hold().await;
    turn.app.python.shutdown().await;
    refused(
        &running.await.unwrap(),
        SHUTTING_DOWN,
        Error::is_shutting_down,
    );
    turn.app.python.shutdown().await;
    refused(
        &turn.app.ask(get("/new")).await,
        SHUTTING_DOWN,
        Error::is_shutting_down,
    );
    drop(held);
    assert_eq!(other.ask(get("/")).await.text(), "served");
}
