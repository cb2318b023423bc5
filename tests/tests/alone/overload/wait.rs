//! `OnFull::Wait`: a full queue shows in `poll_ready`, within bounds, and layers of tower act on it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, StatusCode};
use httpy::{Error, OnFull, PyService};
use httpy_tests::app::{Answer, ask, get, post};
use httpy_tests::gate::Held;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::timeout::TimeoutLayer;

use super::{OVERLOADED, SHUTTING_DOWN, Turn, is_pending, refused};

/// An app with one place in its queue, which is taken while the only worker is held.
struct Full {
    turn: Turn,
    held: Held,
    calls: Vec<JoinHandle<Answer>>,
}

impl Full {
    async fn begin() -> Self {
        let turn = Turn::begin(|builder| {
            builder
                .queue(1)
                .on_full(OnFull::Wait)
                .max_wait(Duration::from_secs(5))
        })
        .await;
        let (first, held) = turn.hold().await;
        let service = ready(turn.app.service()).await;
        let mut second = Box::pin(answer(service, get("/second")));
        assert!(is_pending(&mut second).await);
        Self {
            turn,
            held,
            calls: vec![first, tokio::spawn(second)],
        }
    }

    fn service(&self) -> PyService {
        self.turn.app.service()
    }

    fn waiting(&self) -> (usize, usize) {
        let snapshot = self.turn.app.python.snapshot();
        (snapshot.waiting, snapshot.waiting_for_place)
    }

    /// Lets the held handler go on, and everything that waits behind it.
    async fn release(self) -> Turn {
        drop(self.held);
        for call in self.calls {
            assert!(call.await.is_ok_and(|answer| answer.status == 200));
        }
        self.turn
    }
}

async fn ready(service: PyService) -> PyService {
    let Ok(service) = becomes_ready(service).await;
    service
}

fn becomes_ready(
    service: PyService,
) -> impl Future<Output = Result<PyService, Infallible>> + Unpin {
    Box::pin(ServiceExt::<Request<Body>>::ready_oneshot(service))
}

/// Calls a service that is ready.
async fn answer(mut service: PyService, request: Request<Body>) -> Answer {
    ask(
        tower::service_fn(move |request| service.call(request)),
        request,
    )
    .await
}

#[tokio::test]
async fn when_the_queue_is_full_the_service_is_not_ready_before_there_is_a_place() {
    let full = Full::begin().await;
    let mut third = becomes_ready(full.service());
    assert!(is_pending(&mut third).await);
    assert_eq!(full.waiting(), (1, 1));
    let turn = full.release().await;
    let Ok(third) = third.await;
    assert_eq!(answer(third, get("/third")).await.text(), "served");
    assert_eq!(turn.ran().await, "/hold /second /third /ran");
}

#[tokio::test]
async fn a_ready_service_has_a_place_until_it_is_dropped() {
    let turn = Turn::begin(|builder| builder.queue(1).on_full(OnFull::Wait)).await;
    let first = ready(turn.app.service()).await;
    let mut second = becomes_ready(turn.app.service());
    assert!(is_pending(&mut second).await);
    drop(first);
    assert_eq!(
        answer(second.await.unwrap(), get("/")).await.text(),
        "served"
    );
}

#[tokio::test]
async fn a_clone_of_a_ready_service_is_not_ready_itself() {
    let turn = Turn::begin(|builder| builder.queue(1).on_full(OnFull::Wait)).await;
    let first = ready(turn.app.service()).await;
    let mut clone = becomes_ready(first.clone());
    assert!(is_pending(&mut clone).await);
    assert_eq!(answer(first, get("/")).await.text(), "served");
    assert_eq!(
        answer(clone.await.unwrap(), get("/")).await.text(),
        "served"
    );
}

#[tokio::test]
async fn a_call_uses_up_the_readiness() {
    let turn = Turn::begin(|builder| builder.queue(1).on_full(OnFull::Wait)).await;
    let mut service = ready(turn.app.service()).await;
    // Not polled, it does not read its body, and is not begun.
    let _call = Service::<Request<Body>>::call(&mut service, post("/", "body"));
    assert!(
        is_pending(&mut becomes_ready(service)).await,
        "the call has the only place"
    );
}

