//! Whole WSGI applications: what they are given, how their replies go out, and what becomes of those that break a rule. The
//! rules of their interface are tested in Python, `python/tests/test_wsgi.py`.

use std::time::Duration;

use axum::Router;
use axum::routing::get as native;
use http_body_util::BodyExt;
use httpy_tests::app::{App, ask, get, post, serve};
use httpy_tests::client::{Connection, exchange, request};
use httpy_tests::executor::Options;
use httpy_tests::gate::Gate;
use httpy_tests::log;
use serde_json::{Value, json};
use tower::ServiceExt;

fn app(source: &str) -> App {
    App::with(source, Options::in_one_interpreter)
}

const ENVIRON: &str = "
import json
import httpy_rs
def app(environ, start_response):
    shown = {name: value for name, value in environ.items() if isinstance(value, str)}
    shown['httpy.route'] = httpy_rs.request().route is not None
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps(shown).encode()]
";

#[tokio::test]
async fn an_application_behind_a_prefix_gets_it_as_script_name() {
    let app = app(ENVIRON);
    let server = serve(Router::new().nest_service("/sub", app.service())).await;
    let headers: [(&str, &[u8]); 4] = [
        ("X-A", b"1"),
        ("Content-Type", b"text/plain"),
        ("X-A", b"\xe9"),
        ("X_B", b"dropped"),
    ];
    let asked = request("PUT", "/sub/caf%C3%A9%2F%ff?q=%20x", &headers, b"abc");
    let received = exchange(server.address, &asked).await;
    let shown: Value = serde_json::from_slice(&received.body).unwrap();
    for (name, value) in [
        ("REQUEST_METHOD", "PUT"),
        ("SCRIPT_NAME", "/sub"),
        ("PATH_INFO", "/caf\u{c3}\u{a9}/\u{ff}"),
        ("QUERY_STRING", "q=%20x"),
        ("REQUEST_URI", "/sub/caf%C3%A9%2F%ff?q=%20x"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("CONTENT_TYPE", "text/plain"),
        ("CONTENT_LENGTH", "3"),
        ("HTTP_X_A", "1,\u{e9}"),
        ("wsgi.url_scheme", "http"),
    ] {
        assert_eq!(shown[name], json!(value), "{name} of {shown}");
    }
    assert_eq!(shown.get("HTTP_X_B"), None);
}

#[tokio::test]
async fn rust_and_the_application_share_a_path_by_methods() {
    let app = app(ENVIRON);
    let router = app
        .service()
        .behind(Router::new().route("/orders", native(async || "native")));
    assert_eq!(ask(router.clone(), get("/orders")).await.text(), "native");
    for request in [post("/orders", ""), get("/other")] {
        let answer = ask(router.clone(), request).await;
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

const ECHO: &str = "
def app(environ, start_response):
    start_response('200 OK', [])
    stream = environ['wsgi.input']
    body = b''.join(iter(lambda: stream.read(100_000), b''))
    return [f'{len(body)} {body == body[:1] * len(body)}'.encode()]
";

#[tokio::test]
async fn bodies_of_any_size_are_read() {
    let app = app(ECHO);
    let server = app.serve().await;
    for size in [0, 1, 64 * 1024 + 1, 1024 * 1024, 5_000_000] {
        let asked = request("POST", "/", &[], &vec![b'a'; size]);
        let expected = format!("{size} True");
        assert_eq!(exchange(server.address, &asked).await.text(), expected);
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_read() {
    let app = app(ECHO);
    let server = app.serve().await;
    let mut connection = Connection::open(server.address).await;
    connection
        .send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\naaa\r\n2\r\naa\r\n0\r\n\r\n")
        .await;
    assert_eq!(connection.receive("POST").await.text(), "5 True");
}

const REPLIES: &str = "
closed = []

class Chunks:
    def __init__(self, *chunks):
        self.chunks = list(chunks)
    def __iter__(self):
        return self
    def __next__(self):
        if not self.chunks:
            raise StopIteration
        chunk = self.chunks.pop(0)
        if isinstance(chunk, Exception):
            raise chunk
        return chunk
    def close(self):
        closed.append(1)

def app(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/closed':
        start_response('200 OK', [])
        return [str(len(closed)).encode()]
    if path == '/raise':
        raise ValueError('before the head')
    if path == '/exit':
        raise SystemExit(3)
    if path == '/none':
        return [b'a']
    if path == '/204':
        start_response('204 No Content', [('X-A', 'b')])
        return []
    if path == '/length':
        start_response('200 OK', [('Content-Length', '4')])
        return Chunks(b'ab', b'cd')
    if path == '/short':
        start_response('200 OK', [('Content-Length', '4')])
        return Chunks(b'ab', b'c')
    write = start_response('200 OK', [('Connection', 'close'), ('X-A', 'b'), ('x-a', '\\xe9')])
    if path == '/write':
        write(b'ab')
        return [b'c']
    if path == '/stream':
        return Chunks(b'ab', b'', b'cd')
    if path == '/large':
        return [b'x' * 3_000_000]
    if path == '/late':
        return Chunks(b'ab', ValueError('after the head'))
    return [b'abc']
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
        [
            ("x-a", &b"b"[..]),
            ("x-a", b"\xe9"),
            ("content-length", b"3")
        ]
    );
    for (path, text) in [("/write", "abc"), ("/stream", "abcd"), ("/length", "abcd")] {
        assert_eq!(got("GET", path).await.text(), text, "{path}");
        let head = got("HEAD", path).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    assert_eq!(got("GET", "/large").await.body.len(), 3_000_000);
    let empty = got("GET", "/204").await;
    assert_eq!((empty.status, empty.header("x-a").as_str()), (204, "b"));
    // Each of the two iterators of above, twice.
    assert_eq!(got("GET", "/closed").await.text(), "4");
}

#[tokio::test]
async fn an_application_that_breaks_a_rule_is_answered_with_500_and_logged_with_the_rule() {
    let app = app(REPLIES);
    let target = app.target("app");
    for (path, text) in [
        ("/raise", "ValueError: before the head"),
        ("/exit", "SystemExit: 3"),
        ("/none", "start_response"),
    ] {
        assert_eq!(app.ask(get(path)).await.status, 500, "{path}");
        let line = log::wait_for(&target, text).await;
        assert!(format!("{line:?}").contains(path), "{line:?}");
    }
}

#[tokio::test]
async fn what_goes_wrong_after_the_head_aborts_the_response() {
    let app = app(REPLIES);
    for (path, text) in [
        ("/late", "ValueError: after the head"),
        ("/short", "Content-Length"),
    ] {
        let response = app.service().oneshot(get(path)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.into_body().collect().await.is_err(), "{path}");
        log::wait_for(&app.target("app"), text).await;
    }
    assert_eq!(app.ask(get("/closed")).await.text(), "2");
}

#[tokio::test]
async fn an_application_that_does_not_answer_in_time_is_interrupted() {
    let app = app("
import socket
def app(environ, start_response):
    with socket.create_connection(('127.0.0.1', int(environ['QUERY_STRING']))) as connection:
        connection.recv(1)
    start_response('200 OK', [])
    return [b'late']
");
    let gate = Gate::new().await;
    let service = app.service().with_deadline(Duration::from_secs(60));
    let asked = get(&format!("/?{}", gate.port));
    let (call, held) = gate.hold(ask(service, asked)).await;
    tokio::time::pause();
    assert_eq!(call.await.unwrap().status, 504);
    tokio::time::resume();
    drop(held);
}

#[tokio::test]
async fn a_factory_is_called_once() {
    let app = app("
calls = []
def app(environ, start_response):
    start_response('200 OK', [])
    return [b'app']
def make():
    calls.append(1)
    def made(environ, start_response):
        start_response('200 OK', [])
        return [str(len(calls)).encode()]
    return made
async def asgi(scope, receive, send):
    pass
");
    let target = app.target("make()");
    for _ in 0..2 {
        let made = app.python.wsgi(&target).unwrap();
        assert_eq!(ask(made, get("/")).await.text(), "1");
    }
    let error = app.python.wsgi(app.target("asgi")).unwrap_err();
    assert!(error.is_signature(), "{error:?}");
}
