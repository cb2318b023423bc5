//! Whole ASGI applications: what they are given, how their replies go out, and what becomes of those that break a rule. The
//! order of messages is tested in Python, `python/tests/test_asgi.py`.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get as native;
use http::Request;
use http_body_util::BodyExt;
use httpy::PyEngine;
use httpy_tests::app::{App, ask, get, post, serve};
use httpy_tests::client::{Connection, exchange, request};
use httpy_tests::executor::Options;
use httpy_tests::gate::Gate;
use httpy_tests::log;
use serde_json::{Value, json};
use tower::ServiceExt;

/// `answer` sends a whole reply, `pause` stops at a gate, and `/seen` is what `seen` holds.
const HELP: &str = "
import asyncio
import httpy_rs
seen = []

async def answer(send, body=b'', status=200, headers=()):
    await send({'type': 'http.response.start', 'status': status, 'headers': list(headers)})
    await send({'type': 'http.response.body', 'body': body})

async def pause(scope):
    reader, writer = await asyncio.open_connection('127.0.0.1', int(scope['query_string']))
    await reader.read(1)
    writer.close()

def told(app):
    async def outer(scope, receive, send):
        if scope['type'] == 'http' and scope['path'] == '/seen':
            await answer(send, ' '.join(seen).encode())
        elif scope['type'] == 'http':
            await app(scope, receive, send)
    return outer

";

fn app(source: &str) -> App {
    App::with(&format!("{HELP}{source}"), Options::in_one_interpreter)
}

/// An application that answers `/seen` besides what it does.
fn told(source: &str) -> App {
    app(&format!("{source}\napp = told(app)\n"))
}

async fn wait_until_seen(app: &App, expected: &str) {
    let mut seen = String::new();
    for _ in 0..20_000 {
        seen = app.ask(get("/seen")).await.text();
        if seen == expected {
            return;
        }
    }
    assert_eq!(seen, expected);
}

const SCOPE: &str = "
import json
async def app(scope, receive, send):
    if scope['type'] != 'http':
        raise RuntimeError('no lifespan')
    shown = {name: value for name, value in scope.items() if name not in ('headers', 'state')}
    for name in ('raw_path', 'query_string'):
        shown[name] = shown[name].decode()
    shown['client'] = scope['client'] and scope['client'][0]
    shown['server'] = scope['server'] and scope['server'][0]
    shown['headers'] = [[name.decode('latin-1'), value.decode('latin-1')] for name, value in scope['headers']]
    shown['route'] = httpy_rs.request().route
    await answer(send, json.dumps(shown).encode(), 200, [(b'content-type', b'application/json')])
";

