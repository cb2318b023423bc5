//! Handlers that read their request's body as it comes.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use httpy_tests::app::{Answer, App, ask, post};
use httpy_tests::client::{Connection, exchange, request};
use httpy_tests::{executor, log};
use tokio::sync::mpsc;
use tracing::Level;

use super::{Turn, call, next, text};

const SOURCE: &str = "
import threading
from httpy_rs import Body

kept = []

def handle(method, path, params, query, headers, body: Body):
    if path == '/count':
        return 200, str(sum(len(chunk) for chunk in body)), {}
    if path == '/read':
        return 200, b'|'.join([body.read(3), body.read(0), body.read(4), next(body), body.read()]), {}
    if path == '/never':
        return 200, 'never read', {}
    if path == '/echo':
        return 200, body, {}
    if path == '/gate':
        pass_gate(headers['Gate'][0])
        return 200, body.read(), {}
    if path == '/keep':
        kept.append(body)
        return 200, body.read(1), {}
    if path == '/after':
        return 200, kept.pop().read(), {}
    if path == '/catch':
        try:
            return 200, body.read(), {}
        except httpy_rs.BodyError as error:
            return 299, f'{error.status} {error}', {}
    if path == '/thread':
        def read():
            try:
                body.read()
            except RuntimeError as error:
                seen.append(str(error))
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        return 200, ' '.join(seen), {}
    def chunks():
        yield 'head'
        yield body.read()
    return 200, chunks(), {}
";

/// A body whose chunks the test sends when it likes; dropping the sender ends it.
fn channel() -> (mpsc::Sender<io::Result<Bytes>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let chunks = stream::unfold(receiver, |mut receiver| async {
        Some((receiver.recv().await?, receiver))
    });
    (sender, Body::from_stream(chunks))
}

