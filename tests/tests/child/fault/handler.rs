//! Handlers that fail or do not end.

use std::time::Duration;

use httpy_tests::child::{Child, Server};
use httpy_tests::client::{Connection, Received};
use httpy_tests::executor::{self, OfThreads};
use httpy_tests::gate::Gate;

use super::{ask, complaints, ends, serves, serves_native};

/// Passes in the tests of what does not end.
const DEADLINE: Duration = Duration::from_secs(1);

/// From the deadline until a worker counts as lost, in the tests in which one does.
const LOST_AFTER: Duration = Duration::from_millis(500);

/// With a deadline for the faulty handler, not for the healthy one, and one worker for both.
fn impatient(module: &str) -> Server {
    Server::fault(module).setup(|setup| {
        setup.apps[0].service.deadline = Some(DEADLINE);
        for app in &mut setup.apps {
            executor::at_once(app, 1);
        }
    })
}

fn assert_fails(answer: &Received) {
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (500, "internal server error\n")
    );
}

/// A probe answers with 503 and a reason that has `text`.
async fn refuses(child: &Child, probe: &str, text: &str) {
    let answer = child.get(probe).await;
    assert!(
        answer.status == 503 && answer.text().contains(text),
        "{probe}: {answer:?}"
    );
}

async fn assert_times_out(connection: &mut Connection) {
    let answer = connection.receive("GET").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (504, "the handler took too long\n")
    );
}

#[tokio::test]
async fn an_endless_loop_is_interrupted_at_its_deadline_and_its_worker_serves_the_next_call() {
    let child = impatient("endless_loop").start().await;
    let mut connection = ask(&child, "/").await;
    serves_native(&child).await;
    assert_times_out(&mut connection).await;
    serves(&child).await;
    let line = "endless_loop:handle did not answer within 1s; it is interrupted";
    child.wait_for(line).await;
    let ended = ends(child, &[line]).await;
    ended.assert_says(&["endless_loop.py\", line ", "in handle"]);
}

#[tokio::test]
async fn what_cannot_be_interrupted_costs_its_worker_which_is_replaced() {
    for (module, line) in [
        ("long_sleep", "line 9, in handle"),
        ("swallows", "in handle"),
    ] {
        let server = impatient(module).setup(|setup| {
            for app in &mut setup.apps {
                app.advanced.lost_after = LOST_AFTER;
            }
        });
        let child = server.start().await;
        let mut connection = ask(&child, "/").await;
        child.wait_for("begun").await;
        let mut healthy = ask(&child, "/app2/").await;
        serves_native(&child).await;
        assert_times_out(&mut connection).await;
        assert_eq!(
            healthy.receive("GET").await.text(),
            "healthy",
            "by the worker that replaces the first one"
        );
        let overdue = format!("{module}:handle did not answer within 1s; it is interrupted");
        let lost = if executor::are_processes() {
            "was killed, as a call did not end in time; another one is started in ".to_owned()
        } else {
            format!("worker 1 is lost: {module}:handle has been in its call for ")
        };
        child.wait_for(&lost).await;
        let ended = ends(child, &[&overdue, &lost]).await;
        ended.assert_says(&[line]);
        if executor::has(OfThreads::LostWorkers) {
            ended.assert_says(&["; replaced, 15 replacements left"]);
        }
    }
}

#[tokio::test]
async fn when_every_worker_is_lost_and_none_is_replaced_the_server_says_so_and_native_routes_are_served()
 {
    if executor::lacks(OfThreads::LostWorkers) {
        return;
    }
    let server = impatient("long_sleep").setup(|setup| {
        for app in &mut setup.apps {
            app.advanced.lost_after = LOST_AFTER;
            app.advanced.replacements = 0;
        }
    });
    let child = server.start().await;
    let mut connection = ask(&child, "/").await;
    assert_times_out(&mut connection).await;
    child.wait_for("replacements are spent").await;
    for probe in ["/readyz", "/livez"] {
        refuses(&child, probe, "lost").await;
    }
    assert_eq!(child.get("/native").await.text(), "native");
    child.signal("TERM").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    let parts = [
        "did not answer within 1s",
        "worker 1 is lost",
        "all 0 replacements are spent",
    ];
    let lines = complaints(&ended);
    assert!(
        lines.len() == 3
            && lines
                .iter()
                .zip(parts)
                .all(|(line, part)| line.contains(part)),
        "{ended:?}"
    );
}

