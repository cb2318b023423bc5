//! Every line of the log about a call says which request it was: method and route, and at DEBUG the path.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use httpy_tests::app::{App, ask};
use httpy_tests::executor::processes;
use httpy_tests::gate::Gate;
use httpy_tests::log::{self, Line};
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

const SOURCE: &str = "
import asyncio, os

def init():
    return {'/x/:what': ['PUT']}

def handle(method, path, params, query, headers, body):
    return getattr(Handlers, params['what'][0])(query.get('gate', [0])[0])

async def handle_async(method, path, params, query, headers, body):
    reader, writer = await asyncio.open_connection('127.0.0.1', query['gate'][0])
    await reader.read(1)
    raise ValueError('after the gate')

class Handlers:
    def good(port):
        return 200, 'good', None

    def raising(port):
        raise KeyError('nope')

    def contract(port):
        return 200, {}, None

    def warned(port):
        return 200, '', {'Connection': 'close'}

    def short(port):
        return 200, iter(['a']), {'Content-Length': '2'}

    def breaking(port):
        def chunks():
            yield 'a'
            raise ValueError('half-way')
        return 200, chunks(), None

    def held(port):
        pass_gate(port)
        raise ValueError('after the gate')

    def spinning(port):
        with socket.create_connection(('127.0.0.1', int(port))):
            while True:
                pass

    def dying(port):
        os._exit(3)
";

fn app(options: impl FnOnce(httpy_tests::app::Builder) -> httpy_tests::app::Builder) -> App {
    App::with(&format!("{}{SOURCE}", Gate::SOURCE), options)
}

fn router(app: &App) -> Router {
    app.routes().router().expect("they are routes")
}

fn put(target: &str) -> Request<Body> {
    let request = Request::put(target).body(Body::from("the body"));
    request.expect("it is a request")
}

fn assert_names(line: &Line, path: &str) {
    let found = (&*line.method, &*line.route, &*line.path);
    assert_eq!(found, ("PUT", "/x/{what}", path), "{line:?}");
}

#[tokio::test]
async fn lines_about_what_a_handler_does_name_its_request() {
    let app = app(|builder| builder);
    for (what, text, level) in [
        ("raising", "KeyError: 'nope'", Level::ERROR),
        ("contract", "expected body to be", Level::ERROR),
        ("warned", "hop-by-hop", Level::WARN),
    ] {
        ask(router(&app), put(&format!("/x/{what}?secret"))).await;
        let line = log::wait_for(&app.target("handle"), text).await;
        assert_eq!((line.level, line.suppressed), (level, None), "{line:?}");
        assert_names(&line, &format!("/x/{what}"));
    }
}

#[tokio::test]
async fn lines_about_bodies_that_break_off_name_their_request() {
    let app = app(|builder| builder);
    for (what, text) in [("short", "1 bytes"), ("breaking", "ValueError: half-way")] {
        let service = router(&app);
        let request = put(&format!("/x/{what}"));
        let call = tokio::spawn(ask(service, request));
        assert!(call.await.is_err(), "its body has an end");
        assert_names(
            &log::wait_for(&app.target("handle"), text).await,
            &format!("/x/{what}"),
        );
    }
}

