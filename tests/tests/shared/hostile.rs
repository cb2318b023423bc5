//! Requests that nobody means well: each is answered as the contract says, and the next one is served.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::net::SocketAddr;

use axum::Router;
use http_body_util::Full;
use httpy_tests::app::{App, Server, ask, get, serve};
use httpy_tests::client::{self, Connection, Received, exchange, request};

const ECHO: &str = "
def init():
    return {'/echo/:first/*rest': ['GET', 'POST'], '/plain': ['GET'], '/options': ['OPTIONS']}

def handle(method, path, params, query, headers, body):
    return 200, ascii([method, path, params, query, len(body)]), {}

def header(method, path, params, query, headers, body):
    return 200, ascii(headers.get('X-Odd')), {}
";

/// The three ways in which a handler is mounted: as a service for everything, by its routes, as a fallback of its routes.
async fn mounted(app: &App) -> [(&'static str, Server); 3] {
    [
        ("service", app.serve().await),
        ("routes", app.serve_routes().await),
        (
            "fallback",
            serve(Router::new().fallback_service(app.routes().fallback().unwrap())).await,
        ),
    ]
}

async fn still_serves(address: SocketAddr) {
    assert_eq!(
        client::get(address, "/plain").await.text(),
        "['GET', '/plain', {}, {}, 0]"
    );
}

#[tokio::test]
async fn encoded_bytes_of_any_kind_arrive_in_path_captures_and_query() {
    let app = App::new(ECHO);
    for (mount, server) in mounted(&app).await {
        for (sent, arrives) in [
            ("%00", r"\x00"),
            ("%FF", r"\udcff"),
            ("%C3%A9", r"\xe9"),
            ("%c3%a9", r"\xe9"),
            ("%ED%A0%80", r"\udced\udca0\udc80"),
            ("%2e%2E", ".."),
            ("%0D%0A", r"\r\n"),
            ("%F0%9F%98%80", r"\U0001f600"),
            ("%", "%"),
            ("%zz", "%zz"),
        ] {
            let target = format!("/echo/{sent}/a/{sent}?k{sent}={sent}");
            let params = match mount {
                "service" => "{}".to_owned(),
                _ => format!("{{'first': ['{arrives}'], 'rest': ['a/{arrives}']}}"),
            };
            let path = format!("'/echo/{arrives}/a/{arrives}'");
            let expected = format!("['GET', {path}, {params}, {{'k{arrives}': ['{arrives}']}}, 0]");
            assert_eq!(
                client::get(server.address, &target).await.text(),
                expected,
                "{mount} {target}"
            );
            still_serves(server.address).await;
        }
    }
}

#[tokio::test]
async fn an_encoded_slash_is_part_of_what_a_route_captures() {
    let app = App::new(ECHO);
    for (mount, server) in mounted(&app).await.into_iter().skip(1) {
        let text = client::get(server.address, "/echo/a%2Fb/c%2fd?e%2F=%2F")
            .await
            .text();
        let expected =
            "['GET', '/echo/a/b/c/d', {'first': ['a/b'], 'rest': ['c/d']}, {'e/': ['/']}, 0]";
        assert_eq!(text, expected, "{mount}");
        // It separates nothing: these are one segment.
        assert_eq!(
            client::get(server.address, "/echo%2Fa%2Fb").await.status,
            404,
            "{mount}"
        );
        assert_eq!(
            client::get(server.address, "/echo/a%2Fb").await.status,
            404,
            "{mount}"
        );
        still_serves(server.address).await;
    }
}

#[tokio::test]
async fn paths_that_look_like_others_match_nothing() {
    let app = App::new(ECHO);
    for (mount, server) in mounted(&app).await.into_iter().skip(1) {
        for target in [
            "//plain",
            "/plain/",
            "/./plain",
            "/x/../plain",
            "/PLAIN",
            "/plai",
            "/echo/a/",
            "*",
        ] {
            assert_eq!(
                client::get(server.address, target).await.status,
                404,
                "{mount} {target}"
            );
        }
        still_serves(server.address).await;
    }
}

#[tokio::test]
async fn any_byte_in_a_header_value_arrives_and_control_characters_are_the_servers_own_400() {
    let app = App::new(ECHO);
    let server = serve(
        Router::new()
            .route_service("/odd", app.handler("header"))
            .merge(app.routes().router().unwrap()),
    )
    .await;
    let printable = (b' '..=b'~').chain(0x80..=0xff);
    for byte in printable.chain([b'\t']) {
        let received = exchange(
            server.address,
            &request("GET", "/odd", &[("X-Odd", &[b'a', byte, b'b'])], b""),
        )
        .await;
        let mut expected = String::from("['a");
        match byte {
            b'\t' => expected.push_str("\\t"),
            b'\\' => expected.push_str("\\\\"),
            b'\'' => expected = String::from("[\"a'"),
            b' '..=b'~' => expected.push(char::from(byte)),
            _ => write!(expected, "\\x{byte:02x}").unwrap(),
        }
        expected.push_str(if byte == b'\'' { "b\"]" } else { "b']" });
        assert_eq!(received.text(), expected, "byte {byte:#x}");
    }
    for byte in (0..b' ')
        .filter(|byte| !b"\t\r\n".contains(byte))
        .chain([0x7f])
    {
        let received = exchange(
            server.address,
            &request("GET", "/odd", &[("X-Odd", &[b'a', byte, b'b'])], b""),
        )
        .await;
        assert_eq!(received.status, 400, "byte {byte:#x}");
    }
    still_serves(server.address).await;
}

#[tokio::test]
async fn bytes_that_are_no_request_are_answered_with_400() {
    let app = App::new(ECHO);
    let (target, latin) = (
        b"GET /plain\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /caf\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let nonsense: [&[u8]; 8] = [
        target,
        latin,
        b"GET /plain HTTP/1.1\r\n: empty\r\n\r\n",
        b"GET /plain HTTP/1.1\r\nX A: 1\r\n\r\n",
        b"GET /plain HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
        b"POST /plain HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ];
    for (mount, server) in mounted(&app).await {
        for bytes in nonsense {
            let received = exchange(server.address, bytes).await;
            assert_eq!(
                received.status,
                400,
                "{mount} {:?}",
                String::from_utf8_lossy(bytes)
            );
        }
        still_serves(server.address).await;
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_the_servers_own_refusal() {
    let server = App::new(ECHO).serve().await;
    let large = exchange(
        server.address,
        &request("GET", "/plain", &[("X-Large", &vec![b'a'; 1 << 20])], b""),
    )
    .await;
    assert_eq!(large.status, 431);
    let long = format!("/{}", "a".repeat(100_000));
    assert_eq!(client::get(server.address, &long).await.status, 414);
    still_serves(server.address).await;
}

#[tokio::test]
async fn a_long_path_and_ten_thousand_query_keys_arrive() {
    let app = App::new(
        "def handle(m, path, p, query, h, b):\n    return 200, f'{len(path)} {len(query)}', {}\n",
    );
    let server = app.serve().await;
    let path = format!("/{}", "%41".repeat(20_000));
    assert_eq!(client::get(server.address, &path).await.text(), "20001 0");
    let mut keys = String::from("/?");
    for number in 0..10_000 {
        write!(keys, "{number:x}&").unwrap();
    }
    assert_eq!(client::get(server.address, &keys).await.text(), "1 10000");
}

/// Status, `Allow`, and body of an answer to `method`.
async fn send(server: &Server, method: &str, target: &str) -> (u16, String, String) {
    let Received { status, body, .. } =
        exchange(server.address, &request(method, target, &[], b"")).await;
    let allow = exchange(server.address, &request(method, target, &[], b""))
        .await
        .header("allow");
    (status, allow, String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn head_options_and_purge_reach_a_service_as_they_were_sent() {
    let server = App::new(ECHO).serve().await;
    for method in ["OPTIONS", "PURGE", "TRACE", "options", "M-SEARCH"] {
        let (status, allow, body) = send(&server, method, "/plain").await;
        let expected = format!("['{method}', '/plain', {{}}, {{}}, 0]");
        assert_eq!((status, allow.as_str(), body), (200, "", expected));
    }
    let head = exchange(server.address, &request("HEAD", "/plain", &[], b"")).await;
    let length = "['HEAD', '/plain', {}, {}, 0]".len().to_string();
    assert_eq!(
        (
            head.status,
            head.header("content-length"),
            head.text().as_str()
        ),
        (200, length, "")
    );
    still_serves(server.address).await;
}

#[tokio::test]
async fn routes_and_fallback_answer_head_with_get_and_other_methods_with_405() {
    let app = App::new(ECHO);
    for (mount, server) in mounted(&app).await.into_iter().skip(1) {
        assert_eq!(
            send(&server, "HEAD", "/plain").await,
            (200, String::new(), String::new()),
            "{mount}"
        );
        for method in ["POST", "OPTIONS", "PURGE", "get"] {
            let (status, allow, _) = send(&server, method, "/plain").await;
            assert_eq!(
                (status, allow.as_str()),
                (405, "GET,HEAD"),
                "{mount} {method}"
            );
        }
        let (status, _, body) = send(&server, "OPTIONS", "/options").await;
        assert_eq!(
            (status, body.as_str()),
            (200, "['OPTIONS', '/options', {}, {}, 0]"),
            "{mount}"
        );
        assert_eq!(send(&server, "GET", "/options").await.0, 405, "{mount}");
        assert_eq!(send(&server, "HEAD", "/options").await.0, 405, "{mount}");
        still_serves(server.address).await;
    }
}

#[tokio::test]
async fn connect_is_refused_with_405_and_the_handler_never_runs() {
    let app = App::new(ECHO);
    for (mount, server) in mounted(&app).await {
        assert_eq!(send(&server, "CONNECT", "/plain").await.0, 405, "{mount}");
        let tunnel = send(&server, "CONNECT", "example.org:443").await.0;
        // A tunnel has no path: where axum looks for a route, it finds none.
        assert_eq!(tunnel, if mount == "routes" { 404 } else { 405 }, "{mount}");
        still_serves(server.address).await;

        let connect = http::Request::connect("example.org:443")
            .body(Full::default())
            .unwrap();
        let refused = client::http2(server.address, connect)
            .await
            .status()
            .as_u16();
        assert_eq!(
            refused,
            if mount == "routes" { 404 } else { 405 },
            "{mount} over HTTP/2"
        );
        still_serves(server.address).await;
    }
}

#[tokio::test]
async fn a_target_without_a_path_or_with_an_authority_arrives() {
    let server = App::new(ECHO).serve().await;
    assert_eq!(
        send(&server, "OPTIONS", "*").await.2,
        "['OPTIONS', '*', {}, {}, 0]"
    );
    assert_eq!(
        send(&server, "GET", "http://example.org/a?b").await.2,
        "['GET', '/a', {}, {'b': ['']}, 0]"
    );
    assert_eq!(
        send(&server, "GET", "http://example.org").await.2,
        "['GET', '/', {}, {}, 0]"
    );
}

#[tokio::test]
async fn bodies_of_no_byte_and_of_one_arrive_and_64_mib_over_the_limit_is_413() {
    const LARGE: usize = 64 * 1024 * 1024;
    let server = App::new(ECHO).serve().await;
    for body in [&b""[..], b"a"] {
        let text = exchange(server.address, &request("POST", "/", &[], body))
            .await
            .text();
        assert_eq!(text, format!("['POST', '/', {{}}, {{}}, {}]", body.len()));
    }
    let body = vec![0xff; LARGE];
    let mut chunked = format!("{LARGE:x}\r\n").into_bytes();
    chunked.extend_from_slice(&body);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    for bytes in [
        request("POST", "/", &[], &body),
        request("POST", "/", &[("Transfer-Encoding", b"chunked")], &chunked),
    ] {
        // The answer comes while most of the body is still on its way.
        let mut connection = Connection::open(server.address).await;
        let (head, rest) = bytes.split_at(4 * 1024 * 1024);
        connection.send(head).await;
        assert_eq!(connection.receive("POST").await.status, 413);
        connection.send(rest).await;
        still_serves(server.address).await;
    }
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_told_yes_or_no() {
    let server = App::new(ECHO).serve().await;
    let expect = ("Expect", &b"100-continue"[..]);
    let mut connection = Connection::open(server.address).await;
    connection
        .send(&request(
            "POST",
            "/",
            &[expect, ("Content-Length", b"1")],
            b"",
        ))
        .await;
    assert_eq!(connection.receive("HEAD").await.status, 100);
    connection.send(b"a").await;
    assert_eq!(
        connection.receive("POST").await.text(),
        "['POST', '/', {}, {}, 1]"
    );

    let mut connection = Connection::open(server.address).await;
    connection
        .send(&request(
            "POST",
            "/",
            &[expect, ("Content-Length", b"99999999")],
            b"",
        ))
        .await;
    assert_eq!(connection.receive("POST").await.status, 413);
    still_serves(server.address).await;
}

#[tokio::test]
async fn requests_that_come_all_at_once_are_answered_in_order() {
    let server = App::new(ECHO).serve().await;
    let mut connection = Connection::open(server.address).await;
    let mut bytes = Vec::new();
    for number in 0..20 {
        bytes.extend(request("POST", &format!("/{number}"), &[], b"body"));
    }
    connection.send(&bytes).await;
    for number in 0..20 {
        let text = connection.receive("POST").await.text();
        assert_eq!(text, format!("['POST', '/{number}', {{}}, {{}}, 4]"));
    }
}

#[tokio::test]
async fn a_length_beside_chunks_smuggles_no_second_request() {
    let server = App::new(ECHO).serve().await;
    let headers = [
        ("Content-Length", &b"4"[..]),
        ("Transfer-Encoding", b"chunked"),
    ];
    let mut connection = Connection::open(server.address).await;
    connection
        .send(&request(
            "POST",
            "/",
            &headers,
            b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ))
        .await;
    // Chunks win (RFC 9112, 6.3), and what follows them is a request of its own, not a part of this one.
    let first = connection.receive("POST").await;
    assert!(
        first.status == 400 || first.text() == "['POST', '/', {}, {}, 0]",
        "{first:?}"
    );
    still_serves(server.address).await;
}

#[tokio::test]
async fn a_request_made_by_hand_without_a_server_has_an_empty_host() {
    let app = App::new("def handle(m, p, c, q, headers, b):\n    return 200, repr(headers), {}\n");
    assert_eq!(ask(app.service(), get("/")).await.text(), "{'Host': ['']}");
}
