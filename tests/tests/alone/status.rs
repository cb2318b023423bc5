//! What an app shows of itself: the snapshot, the stacks, and the page over them.

use std::future::poll_fn;
use std::sync::{Barrier, LazyLock};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use httpy::{Ending, NotReady, RecordedCall, Stacks, Worker, WorkerState};
use httpy_tests::app::Builder;
use httpy_tests::app::{Answer, App, ask, get, post};
use httpy_tests::executor::{self, OfThreads, Options};
use httpy_tests::gate::{Gate, Held};
use httpy_tests::turn;
use serde_json::Value;
use tokio::task::{JoinHandle, spawn_blocking};

const SCRIPT: &str = "<script>alert(1)</script>";

const SOURCE: &str = "
import base64, ctypes, hashlib

def init():
    return {'/ok': ['GET', 'POST'], '/raise': ['GET'], '/wrong': ['GET'], '/own': ['GET'], '/hold/:gate': ['GET'],
            '/digest': ['POST'], '/attached': ['GET'], '/seen/*rest': ['GET']}

def handle(method, path, params, query, headers, body: bytes):
    if path == '/raise':
        raise ValueError(query['text'][0])
    if path == '/wrong':
        return 200
    if path == '/own':
        return 502, 'somebody else is down', None
    if path == '/digest':
        return 200, base64.b64encode(hashlib.sha256(body).digest()), None
    if path == '/attached':
        ctypes.PYFUNCTYPE(None)(int(query['function'][0]))()
    if path.startswith('/hold/'):
        pass_gate(params['gate'][0])
    if 'gate' in query:
        pass_gate(query['gate'][0])
    return 200, 'ok', None
";

struct Turn {
    app: App,
    router: Router,
    gate: Gate,
    _alone: turn::Turn,
}

impl Turn {
    async fn begin(options: impl FnOnce(Builder) -> Builder) -> Self {
        let alone = turn::take().await;
        let app = App::with(&format!("{}{SOURCE}", Gate::SOURCE), |builder| {
            options(builder.at_once(1).slow_call(Duration::from_secs(1)))
        });
        let routes = app
            .routes()
            .router()
            .unwrap_or_else(|error| panic!("{error:?}"));
        let router = routes.nest_service("/status", app.python.status_page());
        Self {
            app,
            router,
            gate: Gate::new().await,
            _alone: alone,
        }
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        ask(self.router.clone(), request).await
    }

    /// Begins a call, which is at the gate now.
    async fn hold(&self, target: &str) -> (JoinHandle<Answer>, Held) {
        self.gate.hold(ask(self.router.clone(), get(target))).await
    }

    async fn json(&self, target: &str) -> Value {
        let answer = self.ask(get(target)).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "application/json")
        );
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The snapshot with stacks, asked for until the interpreter was to be had in time: this machine may be busy.
    async fn stacks(&self) -> Value {
        loop {
            let data = self.json("/status/stacks.json").await;
            if data["stacks"] == "read" {
                return data;
            }
        }
    }

    /// The worker that is in a call; there is one.
    fn busy(&self) -> Worker {
        let each = self.app.python.snapshot().workers.each;
        let busy = each.into_iter().find(|worker| worker.call.is_some());
        busy.unwrap_or_else(|| panic!("no worker is in a call"))
    }
}

fn with_gate(turn: &Turn, path: &str) -> String {
    format!("{path}?gate={}", turn.gate.port)
}

#[tokio::test]
async fn each_call_is_recorded_by_how_it_ended() {
    let turn = Turn::begin(|builder| builder.body_limit(4)).await;
    for (request, status) in [
        (get("/ok"), 200),
        (get("/ok"), 200),
        (get("/own"), 502),
        (get("/raise?text=boom"), 500),
        (get("/raise?text=boom"), 500),
        (get("/wrong"), 500),
        (post("/ok", "too long"), 413),
    ] {
        assert_eq!(turn.ask(request).await.status, status);
    }
    let snapshot = turn.app.python.snapshot();
    let calls = &snapshot.calls;
    assert_eq!(
        (calls.ok, calls.exception, calls.contract, calls.body),
        (3, 2, 1, 1)
    );
    assert_eq!(
        (
            calls.deadline,
            calls.overloaded,
            calls.abandoned,
            calls.internal
        ),
        (0, 0, 0, 0)
    );
    assert_eq!(snapshot.history.count.iter().sum::<u32>(), 7);
    assert_eq!(snapshot.history.failed.iter().sum::<u32>(), 5);
    assert_eq!(snapshot.history.count.len(), snapshot.history.run.p99.len());

    let target = turn.app.target("handle");
    let found = |ending| -> RecordedCall {
        let mut calls = snapshot.failed.iter().filter(|call| call.ending == ending);
        let call = calls
            .next()
            .unwrap_or_else(|| panic!("{:?}", snapshot.failed))
            .clone();
        assert!(
            calls.next().is_none() && call.target == target,
            "{:?}",
            snapshot.failed
        );
        call
    };
    let raised = found(Ending::Exception);
    let shown = (
        raised.times,
        raised.method.as_deref(),
        raised.route.as_deref(),
        raised.status,
    );
    assert_eq!(shown, (2, Some("GET"), Some("/raise"), 500));
    assert_eq!(
        raised.message,
        Some(format!("{target} raised ValueError: boom"))
    );
    assert!(raised.total > Duration::ZERO);
    let own = found(Ending::Ok);
    assert_eq!(
        (own.status, own.message.as_deref()),
        (502, None),
        "what the handler answers by itself"
    );
    let body = found(Ending::Body);
    assert_eq!(
        (body.status, body.method.as_deref()),
        (413, Some("POST")),
        "refused for its length"
    );
    assert!(found(Ending::Contract).message.is_some());
    assert!(snapshot.slow.is_empty());
}

