//! `Calls`: the calls on workers that run on though nothing waits for them, because of their deadline or because the client
//! has left; and when something is to be done about each.
//!
//! Such a call is overdue as soon as its deadline has passed, and then
//!
//! 1. it is interrupted, and again every second while it goes on;
//! 2. its worker is lost if it has not returned `lost_after` later, and is replaced while the budget lasts. The call is still
//!    interrupted, since what has waited in C code may go on to compute.
//!
//! There is one place per worker, as a worker is in one call at a time: memory is bounded by the number of workers, however
//! many callers leave.

use std::sync::Arc;
use std::time::{Duration, Instant};

use httpy_core::{Abandoned, Notice, Overdue, Seat, Ticket};

/// Time that the inspector may wait for the interpreter before that is logged.
const HELD: Duration = Duration::from_secs(1);
/// Time until it is logged again, of calls that the log does not have yet.
const HELD_AGAIN: Duration = Duration::from_secs(10);
/// Maximum number of calls that are logged at once: reading their stacks takes a moment each.
const HELD_CALLS: usize = 8;

/// All calls on workers that nothing waits for.
pub(super) struct Calls {
    /// By seat.
    watched: Box<[Option<Watched>]>,
    /// Since when the inspector has been asked to interrupt a call and has not begun.
    asked: Option<Instant>,
    /// When the inspector last had the interpreter after a long wait for it.
    had: Option<Instant>,
    /// When it was last logged that the interpreter is held.
    held_told: Option<Instant>,
    lost_after: Duration,
}

struct Watched {
    call: Abandoned,
    /// Whether the inspector is asked to interrupt it.
    asked: bool,
    told: Told,
}

/// What the log has of a call besides that it is overdue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// That it may hold the interpreter.
    Held,
    /// That its worker is lost.
    Lost,
}

/// What is to be done without the lock.
pub(super) enum Action {
    /// This is to be logged.
    Tell(Notice),
    /// The worker does not return from the call.
    Lose(Stuck),
    /// The interpreter is held.
    Held(Duration, Vec<Stuck>),
    /// The event loop is to be looked at: the clock was `woken` for that, or the time has come.
    LookAtLoop { woken: bool },
}

/// A call that does not end.
pub(super) struct Stuck {
    pub(super) seat: Seat,
    pub(super) ticket: Arc<Ticket>,
    pub(super) call: Overdue,
    /// Whether it was never interrupted.
    pub(super) first: bool,
}

impl Calls {
    pub(super) fn new(seats: usize, lost_after: Duration) -> Self {
        Self {
            watched: (0..seats).map(|_| None).collect(),
            asked: None,
            had: None,
            held_told: None,
            lost_after,
        }
    }

    /// Watches a call: when it is overdue, or `None` if it does not run any more. And what is still to be logged of the call
    /// in whose place it is.
    pub(super) fn watch(
        &mut self,
        target: String,
        ticket: &Arc<Ticket>,
        answered: bool,
    ) -> (Option<Instant>, Option<Notice>) {
        let call = Abandoned::new(target, ticket, answered);
        let from = call.from;
        let watched = Watched {
            call,
            asked: false,
            told: Told::Nothing,
        };
        // Asked under the lock: a later call of the same worker cannot be here yet while this one runs.
        let seat = ticket.seat();
        match seat.and_then(|seat| self.watched.get_mut(seat.0)) {
            None => (None, None),
            Some(place) => (
                Some(from),
                place.replace(watched).and_then(|it| it.call.over()),
            ),
        }
    }

    /// Since when the inspector has been asked to interrupt a call and has not begun.
    pub(super) fn asked(&self) -> Option<Instant> {
        self.asked
    }

    /// Whether something is still to be done about a call.
    pub(super) fn awaits(&self) -> bool {
        let mut watched = self.watched.iter().flatten();
        watched.any(|watched| watched.told != Told::Lost)
    }

