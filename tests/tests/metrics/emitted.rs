//! Metrics: what is emitted is what the documents list, and what a scrape says is what the load was.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use axum::Router;
use httpy_tests::app::{Answer, App, ask, get, post};
use httpy_tests::executor::Options;
use httpy_tests::gate::Gate;
use httpy_tests::turn;
use metrics::{
    Counter, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKind;
use metrics_util::debugging::{DebuggingRecorder, Snapshotter};
use metrics_util::layers::FanoutBuilder;
use tokio::sync::watch;

/// Upper bounds, in seconds; the burners below are between the first two, between the next two, and so on.
const BUCKETS: [f64; 6] = [1e-4, 1e-3, 5e-3, 2e-2, 1e-1, 1e1];

const SOURCE: &str = "
import gc
from time import perf_counter

def init():
    return {'/ok': ['GET'], '/raise': ['GET'], '/wrong': ['GET'], '/burn/:ms': ['GET'], '/hold/:gate': ['GET'],
            '/collect': ['GET'], '/upload': ['POST']}

def handle(method, path, params, query, headers, body):
    if path == '/raise':
        raise ValueError('no')
    if path == '/wrong':
        return 200
    if path == '/collect':
        gc.collect()
    if 'gate' in params:
        pass_gate(params['gate'][0])
    begun = perf_counter()
    if 'ms' in params:
        while perf_counter() - begun < float(params['ms'][0]) / 1000:
            pass
    return 200, str(perf_counter() - begun), {}

async def later(method, path, params, query, headers, body):
    return 200, 'ok', {}
";

pub(super) struct Recorders {
    snapshotter: Snapshotter,
    /// One of its own for `wait`: a snapshot takes what it shows out of its recorder.
    pub(super) for_waits: Snapshotter,
    prometheus: PrometheusHandle,
    /// The names of gauges and histograms that were set, on what kind of thread.
    set: watch::Sender<BTreeSet<(String, bool)>>,
}

/// Installed once, before the first app.
pub(super) static RECORDERS: LazyLock<Recorders> = LazyLock::new(|| {
    let [debugging, for_waits] = [DebuggingRecorder::new(), DebuggingRecorder::new()];
    let prometheus = PrometheusBuilder::new()
        .set_buckets(&BUCKETS)
        .unwrap()
        .build_recorder();
    let recorders = Recorders {
        snapshotter: debugging.snapshotter(),
        for_waits: for_waits.snapshotter(),
        prometheus: prometheus.handle(),
        set: watch::Sender::new(BTreeSet::new()),
    };
    let bell = Bell(recorders.set.clone());
    let fanout = FanoutBuilder::default()
        .add_recorder(debugging)
        .add_recorder(for_waits)
        .add_recorder(prometheus)
        .add_recorder(bell)
        .build();
    metrics::set_global_recorder(fanout).unwrap_or_else(|_| panic!("there is a recorder already"));
    recorders
});

/// Says what was set.
struct Bell(watch::Sender<BTreeSet<(String, bool)>>);

struct Ringer(String, watch::Sender<BTreeSet<(String, bool)>>);

impl Ringer {
    fn ring(&self) {
        let attached = std::thread::current().name().is_some_and(|name| {
            [
                "httpy-worker",
                "httpy-loop",
                "httpy-main",
                "httpy-inspector",
            ]
            .iter()
            .any(|attached| name.starts_with(attached))
        });
        self.1
            .send_if_modified(|set| set.insert((self.0.clone(), attached)));
    }
}

impl GaugeFn for Ringer {
    fn increment(&self, _: f64) {}
    fn decrement(&self, _: f64) {}
    fn set(&self, _: f64) {
        self.ring();
    }
}

impl HistogramFn for Ringer {
    fn record(&self, _: f64) {
        self.ring();
    }
}

impl Recorder for Bell {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Ringer(key.name().to_owned(), self.0.clone())))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Ringer(key.name().to_owned(), self.0.clone())))
    }
}

/// Waits until a gauge or histogram was set.
async fn until_set(name: &str) {
    let mut receiver = RECORDERS.set.subscribe();
    receiver
        .wait_for(|set| set.iter().any(|(set, _)| set == name))
        .await
        .unwrap();
}