#[tokio::test]
async fn a_call_that_ran_out_of_time_is_slow_and_tells_whether_it_waited_or_ran() {
    let turn = Turn::begin(|builder| builder).await;
    let (running, held) = turn.hold(&with_gate(&turn, "/ok")).await;
    tokio::time::pause();
    let waiting = turn.ask(get("/own")).await;
    let running = running.await.unwrap();
    tokio::time::resume();
    assert_eq!((waiting.status, running.status), (503, 504));
    let slow = turn.app.python.snapshot().slow;
    let of = |ending| {
        slow.iter()
            .find(|call| call.ending == ending)
            .unwrap_or_else(|| panic!("{slow:?}"))
    };
    let (waiting, running) = (of(Ending::Overloaded), of(Ending::Deadline));
    assert!(
        waiting.total >= Duration::from_secs(3600) && waiting.queue == waiting.total,
        "{waiting:?}"
    );
    assert!(running.total >= Duration::from_secs(3600), "{running:?}");
    assert_eq!(
        (waiting.route.as_deref(), running.route.as_deref()),
        (Some("/own"), Some("/ok"))
    );
    drop(held);
}

#[tokio::test]
async fn a_worker_shows_its_call_until_that_has_ended() {
    let turn = Turn::begin(|builder| builder).await;
    let (call, held) = turn.hold(&with_gate(&turn, "/seen/a%20b")).await;
    let worker = turn.busy();
    assert!(
        matches!(
            worker.state,
            WorkerState::Lead | WorkerState::Working | WorkerState::Computing
        ),
        "{worker:?}"
    );
    let kind = if executor::are_processes() {
        "process"
    } else {
        "worker"
    };
    assert_eq!(
        (worker.name, worker.stack),
        (format!("httpy-{kind}-{}", worker.number), None)
    );
    let current = worker.call.unwrap();
    assert_eq!(
        (current.target, current.method.as_str()),
        (turn.app.target("handle"), "GET")
    );
    assert_eq!(
        (current.route.as_deref(), current.path.as_str()),
        (Some("/seen/{*rest}"), "/seen/a b")
    );
    assert_eq!(
        (current.limit, current.gone),
        (Duration::from_secs(3600), false)
    );
    drop(held);
    assert_eq!(call.await.unwrap().status, 200);
    let after = turn.app.python.snapshot().workers.each;
    assert!(
        after.iter().all(|worker| worker.call.is_none()),
        "{after:?}"
    );
}

#[tokio::test]
async fn stacks_are_read_of_calls_while_they_run() {
    let turn = Turn::begin(|builder| builder).await;
    let (_call, _held) = turn.hold(&with_gate(&turn, "/ok")).await;
    let stacks = turn.stacks().await;
    let workers = stacks["workers"]["each"].as_array().unwrap();
    let stack = workers
        .iter()
        .find_map(|worker| worker["stack"].as_str())
        .unwrap();
    assert!(
        stack.contains("in handle\n") && stack.contains("in pass_gate\n"),
        "{stack}"
    );
    assert_eq!(turn.app.python.snapshot().stacks, Stacks::NotAsked);
}

/// What C code that forgot to detach does: it waits, and the interpreter with it, from inside of one call.
extern "C" fn wait_attached() {
    ATTACHED.wait();
    ATTACHED.wait();
}

static ATTACHED: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));

#[tokio::test]
async fn while_c_code_holds_the_interpreter_everything_is_answered_but_the_stacks() {
    if executor::lacks(OfThreads::HeldInterpreter) {
        return;
    }
    let turn = Turn::begin(|builder| builder).await;
    let function = format!(
        "/attached?function={}",
        wait_attached as extern "C" fn() as usize
    );
    let held = tokio::spawn(ask(turn.router.clone(), get(&function)));
    spawn_blocking(|| ATTACHED.wait()).await.unwrap();
    let mut waiting = Box::pin(turn.ask(get("/ok")));
    assert!(
        poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context)))
            .await
            .is_pending()
    );

    assert_eq!(
        turn.busy().call.unwrap().route.as_deref(),
        Some("/attached")
    );
    let data = turn.json("/status/data.json").await;
    assert_eq!(
        (&data["waiting"], &data["workers"]["jobs"]),
        (&1.into(), &1.into())
    );
    assert_eq!(turn.ask(get("/status")).await.status, 200);
    // However often they are asked for.
    for _ in 0..3 {
        let stacks = turn.json("/status/stacks.json").await;
        assert_eq!(stacks["stacks"], "held");
    }

    spawn_blocking(|| ATTACHED.wait()).await.unwrap();
    assert_eq!(
        (held.await.unwrap().status, waiting.await.status),
        (200, 200)
    );
    turn.stacks().await;
}

