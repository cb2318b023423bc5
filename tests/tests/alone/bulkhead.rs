//! Services with a limit and a deadline of their own, on workers that they share with others.

use std::time::Duration;

use http::Request;
use httpy::{Error, PyService};
use httpy_tests::app::{Answer, App, ask, get};
use httpy_tests::executor::Options;
use httpy_tests::gate::{Gate, Held};
use httpy_tests::turn;
use tokio::task::JoinHandle;

/// A report stops at the gate; a login is served.
const SOURCE: &str = "
def init():
    return {'/report': ['GET']}
def report(method, path, params, query, headers, body):
    pass_gate(query['gate'][0])
    return 200, 'report', {}
def login(method, path, params, query, headers, body):
    return 200, 'login', {}
handle = report
";

struct Turn {
    app: App,
    gate: Gate,
    _alone: turn::Turn,
}

impl Turn {
    async fn begin() -> Self {
        let alone = turn::take().await;
        let app = App::with(&format!("{}{SOURCE}", Gate::SOURCE), |builder| {
            builder.at_once(3)
        });
        Self {
            app,
            gate: Gate::new().await,
            _alone: alone,
        }
    }

    fn report(&self) -> Request<axum::body::Body> {
        get(&format!("/report?gate={}", self.gate.port))
    }

    /// A report of `service` that stops at the gate.
    async fn hold(&self, service: &PyService) -> (JoinHandle<Answer>, Held) {
        self.gate.hold(ask(service.clone(), self.report())).await
    }

    async fn is_refused(&self, service: &PyService) -> bool {
        let answer = ask(service.clone(), self.report()).await;
        answer.status == 503 && answer.error.is_some_and(|error| error.is_overloaded())
    }
}

#[tokio::test]
async fn slow_reports_with_a_limit_leave_workers_to_the_login() {
    let turn = Turn::begin().await;
    let (report, login) = (
        turn.app.handler("report").with_limit(2),
        turn.app.handler("login"),
    );
    let running = [turn.hold(&report).await, turn.hold(&report).await];
    for _ in 0..10 {
        let answer = ask(report.clone(), turn.report()).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
        assert!(answer.error.as_ref().is_some_and(Error::is_overloaded));
        let target = turn.app.target("report");
        assert_eq!(
            answer.message(),
            format!("{target}: the limit of 2 calls in the queue and at work is reached")
        );
        assert_eq!(ask(login.clone(), get("/")).await.text(), "login");
    }
    for (call, held) in running {
        drop(held);
        assert_eq!(call.await.unwrap().text(), "report");
    }
}

#[tokio::test]
async fn a_client_that_has_its_answer_finds_the_limit_given_back() {
    let turn = Turn::begin().await;
    let login = turn.app.handler("login").with_limit(1);
    for _ in 0..1000 {
        assert_eq!(ask(login.clone(), get("/")).await.text(), "login");
    }
}

#[tokio::test]
async fn after_a_504_a_job_counts_until_its_handler_has_returned() {
    let turn = Turn::begin().await;
    let report = turn
        .app
        .handler("report")
        .with_limit(1)
        .with_deadline(Duration::from_secs(4));
    let (call, held) = turn.hold(&report).await;
    tokio::time::pause();
    let answer = call.await.unwrap();
    tokio::time::resume();
    assert_eq!(answer.status, 504);
    assert_eq!(
        answer.message(),
        format!("{} did not answer within 4s", turn.app.target("report"))
    );
    assert!(turn.is_refused(&report).await);

    // With every worker but the report's own busy, that one has to come back for this call.
    let others = [
        turn.hold(&turn.app.service()).await,
        turn.hold(&turn.app.service()).await,
    ];
    drop(held);
    assert_eq!(
        ask(turn.app.handler("login"), get("/")).await.text(),
        "login"
    );
    let (call, held) = turn.hold(&report).await;
    drop((held, others));
    assert_eq!(call.await.unwrap().text(), "report");
}

