//! What is recorded of a call when it ends.

use std::time::Instant;

use http::Response;
use httpy_core::{Call, Ticket};

use super::{PyService, ResponseBody};
use crate::Error;
use crate::failure::status;
use crate::status::{Ended, Ending, Timings};

/// How far a call has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Come<'a> {
    /// It was refused before it was looked at, or when it was to be put into the queue.
    Nowhere,
    /// Its body was read.
    Reading(&'a Call),
    /// It was put into the queue, and maybe taken.
    Queued(&'a Ticket),
}

/// Records how a call ended, with what it is answered, whole or by its head.
pub(super) fn record(service: &PyService, come: Come<'_>, result: &Result<Response<ResponseBody>, Error>) {
    let (status, ending, message) = match result {
        Ok(response) => (response.status().as_u16(), Ending::Ok, None),
        Err(error) => (status(error.kind()).0.as_u16(), Ending::from(error.kind()), Some(error.message())),
    };
    // Tokio's clock, which is the one of the ticket.
    let now = tokio::time::Instant::now().into_std();
    let (call, timings) = match come {
        Come::Nowhere => (None, Timings::default()),
        Come::Reading(call) => (Some(call), Timings::default()),
        Come::Queued(ticket) => (Some(&ticket.call), timings(ticket, ending, now)),
    };
    let ended = Ended {
        target: service.target(),
        route: call.and_then(|call| call.details.route.as_deref()),
        method: call.map(|call| &call.method),
        status,
        ending,
        timings,
        message,
    };
    service.inner.app.recorder.record(&ended, now);
}

/// Counts a call whose client went away while it waited.
pub(super) fn abandoned(service: &PyService) {
    service.inner.app.recorder.count(Ending::Abandoned);
}

/// When a call was taken is not known here, but that one which ran out of time in the queue was never taken.
fn timings(ticket: &Ticket, ending: Ending, now: Instant) -> Timings {
    let total = now.saturating_duration_since(ticket.pushed);
    let queue = if ending == Ending::Overloaded { total } else { Timings::default().queue };
    Timings { queue, total, ..Timings::default() }
}
