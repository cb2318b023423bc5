//! `Abandoned`: a call that runs on though nothing waits for it, because of its deadline or because the client has left; and
//! when something is done about it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{Notice, Overdue};
use crate::{Limit, Subject, Ticket};

/// A call that nothing waits for.
#[derive(Debug)]
pub struct Abandoned {
    ticket: Weak<Ticket>,
    target: String,
    subject: Subject,
    limit: Limit,
    /// Whether its client was answered with 504, which the log is to have.
    pub answered: bool,
    /// When it is overdue.
    pub from: Instant,
    /// When something is done about it next.
    pub next: Instant,
    /// When something was first done about it.
    pub struck: Option<Instant>,
}

impl Abandoned {
    /// Time after which a call that was interrupted and goes on is interrupted again.
    pub const AGAIN: Duration = Duration::from_secs(1);

    /// A call of the handler `target`.
    pub fn new(target: String, ticket: &Arc<Ticket>, answered: bool) -> Self {
        let due = ticket.due().filter(|_| !answered);
        let from = due.unwrap_or_else(Instant::now);
        Self {
            target,
            subject: ticket.call.subject(),
            limit: ticket.limit(),
            ticket: Arc::downgrade(ticket),
            answered,
            from,
            next: from,
            struck: None,
        }
    }

    /// The call, while something holds it.
    pub fn ticket(&self) -> Option<Arc<Ticket>> {
        self.ticket.upgrade()
    }

    /// Whether it is the call of `ticket`.
    pub fn is(&self, ticket: &Arc<Ticket>) -> bool {
        std::ptr::eq(self.ticket.as_ptr(), Arc::as_ptr(ticket))
    }

    /// The call as it is logged now.
    pub fn overdue(&self, ticket: &Ticket) -> Overdue {
        Overdue::of(self.target.clone(), ticket)
    }

    /// When its worker is lost, if it could learn of an interruption at `heard`.
    pub fn lost_at(&self, heard: Instant, lost_after: Duration) -> Instant {
        (heard + lost_after.min(Self::AGAIN)).max(self.from + lost_after)
    }

    /// What is still to be logged of it, when it is over.
    pub fn over(self) -> Option<Notice> {
        (self.answered && self.struck.is_none()).then_some(Notice::Late {
            target: self.target,
            subject: self.subject,
            limit: self.limit,
        })
    }
}

impl Overdue {
    /// The call of `ticket`, of the handler `target`.
    pub fn of(target: String, ticket: &Ticket) -> Self {
        Self {
            target,
            subject: ticket.call.subject(),
            limit: ticket.limit(),
            elapsed: ticket.pushed.elapsed(),
        }
    }
}
