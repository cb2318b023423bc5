//! What Python code logs and prints in this process, as the host's subscriber gets it. Tests tell theirs by the logger's
//! name, or by the text.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{LazyLock, Mutex, PoisonError};

use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::span::Id;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// One event of Python's log.
#[derive(Clone, Debug)]
pub struct Record {
    /// `python`, `python.stdout` or `python.stderr`; `httpy::process` for what a worker process has printed.
    pub target: String,
    /// Its level.
    pub level: Level,
    /// All fields, `message` among them.
    pub fields: BTreeMap<&'static str, String>,
    /// The span of the request that it is in.
    pub span: Option<Id>,
    /// Whether it is in the span of a call, inside of that.
    pub in_call: bool,
    /// The thread on which the subscriber was called.
    pub thread: String,
}

impl Record {
    /// A field; empty when there is none.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// The text.
    pub fn message(&self) -> &str {
        self.field("message")
    }
}

static RECORDS: LazyLock<watch::Sender<Vec<Record>>> =
    LazyLock::new(|| watch::Sender::new(Vec::new()));
static HOLD: Mutex<Option<Stop>> = Mutex::new(None);

struct Stop {
    text: String,
    arrived: SyncSender<()>,
    release: Receiver<()>,
}

/// The subscriber stops at a record until this is dropped.
#[derive(Debug)]
pub struct Hold {
    arrived: Receiver<()>,
    _release: SyncSender<()>,
}

impl Hold {
    /// Has the subscriber stop at the first record whose message is `text`.
    pub fn at(text: &str) -> Self {
        let ((arrived, has_arrived), (release, released)) = (sync_channel(1), sync_channel(0));
        let stop = Stop {
            text: text.to_owned(),
            arrived,
            release: released,
        };
        *HOLD.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop);
        Self {
            arrived: has_arrived,
            _release: release,
        }
    }

    /// Waits until it has stopped.
    ///
    /// # Panics
    ///
    /// When it never will.
    pub fn arrival(&self) {
        self.arrived.recv().expect("nobody stops here any more");
    }
}

/// All records of which `is_it` is true, in order.
pub fn all(is_it: impl Fn(&Record) -> bool) -> Vec<Record> {
    RECORDS
        .borrow()
        .iter()
        .filter(|record| is_it(record))
        .cloned()
        .collect()
}

/// The first record of which `is_it` is true, as soon as it is there.
///
/// # Panics
///
/// Never: the records are kept as long as the process lives.
pub async fn wait_for(is_it: impl Fn(&Record) -> bool) -> Record {
    let mut receiver = RECORDS.subscribe();
    let records = receiver
        .wait_for(|records| records.iter().any(&is_it))
        .await
        .expect("the sender is static");
    records
        .iter()
        .find(|record| is_it(record))
        .cloned()
        .expect("it was there just now")
}

/// The first record with this message.
pub async fn with_message(message: &str) -> Record {
    wait_for(|record| record.message() == message).await
}

/// A layer that keeps the events of Python's log.
#[derive(Debug)]
pub struct Keep;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let target = event.metadata().target();
        if !target.starts_with("python") && target != "httpy::process" {
            return;
        }
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        let span = context.event_span(event);
        let in_call = span
            .as_ref()
            .is_some_and(|span| span.metadata().target() == "httpy::call");
        let span = if in_call {
            span.and_then(|span| span.parent())
        } else {
            span
        }
        .map(|span| span.id());
        let record = Record {
            target: target.to_owned(),
            level: *event.metadata().level(),
            fields: fields.0,
            span,
            in_call,
            thread,
        };
        stop_at(record.message());
        RECORDS.send_modify(|records| records.push(record));
    }
}

fn stop_at(message: &str) {
    let stop = HOLD
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take_if(|stop| stop.text == message);
    if let Some(Stop {
        arrived, release, ..
    }) = stop
    {
        let _sent = arrived.send(());
        // Until the other end is dropped.
        let _released = release.recv();
    }
}

struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
