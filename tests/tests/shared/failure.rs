//! The failures of handlers and of clients' bodies: status, body, `Error` and log line of each, and that the next
//! request is served. What does not end or lays hands on the process is in `fault/`.

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, StatusCode};
use httpy::{Error, ResponseBody, default_response};
use httpy_tests::app::{Answer, App, ask, get, post};
use httpy_tests::client::{self, Connection, exchange, request};
use httpy_tests::gate::Gate;
use httpy_tests::log;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use tokio::sync::Notify;
use tracing::Level;

const PLAIN: &str = "internal server error\n";

const RAISING: &str = "
import sys

class Silent(Exception):
    def __str__(self):
        raise RuntimeError('from __str__')

def handle(method, path, params, query, headers, body):
    what = path[1:]
    if what == 'exception':
        raise ValueError('the secret')
    if what == 'exit':
        sys.exit(3)
    if what == 'interrupt':
        raise KeyboardInterrupt
    if what == 'silent':
        raise Silent
    if what == 'module':
        del sys.modules[__name__]
        globals().clear()
    return 200, 'served', {}
";

async fn raises(app: &App, what: &str) -> Answer {
    let answer = app.ask(get(&format!("/{what}"))).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (500, PLAIN),
        "{what}"
    );
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(app.ask(get("/")).await.text(), "served", "after {what}");
    answer
}

#[tokio::test]
async fn an_exception_is_answered_with_500_and_its_traceback_is_in_the_log() {
    let app = App::new(RAISING);
    let error = raises(&app, "exception").await.error.unwrap();
    assert!(error.is_exception() && !error.is_contract());
    assert_eq!(
        error.to_string(),
        format!("{} raised ValueError: the secret", app.target("handle"))
    );

    let exception = error.exception().unwrap();
    assert_eq!(
        (exception.type_name(), exception.message()),
        ("ValueError", "the secret")
    );
    assert!(
        exception
            .traceback()
            .contains("raise ValueError('the secret')"),
        "{}",
        exception.traceback()
    );
    assert!(
        exception
            .place()
            .ends_with(&format!("{}.py:11", app.module)),
        "{}",
        exception.place()
    );

    let line = &log::lines(&app.target("handle"))[0];
    assert_eq!((line.level, line.suppressed), (Level::ERROR, None));
    assert_eq!(
        line.message,
        format!("{error}\n{}", exception.traceback().trim_end())
    );
}

#[tokio::test]
async fn a_keyboard_interrupt_is_an_exception_like_any_other() {
    let error = raises(&App::new(RAISING), "interrupt").await.error.unwrap();
    assert_eq!(error.exception().unwrap().to_string(), "KeyboardInterrupt");
}

#[tokio::test]
async fn an_exception_whose_str_raises_is_told_by_its_type() {
    let app = App::new(RAISING);
    let error = raises(&app, "silent").await.error.unwrap();
    assert_eq!(
        error.exception().unwrap().type_name(),
        format!("{}.Silent", app.module)
    );
    assert_eq!(
        error.exception().unwrap().message(),
        "<exception str() failed>"
    );
}

#[tokio::test]
async fn a_handler_that_deletes_its_own_module_goes_on_as_far_as_python_lets_it() {
    let app = App::new(RAISING);
    assert_eq!(app.ask(get("/module")).await.text(), "served");
    assert_eq!(app.ask(get("/")).await.text(), "served");
    // Its globals are gone, and that is an exception of its own.
    assert_eq!(
        raises(&app, "exit")
            .await
            .error
            .unwrap()
            .exception()
            .unwrap()
            .type_name(),
        "NameError"
    );
}

