//! `Observed`: what observes one call: its span, the series of its route, the recorder and the log. All of them get its end as
//! one `CallEnded`, which is made here. Without a span and a series, nothing is allocated.
//!
//! The span is `python.call` of the target `httpy::call` and of level DEBUG, as the one of tower-http's `TraceLayer` is: its
//! many fields stand before every line of a log that shows spans. Programs that collect traces enable `httpy::call=debug`.
//! Records of Python's `logging` are then in this span, and otherwise in the request's.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request};
use httpy_core::{Call, Ticket};
use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;

use super::debug_page::BodyStart;
use super::service::Inner;
use crate::Error;
use crate::ended::{CallEnded, CallResult, Ending, Times};
use crate::log;
use crate::metric::Series;

/// How far a call has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Come<'a> {
    /// It was refused, or its body was read, before it was put into the queue.
    Before(&'a Call),
    /// It was put into the queue, and maybe taken.
    Queued(&'a Ticket),
}

/// What observes one call.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) span: Span,
    series: Option<Arc<Series>>,
    /// For the page about a failure, in debug.
    pub(super) body_start: Option<BodyStart>,
}

impl Observed {
    /// Begins the span of a request, as a child of the one that this thread is in.
    pub(super) fn new<B>(
        service: &Inner,
        request: &Request<B>,
        body_start: Option<BodyStart>,
    ) -> Self {
        let span = tracing::debug_span!(
            target: "httpy::call",
            "python.call",
            "otel.kind" = "internal",
            "otel.status_code" = Empty,
            "http.request.method" = known(request.method()),
            "http.route" = Empty,
            "http.response.status_code" = Empty,
            "code.function.name" = service.target.as_str(),
            "error.type" = Empty,
            "httpy.queue_wait" = Empty,
            "httpy.attach_wait" = Empty,
            "httpy.conversion" = Empty,
            "httpy.run" = Empty,
        );
        Self {
            span,
            series: None,
            body_start,
        }
    }

    /// The route of the call is known, if it has one.
    pub(super) fn prepared(&mut self, service: &Inner, call: &Call) {
        let route = call.details.route.as_deref();
        if let Some(route) = route {
            self.span.record("http.route", route);
        }
        self.series = service.series.as_ref().map(|series| series.of(route));
    }

    /// The call is about to be pushed.
    pub(super) fn pushes(&self, service: &Inner, ticket: &Ticket) {
        if self.series.is_some() || !self.span.is_disabled() || service.engine.recorder.is_watched()
        {
            ticket.want_timings();
        }
    }

    /// The call has ended: gives that to everything that observes it.
    pub(super) fn ended(&self, service: &Inner, come: Come<'_>, result: CallResult<'_>) {
        // Tokio's clock, which is the one of the ticket.
        let time = Instant::now().into_std();
        let (call, times) = match come {
            Come::Before(call) => (call, None),
            Come::Queued(ticket) => {
                let total = time.saturating_duration_since(ticket.pushed);
                let parts = ticket.timings_after(total);
                if !matches!(result, CallResult::Left { .. }) {
                    service.engine.release(&self.span, ticket);
                }
                (&ticket.call, Some(Times { parts, total }))
            }
        };
        let ended = CallEnded {
            target: &service.target,
            call,
            time,
            times,
            result,
        };
        let bare = || service.series.as_ref().map(|series| series.of(None));
        if let Some(series) = self.series.clone().or_else(bare) {
            series.record(&ended);
        }
        if !self.span.is_disabled() {
            record(&self.span, &ended);
        }
        service.engine.recorder.record(&ended);
        log::ended(&ended);
    }
}

/// Records the end of a call in its span.
fn record(span: &Span, ended: &CallEnded<'_>) {
    let (ending, status) = (ended.ending(), ended.status());
    let exception = ended.error().and_then(Error::exception);
    let (kind, is_ours) = match (exception, ending, status) {
        (Some(exception), ..) => (Some(exception.type_name()), true),
        (None, Ending::Ok, Some(500..)) => (Some("5xx"), true),
        (None, Ending::Ok, _) => (None, false),
        (None, ending, _) => (Some(ending.name()), ending.is_failure()),
    };
    let parts = ended.times.map(|times| times.parts);
    let seconds = |part: Option<Duration>| part.map(|part| part.as_secs_f64());
    // All at once: a subscriber takes its locks and looks its span up for each time that it hears of it.
    tracing::record_all!(
        span,
        "http.response.status_code" = status.map(i64::from),
        "error.type" = kind,
        "otel.status_code" = is_ours.then_some("ERROR"),
        "httpy.queue_wait" = seconds(parts.map(|parts| parts.queue)),
        "httpy.attach_wait" = seconds(parts.map(|parts| parts.attach)),
        "httpy.conversion" = seconds(parts.and_then(|parts| parts.convert)),
        "httpy.run" = seconds(parts.and_then(|parts| parts.run)),
    );
}

/// The method, or what OpenTelemetry calls those that a client has made up.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::HEAD
        | Method::OPTIONS
        | Method::CONNECT
        | Method::PATCH
        | Method::TRACE => method.as_str(),
        _ => "_OTHER",
    }
}