/// A body of these parts, which then never ends.
fn endless(parts: &[&'static str]) -> Body {
    use futures_util::StreamExt;
    let parts: Vec<_> = parts
        .iter()
        .map(|part| Ok::<_, io::Error>(Bytes::from_static(part.as_bytes())))
        .collect();
    Body::from_stream(stream::iter(parts).chain(stream::pending()))
}

fn broken() -> Body {
    let parts = [
        Ok(Bytes::from("abc")),
        Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    ];
    Body::from_stream(stream::iter(parts))
}

async fn answer(app: &App, path: &str, body: impl Into<Body>) -> Answer {
    app.ask(post(path, body)).await
}

#[tokio::test]
async fn a_body_is_counted_as_it_comes_and_is_no_longer_than_what_is_on_its_way() {
    let turn = Turn::with(SOURCE, |builder| {
        builder
            .body_limit(64 * 1024 * 1024)
            .body_budget(64 * 1024 * 1024)
    })
    .await;
    let parts = (0..1000).map(|_| Ok::<_, io::Error>(Bytes::from(vec![b'x'; 10_007])));
    assert_eq!(
        answer(&turn.app, "/count", Body::from_stream(stream::iter(parts)))
            .await
            .text(),
        "10007000"
    );
    assert_eq!(answer(&turn.app, "/count", Body::empty()).await.text(), "0");
    assert_eq!(answer(&turn.app, "/count", "whole").await.text(), "5");
    assert_eq!(turn.app.python.snapshot().body_bytes, 0);
    let server = turn.app.serve().await;
    let received = exchange(
        server.address,
        &request("POST", "/count", &[], &vec![b'x'; 1_000_000]),
    )
    .await;
    assert_eq!(received.text(), "1000000");
}

#[tokio::test]
async fn the_socket_is_read_no_further_than_the_handler_reads() {
    let turn = Turn::begin(SOURCE).await;
    let (sender, body) = channel();
    let mut request = post("/gate", body);
    request.headers_mut().insert("gate", turn.gate.port.into());
    let service = turn.app.service();
    let (call, held) = turn.gate.hold(ask(service, request)).await;
    let part = Bytes::from(vec![b'x'; 65536]);
    // As many as are on their way at a time, once more where they go to a worker process, and one in the channel.
    let most = if executor::are_processes() { 9 } else { 5 };
    let (mut sent, mut refused) = (0, 0);
    while refused < 1000 {
        match sender.try_send(Ok(part.clone())) {
            Ok(()) => (sent, refused) = (sent + 1, 0),
            Err(_) => refused += 1,
        }
        assert!(sent <= most, "nobody stops the client");
        tokio::task::yield_now().await;
    }
    drop(held);
    sender.send(Ok(part.clone())).await.unwrap();
    drop(sender);
    let answer = call.await.unwrap();
    assert_eq!(answer.body.len(), (sent + 1) * 65536, "{answer:?}");
}

#[tokio::test]
async fn a_body_is_read_in_pieces_of_any_size() {
    let turn = Turn::begin(SOURCE).await;
    let parts = ["ab", "cdefgh", "i", "jk"].map(|part| Ok::<_, io::Error>(Bytes::from(part)));
    let read = answer(&turn.app, "/read", Body::from_stream(stream::iter(parts))).await;
    assert_eq!(read.text(), "abc||defg|h|ijk");
    assert_eq!(
        answer(&turn.app, "/never", "unread").await.text(),
        "never read"
    );
    assert_eq!(
        answer(&turn.app, "/never", endless(&["a"])).await.text(),
        "never read"
    );
}

#[tokio::test]
async fn an_echo_answers_while_the_body_still_comes() {
    let turn = Turn::begin(SOURCE).await;
    let (sender, body) = channel();
    let mut response = call(turn.app.service(), post("/echo", body)).await;
    for chunk in ["one", "two", "three"] {
        sender.send(Ok(Bytes::from(chunk))).await.unwrap();
        assert_eq!(text(&mut response).await, chunk);
    }
    drop(sender);
    assert!(next(&mut response).await.is_none());

    let server = turn.app.serve().await;
    let mut connection = Connection::open(server.address).await;
    let body = b"4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n";
    connection
        .send(&request(
            "POST",
            "/echo",
            &[("transfer-encoding", b"chunked")],
            body,
        ))
        .await;
    assert_eq!(connection.receive("POST").await.text(), "abcdefg");
}

#[tokio::test]
async fn a_body_that_does_not_come_to_its_end_is_the_clients_doing() {
    let turn = Turn::with(SOURCE, |builder| {
        builder.body_limit(10).body_timeout(Duration::from_secs(30))
    })
    .await;
    let parts =
        || stream::iter([6, 6].map(|length| Ok::<_, io::Error>(Bytes::from(vec![b'x'; length]))));
    let large = answer(&turn.app, "/count", Body::from_stream(parts())).await;
    assert!(
        large.status == 413 && large.error.as_ref().unwrap().is_body_too_large(),
        "{large:?}"
    );
    assert_eq!(
        answer(&turn.app, "/count", "eleven bytes").await.status,
        413
    );
    let broken_off = answer(&turn.app, "/count", broken()).await;
    assert!(
        broken_off.status == 400 && broken_off.error.as_ref().unwrap().is_body_broken(),
        "{broken_off:?}"
    );
    let mut request = post("/gate", endless(&["ab"]));
    request.headers_mut().insert("gate", turn.gate.port.into());
    let (call, held) = turn.gate.hold(ask(turn.app.service(), request)).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    drop(held);
    let slow = call.await.unwrap();
    assert!(
        slow.status == 408 && slow.error.as_ref().unwrap().is_body_timeout(),
        "{slow:?}"
    );
    assert!(
        log::lines(&turn.target())
            .iter()
            .all(|line| line.level == Level::DEBUG)
    );

    let caught = answer(&turn.app, "/catch", Body::from_stream(parts())).await;
    assert_eq!(caught.status, 299);
    assert_eq!(
        caught.text(),
        "413 the request's body is over the limit of 10 bytes"
    );
    assert_eq!(
        answer(&turn.app, "/catch", broken()).await.text(),
        "400 the request's body broke off"
    );
}

#[tokio::test]
async fn an_upload_that_fails_in_mid_answer_breaks_the_answer_off() {
    let turn = Turn::begin(SOURCE).await;
    let mut response = call(turn.app.service(), post("/stream", broken())).await;
    let (before, error) = super::fault(&mut response).await;
    assert!(
        before == "head" && error.is_body_broken(),
        "{before} {error:?}"
    );
    let line = log::wait_for(&turn.target(), "the request's body broke off").await;
    assert_eq!(line.level, Level::DEBUG);
}

#[tokio::test]
async fn a_body_belongs_to_its_call_and_its_thread() {
    let turn = Turn::begin(SOURCE).await;
    assert_eq!(answer(&turn.app, "/keep", "kept").await.text(), "k");
    // What had come is still there.
    let after = answer(&turn.app, "/after", "").await;
    let words = "raised RuntimeError: the request's body was read after its call had ended";
    assert!(after.message().ends_with(words), "{after:?}");
    let words = "the request's body was read on another thread than its handler's";
    assert_eq!(answer(&turn.app, "/thread", "text").await.text(), words);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_wait_for_its_body() {
    let turn = Turn::begin(SOURCE).await;
    let (sender, body) = channel();
    let asked = tokio::spawn(ask(turn.app.service(), post("/count", body)));
    sender.send(Ok(Bytes::from("abc"))).await.unwrap();
    // Taken by the pump, so that the call was made.
    sender.send(Ok(Bytes::from("def"))).await.unwrap();
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    sender.closed().await;
    let whole = call(turn.app.service(), post("/count", "abc")).await;
    assert_eq!(whole.into_body().collect().await.unwrap().to_bytes(), "3");
}