#[tokio::test]
async fn a_traceback_goes_to_the_client_only_in_debug() {
    let app = App::with(RAISING, |builder| builder.debug(true));
    let answer = app.ask(get("/exception")).await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().starts_with(PLAIN), "{}", answer.text());
    assert!(
        answer
            .text()
            .contains("raised ValueError: the secret\nTraceback (most recent call last):")
    );
    assert!(
        answer.text().contains("raise ValueError('the secret')"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_host_answers_failures_in_its_own_way() {
    fn teapot(error: &Error) -> http::Response<ResponseBody> {
        let mut response = default_response(error, false);
        if error.is_exception() {
            *response.status_mut() = StatusCode::IM_A_TEAPOT;
            *response.body_mut() = format!(
                "{}!",
                error
                    .exception()
                    .map_or("", |exception| exception.message())
            )
            .into();
        }
        response
    }
    let app = App::with(RAISING, |builder| {
        builder.failure_response(teapot).body_limit(2)
    });
    let answer = app.ask(get("/exception")).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (418, "the secret!")
    );
    assert!(answer.error.is_some_and(|error| error.is_exception()));
    assert_eq!(app.ask(post("/", "abc")).await.status, 413);
}

#[tokio::test]
async fn try_call_gives_the_failure_itself() {
    let app = App::with(RAISING, |builder| builder.body_limit(2));
    let service = app.service();
    let error = service.try_call(get("/exception")).await.unwrap_err();
    assert!(error.is_exception());
    assert!(
        service
            .try_call(post("/", "abc"))
            .await
            .unwrap_err()
            .is_body_too_large()
    );
    assert_eq!(service.try_call(get("/")).await.unwrap().status(), 200);
    // It is logged all the same.
    assert_eq!(
        log::lines(&app.target("handle"))[0].message.lines().next(),
        Some(error.to_string().as_str())
    );
}

#[tokio::test]
async fn of_one_place_one_line_per_second_is_logged_and_the_next_counts_the_rest() {
    const CALLS: u64 = 50;
    let app = App::new(RAISING);
    for _ in 0..CALLS {
        app.ask(get("/exception")).await;
    }
    // However long that took, each call is either a line of its own or counted in the next one.
    let lines = log::lines(&app.target("handle"));
    let counted: u64 = lines
        .iter()
        .map(|line| 1 + line.suppressed.unwrap_or(0))
        .sum();
    assert!(
        lines.len() < usize::try_from(CALLS).unwrap() && counted <= CALLS,
        "{lines:?}"
    );
    // Another place has a line of its own.
    app.ask(get("/exit")).await;
    assert!(
        log::lines(&app.target("handle"))
            .iter()
            .any(|line| line.message.contains("SystemExit: 3"))
    );
    // The first line after a second tells how many were left out.
    loop {
        app.ask(get("/exception")).await;
        let lines = log::lines(&app.target("handle"));
        if let Some(line) = lines
            .iter()
            .skip(1)
            .find(|line| line.message.contains("ValueError"))
        {
            assert!(line.suppressed > Some(0), "{line:?}");
            break;
        }
    }
}

#[tokio::test]
async fn an_exception_after_the_caller_has_gone_is_logged() {
    let app = App::new(&format!(
        "{}\ndef handle(method, path, params, query, headers, body):\n    pass_gate(query['gate'][0])\n    raise ValueError('late')\n",
        Gate::SOURCE
    ));
    let gate = Gate::new().await;
    let call = tokio::spawn(
        app.service()
            .try_call(get(&format!("/?gate={}", gate.port))),
    );
    let held = gate.arrival().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    drop(held);
    let line = log::wait_for(&app.target("handle"), "ValueError: late").await;
    assert_eq!(line.level, Level::ERROR);
    assert!(
        line.message.contains("raise ValueError('late')"),
        "{line:?}"
    );
}

#[tokio::test]
async fn an_exception_whose_answer_nobody_read_any_more_is_logged_and_counts_as_one_whose_client_has_gone()
 {
    struct Woken(Notify);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.notify_one();
        }
    }
    let app = App::new(&format!(
        "{}\ndef handle(method, path, params, query, headers, body):\n    pass_gate(query['gate'][0])\n    raise ValueError('unread')\n",
        Gate::SOURCE
    ));
    let gate = Gate::new().await;
    let woken = Arc::new(Woken(Notify::new()));
    let mut call = Box::pin(
        app.service()
            .try_call(get(&format!("/?gate={}", gate.port))),
    );
    assert!(
        call.as_mut()
            .poll(&mut Context::from_waker(&Waker::from(Arc::clone(&woken))))
            .is_pending()
    );
    drop(gate.arrival().await);
    woken.0.notified().await;
    drop(call);
    let line = log::wait_for(&app.target("handle"), "ValueError: unread").await;
    assert_eq!(line.level, Level::ERROR);
    assert_eq!(app.python.snapshot().calls.gone, 1);
}

