//! What workers print comes to the host's log, and never holds them or the host up.

use std::sync::LazyLock;

use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::stage::{Stage, soon};

/// Level, worker and text of each line with a mark, since lines of all tests come here.
static LINES: LazyLock<watch::Sender<Vec<(Level, String, String)>>> = LazyLock::new(|| {
    let subscriber = tracing_subscriber::registry().with(Keep);
    tracing::subscriber::set_global_default(subscriber)
        .expect("the process has a subscriber already");
    watch::Sender::new(Vec::new())
});

struct Keep;

#[derive(Default)]
struct Fields {
    worker: String,
    message: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "worker" {
            value.clone_into(&mut self.worker);
        }
    }
}

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "httpy::process" {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        assert!(
            !fields.message.contains("panics"),
            "a subscriber that panics"
        );
        let line = (*event.metadata().level(), fields.worker, fields.message);
        LINES.send_modify(|lines| lines.push(line));
    }
}

/// All lines with `mark` in them, once there is one with `last` too.
async fn lines(mark: &str, last: &str) -> Vec<(Level, String, String)> {
    let mut lines = LINES.subscribe();
    let is_last = |line: &(Level, String, String)| line.2.contains(mark) && line.2.contains(last);
    let lines = soon(lines.wait_for(|lines| lines.iter().any(is_last)))
        .await
        .unwrap();
    lines
        .iter()
        .filter(|line| line.2.contains(mark))
        .cloned()
        .collect()
}

#[tokio::test]
async fn both_streams_come_line_by_line_with_the_workers_name() {
    LazyLock::force(&LINES);
    let mut stage = Stage::scripted(
        "print('amber', 1); begin(); sys.stderr.write('amber 2'); sys.stderr.write(' still\\n'); serve()",
    );
    stage.added().await;
    let mut lines = lines("amber", "still").await;
    lines.sort_by(|one, other| one.2.cmp(&other.2));
    let line = |level, text: &str| (level, "httpy-process-1".to_owned(), text.to_owned());
    assert_eq!(
        lines,
        [
            line(Level::INFO, "amber 1"),
            line(Level::WARN, "amber 2 still")
        ]
    );
}

#[tokio::test]
async fn a_worker_that_prints_a_lot_before_it_is_ready_gets_ready() {
    LazyLock::force(&LINES);
    let mut stage = Stage::scripted("for n in range(20_000): print('basalt', n)\nbegin(); serve()");
    stage.added().await;
    let lines = lines("basalt", "19999").await;
    assert_eq!(lines.len(), 20_000);
    assert!(
        lines
            .iter()
            .enumerate()
            .all(|(number, line)| line.2 == format!("basalt {number}"))
    );
}

#[tokio::test]
async fn a_flood_without_lines_comes_in_pieces() {
    LazyLock::force(&LINES);
    let mut stage =
        Stage::scripted("begin(); os.write(1, b'cobalt ' * 100_000 + b'end of it\\n'); serve()");
    stage.added().await;
    let pieces = lines("cobalt", "end of it").await;
    assert!(
        pieces.iter().all(|(_, _, piece)| piece.len() <= 8 * 1024),
        "{}",
        pieces.len()
    );
    assert!(pieces.len() > 80);
}

#[tokio::test]
async fn a_subscriber_that_panics_ends_nothing() {
    LazyLock::force(&LINES);
    let mut stage =
        Stage::scripted("print('dolomite panics'); print('dolomite goes on'); begin(); serve()");
    stage.added().await;
    assert_eq!(lines("dolomite", "goes on").await.len(), 1);
}

#[tokio::test]
async fn the_worker_itself_prints_as_it_imports() {
    LazyLock::force(&LINES);
    let mut stage = Stage::new(|_| {}, |_, _| {});
    stage.write(
        "loud.py",
        "import sys\nprint('emerald')\nsys.stderr.write('\\u20ac emerald last')\nimport os\nos._exit(1)\n",
    );
    let actor = stage.added().await;
    stage.import(actor.id, "loud").await;
    let died = stage.died().await;
    assert!(died.contains("\n  \u{20ac} emerald last"), "{died}");
    assert_eq!(lines("emerald", "last").await.len(), 2);
}
