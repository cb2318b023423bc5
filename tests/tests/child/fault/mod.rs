//! Every fault that a handler, a client or the operator can think of, against a server in a process of its own: who does it
//! gets a clear answer, the native route and a healthy handler are served during it or right after it, the log has one
//! line that says what it was, and the server ends as ever.
//!
//! One small file per fault in `tests/python/fault`. `handler.rs`: handlers that fail or do not end; `process.rs`: those that
//! lay hands on the process; `client.rs`: clients. Faults of the end are in `shutdown.rs`, those of requests in
//! `hostile.rs`; `make faults` measures what is only judged here.

mod client;
mod handler;
mod process;

use httpy_tests::child::{Child, Ended};
use httpy_tests::client::{Connection, request};

/// Sends a `GET` to the faulty handler, whose answer is read later.
async fn ask(child: &Child, path: &str) -> Connection {
    let mut connection = child.connect().await;
    connection.send(&request("GET", path, &[], b"")).await;
    connection
}

/// The native route and the healthy handler answer.
async fn serves(child: &Child) {
    serves_native(child).await;
    assert_eq!(child.get("/app2/").await.text(), "healthy");
}

/// What never touches Python.
async fn serves_native(child: &Child) {
    assert_eq!(child.get("/native").await.text(), "native");
    assert_eq!(child.get("/livez").await.status, 200);
}

/// It serves, ends by itself at a signal, and has logged just these warnings and errors in this order, each known by a part
/// of it.
async fn ends(child: Child, lines: &[&str]) -> Ended {
    serves(&child).await;
    child.signal("TERM").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    let logged = complaints(&ended);
    let all_known = logged
        .iter()
        .zip(lines)
        .all(|(line, part)| line.contains(part));
    assert!(
        logged.len() == lines.len() && all_known,
        "expected the lines {lines:?}\n{ended:?}"
    );
    ended
}

/// The lines of the log that are warnings or errors; of a traceback the first one.
fn complaints(ended: &Ended) -> Vec<&str> {
    ended
        .stderr
        .lines()
        .filter(|line| line.contains(" WARN httpy: ") || line.contains("ERROR httpy: "))
        .collect()
}
