//! What a client gets of a body that is an iterator.

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use httpy_tests::app::{App, ask, get};
use httpy_tests::client::{Connection, request};
use httpy_tests::executor;
use httpy_tests::log;
use tracing::Level;

use super::{Turn, call, fault, next, text};

#[tokio::test]
async fn each_chunk_arrives_before_the_generator_goes_on() {
    let turn = Turn::begin(
        "
def handle(method, path, params, query, headers, body):
    def chunks():
        yield 'caf\\u00e9 \\udcff'
        pass_gate(query['gate'][0])
        yield b'two'
        yield ''
        yield bytearray(b'three')
        yield memoryview(b'four')
    return 201, chunks(), {'X-Test': '1'}
",
    )
    .await;
    let mut response = turn.call("/").await;
    assert_eq!(response.status(), 201);
    assert_eq!(
        response
            .headers()
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>(),
        ["x-test"]
    );
    assert_eq!(
        next(&mut response).await.unwrap().unwrap(),
        &b"caf\xc3\xa9 \xff"[..]
    );
    let held = turn.gate.arrival().await;
    drop(held);
    for chunk in ["two", "three", "four"] {
        assert_eq!(text(&mut response).await, chunk);
    }
    assert!(next(&mut response).await.is_none());

    let server = turn.app.serve().await;
    let mut connection = Connection::open(server.address).await;
    connection
        .send(&request(
            "GET",
            &format!("/?gate={}", turn.gate.port),
            &[],
            b"",
        ))
        .await;
    drop(turn.gate.arrival().await);
    let received = connection.receive("GET").await;
    assert_eq!(received.body, b"caf\xc3\xa9 \xfftwothreefour");
    assert_eq!(received.header("transfer-encoding"), "chunked");
}

#[tokio::test]
async fn python_produces_no_more_than_a_little_beyond_what_is_read() {
    let turn = Turn::begin(
        "
def handle(method, path, params, query, headers, body):
    def chunks():
        while True:
            seen[:] = [str(int(''.join(seen) or 0) + 1)]
            yield b'x' * 65536
    return 200, chunks(), {}
",
    )
    .await;
    let mut response = turn.call("/").await;
    // What lies here; of a worker process, also what was on its way here.
    let most = if executor::are_processes() { 7 } else { 4 };
    turn.wait_for(&most.to_string()).await;
    for _ in 0..50 {
        assert_eq!(turn.seen().await, most.to_string());
    }
    for _ in 0..most {
        assert_eq!(next(&mut response).await.unwrap().unwrap().len(), 65536);
    }
    turn.wait_for(&(2 * most).to_string()).await;
}

#[tokio::test]
async fn a_generator_runs_on_the_thread_and_in_the_context_of_its_handler() {
    let turn = Turn::begin(
        "
import contextvars, sqlite3, threading
variable = contextvars.ContextVar('variable', default='unset')

def handle(method, path, params, query, headers, body):
    before = variable.get()
    variable.set('set')
    thread = threading.get_ident()
    database = sqlite3.connect(':memory:')
    database.execute('create table t (n)')
    database.executemany('insert into t values (?)', [(n,) for n in range(3)])
    def chunks():
        try:
            for row in database.execute('select n from t'):
                yield f'{row[0]} {variable.get()} {threading.get_ident() == thread} '
            yield f'{httpy_rs.request().target} {3000 < httpy_rs.remaining() <= 3600} {httpy_rs.client_gone()}'
        finally:
            seen.append(str(threading.get_ident() == thread))
            database.close()
    return 200, chunks(), {'X-Before': before}
",
    )
    .await;
    for _ in 0..2 {
        let response = call(turn.app.service(), get("/path")).await;
        assert_eq!(response.headers()["x-before"], "unset");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "0 set True 1 set True 2 set True /path True False");
    }
    assert_eq!(turn.seen().await, "True True");
}

/// An iterator that says what is done to it; how its head looks is in the query.
const RECORDING: &str = "
class Chunks:
    def __init__(self, *chunks):
        self.chunks = iter(chunks)
    def __next__(self):
        seen.append('next')
        return next(self.chunks)
    def close(self):
        seen.append('close')

def handle(method, path, params, query, headers, body):
    given = {'Content-Length': query['length'][0]} if 'length' in query else {}
    return int(path[1:]), Chunks('ab', 'cd'), given
";

#[tokio::test]
async fn a_content_length_is_kept_and_enforced() {
    let turn = Turn::begin(RECORDING).await;
    let mut right = turn.call("/200").await;
    assert_eq!(http_body::Body::size_hint(right.body()).exact(), None);
    assert_eq!(
        (text(&mut right).await, text(&mut right).await),
        ("ab".to_owned(), "cd".to_owned())
    );
    assert!(next(&mut right).await.is_none());

    let mut right = call(turn.app.service(), get("/200?length=4")).await;
    assert_eq!(http_body::Body::size_hint(right.body()).exact(), Some(4));
    assert_eq!(right.headers()["content-length"], "4");
    assert_eq!(text(&mut right).await, "ab");
    assert_eq!(http_body::Body::size_hint(right.body()).exact(), Some(2));

    for (length, before, words) in [
        (
            5,
            "abcd",
            "yielded 4 bytes in all: expected 5, as its Content-Length says",
        ),
        (
            3,
            "ab",
            "yielded more than 3 bytes: expected as many as its Content-Length says",
        ),
    ] {
        let mut wrong = call(turn.app.service(), get(&format!("/200?length={length}"))).await;
        let (found, error) = fault(&mut wrong).await;
        assert_eq!(found, before);
        assert!(
            error.is_contract() && error.to_string().ends_with(words),
            "{error}"
        );
        // Once per rule and second.
        log::wait_for(&turn.target(), "as its Content-Length says").await;
    }
    let answer = turn.app.ask(get("/200?length=x")).await;
    assert!(
        answer
            .message()
            .ends_with("Content-Length \"x\" with an iterator as body: expected a number of bytes")
    );
}

