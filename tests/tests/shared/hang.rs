//! Tests that never end, each in a way of its own: `scripts/check-limits` looks at what is said of them. Ignored otherwise.

use std::hint;
use std::sync::atomic::{AtomicBool, Ordering};

use httpy_tests::app::{App, NEVER, get};

#[test]
#[ignore = "never ends, for scripts/check-limits"]
fn in_a_loop() {
    static NEVER: AtomicBool = AtomicBool::new(false);
    while !NEVER.load(Ordering::Relaxed) {
        hint::spin_loop();
    }
}

#[tokio::test]
#[ignore = "never ends, for scripts/check-limits"]
async fn in_a_lock_of_python() {
    let app = App::with(
        "
import threading
lock = threading.Lock()

def take_twice():
    lock.acquire()
    lock.acquire()

def handle(method, path, params, query, headers, body):
    take_twice()
",
        |builder| builder.deadline(NEVER),
    );
    app.ask(get("/")).await;
}