#[tokio::test]
async fn while_c_code_holds_the_interpreter_native_routes_and_the_504_are_answered_and_python_after_it()
 {
    if executor::lacks(OfThreads::HeldInterpreter) {
        return;
    }
    let (child, gate) = (impatient("held_by_c").start().await, Gate::new().await);
    let mut connection = ask(&child, &format!("/?gate={}", gate.port)).await;
    let held = gate.arrival().await;
    let mut healthy = ask(&child, "/app2/").await;
    serves_native(&child).await;
    assert_times_out(&mut connection).await;
    child.wait_for("the interpreter has been held for").await;
    refuses(
        &child,
        "/readyz",
        "Python code has held the interpreter for",
    )
    .await;
    serves_native(&child).await;
    drop(held);
    assert_eq!(healthy.receive("GET").await.text(), "healthy");
    let overdue = "held_by_c:handle did not answer within 1s";
    child.wait_for(overdue).await;
    ends(child, &["the interpreter has been held for", overdue]).await;
}

#[tokio::test]
async fn c_code_that_never_lets_the_interpreter_go_does_not_hold_the_process() {
    let grace = Duration::from_millis(100);
    let server = Server::fault("held_by_c").setup(|setup| setup.grace = grace);
    let (child, gate) = (server.start().await, Gate::new().await);
    let mut connection = ask(&child, &format!("/?gate={}", gate.port)).await;
    let held = gate.arrival().await;
    serves_native(&child).await;
    child.signal("TERM").await;
    assert_eq!(connection.receive("GET").await.status, 503);
    child
        .wait_for("Python did not end within 10s: the process continues without it")
        .await;
    // The server program shuts every app down twice: one such wait is enough.
    drop(held);
    child.wait().await.assert_code(0);
}

#[tokio::test]
async fn a_huge_power_and_a_hostile_pattern_are_answered_with_504_and_the_others_are_served_after_them()
 {
    for module in ["huge_power", "hostile_pattern"] {
        let child = impatient(module).start().await;
        let mut connection = ask(&child, "/").await;
        child.wait_for("begun").await;
        serves_native(&child).await;
        assert_times_out(&mut connection).await;
        let overdue = format!("{module}:handle did not answer within 1s");
        child.wait_for(&overdue).await;
        serves(&child).await;
        child.signal("TERM").await;
        let ended = child.wait().await;
        ended.assert_code(0);
        // How long they take depends on the machine: that they kept the interpreter may be told too, before or after, and
        // that a process was killed for it.
        let kept = [
            "the interpreter has been held for",
            "was killed, as a call did not end in time",
        ];
        let mut lines = complaints(&ended);
        lines.retain(|line| !kept.iter().any(|text| line.contains(text)));
        assert!(lines.len() == 1 && lines[0].contains(&overdue), "{ended:?}");
    }
}

#[tokio::test]
async fn an_exit_is_answered_with_500_and_ends_nothing() {
    let child = Server::fault("exits").start().await;
    assert_fails(&child.get("/").await);
    ends(
        child,
        &["exits:handle raised SystemExit: the handler wants to leave"],
    )
    .await;
}

#[tokio::test]
async fn memory_that_is_not_there_is_answered_with_500() {
    for path in ["/", "/list"] {
        let child = Server::fault("no_memory").start().await;
        assert_fails(&child.get(path).await);
        ends(child, &["no_memory:handle raised MemoryError"]).await;
    }
}

#[tokio::test]
async fn endless_recursion_is_answered_with_500_also_with_a_limit_ten_times_as_high() {
    for path in ["/", "/raised"] {
        let child = Server::fault("recursion").start().await;
        assert_fails(&child.get(path).await);
        ends(
            child,
            &["recursion:handle raised RecursionError: maximum recursion depth exceeded"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_panic_of_our_own_is_answered_with_500_and_the_worker_goes_on() {
    if executor::lacks(OfThreads::Panics) {
        return;
    }
    let child = Server::fault("panics").start().await;
    assert_fails(&child.get("/raise").await);
    for _ in 0..3 {
        assert_fails(&child.get("/").await);
    }
    serves(&child).await;
    child.signal("TERM").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    let lines = complaints(&ended);
    assert!(
        lines[0].contains("panics:handle raised ValueError"),
        "{ended:?}"
    );
    assert!(
        lines[1].contains("ERROR httpy: httpy panicked while it called panics:handle: from Python"),
        "{ended:?}"
    );
    assert!(
        lines[2..]
            .iter()
            .all(|line| line.contains("panics:handle: from Python")),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_body_of_one_gibibyte_arrives_and_who_leaves_in_its_middle_harms_nobody() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
    use tokio::net::TcpStream;

    let child = Server::fault("huge_body").start().await;
    for all in [false, true] {
        let mut stream = TcpStream::connect(child.address())
            .await
            .expect("it listens");
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await
            .expect("it reads");
        let mut first = [0; 15];
        stream.read_exact(&mut first).await.expect("it answers");
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        serves(&child).await;
        if all {
            assert!(copy(&mut stream, &mut sink()).await.expect("it sends") > 1 << 30);
        }
    }
    ends(child, &[]).await;
}
