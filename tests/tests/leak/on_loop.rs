//! `OnLoop`: a round of calls of async handlers that end in every way in which such a call can end.

use std::future::ready;
use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body_util::BodyExt;
use httpy::{PyEngine, PyService};
use httpy_tests::app::{ask, get, post};
use tower::ServiceExt;

/// How often each call is made in one round.
const TIMES: usize = 8;

/// Handlers to be put behind those of the workers.
pub(crate) const SOURCE: &str = "
async def on_loop(method, path, params, query, headers, body):
    if path == '/wait':
        await asyncio.sleep(0)
    if path == '/later':
        await asyncio.sleep(0)
        path = '/raise'
    if path == '/raise':
        raise ValueError('mine')
    if path == '/exit':
        raise SystemExit(3)
    if path == '/pair':
        return 200, ''
    if path == '/behind':
        asyncio.ensure_future(asyncio.sleep(0))
    if path == '/group':
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
    if path == '/hold':
        await asyncio.get_running_loop().create_future()
    if path == '/another':
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            raise ValueError('instead')
    return STATUS, TEXT, FIELDS

async def stream_on_loop(method, path, params, query, headers, body):
    async def chunks():
        yield 'a'
        yield b'b' * 1000
        await asyncio.sleep(0)
        if path == '/int':
            yield 3
        if path == '/raise':
            raise ValueError('in the middle')
        while path == '/endless':
            yield b'c' * 65536
        if path == '/hold':
            await asyncio.get_running_loop().create_future()
    if path == '/plain':
        return 200, iter(['a', 'b']), FIELDS
    if path == '/events':
        return httpy_rs.sse(chunks() for _ in range(0))
    return 200, chunks(), FIELDS

async def upload_on_loop(method, path, params, query, headers, body: httpy_rs.AsyncBody):
    if path == '/echo':
        return 200, body, None
    if path == '/some':
        return 200, await body.read(2), None
    size = 0
    async for chunk in body:
        size += len(chunk)
    return 200, str(size), None

async def tasks(method, path, params, query, headers, body):
    return 200, str(len(asyncio.all_tasks()) - 1), None  # without the root task

HANDLERS += [on_loop, stream_on_loop, upload_on_loop, tasks]
";

/// The async handlers of the app.
pub(crate) struct OnLoop {
    handler: PyService,
    stream: PyService,
    upload: PyService,
    tasks: PyService,
}

impl OnLoop {
    pub(crate) fn new(engine: &PyEngine, module: &str) -> Self {
        let load = |name: &str| engine.handler(format!("{module}:{name}")).unwrap();
        let (stream, upload) = (load("stream_on_loop"), load("upload_on_loop"));
        Self {
            handler: load("on_loop"),
            stream,
            upload,
            tasks: load("tasks"),
        }
    }

    /// Waits until no task is left but the one that says so.
    pub(crate) async fn settle(&self) {
        while ask(self.tasks.clone(), get("/")).await.text() != "1" {}
    }

    /// Makes a round; how many calls it was.
    pub(crate) async fn round(&self) -> u64 {
        let mut count = 0;
        for _ in 0..TIMES {
            for (path, status) in [
                ("/", 299),
                ("/wait", 299),
                ("/behind", 299),
                ("/group", 299),
                ("/raise", 500),
                ("/later", 500),
                ("/exit", 500),
                ("/pair", 500),
            ] {
                assert_eq!(
                    ask(self.handler.clone(), post(path, "body")).await.status,
                    status,
                    "{path}"
                );
                count += 1;
            }
            // Before their first step, and while they wait.
            for path in ["/hold", "/another"] {
                leave(self.handler.clone(), get(path)).await;
                let call = tokio::spawn(ask(self.handler.clone(), get(path)));
                self.until_taken().await;
                call.abort();
                count += 2;
            }
            let late = tokio::spawn(ask(self.handler.clone(), get("/hold")));
            self.until_taken().await;
            tokio::time::pause();
            assert_eq!(late.await.unwrap().status, 504);
            tokio::time::resume();
            count += 1 + self.streams().await;
            self.settle().await;
        }
        count
    }

    async fn streams(&self) -> u64 {
        for (path, complete) in [
            ("/", true),
            ("/plain", true),
            ("/events", true),
            ("/int", false),
            ("/raise", false),
        ] {
            let Ok(response) = self.stream.clone().oneshot(get(path)).await;
            let read = response.into_body().collect().await;
            assert_eq!(read.is_ok(), complete, "{path}: {:?}", read.err());
        }
        for path in ["/endless", "/hold"] {
            let Ok(response) = self.stream.clone().oneshot(get(path)).await;
            let mut body = response.into_body();
            body.frame().await.unwrap().unwrap();
        }
        for path in ["/count", "/echo", "/some"] {
            let Ok(response) = self.upload.clone().oneshot(post(path, "uploaded")).await;
            response.into_body().collect().await.unwrap();
        }
        let parts = [
            Ok(Bytes::from("abc")),
            Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        ];
        let broken = post("/count", Body::from_stream(stream::iter(parts)));
        assert_eq!(ask(self.upload.clone(), broken).await.status, 400);
        let endless = Body::from_stream(stream::pending::<Result<Bytes, io::Error>>());
        let call = tokio::spawn(ask(self.upload.clone(), post("/count", endless)));
        self.until_taken().await;
        call.abort();
        12
    }

    /// The loop has taken what was pushed before this.
    async fn until_taken(&self) {
        tokio::task::yield_now().await;
        ask(self.tasks.clone(), get("/")).await;
    }
}

/// Polls a call once, which pushes it, and drops it.
async fn leave(service: PyService, request: Request<Body>) {
    tokio::select! {
        biased;
        answer = ask(service, request) => panic!("it waits for ever: {answer:?}"),
        () = ready(()) => {}
    }
}
