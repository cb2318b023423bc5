//! `Left`: where a call was when its future gave it up, which is done here.

use std::time::Instant;

use httpy_core::{Late, Question};

use super::PyService;
use crate::log;

/// Where a call was when its future gave it up.
pub(super) enum Left {
    /// In the queue: it never runs.
    Waiting,
    /// In its handler: its worker is freed at the deadline. When its client is answered with 504, the executor has that
    /// logged, with the handler's stack.
    Running,
    /// Nowhere: it has ended.
    Over,
}

impl Left {
    /// Gives up a call; `answered` says that its client is answered with 504.
    pub(super) fn leave(service: &PyService, question: &Question, answered: bool) -> Self {
        let ticket = question.ticket();
        // First, since a handler that is told to end may end at once: what it ends with is in no answer, and belongs in the
        // log.
        if let Some(outcome) = question.give_up() {
            let subject = ticket.call.subject();
            log::late(&service.inner.target, Late { subject, outcome });
        }
        if ticket.is_done() {
            return Self::Over;
        }
        if ticket.withdraw() {
            return Self::Waiting;
        }
        ticket.set_gone(Instant::now());
        if answered {
            ticket.give_up_waiting();
        }
        let runs = service
            .inner
            .engine
            .executor
            .enforce(service.inner.id, ticket, answered);
        if runs { Self::Running } else { Self::Over }
    }
}