const COUNTED: &str = "
def handle(method, path, params, query, headers, body):
    return 200, chunks(path, query), {'Content-Length': '6'}

def chunks(path, query):
    try:
        yield 'abc'
        yield 'def'
        if path == '/':
            pass_gate(query['gate'][0])
        if path == '/wrong':
            yield 'g'
        if path == '/raises':
            raise ValueError('late')
        seen.append('went on')
    except GeneratorExit:
        seen.append('closed')
        raise
";

#[tokio::test]
async fn an_iterator_with_a_content_length_runs_to_its_end_before_its_client_has_everything() {
    let turn = Turn::begin(COUNTED).await;
    let mut response = turn.call("/").await;
    assert_eq!(text(&mut response).await, "abc");
    let held = turn.gate.arrival().await;
    // Its last chunk has come, but a server that had sent it would let go of the rest.
    assert!(next(&mut response).now_or_never().is_none());
    assert_eq!(http_body::Body::size_hint(response.body()).exact(), Some(3));
    drop(held);
    assert_eq!(text(&mut response).await, "def");
    assert!(next(&mut response).await.is_none());
    turn.wait_for("went on").await;

    for (path, before) in [("/wrong", "abc"), ("/raises", "abc")] {
        let mut wrong = turn.call(path).await;
        let (found, _) = fault(&mut wrong).await;
        assert_eq!(found, before, "{path}");
    }
}

#[tokio::test]
async fn where_there_is_no_body_the_iterator_is_closed_and_not_iterated() {
    let turn = Turn::begin(RECORDING).await;
    for (method, path) in [
        ("HEAD", "/200"),
        ("HEAD", "/200?length=7"),
        ("GET", "/204"),
        ("GET", "/304"),
    ] {
        let mut request = get(path);
        *request.method_mut() = method.parse().unwrap();
        let answer = turn.app.ask(request).await;
        assert_eq!(answer.body, "");
        assert_eq!(
            answer.header("content-length"),
            if path.contains('=') { "7" } else { "" }
        );
    }
    turn.wait_for("close close close close").await;
    let line = log::wait_for(
        &turn.target(),
        "an iterator as body with status 204 was dropped",
    )
    .await;
    assert_eq!(line.level, Level::WARN);
}

#[tokio::test]
async fn a_head_that_breaks_the_contract_leaves_no_iterator_open() {
    let cases = [
        ("int(path[1:])", "1200", "status 1200: expected 200 to 999"),
        (
            "'Content-Length'",
            "7",
            "a header name of type int: expected str",
        ),
        // Judged when the iterator may run already.
        (
            "'Content-Length'",
            "'Content Length'",
            "expected a token (RFC 9110, 5.6.2)",
        ),
    ];
    for (right, wrong, words) in cases {
        let turn = Turn::begin(&RECORDING.replace(right, wrong)).await;
        assert!(
            turn.app
                .ask(get("/200?length=1"))
                .await
                .message()
                .ends_with(words)
        );
        while !turn.seen().await.ends_with("close") {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_services_limit_is_held_until_the_last_chunk() {
    let turn = Turn::begin(
        "
def handle(method, path, params, query, headers, body):
    def chunks():
        yield 'one'
        pass_gate(query['gate'][0])
    return 200, chunks(), {}
",
    )
    .await;
    let service = turn.app.service().with_limit(1);
    let mut response = call(service.clone(), turn.request("/")).await;
    assert_eq!(text(&mut response).await, "one");
    let held = turn.gate.arrival().await;
    assert_eq!(ask(service.clone(), turn.request("/")).await.status, 503);
    drop(held);
    assert!(next(&mut response).await.is_none());
    assert_eq!(call(service, turn.request("/")).await.status(), 200);
}

#[tokio::test]
async fn an_iterator_in_c_gives_way_to_other_handlers() {
    let app = App::new(
        "
import itertools
def handle(method, path, params, query, headers, body):
    if path == '/quick':
        return 200, 'quick', {}
    return 200, itertools.repeat(b'x'), {}
",
    );
    let mut response = call(app.service(), get("/")).await;
    let reading = tokio::spawn(async move {
        while let Some(Ok(chunk)) = next(&mut response).await {
            assert_eq!(chunk, Bytes::from_static(b"x"));
        }
    });
    for _ in 0..20 {
        assert_eq!(app.ask(get("/quick")).await.text(), "quick");
    }
    reading.abort();
}

#[tokio::test]
async fn what_is_an_iterable_only_is_refused_with_what_would_do() {
    let app = App::new(
        "def handle(method, path, params, query, headers, body): return 200, eval(body), {}\n",
    );
    let ask = |expression: &'static str| app.ask(httpy_tests::app::post("/", expression));
    let expected = "expected body to be str, bytes, bytearray, memoryview or None, or an iterator of str or bytes, found ";
    for (expression, found) in [
        ("['a']", "list"),
        ("('a',)", "tuple"),
        ("{'a': 1}", "dict"),
        ("range(3)", "range"),
    ] {
        assert!(
            ask(expression)
                .await
                .message()
                .ends_with(&format!("{expected}{found}")),
            "{expression}"
        );
    }
    let plain =
        "expected a plain iterator as body, as the handler is no async def, found async_generator";
    assert!(
        ask("(letter async for letter in None)")
            .await
            .message()
            .contains("TypeError")
    );
    let asynchronous = "exec('async def chunks(): yield 1', scope := {}) or scope['chunks']()";
    assert!(ask(asynchronous).await.message().ends_with(plain));
}
