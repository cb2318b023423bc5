//! What happens when there is no room in time: queue, budget, longest wait, deadline, shutting down, callers that have
//! gone.
//!
//! All apps of this program share one single worker, so the tests take turns.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::Request;
use httpy::{Error, PyAppBuilder};
use httpy_tests::app::{Answer, App, ask, get, post, serve};
use httpy_tests::client;
use httpy_tests::gate::{Gate, Held};
use httpy_tests::log;
use tokio::sync::{Mutex, MutexGuard, oneshot};
use tokio::task::JoinHandle;
use tracing::Level;

static TURN: Mutex<()> = Mutex::const_new(());

/// `/hold` stops at the gate, everything else is served; what ran is remembered.
const HOLDING: &str = "
ran = []
def handle(method, path, params, query, headers, body):
    ran.append(path)
    if path == '/hold':
        pass_gate(query['gate'][0])
    return 200, ' '.join(ran) if path == '/ran' else 'served', {}
";

const OVERLOADED: &str = "overloaded, try again later\n";
const SHUTTING_DOWN: &str = "shutting down, try again later\n";

struct Turn {
    app: App,
    gate: Gate,
    _alone: MutexGuard<'static, ()>,
}

impl Turn {
    async fn begin(options: impl FnOnce(PyAppBuilder) -> PyAppBuilder) -> Self {
        let alone = TURN.lock().await;
        let app = App::with(&format!("{}{HOLDING}", Gate::SOURCE), |builder| options(builder.workers(1..=1)));
        Self { app, gate: Gate::new().await, _alone: alone }
    }

    /// Begins a call that stops at the gate.
    fn begin_holding(&self) -> JoinHandle<Answer> {
        self.begin_asking(get(&format!("/hold?gate={}", self.gate.port)))
    }

    fn begin_asking(&self, request: Request<Body>) -> JoinHandle<Answer> {
        let service = self.app.python.service();
        tokio::spawn(ask(service, request))
    }

    /// Keeps the only worker busy until `Held` is dropped.
    async fn hold(&self) -> (JoinHandle<Answer>, Held) {
        let call = self.begin_holding();
        (call, self.gate.arrival().await)
    }

    /// The paths of all calls that ever ran.
    async fn ran(&self) -> String {
        self.app.ask(get("/ran")).await.text()
    }
}

/// Polls once: a call is pushed by its first poll.
async fn is_pending<F: Future + Unpin>(call: &mut F) -> bool {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *call).poll(context).is_pending())).await
}

fn refused(answer: &Answer, text: &str, is_it: fn(&Error) -> bool) {
    assert_eq!((answer.status, answer.text().as_str()), (503, text));
    assert_eq!((answer.header("retry-after"), answer.header("content-type")), ("1", "text/plain; charset=utf-8"));
    assert!(answer.error.as_ref().is_some_and(is_it), "{answer:?}");
}

#[tokio::test]
async fn when_the_queue_is_full_answers_503_and_never_runs_the_call() {
    let turn = Turn::begin(|builder| builder.queue(2)).await;
    let (first, held) = turn.hold().await;
    let mut waiting: Vec<_> = ["/a", "/b"].map(|path| Box::pin(turn.app.ask(get(path)))).into_iter().collect();
    for call in &mut waiting {
        assert!(is_pending(call).await);
    }
    let answer = turn.app.ask(get("/c")).await;
    refused(&answer, OVERLOADED, Error::is_overloaded);
    assert_eq!(answer.message(), format!("{}: the queue is full", turn.app.target("handle")));

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
    assert_eq!((waiting.await.status, first.await.unwrap().status), (200, 200));
}

#[tokio::test]
async fn while_the_only_worker_is_stuck_native_routes_and_refusals_are_answered() {
    let turn = Turn::begin(|builder| builder.queue(1)).await;
    let router = Router::new()
        .route("/native", axum::routing::get(|| async { "native" }))
        .fallback_service(turn.app.python.service());
    let server = serve(router).await;
    let (_first, held) = turn.hold().await;
    let mut waiting = Box::pin(turn.app.ask(get("/a")));
    assert!(is_pending(&mut waiting).await);
    assert_eq!(client::get(server.address, "/native").await.text(), "native");
    let received = client::get(server.address, "/python").await;
    assert_eq!((received.status, received.header("retry-after").as_str()), (503, "1"));
    drop(held);
    assert_eq!(waiting.await.status, 200);
}

#[tokio::test]
async fn when_the_budget_for_bodies_is_spent_answers_503_and_gives_it_back() {
    let turn = Turn::begin(|builder| builder.body_limit(8).body_budget(10)).await;
    let holding = post(&format!("/hold?gate={}", turn.gate.port), "12345678");
    let first = turn.begin_asking(holding);
    let held = turn.gate.arrival().await;
    // The body of a call that runs counts.
    refused(&turn.app.ask(post("/a", "123")).await, OVERLOADED, Error::is_overloaded);
    let mut waiting = Box::pin(turn.app.ask(post("/b", "12")));
    assert!(is_pending(&mut waiting).await);
    drop(held);
    assert_eq!((first.await.unwrap().status, waiting.await.status), (200, 200));
    assert_eq!(turn.app.ask(post("/c", "12345678")).await.text(), "served");
    assert_eq!(turn.ran().await, "/hold /b /c /ran");
}

