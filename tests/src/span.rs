//! The spans of calls in this process, as the host's subscriber gets them, each when it is over.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// A span that is over.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its level.
    pub level: Level,
    /// The name of the span around it; empty when there is none.
    pub parent: &'static str,
    /// Whether a thread that was attached to Python closed it, or wrote a field.
    pub attached: bool,
    /// All fields that were given.
    pub fields: BTreeMap<&'static str, String>,
}

impl Span {
    /// A field; empty when it was not given.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// A field in seconds.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn seconds(&self, name: &str) -> f64 {
        self.field(name)
            .parse()
            .unwrap_or_else(|_| panic!("no {name}: {self:?}"))
    }
}

static SPANS: LazyLock<watch::Sender<Vec<Span>>> = LazyLock::new(|| watch::Sender::new(Vec::new()));

/// The first `count` spans of calls of `target`, as soon as they are over.
///
/// # Panics
///
/// Never: the spans are kept as long as the process lives.
pub async fn of(target: &str, count: usize) -> Vec<Span> {
    let found = |spans: &[Span]| -> Vec<Span> {
        spans
            .iter()
            .filter(|span| span.field("code.function.name") == target)
            .take(count)
            .cloned()
            .collect()
    };
    let mut receiver = SPANS.subscribe();
    let spans = receiver
        .wait_for(|spans| found(spans).len() == count)
        .await
        .expect("the sender is static");
    found(&spans)
}

/// A layer that keeps the spans of calls.
#[derive(Debug)]
pub struct Keep;

#[derive(Debug, Default)]
struct Fields(BTreeMap<&'static str, String>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Keep {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context
            .span(id)
            .filter(|span| span.metadata().target() == "httpy::call")
        {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        let Some(fields) = span.extensions_mut().remove::<Fields>() else {
            return;
        };
        let parent = span.parent().map_or("", |parent| parent.name());
        let thread = std::thread::current();
        let attached = thread.name().is_some_and(|name| name.starts_with("httpy-"));
        let span = Span {
            level: *span.metadata().level(),
            parent,
            attached,
            fields: fields.0,
        };
        SPANS.send_modify(|spans| spans.push(span));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
