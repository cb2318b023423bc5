//! A burner, a sleeper, slow handlers and an overload: each is told from the others by the snapshot, by the metrics, and by
//! the spans.
//!
//! A scene is held for longer and longer until all three name its wait: of the waits only that one grows with the scene, so
//! that a busy machine cannot make another one look longer for ever.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::future::pending;
use std::sync::{Barrier, LazyLock};
use std::time::Duration;

use super::emitted::RECORDERS;
use httpy::{Ending, PyService};
use httpy_tests::app::Builder;
use httpy_tests::app::{Answer, App, ask, get};
use httpy_tests::executor::{self, OfThreads, Options};
use httpy_tests::gate::{Gate, Held};
use httpy_tests::{span, turn};
use metrics_util::debugging::DebugValue;
use tokio::task::{JoinHandle, spawn_blocking, yield_now};
use tokio::time::timeout;

/// More than those that are in their way: so half of all calls are of this kind.
const CALLS: usize = 5;
/// A scene is held for so long at most, and at first for the 64th part of it.
const LONGEST: Duration = Duration::from_secs(6);

const SOURCE: &str = "
import ctypes

def handle(method, path, params, query, headers, body):
    if path == '/attached':
        ctypes.PYFUNCTYPE(None)(int(query['function'][0]))()
    if path == '/gate':
        pass_gate(query['gate'][0])
    return 200, 'ok', {}

def quick(method, path, params, query, headers, body):
    if path == '/gate':
        pass_gate(query['gate'][0])
    return 200, 'ok', {}

async def block(method, path, params, query, headers, body):
    pass_gate(query['gate'][0])
    return 200, 'ok', {}

async def quick_later(method, path, params, query, headers, body):
    return 200, 'ok', {}
";

/// A handler that computes, as others see it: it has the interpreter and does not give it up.
extern "C" fn wait_attached() {
    ATTACHED.wait();
    ATTACHED.wait();
}

static ATTACHED: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));

/// How long half of the calls waited for a worker, for the interpreter, and ran, at most; in seconds.
type Parts = [f64; 3];

/// The numbers of [`Parts`].
const QUEUE: usize = 0;
const ATTACH: usize = 1;
const RUN: usize = 2;

struct Scene {
    app: App,
    /// The handlers, loaded before the interpreter is held.
    handlers: [PyService; 4],
    gate: Gate,
    held_for: Duration,
}

const HANDLERS: [&str; 4] = ["handle", "quick", "block", "quick_later"];

impl Scene {
    fn begin(&self, handler: &str, target: &str) -> JoinHandle<Answer> {
        let number = HANDLERS.iter().position(|name| *name == handler).unwrap();
        tokio::spawn(ask(self.handlers[number].clone(), get(target)))
    }

    /// Begins a call that is in the way of others, and waits until it is at the gate.
    async fn begin_at_gate(&self, handler: &str) -> (JoinHandle<Answer>, Held) {
        let call = self.begin(handler, &self.at_gate());
        (call, self.gate.arrival().await)
    }

    /// The calls that are looked at.
    async fn begin_all(&self, handler: &str, target: &str) -> Vec<JoinHandle<Answer>> {
        let calls = (0..CALLS).map(|_| self.begin(handler, target)).collect();
        yield_now().await;
        calls
    }

    fn at_gate(&self) -> String {
        format!("/gate?gate={}", self.gate.port)
    }

    /// Lets the scene go on as it is.
    async fn hold(&self) {
        drop(timeout(self.held_for, pending::<()>()).await);
    }