/// Kind, unit and labels by name.
type Table = BTreeMap<String, (String, String, BTreeSet<String>)>;

fn documented() -> (Table, BTreeMap<String, String>) {
    let (mut table, mut texts) = (Table::new(), BTreeMap::new());
    for line in include_str!("../../../docs/metrics.md")
        .lines()
        .filter(|line| line.starts_with("| `httpy_"))
    {
        let cells: Vec<String> = line
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.replace('`', "").trim().to_owned())
            .collect();
        let [name, kind, unit, labels, text] = &cells[..] else {
            panic!("{line}")
        };
        let labels = labels
            .split(", ")
            .filter(|label| !label.is_empty())
            .map(str::to_owned)
            .collect();
        table.insert(name.clone(), (kind.clone(), unit.clone(), labels));
        texts.insert(name.clone(), text.clone());
    }
    (table, texts)
}

fn emitted() -> (Table, BTreeMap<String, String>) {
    let (mut table, mut texts) = (Table::new(), BTreeMap::new());
    for (key, unit, text, _) in RECORDERS.snapshotter.snapshot().into_vec() {
        let kind = match key.kind() {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let labels = key
            .key()
            .labels()
            .map(|label| label.key().to_owned())
            .collect();
        let unit = unit.map_or_else(String::new, |unit| unit.as_str().to_owned());
        let name = key.key().name().to_owned();
        texts.insert(name.clone(), text.unwrap_or_default().into_owned());
        table.insert(name, (kind.to_owned(), unit, labels));
    }
    (table, texts)
}

fn app() -> App {
    let _installed = &*RECORDERS;
    App::with(&format!("{}{SOURCE}", Gate::SOURCE), |builder| {
        builder.at_once(1)
    })
}

#[tokio::test]
async fn what_is_emitted_is_what_the_documents_list() {
    let _alone = turn::take().await;
    let app = app();
    let router: Router = app.routes().router().unwrap();
    ask(app.handler("later"), get("/")).await;
    // The collector's runs are noted from the first question on.
    until_set("httpy_python_allocated_blocks").await;
    ask(router, get("/collect")).await;
    let (documented, texts) = documented();
    assert_eq!(documented.len(), 12);
    for (name, (kind, ..)) in &documented {
        if kind != "counter" {
            until_set(name).await;
        }
    }
    assert_eq!(emitted(), (documented, texts));
    let attached: Vec<String> = RECORDERS
        .set
        .borrow()
        .iter()
        .filter(|(_, attached)| *attached)
        .map(|(name, _)| name.clone())
        .collect();
    assert_eq!(
        attached,
        Vec::<String>::new(),
        "set on a thread that is attached"
    );
}

/// A scrape: the value of each line of one app.
struct Scrape {
    target: String,
    text: String,
}

impl Scrape {
    fn now(app: &App) -> Self {
        Self {
            target: app.target("handle"),
            text: RECORDERS.prometheus.render(),
        }
    }

    /// The value of a metric with these labels; zero where it is not there.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let target = ("target", self.target.as_str());
        let wanted: Vec<String> = labels
            .iter()
            .chain([&target])
            .map(|(key, value)| format!("{key}=\"{value}\""))
            .collect();
        let line = self.text.lines().find(|line| {
            line.strip_prefix(name).is_some_and(|rest| {
                rest.starts_with('{') && wanted.iter().all(|label| rest.contains(label))
            })
        });
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    fn calls(&self, route: &str, outcome: &str) -> u64 {
        self.value(
            "httpy_calls_total",
            &[("route", route), ("outcome", outcome)],
        )
    }
}

async fn timed(router: &Router, target: &str) -> (f64, Answer) {
    let begun = Instant::now();
    let answer = ask(router.clone(), get(target)).await;
    (begun.elapsed().as_secs_f64(), answer)
}

#[tokio::test]
async fn a_scrape_counts_a_mixed_load_exactly_and_has_its_percentiles_in_their_buckets() {
    let _alone = turn::take().await;
    let (app, gate) = (app(), Gate::new().await);
    let router: Router = app.routes().router().unwrap();
    // What each handler says that it took, and what its client saw: what is recorded lies between the two.
    let (mut at_least, mut at_most) = (Vec::new(), Vec::new());
    for ms in [0.5, 0.5, 2.0, 2.0, 2.0, 8.0, 8.0, 8.0, 30.0, 30.0] {
        let (seen, answer) = timed(&router, &format!("/burn/{ms}")).await;
        at_least.push(answer.text().parse::<f64>().unwrap());
        at_most.push(seen);
    }
    for (target, count) in [("/ok", 40), ("/raise", 7), ("/wrong", 3)] {
        for _ in 0..count {
            ask(router.clone(), get(target)).await;
        }
    }
    let fallback = app.routes().fallback().unwrap();
    for _ in 0..4 {
        ask(fallback.clone(), get("/nowhere")).await;
    }
    let full = app.routes().fallback().unwrap().with_limit(0);
    for _ in 0..5 {
        ask(full.clone(), get("/ok")).await;
    }
    let small = app.routes().fallback().unwrap().with_body_limit(3);
    for _ in 0..6 {
        ask(small.clone(), post("/upload", "much too long")).await;
    }
    // One that runs and whose client goes, and one that waits behind it.
    let held = format!("/hold/{}", gate.port);
    let (service, request) = (router.clone(), get(&held));
    let (running, holds) = gate.hold(async move { ask(service, request).await }).await;
    let service = router.clone();
    let waiting = tokio::spawn(async move { ask(service, get("/ok")).await });
    while app.python.snapshot().waiting == 0 {
        tokio::task::yield_now().await;
    }
    for call in [waiting, running] {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    drop(holds);
    // One that is answered at its deadline.
    let late = app
        .routes()
        .fallback()
        .unwrap()
        .with_deadline(Duration::from_millis(200));
    let (service, request) = (late, get(&held));
    let (late, holds) = gate.hold(async move { ask(service, request).await }).await;
    assert_eq!(late.await.unwrap().status, 504);
    drop(holds);

    let scrape = Scrape::now(&app);
    for (route, outcome, count) in [
        ("/burn/{ms}", "ok", 10),
        ("/ok", "ok", 40),
        ("/raise", "exception", 7),
        ("/wrong", "contract", 3),
        ("", "not_found", 4),
        ("/ok", "overloaded", 5),
        ("/upload", "body", 6),
        ("/ok", "abandoned", 1),
        ("/hold/{gate}", "gone", 1),
        ("/hold/{gate}", "deadline", 1),
        ("/hold/{gate}", "ok", 0),
        ("/raise", "ok", 0),
    ] {
        assert_eq!(
            scrape.calls(route, outcome),
            count,
            "{route:?} {outcome}\n{}",
            scrape.text
        );
    }
    for (route, waits, runs) in [
        ("/burn/{ms}", 10, 10),
        ("/ok", 41, 40),
        ("/raise", 7, 7),
        ("/upload", 0, 0),
    ] {
        for (name, count) in [
            ("httpy_queue_wait_seconds_count", waits),
            ("httpy_call_seconds_count", waits),
            ("httpy_attach_wait_seconds_count", runs),
            ("httpy_conversion_seconds_count", runs),
            ("httpy_run_seconds_count", runs),
        ] {
            assert_eq!(
                scrape.value(name, &[("route", route)]),
                count,
                "{name} {route}"
            );
        }
    }
    let up_to =
        |values: &[f64], bound: f64| values.iter().filter(|value| **value <= bound).count() as u64;
    for bound in BUCKETS {
        let labels = [("route", "/burn/{ms}"), ("le", &*bound.to_string())];
        for name in ["httpy_run_seconds_bucket", "httpy_call_seconds_bucket"] {
            let counted = scrape.value(name, &labels);
            let (least, most) = (up_to(&at_most, bound), up_to(&at_least, bound));
            assert!(
                (least..=most).contains(&counted),
                "{name} {bound}: {least} <= {counted} <= {most}"
            );
        }
    }
}
