//! What only worker processes can do: die alone, be killed, be replaced while they serve, and take up new code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::BodyExt;
use httpy_tests::app::{App, ask, get};
use httpy_tests::executor::processes;
use httpy_tests::gate::Gate;
use httpy_tests::{log, record};
use rustix::process::{Pid, Signal, kill_process};
use tower::ServiceExt;

const SOURCE: &str = "
import ctypes, os, signal, sys

def init():
    return {'/pid': ['GET']}

def handle(method, path, params, query, headers, body):
    if 'gate' in query:
        pass_gate(query['gate'][0])
    if path in DEATHS:
        print('on my way', file=sys.stderr, flush=True)
        DEATHS[path]()
    if path == '/print':
        print('printed by', os.getpid(), flush=True)
    if path == '/chunks':
        return 200, chunks(query), {}
    return 200, str(os.getpid()), {}

def chunks(query):
    yield 'first'
    DEATHS['/kill']()

DEATHS = {
    '/segfault': lambda: ctypes.string_at(0),
    '/abort': os.abort,
    '/exit': lambda: os._exit(3),
    '/kill': lambda: os.kill(os.getpid(), signal.SIGKILL),
}
";

fn app(count: usize, threads: usize) -> App {
    App::with(&format!("{}{SOURCE}", Gate::SOURCE), |builder| {
        builder
            .executor(processes(count).threads(threads))
            .replacements(1000)
    })
}

async fn pid(app: &App) -> String {
    let answer = app.ask(get("/pid")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text()
}

fn kill(pid: &str) {
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
}

/// Polls once: a call is pushed by its first poll.
async fn is_pending<F: Future + Unpin>(call: &mut F) -> bool {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *call).poll(context).is_pending())).await
}

#[tokio::test]
async fn while_the_only_worker_starts_again_the_engine_is_unready_and_alive() {
    let gate = Gate::new().await;
    let source = format!(
        "{}{SOURCE}
import pathlib
started = pathlib.Path(__file__ + '.started')
if started.exists():
    pass_gate({})
started.touch()
",
        Gate::SOURCE,
        gate.port
    );
    let app = App::with(&source, |builder| {
        builder.executor(processes(1)).replacements(0)
    });
    let (ready, alive) = (app.python.readiness(), app.python.liveness());
    let before = pid(&app).await;
    kill(&before);
    let held = gate.arrival().await;
    let answer = ask(ready.clone(), get("/")).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.text().contains("they are starting"), "{answer:?}");
    assert_eq!(ask(alive, get("/")).await.status, 200);
    drop(held);
    assert_ne!(pid(&app).await, before);
    assert_eq!(ask(ready, get("/")).await.status, 200);
}

#[tokio::test]
async fn a_worker_that_dies_costs_the_call_that_it_was_in_and_nothing_else() {
    for (path, how) in [
        ("/segfault", "was killed by SIGSEGV"),
        ("/abort", "was killed by SIGABRT"),
        ("/exit", "ended with exit status 3"),
        ("/kill", "was killed by SIGKILL"),
    ] {
        let app = app(1, 4);
        let before = pid(&app).await;
        let answer = app.ask(get(path)).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (502, "the worker died\n"),
            "{path}"
        );
        assert!(
            answer
                .error
                .as_ref()
                .is_some_and(httpy::Error::is_worker_died),
            "{answer:?}"
        );
        assert_ne!(pid(&app).await, before, "{path}");
        let line = log::wait_for(&app.target("handle"), how).await;
        assert_eq!(line.level, tracing::Level::ERROR);
        for part in [
            format!("(process {before})"),
            format!("it was in: {}", app.target("handle")),
            "on my way".into(),
        ] {
            assert!(line.message.contains(&part), "{part}: {}", line.message);
        }
        assert_eq!(app.python.snapshot().calls.crashed, 1);
    }
}

#[tokio::test]
async fn what_was_sent_to_a_worker_and_had_not_begun_goes_to_the_next_one() {
    let (app, gate) = (app(1, 1), Gate::new().await);
    let before = pid(&app).await;
    let held = get(&format!("/held?gate={}", gate.port));
    let (running, _held) = gate.hold(ask(app.service(), held)).await;
    let mut waiting: Vec<_> = (0..20).map(|_| Box::pin(app.ask(get("/pid")))).collect();
    for call in &mut waiting {
        assert!(is_pending(call).await);
    }
    kill(&before);
    assert_eq!(running.await.unwrap().status, 502);
    for answer in join_all(waiting).await {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_ne!(answer.text(), before);
    }
}

