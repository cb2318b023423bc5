//! Slow calls: told of at the threshold, while they go on, with where they are.
//!
//! The threshold is passed when the test says so, by moving tokio's clock: however slow the machine is, no call is slow before
//! it is where the test wants it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use httpy_tests::app::Builder;
use httpy_tests::app::{Answer, App, ask, get};
use httpy_tests::executor::Options;
use httpy_tests::gate::Gate;
use httpy_tests::{log, turn};
use tracing::Level;

const SLOW: Duration = Duration::from_secs(600);

const SOURCE: &str = "
import asyncio

def handle(method, path, params, query, headers, body):
    if 'gate' in query:
        deep(query['gate'][0])
    return 200, 'ok', {}

def deep(port):
    pass_gate(port)

async def later(method, path, params, query, headers, body):
    return await deep_later(query['gate'][0])

async def deep_later(port):
    reader, writer = await asyncio.open_connection('127.0.0.1', int(port))
    await reader.read(1)
    writer.close()
    return 200, 'ok', {}

async def quick_later(method, path, params, query, headers, body):
    return 200, 'ok', {}

async def blocks(method, path, params, query, headers, body):
    deep(query['gate'][0])
    return 200, 'ok', {}
";

/// The turn comes first, so that it is dropped last, when the app has ended.
async fn turn(options: impl FnOnce(Builder) -> Builder) -> (turn::Turn, App, Gate) {
    let alone = turn::take().await;
    let options = |builder: Builder| {
        options(
            builder
                .slow_call(SLOW)
                .max_wait(SLOW * 3)
                .deadline(SLOW * 4),
        )
    };
    (
        alone,
        App::with(&format!("{}{SOURCE}", Gate::SOURCE), options),
        Gate::new().await,
    )
}

/// Calls that have begun, or wait, take as much longer.
async fn pass(time: Duration) {
    // Those that were just spawned are put into the queue first.
    tokio::task::yield_now().await;
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// The line about a call of `handler` that is held until it has come.
async fn told(app: &App, gate: &Gate, handler: &str) -> (log::Line, Answer) {
    let (service, request) = (app.handler(handler), get(&format!("/?gate={}", gate.port)));
    let (call, held) = gate.hold(async move { ask(service, request).await }).await;
    pass(SLOW).await;
    let line = log::wait_for(&app.target(handler), "has taken").await;
    drop(held);
    (line, call.await.unwrap())
}

#[tokio::test]
async fn a_handler_that_takes_long_is_told_of_with_its_stack_and_goes_on() {
    let (_alone, app, gate) = turn(|builder| builder).await;
    let (line, answer) = told(&app, &gate, "handle").await;
    assert_eq!(
        (line.level, line.suppressed, answer.status),
        (Level::WARN, None, 200)
    );
    for part in [
        "in the queue",
        "waiting for the interpreter",
        "in its handler",
        "in handle",
        "in deep",
        "pass_gate(port)",
    ] {
        assert!(line.message.contains(part), "{part}: {}", line.message);
    }
}

#[tokio::test]
async fn an_async_handler_is_told_of_with_what_it_awaits() {
    let (_alone, app, gate) = turn(|builder| builder).await;
    let (line, answer) = told(&app, &gate, "later").await;
    assert_eq!(answer.status, 200);
    for part in [
        "until its first step on the event loop",
        "in its handler",
        "in later",
        "in deep_later",
    ] {
        assert!(line.message.contains(part), "{part}: {}", line.message);
    }
}

#[tokio::test]
async fn an_async_handler_that_blocks_its_loop_is_told_of_with_the_stack_of_the_thread() {
    let (_alone, app, gate) = turn(|builder| builder).await;
    let (line, answer) = told(&app, &gate, "blocks").await;
    assert_eq!(answer.status, 200);
    assert!(
        line.message.contains("in blocks") && line.message.contains("in deep"),
        "{}",
        line.message
    );
}

#[tokio::test]
async fn a_call_that_waits_for_a_blocked_event_loop_is_told_of_without_python() {
    let (_alone, app, gate) = turn(Options::in_one_interpreter).await;
    let (service, request) = (app.handler("blocks"), get(&format!("/?gate={}", gate.port)));
    let (first, held) = gate.hold(async move { ask(service, request).await }).await;
    let service = app.handler("quick_later");
    let second = tokio::spawn(async move { ask(service, get("/")).await });
    pass(SLOW).await;
    let line = log::wait_for(&app.target("quick_later"), "has taken").await;
    assert!(
        line.message.contains("and still waits for its event loop"),
        "{}",
        line.message
    );
    drop(held);
    assert_eq!(
        (first.await.unwrap().status, second.await.unwrap().status),
        (200, 200)
    );
}

#[tokio::test]
async fn a_call_that_waits_for_a_worker_is_told_of_without_python() {
    let (_alone, app, gate) = turn(|builder| builder.at_once(1)).await;
    let (service, request) = (app.service(), get(&format!("/?gate={}", gate.port)));
    let (first, held) = gate.hold(async move { ask(service, request).await }).await;
    // Another target, as they are told of once per target, route and second.
    std::fs::write(
        app.folder.path().join(format!("{}_other.py", app.module)),
        "from time import time\ndef handle(*six): return 200, '', {}\n",
    )
    .unwrap();
    let target = format!("{}_other:handle", app.module);
    let service = app.python.handler(target.clone()).unwrap();
    let second = tokio::spawn(async move { ask(service, get("/")).await });
    pass(SLOW).await;
    log::wait_for(&app.target("handle"), "has taken").await;
    let line = log::wait_for(&target, "still waits for a worker").await;
    assert_eq!(line.level, Level::WARN);
    drop(held);
    assert_eq!(
        (first.await.unwrap().status, second.await.unwrap().status),
        (200, 200)
    );
}

#[tokio::test]
async fn a_quick_call_is_not_told_of_and_its_deadline_still_comes() {
    let (_alone, app, gate) = turn(|builder| builder.max_wait(SLOW / 2)).await;
    app.ask(get("/")).await;
    assert_eq!(log::lines(&app.target("handle")), []);
    let (service, request) = (app.handler("handle"), get(&format!("/?gate={}", gate.port)));
    let (call, held) = gate.hold(async move { ask(service, request).await }).await;
    pass(SLOW / 2).await;
    assert_eq!(log::lines(&app.target("handle")), []);
    pass(SLOW / 2).await;
    assert!(
        log::wait_for(&app.target("handle"), "has taken")
            .await
            .message
            .contains("in its handler")
    );
    pass(SLOW * 3).await;
    assert_eq!(call.await.unwrap().status, 504);
    drop(held);
}
