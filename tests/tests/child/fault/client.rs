//! Clients that do not mean well, or are many.

use std::time::Duration;

use httpy_tests::child::{Child, Server};
use httpy_tests::client::{Connection, request};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{ask, complaints, ends, serves};

#[tokio::test]
async fn a_thousand_clients_that_send_half_a_request_and_leave_harm_nobody() {
    let child = Server::fault("healthy").start().await;
    serves(&child).await;
    let before = open_files(&child);
    let mut clients = JoinSet::new();
    for number in 0..1000 {
        let address = child.address();
        clients.spawn(async move {
            let whole = request("POST", "/", &[], &[b'x'; 1000]);
            let length = if number % 2 == 0 { 20 } else { whole.len() / 2 };
            Connection::open(address).await.send(&whole[..length]).await;
        });
    }
    clients.join_all().await;
    // Each connection is closed when the server hears that its client has gone.
    while open_files(&child) > before {
        serves(&child).await;
    }
    ends(child, &[]).await;
}

/// The number of its open files, where the system says so.
fn open_files(child: &Child) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", child.id())).map_or(0, Iterator::count)
}

#[tokio::test]
async fn clients_that_read_byte_by_byte_harm_nobody_and_hold_the_process_no_longer_than_the_grace_period()
 {
    let server = Server::fault("huge_body").setup(|setup| setup.grace = Duration::from_millis(100));
    let child = server.start().await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(child.address())
            .await
            .expect("it listens");
        // More than the buffers of two sockets hold.
        stream
            .write_all(&request("POST", "/", &[], b"16777216"))
            .await
            .expect("it reads");
        slow.push(stream);
    }
    for _ in 0..20 {
        for stream in &mut slow {
            stream.read_u8().await.expect("it sends");
        }
        serves(&child).await;
    }
    ends(
        child,
        &["connections are still open after the grace period"],
    )
    .await;
}

#[tokio::test]
async fn ten_thousand_connections_at_once_are_all_answered() {
    const CONNECTIONS: usize = 10_000;
    if !may_open(CONNECTIONS + 200) {
        return;
    }
    let child = Server::fault("healthy").start().await;
    let mut connections = Vec::new();
    // As many at a time as certainly find a place in the line before the server.
    while connections.len() < CONNECTIONS {
        let mut opening = JoinSet::new();
        for _ in 0..500 {
            let address = child.address();
            opening.spawn(async move { Connection::open(address).await });
        }
        connections.extend(opening.join_all().await);
    }
    for connection in &mut connections {
        connection.send(&request("GET", "/", &[], b"")).await;
    }
    let mut served = 0;
    for connection in &mut connections {
        let answer = connection.receive("GET").await;
        match answer.status {
            200 => assert_eq!(answer.text(), "healthy"),
            503 => assert_eq!(answer.header("retry-after"), "1"),
            _ => panic!("{answer:?}"),
        }
        served += usize::from(answer.status == 200);
    }
    assert!(served > 0, "nobody was served");
    serves(&child).await;
    child.signal("TERM").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    assert!(
        complaints(&ended)
            .iter()
            .all(|line| line.contains("the queue is full")),
        "{ended:?}"
    );
    assert_eq!(
        complaints(&ended).is_empty(),
        served == CONNECTIONS,
        "{ended:?}"
    );
}

/// Raises this process's limit of open files, which the server inherits.
#[expect(clippy::print_stderr, reason = "the test harness shows it")]
fn may_open(files: usize) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(files).ok();
    if limit.current >= wanted || limit.current.is_none() {
        return true;
    }
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: wanted,
            maximum: limit.maximum,
        },
    )
    .is_ok();
    if !raised {
        eprintln!(
            "skipped: {files} open files are needed, and the hard limit is {:?}",
            limit.maximum
        );
    }
    raised
}

#[tokio::test]
async fn requests_that_come_while_the_server_ends_are_refused_or_answered_with_503() {
    let gate = httpy_tests::gate::Gate::new().await;
    let child = Server::fault("held_by_c").start().await;
    let mut pending = ask(&child, &format!("/?gate={}", gate.port)).await;
    let held = gate.arrival().await;
    let mut upload = child.connect().await;
    upload
        .send(
            b"POST /app2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
        )
        .await;
    assert_eq!(upload.receive("HEAD").await.status, 100);
    child.signal("TERM").await;
    child.wait_for("new calls are refused").await;
    // axum stops listening a moment after it has heard of the signal.
    while TcpStream::connect(child.address()).await.is_ok() {}
    upload.send(b"x").await;
    drop(held);
    assert_eq!(pending.receive("GET").await.text(), "let go");
    assert_eq!(
        upload.receive("POST").await.status,
        200,
        "it was accepted before the signal"
    );
    child.wait().await.assert_code(0);
}