const LENGTH: &str =
    "def handle(method, path, params, query, headers, body):\n    return 200, str(len(body)), {}\n";

#[tokio::test]
async fn a_body_over_the_limit_is_answered_with_413_with_and_without_a_length() {
    let app = App::with(LENGTH, |builder| builder.body_limit(10));
    let server = app.serve().await;
    let long: [&[u8]; 2] = [
        &request("POST", "/", &[], &[b'a'; 11]),
        &request(
            "POST",
            "/",
            &[("Transfer-Encoding", b"chunked")],
            b"6\r\naaaaaa\r\n5\r\naaaaa\r\n0\r\n\r\n",
        ),
    ];
    for bytes in long {
        let received = exchange(server.address, bytes).await;
        assert_eq!(
            (received.status, received.text().as_str()),
            (413, "the request's body is too large\n")
        );
        assert_eq!(
            exchange(server.address, &request("POST", "/", &[], &[b'a'; 10]))
                .await
                .text(),
            "10"
        );
    }
    let chunked = request(
        "POST",
        "/",
        &[("Transfer-Encoding", b"chunked")],
        b"6\r\naaaaaa\r\n4\r\naaaa\r\n0\r\n\r\n",
    );
    assert_eq!(exchange(server.address, &chunked).await.text(), "10");

    let answer = app.ask(post("/", "a".repeat(11))).await;
    assert!(answer.error.is_some_and(|error| error.is_body_too_large()));
}

