//! `httpy_rs.request()`: what a handler learns beyond its six arguments, extras included, and that none of it leaks into
//! the next request.

use axum::Router;
use http::request::Parts;
use http_body_util::Full;
use httpy_tests::app::{App, ask, get, serve};
use httpy_tests::client::{self, Connection, exchange, request};
use serde_json::{Value, json};

const REQUEST: &str = "
import json, time
import httpy_rs

def init():
    return {'/hello/:name': ['GET']}

def handle(method, path, params, query, headers, body):
    request = httpy_rs.request()
    assert httpy_rs.request() is request
    seconds = request.deadline - time.monotonic()
    found = {name: getattr(request, name) for name in ('target', 'route', 'client', 'scheme', 'http_version', 'extras')}
    return 200, json.dumps({**found, 'in_time': 3000 < seconds <= 3600}), {}
";

#[tokio::test]
async fn a_request_tells_target_route_client_scheme_version_and_deadline() {
    let server = App::new(REQUEST).serve_routes().await;
    let mut connection = Connection::open(server.address).await;
    connection
        .send(&request("GET", "/hello/a%20b?x=%31", &[], b""))
        .await;
    let mut found: Value = serde_json::from_slice(&connection.receive("GET").await.body).unwrap();
    let client = found["client"].take();
    assert_eq!(client[0], "127.0.0.1");
    assert!(client[1].as_u64().is_some_and(|port| port > 0), "{client}");
    let expected = json!({
        "target": "/hello/a%20b?x=%31", "route": "/hello/{name}", "client": null, "scheme": "http",
        "http_version": "1.1", "extras": {}, "in_time": true,
    });
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_request_tells_http_1_0_and_http_2() {
    let server = App::new(REQUEST).serve().await;
    let received = exchange(server.address, b"GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(
        serde_json::from_slice::<Value>(&received.body).unwrap()["http_version"],
        "1.0"
    );
    let request = http::Request::get("http://localhost/?a")
        .body(Full::default())
        .unwrap();
    let found: Value =
        serde_json::from_slice(client::http2(server.address, request).await.body()).unwrap();
    assert_eq!(
        (&found["http_version"], &found["target"]),
        (&json!("2"), &json!("/?a"))
    );
}

#[tokio::test]
async fn without_a_server_the_client_is_none() {
    let found: Value = serde_json::from_slice(&App::new(REQUEST).ask(get("/")).await.body).unwrap();
    assert_eq!(
        (&found["client"], &found["route"]),
        (&Value::Null, &Value::Null)
    );
}

#[derive(Clone, serde::Serialize)]
struct User {
    name: String,
    groups: Vec<u32>,
}

fn user(parts: &Parts) -> Option<User> {
    parts.extensions.get().cloned()
}

#[tokio::test]
async fn extras_of_the_host_arrive_and_a_client_cannot_forge_them() {
    let app = App::with(REQUEST, |builder| {
        builder
            .extra(user)
            .extra(|parts: &Parts| json!({"method": parts.method.as_str(), "name": "overwritten"}))
            .extra(|_: &Parts| ())
            .extra(user)
    });
    let known = User {
        name: "Zoë \u{1f600}".to_owned(),
        groups: vec![1, 2],
    };
    let router = Router::new().fallback_service(app.service());
    let server = serve(router.clone().layer(axum::Extension(known))).await;

    let received = exchange(
        server.address,
        &request("GET", "/", &[("name", b"root"), ("X-Extras", b"{}")], b""),
    )
    .await;
    let found: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(
        found["extras"],
        json!({"name": "Zoë \u{1f600}", "groups": [1, 2], "method": "GET"})
    );

    // The next request has no user.
    let found: Value = serde_json::from_slice(&ask(router, get("/")).await.body).unwrap();
    assert_eq!(
        found["extras"],
        json!({"method": "GET", "name": "overwritten"})
    );
}

#[tokio::test]
async fn extras_that_are_no_struct_or_map_are_answered_with_500() {
    let app = App::with(REQUEST, |builder| {
        builder.extra(|parts: &Parts| {
            if parts.uri.path() == "/bad" {
                json!(7)
            } else {
                Value::Null
            }
        })
    });
    let answer = app.ask(get("/bad")).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (500, "internal server error\n")
    );
    assert!(
        answer
            .error
            .is_some_and(|error| error.is_extra() && error.to_string().contains('7'))
    );
    assert_eq!(app.ask(get("/")).await.status, 200);

    let app = App::with(REQUEST, |builder| {
        builder.extra(|_: &Parts| {
            std::collections::HashMap::from([((1, 2), "a key that is no string")])
        })
    });
    assert!(
        app.ask(get("/"))
            .await
            .error
            .is_some_and(|error| error.is_extra())
    );
}

#[tokio::test]
async fn context_variables_do_not_leak_from_one_request_to_the_next_on_the_same_worker() {
    const REQUESTS: usize = 200;
    let app = App::new(
        "
import contextvars, threading
import httpy_rs
seen = contextvars.ContextVar('seen', default='fresh')
def handle(method, path, params, query, headers, body):
    before = seen.get()
    seen.set(path)
    httpy_rs.request().extras['mine'] = path
    return 200, f'{threading.current_thread().name} {before} {list(httpy_rs.request().extras.values())}', {}
",
    );
    let mut workers = std::collections::HashSet::new();
    for number in 0..REQUESTS {
        let text = app.ask(get(&format!("/{number}"))).await.text();
        let (worker, rest) = text.split_once(' ').unwrap();
        assert_eq!(rest, format!("fresh ['/{number}']"));
        assert!(worker.starts_with("httpy-worker-"), "{worker}");
        workers.insert(worker.to_owned());
    }
    assert!(
        workers.len() < REQUESTS,
        "no worker has ever had two requests"
    );
}

#[tokio::test]
async fn a_thread_of_the_handlers_own_knows_the_request_in_a_copied_context_only() {
    let app = App::new(
        "
import contextvars, threading
import httpy_rs
def handle(method, path, params, query, headers, body):
    found = []
    def ask():
        try:
            found.append(httpy_rs.request().target)
        except RuntimeError as error:
            found.append(type(error).__name__)
    copied = contextvars.copy_context()
    for target in (ask, lambda: copied.run(ask)):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    return 200, repr(found), {}
",
    );
    assert_eq!(
        app.ask(get("/a?b")).await.text(),
        "['RuntimeError', '/a?b']"
    );
}

#[tokio::test]
async fn a_request_that_is_kept_after_its_end_still_tells_what_it_knew() {
    let app = App::new(
        "
import httpy_rs
kept = []
def handle(method, path, params, query, headers, body):
    kept.append(httpy_rs.request())
    return 200, repr([request.target for request in kept]), {}
",
    );
    app.ask(get("/first")).await;
    assert_eq!(
        app.ask(get("/second")).await.text(),
        "['/first', '/second']"
    );
}
