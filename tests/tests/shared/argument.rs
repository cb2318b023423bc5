//! The six arguments of a handler, over real connections: the contract's table, row by row.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::collections::HashMap;
use std::fmt::Write as _;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use bytes::Bytes;
use http_body_util::Full;
use httpy_tests::app::{self, App, ask, get, post, serve};
use httpy_tests::client::{self, exchange, request};
use serde_json::Value;
use tower::ServiceExt;

/// Two handlers that compare what they get with the vector that `X-Vector` names, and the routes of all vectors.
const VECTORS: &str = r#"
import json

with open(FILE, encoding="utf-8") as file:
    vectors = {vector["name"]: vector for vector in json.load(file)}

def init():
    return {vector["route"]: ["GET", "PATCH"] for vector in vectors.values() if vector["route"]}

def compare(method, path, params, query, headers, body):
    vector = vectors[headers["X-Vector"][0]]
    expects = dict(vector["expects"])
    if vector["annotated_bytes"]:
        expects["body"] = expects["body"].encode("latin-1")
    found = {"method": method, "path": path, "params": params, "query": query, "body": body}
    found["headers"] = {name: headers.get(name) for name in expects["headers"]}
    wrong = [f"{name}: expected {expects[name]!r}, found {found[name]!r}" for name in found if found[name] != expects[name]]
    return 200, ascii("; ".join(wrong) or "ok"), {}

def handle(method, path, params, query, headers, body):
    return compare(method, path, params, query, headers, body)

def handle_bytes(method, path, params, query, headers, body: bytes):
    return compare(method, path, params, query, headers, body)
"#;

/// Header lines that a client sends here beside the vector's own: `Host`, `X-Vector`, `Content-Length`.
const OWN_LINES: usize = 3;
/// As many as hyper reads over HTTP/1 when nobody raises its limit.
const MOST_LINES: usize = 100;

fn latin_1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|character| u8::try_from(character).expect("not latin-1"))
        .collect()
}

/// One router for each route and kind of body, found by the name of the vector.
fn routers(app: &App, vectors: &[Value]) -> HashMap<String, Router> {
    let mut routers = HashMap::new();
    for vector in vectors {
        let service = if vector["annotated_bytes"] == true {
            app.handler("handle_bytes")
        } else {
            app.service()
        };
        let router = match vector["route"].as_str() {
            None => Router::new().fallback_service(service),
            Some(route) if vector["annotated_bytes"] == true => {
                Router::new().route_service(&route.replace(":name", "{name}"), service)
            }
            Some(route) => {
                let mut map = app.routes().map().clone();
                map.retain(|pattern, _| pattern == route);
                app.routes().router_for(&map).unwrap()
            }
        };
        routers.insert(vector["name"].as_str().unwrap().to_owned(), router);
    }
    routers
}

