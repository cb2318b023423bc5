//! `Enforcer`: frees workers from calls whose deadline has passed.
//!
//! The client's 504 does not need it: that one comes from the response future's timer. What comes here is only a call that
//! still runs when nobody waits for it any more, because of its deadline or because the client has gone. Such a call is
//! overdue as soon as its deadline has passed, and then
//!
//! 1. it is interrupted, and again every second while it goes on ([`interrupter`], which has to attach for that and may
//!    wait for it);
//! 2. its worker counts as lost when it has not come back `lost_after` later, and is replaced while the budget lasts. The call
//!    is still interrupted, since what has waited in C code may go on to compute.
//!
//! Two threads, so that one can tell when the other waits for the interpreter in vain. Both sleep while nothing is overdue.
//! There is one place per worker for a call, as a worker is in one call at a time: memory is bounded by the number of
//! workers, however many callers leave.

mod clock;
mod interrupter;
mod threads;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use httpy_core::{Limit, Notice, Overdue, Subject, TargetId, Ticket};

pub(crate) use self::threads::Threads;
use crate::pool::Crew;

/// A call that is interrupted and goes on is interrupted again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// The interrupter may wait so long for the interpreter before that is told.
const HELD: Duration = Duration::from_secs(1);

/// The calls to be enforced, and the bells of the two threads.
pub(crate) struct Enforcer {
    state: Mutex<State>,
    clock: Condvar,
    interrupter: Condvar,
    lost_after: Duration,
}

struct State {
    /// By seat.
    watched: Box<[Option<Watched>]>,
    /// What the clock sleeps until; none while it is up, or sleeps until it is told.
    wakes: Option<Instant>,
    /// Since when the interrupter has been asked for something that it has not begun.
    asked: Option<Instant>,
    /// When the interrupter last had the interpreter after having waited for it for long.
    had: Option<Instant>,
    /// When it was last told that the interpreter could not be had.
    held_told: Option<Instant>,
    closed: bool,
    /// The clock has ended, and with it everything that the interrupter could be asked for.
    ended: bool,
}

/// A call that nobody waits for.
struct Watched {
    ticket: Weak<Ticket>,
    target: TargetId,
    subject: Subject,
    limit: Limit,
    /// Whether its client was answered with 504, which is to be seen in the log.
    answered: bool,
    /// When it is overdue.
    from: Instant,
    /// When it is interrupted next.
    next: Instant,
    /// The interrupter is asked for it.
    asked: bool,
    /// When it was first interrupted.
    interrupted: Option<Instant>,
    told: Told,
}

/// What the log has of a call beside that it is overdue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// That it may be what keeps the interpreter.
    Held,
    /// That its worker is lost. The call is interrupted as before, since it may go on to compute.
    Lost,
}

impl Enforcer {
    pub(crate) fn new(seats: usize, lost_after: Duration) -> Self {
        let state = State {
            watched: (0..seats).map(|_| None).collect(),
            wakes: None,
            asked: None,
            had: None,
            held_told: None,
            closed: false,
            ended: false,
        };
        Self {
            state: Mutex::new(state),
            clock: Condvar::new(),
            interrupter: Condvar::new(),
            lost_after,
        }
    }

    /// Starts the two threads.
    ///
    /// # Errors
    ///
    /// When the operating system gives none.
    pub(crate) fn start(crew: &Arc<Crew>, stack_size: usize) -> io::Result<()> {
        let also = Arc::clone(crew);
        thread::Builder::new()
            .name("httpy-enforcer".to_owned())
            .spawn(move || clock::run(&also))?;
        let also = Arc::clone(crew);
        let builder = thread::Builder::new()
            .name("httpy-interrupter".to_owned())
            .stack_size(stack_size);
        builder.spawn(move || interrupter::run(&also))?;
        Ok(())
    }

    /// Watches a call that nobody waits for. False when it does not run any more. Where it takes the place of another one
    /// that is over, of which the log has still to hear, that comes back.
    pub(crate) fn watch(
        &self,
        target: TargetId,
        ticket: &Arc<Ticket>,
        answered: bool,
    ) -> (bool, Option<Ended>) {
        let due = ticket.due().filter(|_| !answered);
        let from = due.unwrap_or_else(Instant::now);
        let watched = Watched {
            ticket: Arc::downgrade(ticket),
            target,
            subject: ticket.call.subject(),
            limit: ticket.limit(),
            answered,
            from,
            next: from,
            asked: false,
            interrupted: None,
            told: Told::Nothing,
        };
        let mut state = self.lock();
        // Asked under the lock: a later call of the same worker cannot be here yet while this one runs.
        let Some(seat) = ticket.seat() else {
            return (false, None);
        };
        let Some(place) = state.watched.get_mut(seat.0) else {
            return (false, None);
        };
        let before = place.replace(watched);
        if state.wakes.is_none_or(|wakes| from < wakes) {
            state.wakes = Some(from);
            self.clock.notify_one();
        }
        (true, before.and_then(Watched::ended))
    }

    /// For how long the interpreter could not be had, where it is wanted.
    pub(crate) fn held_for(&self) -> Option<Duration> {
        self.lock().asked.map(|asked| asked.elapsed())
    }

    /// Lets the threads end, after the calls that are watched now.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.clock.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing below the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that was answered with 504 and ended by itself.
pub(crate) struct Ended {
    pub(crate) target: TargetId,
    subject: Subject,
    limit: Limit,
}

impl Ended {
    pub(crate) fn notice(self, target: String) -> Notice {
        Notice::Late {
            target,
            subject: self.subject,
            limit: self.limit,
        }
    }
}

impl Watched {
    /// The call, while it runs.
    fn running(&self) -> Option<Arc<Ticket>> {
        self.ticket
            .upgrade()
            .filter(|ticket| ticket.seat().is_some())
    }

    fn is(&self, ticket: &Arc<Ticket>) -> bool {
        std::ptr::eq(self.ticket.as_ptr(), Arc::as_ptr(ticket))
    }

    /// What the log has still to hear of a call that is over.
    fn ended(self) -> Option<Ended> {
        (self.answered && self.interrupted.is_none()).then_some(Ended {
            target: self.target,
            subject: self.subject,
            limit: self.limit,
        })
    }

    /// When its worker counts as lost. Not before it has had a chance to hear of the interruption: it may have waited for
    /// the interpreter, which could be `had` only then, and with it the one that would replace it.
    fn lost(&self, lost_after: Duration, had: Option<Instant>) -> Option<Instant> {
        if self.told == Told::Lost {
            return None;
        }
        let heard = self.interrupted.max(self.interrupted.and(had))? + lost_after.min(AGAIN);
        Some(heard.max(self.from + lost_after))
    }
}

/// What is to be said of a call past its deadline, or one that blocks.
pub(crate) fn overdue(crew: &Crew, target: TargetId, ticket: &Ticket) -> Overdue {
    Overdue {
        target: crew.name(target),
        subject: ticket.call.subject(),
        limit: ticket.limit(),
        elapsed: ticket.pushed.elapsed(),
    }
}
