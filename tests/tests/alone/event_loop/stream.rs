//! Bodies in chunks on the event loop, in both directions.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use httpy_tests::app::{ask, get, post};
use httpy_tests::executor;
use tower::ServiceExt;

use super::turn::Turn;

const SOURCE: &str = "
closed, variable = [], contextvars.ContextVar('variable')
async def chunks(path, port):
    try:
        if path == '/first':
            raise ValueError('at once')
        yield 'one '
        if path == '/int':
            yield 5
        if path == '/middle':
            raise ValueError('in the middle')
        if port:
            await pass_gate(port)
        yield b'two '
        yield f'{variable.get()} {httpy_rs.request().target.partition(\"?\")[0]}'
    finally:
        closed.append(path)
class Closes:
    left = 2
    def __aiter__(self):
        return self
    async def __anext__(self):
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return 'chunk '
    async def aclose(self):
        await asyncio.sleep(0)
        raise ValueError('in close')
def plain():
    yield 'plain '
    yield b'generator'
async def endless(port):
    try:
        while True:
            yield bytes(100_000)
            await asyncio.sleep(0)
            handle.count += 1
    finally:
        closed.append('endless')
async def handle(method, path, params, query, headers, body):
    if path == '/closed':
        return 200, ' '.join(closed), {}
    if path == '/count':
        return 200, str(handle.count), {}
    variable.set('mine')
    if path == '/wait':
        await asyncio.sleep(0)
    if path == '/plain':
        return 200, plain(), {}
    if path == '/close':
        return 200, Closes(), {}
    if path == '/endless':
        handle.count = 0
        return 200, endless(query['gate'][0]), {}
    return 200, chunks(path, query['gate'][0] if 'gate' in query else None), {}
async def count(method, path, params, query, headers, body: httpy_rs.AsyncBody):
    first = await body.read(3)
    size = 0
    async for chunk in body:
        size += len(chunk)
    return 200, f'{first} {size} {await body.read()}', {}
async def echo(method, path, params, query, headers, body: httpy_rs.Body):
    return 200, body, {}
async def unread(method, path, params, query, headers, body: httpy_rs.Body):
    unread.body = body
    return 200, 'unread', {}
async def late(method, path, params, query, headers, body):
    try:
        await unread.body.read()
    except RuntimeError as error:
        return 200, str(error), {}
";

#[tokio::test]
async fn an_async_generator_is_sent_chunk_by_chunk_in_its_calls_context_and_closed() {
    let turn = Turn::begin(SOURCE).await;
    for (path, expected) in [
        ("/", "one two mine /"),
        ("/wait", "one two mine /wait"),
        ("/plain", "plain generator"),
    ] {
        let answer = turn.app.ask(get(path)).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, expected));
        assert_eq!(answer.header("content-type"), "");
    }
    assert_eq!(turn.ask("/closed").await, "/ /wait");
}

#[tokio::test]
async fn chunks_arrive_before_the_generator_has_ended() {
    let turn = Turn::begin(SOURCE).await;
    let request = get(&turn.gated("/gated"));
    let Ok(response) = turn.app.service().oneshot(request).await;
    let mut body = response.into_body();
    let chunk = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(chunk, "one ");
    let held = turn.gate.arrival().await;
    assert_eq!(turn.ask("/closed").await, "");
    drop(held);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "two mine /gated");
}