#[tokio::test]
async fn lines_about_refused_calls_name_their_request() {
    let app = app(|builder| builder.body_limit(4));
    let target = app.target("handle");
    assert_eq!(ask(router(&app), put("/x/good")).await.status, 413);
    let line = log::wait_for(&target, "over the limit").await;
    assert_eq!(line.level, Level::DEBUG);
    assert_names(&line, "/x/good");

    let limited = app.service().with_limit(0);
    let limited = Router::new().route_service("/x/{what}", limited);
    let empty = || Request::put("/x/good").body(Body::empty()).expect("it is");
    assert_eq!(ask(limited, empty()).await.status, 503);
    assert_names(&log::wait_for(&target, "the limit of 0").await, "/x/good");

    let fallback = app.routes().fallback().expect("they are routes");
    let unknown = Request::put("/nowhere?secret").body(Body::empty());
    assert_eq!(ask(fallback, unknown.expect("it is")).await.status, 404);
    let line = log::wait_for(&target, "no route matches").await;
    let found = (&*line.method, &*line.route, &*line.path);
    assert_eq!(found, ("PUT", "", "/nowhere"), "{line:?}");

    app.python
        .stop_on(std::future::ready(()), Duration::ZERO)
        .await;
    assert_eq!(ask(router(&app), put("/x/good")).await.status, 503);
    assert_names(&log::wait_for(&target, "shutting down").await, "/x/good");
}

#[tokio::test]
async fn lines_about_calls_that_take_long_name_their_request() {
    let (app, gate) = (
        app(|builder| builder.slow_call(Duration::from_millis(1))),
        Gate::new().await,
    );
    let at_gate = |what: &str| put(&format!("/x/{what}?gate={}", gate.port));
    let (call, held) = gate.hold(ask(router(&app), at_gate("held"))).await;
    assert_names(
        &log::wait_for(&app.target("handle"), "has taken").await,
        "/x/held",
    );
    // Its client has gone when it raises.
    call.abort();
    assert!(call.await.is_err());
    drop(held);
    assert_names(
        &log::wait_for(&app.target("handle"), "after the gate").await,
        "/x/held",
    );
}

#[tokio::test]
async fn lines_about_deadlines_name_their_request() {
    let (app, gate) = (app(|builder| builder), Gate::new().await);
    let is_async = app.handler("handle_async");
    let is_async = Router::new().route_service("/x/{what}", is_async);
    for (handler, what, router, text) in [
        ("handle", "spinning", router(&app), "it is interrupted"),
        ("handle_async", "waiting", is_async, "it is cancelled"),
    ] {
        let request = put(&format!("/x/{what}?gate={}", gate.port));
        let (call, _held) = gate.hold(ask(router, request)).await;
        tokio::time::pause();
        assert_eq!(call.await.expect("it has not panicked").status, 504);
        tokio::time::resume();
        assert_names(
            &log::wait_for(&app.target(handler), text).await,
            &format!("/x/{what}"),
        );
    }
}

#[tokio::test]
async fn the_line_about_a_worker_that_dies_names_the_request_that_it_was_in() {
    let app = app(|builder| builder.executor(processes(1)));
    assert_eq!(ask(router(&app), put("/x/dying")).await.status, 502);
    let line = log::wait_for(&app.target("handle"), "ended with exit status 3").await;
    assert_names(&line, "/x/dying");
    assert!(line.message.contains("PUT, route /x/{what}"), "{line:?}");
    let line = log::wait_for(&app.target("handle"), "did not answer").await;
    assert_names(&line, "/x/dying");
}

/// What a subscriber writes.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn the_path_which_may_hold_a_secret_is_in_the_log_at_debug_only() {
    let app = app(|builder| builder);
    for (level, path) in [
        (Level::INFO, None),
        (Level::DEBUG, Some(" path=\"/x/raising\"")),
    ] {
        let written = Written::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(written.clone())
            .finish();
        // The call is logged on this thread, by its future; once per second.
        let seen = tracing::subscriber::set_default(subscriber);
        let text = loop {
            ask(router(&app), put("/x/raising")).await;
            let text = written.0.lock().unwrap_or_else(PoisonError::into_inner);
            let text = String::from_utf8_lossy(&text).into_owned();
            if text.contains("KeyError") {
                break text;
            }
        };
        drop(seen);
        assert!(
            text.contains(" method=\"PUT\" route=\"/x/{what}\""),
            "{text}"
        );
        assert_eq!(text.contains("path="), path.is_some(), "{text}");
        assert!(path.is_none_or(|path| text.contains(path)), "{text}");
    }
}
