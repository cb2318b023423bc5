//! What happens to a handler that still runs when its deadline has passed: it is interrupted, it alone, and its worker is
//! free; or its worker is lost and replaced.
//!
//! The deadline rings when the test says so, by pausing tokio's clock.

use std::time::Duration;

use futures_util::future::join_all;
use httpy_tests::app::Builder;
use httpy_tests::app::{Answer, App, ask, get};
use httpy_tests::executor::{self, OfThreads, Options};
use httpy_tests::gate::{Gate, Held};
use httpy_tests::log::{self, Line};
use httpy_tests::turn;
use tokio::task::JoinHandle;
use tracing::Level;

/// A handler is at the gate before it has come back from connecting to it, and the deadline may find it there already.
const SOURCE: &str = "
import ctypes, httpy_rs, socket
seen = []
stop = False

class Slow(Exception):
    def __str__(self):
        spin(self.args[0])

class Result(tuple):
    def __del__(self):
        spin(self[1])

def connect(port):
    return socket.create_connection(('127.0.0.1', int(port)))

def spin(port):
    with connect(port):
        while not stop:
            pass

def stuck(port, recv):
    try:
        with httpy_rs.shield():
            connection = connect(port)
    except httpy_rs.DeadlineExceeded:
        pass
    while True:
        try:
            return recv(connection)
        except httpy_rs.DeadlineExceeded:
            pass

def recv_with_the_interpreter(connection):
    ctypes.PyDLL(None).recv(connection.fileno(), ctypes.create_string_buffer(1), 1, 0)

def shielded(port):
    try:
        with httpy_rs.shield():
            with httpy_rs.shield(), connect(port) as connection:
                connection.recv(1)
            seen.append(f'shielded {httpy_rs.remaining() > 0}')
        seen.append('not reached')
    finally:
        with httpy_rs.shield():
            seen.append('cleaned up')

def swallow(port):
    while not stop:
        try:
            spin(port)
        except BaseException as error:
            seen.append(str(error))

def raise_another(port):
    try:
        spin(port)
    except httpy_rs.DeadlineExceeded:
        raise ValueError('mine')

def handle(method, path, params, query, headers, body):
    global stop
    if path == '/seen':
        return 200, ' '.join(seen), {}
    if path == '/stop':
        stop = True
        return 200, 'stopped', {}
    stop = False
    port = query['gate'][0]
    if path == '/describe':
        raise Slow(port)
    if path == '/end':
        return Result((200, port, {}))
    if path == '/wait':
        stuck(port, lambda connection: connection.recv(1))
    elif path == '/hold':
        stuck(port, recv_with_the_interpreter)
    else:
        {'/spin': spin, '/shield': shielded, '/swallow': swallow, '/raise': raise_another}[path](port)
    return 200, '', {}
";

struct Turn {
    app: App,
    gate: Gate,
    _alone: turn::Turn,
}

impl Turn {
    async fn begin(options: impl FnOnce(Builder) -> Builder) -> Self {
        let alone = turn::take().await;
        let app = App::with(SOURCE, |builder| options(builder.at_once(1)));
        Self {
            app,
            gate: Gate::new().await,
            _alone: alone,
        }
    }

    /// Begins a call, which is at the gate now.
    async fn begin_call(&self, path: &str) -> (JoinHandle<Answer>, Held) {
        let request = get(&format!("{path}?gate={}", self.gate.port));
        self.gate.hold(ask(self.app.service(), request)).await
    }

    /// A call whose deadline has passed.
    async fn overdue(&self, path: &str) -> Held {
        let (call, held) = self.begin_call(path).await;
        expire(call).await;
        held
    }

    async fn ask(&self, path: &str) -> String {
        let answer = self.app.ask(get(path)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text()
    }

    /// The first line with `text` about the handler.
    async fn line(&self, text: &str) -> Line {
        log::wait_for(&self.app.target("handle"), text).await
    }

    /// Everything that was said of the handler.
    fn lines(&self) -> Vec<(Level, String)> {
        let lines = log::lines(&self.app.target("handle"));
        lines
            .into_iter()
            .map(|line| (line.level, line.message))
            .collect()
    }
}

/// The deadline rings.
async fn expire(call: JoinHandle<Answer>) {
    tokio::time::pause();
    let Ok(answer) = call.await else {
        panic!("the call panicked")
    };
    tokio::time::resume();
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (504, "the handler took too long\n")
    );
}

