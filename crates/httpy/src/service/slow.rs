//! Reports a slow call at the threshold, while its stack still shows where it is.

use std::sync::Arc;

use httpy_core::{Notice, Slow, Ticket};
use tokio::time::Instant;

use super::service::Inner;
use crate::log;

/// When a call that waits for its answer looks at its clock next.
pub(super) fn next_look(service: &Inner, ticket: &Ticket, is_told: bool, now: Instant) -> Instant {
    let pushed = Instant::from_std(ticket.pushed);
    let slow = (!is_told).then(|| pushed + service.engine.slow_call);
    let given_up = Some(pushed + service.limits.max_wait).filter(|given_up| *given_up > now);
    let deadline = Instant::from_std(ticket.clocks.deadline);
    [slow, given_up]
        .into_iter()
        .flatten()
        .fold(deadline, Instant::min)
}

/// Whether the call takes long at `now`.
pub(super) fn is_slow(service: &Inner, ticket: &Ticket, now: Instant) -> bool {
    now.saturating_duration_since(Instant::from_std(ticket.pushed)) >= service.engine.slow_call
}

/// Reports the call, once per target, route and second. The line is logged when its stack is read, or at once if it was not
/// taken yet.
pub(super) fn tell(service: &Inner, ticket: &Arc<Ticket>, now: Instant) {
    let route = ticket.call.details.route.as_deref();
    let Some(suppressed) = log::admits_slow(&service.target, route) else {
        return;
    };
    let now = now.into_std();
    let slow = Slow {
        target: service.target.clone(),
        subject: ticket.call.subject(),
        elapsed: now.saturating_duration_since(ticket.pushed),
        lane: service.id.lane(),
        taken: ticket.is_taken(),
        timings: ticket.timings(now),
        suppressed,
    };
    if slow.taken {
        service.engine.executor.tell_slow(service.id, ticket, slow);
    } else {
        log::notice(&Notice::Slow {
            call: slow,
            stack: None,
        });
    }
}