#[tokio::test]
async fn a_limit_belongs_to_the_service_and_its_clones_alone() {
    let turn = Turn::begin().await;
    let unlimited = turn.app.handler("report");
    let limited = unlimited.clone().with_limit(1);
    let (_call, _held) = turn.hold(&limited).await;
    assert!(turn.is_refused(&limited.clone()).await);
    assert!(
        turn.is_refused(&limited.clone().with_deadline(Duration::from_secs(9)))
            .await,
        "a deadline keeps the limit"
    );
    let (_second, _held) = turn.hold(&unlimited).await;
    let (_third, _held) = turn.hold(&limited.with_limit(1)).await;
}

#[tokio::test]
async fn a_fallback_with_a_limit_and_a_deadline_still_has_its_routes() {
    let turn = Turn::begin().await;
    let fallback = turn
        .app
        .routes()
        .fallback()
        .unwrap()
        .with_limit(1)
        .with_deadline(Duration::from_secs(9));
    let (call, held) = turn.hold(&fallback).await;
    assert!(turn.is_refused(&fallback).await);
    assert_eq!(ask(fallback, get("/unknown")).await.status, 404);
    drop(held);
    assert_eq!(call.await.unwrap().text(), "report");
}

#[tokio::test]
async fn a_limit_of_0_refuses_every_call_and_one_beyond_counting_none() {
    let turn = Turn::begin().await;
    let login = turn.app.handler("login");
    let answer = ask(login.clone().with_limit(0), get("/")).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.message().contains("the limit of 0 calls"),
        "{}",
        answer.message()
    );
    assert_eq!(
        ask(login.with_limit(usize::MAX), get("/")).await.text(),
        "login"
    );
}

#[tokio::test]
async fn a_deadline_beyond_all_clocks_is_no_panic() {
    let turn = Turn::begin().await;
    let login = turn.app.handler("login").with_deadline(Duration::MAX);
    assert_eq!(ask(login, get("/")).await.text(), "login");
}

impl Turn {
    /// A report of `service` that waits for its turn.
    async fn wait(&self, service: &PyService) -> JoinHandle<Answer> {
        let before = self.app.python.snapshot().waiting;
        let call = tokio::spawn(ask(service.clone(), self.report()));
        while self.app.python.snapshot().waiting <= before {
            tokio::task::yield_now().await;
        }
        call
    }
}

#[tokio::test]
async fn calls_beyond_the_concurrency_wait_and_those_of_others_pass_them() {
    let turn = Turn::begin().await;
    let report = turn.app.handler("report").with_concurrency(1);
    let login = turn.app.handler("login");
    let (first, held) = turn.hold(&report).await;
    let second = turn.wait(&report).await;
    let third = turn.wait(&report).await;
    for _ in 0..10 {
        assert_eq!(ask(login.clone(), get("/")).await.text(), "login");
    }
    // A client that leaves gives its turn to the next one.
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    assert_eq!(turn.app.python.snapshot().calls.abandoned, 1);
    drop(held);
    assert_eq!(first.await.unwrap().text(), "report");
    drop(turn.gate.arrival().await);
    assert_eq!(third.await.unwrap().text(), "report");
    assert_eq!(turn.app.python.snapshot().waiting, 0);
}

#[tokio::test]
async fn a_call_waits_for_its_turn_no_longer_than_for_a_worker() {
    let turn = Turn::begin().await;
    let report = turn.app.handler("report").with_concurrency(1);
    let report = report.with_max_wait(Duration::from_secs(5));
    let (first, held) = turn.hold(&report).await;
    tokio::time::pause();
    let answer = ask(report.clone(), turn.report()).await;
    tokio::time::resume();
    assert_eq!(answer.status, 503);
    let target = turn.app.target("report");
    assert_eq!(
        answer.message(),
        format!("{target} was not called: its concurrency left it no turn within 5s")
    );
    drop(held);
    assert_eq!(first.await.unwrap().text(), "report");
}

#[tokio::test]
async fn a_shutdown_refuses_calls_that_wait_for_their_turn() {
    let turn = Turn::begin().await;
    let report = turn.app.handler("report").with_concurrency(1);
    let (_first, held) = turn.hold(&report).await;
    let second = turn.wait(&report).await;
    let engine = turn.app.python.clone();
    let end = tokio::spawn(async move { engine.shutdown().await });
    let answer = second.await.unwrap();
    assert!(answer.error.is_some_and(|error| error.is_shutting_down()));
    drop(held);
    end.await.unwrap();
}