#[tokio::test]
async fn the_page_runs_its_own_script_and_nothing_else() {
    let turn = Turn::begin(|builder| builder).await;
    let answer = turn.ask(get("/status")).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let policy = answer.header("content-security-policy").to_owned();
    assert!(
        policy.starts_with("default-src 'none'; connect-src 'self'; "),
        "{policy}"
    );
    let page = answer.text();
    for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
        let (before, rest) = page.split_once(&format!("<{tag}>")).unwrap();
        let (text, after) = rest.split_once(&format!("</{tag}>")).unwrap();
        assert!(
            !before.contains(&format!("<{tag}")) && !after.contains(&format!("<{tag}")),
            "one {tag}"
        );
        let digest = turn.ask(post("/digest", text.to_owned())).await.text();
        assert!(
            policy.contains(&format!("{directive} 'sha256-{digest}'")),
            "{directive} has to be 'sha256-{digest}'"
        );
    }
    let unsafe_ways = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "http://",
        "https://",
    ];
    let found: Vec<_> = unsafe_ways
        .into_iter()
        .filter(|way| page.replace("http://www.w3.org/2000/svg", "").contains(way))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn what_comes_from_outside_is_data_and_never_markup() {
    let turn = Turn::begin(|builder| builder).await;
    let encoded = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    assert_eq!(
        turn.ask(get(&format!("/raise?text={encoded}")))
            .await
            .status,
        500
    );
    let (_call, _held) = turn
        .hold(&with_gate(&turn, &format!("/seen/{encoded}")))
        .await;
    let answer = turn.ask(get("/status/data.json")).await;
    assert_eq!(
        (
            answer.header("content-type"),
            answer.header("x-content-type-options")
        ),
        ("application/json", "nosniff")
    );
    let data: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(
        data["failed"][0]["message"]
            .as_str()
            .unwrap()
            .ends_with(SCRIPT),
        "{data}"
    );
    let workers = data["workers"]["each"].as_array().unwrap();
    let path = workers
        .iter()
        .find_map(|worker| worker["call"]["path"].as_str())
        .unwrap();
    assert_eq!(path, format!("/seen/{SCRIPT}"));
    // The page is the same whatever was asked.
    assert!(
        !turn
            .ask(get(&format!("/status/{encoded}")))
            .await
            .text()
            .contains(SCRIPT)
    );
}

#[tokio::test]
async fn the_page_is_found_below_any_prefix_by_get_and_head() {
    let turn = Turn::begin(|builder| builder).await;
    let page = turn.app.python.status_page();
    let router = Router::new()
        .nest("/a", Router::new().nest_service("/b", page.clone()))
        .route_service("/c", page);
    for target in ["/a/b", "/a/b/", "/c"] {
        let answer = ask(router.clone(), get(target)).await;
        assert!(
            answer.status == 200 && answer.text().starts_with("<!doctype html>"),
            "{target}: {answer:?}"
        );
    }
    for (method, target, status) in [
        ("HEAD", "/a/b/", 200),
        ("HEAD", "/a/b/data.json", 200),
        ("HEAD", "/a/b/stacks.json", 200),
        ("GET", "/a/b/favicon.ico", 404),
        ("POST", "/a/b/data.json", 405),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .body(Body::empty())
            .unwrap();
        let answer = ask(router.clone(), request).await;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (status, "no-store"),
            "{method} {target}"
        );
        assert_eq!(
            answer.body.is_empty(),
            method == "HEAD",
            "{method} {target}"
        );
        assert!(answer.header("content-length") != "0");
    }
}

#[tokio::test]
async fn a_snapshot_tells_what_runs_here_in_numbers() {
    let turn = Turn::begin(|builder| builder.queue(7).body_budget(1 << 22)).await;
    let data = turn.json("/status/data.json").await;
    assert_eq!(
        (&data["queue"], &data["body_budget"], &data["slow_after"]),
        (&7.into(), &(1 << 22).into(), &1.0.into())
    );
    assert_eq!(data["engine"], "python");
    assert_eq!(data["targets"][0], turn.app.target("handle"));
    let versions = &data["versions"];
    assert_eq!(
        (&versions["gil"], &versions["switch_interval"]),
        (&true.into(), &executor::switch_interval().into())
    );
    assert!(
        data["versions"]["python"]
            .as_str()
            .unwrap()
            .starts_with("3."),
        "{data}"
    );
    assert!(data["time"].as_f64().unwrap() > data["uptime"].as_f64().unwrap());
    assert_eq!(
        (&data["not_ready"], &data["workers"]["max"]),
        (&Value::Array(Vec::new()), &1.into())
    );
    turn.app
        .python
        .stop_on(std::future::ready(()), Duration::from_secs(10))
        .await;
    let snapshot = turn.app.python.snapshot();
    assert_eq!(snapshot.not_ready, [NotReady::ShuttingDown]);
}