#[tokio::test]
async fn of_two_workers_the_other_one_serves_on_meanwhile() {
    let (app, gate) = (app(2, 1), Gate::new().await);
    let held = |path: &str| get(&format!("{path}?gate={}", gate.port));
    let (one, first) = gate.hold(ask(app.service(), held("/segfault"))).await;
    let (two, second) = gate.hold(ask(app.service(), held("/pid"))).await;
    drop(first);
    assert_eq!(one.await.unwrap().status, 502);
    drop(second);
    assert_eq!(two.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_response_that_has_begun_breaks_off_when_its_worker_dies() {
    let app = app(1, 4);
    let Ok(response) = app.service().oneshot(get("/chunks")).await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let mut text = Vec::new();
    let error = loop {
        match body.frame().await.unwrap() {
            Ok(frame) => text.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => break *error.downcast::<httpy::Error>().unwrap(),
        }
    };
    assert!(
        b"first".starts_with(&text),
        "what is on its way may be lost: {text:?}"
    );
    assert!(error.is_worker_died(), "{error}");
    pid(&app).await;
}

#[tokio::test]
async fn each_process_has_a_state_of_its_own() {
    let (app, gate) = (app(2, 1), Gate::new().await);
    let held = || ask(app.service(), get(&format!("/pid?gate={}", gate.port)));
    let (one, first) = gate.hold(held()).await;
    let (two, second) = gate.hold(held()).await;
    drop((first, second));
    assert_ne!(one.await.unwrap().text(), two.await.unwrap().text());
}

#[tokio::test]
async fn what_a_worker_prints_is_in_the_log_with_its_name() {
    let app = app(1, 4);
    let answer = app.ask(get("/print")).await;
    let text = format!("printed by {}", answer.text());
    let line = record::with_message(&text).await;
    assert_eq!(
        (line.target.as_str(), line.level),
        ("httpy::process", tracing::Level::INFO)
    );
    assert_eq!(line.field("worker"), "httpy-process-1");
}

#[tokio::test]
async fn workers_are_recycled_without_losing_a_call() {
    let source = format!("{}{SOURCE}", Gate::SOURCE);
    let app = App::with(&source, |builder| {
        builder.executor(processes(2).max_requests(20))
    });
    let mut pids = HashSet::new();
    while pids.len() < 10 {
        for answer in join_all((0..8).map(|_| app.ask(get("/pid")))).await {
            assert_eq!(answer.status, 200, "{answer:?}");
            pids.insert(answer.text());
        }
    }
    assert_eq!(app.python.snapshot().calls.crashed, 0);
}

/// The module with what it says, and one route for it.
fn write(app: &App, text: &str, route: &str) {
    let source = format!(
        "def init():\n    return {{'{route}': ['GET']}}\ndef handle(method, path, params, query, headers, body):\n    return 200, '{text}', {{}}\n"
    );
    std::fs::write(app.folder.path().join(format!("{}.py", app.module)), source).unwrap();
}

fn reloadable() -> App {
    App::with(
        "def init():\n    return {'/one': ['GET']}\ndef handle(*six):\n    return 200, 'one', {}\n",
        |builder| builder.executor(processes(2)),
    )
}

#[tokio::test]
async fn a_reload_brings_new_code_and_loses_no_call() {
    let app = reloadable();
    let load = tokio::spawn({
        let service = app.service();
        async move {
            loop {
                let answer = ask(service.clone(), get("/")).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                if answer.text() == "two" {
                    break;
                }
                assert_eq!(answer.text(), "one");
            }
        }
    });
    assert_eq!(app.ask(get("/")).await.text(), "one");
    write(&app, "two", "/one");
    app.python.reload().await.unwrap();
    assert_eq!(app.ask(get("/")).await.text(), "two");
    load.await.unwrap();
}

#[tokio::test]
async fn code_that_does_not_load_leaves_the_old_one_serving() {
    let app = reloadable();
    let file = app.folder.path().join(format!("{}.py", app.module));
    for (source, is_it) in [
        (
            "raise ValueError('new code')",
            httpy::Error::is_import as fn(&httpy::Error) -> bool,
        ),
        ("def handle(:", httpy::Error::is_import),
        ("handle = 5", httpy::Error::is_not_callable),
    ] {
        std::fs::write(&file, source).unwrap();
        let error = app.python.reload().await.unwrap_err();
        assert!(is_it(&error), "{source}: {error}");
        assert_eq!(app.ask(get("/")).await.text(), "one");
    }
    write(&app, "two", "/one");
    app.python.reload().await.unwrap();
    assert_eq!(app.ask(get("/")).await.text(), "two");
}

#[tokio::test]
async fn a_changed_route_map_is_part_of_a_fallback_and_an_error_where_routes_were_merged() {
    let app = reloadable();
    // What is mounted follows the code, whatever becomes of the routes that it was made of.
    let routes = app.python.routes(app.target("init"), app.target("handle"));
    let fallback = routes.unwrap().fallback().unwrap();
    assert_eq!(ask(fallback.clone(), get("/two")).await.status, 404);
    write(&app, "two", "/two");
    app.python.reload().await.unwrap();
    assert_eq!(ask(fallback.clone(), get("/two")).await.text(), "two");
    assert_eq!(ask(fallback, get("/one")).await.status, 404);

    let app = reloadable();
    let router: axum::Router = app.routes().router().unwrap();
    write(&app, "two", "/two");
    let error = app.python.reload().await.unwrap_err();
    assert!(error.is_reload(), "{error}");
    assert_eq!(ask(router, get("/one")).await.text(), "one");

    let app = reloadable();
    let host = axum::Router::<()>::new().route("/one", axum::routing::get(async || "native"));
    app.routes().merge_into(host).unwrap_err();
    write(&app, "two", "/two");
    app.python.reload().await.unwrap();
}

#[test]
fn a_python_that_cannot_be_started_is_named() {
    let source = "def handle(*six):\n    return 200, '', {}\n";
    let missing = processes(1).python("/no/such/python");
    let error = App::try_with(source, |builder| builder.executor(missing)).unwrap_err();
    assert!(
        error.is_interpreter() && error.to_string().contains("/no/such/python"),
        "{error}"
    );
}

#[tokio::test]
async fn a_worker_that_never_comes_back_is_killed_and_its_neighbours_wait_for_the_next_one() {
    let (app, gate) = (
        App::with(&format!("{}{SOURCE}", Gate::SOURCE), |builder| {
            builder
                .executor(processes(1).threads(1))
                .lost_after(Duration::ZERO)
                .replacements(1000)
        }),
        Gate::new().await,
    );
    let before = pid(&app).await;
    let held = get(&format!("/held?gate={}", gate.port));
    let (stuck, _held) = gate.hold(ask(app.service(), held)).await;
    tokio::time::pause();
    assert_eq!(stuck.await.unwrap().status, 504);
    tokio::time::resume();
    assert_ne!(pid(&app).await, before);
}
