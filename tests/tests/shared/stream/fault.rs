//! Iterators that do what they should not: each breaks its response off, with one clear line in the log.

use httpy_tests::app::{Server, get};
use httpy_tests::client::{Connection, request};
use httpy_tests::log;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::Level;

use super::{Turn, fault};

const SOURCE: &str = "
def at_once():
    raise ValueError('at once')
    yield

def in_the_middle():
    yield 'a'
    yield 'b'
    raise ValueError('in the middle')

def an_int():
    yield 'a'
    yield 'b'
    yield 3

def a_surrogate():
    yield 'ab\\ud800'

def in_close():
    try:
        yield 'a'
        yield 3
    finally:
        raise KeyError('in close')

def exits():
    yield 'a'
    raise SystemExit(3)

class Odd:
    def __next__(self):
        raise StopIteration
    @property
    def close(self):
        raise ValueError('the close of it')

def handle(method, path, params, query, headers, body):
    return 200, {'odd': Odd}.get(path[1:], globals().get(path[1:]))(), {}
";

/// What came before the fault, its words, and the line that the log has.
async fn case(path: &str, before: &str, words: &str) -> log::Line {
    let turn = Turn::begin(SOURCE).await;
    let mut response = turn.call(path).await;
    assert_eq!(response.status(), 200, "the head goes out at once");
    let (found, error) = fault(&mut response).await;
    assert_eq!(
        (found.as_str(), error.to_string()),
        (before, format!("{}{words}", turn.target()))
    );
    let line = log::wait_for(&turn.target(), words).await;
    assert_eq!(line.level, Level::ERROR);
    assert!(line.message.starts_with(&error.to_string()), "{line:?}");
    assert_eq!(turn.seen().await, "", "the server goes on");
    let lines = log::lines(&turn.target());
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.message.contains(words))
            .count(),
        1,
        "{lines:?}"
    );
    line
}

#[tokio::test]
async fn an_exception_breaks_the_body_off_wherever_it_is_raised() {
    let line = case("/at_once", "", " raised ValueError: at once").await;
    assert!(line.message.contains("in at_once"), "{line:?}");
    let line = case("/in_the_middle", "ab", " raised ValueError: in the middle").await;
    assert!(line.message.contains("in in_the_middle"), "{line:?}");
    case("/exits", "a", " raised SystemExit: 3").await;
}

#[tokio::test]
async fn a_chunk_of_another_type_breaks_the_body_off_with_its_number() {
    case(
        "/an_int",
        "ab",
        " yielded int (chunk 3): expected str, bytes, bytearray or memoryview",
    )
    .await;
    let words = " yielded a str with U+D800 at index 2 (chunk 1): expected text that encodes as UTF-8 (surrogates U+DC80 \
                 to U+DCFF stand for bytes, PEP 383)";
    case("/a_surrogate", "", words).await;
}

#[tokio::test]
async fn what_close_raises_is_in_the_log() {
    case(
        "/in_close",
        "a",
        " yielded int (chunk 2): expected str, bytes, bytearray or memoryview",
    )
    .await;
    let turn = Turn::begin(SOURCE).await;
    assert_eq!(turn.app.ask(get("/odd")).await.body, "");
    log::wait_for(&turn.target(), "raised ValueError: the close of it").await;
    let mut response = turn.call("/in_close").await;
    super::text(&mut response).await;
    drop(response);
    log::wait_for(&turn.target(), "raised KeyError: 'in close'").await;
}

/// All that comes over a connection of its own.
async fn raw(server: &Server, path: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(&request("GET", path, &[], b""))
        .await
        .unwrap();
    let mut received = Vec::new();
    // The server may reset the connection.
    let _ = stream.read_to_end(&mut received).await;
    String::from_utf8(received).unwrap()
}

#[tokio::test]
async fn a_client_can_tell_a_body_that_broke_off_from_a_complete_one() {
    let turn = Turn::begin(SOURCE).await;
    let server = turn.app.serve().await;
    let received = raw(&server, "/in_the_middle").await;
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
    assert!(!received.ends_with("0\r\n\r\n"), "{received}");
    let mut connection = Connection::open(server.address).await;
    connection.send(&request("GET", "/odd", &[], b"")).await;
    assert_eq!(connection.receive("GET").await.body, b"");
}
