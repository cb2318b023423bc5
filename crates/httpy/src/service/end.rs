//! What is recorded of a call when it ends.

use std::time::{Duration, Instant};

use http::Response;
use httpy_core::{Call, Ticket};

use super::observed::Observed;
use super::{PyService, ResponseBody};
use crate::Error;
use crate::failure::status;
use crate::status::{Ended, Ending, Timings};

/// How far a call has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Come<'a> {
    /// It was refused, or its body was read, before it was put into the queue.
    Before(&'a Call),
    /// It was put into the queue, and maybe taken.
    Queued(&'a Ticket),
}

/// Records how a call ended, with what it is answered, whole or by its head.
pub(super) fn record(
    service: &PyService,
    observed: &Observed,
    come: Come<'_>,
    result: &Result<Response<ResponseBody>, Error>,
) {
    let (status, ending, error) = match result {
        Ok(response) => (response.status().as_u16(), Ending::Ok, None),
        Err(error) => (
            status(error.kind()).0.as_u16(),
            Ending::from(error.kind()),
            Some(error),
        ),
    };
    // Tokio's clock, which is the one of the ticket.
    let now = tokio::time::Instant::now().into_std();
    let (call, parts) = match come {
        Come::Before(call) => (call, None),
        Come::Queued(ticket) => (&ticket.call, Some(parts(ticket, now))),
    };
    if let Come::Queued(ticket) = come {
        service.inner.engine.release(&observed.span, ticket);
    }
    observed.ended(&service.inner, ending, Some(status), error, parts.as_ref());
    let ended = Ended {
        target: &service.inner.target,
        route: call.details.route.as_deref(),
        method: Some(&call.method),
        status,
        ending,
        timings: parts.map_or_else(Timings::default, |(parts, total)| Timings {
            queue: parts.queue,
            attach: parts.attach,
            convert: parts.convert.unwrap_or_default(),
            run: parts.run.unwrap_or_default(),
            total,
        }),
        message: error.map(Error::message),
    };
    service.inner.engine.recorder.record(&ended, now);
}

/// Counts a call whose client went away while it waited ([`Ending::Abandoned`]) or ran ([`Ending::Gone`]).
pub(super) fn left(service: &PyService, observed: &Observed, ending: Ending, ticket: &Ticket) {
    let parts = parts(ticket, tokio::time::Instant::now().into_std());
    observed.ended(&service.inner, ending, None, None, Some(&parts));
    service.inner.engine.recorder.count(ending);
}

fn parts(ticket: &Ticket, now: Instant) -> (httpy_core::Timings, Duration) {
    let total = now.saturating_duration_since(ticket.pushed);
    (ticket.timings_after(total), total)
}