#[tokio::test]
async fn a_service_may_have_a_limit_of_its_own_for_bodies() {
    let source = format!(
        "import httpy_rs\n{LENGTH}\ndef stream(method, path, params, query, headers, body: httpy_rs.Body):\n    \
         return 200, str(len(body.read())), {{}}\n"
    );
    let app = App::with(&source, |builder| builder.body_limit(10).body_budget(1000));
    for handler in ["handle", "stream"] {
        let service = app.handler(handler).with_body_limit(20);
        assert_eq!(
            ask(service.clone(), post("/", "a".repeat(20))).await.text(),
            "20"
        );
        assert_eq!(
            ask(service.clone(), post("/", "a".repeat(21))).await.status,
            413
        );
        assert_eq!(
            ask(service.with_body_limit(5), post("/", "a".repeat(6)))
                .await
                .status,
            413
        );
        assert_eq!(
            ask(app.handler(handler), post("/", "a".repeat(11)))
                .await
                .status,
            413
        );
    }
    // Only what is read whole has to fit into the budget of all.
    let long = || post("/", "a".repeat(2000));
    assert_eq!(
        ask(app.handler("stream").with_body_limit(2000), long())
            .await
            .text(),
        "2000"
    );
    assert_eq!(
        ask(app.handler("handle").with_body_limit(2000), long())
            .await
            .status,
        503
    );
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_refused_before_it_is_sent() {
    let server = App::with(LENGTH, |builder| builder.body_limit(10))
        .serve()
        .await;
    for length in ["11", "9223372036854775807"] {
        let head = request("POST", "/", &[("Content-Length", length.as_bytes())], b"");
        assert_eq!(
            exchange(server.address, &head).await.status,
            413,
            "{length}"
        );
    }
    assert_eq!(client::get(server.address, "/").await.text(), "0");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_answered_with_400() {
    let app = App::new(LENGTH);
    let frames = [
        Ok(Bytes::from("abc")),
        Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    ];
    let answer = app
        .ask(post("/", Body::from_stream(stream::iter(frames))))
        .await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (400, "the request's body broke off\n")
    );
    assert!(
        answer.error.is_some_and(
            |error| error.is_body_broken() && std::error::Error::source(&error).is_some()
        )
    );
}

#[tokio::test]
async fn a_client_that_stops_half_way_gets_400_and_the_server_lives() {
    let server = App::new(LENGTH).serve().await;
    let mut connection = Connection::open(server.address).await;
    connection
        .send(&request("POST", "/", &[("Content-Length", b"10")], b"abc"))
        .await;
    connection.finish().await;
    assert_eq!(connection.receive("POST").await.status, 400);

    let mut connection = Connection::open(server.address).await;
    connection
        .send(&request(
            "POST",
            "/",
            &[("Transfer-Encoding", b"chunked")],
            b"5\r\nab",
        ))
        .await;
    drop(connection);
    assert_eq!(client::get(server.address, "/").await.text(), "0");
}

#[tokio::test]
async fn chunks_that_are_none_are_answered_with_400() {
    let server = App::new(LENGTH).serve().await;
    let bytes = request(
        "POST",
        "/",
        &[("Transfer-Encoding", b"chunked")],
        b"zz\r\nabc\r\n",
    );
    assert_eq!(exchange(server.address, &bytes).await.status, 400);
    assert_eq!(client::get(server.address, "/").await.text(), "0");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_takes_too_long_is_answered_with_408() {
    let app = App::with(LENGTH, |builder| {
        builder.body_timeout(std::time::Duration::from_secs(30))
    });
    // Bytes that come now and then do not help: the clock is one for the whole body.
    let dribble = stream::repeat(()).then(|()| async {
        tokio::task::yield_now().await;
        tokio::time::advance(std::time::Duration::from_secs(7)).await;
        Ok::<_, io::Error>(Bytes::from("a"))
    });
    for body in [
        Body::from_stream(dribble),
        Body::from_stream(stream::pending::<Result<Bytes, io::Error>>()),
    ] {
        let answer = app.ask(post("/", body)).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (408, "the request's body took too long\n")
        );
        let error = answer.error.unwrap();
        assert!(error.is_body_timeout(), "{error}");
        assert_eq!(error.to_string(), "the request's body took longer than 30s");
    }
}

#[tokio::test]
async fn a_client_that_dribbles_gets_408_and_the_server_lives() {
    let app = App::with(LENGTH, |builder| {
        builder.body_timeout(std::time::Duration::from_millis(20))
    });
    let server = app.serve().await;
    let mut connection = Connection::open(server.address).await;
    connection
        .send(&request("POST", "/", &[("Content-Length", b"10")], b"a"))
        .await;
    assert_eq!(connection.receive("POST").await.status, 408);
    assert_eq!(client::get(server.address, "/").await.text(), "0");
}

#[tokio::test]
async fn a_client_that_leaves_while_the_handler_runs_harms_nobody() {
    let app = App::new(&format!(
        "{}\ndef handle(method, path, params, query, headers, body):\n    if query:\n        pass_gate(query['gate'][0])\n    return 200, 'served', {{}}\n",
        Gate::SOURCE
    ));
    let (server, gate) = (app.serve().await, Gate::new().await);
    let mut connection = Connection::open(server.address).await;
    connection
        .send(&request("GET", &format!("/?gate={}", gate.port), &[], b""))
        .await;
    let held = gate.arrival().await;
    drop(connection);
    assert_eq!(client::get(server.address, "/").await.text(), "served");
    drop(held);
    assert_eq!(client::get(server.address, "/").await.text(), "served");
}

#[tokio::test]
async fn what_a_client_did_wrong_is_a_debug_line_only() {
    let app = App::with(LENGTH, |builder| builder.body_limit(1));
    let method = Request::builder()
        .method("CONNECT")
        .uri("example.org:1")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        (
            app.ask(post("/", "ab")).await.status,
            app.ask(method).await.status
        ),
        (413, 405)
    );
    let levels: Vec<Level> = log::lines(&app.target("handle"))
        .iter()
        .map(|line| line.level)
        .collect();
    assert_eq!(levels, [Level::DEBUG, Level::DEBUG]);
}