    /// The clock's side: everything that is due now. `asked` is `now` if the inspector is to be woken.
    pub(super) fn look(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        // No worker is lost while the interpreter is waited for.
        let (had, free) = (self.had, self.asked.is_none());
        for (seat, place) in self.watched.iter_mut().enumerate() {
            let Some(watched) = place else { continue };
            let Some(ticket) = watched.running() else {
                actions.extend(place.take().and_then(|it| it.call.over()).map(Action::Tell));
                continue;
            };
            if ticket.is_stopped() {
                // A debugger waits in it: it is neither late nor lost. It may have been asked for before.
                watched.call.next = now + Abandoned::AGAIN;
                watched.call.struck = None;
                continue;
            }
            let lost = watched.lost(self.lost_after, had).filter(|_| free);
            if lost.is_some_and(|lost| lost <= now) {
                actions.push(Action::Lose(watched.stuck(seat, ticket)));
                watched.told = Told::Lost;
            } else if watched.call.next <= now && !watched.asked {
                watched.asked = true;
                self.asked.get_or_insert(now);
            }
        }
        if self.held_next().is_some_and(|told| told <= now) {
            actions.extend(self.tell_held(now));
        }
        actions
    }

    /// When the clock is to look again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let places = self.watched.iter().flatten();
        let free = self.asked.is_none();
        let lost = |watched: &Watched| watched.lost(self.lost_after, self.had).filter(|_| free);
        let places = places
            .flat_map(|watched| [(!watched.asked).then_some(watched.call.next), lost(watched)]);
        places.flatten().chain(self.held_next()).min()
    }

    /// When it is to be logged that the interpreter is held, if the log lacks a call.
    fn held_next(&self) -> Option<Instant> {
        let anything = self
            .watched
            .iter()
            .flatten()
            .any(|watched| watched.asked && watched.told == Told::Nothing);
        let first = self.asked.filter(|_| anything)? + HELD;
        Some(
            self.held_told
                .map_or(first, |told| first.max(told + HELD_AGAIN)),
        )
    }

    fn tell_held(&mut self, now: Instant) -> Option<Action> {
        let held_for = now.saturating_duration_since(self.asked?);
        self.held_told = Some(now);
        let untold = self
            .watched
            .iter_mut()
            .enumerate()
            .filter_map(|(seat, place)| {
                let watched = place
                    .as_mut()
                    .filter(|watched| watched.asked && watched.told == Told::Nothing)?;
                let ticket = watched.running()?;
                watched.told = Told::Held;
                Some(watched.stuck(seat, ticket))
            });
        Some(Action::Held(held_for, untold.take(HELD_CALLS).collect()))
    }

    /// The inspector's side, attached: the calls to interrupt. From now on it does not wait for the interpreter any more.
    pub(super) fn take_asked(&mut self) -> Vec<Stuck> {
        let now = Instant::now();
        if self.asked.take().is_some_and(|asked| asked + HELD <= now) {
            self.had = Some(now);
        }
        let places = self.watched.iter_mut().enumerate();
        let asked = places.filter_map(|(seat, place)| {
            let watched = place.as_mut().filter(|watched| watched.asked)?;
            watched.asked = false;
            watched.call.next = now + Abandoned::AGAIN;
            let ticket = watched.running()?;
            Some(watched.stuck(seat, ticket))
        });
        asked.collect()
    }

    /// The inspector's side: these calls were interrupted just now.
    pub(super) fn interrupted<'a>(&mut self, asked: impl Iterator<Item = &'a Stuck>) {
        let now = Instant::now();
        for asked in asked {
            // Unless it is over by now, and another call of the same worker is here.
            if let Some(Some(watched)) = self.watched.get_mut(asked.seat.0)
                && watched.call.is(&asked.ticket)
            {
                watched.call.struck.get_or_insert(now);
            }
        }
    }
}

impl Watched {
    /// The call, while it runs.
    fn running(&self) -> Option<Arc<Ticket>> {
        self.call.ticket().filter(|ticket| ticket.seat().is_some())
    }

    fn stuck(&self, seat: usize, ticket: Arc<Ticket>) -> Stuck {
        Stuck {
            seat: Seat(seat),
            call: self.call.overdue(&ticket),
            ticket,
            first: self.call.struck.is_none(),
        }
    }

    /// When its worker counts as lost. Not before it could learn of the interruption: it may have waited for the interpreter,
    /// which it `had` only then, and so would its replacement.
    fn lost(&self, lost_after: Duration, had: Option<Instant>) -> Option<Instant> {
        let struck = self.call.struck.filter(|_| self.told != Told::Lost)?;
        let heard = had.map_or(struck, |had| had.max(struck));
        Some(self.call.lost_at(heard, lost_after))
    }
}
