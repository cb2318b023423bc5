//! `Calls`: an app with a single worker, and a round of calls that end in every way in which a call can end.

use std::cell::Cell;
use std::fmt::Write as _;
use std::future::ready;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::BodyExt;
use httpy::{PyEngine, PyService};
use httpy_tests::app::Builder;
use httpy_tests::app::{Answer, Server, ask, get, post, serve};
use httpy_tests::client::{Connection, exchange, request};
use httpy_tests::config::Built;
use httpy_tests::executor::{self, Options};
use httpy_tests::gate::{Gate, Held};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;

use crate::on_loop::OnLoop;
use crate::{census, on_loop};

/// Passes while the clock of the calls stands still, and never else.
const HOUR: Duration = Duration::from_secs(3600);
const LIMIT: usize = 200_000;
const QUEUE: usize = 4;
/// How often each call that needs no preparation is made in one round.
const TIMES: usize = 10;

const SOURCE: &str = "
import asyncio
import http
import httpy_rs
import linecache
import sys

# A stack in the log shows lines of whatever file the thread was in just then, and Python keeps each such file for good.
for module in list(sys.modules.values()):
    linecache.getlines(getattr(module, '__file__', None) or '')

STATUS, TEXT, FIELDS = 299, 'caf\\u00e9 \\udcff', {'X-Test': ['1', '2'], 'x-other': 'one', 'Server': 'me'}

def init():
    return {'/serve/:name/*rest': ['GET', 'POST'], '/serve': ['GET']}

def handle(method, path, params, query, headers, body):
    request = httpy_rs.request()
    assert request.extras['user'] == 'somebody' and params['name'] == ['a name'] and query['twice'] == ['1', '\\udcff']
    return STATUS, TEXT, FIELDS

def text(method, path, params, query, headers, body):
    return 200, body, None

def take_bytes(method, path, params, query, headers, body: bytes):
    return 200, (body, bytearray(body), memoryview(body))[int(query['kind'][0])], {}

class Silent(Exception):
    def __str__(self):
        raise RuntimeError('from __str__')

def raising(method, path, params, query, headers, body):
    what = path[1:]
    if what == 'chain':
        try:
            {}['missing']
        except KeyError as error:
            raise ValueError('the cause of it') from error
    if what == 'exit':
        raise SystemExit(3)
    if what == 'interrupt':
        raise KeyboardInterrupt
    raise Silent

def hold(method, path, params, query, headers, body):
    pass_gate(query['gate'][0])
    if path == '/raise':
        raise ValueError('late')
    return 200, 'held', {}

def stream(method, path, params, query, headers, body):
    def chunks():
        try:
            yield 'a'
            yield b'b' * 1000
            if path == '/int':
                yield 3
            if path == '/raise':
                raise ValueError('in the middle')
            while path == '/endless':
                yield b'c' * 65536
            if path == '/hold':
                pass_gate(query['gate'][0])
        finally:
            if path == '/close':
                raise ValueError('in close')
    if path == '/events':
        return httpy_rs.sse(chunks() for _ in range(0))
    return 200, chunks(), FIELDS

def upload(method, path, params, query, headers, body: httpy_rs.Body):
    if path == '/echo':
        return 200, body, None
    if path == '/some':
        return 200, body.read(2), None
    return 200, str(sum(len(chunk) for chunk in body)), None

def vector(expression):
    def handler(method, path, params, query, headers, body):
        return eval(expression, {'http': http})
    return handler

HANDLERS = [handle, text, take_bytes, raising, hold, stream, upload]
RESULTS = [STATUS, TEXT, FIELDS]
";

/// The app, its handlers, and how often they were called.
pub(crate) struct Calls {
    python: PyEngine,
    module: String,
    routes: Router,
    pub(crate) census: PyService,
    text: PyService,
    take_bytes: PyService,
    raising: PyService,
    hold: PyService,
    stream: PyService,
    upload: PyService,
    on_loop: OnLoop,
    /// Each vector of `replies.json` as a handler, with its method and whether it is a contract failure.
    vectors: Vec<(PyService, String, bool)>,
    gate: Gate,
    server: Server,
    count: Cell<u64>,
    _folder: TempDir,
}

