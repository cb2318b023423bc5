//! An engine's own options: what Python code finds around it, services that a file names, routes of several init functions; and
//! a router that is served until a signal.

use std::fs;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get as on_get;
use futures_util::FutureExt;
use httpy::{Pass, PyEngine};
use httpy_tests::app::{App, ask, get, post};
use httpy_tests::{executor, log};
use metrics_util::debugging::DebuggingRecorder;
use tracing::Level;

const ECHO: &str = "
import json, os
def handle(method, path, params, query, headers, body):
    import httpy_rs
    asked = httpy_rs.request()
    return 200, json.dumps([method, path, params, asked.route, body]), {}
";

fn echo() -> App {
    App::new(ECHO)
}

async fn native() -> &'static str {
    "native"
}

/// Leaves what is new to Python.
async fn order(request: Request) -> Result<&'static str, Pass> {
    if request.uri().path().ends_with("/new") {
        return Err(Pass(request));
    }
    Ok("native")
}

async fn text(router: &Router, method: &str, path: &str, body: &str) -> String {
    let request = Request::builder().method(method).uri(path);
    let request = match request.body(Body::from(body.to_owned())) {
        Ok(request) => request,
        Err(error) => panic!("{error}"),
    };
    let answer = ask(router.clone(), request).await;
    assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
    answer.text()
}

#[tokio::test]
async fn behind_a_router_python_has_what_the_router_does_not_have() {
    let app = echo();
    let inner = Router::new().route("/orders/{id}", on_get(order).put(native));
    let native = Router::new()
        .route("/orders/{id}", on_get(order).put(native))
        .nest("/nested", inner.clone())
        .nest("/{tenant}", inner);
    let router: Router = app.service().behind(native);
    for (method, path, body, expected) in [
        ("GET", "/orders/7", "", "native"),
        ("HEAD", "/orders/7", "", ""),
        ("PUT", "/orders/7", "", "native"),
        ("GET", "/nested/orders/7", "", "native"),
        ("GET", "/", "", r#"["GET", "/", {}, null, ""]"#),
        (
            "GET",
            "/orders/new",
            "",
            r#"["GET", "/orders/new", {}, null, ""]"#,
        ),
        (
            "POST",
            "/orders/7",
            "an order",
            r#"["POST", "/orders/7", {}, null, "an order"]"#,
        ),
        (
            "OPTIONS",
            "/orders/7",
            "",
            r#"["OPTIONS", "/orders/7", {}, null, ""]"#,
        ),
        (
            "POST",
            "/nested/orders/7",
            "x",
            r#"["POST", "/nested/orders/7", {}, null, "x"]"#,
        ),
        (
            "GET",
            "/nested/orders/new",
            "",
            r#"["GET", "/nested/orders/new", {}, null, ""]"#,
        ),
        (
            "GET",
            "/some/orders/new",
            "",
            r#"["GET", "/some/orders/new", {}, null, ""]"#,
        ),
        (
            "GET",
            "/some/where",
            "",
            r#"["GET", "/some/where", {}, null, ""]"#,
        ),
    ] {
        assert_eq!(
            text(&router, method, path, body).await,
            expected,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_service_behind_a_nested_router_has_the_captures_of_the_prefix() {
    let app = echo();
    let native = Router::new().route("/orders/{id}", on_get(order));
    let router: Router = app.service().behind(native);
    let router = Router::new().nest_service("/{tenant}/api", router);
    for path in ["orders/new", "elsewhere"] {
        let expected = format!(r#"["GET", "/{path}", {{"tenant": ["t"]}}, "#);
        let answer = text(&router, "GET", &format!("/t/api/{path}"), "").await;
        assert!(answer.starts_with(&expected), "{answer}");
    }
    let answer = text(&router, "DELETE", "/t/api/orders/7", "").await;
    assert!(
        answer.starts_with(r#"["DELETE", "/orders/7", {"tenant": ["t"]}, "#),
        "{answer}"
    );
}

#[tokio::test]
async fn behind_a_router_routes_of_python_are_matched_as_in_one_of_their_own() {
    let app = App::new(&format!(
        "{ECHO}\ndef init():\n    return {{'/orders/:name': ['GET']}}\n"
    ));
    let native = Router::new().route("/orders/{id}", on_get(order));
    let router: Router = app.routes().fallback().unwrap().behind(native);
    let answer = text(&router, "GET", "/orders/new", "").await;
    assert_eq!(
        answer,
        r#"["GET", "/orders/new", {"name": ["new"]}, "/orders/{name}", ""]"#
    );
    assert_eq!(text(&router, "GET", "/orders/7", "").await, "native");
    let answer = ask(router.clone(), post("/orders/7", "")).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET,HEAD"));
    assert_eq!(ask(router, get("/elsewhere")).await.status, 404);
}

#[tokio::test]
async fn what_is_passed_where_nothing_is_behind_is_an_error() {
    let router: Router = Router::new().route("/new", on_get(order));
    let answer = ask(router, get("/new")).await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("no service behind"), "{answer:?}");
}

const SURROUNDINGS: &str = "
import os
SEEN = [os.environ.get(name) for name in ('HTTPY_TEST_ONE', 'HTTPY_TEST_TWO')]
def handle(method, path, params, query, headers, body):
    return 200, repr([SEEN, os.getcwd()]), {}
";

#[tokio::test]
async fn variables_are_there_before_the_first_import() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".env");
    fs::write(&file, "HTTPY_TEST_ONE=file\nHTTPY_TEST_TWO='of the file'\n").unwrap();
    let app = App::with(SURROUNDINGS, |builder| {
        builder.env("HTTPY_TEST_ONE", "given").env_file(&file)
    });
    let answer = app.ask(get("/")).await.text();
    assert!(
        answer.starts_with("[['given', 'of the file'], "),
        "{answer}"
    );
}

#[tokio::test]
async fn routes_of_two_init_functions_are_each_of_their_own_handler() {
    let app = App::new(
        "
def first(*arguments): return 200, 'first', {}
def second(*arguments): return 200, 'second', {}
def handle(*arguments): return 200, '', {}
def one(): return {'/one': ['GET']}
async def two(): return {'/two': ['GET']}
",
    );
    let engine: &PyEngine = &app.python;
    let one = engine
        .routes(app.target("one"), app.target("first"))
        .unwrap();
    let two = engine
        .routes(app.target("two"), app.target("second"))
        .unwrap();
    let router = one.router().unwrap().merge(two.router().unwrap());
    assert_eq!(text(&router, "GET", "/one", "").await, "first");
    assert_eq!(text(&router, "GET", "/two", "").await, "second");
    if executor::are_processes() {
        engine.reload().await.unwrap();
        assert_eq!(text(&router, "GET", "/two", "").await, "second");
    }
}

#[tokio::test]
async fn a_recorder_of_metrics_that_comes_too_late_is_warned_of() {
    let app = echo();
    let signal = std::future::pending::<()>();
    let recorder = DebuggingRecorder::new();
    let stop = metrics::with_local_recorder(&recorder, || {
        app.python.stop_on(signal, Duration::ZERO).now_or_never()
    });
    assert!(stop.is_none());
    let line = log::wait_for("", "a recorder of metrics was installed after").await;
    assert_eq!(line.level, Level::WARN);
}
