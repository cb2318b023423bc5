//! Handlers that lay hands on the process: threads, forks, streams, signals, its end.

use std::os::unix::process::ExitStatusExt;

use httpy_tests::child::Server;
use httpy_tests::client::request;
use httpy_tests::executor::{self, OfThreads};
use httpy_tests::gate::Gate;

use super::{complaints, ends, serves};

#[tokio::test]
async fn an_abort_ends_the_process_and_is_the_one_fault_that_does() {
    if executor::lacks(OfThreads::HostProcess) {
        return;
    }
    let child = Server::fault("aborts").start().await;
    serves(&child).await;
    let mut connection = super::ask(&child, "/").await;
    assert_eq!(connection.receive_if_any("GET").await, None);
    assert_eq!(child.wait().await.status.signal(), Some(libc::SIGABRT));
}

#[tokio::test]
async fn threads_that_a_handler_leaves_behind_are_served_beside_and_named_at_the_end() {
    let child = Server::fault("starts_threads").start().await;
    assert_eq!(child.get("/").await.text(), "started");
    let ended = ends(
        child,
        &["a thread that Python code started still runs at the exit"],
    )
    .await;
    ended.assert_says(&["thread=\"never-ending\""]);
}

#[tokio::test]
async fn without_room_for_more_threads_the_workers_that_there_are_take_all_calls() {
    const CALLS: usize = 12;
    if executor::lacks(OfThreads::HostProcess) {
        return;
    }
    let (child, gate) = (Server::fault("no_threads").start().await, Gate::new().await);
    assert_eq!(child.get("/limit").await.text(), "done");
    let mut calls = Vec::new();
    for _ in 0..CALLS {
        calls.push(super::ask(&child, &format!("/?gate={}", gate.port)).await);
    }
    child
        .wait_for("no thread for one more worker, though calls wait: ")
        .await;
    for _ in 0..CALLS {
        drop(gate.arrival().await);
    }
    for mut call in calls {
        assert_eq!(call.receive("GET").await.text(), "done");
    }
    assert_eq!(child.get("/lift").await.text(), "done");
    serves(&child).await;
    child.signal("TERM").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    let logged = complaints(&ended);
    assert!(
        logged
            .iter()
            .all(|line| line.contains("no thread for one more worker")),
        "{ended:?}"
    );
    assert!(
        logged.len() < CALLS / 2,
        "once per second at most\n{ended:?}"
    );
}

#[tokio::test]
async fn a_forked_child_ends_without_an_answer() {
    let child = Server::fault("forks").start().await;
    // One connection, on which a second answer to the same request could not stay unseen.
    let mut connection = child.connect().await;
    for (path, status) in [("/", 0), ("/exit", 3), ("/raise", 1), ("/", 0)] {
        connection.send(&request("GET", path, &[], b"")).await;
        assert_eq!(
            connection.receive("GET").await.text(),
            format!("the child gave {status}"),
            "{path}"
        );
    }
    connection.send(&request("GET", "/chunks", &[], b"")).await;
    assert_eq!(
        connection.receive("GET").await.text(),
        "before the child gave 0"
    );
    child.wait_for("the child has run").await;
    child.wait_for("ValueError: in the child").await;
    ends(child, &[]).await;
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn closing_a_standard_stream_is_refused() {
    if executor::lacks(OfThreads::HostProcess) {
        return;
    }
    let child = Server::fault("closes_stdout").start().await;
    // The next connection would get its number, and what is printed.
    for (path, answer) in [
        ("/range", "passed over"),
        (
            "/",
            "the program that embeds Python owns its standard streams",
        ),
    ] {
        assert_eq!(child.get(path).await.text(), answer);
        serves(&child).await;
    }
    let ended = ends(child, &[]).await;
    assert!(ended.stdout.contains("still printed\n"), "{ended:?}");
}

#[tokio::test]
async fn signals_timers_and_the_switch_interval_stay_with_the_host_and_are_refused() {
    if executor::lacks(OfThreads::HostProcess) {
        return;
    }
    let child = Server::fault("takes_the_process").start().await;
    for _ in 0..3 {
        assert_eq!(child.get("/").await.text(), "{'ValueError'} True /");
    }
    let ended = ends(child, &[]).await;
    assert!(
        !ended.stdout.contains("Python took the signal"),
        "{ended:?}"
    );
}