#[tokio::test]
async fn the_six_arguments_are_what_each_vector_expects() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/requests.json");
    let vectors: Vec<Value> =
        serde_json::from_slice(&lone_surrogates_replaced(&std::fs::read(file).unwrap())).unwrap();
    let app = App::new(&format!("FILE = {file:?}\n{VECTORS}"));
    let routers = routers(&app, &vectors);
    let dispatch = Router::new().fallback(move |request: Request| {
        let name = request.headers()["x-vector"].to_str().unwrap();
        let router = routers[name].clone();
        async move { router.oneshot(request).await.into_response() }
    });
    let server = serve(dispatch).await;

    let mut wrong = String::new();
    for vector in &vectors {
        let (name, target) = (
            vector["name"].as_str().unwrap(),
            vector["target"].as_str().unwrap(),
        );
        let lines: Vec<(&str, Vec<u8>)> = vector["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(header)
            .collect();
        let body = latin_1(vector["body"].as_str().unwrap());
        let method = vector["method"].as_str().unwrap();
        let found = if lines.len() + OWN_LINES > MOST_LINES {
            // Over HTTP/2 the authority is the host, whatever a `Host` line says.
            let host = lines
                .iter()
                .find(|(line, _)| line.eq_ignore_ascii_case("host"));
            let host = host.map_or("localhost".into(), |(_, host)| {
                String::from_utf8_lossy(host)
            });
            let mut request = http::Request::builder()
                .method(method)
                .uri(format!("http://{host}{target}"));
            for (line, value) in lines
                .iter()
                .chain([&("x-vector", name.as_bytes().to_vec())])
            {
                request = request.header(*line, value.as_slice());
            }
            let response = client::http2(
                server.address,
                request.body(Full::new(Bytes::from(body))).unwrap(),
            )
            .await;
            String::from_utf8(response.into_body().to_vec()).unwrap()
        } else {
            let mut lines: Vec<(&str, &[u8])> = lines
                .iter()
                .map(|(line, value)| (*line, value.as_slice()))
                .collect();
            lines.push(("X-Vector", name.as_bytes()));
            let received = exchange(server.address, &request(method, target, &lines, &body)).await;
            // The answer to HEAD has only its length: that of the two letters and the quotes around them.
            if method == "HEAD" && received.header("content-length") == "4" {
                "'ok'".to_owned()
            } else {
                received.text()
            }
        };
        if found != "'ok'" {
            writeln!(wrong, "{name}: {found}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn header(line: &Value) -> (&str, Vec<u8>) {
    (
        line[0].as_str().unwrap(),
        latin_1(line[1].as_str().unwrap()),
    )
}

/// Rust's strings have no lone surrogates; they stand only in what Python expects, which is not read here.
fn lone_surrogates_replaced(json: &[u8]) -> Vec<u8> {
    let text = str::from_utf8(json).unwrap();
    text.replace("\\udc", "\\u00").into_bytes()
}

#[tokio::test]
async fn a_prefix_that_nest_takes_off_is_off_the_path_but_the_captures_are_whole() {
    let app = App::new(
        "
import httpy_rs
def init():
    return {'/hello/:target': ['GET']}
def handle(method, path, params, query, headers, body):
    request = httpy_rs.request()
    return 200, ascii([path, params, request.target, request.route]), {}
",
    );
    let router = Router::new().nest("/api/{version}", app.routes().router().unwrap());
    let answer = ask(router, get("/api/v%2F1/hello/yo%FFu?x=1")).await;
    assert_eq!(
        answer.text(),
        r"['/hello/yo\udcffu', {'version': ['v/1'], 'target': ['yo\udcffu']}, '/api/v%2F1/hello/yo%FFu?x=1', '/api/{version}/hello/{target}']"
    );
}

#[tokio::test]
async fn a_service_of_its_own_captures_nothing_and_one_on_a_route_captures_all() {
    let app = App::new(
        "def handle(method, path, params, query, headers, body):\n    return 200, repr(params), {}\n",
    );
    assert_eq!(app.ask(get("/a/b")).await.text(), "{}");
    let router = Router::new().route_service("/{first}/{*rest}", app.service());
    assert_eq!(
        ask(router, get("/a/b/c")).await.text(),
        "{'first': ['a'], 'rest': ['b/c']}"
    );
}

const HEADERS: &str = "
import json
def handle(method, path, params, query, headers, body):
    return 200, json.dumps([headers.get(name) for name in ('Host', 'Cookie', 'X-Twice')]), {}
";

#[tokio::test]
async fn over_http_2_the_host_comes_from_the_authority() {
    let server = App::new(HEADERS).serve().await;
    let request = http::Request::get("http://example.org:81/")
        .body(Full::default())
        .unwrap();
    let response = client::http2(server.address, request).await;
    assert_eq!(response.body(), r#"[["example.org:81"], null, null]"#);
}

#[tokio::test]
async fn the_host_is_there_when_an_http_1_0_client_sends_none() {
    let server = App::new(HEADERS).serve().await;
    let received = exchange(server.address, b"GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(received.text(), r#"[[""], null, null]"#);
    let received = exchange(server.address, b"GET http://example.org/ HTTP/1.0\r\n\r\n").await;
    assert_eq!(received.text(), r#"[["example.org"], null, null]"#);
}

#[tokio::test]
async fn repeated_headers_keep_their_order_and_cookies_are_joined_over_both_protocols() {
    let server = App::new(HEADERS).serve().await;
    let expected = r#"[["localhost"], ["a=1; b=2"], ["2", "1"]]"#;

    let headers: [(&str, &[u8]); 4] = [
        ("cookie", b"a=1"),
        ("x-twice", b"2"),
        ("X-TWICE", b"1"),
        ("Cookie", b"b=2"),
    ];
    assert_eq!(
        exchange(server.address, &request("GET", "/", &headers, b""))
            .await
            .text(),
        expected
    );

    let mut request = http::Request::get("http://localhost/");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = client::http2(server.address, request.body(Full::default()).unwrap()).await;
    assert_eq!(response.body(), expected);
}

const BODY: &str = "
import functools

def handle(method, path, params, query, headers, body):
    return 200, f'{type(body).__name__} {len(body)}', {}

def plain(method, path, params, query, headers, body: bytes):
    return handle(method, path, params, query, headers, body)

def text(method, path, params, query, headers, body: 'bytes'):
    return handle(method, path, params, query, headers, body)

def annotated_str(method, path, params, query, headers, body: str):
    return handle(method, path, params, query, headers, body)

@functools.wraps(plain)
def wrapped(*arguments):
    return plain(*arguments)

def seven(extra, method, path, params, query, headers, body: bytes):
    return handle(method, path, params, query, headers, body)

partial = functools.partial(seven, None)

class Callable:
    def __call__(self, method, path, params, query, headers, body: bytes):
        return handle(method, path, params, query, headers, body)

    def method(self, method, path, params, query, headers, body: bytes):
        return handle(method, path, params, query, headers, body)

instance = Callable()
";

#[tokio::test]
async fn a_sixth_parameter_annotated_bytes_gets_bytes_however_it_is_written() {
    let app = App::new(BODY);
    for handler in [
        "plain",
        "text",
        "wrapped",
        "partial",
        "instance",
        "instance.method",
    ] {
        assert_eq!(
            ask(app.handler(handler), post("/", "é")).await.text(),
            "bytes 2",
            "{handler}"
        );
    }
    for handler in ["handle", "annotated_str"] {
        assert_eq!(
            ask(app.handler(handler), post("/", "é")).await.text(),
            "str 1",
            "{handler}"
        );
    }
    let future = App::new(&format!("from __future__ import annotations\n{BODY}"));
    for handler in ["plain", "text", "wrapped", "partial", "instance"] {
        assert_eq!(
            ask(future.handler(handler), post("/", "é")).await.text(),
            "bytes 2",
            "{handler}"
        );
    }
}

#[tokio::test]
async fn a_body_of_64_mib_arrives_whole() {
    const SIZE: usize = 64 * 1024 * 1024;
    let app = App::with(
        "
import hashlib
def handle(method, path, params, query, headers, body):
    return 200, hashlib.sha256(body.encode('utf-8', 'surrogateescape')).hexdigest(), {}
def echo(method, path, params, query, headers, body: bytes):
    return 200, body, {}
def digest(method, path, params, query, headers, body: bytes):
    return 200, hashlib.sha256(body).hexdigest(), {}
",
        |builder| builder.body_limit(SIZE),
    );
    let router = Router::new()
        .route_service("/str", app.service())
        .route_service("/echo", app.handler("echo"))
        .route_service("/digest", app.handler("digest"));
    let server = serve(router).await;
    // Every byte value, so half of it is not UTF-8.
    let body: Vec<u8> = (0..=255).cycle().take(SIZE).collect();

    let as_bytes = exchange(server.address, &request("POST", "/digest", &[], &body)).await;
    assert_eq!(as_bytes.status, 200, "{}", as_bytes.text());
    let as_str = exchange(server.address, &request("POST", "/str", &[], &body)).await;
    assert_eq!(as_str.text(), as_bytes.text());
    let echo = exchange(server.address, &request("POST", "/echo", &[], &body)).await;
    assert!(
        echo.body == body,
        "the body of {} bytes came back as {} other bytes",
        SIZE,
        echo.body.len()
    );
}

#[tokio::test]
async fn a_hundred_header_lines_arrive_and_more_are_the_servers_own_431() {
    let app = App::new(
        "def handle(method, path, params, query, headers, body):\n    return 200, str(len(headers)), {}\n",
    );
    let server = app.serve().await;
    let names: Vec<String> = (0..MOST_LINES)
        .map(|number| format!("X-N{number}"))
        .collect();
    let lines: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), &b"1"[..]))
        .collect();

    // With `Host` it is a hundred.
    let most = exchange(server.address, &request("GET", "/", &lines[1..], b"")).await;
    assert_eq!((most.status, most.text().as_str()), (200, "100"));
    assert_eq!(
        exchange(server.address, &request("GET", "/", &lines, b""))
            .await
            .status,
        431
    );
    assert_eq!(client::get(server.address, "/").await.text(), "1");
}

#[tokio::test]
async fn dicts_lists_and_strings_are_the_handlers_own_and_may_be_changed() {
    let app = App::new(
        "
def handle(method, path, params, query, headers, body):
    params['new'] = query.pop('a') + headers.setdefault('X-New', []) + [body]
    headers.clear()
    return 200, repr((type(method), type(path), params)), {}
",
    );
    for _ in 0..2 {
        let answer = app.ask(app::post("/?a=1", "b")).await;
        assert_eq!(
            answer.text(),
            "(<class 'str'>, <class 'str'>, {'new': ['1', 'b']})"
        );
    }
}