    /// What each of the three says of the calls of this handler, where `all` calls have ended.
    async fn figures(&self, handler: &str, all: usize) -> [(&'static str, Parts); 3] {
        let target = self.app.target(handler);
        let recent = loop {
            let recent = self.app.python.snapshot().recent;
            if recent.count == all as u64 {
                break recent;
            }
            // Not before the second is over in which they ended.
            yield_now().await;
        };
        let names = [
            "httpy_queue_wait_seconds",
            "httpy_attach_wait_seconds",
            "httpy_run_seconds",
        ];
        let metrics = RECORDERS.for_waits.snapshot().into_vec();
        let values = |name| -> Vec<f64> {
            let is_it = |key: &metrics::Key| {
                key.name() == name
                    && key
                        .labels()
                        .any(|label| label.key() == "target" && label.value() == target)
            };
            let of_key = metrics
                .iter()
                .find(|(key, ..)| is_it(key.key()))
                .map(|(.., value)| value);
            let Some(DebugValue::Histogram(values)) = of_key else {
                panic!("no {name} of {target}")
            };
            values.iter().map(|value| value.into_inner()).collect()
        };
        let spans = span::of(&target, CALLS).await;
        let fields = ["httpy.queue_wait", "httpy.attach_wait", "httpy.run"];
        [
            (
                "snapshot",
                [recent.queue, recent.attach, recent.run].map(|part| f64::from(part[0]) / 1e6),
            ),
            ("metrics", names.map(|name| median(values(name)))),
            (
                "spans",
                fields.map(|field| median(spans.iter().map(|span| span.seconds(field)).collect())),
            ),
        ]
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    assert_eq!(values.len(), CALLS);
    values.sort_by(f64::total_cmp);
    values[CALLS / 2]
}

/// Holds a scene until all say that this is where its calls spend most of their time.
async fn expect<F>(part: usize, options: impl Fn(Builder) -> Builder, scene: F)
where
    F: AsyncFn(&Scene) -> [(&'static str, Parts); 3],
{
    let _alone = turn::take().await;
    let _installed = &*RECORDERS;
    let mut held_for = LONGEST / 64;
    loop {
        let app = App::with(&format!("{}{SOURCE}", Gate::SOURCE), &options);
        // From the first look on the recorder wants to know.
        app.python.snapshot();
        let handlers = HANDLERS.map(|name| app.handler(name));
        let seen = scene(&Scene {
            app,
            handlers,
            gate: Gate::new().await,
            held_for,
        })
        .await;
        let names_it =
            |parts: &Parts| (0..3).all(|other| other == part || parts[part] > 3.0 * parts[other]);
        if seen.iter().all(|(_, parts)| names_it(parts)) {
            return;
        }
        assert!(held_for < LONGEST, "held for {held_for:?}: {seen:?}");
        held_for *= 2;
    }
}

async fn end(calls: Vec<JoinHandle<Answer>>) {
    for call in calls {
        assert_eq!(call.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn beside_a_burner_calls_wait_for_the_interpreter() {
    if executor::lacks(OfThreads::AttachWait) {
        return;
    }
    expect(
        ATTACH,
        |builder| builder.workers(1..=4),
        async |scene| {
            let function = format!(
                "/attached?function={}",
                wait_attached as extern "C" fn() as usize
            );
            let burner = scene.begin("handle", &function);
            spawn_blocking(|| ATTACHED.wait()).await.unwrap();
            let calls = scene.begin_all("quick", "/").await;
            scene.hold().await;
            spawn_blocking(|| ATTACHED.wait()).await.unwrap();
            end(calls).await;
            end(vec![burner]).await;
            scene.figures("quick", CALLS + 1).await
        },
    )
    .await;
}

#[tokio::test]
async fn behind_as_many_sleepers_as_there_are_workers_calls_wait_for_a_worker() {
    expect(
        QUEUE,
        |builder| builder.at_once(2),
        async |scene| {
            let sleepers = [
                scene.begin_at_gate("handle").await,
                scene.begin_at_gate("handle").await,
            ];
            let calls = scene.begin_all("quick", "/").await;
            scene.hold().await;
            for (call, held) in sleepers {
                drop(held);
                end(vec![call]).await;
            }
            end(calls).await;
            scene.figures("quick", CALLS + 2).await
        },
    )
    .await;
}

#[tokio::test]
async fn behind_a_blocked_event_loop_async_calls_wait_for_it() {
    expect(
        QUEUE,
        |builder| builder,
        async |scene| {
            let (blocking, held) = scene.begin_at_gate("block").await;
            let calls = scene.begin_all("quick_later", "/").await;
            scene.hold().await;
            drop(held);
            end(vec![blocking]).await;
            end(calls).await;
            scene.figures("quick_later", CALLS + 1).await
        },
    )
    .await;
}

#[tokio::test]
async fn slow_handlers_with_a_worker_each_spend_their_time_running() {
    expect(
        RUN,
        |builder| builder.at_once(8),
        async |scene| {
            let calls = scene.begin_all("quick", &scene.at_gate()).await;
            let mut held = Vec::new();
            for _ in 0..CALLS {
                held.push(scene.gate.arrival().await);
            }
            scene.hold().await;
            drop(held);
            end(calls).await;
            scene.figures("quick", CALLS).await
        },
    )
    .await;
}

#[tokio::test]
async fn what_an_overload_refuses_is_counted_as_that_and_has_waited_for_nothing() {
    let _alone = turn::take().await;
    let _installed = &*RECORDERS;
    let app = App::with(&format!("{}{SOURCE}", Gate::SOURCE), |builder| {
        builder.at_once(1).queue(2)
    });
    let (quick, gate) = (app.handler("quick"), Gate::new().await);
    let running = get(&format!("/gate?gate={}", gate.port));
    let (running, held) = gate.hold(ask(app.service(), running)).await;
    let waiting = [(); 2].map(|()| tokio::spawn(ask(quick.clone(), get("/"))));
    while app.python.snapshot().waiting < 2 {
        yield_now().await;
    }
    for _ in 0..CALLS {
        assert_eq!(ask(quick.clone(), get("/")).await.status, 503);
    }
    let snapshot = app.python.snapshot();
    assert_eq!((snapshot.calls.overloaded, snapshot.calls.ok), (5, 0));
    assert_eq!(
        (
            snapshot.history.count.iter().sum::<u32>(),
            snapshot.history.failed.iter().sum::<u32>()
        ),
        (5, 5)
    );
    assert!(
        snapshot.history.total.p99.iter().all(|micros| *micros == 0),
        "what is refused hides how long others take"
    );
    assert_eq!(
        (snapshot.failed[0].ending, snapshot.failed[0].times),
        (Ending::Overloaded, 5)
    );

    let target = app.target("quick");
    let (mut refused, mut times) = (0, 0);
    for (key, .., value) in RECORDERS.for_waits.snapshot().into_vec() {
        let has = |name: &str, value: &str| {
            key.key()
                .labels()
                .any(|label| label.key() == name && label.value() == value)
        };
        match value {
            DebugValue::Counter(count)
                if has("target", &target) && has("outcome", "overloaded") =>
            {
                refused += count;
            }
            DebugValue::Histogram(values) if has("target", &target) => times += values.len(),
            _ => {}
        }
    }
    assert_eq!((refused, times), (5, 0));
    for span in span::of(&target, CALLS).await {
        assert_eq!(
            (span.field("error.type"), span.field("httpy.queue_wait")),
            ("overloaded", ""),
            "{span:?}"
        );
    }
    drop(held);
    end(vec![running]).await;
    end(waiting.into()).await;
}
