//! The span of a call: where it stands, what it says, and how it tells the three waits apart.

use std::time::{Duration, Instant};

use axum::Router;
use http::Request;
use httpy_tests::app::Builder;
use httpy_tests::app::{App, ask, get, post};
use httpy_tests::executor::{self, OfThreads, Options};
use httpy_tests::gate::Gate;
use httpy_tests::{record, span, turn};
use tracing::{Instrument, Level, info_span};

const SOURCE: &str = "
import logging
stopped = False

def init():
    return {'/user/:name': ['GET']}

def handle(method, path, params, query, headers, body):
    global stopped
    if 'gate' in query:
        pass_gate(query['gate'][0])
    if path == '/raise':
        raise ValueError('no')
    if path == '/own':
        return 503, 'later', {}
    if path == '/log':
        logging.getLogger(__name__).warning('inside %s', __name__)
    if path == '/burn':
        stopped = False
        while not stopped:
            pass
    if path == '/stop':
        stopped = True
    return 200, 'ok', {}

async def later(method, path, params, query, headers, body):
    import asyncio
    reader, writer = await asyncio.open_connection('127.0.0.1', int(query['gate'][0]))
    await reader.read(1)
    writer.close()
    return 200, 'ok', {}
";

/// The turn comes first, so that it is dropped last, when the app has ended.
async fn turn(options: impl FnOnce(Builder) -> Builder) -> (turn::Turn, App, Gate) {
    let alone = turn::take().await;
    (
        alone,
        App::with(&format!("{}{SOURCE}", Gate::SOURCE), options),
        Gate::new().await,
    )
}

#[tokio::test]
async fn a_call_has_a_span_inside_of_its_requests_with_opentelemetrys_names() {
    let (_alone, app, _) = turn(|builder| builder).await;
    let router: Router = app.routes().router().unwrap();
    ask(router, get("/user/me"))
        .instrument(info_span!("request"))
        .await;
    let [span] = &span::of(&app.target("handle"), 1).await[..] else {
        panic!()
    };
    assert_eq!(
        (span.level, span.parent, span.attached),
        (Level::DEBUG, "request", false)
    );
    for (name, value) in [
        ("otel.kind", "internal"),
        ("http.request.method", "GET"),
        ("http.route", "/user/{name}"),
        ("http.response.status_code", "200"),
        ("error.type", ""),
        ("otel.status_code", ""),
    ] {
        assert_eq!(span.field(name), value, "{name}");
    }
    let parts = [
        "httpy.queue_wait",
        "httpy.attach_wait",
        "httpy.conversion",
        "httpy.run",
    ]
    .map(|name| span.seconds(name));
    assert!(parts[2] > 0.0 && parts[3] > 0.0, "{parts:?}");
}