#[tokio::test]
async fn no_more_wait_than_the_queue_is_long() {
    let full = Full::begin().await;
    let mut waiting = becomes_ready(full.service());
    assert!(is_pending(&mut waiting).await);
    let answer = ask(full.service(), get("/one-too-many")).await;
    refused(&answer, OVERLOADED, Error::is_overloaded);
    assert!(
        answer
            .message()
            .contains("the maximum number of calls waits"),
        "{}",
        answer.message()
    );

    drop(waiting);
    let mut next = becomes_ready(full.service());
    assert!(
        is_pending(&mut next).await,
        "who gave up has left its place among those who wait"
    );
    drop(next);
    assert_eq!(full.release().await.ran().await, "/hold /second /ran");
}

#[tokio::test]
async fn who_waits_longer_than_max_wait_is_answered_with_503() {
    let full = Full::begin().await;
    tokio::time::pause();
    let answer = ask(full.service(), get("/late")).await;
    tokio::time::resume();
    refused(&answer, OVERLOADED, Error::is_overloaded);
    assert!(
        answer
            .message()
            .contains("no place in the queue was free within 5s"),
        "{}",
        answer.message()
    );
    assert_eq!(full.waiting().1, 0);
}

#[tokio::test]
async fn a_service_with_a_deadline_of_its_own_waits_no_longer_than_that() {
    let full = Full::begin().await;
    tokio::time::pause();
    let answer = ask(
        full.service().with_deadline(Duration::from_secs(3)),
        get("/late"),
    )
    .await;
    tokio::time::resume();
    assert!(
        answer
            .message()
            .contains("no place in the queue was free within 3s"),
        "{}",
        answer.message()
    );
}

