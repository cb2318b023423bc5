//! Readiness and liveness, while Python cannot answer and while the app ends.

use std::time::Duration;

use axum::Router;
use httpy::PyEngine;
use httpy_tests::app::serve;
use httpy_tests::client::{exchange, get, request};
use tokio::sync::oneshot;

use super::Turn;

fn router(python: &PyEngine) -> Router {
    Router::new()
        .route_service("/readyz", python.readiness())
        .route_service("/livez", python.liveness())
}

#[tokio::test]
async fn a_healthy_app_is_ready_and_alive_while_its_only_worker_is_stuck() {
    let turn = Turn::begin(|builder| builder).await;
    let server = serve(router(&turn.app.python)).await;
    let (_call, held) = turn.hold().await;
    for (path, text) in [("/readyz", "ready\n"), ("/livez", "alive\n")] {
        let received = get(server.address, path).await;
        assert_eq!((received.status, received.text().as_str()), (200, text));
        assert_eq!(received.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(received.header("cache-control"), "no-store");
    }
    drop(held);
}

#[tokio::test]
async fn head_gives_the_headers_of_get_and_other_methods_are_refused() {
    let turn = Turn::begin(|builder| builder).await;
    let server = serve(router(&turn.app.python)).await;
    let received = exchange(server.address, &request("HEAD", "/readyz", &[], b"")).await;
    assert_eq!(
        (received.status, received.header("content-length").as_str()),
        (200, "6")
    );
    for method in ["POST", "OPTIONS", "DELETE"] {
        let received = exchange(server.address, &request(method, "/livez", &[], b"")).await;
        assert_eq!(
            (received.status, received.header("allow").as_str()),
            (405, "GET,HEAD")
        );
    }
}

#[tokio::test]
async fn from_the_signal_on_it_is_not_ready_but_alive_and_what_runs_is_still_answered() {
    let turn = Turn::begin(|builder| builder).await;
    let server = serve(router(&turn.app.python)).await;
    let (signal, signalled) = oneshot::channel::<()>();
    let stop = turn
        .app
        .python
        .stop_on(signalled, Duration::from_secs(3600));
    let (call, held) = turn.hold().await;
    assert_eq!(get(server.address, "/readyz").await.status, 200);
    signal.send(()).unwrap();
    stop.await;
    let received = get(server.address, "/readyz").await;
    assert_eq!(
        (received.status, received.text().as_str()),
        (503, "shutting down\n")
    );
    assert_eq!(get(server.address, "/livez").await.text(), "alive\n");
    drop(held);
    assert_eq!(call.await.unwrap().status, 200);
}
