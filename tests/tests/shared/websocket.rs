//! WebSockets of ASGI applications: the handshake, messages both ways, and every way in which one ends. The order of messages
//! is tested in Python, `python/tests/test_websocket.py`.

use axum::Router;
use axum::routing::get as native;
use httpy_tests::app::{App, get, serve};
use httpy_tests::client::{Connection, request};
use httpy_tests::executor::{Options, processes};
use httpy_tests::log;
use httpy_tests::socket::{Socket, open_http2};
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::trace::TraceLayer;

const APP: &str = "
import asyncio
import json
import os

ended = []

async def app(scope, receive, send):
    if scope['type'] == 'http':
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        return await send({'type': 'http.response.body', 'body': json.dumps(ended).encode()})
    if scope['type'] != 'websocket':
        return
    await receive()
    path = scope['path'].removeprefix(scope['root_path'])
    if path == '/refuse':
        return await send({'type': 'websocket.close'})
    if path == '/401':
        await send({'type': 'websocket.http.response.start', 'status': 401, 'headers': []})
        return await send({'type': 'websocket.http.response.body', 'body': b'who are you?'})
    if path == '/early':
        raise ValueError('before')
    offered = scope['subprotocols']
    await send({
        'type': 'websocket.accept',
        'subprotocol': offered[-1] if offered else None,
        'headers': [(b'x-a', b'1'), (b'content-length', b'7'), (b'connection', b'close')],
    })
    if path == '/late':
        raise ValueError('after')
    if path == '/return':
        return
    if path == '/close':
        return await send({'type': 'websocket.close', 'code': 3001, 'reason': 'bye'})
    if path == '/scope':
        shown = {name: scope[name] for name in ('type', 'scheme', 'path', 'root_path', 'http_version', 'subprotocols')}
        shown['method'] = 'method' in scope
        await send({'type': 'websocket.send', 'text': json.dumps(shown)})
    if path == '/pid':
        await send({'type': 'websocket.send', 'text': str(os.getpid())})
    if path == '/fill':
        sent = 0
        try:
            while True:
                await asyncio.wait_for(send({'type': 'websocket.send', 'bytes': bytes(65536)}), 5)
                sent += 1
        except TimeoutError:
            ended.append(['full', sent < 10_000])
            return
    while True:
        message = await receive()
        if message['type'] == 'websocket.disconnect':
            ended.append([message['code'], message['reason']])
            return
        if message.get('text') == 'die':
            os._exit(1)
        await send({**message, 'type': 'websocket.send'})
";

fn app() -> App {
    App::with(APP, Options::in_one_interpreter)
}

