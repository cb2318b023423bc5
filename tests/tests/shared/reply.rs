//! What a handler may return, over real connections: every vector of `replies.json`, and what a client sees of it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::fmt::Write as _;

use axum::Router;
use http::Request;
use httpy_tests::app::{App, Server, ask, get, serve};
use httpy_tests::client::{self, Connection, Received, exchange, request};
use httpy_tests::log;
use serde_json::Value;
use tracing::Level;

/// For each vector a handler of its name.
const VECTORS: &str = r#"
import http, json

def handle(method, path, params, query, headers, body):
    return 200, "served", {}

def returning(expression):
    def handler(method, path, params, query, headers, body):
        return eval(expression, {"http": http})
    return handler

with open(FILE, encoding="utf-8") as file:
    for vector in json.load(file):
        globals()[vector["name"]] = returning(vector["returns"])
"#;

struct Vectors {
    all: Vec<Value>,
    app: App,
    server: Server,
}

async fn vectors() -> Vectors {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/replies.json");
    let all: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let app = App::new(&format!("FILE = {file:?}\n{VECTORS}"));
    let mut router = Router::new().route_service("/", app.service());
    for vector in &all {
        router = router.route_service(&format!("/{}", name(vector)), app.handler(name(vector)));
    }
    Vectors {
        all,
        app,
        server: serve(router).await,
    }
}

fn name(vector: &Value) -> &str {
    vector["name"].as_str().unwrap()
}

fn method(vector: &Value) -> &str {
    vector["method"].as_str().unwrap()
}

async fn send(server: &Server, vector: &Value) -> Received {
    exchange(
        server.address,
        &request(method(vector), &format!("/{}", name(vector)), &[], b""),
    )
    .await
}

fn text(latin_1: &[u8]) -> String {
    latin_1.iter().map(|byte| char::from(*byte)).collect()
}

