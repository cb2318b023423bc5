//! `Watched`: a call that runs on though nobody waits for it any more, and when something is done about it.
//!
//! A plain handler is interrupted at its deadline, and again every second; an `async def` one is cancelled at once, and
//! interrupted where it is past its deadline and keeps its event loop, so that it cannot be cancelled. A plain one that has
//! not come back `lost_after` after its deadline never will: its worker is killed. So it is where the event loop of such a
//! call does not come round.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use httpy_core::{Lane, Limit, Notice, Overdue, Subject, Ticket};

use crate::hub::Place;

/// A call that is interrupted and goes on is interrupted again after so long.
const AGAIN: Duration = Duration::from_secs(1);
/// An event loop whose call is overdue gets so long to come round by itself.
pub(crate) const GRACE: Duration = Duration::from_millis(20);

/// A call that nobody waits for.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) place: Place,
    pub(crate) ticket: Weak<Ticket>,
    pub(crate) target: String,
    subject: Subject,
    limit: Limit,
    /// Its client was answered with 504, which is to be seen in the log.
    answered: bool,
    /// When it is overdue.
    from: Instant,
    /// When something is done next.
    pub(crate) next: Instant,
    /// When something was done first.
    struck: Option<Instant>,
    /// It was told that it goes on.
    told: bool,
}

/// What is done about a call.
#[derive(Debug)]
pub(crate) enum Strike {
    /// It is interrupted; this is said with its stack, the first time.
    Interrupt(Option<Notice>),
    /// It is cancelled; likewise.
    Cancel(Option<Notice>),
    /// It keeps its event loop: it is interrupted, and cancelled if it goes on; likewise.
    Free(Option<Notice>),
    /// It is interrupted where its event loop does not come round.
    Unblock,
    /// This is said.
    Tell(Notice),
    /// Its worker is killed.
    Kill,
    /// Not yet.
    Nothing,
}

/// How the event loop of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OfLoop {
    /// It comes round, another call keeps it, or it was not asked.
    Other,
    /// This call keeps it.
    Keeps,
    /// It has not come round for so long that it never will, and no other call keeps it.
    Stuck,
}

impl Watched {
    pub(crate) fn new(
        place: Place,
        ticket: &Arc<Ticket>,
        target: String,
        answered: bool,
        now: Instant,
    ) -> Self {
        let from = ticket.due().filter(|_| !answered).unwrap_or(now);
        let limit = ticket.limit();
        // An `async def` handler is cancelled at once.
        let next = if place.lane == Lane::EventLoop {
            now
        } else {
            from
        };
        let subject = ticket.call.subject();
        let ticket = Arc::downgrade(ticket);
        Self {
            place,
            ticket,
            target,
            subject,
            limit,
            answered,
            from,
            next,
            struck: None,
            told: false,
        }
    }

    /// What the log has still to hear when the call is over.
    pub(crate) fn over(self) -> Option<Notice> {
        let Self {
            target,
            subject,
            limit,
            ..
        } = self;
        (self.answered && self.struck.is_none()).then_some(Notice::Late {
            target,
            subject,
            limit,
        })
    }

    /// What is to be done now, while the call runs; how its event loop is, where it is on one.
    pub(crate) fn strike(&mut self, now: Instant, lost_after: Duration, of_loop: OfLoop) -> Strike {
        if self.next > now {
            return Strike::Nothing;
        }
        let Some(ticket) = self.ticket.upgrade() else {
            return Strike::Nothing;
        };
        let overdue = Overdue {
            target: self.target.clone(),
            subject: self.subject.clone(),
            limit: self.limit,
            elapsed: now.saturating_duration_since(ticket.pushed),
        };
        let first = self.struck.is_none();
        let struck = *self.struck.get_or_insert(now);
        let lost = (struck + lost_after.min(AGAIN)).max(self.from + lost_after);
        self.next = now + AGAIN;
        match self.place.lane {
            Lane::Worker if now >= lost && !first => Strike::Kill,
            Lane::Worker => {
                self.next = self.next.min(lost);
                let stack = String::new();
                Strike::Interrupt(first.then_some(Notice::Overdue {
                    call: overdue,
                    stack,
                    shielded: false,
                }))
            }
            Lane::EventLoop if first && self.answered && of_loop != OfLoop::Other => {
                self.next = self.next.min(lost);
                let stack = String::new();
                Strike::Free(Some(Notice::Overdue {
                    call: overdue,
                    stack,
                    shielded: false,
                }))
            }
            Lane::EventLoop if first => {
                self.next = if self.answered {
                    (now + GRACE).min(lost)
                } else {
                    lost
                };
                Strike::Cancel(self.answered.then_some(Notice::Cancelled {
                    call: overdue,
                    stack: None,
                }))
            }
            Lane::EventLoop if now < lost => {
                self.next = self.next.min(lost);
                Strike::Unblock
            }
            Lane::EventLoop if of_loop == OfLoop::Stuck => Strike::Kill,
            Lane::EventLoop if !self.told => {
                self.told = true;
                Strike::Tell(Notice::Uncancelled { call: overdue })
            }
            // What keeps the whole loop is interrupted, where it is this call.
            Lane::EventLoop => Strike::Interrupt(None),
        }
    }
}
