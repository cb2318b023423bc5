//! What httpy logs in this process, kept for the tests to look at.
//!
//! A subscriber of the whole process: some lines come from Python's threads. Tests tell theirs by the handler's name.

use std::fmt;
use std::sync::{LazyLock, Once};

use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::{record, span};

/// One event of httpy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its level.
    pub level: Level,
    /// The handler's target; empty where the line is about none.
    pub handler: String,
    /// The request's method, its route and its path; empty where the line has none.
    pub method: String,
    /// See `method`.
    pub route: String,
    /// See `method`.
    pub path: String,
    /// How many lines of the same place were suppressed before this one; none where the line does not say.
    pub suppressed: Option<u64>,
    /// The text.
    pub message: String,
}

static LINES: LazyLock<watch::Sender<Vec<Line>>> = LazyLock::new(|| watch::Sender::new(Vec::new()));

/// Keeps every line from now on.
///
/// # Panics
///
/// When somebody else has set a subscriber for the process.
pub fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::registry()
            .with(Keep)
            .with(record::Keep)
            .with(span::Keep);
        tracing::subscriber::set_global_default(subscriber)
            .expect("the process has a subscriber already");
    });
}

/// The lines about handlers whose target begins with `handler`, in order.
pub fn lines(handler: &str) -> Vec<Line> {
    LINES
        .borrow()
        .iter()
        .filter(|line| line.handler.starts_with(handler))
        .cloned()
        .collect()
}

/// The first line about `handler` that has `text` in it, as soon as it is there.
///
/// # Panics
///
/// Never: the lines are kept as long as the process lives.
pub async fn wait_for(handler: &str, text: &str) -> Line {
    let is_it = |line: &&Line| line.handler.starts_with(handler) && line.message.contains(text);
    let mut receiver = LINES.subscribe();
    let lines = receiver
        .wait_for(|lines| lines.iter().any(|line| is_it(&line)))
        .await
        .expect("the sender is static");
    lines
        .iter()
        .find(is_it)
        .cloned()
        .expect("it was there just now")
}

/// A layer that keeps the events of httpy.
struct Keep;

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "httpy" {
            return;
        }
        let level = *event.metadata().level();
        let mut line = Line {
            level,
            handler: String::new(),
            method: String::new(),
            route: String::new(),
            path: String::new(),
            suppressed: None,
            message: String::new(),
        };
        event.record(&mut line);
        LINES.send_modify(|lines| lines.push(line));
    }
}

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "suppressed" {
            self.suppressed = Some(value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let place = match field.name() {
            "handler" => &mut self.handler,
            "method" => &mut self.method,
            "route" => &mut self.route,
            "path" => &mut self.path,
            _ => return,
        };
        value.clone_into(place);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}