#[tokio::test]
async fn an_endless_loop_is_interrupted_and_its_only_worker_serves_the_next() {
    let turn = Turn::begin(|builder| builder).await;
    turn.overdue("/spin").await;
    assert_eq!(turn.ask("/seen").await, "");
    let line = turn
        .line("did not answer within 3600s; it is interrupted")
        .await;
    assert_eq!((line.level, turn.lines().len()), (Level::WARN, 1));
    let folder = turn.app.folder.path().display();
    for part in [
        format!("File \"{folder}/{}.py\", line ", turn.app.module),
        "in spin\n    ".into(),
        "in handle".into(),
    ] {
        assert!(line.message.contains(&part), "{line:?}");
    }
}

#[tokio::test]
async fn a_worker_survives_any_number_of_endless_loops() {
    let turn = Turn::begin(|builder| builder).await;
    for _ in 0..100 {
        turn.overdue("/spin").await;
    }
    assert_eq!(turn.ask("/seen").await, "");
    assert!(
        turn.lines().iter().all(|(level, _)| *level == Level::WARN),
        "{:?}",
        turn.lines()
    );
}

#[tokio::test]
async fn what_a_handler_raises_instead_is_not_told_on_top() {
    let turn = Turn::begin(|builder| builder).await;
    turn.overdue("/raise").await;
    turn.ask("/seen").await;
    turn.line("it is interrupted").await;
    assert_eq!(turn.lines().len(), 1, "{:?}", turn.lines());
}

#[tokio::test]
async fn an_exception_whose_text_never_ends_is_interrupted_too() {
    let turn = Turn::begin(|builder| builder).await;
    turn.overdue("/describe").await;
    turn.ask("/seen").await;
    assert!(
        turn.line("it is interrupted")
            .await
            .message
            .contains("in __str__"),
        "{:?}",
        turn.lines()
    );
    assert_eq!(turn.lines().len(), 1, "{:?}", turn.lines());
}

#[tokio::test]
async fn a_result_whose_destructor_never_ends_is_interrupted_too() {
    let turn = Turn::begin(|builder| builder).await;
    turn.overdue("/end").await;
    turn.ask("/seen").await;
    assert!(
        turn.line("it is interrupted")
            .await
            .message
            .contains("in __del__"),
        "{:?}",
        turn.lines()
    );
    assert_eq!(turn.lines().len(), 1, "{:?}", turn.lines());
}

#[tokio::test]
async fn a_handler_that_goes_on_is_interrupted_again_and_again_though_its_worker_is_lost() {
    if executor::lacks(OfThreads::LostWorkers) {
        return;
    }
    let turn = Turn::begin(|builder| builder.replacements(1).lost_after(Duration::ZERO)).await;
    turn.overdue("/swallow").await;
    turn.line("worker 1 is lost").await;
    // By the worker in its place, on a pool of one.
    let often = ["the call's deadline has passed"; 3].join(" ");
    while !turn.ask("/seen").await.starts_with(&often) {}
    assert_eq!(turn.ask("/stop").await, "stopped");
    turn.line("worker 1 is back").await;
    turn.ask("/seen").await;
}

#[tokio::test]
async fn a_shield_is_interrupted_as_it_is_left_and_not_before() {
    let turn = Turn::begin(|builder| builder).await;
    let held = turn.overdue("/shield").await;
    // A worker process alone knows that it has one.
    let words = if executor::are_processes() {
        ""
    } else {
        " when it leaves its shield"
    };
    let line = turn.line(&format!("it is interrupted{words}")).await;
    assert!(line.message.contains("in shielded"), "{line:?}");
    drop(held);
    assert_eq!(turn.ask("/seen").await, "shielded True cleaned up");
    assert_eq!(turn.lines().len(), 1, "{:?}", turn.lines());
}

#[tokio::test]
async fn a_worker_that_is_stuck_in_c_code_is_lost_and_replaced_until_the_budget_is_spent() {
    if executor::lacks(OfThreads::LostWorkers) {
        return;
    }
    let turn =
        Turn::begin(|builder| builder.replacements(1).lost_after(Duration::from_millis(1))).await;
    let first = turn.overdue("/wait").await;
    let line = turn.line("worker 1 is lost").await;
    assert!(
        line.message.ends_with("; replaced, 0 replacements left"),
        "{line:?}"
    );
    assert_eq!(line.level, Level::ERROR);
    assert_eq!(turn.ask("/seen").await, "");

    let second = turn.overdue("/wait").await;
    let line = turn.line("worker 2 is lost").await;
    assert!(line.message.ends_with("; not replaced"), "{line:?}");
    let spent = log::wait_for("", "2 workers are lost, and all 1 replacements are spent").await;
    assert_eq!(spent.level, Level::ERROR);

    drop(first);
    assert_eq!(turn.line("worker 1 is back").await.level, Level::INFO);
    assert_eq!(turn.ask("/seen").await, "");
    drop(second);
    turn.line("worker 2 is back").await;
    assert_eq!(turn.ask("/seen").await, "");
}