#[tokio::test]
async fn after_a_504_the_budget_is_still_spent_until_the_handler_ends() {
    let turn = Turn::begin(|builder| builder.body_limit(8).body_budget(8)).await;
    let first = turn.begin_asking(post(&format!("/hold?gate={}", turn.gate.port), "12345678"));
    let held = turn.gate.arrival().await;
    tokio::time::pause();
    assert_eq!(first.await.unwrap().status, 504);
    tokio::time::resume();
    refused(&turn.app.ask(post("/a", "1")).await, OVERLOADED, Error::is_overloaded);
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
    assert!(answer.message().contains("was not called: no worker was free within"), "{}", answer.message());
    drop(held);
    assert_eq!(turn.ran().await, "/hold /ran");
    assert_eq!(first.await.unwrap().status, 200, "it was taken in time, and has until its deadline");
}

#[tokio::test]
async fn a_call_that_waited_until_its_deadline_is_answered_with_503_and_never_runs() {
    let turn = Turn::begin(|builder| builder).await;
    // Of another app with the same worker: its own clock must not end first.
    let other = App::with(&format!("{}{HOLDING}", Gate::SOURCE), |builder| builder.workers(1..=1));
    let call = tokio::spawn(ask(other.python.service(), get(&format!("/hold?gate={}", turn.gate.port))));
    let held = turn.gate.arrival().await;
    tokio::time::pause();
    refused(&turn.app.ask(get("/late")).await, OVERLOADED, Error::is_overloaded);
    tokio::time::resume();
    drop((held, call));
    assert_eq!(turn.ran().await, "/ran");
}

#[tokio::test]
async fn when_the_deadline_passes_while_the_handler_runs_answers_504() {
    let turn = Turn::begin(|builder| builder.deadline(Duration::from_secs(4))).await;
    let (call, held) = turn.hold().await;
    tokio::time::pause();
    let answer = call.await.unwrap();
    tokio::time::resume();
    assert_eq!((answer.status, answer.text().as_str()), (504, "the handler took too long\n"));
    assert_eq!(answer.header("retry-after"), "");
    assert!(answer.error.as_ref().is_some_and(Error::is_deadline));
    assert_eq!(answer.message(), format!("{} did not answer within 4s", turn.app.target("handle")));
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
    assert_eq!(turn.app.ask(post("/", Body::from_stream(slow))).await.text(), "served");
}

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
    let layer =
        tower_http::timeout::TimeoutLayer::with_status_code(http::StatusCode::BAD_GATEWAY, Duration::from_secs(1));
    let router = Router::new().fallback_service(turn.app.python.service()).layer(layer);
    let (first, held) = turn.hold().await;
    tokio::time::pause();
    assert_eq!(ask(router, get("/gone")).await.status, 502);
    tokio::time::resume();
    drop(held);
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(turn.ran().await, "/hold /ran");
}

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
    refused(&turn.app.ask(get("/new")).await, SHUTTING_DOWN, Error::is_shutting_down);
    assert!(is_pending(&mut waiting).await, "the grace period has just begun");

    tokio::time::pause();
    refused(&waiting.await, SHUTTING_DOWN, Error::is_shutting_down);
    refused(&running.await.unwrap(), SHUTTING_DOWN, Error::is_shutting_down);
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
    turn.app.python.stop_on(std::future::ready(()), Duration::from_secs(10)).await;
    refused(&reading.await, SHUTTING_DOWN, Error::is_shutting_down);
}

#[tokio::test]
async fn calls_that_end_within_the_grace_period_are_answered() {
    let turn = Turn::begin(|builder| builder).await;
    let (running, held) = turn.hold().await;
    let mut waiting = Box::pin(turn.app.ask(get("/waiting")));
    assert!(is_pending(&mut waiting).await);
    turn.app.python.stop_on(std::future::ready(()), Duration::from_secs(3600)).await;
    drop(held);
    assert_eq!((running.await.unwrap().status, waiting.await.status), (200, 200));
}

#[tokio::test]
async fn shutdown_answers_pending_calls_with_503_and_leaves_other_apps_alone() {
    let turn = Turn::begin(|builder| builder).await;
    let other = App::with(&format!("{}{HOLDING}", Gate::SOURCE), |builder| builder.workers(1..=1));
    let (running, held) = turn.hold().await;
    turn.app.python.shutdown().await;
    refused(&running.await.unwrap(), SHUTTING_DOWN, Error::is_shutting_down);
    turn.app.python.shutdown().await;
    refused(&turn.app.ask(get("/new")).await, SHUTTING_DOWN, Error::is_shutting_down);
    drop(held);
    assert_eq!(other.ask(get("/")).await.text(), "served");
}
