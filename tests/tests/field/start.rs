//! What a start says: one line about what runs, and an error, not a panic, about routes that the host has already.

use std::time::Duration;

use axum::Router;
use axum::routing::{get, put};
use httpy_tests::app::{App, ask, get as request_for};
use httpy_tests::{executor, log};
use tracing::Level;

const SOURCE: &str = "
def init():
    return {'/shared': ['GET', 'POST'], '/free': ['GET'], '/user/:name': ['GET']}

def handle(method, path, params, query, headers, body):
    return 200, 'python', None
";

#[tokio::test]
async fn one_line_says_what_was_started() {
    let app = App::new(SOURCE);
    let signal = std::future::pending::<()>();
    let serving = tokio::spawn(app.python.stop_on(signal, Duration::ZERO));
    let line = log::wait_for("", &format!("serving {}", app.target("handle"))).await;
    serving.abort();
    assert_eq!(line.level, Level::INFO);
    let version = app.python.snapshot().versions.python;
    let threads = if executor::are_processes() {
        "2 worker processes of up to 16 threads"
    } else {
        "worker threads"
    };
    for part in [&*format!(": Python {version}, "), "3 routes", threads] {
        assert!(line.message.contains(part), "{part}: {line:?}");
    }
    assert!(line.message.contains("virtual environment"), "{line:?}");
}

#[tokio::test]
async fn routes_that_the_host_has_already_are_an_error_that_names_them() {
    let app = App::new(SOURCE);
    let native = || async { "native" };

    let host = Router::<()>::new()
        .route("/shared", get(native))
        .route("/user/{id}", put(native));
    let error = app.routes().merge_into(host).expect_err("they conflict");
    assert!(error.is_routes(), "{error:?}");
    let text = error.to_string();
    for part in [
        "\n\"/shared\": ",
        "`GET /shared`",
        "\n\"/user/:name\": ",
        "RouteMap::retain",
        "fallback()",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("/free"), "{text}");

    let host = Router::<()>::new()
        .route("/shared", put(native))
        .route("/native", get(native));
    let merged = app.routes().merge_into(host).expect("none conflicts");
    for (path, expected) in [
        ("/native", "native"),
        ("/shared", "python"),
        ("/free", "python"),
    ] {
        assert_eq!(
            ask(merged.clone(), request_for(path)).await.text(),
            expected
        );
    }
}