#[tokio::test]
async fn what_the_contract_allows_goes_out_as_each_vector_says() {
    let Vectors { all, app, server } = vectors().await;
    let mut wrong = String::new();
    for vector in all.iter().filter(|vector| vector.get("failure").is_none()) {
        let received = send(&server, vector).await;
        let given = vector["headers"]
            .as_array()
            .unwrap()
            .iter()
            .any(|line| line[0] == "content-length");
        // hyper sends no length with a 304, save to HEAD.
        let dropped = given && received.status == 304 && method(vector) != "HEAD";
        let mut headers: Vec<Value> = received
            .headers
            .iter()
            // The server's own: the date always, the length, or that it is not known, where the handler gave none.
            .filter(|(name, _)| {
                name != "date"
                    && (given || (name != "content-length" && name != "transfer-encoding"))
            })
            .map(|(name, value)| serde_json::json!([name, text(value)]))
            .collect();
        headers.sort_by_key(Value::to_string);
        let mut expected = vector["headers"].as_array().unwrap().clone();
        expected.retain(|line| !(dropped && line[0] == "content-length"));
        expected.sort_by_key(Value::to_string);
        let found = (
            u64::from(received.status),
            headers,
            text(&received.body),
            warnings(&app, vector),
        );
        let expected = (
            vector["status"].as_u64().unwrap(),
            expected,
            vector["body"].as_str().unwrap().to_owned(),
            vector["warnings"]
                .as_array()
                .unwrap()
                .iter()
                .map(|text| text.as_str().unwrap().to_owned())
                .collect(),
        );
        if found != expected {
            writeln!(
                wrong,
                "{}: expected {expected:?}, found {found:?}",
                name(vector)
            )
            .unwrap();
        }
        assert_eq!(
            client::get(server.address, "/").await.text(),
            "served",
            "after {}",
            name(vector)
        );
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What was logged about the vector's handler, without its name.
fn warnings(app: &App, vector: &Value) -> Vec<String> {
    let target = app.target(name(vector));
    let lines = log::lines(&target)
        .into_iter()
        .filter(|line| line.handler == target);
    lines
        .map(|line| {
            assert_eq!(line.level, Level::WARN, "{line:?}");
            line.message
                .strip_prefix(&format!("{target}: "))
                .expect("the line does not begin with the target")
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn anything_else_is_a_contract_failure_in_the_words_of_each_vector() {
    let Vectors { all, app, server } = vectors().await;
    let mut wrong = String::new();
    for vector in all.iter().filter(|vector| vector.get("failure").is_some()) {
        let target = app.target(name(vector));
        let message = format!("{target} returned {}", vector["failure"].as_str().unwrap());

        let received = send(&server, vector).await;
        // The answer to HEAD has no body, whatever failed.
        let body = if method(vector) == "HEAD" {
            ""
        } else {
            "internal server error\n"
        };
        if (received.status, received.text().as_str()) != (500, body) {
            writeln!(
                wrong,
                "{}: answered {} {:?}",
                name(vector),
                received.status,
                received.text()
            )
            .unwrap();
        }
        let lines: Vec<_> = log::lines(&target)
            .into_iter()
            .filter(|line| line.handler == target)
            .collect();
        match lines.as_slice() {
            [line] if line.level == Level::ERROR && line.message == message => {}
            other => writeln!(
                wrong,
                "{}: expected the line {message:?}, found {other:?}",
                name(vector)
            )
            .unwrap(),
        }

        let direct = Request::builder()
            .method(method(vector))
            .body(axum::body::Body::empty())
            .unwrap();
        let error = ask(app.handler(name(vector)), direct)
            .await
            .error
            .expect("no error in the extensions");
        if !error.is_contract() || error.to_string() != message {
            writeln!(
                wrong,
                "{}: expected {message:?}, found {error:?}",
                name(vector)
            )
            .unwrap();
        }
        assert_eq!(
            client::get(server.address, "/").await.text(),
            "served",
            "after {}",
            name(vector)
        );
    }
    assert!(wrong.is_empty(), "{wrong}");
}

const STATUS_IN_PATH: &str = "
def handle(method, path, params, query, headers, body):
    return int(path[1:]), 'abc', {'Content-Length': '3'} if 'given' in query else {}
";

#[tokio::test]
async fn the_answer_to_head_has_the_length_but_not_the_body_and_the_connection_goes_on() {
    let server = App::new(STATUS_IN_PATH).serve().await;
    let mut connection = Connection::open(server.address).await;
    for target in ["/200", "/200?given"] {
        connection.send(&request("HEAD", target, &[], b"")).await;
        let head = connection.receive("HEAD").await;
        assert_eq!(
            (head.status, head.header("content-length").as_str()),
            (200, "3")
        );
        // A body that had been sent all the same would be read as the beginning of this answer.
        connection.send(&request("GET", target, &[], b"")).await;
        assert_eq!(connection.receive("GET").await.text(), "abc");
    }
}

#[tokio::test]
async fn statuses_without_a_body_leave_the_connection_in_order() {
    let server = App::new(STATUS_IN_PATH).serve().await;
    let mut connection = Connection::open(server.address).await;
    for status in [204, 205, 304] {
        for method in ["GET", "HEAD"] {
            connection
                .send(&request(method, &format!("/{status}?given"), &[], b""))
                .await;
            let received = connection.receive(method).await;
            assert_eq!((received.status, received.text().as_str()), (status, ""));
            connection.send(&request("GET", "/200", &[], b"")).await;
            assert_eq!(
                connection.receive("GET").await.text(),
                "abc",
                "after {method} {status}"
            );
        }
    }
}

#[tokio::test]
async fn a_length_that_comes_with_304_is_that_of_another_answer_and_leaves_us_unchecked() {
    let app = App::new(STATUS_IN_PATH);
    let answer = app.ask(get("/304?given")).await;
    assert_eq!(
        (
            answer.status,
            answer.header("content-length"),
            answer.text().as_str()
        ),
        (304, "3", "")
    );
    assert_eq!(
        app.ask(get("/204?given")).await.header("content-length"),
        ""
    );
}

#[tokio::test]
async fn the_server_adds_the_length_and_the_date() {
    let server = App::new(STATUS_IN_PATH).serve().await;
    let received = client::get(server.address, "/200").await;
    let names: Vec<&str> = received
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["content-type", "content-length", "date"]);
    assert_eq!(received.header("content-length"), "3");
}

#[tokio::test]
async fn values_of_one_header_go_out_as_lines_of_their_own_in_order() {
    let app = App::new(
        "
def handle(method, path, params, query, headers, body):
    return 200, '', {'Set-Cookie': ['a=1', 'b=2'], 'set-cookie': ('c=3',), 'X-None': []}
",
    );
    let received = client::get(app.serve().await.address, "/").await;
    let cookies: Vec<&[u8]> = received
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .map(|(_, value)| value.as_slice())
        .collect();
    assert_eq!(cookies, [&b"a=1"[..], b"b=2", b"c=3"]);
    assert!(!received.has("x-none"));
}

#[tokio::test]
async fn a_handler_that_changes_what_it_returned_later_changes_no_answer() {
    let app = App::new(
        "
kept = bytearray(b'first')
headers_kept = {'X-A': ['1']}
def handle(method, path, params, query, headers, body):
    kept[:] = path.encode()
    headers_kept['X-A'][0] = path
    return 200, kept, headers_kept
",
    );
    let (one, two) = (app.ask(get("/one")).await, app.ask(get("/second")).await);
    assert_eq!((one.text().as_str(), one.header("x-a")), ("/one", "/one"));
    assert_eq!(
        (two.text().as_str(), two.header("x-a")),
        ("/second", "/second")
    );
}