#[tokio::test]
async fn without_replacements_a_lost_worker_is_told_of_and_serves_again_when_it_is_back() {
    if executor::lacks(OfThreads::LostWorkers) {
        return;
    }
    let turn = Turn::begin(|builder| builder.replacements(0).lost_after(Duration::ZERO)).await;
    let held = turn.overdue("/wait").await;
    assert!(
        turn.line("worker 1 is lost")
            .await
            .message
            .ends_with("; not replaced")
    );
    drop(held);
    turn.line("worker 1 is back").await;
    assert_eq!(turn.ask("/seen").await, "");
}

#[tokio::test]
async fn a_handler_whose_client_has_gone_is_interrupted_at_its_deadline() {
    let turn = Turn::begin(|builder| builder.deadline(Duration::from_millis(300))).await;
    let (call, _held) = turn.begin_call("/spin").await;
    call.abort();
    let line = turn
        .line("did not answer within 300ms; it is interrupted")
        .await;
    assert_eq!(line.level, Level::WARN);
    turn.app.ask(get("/seen")).await;
    assert_eq!(turn.lines().len(), 1, "{:?}", turn.lines());
}

#[tokio::test]
async fn when_c_code_keeps_the_interpreter_that_is_told_with_its_stack() {
    if executor::lacks(OfThreads::HeldInterpreter) {
        return;
    }
    let turn = Turn::begin(|builder| builder).await;
    let held = turn.overdue("/hold").await;
    let target = turn.app.target("handle");
    let line = log::wait_for("", &format!("overdue: {target}, after ")).await;
    assert!(
        line.message
            .starts_with("the interpreter has been held for "),
        "{line:?}"
    );
    if cfg!(target_os = "linux") {
        assert!(
            line.message
                .contains(&format!("/{}.py\", line ", turn.app.module)),
            "{line:?}"
        );
        assert!(
            line.message.ends_with("in recv_with_the_interpreter"),
            "{line:?}"
        );
    }
    drop(held);
    assert_eq!(turn.ask("/seen").await, "");
    turn.line("did not answer within 3600s").await;
    assert_eq!(turn.lines().len(), 1, "{:?}", turn.lines());
}

#[tokio::test]
async fn an_interruption_that_comes_too_late_hits_no_other_call() {
    const LATE: &str = "
import httpy_rs
def handle(method, path, params, query, headers, body):
    left = int(path[1:]) / 1e6
    while httpy_rs.remaining() > left:
        pass
    return 200, '', {}
";
    const HEALTHY: &str = "
def handle(method, path, params, query, headers, body):
    return 200, str(sum(n for n in range(300))), {}
";
    let _alone = turn::take().await;
    let late = App::with(LATE, |builder| {
        builder
            .at_once(8)
            .workers(8..=8)
            .deadline(Duration::from_millis(4))
    });
    let healthy = App::with(HEALTHY, |builder| builder.at_once(8).workers(8..=8));
    let clients = (0..8).map(|client| {
        let (late, healthy) = (late.service(), healthy.service());
        tokio::spawn(async move {
            let mut interrupted = 0;
            for round in 0..120 {
                // So many microseconds before the deadline, or never.
                let answer = ask(
                    late.clone(),
                    get(&format!("/{}", (client * 37 + round * 11) % 200)),
                )
                .await;
                assert!(matches!(answer.status, 200 | 503 | 504), "{answer:?}");
                interrupted += usize::from(answer.status == 504);
                for answer in join_all((0..4).map(|_| ask(healthy.clone(), get("/")))).await {
                    assert_eq!(
                        (answer.status, answer.text().as_str()),
                        (200, "44850"),
                        "{answer:?}"
                    );
                }
            }
            interrupted
        })
    });
    let interrupted: usize = join_all(clients)
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    assert!(interrupted > 0, "no call was late");
}
