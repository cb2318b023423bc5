//! The end of a server with Python in it: signals, the grace period, pending requests, exit functions, threads.

use httpy_tests::child::{Child, Server};
use httpy_tests::client::{Connection, Received, request};
use httpy_tests::executor::{self, OfThreads};
use httpy_tests::gate::Gate;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Short, for tests in which it passes; the others have one that does not.
const GRACE: Duration = Duration::from_millis(100);

const SHUTTING_DOWN: &str = "shutting down, try again later\n";

const HANDLER: &str =
    "def handle(method, path, params, query, headers, body):\n    return 200, 'ok', {}\n";

/// Stays in a handler that says on stdout when it has begun; `/busy…` computes.
const STUCK: &str = "
import time

def handle(method, path, params, query, headers, body):
    print(f'begun {path}')
    while path.startswith('/busy'):
        pass
    time.sleep(3600)
";

/// Waits at a gate, then answers.
fn gated() -> Server {
    let handler = "\ndef handle(method, path, *rest):\n    pass_gate(path[1:])\n    return 200, 'passed', {}\n";
    Server::new(&format!("{}{handler}", Gate::SOURCE))
}

/// What is printed at the exit is printed once.
fn once(source: &str) -> Server {
    Server::new(source).config(|config| config.executor = executor::with_one_interpreter())
}

/// Sends a `GET` whose answer is read later.
async fn ask(child: &Child, path: &str) -> Connection {
    let mut connection = child.connect().await;
    connection.send(&request("GET", path, &[], b"")).await;
    connection
}

/// An interim answer, or an answer whose body is left: what has no body of its own, as with `HEAD`.
async fn receive_head(connection: &mut Connection) -> Received {
    connection.receive("HEAD").await
}