impl Calls {
    pub(crate) async fn begin() -> Self {
        // What the log says is made, and thrown away.
        tracing_subscriber::fmt().with_writer(Discard).init();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/replies.json");
        let list: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let mut source = format!(
            "{}{SOURCE}{}{}",
            Gate::SOURCE,
            on_loop::SOURCE,
            census::SOURCE
        );
        for (number, vector) in list.iter().enumerate() {
            // A string in JSON is one in Python too.
            writeln!(source, "vector_{number} = vector({})", vector["returns"]).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let module = "leak_app".to_owned();
        std::fs::write(folder.path().join("leak_app.py"), source).unwrap();
        let Built { engine, routes, .. } = Builder::new("leak_app:handle")
            .init("leak_app:init".to_owned())
            .path(folder.path())
            .at_once(1)
            .queue(QUEUE)
            .max_wait(HOUR)
            .deadline(2 * HOUR)
            .body_limit(LIMIT)
            .body_budget(LIMIT + LIMIT / 2)
            .extra(|_| {
                [("user", "somebody")]
                    .into_iter()
                    .collect::<std::collections::HashMap<_, _>>()
            })
            .build()
            .unwrap();
        let load = |name: &str| engine.handler(format!("{module}:{name}")).unwrap();
        let method = |vector: &Value| vector["method"].as_str().unwrap().to_owned();
        let vectors = list
            .iter()
            .enumerate()
            .map(|(number, vector)| {
                (
                    load(&format!("vector_{number}")),
                    method(vector),
                    vector.get("failure").is_some(),
                )
            })
            .collect();
        let server = serve(
            Router::new()
                .route_service("/text", load("text"))
                .fallback_service(load("hold")),
        )
        .await;
        Self {
            routes: routes.unwrap().router().unwrap(),
            census: load("census"),
            text: load("text"),
            take_bytes: load("take_bytes"),
            raising: load("raising"),
            hold: load("hold"),
            stream: load("stream"),
            upload: load("upload"),
            on_loop: OnLoop::new(&engine, &module),
            vectors,
            gate: Gate::new().await,
            server,
            count: Cell::new(0),
            _folder: folder,
            python: engine,
            module,
        }
    }

    /// Makes so many rounds; how many calls they were.
    pub(crate) async fn rounds(&mut self, rounds: u64) -> u64 {
        self.count.set(0);
        for _ in 0..rounds {
            self.answered().await;
            self.refused().await;
            self.vectors().await;
            self.held().await;
            self.streamed().await;
            self.count
                .set(self.count.get() + self.on_loop.round().await);
            self.over_connections().await;
        }
        self.count.get()
    }

    /// Waits until the event loop, the worker and Python's main thread have done what they still had to do.
    pub(crate) async fn settle(&self) {
        self.on_loop.settle().await;
        self.expect(200, ask(self.text.clone(), get("/"))).await;
        let error = self
            .python
            .handler(format!("{}:missing", self.module))
            .unwrap_err();
        assert!(error.is_attribute_not_found());
    }

    async fn expect(&self, status: u16, call: impl Future<Output = Answer>) {
        self.count.set(self.count.get() + 1);
        let answer = call.await;
        assert_eq!(answer.status, status, "{answer:?}");
    }

    async fn answered(&self) {
        let target = "/serve/a%20name/%FF/%2F?twice=1&twice=%FF&flag&%C3%A9=+";
        for _ in 0..TIMES {
            let request = with_headers(post(target, &b"caf\xc3\xa9\xff\x00"[..]));
            self.expect(299, ask(self.routes.clone(), request)).await;
            self.expect(
                405,
                ask(
                    self.routes.clone(),
                    Request::delete("/serve/a/b").body(Body::empty()).unwrap(),
                ),
            )
            .await;
            self.expect(404, ask(self.routes.clone(), get("/nowhere")))
                .await;
            self.expect(200, ask(self.text.clone(), post("/", "a")))
                .await;
            for kind in 0..3 {
                self.expect(
                    200,
                    ask(
                        self.take_bytes.clone(),
                        post(&format!("/?kind={kind}"), "bytes"),
                    ),
                )
                .await;
            }
            for what in ["chain", "exit", "interrupt", "silent"] {
                self.expect(500, ask(self.raising.clone(), get(&format!("/{what}"))))
                    .await;
            }
        }
        // Long ones take other ways: ASCII, other text, what is no text.
        for unit in ["a", "\u{e9}"] {
            self.expect(
                200,
                ask(
                    self.text.clone(),
                    post("/", unit.repeat(100_000 / unit.len())),
                ),
            )
            .await;
        }
        self.expect(200, ask(self.text.clone(), post("/", vec![0xff; 100_000])))
            .await;
        self.expect(
            200,
            ask(
                self.take_bytes.clone(),
                post("/?kind=0", vec![0xff; 100_000]),
            ),
        )
        .await;
        let frames = stream::iter([
            Ok::<_, io::Error>(Bytes::from("abc")),
            Ok(Bytes::from("def")),
        ]);
        self.expect(
            200,
            ask(self.text.clone(), post("/", Body::from_stream(frames))),
        )
        .await;
    }

    /// Calls whose body is the reason why they never reach Python.
    async fn refused(&self) {
        for _ in 0..TIMES {
            self.expect(
                413,
                ask(self.text.clone(), post("/", vec![b'a'; LIMIT + 1])),
            )
            .await;
            let parts =
                [LIMIT, 1].map(|length| Ok::<_, io::Error>(Bytes::from(vec![b'a'; length])));
            self.expect(
                413,
                ask(
                    self.text.clone(),
                    post("/", Body::from_stream(stream::iter(parts))),
                ),
            )
            .await;
            let parts = [
                Ok(Bytes::from("abc")),
                Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            ];
            self.expect(
                400,
                ask(
                    self.text.clone(),
                    post("/", Body::from_stream(stream::iter(parts))),
                ),
            )
            .await;
            self.leave(ask(self.text.clone(), post("/", endless())))
                .await;
            tokio::time::pause();
            self.expect(408, ask(self.text.clone(), post("/", endless())))
                .await;
            tokio::time::resume();
        }
    }

    async fn vectors(&self) {
        for (service, method, fails) in &self.vectors {
            let request = Request::builder()
                .method(method.as_str())
                .uri("/")
                .body(Body::empty())
                .unwrap();
            self.count.set(self.count.get() + 1);
            let answer = ask(service.clone(), request).await;
            assert_eq!(answer.error.is_some(), *fails, "{answer:?}");
        }
    }

    /// Polls a call once, which pushes it, and drops it.
    async fn leave(&self, call: impl Future<Output = Answer>) {
        self.count.set(self.count.get() + 1);
        tokio::select! {
            biased;
            answer = call => panic!("nobody could have answered: {answer:?}"),
            () = ready(()) => {}
        }
    }

    /// Keeps the only worker busy until `Held` is dropped.
    async fn hold(&self, path: &str) -> (JoinHandle<Answer>, Held) {
        self.count.set(self.count.get() + 1);
        let request = post(
            &format!("{path}?gate={}", self.gate.port),
            vec![b'a'; LIMIT],
        );
        self.gate.hold(ask(self.hold.clone(), request)).await
    }

    /// What happens while the worker is busy: no room, no time, callers that go.
    async fn held(&self) {
        let (call, held) = self.hold("/").await;
        self.expect(503, ask(self.text.clone(), post("/", vec![b'a'; LIMIT])))
            .await;
        for _ in 1..QUEUE {
            self.leave(ask(self.text.clone(), post("/", "never taken")))
                .await;
        }
        // Behind those whose callers have left. What is sent ahead to a process gives its place to another, also later.
        let (mut last, mut refused) = (Vec::new(), 0);
        while refused < TIMES {
            let call = tokio::spawn(ask(self.text.clone(), get("/")));
            // It is refused at once, or waits.
            tokio::task::yield_now().await;
            if call.is_finished() {
                self.expect(503, async { call.await.unwrap() }).await;
                refused += 1;
            } else {
                last.push(call);
            }
        }
        drop(held);
        for last in last {
            self.expect(200, async { last.await.unwrap() }).await;
        }
        assert_eq!(call.await.unwrap().status, 200);

        for path in ["/", "/raise"] {
            let (call, held) = self.hold(path).await;
            call.abort();
            assert!(call.await.unwrap_err().is_cancelled());
            drop(held);
            self.expect(200, ask(self.text.clone(), get("/"))).await;
        }

        for path in ["/", "/raise"] {
            let (call, held) = self.hold(path).await;
            tokio::time::pause();
            self.count.set(self.count.get() + 1);
            let refused = ask(self.text.clone(), get("/")).await.status;
            // What is on its way to a process has to come back first, for which the time that is left out gives none.
            assert!(
                refused == 503 || executor::are_processes() && refused == 504,
                "{refused}"
            );
            assert_eq!(call.await.unwrap().status, 504);
            tokio::time::resume();
            drop(held);
            self.expect(200, ask(self.text.clone(), get("/"))).await;
        }
    }

    async fn streamed(&self) {
        for _ in 0..TIMES {
            for (path, complete) in [
                ("/", true),
                ("/events", true),
                ("/close", false),
                ("/int", false),
                ("/raise", false),
            ] {
                self.read(self.stream.clone(), get(path), complete).await;
            }
            for path in ["/count", "/echo", "/some"] {
                self.read(self.upload.clone(), post(path, "uploaded"), true)
                    .await;
            }
            let parts = [
                Ok(Bytes::from("abc")),
                Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            ];
            self.expect(
                400,
                ask(
                    self.upload.clone(),
                    post("/count", Body::from_stream(stream::iter(parts))),
                ),
            )
            .await;
            self.leave(ask(self.upload.clone(), post("/count", endless())))
                .await;
            // Left between two chunks.
            self.count.set(self.count.get() + 1);
            let Ok(response) = self.stream.clone().oneshot(get("/endless")).await;
            let mut body = response.into_body();
            body.frame().await.unwrap().unwrap();
        }
        // Left while Python is busy with a chunk.
        self.count.set(self.count.get() + 1);
        let Ok(response) = self
            .stream
            .clone()
            .oneshot(get(&format!("/hold?gate={}", self.gate.port)))
            .await;
        let held = self.gate.arrival().await;
        drop(response);
        drop(held);
    }

    /// Reads a body to its end, or until it breaks off.
    async fn read(&self, service: PyService, request: Request<Body>, complete: bool) {
        self.count.set(self.count.get() + 1);
        let Ok(response) = service.oneshot(request).await;
        assert_eq!(response.status(), 200);
        let read = response.into_body().collect().await;
        assert_eq!(read.is_ok(), complete, "{:?}", read.err());
    }

    async fn over_connections(&self) {
        let address = self.server.address;
        self.count.set(self.count.get() + 2);
        assert_eq!(
            exchange(address, &request("POST", "/text", &[], b"over TCP"))
                .await
                .text(),
            "over TCP"
        );
        let mut connection = Connection::open(address).await;
        connection
            .send(&request(
                "GET",
                &format!("/?gate={}", self.gate.port),
                &[],
                b"",
            ))
            .await;
        let held = self.gate.arrival().await;
        drop(connection);
        drop(held);
    }
}

/// Known and unknown names, repetitions, cookies, bytes above ASCII.
pub(crate) fn with_headers(mut request: Request<Body>) -> Request<Body> {
    let lines: [(&'static str, &'static [u8]); 8] = [
        ("host", b"example.org"),
        ("user-agent", b"leak"),
        ("accept", b"text/html"),
        ("accept", b"*/*"),
        ("cookie", b"a=1"),
        ("cookie", b"b=2"),
        ("x-unknown-name", b"caf\xe9"),
        ("content-type", b"text/plain"),
    ];
    for (name, value) in lines {
        request.headers_mut().append(
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value).unwrap(),
        );
    }
    request
}

fn endless() -> Body {
    Body::from_stream(stream::pending::<Result<Bytes, io::Error>>())
}

struct Discard;

impl MakeWriter<'_> for Discard {
    type Writer = io::Sink;

    fn make_writer(&self) -> io::Sink {
        io::sink()
    }
}