#[tokio::test]
async fn try_call_does_not_wait() {
    let full = Full::begin().await;
    let error = full.service().try_call(get("/third")).await.unwrap_err();
    assert!(
        error.is_overloaded() && error.to_string().ends_with("the queue is full"),
        "{error}"
    );
    let turn = full.release().await;
    assert_eq!(
        turn.app
            .service()
            .try_call(get("/fourth"))
            .await
            .unwrap()
            .status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_route_waits_for_its_place_and_is_served() {
    let full = Full::begin().await;
    let router = Router::new().fallback_service(full.service());
    let mut third = Box::pin(ask(router, post("/third", "body")));
    assert!(is_pending(&mut third).await);
    assert_eq!(full.waiting(), (1, 1));
    full.release().await;
    assert_eq!(third.await.text(), "served");
}

#[tokio::test]
async fn load_shed_refuses_what_would_have_to_wait() {
    let full = Full::begin().await;
    let shedding = ServiceBuilder::new().load_shed().service(full.service());
    let error = shedding.clone().oneshot(get("/shed")).await.unwrap_err();
    assert!(error.is::<tower::load_shed::error::Overloaded>(), "{error}");
    let turn = full.release().await;
    assert_eq!(
        shedding.oneshot(get("/third")).await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(turn.ran().await, "/hold /second /third /ran");
}

#[tokio::test]
async fn a_timeout_around_the_router_ends_the_wait() {
    let full = Full::begin().await;
    let timeout =
        TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(1));
    let router = Router::new()
        .fallback_service(full.service())
        .layer(timeout);
    tokio::time::pause();
    assert_eq!(ask(router, get("/gone")).await.status, 504);
    tokio::time::resume();
    assert_eq!(full.waiting(), (1, 0));
    assert_eq!(full.release().await.ran().await, "/hold /second /ran");
}

#[tokio::test]
async fn a_buffer_holds_what_waits_for_its_place() {
    let full = Full::begin().await;
    let buffered = ServiceBuilder::new().buffer(2).service(full.service());
    let mut calls: Vec<_> = ["/third", "/fourth"]
        .map(|path| Box::pin(buffered.clone().oneshot(get(path))))
        .into_iter()
        .collect();
    for call in &mut calls {
        assert!(is_pending(call).await);
    }
    let turn = full.release().await;
    for call in calls {
        assert_eq!(call.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(turn.ran().await, "/hold /second /third /fourth /ran");
}

#[tokio::test]
async fn from_the_signal_on_nobody_waits_for_a_place() {
    let full = Full::begin().await;
    let mut third = becomes_ready(full.service());
    assert!(is_pending(&mut third).await);
    full.turn
        .app
        .python
        .stop_on(std::future::ready(()), Duration::from_secs(3600))
        .await;
    refused(
        &answer(third.await.unwrap(), get("/third")).await,
        SHUTTING_DOWN,
        Error::is_shutting_down,
    );
    full.release().await;
}

/// A body whose only frame comes when the sender says so.
fn slow_body() -> (oneshot::Sender<()>, Body) {
    let (send, sent) = oneshot::channel();
    let frame = stream::once(async {
        sent.await.map_err(io::Error::other)?;
        Ok::<_, io::Error>(Bytes::from_static(b"body"))
    });
    (send, Body::from_stream(frame))
}

#[tokio::test]
async fn a_client_that_is_slow_to_send_its_body_takes_up_no_place() {
    let turn = Turn::begin(|builder| builder.queue(1).on_full(OnFull::Wait)).await;
    let (send, body) = slow_body();
    let mut slow = Box::pin(turn.app.ask(post("/slow", body)));
    assert!(is_pending(&mut slow).await);
    assert_eq!(turn.app.ask(get("/quick")).await.text(), "served");
    send.send(()).unwrap();
    assert_eq!(slow.await.text(), "served");
    assert_eq!(turn.ran().await, "/quick /slow /ran");
}

#[tokio::test]
async fn a_slow_body_that_ends_within_the_grace_period_is_served() {
    let turn = Turn::begin(|builder| builder.queue(1).on_full(OnFull::Wait)).await;
    let (send, body) = slow_body();
    let mut slow = Box::pin(turn.app.ask(post("/slow", body)));
    assert!(is_pending(&mut slow).await);
    turn.app
        .python
        .stop_on(std::future::ready(()), Duration::from_secs(3600))
        .await;
    send.send(()).unwrap();
    assert_eq!(slow.await.text(), "served");
}

#[tokio::test]
async fn when_the_queue_is_full_once_the_body_is_there_the_call_waits_again() {
    let turn = Turn::begin(|builder| builder.queue(1).on_full(OnFull::Wait)).await;
    let (send, body) = slow_body();
    let mut slow = Box::pin(turn.app.ask(post("/slow", body)));
    assert!(is_pending(&mut slow).await);
    let place = ready(turn.app.service()).await;
    send.send(()).unwrap();
    assert!(is_pending(&mut slow).await);
    let snapshot = turn.app.python.snapshot();
    assert_eq!((snapshot.waiting_for_place, snapshot.body_bytes), (1, 4));
    drop(place);
    assert_eq!(slow.await.text(), "served");
}

#[tokio::test]
async fn a_call_that_waits_again_is_answered_with_503_after_max_wait() {
    let turn = Turn::begin(|builder| {
        builder
            .queue(1)
            .on_full(OnFull::Wait)
            .max_wait(Duration::from_secs(5))
    })
    .await;
    let (send, body) = slow_body();
    let mut slow = Box::pin(turn.app.ask(post("/slow", body)));
    assert!(is_pending(&mut slow).await);
    let _place = ready(turn.app.service()).await;
    send.send(()).unwrap();
    tokio::time::pause();
    let answer = slow.await;
    tokio::time::resume();
    refused(&answer, OVERLOADED, Error::is_overloaded);
    assert!(
        answer
            .message()
            .contains("no place in the queue was free within 5s"),
        "{}",
        answer.message()
    );
    assert_eq!(turn.app.python.snapshot().body_bytes, 0);
}