#[tokio::test]
async fn a_signal_ends_an_idle_server_with_exit_code_0() {
    for signal in ["INT", "TERM"] {
        let child = Server::new(HANDLER).start().await;
        assert_eq!(child.get("/").await.text(), "ok");
        child.signal(signal).await;
        let ended = child.wait().await;
        ended.assert_code(0);
        assert!(
            !ended.stderr.contains("WARN") && !ended.stderr.contains("ERROR"),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn handlers_that_never_return_are_answered_with_503_after_the_grace_period() {
    for paths in [["/sleep1", "/sleep2"], ["/busy1", "/busy2"]] {
        let child = Server::new(STUCK)
            .setup(|setup| setup.grace = GRACE)
            .start()
            .await;
        let mut connections = Vec::new();
        for path in paths {
            connections.push(ask(&child, path).await);
            child.wait_for(&format!("begun {path}")).await;
        }
        assert_eq!(child.get("/native").await.text(), "native");
        child.signal("INT").await;
        for connection in &mut connections {
            let response = connection.receive("GET").await;
            assert_eq!(
                (response.status, response.header("retry-after").as_str()),
                (503, "1")
            );
            assert_eq!(response.text(), SHUTTING_DOWN);
        }
        child.wait().await.assert_code(0);
    }
}

#[tokio::test]
async fn calls_that_wait_for_a_worker_are_answered_with_503_after_the_grace_period() {
    let server = Server::new(STUCK).config(|config| executor::at_once(config, 1));
    let child = server.setup(|setup| setup.grace = GRACE).start().await;
    let mut running = ask(&child, "/first").await;
    child.wait_for("begun /first").await;
    let mut waiting = child.connect().await;
    waiting
        .send(&request(
            "POST",
            "/second",
            &[("Content-Length", b"1"), ("Expect", b"100-continue")],
            b"",
        ))
        .await;
    assert_eq!(receive_head(&mut waiting).await.status, 100);
    waiting.send(b"x").await;
    child.signal("TERM").await;
    assert_eq!(
        [
            running.receive("GET").await.status,
            waiting.receive("POST").await.status
        ],
        [503, 503]
    );
    let ended = child.wait().await;
    ended.assert_code(0);
    assert!(!ended.printed().contains("begun /second"), "{ended:?}");
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once_with_exit_code_130() {
    for (first, second) in [("INT", "INT"), ("TERM", "INT"), ("INT", "TERM")] {
        let child = Server::new(STUCK).start().await;
        let _pending = ask(&child, "/").await;
        child.wait_for("begun").await;
        child.signal(first).await;
        child.wait_for("new calls are refused").await;
        child.signal(second).await;
        child.wait().await.assert_code(130);
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once_when_an_exit_function_hangs() {
    let source = format!(
        "
import atexit, threading

atexit.register(threading.Event().wait)
atexit.register(print, 'the exit has begun')

{HANDLER}"
    );
    let child = Server::new(&source).start().await;
    child.signal("INT").await;
    child.wait_for("the exit has begun").await;
    child.signal("INT").await;
    child.wait().await.assert_code(130);
}

#[tokio::test]
async fn calls_that_end_within_the_grace_period_are_answered_as_ever() {
    let (child, gate) = (gated().start().await, Gate::new().await);
    let mut connections = Vec::new();
    let mut held = Vec::new();
    for _ in 0..3 {
        connections.push(ask(&child, &format!("/{}", gate.port)).await);
        held.push(gate.arrival().await);
    }
    child.signal("INT").await;
    child.wait_for("new calls are refused").await;
    drop(held);
    for connection in &mut connections {
        let response = connection.receive("GET").await;
        assert_eq!((response.status, response.text().as_str()), (200, "passed"));
        assert!(connection.is_closed().await);
    }
    child.wait().await.assert_code(0);
}

/// Asks over one connection, again and again, until the server closes it; gives the number of answers.
async fn ask_until_closed(mut connection: Connection, answered: watch::Sender<u64>) -> u64 {
    let mut answers = 0;
    for path in ["/", "/wait", "/native"].iter().cycle() {
        connection.send(&request("GET", path, &[], b"")).await;
        let Some(answer) = connection.receive_if_any("GET").await else {
            break;
        };
        // None is left when its connection was read from before the signal, and none is broken off in its middle.
        assert!(matches!(
            (answer.status, answer.text().as_str()),
            (200, "ok" | "native") | (503, SHUTTING_DOWN)
        ));
        answers += 1;
        answered.send_modify(|answered| *answered += 1);
    }
    answers
}

#[tokio::test]
async fn no_accepted_request_goes_without_an_answer_when_the_signal_comes_under_load() {
    const CONNECTIONS: usize = 64;
    let handler = "
import time

def handle(method, path, *rest):
    if path == '/wait':
        time.sleep(0.01)
    return 200, 'ok', {}
";
    for _ in 0..20 {
        let child = Server::new(handler).start().await;
        let (sender, mut answered) = watch::channel(0);
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            clients.spawn(ask_until_closed(child.connect().await, sender.clone()));
        }
        answered
            .wait_for(|answered| *answered > 1000)
            .await
            .expect("the sender is here");
        child.signal("TERM").await;
        let answers: u64 = clients.join_all().await.iter().sum();
        let ended = child.wait().await;
        ended.assert_code(0);
        ended.assert_says(&[&format!(" {answers} requests were accepted")]);
        assert!(!ended.stderr.contains("forced"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_request_whose_body_comes_after_the_signal_is_answered_within_the_grace_period() {
    let child = Server::new(HANDLER).start().await;
    let mut connection = child.connect().await;
    connection
        .send(&request(
            "POST",
            "/late",
            &[("Content-Length", b"4"), ("Expect", b"100-continue")],
            b"",
        ))
        .await;
    assert_eq!(receive_head(&mut connection).await.status, 100);
    child.signal("INT").await;
    child.wait_for("new calls are refused").await;
    connection.send(b"body").await;
    assert_eq!(connection.receive("POST").await.status, 200);
    child.wait().await.assert_code(0);
}

#[tokio::test]
async fn a_request_whose_body_does_not_come_is_answered_with_503_after_the_grace_period() {
    let child = Server::new(STUCK)
        .setup(|setup| setup.grace = GRACE)
        .start()
        .await;
    let mut connection = child.connect().await;
    connection
        .send(&request(
            "POST",
            "/",
            &[("Content-Length", b"4"), ("Expect", b"100-continue")],
            b"",
        ))
        .await;
    assert_eq!(receive_head(&mut connection).await.status, 100);
    child.signal("INT").await;
    let response = connection.receive("POST").await;
    assert_eq!(
        (response.status, response.header("retry-after").as_str()),
        (503, "1")
    );
    let ended = child.wait().await;
    ended.assert_code(0);
    assert!(!ended.printed().contains("begun"), "{ended:?}");
}

#[tokio::test]
async fn a_request_that_follows_on_a_busy_connection_never_runs_after_the_signal() {
    let (child, gate, never) = (gated().start().await, Gate::new().await, Gate::new().await);
    let mut connection = ask(&child, &format!("/{}", gate.port)).await;
    let held = gate.arrival().await;
    child.signal("INT").await;
    child.wait_for("new calls are refused").await;
    connection
        .send(&request("GET", &format!("/{}", never.port), &[], b""))
        .await;
    drop(held);
    assert_eq!(connection.receive("GET").await.text(), "passed");
    // Had it run, it would wait at its gate, and the process with it. Whether the server still reads it depends on when the
    // connection itself hears of the signal.
    let second = connection.receive_if_any("GET").await;
    assert!(
        second.as_ref().is_none_or(|second| second.status == 503),
        "{second:?}"
    );
    child.wait().await.assert_code(0);
}

#[tokio::test]
async fn idle_connections_are_closed_at_the_signal() {
    let child = Server::new(HANDLER).start().await;
    let mut connection = ask(&child, "/").await;
    assert_eq!(connection.receive("GET").await.status, 200);
    child.signal("INT").await;
    assert!(connection.is_closed().await);
    child.wait().await.assert_code(0);
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_its_whole_answer_after_the_signal() {
    const LENGTH: usize = 64 << 20;
    let source = format!("def handle(*_):\n    return 200, bytes({LENGTH}), {{}}\n");
    let child = Server::new(&source).start().await;
    let mut stream = TcpStream::connect(child.address())
        .await
        .expect("it listens");
    stream
        .write_all(&request("GET", "/", &[], b""))
        .await
        .expect("it reads");
    // The answer has begun, and is far from fitting into the sockets' buffers.
    stream.readable().await.expect("it answers");
    child.signal("INT").await;
    child.wait_for("new calls are refused").await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it sends");
    let head = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .expect("the head ends");
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    assert_eq!(answer.len() - head - 4, LENGTH);
    child.wait().await.assert_code(0);
}

#[tokio::test]
async fn a_client_that_never_reads_does_not_hold_the_process_after_the_grace_period() {
    let source = "def handle(*_):\n    return 200, bytes(64 << 20), {}\n";
    let child = Server::new(source)
        .setup(|setup| setup.grace = GRACE)
        .start()
        .await;
    let mut stream = TcpStream::connect(child.address())
        .await
        .expect("it listens");
    stream
        .write_all(&request("GET", "/", &[], b""))
        .await
        .expect("it reads");
    stream.readable().await.expect("it answers");
    child.signal("INT").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    ended.assert_says(&["forced", "app 1 has shut down"]);
}

#[tokio::test]
async fn a_client_that_sends_half_a_head_does_not_hold_the_process_after_the_grace_period() {
    let child = Server::new(HANDLER)
        .setup(|setup| setup.grace = GRACE)
        .start()
        .await;
    let mut connection = ask(&child, "/").await;
    assert_eq!(connection.receive("GET").await.status, 200);
    connection.send(b"GET / HTTP/1.1\r\nHost: loc").await;
    let mut half = child.connect().await;
    half.send(b"GET / HTTP/1.1\r\nHost: loc").await;
    assert_eq!(child.get("/").await.status, 200);
    child.signal("INT").await;
    child.wait().await.assert_code(0);
}

#[tokio::test]
async fn a_native_route_that_never_answers_does_not_hold_the_process_after_the_grace_period() {
    let child = Server::new(HANDLER)
        .setup(|setup| setup.grace = GRACE)
        .start()
        .await;
    let _pending = ask(&child, "/native/never").await;
    child.wait_for("never answering").await;
    child.signal("TERM").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    ended.assert_says(&["forced"]);
}

#[tokio::test]
async fn exit_functions_run_once_and_what_they_print_arrives() {
    let source = format!(
        "
import atexit, os, sys

sys.stdout = os.fdopen(os.dup(1), 'w', 4096)
atexit.register(print, 'the first exit function')
atexit.register(print, 'the second exit function')

{HANDLER}"
    );
    let child = once(&source).start().await;
    child.signal("INT").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    let lines: Vec<&str> = ended
        .printed()
        .lines()
        .filter(|line| line.contains("exit function"))
        .collect();
    let [first, second] = lines[..] else {
        panic!("{ended:?}")
    };
    assert!(
        first.contains("the second exit function") && second.contains("the first exit function"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn an_exit_function_that_raises_is_logged_with_its_traceback_and_the_others_run() {
    let source = format!(
        "
import atexit, sys

def fail():
    raise ValueError('at the end')

atexit.register(print, 'the other one')
atexit.register(fail)
atexit.register(sys.exit, 3)

{HANDLER}"
    );
    let child = once(&source).start().await;
    child.signal("INT").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    ended.assert_says(&[
        "an exit function raised",
        "in fail",
        "ValueError: at the end",
    ]);
    assert!(ended.printed().contains("the other one"), "{ended:?}");
}

#[tokio::test]
async fn threads_that_end_are_waited_for() {
    let gate = Gate::new().await;
    let thread = format!(
        "threading.Thread(target=lambda: (pass_gate({}), print('the thread has ended'))).start()",
        gate.port
    );
    let source = format!("import threading\n{}\n{thread}\n{HANDLER}", Gate::SOURCE);
    let child = once(&source).start().await;
    let held = gate.arrival().await;
    child.signal("INT").await;
    child.wait_for("new calls are refused").await;
    drop(held);
    let ended = child.wait().await;
    ended.assert_code(0);
    assert!(
        ended.printed().contains("the thread has ended"),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains("still runs"), "{ended:?}");
}

#[tokio::test]
async fn a_thread_that_never_ends_is_named_and_left_behind() {
    let source = format!(
        "
import atexit, threading

threading.Thread(target=threading.Event().wait, name='never-ending').start()
threading.Thread(target=threading.Event().wait, name='a daemon', daemon=True).start()
atexit.register(print, 'the exit function')

{HANDLER}"
    );
    let child = once(&source).start().await;
    child.signal("INT").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    ended.assert_says(&[
        "a thread that Python code started still runs at the exit",
        "never-ending",
    ]);
    assert!(!ended.stderr.contains("a daemon"), "{ended:?}");
    assert!(ended.printed().contains("the exit function"), "{ended:?}");
}

#[tokio::test]
async fn python_ends_with_the_process_and_until_then_another_app_can_be_built() {
    if executor::lacks(OfThreads::SharedInterpreter) {
        return;
    }
    let source = format!(
        "import atexit, sys\natexit.register(print, 'Python ends', file=sys.stderr)\n{HANDLER}"
    );
    let child = Server::new(&source)
        .app(HANDLER)
        .setup(|setup| setup.rebuild = true)
        .start()
        .await;
    assert_eq!(child.get("/app2/").await.text(), "ok");
    child.signal("INT").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    // The server shuts each app down twice.
    let order = [
        "app 1 has shut down",
        "app 2 has shut down",
        "built again, it answers 200",
        "Python ends",
    ];
    let places = order.map(|text| ended.stderr.find(text));
    assert!(
        places.is_sorted() && !places.contains(&None),
        "{places:?}\n{ended:?}"
    );
    assert_eq!(ended.stderr.matches("Python ends").count(), 1, "{ended:?}");
}