/// What the application was told at the end of the socket of which it has heard first.
async fn ended(app: &App) -> String {
    loop {
        let ended = app.ask(get("/")).await.text();
        if ended != "[]" {
            return ended;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn messages_of_every_size_go_both_ways() {
    let app = app();
    let server = app.serve().await;
    let mut socket = Socket::open(server.address, "/echo").await;
    for text in ["h\u{e9}llo", "", &"x".repeat(1_000_000)] {
        socket.send(text).await;
        assert_eq!(socket.hear().await, format!("text {text}"));
    }
    for size in [0, 1, 64 * 1024, 3_000_000] {
        socket.send(vec![7; size]).await;
        assert_eq!(socket.hear().await, format!("binary {size}"));
    }
    socket.close(3005, "enough").await;
    assert_eq!(socket.hear().await, "close 3005 enough");
    assert_eq!(ended(&app).await, r#"[[3005, "enough"]]"#);
}

#[tokio::test]
async fn many_messages_that_nobody_waits_for_come_back_in_order() {
    let app = app();
    let server = app.serve().await;
    let mut socket = Socket::open(server.address, "/echo").await;
    for number in 0..2_000 {
        socket.send(number.to_string()).await;
        if number % 100 == 99 {
            for heard in number - 99..=number {
                assert_eq!(socket.hear().await, format!("text {heard}"));
            }
        }
    }
}

#[tokio::test]
async fn a_socket_opens_under_layers_behind_routes_of_rust_and_below_a_prefix() {
    let app = app();
    let behind = app
        .service()
        .behind(Router::new().route("/native", native(async || "native")));
    let router = Router::new().nest("/sub", behind).layer((
        TraceLayer::new_for_http(),
        CompressionLayer::new(),
        CorsLayer::permissive(),
    ));
    let server = serve(router).await;
    let offered = [("sec-websocket-protocol", "a, b")];
    let mut socket = Socket::open_with(server.address, "/sub/scope", &offered)
        .await
        .unwrap();
    assert_eq!(socket.headers["sec-websocket-protocol"], "b");
    assert_eq!(socket.headers["x-a"], "1");
    assert_eq!(socket.headers["connection"], "upgrade");
    assert!(!socket.headers.contains_key("content-length"));
    assert_eq!(
        socket.hear().await,
        r#"text {"type": "websocket", "scheme": "ws", "path": "/sub/scope", "root_path": "/sub", "http_version": "1.1", "subprotocols": ["a", "b"], "method": false}"#
    );
}

#[tokio::test]
async fn an_application_refuses_by_403_or_by_a_response_of_its_own() {
    let app = app();
    let server = app.serve().await;
    let refused = async |path: &str| {
        Socket::open_with(server.address, path, &[])
            .await
            .unwrap_err()
    };
    assert_eq!(refused("/refuse").await, (403, String::new()));
    assert_eq!(refused("/401").await, (401, "who are you?".to_owned()));
    assert_eq!(refused("/early").await.0, 500);
    let line = log::wait_for(&app.module, "ValueError: before").await;
    assert_eq!(
        (line.method.as_str(), line.path.as_str()),
        ("GET", "/early")
    );
}

#[tokio::test]
async fn every_end_of_an_application_has_its_code() {
    let app = app();
    let server = app.serve().await;
    for (path, expected) in [
        ("/return", "close 1000 "),
        ("/close", "close 3001 bye"),
        ("/late", "close 1011 "),
    ] {
        let mut socket = Socket::open(server.address, path).await;
        assert_eq!(socket.hear().await, expected, "{path}");
        assert_eq!(socket.hear().await, "end");
    }
    let line = log::wait_for(&app.module, "ValueError: after").await;
    assert_eq!(line.path, "/late");
}

#[tokio::test]
async fn a_connection_that_is_lost_is_a_disconnect() {
    let app = app();
    let server = app.serve().await;
    let mut socket = Socket::open(server.address, "/echo").await;
    socket.send("a").await;
    assert_eq!(socket.hear().await, "text a");
    drop(socket);
    assert_eq!(ended(&app).await, r#"[[1005, ""]]"#);
}

/// A short frame whose payload is masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.iter().map(|_| 1).sum::<u8>();
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[tokio::test]
async fn a_client_that_breaks_a_rule_is_told_which() {
    let too_long = [&[0x82, 0xff][..], &(17_u64 << 20).to_be_bytes(), &[0; 4]].concat();
    for (sent, code) in [
        (vec![0x81, 0x01, b'x'], 1002_u16),
        (frame(0x83, b""), 1002),
        (frame(0x81, b"\xff"), 1007),
        (too_long, 1009),
    ] {
        let app = app();
        let server = app.serve().await;
        let mut connection = Connection::open(server.address).await;
        let headers: [(&str, &[u8]); 4] = [
            ("Connection", b"Upgrade"),
            ("Upgrade", b"websocket"),
            ("Sec-WebSocket-Version", b"13"),
            ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        connection
            .send(&request("GET", "/echo", &headers, b""))
            .await;
        let head = connection.receive("HEAD").await;
        assert_eq!(head.status, 101);
        assert_eq!(
            head.header("sec-websocket-accept"),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        connection.send(&sent).await;
        let expected = [&[0x88, 2][..], &code.to_be_bytes()].concat();
        assert_eq!(connection.exactly(expected.len()).await, expected);
        assert_eq!(ended(&app).await, format!(r#"[[{code}, ""]]"#));
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_application() {
    let app = app();
    let server = app.serve().await;
    let _socket = Socket::open(server.address, "/fill").await;
    assert_eq!(ended(&app).await, r#"[["full", true]]"#);
}

#[tokio::test]
async fn an_open_socket_counts_for_the_limit_of_its_service() {
    let app = app();
    let server = serve(Router::new().fallback_service(app.service().with_limit(1))).await;
    let mut socket = Socket::open(server.address, "/echo").await;
    let refused = async || Socket::open_with(server.address, "/echo", &[]).await;
    assert_eq!(refused().await.unwrap_err().0, 503);
    socket.close(1000, "").await;
    assert_eq!(socket.hear().await, "close 1000 ");
    assert_eq!(ended(&app).await, r#"[[1000, ""]]"#);
    while refused().await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_shutdown_closes_sockets_and_waits_for_them() {
    let app = app();
    let server = app.serve().await;
    let mut socket = Socket::open(server.address, "/echo").await;
    let (heard, ()) = tokio::join!(socket.hear(), app.python.shutdown());
    assert_eq!(heard, "close 1012 ");
}

#[tokio::test]
async fn a_reload_closes_the_sockets_of_the_old_code() {
    let app = App::with(APP, |builder| builder.executor(processes(1)));
    let server = app.serve().await;
    let mut socket = Socket::open(server.address, "/echo").await;
    app.python.reload().await.unwrap();
    assert_eq!(socket.hear().await, "close 1012 ");
    let mut socket = Socket::open(server.address, "/echo").await;
    socket.send("a").await;
    assert_eq!(socket.hear().await, "text a");
}

#[tokio::test]
async fn a_worker_process_that_dies_takes_its_own_sockets_alone() {
    let app = App::with(APP, |builder| builder.executor(processes(2)));
    let server = app.serve().await;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        let mut socket = Socket::open(server.address, "/pid").await;
        let pid = socket.hear().await;
        sockets.push((socket, pid));
    }
    let (mut first, dead) = sockets.swap_remove(0);
    first.send("die").await;
    assert_eq!(first.hear().await, "close 1011 ");
    for (mut socket, pid) in sockets {
        socket.send("a").await;
        let expected = if pid == dead { "close 1011 " } else { "text a" };
        assert_eq!(socket.hear().await, expected);
    }
}

#[tokio::test]
async fn a_socket_opens_over_http_2() {
    let app = app();
    let server = app.serve().await;
    let mut socket = open_http2(server.address, "/scope").await;
    let shown = socket.hear().await;
    assert!(
        shown.contains(r#""type": "websocket", "scheme": "ws""#),
        "{shown}"
    );
    assert!(shown.contains(r#""http_version": "2""#), "{shown}");
    socket.send("a").await;
    assert_eq!(socket.hear().await, "text a");
    socket.close(1000, "").await;
    assert_eq!(socket.hear().await, "close 1000 ");
}

#[tokio::test]
async fn a_handshake_for_a_handler_is_a_usual_request() {
    let app = App::new(
        "def handle(method, path, params, query, headers, body): return 200, headers['Upgrade'][0], None",
    );
    let server = app.serve().await;
    let refused = Socket::open_with(server.address, "/", &[]).await;
    assert_eq!(refused.unwrap_err(), (200, "websocket".to_owned()));
}
