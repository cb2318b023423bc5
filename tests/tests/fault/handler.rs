//! Handlers that fail or do not end.

use std::time::Duration;

use httpy_tests::child::Server;
use httpy_tests::client::{Connection, Received};
use httpy_tests::gate::Gate;

use super::{ask, complaints, ends, serves, serves_native};

/// Passes in the tests of what does not end.
const DEADLINE: Duration = Duration::from_secs(1);

/// With a deadline for the faulty handler, not for the healthy one.
fn impatient(module: &str) -> Server {
    Server::fault(module).setup(|setup| setup.apps[0].deadline = DEADLINE)
}

fn assert_fails(answer: &Received) {
    assert_eq!((answer.status, answer.text().as_str()), (500, "internal server error\n"));
}

async fn assert_times_out(connection: &mut Connection) {
    let answer = connection.receive("GET").await;
    assert_eq!((answer.status, answer.text().as_str()), (504, "the handler took too long\n"));
}

#[tokio::test]
async fn an_endless_loop_is_answered_with_504_and_the_others_are_served_during_it() {
    let child = impatient("endless_loop").start().await;
    let mut connection = ask(&child, "/").await;
    child.wait_for("begun").await;
    serves(&child).await;
    assert_times_out(&mut connection).await;
    ends(child, &["endless_loop:handle did not answer within 1s"]).await;
}

#[tokio::test]
async fn a_sleep_of_an_hour_is_answered_with_504_and_the_others_are_served_during_it() {
    let child = impatient("long_sleep").start().await;
    let mut connection = ask(&child, "/").await;
    child.wait_for("begun").await;
    serves(&child).await;
    assert_times_out(&mut connection).await;
    ends(child, &["long_sleep:handle did not answer within 1s"]).await;
}

#[tokio::test]
async fn a_handler_that_swallows_every_exception_is_answered_with_504_and_the_others_are_served_during_it() {
    let child = impatient("swallows").start().await;
    let mut connection = ask(&child, "/").await;
    child.wait_for("begun").await;
    serves(&child).await;
    assert_times_out(&mut connection).await;
    ends(child, &["swallows:handle did not answer within 1s"]).await;
}

#[tokio::test]
async fn while_c_code_holds_the_interpreter_native_routes_and_the_504_are_answered_and_python_after_it() {
    let (child, gate) = (impatient("held_by_c").start().await, Gate::new().await);
    let mut connection = ask(&child, &format!("/?gate={}", gate.port)).await;
    let held = gate.arrival().await;
    let mut healthy = ask(&child, "/app2/").await;
    serves_native(&child).await;
    assert_times_out(&mut connection).await;
    serves_native(&child).await;
    drop(held);
    assert_eq!(healthy.receive("GET").await.text(), "healthy");
    ends(child, &["held_by_c:handle did not answer within 1s"]).await;
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
    child.wait_for("Python did not end within 10s: the process goes on without it").await;
    // The server program shuts every app down twice: one such wait is enough.
    drop(held);
    child.wait().await.assert_code(0);
}

#[tokio::test]
async fn a_huge_power_and_a_hostile_pattern_are_answered_with_504_and_the_others_are_served_after_them() {
    for module in ["huge_power", "hostile_pattern"] {
        let child = impatient(module).start().await;
        let mut connection = ask(&child, "/").await;
        child.wait_for("begun").await;
        serves_native(&child).await;
        assert_times_out(&mut connection).await;
        ends(child, &[&format!("{module}:handle did not answer within 1s")]).await;
    }
}

#[tokio::test]
async fn an_exit_is_answered_with_500_and_ends_nothing() {
    let child = Server::fault("exits").start().await;
    assert_fails(&child.get("/").await);
    ends(child, &["exits:handle raised SystemExit: the handler wants to leave"]).await;
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
        ends(child, &["recursion:handle raised RecursionError: maximum recursion depth exceeded"]).await;
    }
}

#[tokio::test]
async fn a_panic_of_our_own_is_answered_with_500_and_the_worker_goes_on() {
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
    assert!(lines[0].contains("panics:handle raised ValueError"), "{ended:?}");
    assert!(lines[1].contains("ERROR httpy: httpy panicked while it called panics:handle: from Python"), "{ended:?}");
    assert!(lines[2..].iter().all(|line| line.contains("panics:handle: from Python")), "{ended:?}");
}

#[tokio::test]
async fn a_body_of_one_gibibyte_arrives_and_who_leaves_in_its_middle_harms_nobody() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
    use tokio::net::TcpStream;

    let child = Server::fault("huge_body").start().await;
    for all in [false, true] {
        let mut stream = TcpStream::connect(child.address()).await.expect("it listens");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("it reads");
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