#[tokio::test]
async fn an_application_behind_a_prefix_gets_the_whole_path_and_the_prefix() {
    let app = app(SCOPE);
    let server = serve(Router::new().nest_service("/sub", app.service())).await;
    let headers: [(&str, &[u8]); 4] = [
        ("X-A", b"1"),
        ("Cookie", b"a=1"),
        ("X-A", b"\xe9"),
        ("Cookie", b"b=2"),
    ];
    let asked = request("PUT", "/sub/caf%C3%A9%2F%ff?q=%20x", &headers, b"");
    let received = exchange(server.address, &asked).await;
    assert_eq!(received.status, 200);
    let mut shown: Value = serde_json::from_slice(&received.body).unwrap();
    let lines = shown["headers"].take();
    let lines: Vec<(String, String)> = serde_json::from_value(lines).unwrap();
    let all = |name: &str| -> Vec<&str> {
        let of_name = lines.iter().filter(|(other, _)| other == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(all("x-a"), ["1", "\u{e9}"]);
    assert_eq!(all("cookie"), ["a=1; b=2"]);
    assert_eq!(all("host").len(), 1);
    let expected = json!({
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "PUT",
        "scheme": "http",
        "path": "/sub/caf\u{e9}/\u{fffd}",
        "raw_path": "/sub/caf%C3%A9%2F%ff",
        "query_string": "q=%20x",
        "root_path": "/sub",
        "client": "127.0.0.1",
        "server": "localhost",
        "headers": null,
        "route": "/sub/{*__private__axum_nest_tail_param}",
    });
    let route = expected["route"].clone();
    assert!(shown["route"].is_string() || shown["route"].is_null());
    shown["route"] = route;
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn rust_and_the_application_share_a_path_by_methods() {
    let app = app(SCOPE);
    let router = app
        .service()
        .behind(Router::new().route("/orders", native(async || "native")));
    assert_eq!(ask(router.clone(), get("/orders")).await.text(), "native");
    for request in [post("/orders", ""), get("/other")] {
        assert_eq!(
            ask(router.clone(), request).await.header("content-type"),
            "application/json"
        );
    }
}

const ECHO: &str = "
async def app(scope, receive, send):
    body, parts, more = b'', 0, True
    while more:
        message = await receive()
        if message['type'] == 'http.disconnect':
            seen.append('left')
            return
        body, parts, more = body + message['body'], parts + 1, message['more_body']
    await answer(send, f'{len(body)} {body == bytes(body[:1]) * len(body)} {parts > 1}'.encode())
";

#[tokio::test]
async fn small_bodies_come_with_the_call_and_large_ones_as_they_come() {
    let app = told(ECHO);
    let server = app.serve().await;
    for (size, expected) in [
        (0, "0 True False"),
        (1, "1 True False"),
        (64 * 1024, "65536 True False"),
        (64 * 1024 + 1, "65537 True True"),
        (5_000_000, "5000000 True True"),
    ] {
        let asked = request("POST", "/", &[], &vec![b'a'; size]);
        assert_eq!(exchange(server.address, &asked).await.text(), expected);
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_it_sends_is_a_disconnect() {
    let app = told(ECHO);
    let server = app.serve().await;
    let mut connection = Connection::open(server.address).await;
    connection
        .send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\naaaa")
        .await;
    drop(connection);
    wait_until_seen(&app, "left").await;
}

const REPLIES: &str = "
def start(status=200, *headers):
    return {'type': 'http.response.start', 'status': status, 'headers': list(headers)}

def part(body, more=False):
    return {'type': 'http.response.body', 'body': body, 'more_body': more}

async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    path = scope['path']
    if path == '/raise':
        raise ValueError('before the head')
    if path == '/none':
        return
    if path == '/name':
        await send(start(200, (b'a b', b'c')))
    elif path == '/length':
        await send(start(200, (b'content-length', b'4')))
        await send(part(b'abcd', True))
        return await send(part(b''))
    elif path == '/204':
        await send(start(204, (b'x-a', b'b')))
    else:
        await send(start(200, (b'connection', b'close'), (b'X-A', b'b'), (b'x-a', b'c')))
    if path == '/stream':
        await send(part(b'ab', True))
        await send(part(b'', True))
        await send(part(b'cd', True))
    if path == '/late':
        await send(part(b'ab', True))
        raise ValueError('after the head')
    await send(part(b'abc'))
";

#[tokio::test]
async fn replies_go_out_as_they_are_given() {
    let app = app(REPLIES);
    let server = app.serve().await;
    let got = async |method: &str, path: &str| {
        let mut connection = Connection::open(server.address).await;
        connection.send(&request(method, path, &[], b"")).await;
        connection.receive(method).await
    };
    let whole = got("GET", "/").await;
    assert_eq!((whole.status, whole.text().as_str()), (200, "abc"));
    let lines: Vec<_> = whole
        .headers
        .iter()
        .filter(|(name, _)| name != "date")
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .collect();
    assert_eq!(
        lines,
        [("x-a", &b"b"[..]), ("x-a", b"c"), ("content-length", b"3")]
    );
    let streamed = got("GET", "/stream").await;
    assert_eq!(streamed.text(), "abcdabc");
    assert_eq!(streamed.header("transfer-encoding"), "chunked");
    let length = got("GET", "/length").await;
    assert_eq!(
        (
            length.header("content-length").as_str(),
            length.text().as_str()
        ),
        ("4", "abcd")
    );
    for path in ["/", "/stream", "/length"] {
        let head = got("HEAD", path).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        let length = if path == "/length" { "4" } else { "" };
        assert_eq!(head.header("content-length"), length, "{path}");
    }
    let empty = got("GET", "/204").await;
    assert_eq!((empty.status, empty.header("x-a").as_str()), (204, "b"));
    assert!(!empty.has("content-length") && empty.body.is_empty());
}

#[tokio::test]
async fn an_application_that_breaks_a_rule_is_answered_with_500_and_logged_with_the_rule() {
    let app = app(REPLIES);
    let target = app.target("app");
    for (path, text) in [
        ("/raise", "ValueError: before the head"),
        ("/none", "without"),
        ("/name", "header name"),
    ] {
        let answer = app.ask(get(path)).await;
        assert_eq!(answer.status, 500, "{path}");
        let line = log::wait_for(&target, text).await;
        assert!(format!("{line:?}").contains(path), "{line:?}");
    }
}

#[tokio::test]
async fn an_exception_after_the_head_aborts_the_response() {
    let app = app(REPLIES);
    let response = app.service().oneshot(get("/late")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.into_body().collect().await.is_err());
    log::wait_for(&app.target("app"), "ValueError: after the head").await;
}

const LEAVE: &str = "
async def app(scope, receive, send):
    await receive()
    if scope['path'] == '/stream':
        await send({'type': 'http.response.start', 'status': 200})
        await send({'type': 'http.response.body', 'body': b'a', 'more_body': True})
    await pause(scope)
    for _ in range(2):
        seen.append((await receive())['type'])
    try:
        await send({'type': 'http.response.body', 'body': b'b', 'more_body': True})
    except OSError as error:
        seen.append('OSError')
    await asyncio.sleep(0)
    seen.append('goes on')
    raise RuntimeError('after its client has left')
";

#[tokio::test]
async fn a_client_that_leaves_is_told_and_nothing_is_cancelled() {
    let expected = "http.disconnect http.disconnect OSError goes on";
    let app = told(LEAVE);
    let gate = Gate::new().await;
    let path = format!("/?{}", gate.port);
    let (call, held) = gate.hold(ask(app.service(), get(&path))).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    drop(held);
    wait_until_seen(&app, expected).await;
    let asked = get(&format!("/stream?{}", gate.port));
    let response = app.service().oneshot(asked).await.unwrap();
    let held = gate.arrival().await;
    drop((response, held));
    wait_until_seen(&app, &format!("{expected} {expected}")).await;
    // That it raised is no failure of the application.
    assert!(log::lines(&app.target("app")).is_empty());
}

const IGNORES: &str = "
async def app(scope, receive, send):
    await send({'type': 'http.response.start', 'status': 200})
    await send({'type': 'http.response.body', 'body': b'a', 'more_body': True})
    try:
        await pause(scope)
    except asyncio.CancelledError:
        seen.append('cancelled')
        raise
";

#[tokio::test]
async fn an_application_that_goes_on_after_its_client_has_left_is_cancelled_when_its_time_is_over()
{
    let app = told(IGNORES);
    let service = app.service().with_abandon_after(Duration::from_millis(1));
    let gate = Gate::new().await;
    let asked = get(&format!("/?{}", gate.port));
    let response = service.oneshot(asked).await.unwrap();
    let held = gate.arrival().await;
    drop(response);
    wait_until_seen(&app, "cancelled").await;
    drop(held);
    assert!(log::lines(&app.target("app")).is_empty());
}

const BACKGROUND: &str = "
async def app(scope, receive, send):
    if scope['path'] == '/stream':
        await send({'type': 'http.response.start', 'status': 200})
        await send({'type': 'http.response.body', 'body': b'a', 'more_body': True})
        await send({'type': 'http.response.body', 'body': b'b'})
    else:
        await answer(send, b'ab')
    if scope['query_string']:
        await pause(scope)
        seen.append(scope['path'])
        if scope['path'] == '/raise':
            raise ValueError('in the background')
";

#[tokio::test]
async fn what_runs_on_after_its_reply_takes_up_no_place_of_the_limit() {
    let app = told(BACKGROUND);
    let limited = app.service().with_limit(1);
    let gate = Gate::new().await;
    let mut held = Vec::new();
    for path in ["/", "/stream", "/raise"] {
        let asked = get(&format!("{path}?{}", gate.port));
        assert_eq!(ask(limited.clone(), asked).await.text(), "ab");
        held.push(gate.arrival().await);
    }
    assert_eq!(ask(limited, get("/")).await.text(), "ab");
    drop(held);
    log::wait_for(&app.target("app"), "ValueError: in the background").await;
}

#[tokio::test]
async fn a_shutdown_waits_for_what_runs_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("done");
    let app = app(&format!(
        "
async def app(scope, receive, send):
    await answer(send, b'ab')
    await pause(scope)
    open({file:?}, 'w').close()
"
    ));
    let gate = Gate::new().await;
    assert_eq!(app.ask(get(&format!("/?{}", gate.port))).await.text(), "ab");
    let held = gate.arrival().await;
    let python = app.python.clone();
    python
        .stop_on(std::future::ready(()), Duration::from_secs(3600))
        .await;
    let shutdown = tokio::spawn(async move { python.shutdown().await });
    drop(held);
    shutdown.await.unwrap();
    assert!(file.exists());
}

const LIFESPAN: &str = "
async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        await receive()
        scope['state']['text'] = 'started'
        await send({'type': 'lifespan.startup.complete'})
        await receive()
        with open(FILE, 'w') as file:
            file.write('ended')
        return await send({'type': 'lifespan.shutdown.complete'})
    scope['state']['count'] = scope['state'].get('count', 0) + 1
    await answer(send, f\"{scope['state']['text']} {scope['state']['count']}\".encode())
";

#[tokio::test]
async fn the_state_of_the_lifespan_reaches_each_request_as_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ended");
    let app = app(&format!("FILE = {file:?}\n{LIFESPAN}"));
    for _ in 0..2 {
        assert_eq!(app.ask(get("/")).await.text(), "started 1");
    }
    // The same application: it has started once.
    let again = app.python.asgi(app.target("app")).unwrap();
    assert_eq!(ask(again, get("/")).await.text(), "started 1");
}

#[tokio::test]
async fn a_start_that_fails_is_an_error_with_its_message() {
    let source = "
async def app(scope, receive, send):
    await receive()
    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})
";
    let error = App::try_with(&format!("{HELP}{source}"), |builder| builder).unwrap_err();
    assert!(error.is_startup(), "{error:?}");
    assert!(error.to_string().contains("no database"), "{error}");
}

#[tokio::test]
async fn a_factory_is_called_once() {
    let source = "
calls = []
async def app(scope, receive, send):
    await answer(send, b'app')
def wsgi(environ, start_response):
    pass
def make():
    calls.append(1)
    async def made(scope, receive, send):
        await answer(send, str(len(calls)).encode())
    return made
";
    let app = app(source);
    let target = app.target("make()");
    for _ in 0..2 {
        let made = app.python.asgi(&target).unwrap();
        assert_eq!(ask(made, get("/")).await.text(), "1");
    }
    let error = app.python.asgi(app.target("wsgi")).unwrap_err();
    assert!(error.is_signature(), "{error:?}");
}

const SLOW: &str = "
async def app(scope, receive, send):
    try:
        await pause(scope)
    except asyncio.CancelledError:
        seen.append('cancelled')
        raise
";

#[tokio::test]
async fn an_application_that_does_not_answer_in_time_is_cancelled() {
    let app = told(SLOW);
    let gate = Gate::new().await;
    let service = app.service().with_deadline(Duration::from_secs(60));
    let (call, held) = gate
        .hold(ask(service, get(&format!("/?{}", gate.port))))
        .await;
    tokio::time::pause();
    assert_eq!(call.await.unwrap().status, 504);
    tokio::time::resume();
    wait_until_seen(&app, "cancelled").await;
    drop(held);
}

#[tokio::test]
async fn handlers_and_applications_live_on_one_engine() {
    let app = app("
async def app(scope, receive, send):
    await answer(send, b'app')
def handle(*arguments):
    return 200, 'handler', {}
");
    let python: &PyEngine = &app.python;
    let handler = python.handler(app.target("handle")).unwrap();
    assert_eq!(ask(handler, get("/")).await.text(), "handler");
    let request: Request<Body> = get("/");
    assert_eq!(app.ask(request).await.text(), "app");
}