#[tokio::test]
async fn what_goes_wrong_in_a_body_breaks_it_off_and_is_logged_once() {
    let turn = Turn::begin(SOURCE).await;
    let target = turn.app.target("handle");
    for (path, before, expected) in [
        ("/first", "", "raised ValueError: at once"),
        ("/middle", "one ", "raised ValueError: in the middle"),
        ("/int", "one ", "yielded int (chunk 2)"),
    ] {
        let Ok(response) = turn.app.service().oneshot(get(path)).await;
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        let mut text = Vec::new();
        let failed = loop {
            match body.frame().await {
                Some(Ok(frame)) => text.extend_from_slice(&frame.into_data().unwrap()),
                Some(Err(_)) => break true,
                None => break false,
            }
        };
        assert_eq!(
            (String::from_utf8(text).unwrap().as_str(), failed),
            (before, true),
            "{path}"
        );
        let line = turn.line(&format!("{target} {expected}")).await;
        assert_eq!(line.level, tracing::Level::ERROR);
    }
    // A body that came to its end is whole, whatever closing it raised.
    let answer = turn.app.ask(get("/close")).await;
    assert_eq!(answer.text(), "chunk chunk ");
    turn.line("raised ValueError: in close").await;
    assert_eq!(turn.lines().len(), 4, "{:?}", turn.lines());
    assert_eq!(turn.ask("/closed").await, "/first /middle /int");
}

#[tokio::test]
async fn a_client_that_does_not_read_bounds_what_python_makes_and_one_that_leaves_closes_the_generator()
 {
    let turn = Turn::begin(SOURCE).await;
    let Ok(response) = turn
        .app
        .service()
        .oneshot(get(&turn.gated("/endless")))
        .await;
    let mut body = response.into_body();
    let mut count = turn.ask("/count").await;
    // It makes no more when the stream is full.
    for _ in 0..1000 {
        count = turn.ask("/count").await;
    }
    // What lies here; of a worker process, also what was on its way here.
    assert_eq!(count, if executor::are_processes() { "4" } else { "2" });
    for _ in 0..100 {
        body.frame().await.unwrap().unwrap();
    }
    drop(body);
    turn.until("/closed", "endless").await;
    assert!(turn.lines().is_empty(), "{:?}", turn.lines());
}

#[tokio::test]
async fn a_call_that_is_left_between_two_chunks_is_cancelled_where_it_waits() {
    let turn = Turn::begin(SOURCE).await;
    let Ok(response) = turn.app.service().oneshot(get(&turn.gated("/gated"))).await;
    let _held = turn.gate.arrival().await;
    drop(response);
    turn.until("/closed", "/gated").await;
    assert!(turn.lines().is_empty(), "{:?}", turn.lines());
}

#[tokio::test]
async fn a_head_without_a_body_closes_the_generator_unread() {
    let turn = Turn::begin(SOURCE).await;
    let request = http::Request::head("/plain").body(Body::empty()).unwrap();
    let answer = turn.app.ask(request).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
}

#[tokio::test]
async fn a_request_is_read_as_it_comes() {
    let turn = Turn::begin(SOURCE).await;
    let parts = (0..50).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'a'; 20_000])));
    let answer = ask(
        turn.app.handler("count"),
        post("/", Body::from_stream(stream::iter(parts))),
    )
    .await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "b'aaa' 999997 b''")
    );
    let answer = ask(turn.app.handler("count"), get("/")).await;
    assert_eq!(answer.text(), "b'' 0 b''");
    let parts = ["ab", "cd", "ef"].map(|part| Ok::<_, std::io::Error>(Bytes::from(part)));
    let answer = ask(
        turn.app.handler("echo"),
        post("/", Body::from_stream(stream::iter(parts))),
    )
    .await;
    assert_eq!(answer.text(), "abcdef");
    let parts = [
        Ok(Bytes::from("abc")),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ];
    let answer = ask(
        turn.app.handler("count"),
        post("/", Body::from_stream(stream::iter(parts))),
    )
    .await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let answer = ask(turn.app.handler("count"), post("/", vec![0; 3 << 20])).await;
    assert_eq!(answer.status, 413, "{answer:?}");
}

#[tokio::test]
async fn a_body_that_is_read_after_its_call_has_ended_says_so() {
    let turn = Turn::begin(SOURCE).await;
    assert_eq!(
        ask(turn.app.handler("unread"), post("/", "never read"))
            .await
            .text(),
        "unread"
    );
    let text = ask(turn.app.handler("late"), get("/")).await.text();
    assert_eq!(text, "the request's body was read after its call had ended");
}
