//! `Watched`: a call that runs on in a worker process though nothing waits for it, and what is done about it.
//!
//! A plain handler is interrupted at its deadline, and again every second. An `async def` one is cancelled at once, and
//! interrupted if it is past its deadline and blocks its event loop, so that it cannot be cancelled. The worker is killed if a
//! plain one has not returned `lost_after` its deadline, or the event loop of such a call does not respond.

use std::time::{Duration, Instant};

use httpy_core::{Abandoned, Lane, Notice};

use crate::hub::Place;

/// An event loop whose call is overdue gets so long to come round by itself.
pub(crate) const GRACE: Duration = Duration::from_millis(20);

/// A call that nothing waits for, and where it is.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) place: Place,
    pub(crate) call: Abandoned,
    /// It was logged that it goes on.
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
    pub(crate) fn new(place: Place, mut call: Abandoned, now: Instant) -> Self {
        // An `async def` handler is cancelled at once.
        if place.lane == Lane::EventLoop {
            call.next = now;
        }
        let told = false;
        Self { place, call, told }
    }

    /// What is to be done now, while the call runs; how its event loop is, where it is on one.
    pub(crate) fn strike(&mut self, now: Instant, lost_after: Duration, of_loop: OfLoop) -> Strike {
        if self.call.next > now {
            return Strike::Nothing;
        }
        let Some(ticket) = self.call.ticket() else {
            return Strike::Nothing;
        };
        let overdue = self.call.overdue(&ticket);
        let first = self.call.struck.is_none();
        let struck = *self.call.struck.get_or_insert(now);
        let lost = self.call.lost_at(struck, lost_after);
        let answered = self.call.answered;
        let next = &mut self.call.next;
        *next = now + Abandoned::AGAIN;
        match self.place.lane {
            Lane::Worker if now >= lost && !first => Strike::Kill,
            Lane::Worker => {
                *next = lost.min(*next);
                let stack = String::new();
                Strike::Interrupt(first.then_some(Notice::Overdue {
                    call: overdue,
                    stack,
                    shielded: false,
                }))
            }
            Lane::EventLoop if first && answered && of_loop != OfLoop::Other => {
                *next = lost.min(*next);
                let stack = String::new();
                Strike::Free(Some(Notice::Overdue {
                    call: overdue,
                    stack,
                    shielded: false,
                }))
            }
            Lane::EventLoop if first => {
                *next = if answered {
                    (now + GRACE).min(lost)
                } else {
                    lost
                };
                Strike::Cancel(answered.then_some(Notice::Cancelled {
                    call: overdue,
                    stack: None,
                }))
            }
            Lane::EventLoop if now < lost => {
                *next = lost.min(*next);
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