#[tokio::test]
async fn what_fails_says_how() {
    let (_alone, app, _) = turn(|builder| builder).await;
    app.ask(get("/raise")).await;
    app.ask(get("/own")).await;
    ask(app.handler("handle").with_limit(0), get("/")).await;
    app.ask(
        Request::builder()
            .method("BREW")
            .uri("/")
            .body(axum::body::Body::empty())
            .unwrap(),
    )
    .await;
    let spans = span::of(&app.target("handle"), 4).await;
    let told = |name: &str| {
        spans
            .iter()
            .map(|span| span.field(name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        told("http.response.status_code"),
        ["500", "503", "503", "200"]
    );
    assert_eq!(told("error.type"), ["ValueError", "5xx", "overloaded", ""]);
    assert_eq!(told("otel.status_code"), ["ERROR", "ERROR", "ERROR", ""]);
    assert_eq!(told("http.request.method"), ["GET", "GET", "GET", "_OTHER"]);
    // What never ran has taken no time there.
    assert_eq!(
        (
            spans[2].field("httpy.run"),
            spans[2].field("httpy.queue_wait")
        ),
        ("", "")
    );
}

#[tokio::test]
async fn what_python_logs_is_inside_of_it() {
    let (_alone, app, _) = turn(|builder| builder).await;
    app.ask(get("/log")).await;
    let record = record::with_message(&format!("inside {}", app.module)).await;
    assert!(record.in_call, "{record:?}");
}

#[tokio::test]
async fn a_handler_that_waits_runs_for_long_and_what_waits_for_its_worker_is_queued_for_long() {
    let (_alone, app, gate) = turn(|builder| builder.at_once(1)).await;
    let (service, request) = (app.service(), get(&format!("/?gate={}", gate.port)));
    let (first, held) = gate.hold(async move { ask(service, request).await }).await;
    let service = app.handler("handle");
    let second = tokio::spawn(async move { ask(service, get("/")).await });
    while app.python.snapshot().waiting == 0 {
        tokio::task::yield_now().await;
    }
    let both = Instant::now();
    tokio::task::spawn_blocking(std::thread::yield_now)
        .await
        .unwrap();
    let both = both.elapsed().as_secs_f64();
    drop(held);
    first.await.unwrap();
    second.await.unwrap();
    let spans = span::of(&app.target("handle"), 2).await;
    let [first, second] = &spans[..] else {
        panic!()
    };
    assert!(first.seconds("httpy.run") >= both, "{first:?}");
    assert!(second.seconds("httpy.queue_wait") >= both, "{second:?}");
    assert!(
        second.seconds("httpy.attach_wait") < both.max(1.0),
        "{second:?}"
    );
}

#[tokio::test]
async fn a_call_beside_a_handler_that_computes_waits_for_the_interpreter() {
    const INTERVAL: Duration = Duration::from_millis(1);
    if executor::lacks(OfThreads::AttachWait) {
        return;
    }
    let (_alone, app, _) = turn(|builder| builder.at_once(2)).await;
    let service = app.handler("handle");
    let burner = tokio::spawn(async move { ask(service, get("/burn")).await });
    // The first ones may come before it computes.
    let mut count = 0;
    loop {
        app.ask(get("/")).await;
        count += 1;
        let spans = span::of(&app.target("handle"), count).await;
        if spans[count - 1].seconds("httpy.attach_wait") >= INTERVAL.as_secs_f64() {
            break;
        }
    }
    app.ask(get("/stop")).await;
    burner.await.unwrap();
}

#[tokio::test]
async fn an_async_handler_runs_from_its_first_step_to_its_end() {
    let (_alone, app, gate) = turn(|builder| builder).await;
    let (service, request) = (app.handler("later"), get(&format!("/?gate={}", gate.port)));
    let (call, held) = gate.hold(async move { ask(service, request).await }).await;
    let since = Instant::now();
    tokio::task::yield_now().await;
    let since = since.elapsed().as_secs_f64();
    drop(held);
    call.await.unwrap();
    let [span] = &span::of(&app.target("later"), 1).await[..] else {
        panic!()
    };
    assert!(span.seconds("httpy.run") >= since, "{span:?}");
}

#[tokio::test]
async fn a_client_that_goes_is_told_of_in_the_span() {
    let (_alone, app, gate) = turn(|builder| builder.at_once(1)).await;
    let (service, request) = (app.service(), post(&format!("/?gate={}", gate.port), ""));
    let (running, _held) = gate.hold(async move { ask(service, request).await }).await;
    let service = app.service();
    let waiting = tokio::spawn(async move { ask(service, get("/")).await });
    while app.python.snapshot().waiting == 0 {
        tokio::task::yield_now().await;
    }
    for (call, told) in [(waiting, "abandoned"), (running, "gone")] {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        let count = if told == "gone" { 2 } else { 1 };
        let spans = span::of(&app.target("handle"), count).await;
        assert_eq!(spans[count - 1].field("error.type"), told);
        assert_eq!(spans[count - 1].field("otel.status_code"), "");
    }
}
