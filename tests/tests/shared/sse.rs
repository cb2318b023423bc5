//! Server-sent events as a client gets them: one by one, with heartbeats in between for which no Python runs, and broken
//! off where something is no event.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use httpy::ResponseBody;
use httpy_tests::app::App;
use httpy_tests::gate::Gate;
use httpy_tests::log;
use tokio::time;
use tower::ServiceExt;

const SOURCE: &str = "
import httpy_rs

def handle(method, path, params, query, headers, body):
    gate = query['gate'][0]
    return httpy_rs.sse(globals()[path[1:]](gate))

def two(gate):
    yield {'event': 'tick', 'id': 1, 'data': [1, 2]}
    pass_gate(gate)
    yield 'a\\nb'

def closing(gate):
    try:
        while True:
            yield 'again'
    finally:
        pass_gate(gate)

def odd(gate):
    yield 'first'
    yield {'name': 'b'}
";

struct Feed {
    response: Response<ResponseBody>,
}

impl Feed {
    async fn open(app: &App, gate: &Gate, events: &str) -> Self {
        let request = Request::get(format!("/{events}?gate={}", gate.port))
            .body(Body::empty())
            .unwrap();
        Self {
            response: app.service().oneshot(request).await.unwrap(),
        }
    }

    async fn next(&mut self) -> Option<Result<Bytes, String>> {
        let frame = self.response.body_mut().frame().await?;
        Some(
            frame
                .map(|frame| frame.into_data().unwrap())
                .map_err(|error| error.to_string()),
        )
    }

    async fn event(&mut self) -> Bytes {
        self.next()
            .await
            .expect("the stream has ended")
            .expect("the stream has broken off")
    }
}

fn app() -> App {
    App::with(&format!("{}{SOURCE}", Gate::SOURCE), |builder| {
        let limit = std::time::Duration::from_secs(30);
        builder.deadline(limit).chunk_timeout(limit)
    })
}

#[tokio::test]
async fn each_event_is_sent_as_soon_as_it_is_there() {
    let (app, gate) = (app(), Gate::new().await);
    let mut feed = Feed::open(&app, &gate, "two").await;
    assert_eq!(feed.response.status(), 200);
    let headers = feed.response.headers();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-cache");
    assert_eq!(headers["x-accel-buffering"], "no");
    assert!(!headers.contains_key("content-length"));
    assert_eq!(feed.event().await, "event: tick\nid: 1\ndata: [1, 2]\n\n");
    drop(gate.arrival().await);
    assert_eq!(feed.event().await, "data: a\ndata: b\n\n");
    assert_eq!(feed.next().await, None);
}

#[tokio::test]
async fn while_no_event_comes_heartbeats_are_sent_and_python_is_not_interrupted() {
    let (app, gate) = (app(), Gate::new().await);
    let mut feed = Feed::open(&app, &gate, "two").await;
    feed.event().await;
    let held = gate.arrival().await;
    // With nothing else to do, tokio's clock jumps to the next heartbeat: 45 s in all, beyond the deadline and the time for
    // a chunk.
    time::pause();
    let begin = time::Instant::now();
    for _ in 0..3 {
        assert_eq!(feed.event().await, ": \n\n");
    }
    assert_eq!(begin.elapsed().as_secs(), 45);
    time::resume();
    drop(held);
    assert_eq!(feed.event().await, "data: a\ndata: b\n\n");
    assert_eq!(feed.next().await, None);
    assert_eq!(log::lines(&app.module), []);
}

#[tokio::test]
async fn when_the_client_leaves_the_generator_of_the_events_is_closed() {
    let (app, gate) = (app(), Gate::new().await);
    let mut feed = Feed::open(&app, &gate, "closing").await;
    assert_eq!(feed.event().await, "data: again\n\n");
    drop(feed);
    // Where its `finally` is.
    drop(gate.arrival().await);
}

#[tokio::test]
async fn what_is_no_event_breaks_the_stream_off_and_is_named_in_the_log() {
    let (app, gate) = (app(), Gate::new().await);
    let mut feed = Feed::open(&app, &gate, "odd").await;
    assert_eq!(feed.event().await, "data: first\n\n");
    let broken = feed.next().await.unwrap().unwrap_err();
    assert!(broken.contains("raised ValueError"), "{broken}");
    let line = log::wait_for(&app.module, "ValueError").await;
    let expected = "event 2 has the key 'name': expected only data, event, id, retry, comment";
    assert!(line.message.contains(expected), "{}", line.message);
}

/// The same on the event loop, which a feed does not hold.
const ASYNC_SOURCE: &str = "
import asyncio, httpy_rs
seen = []

async def handle(method, path, params, query, headers, body):
    return httpy_rs.sse(events(query['gate'][0]))

async def events(gate):
    try:
        yield {'id': path_of_the_request()}
        reader, writer = await asyncio.open_connection('127.0.0.1', int(gate))
        await reader.read(1)
        writer.close()
        yield {'data': 'second'}
        await asyncio.Event().wait()
    finally:
        seen.append('closed')
        reader, writer = await asyncio.open_connection('127.0.0.1', int(gate))
        writer.close()

def path_of_the_request():
    return httpy_rs.request().target.partition('?')[0]
";

#[tokio::test]
async fn an_async_feed_is_sent_with_heartbeats_and_closed_as_soon_as_its_client_has_left() {
    let (app, gate) = (App::new(ASYNC_SOURCE), Gate::new().await);
    let mut feed = Feed::open(&app, &gate, "feed").await;
    assert_eq!(feed.response.headers()["content-type"], "text/event-stream");
    assert_eq!(feed.event().await, "id: /feed\n\n");
    let held = gate.arrival().await;
    time::pause();
    assert_eq!(feed.event().await, ": \n\n");
    time::resume();
    drop(held);
    assert_eq!(feed.event().await, "data: second\n\n");
    drop(feed);
    // Where its `finally` is, long before any limit.
    drop(gate.arrival().await);
    assert_eq!(log::lines(&app.module), []);
}
