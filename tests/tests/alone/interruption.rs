//! Deadlines that pass while a handler waits, imports or calls C code: what it holds is given back, and code that never ends is
//! interrupted all the same.
//!
//! The deadline rings when the test says so, by pausing tokio's clock.

use httpy_tests::app::{App, ask, get};
use httpy_tests::executor::Options;
use httpy_tests::gate::{Gate, Held};
use httpy_tests::log;
use httpy_tests::turn;

const SOURCE: &str = "
import importlib, json, re, threading, time

lock, condition, begun = threading.Lock(), threading.Condition(), []

class Value:
    def __init__(self):
        self.text = 'made'

def hold(port):
    # In a thread of its own, until the test says so.
    has_it = threading.Event()
    def keep():
        with lock:
            has_it.set()
            pass_gate(port)
    threading.Thread(target=keep).start()
    has_it.wait()

def use(port):
    if port:
        arrive(port)
    lock.acquire()
    try:
        pass
    finally:
        lock.release()

def wait(port):
    with condition:
        pass_gate(port)
        condition.wait(0)

def notify(port):
    with condition:
        condition.notify_all()

def once(port):
    if not begun:
        begun.append(True)
        pass_gate(port)
        begun.append(Value())
    return begun[1].text

def load(port):
    import os
    os.environ['HTTPY_TEST_GATE'] = port
    return importlib.import_module(f'{__name__}_late').whole()

def sleep_for_nothing(port):
    arrive(port)
    while True:
        time.sleep(0)

def poll(port):
    arrive(port)
    while True:
        time.sleep(0.01)

def dump(port):
    arrive(port)
    while True:
        json.dumps({'some': ['text', 1, None]})

def match(port):
    arrive(port)
    while True:
        re.match('(a+)+b', 'a' * 12)

def retry(port):
    arrive(port)
    while True:
        try:
            raise ValueError
        except Exception:
            pass

def arrive(port):
    socket.create_connection(('127.0.0.1', int(port))).close()

def handle(method, path, params, query, headers, body):
    result = globals()[path[1:]](query.get('gate', [''])[0])
    return 200, result or 'done', {}

async def wait_on_the_loop(method, path, params, query, headers, body):
    use(query.get('gate', [''])[0])
    return 200, 'done', {}
";

const LATE: &str = "
import os, socket
with socket.create_connection(('127.0.0.1', int(os.environ['HTTPY_TEST_GATE']))) as connection:
    connection.recv(1)
numbers = []
def add(number):
    numbers.append(number)
for number in range(1000):
    add(number)
def whole():
    return f'{len(numbers)} numbers'
";

struct Turn {
    app: App,
    gate: Gate,
    _alone: turn::Turn,
}

impl Turn {
    async fn begin(source: &str, at_once: usize) -> Self {
        let alone = turn::take().await;
        let source = format!("{}{SOURCE}{source}", Gate::SOURCE);
        let app = App::with(&source, |builder| builder.at_once(at_once));
        Self {
            app,
            gate: Gate::new().await,
            _alone: alone,
        }
    }

    /// A call of this handler whose deadline has passed, and which was at the gate.
    async fn overdue_of(&self, handler: &str, path: &str) -> Held {
        let request = get(&format!("{path}?gate={}", self.gate.port));
        let (call, held) = self
            .gate
            .hold(ask(self.app.handler(handler), request))
            .await;
        tokio::time::pause();
        let Ok(answer) = call.await else {
            panic!("the call panicked")
        };
        tokio::time::resume();
        assert_eq!(answer.status, 504, "{answer:?}");
        let target = self.app.target(handler);
        log::wait_for(&target, "did not answer within 3600s").await;
        held
    }

    async fn overdue(&self, path: &str) -> Held {
        self.overdue_of("handle", path).await
    }

    /// A thread of Python's has the lock, until this is dropped.
    async fn hold_lock(&self) -> Held {
        let path = format!("/hold?gate={}", self.gate.port);
        tokio::join!(self.ask(&path), self.gate.arrival()).1
    }

    async fn ask(&self, path: &str) -> String {
        let answer = self.app.ask(get(path)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text()
    }
}

#[tokio::test]
async fn a_lock_that_was_waited_for_is_released() {
    let turn = Turn::begin("", 4).await;
    let has_lock = turn.hold_lock().await;
    turn.overdue("/use").await;
    drop(has_lock);
    assert_eq!(turn.ask("/use").await, "done");
}

#[tokio::test]
async fn a_lock_that_an_event_loop_was_blocked_by_is_released() {
    let turn = Turn::begin("", 4).await;
    let has_lock = turn.hold_lock().await;
    turn.overdue_of("wait_on_the_loop", "/").await;
    drop(has_lock);
    let service = turn.app.handler("wait_on_the_loop");
    assert_eq!(ask(service, get("/")).await.text(), "done");
}

#[tokio::test]
async fn a_condition_stays_usable() {
    let turn = Turn::begin("", 4).await;
    drop(turn.overdue("/wait").await);
    assert_eq!(turn.ask("/notify").await, "done");
}

#[tokio::test]
async fn a_module_that_was_being_imported_is_whole() {
    let turn = Turn::begin("", 4).await;
    let file = format!("{}_late.py", turn.app.module);
    std::fs::write(turn.app.folder.path().join(file), LATE).unwrap();
    drop(turn.overdue("/load").await);
    assert_eq!(turn.ask("/load").await, "1000 numbers");
}

#[tokio::test]
async fn what_is_made_once_is_made_though_the_deadline_passed_meanwhile() {
    // The moment that a handler has to end by itself, made long enough for any machine.
    let source = "
import httpy_rs._interrupt
httpy_rs._interrupt.GRACE = 3600.0
";
    let turn = Turn::begin(source, 1).await;
    drop(turn.overdue("/once").await);
    assert_eq!(turn.ask("/once").await, "made");
}

#[tokio::test]
async fn loops_that_call_c_code_all_the_time_are_interrupted() {
    for path in ["/sleep_for_nothing", "/poll", "/dump", "/match", "/retry"] {
        let turn = Turn::begin("", 1).await;
        turn.overdue(path).await;
        // By the only worker.
        assert_eq!(turn.ask("/use").await, "done", "{path}");
    }
}
