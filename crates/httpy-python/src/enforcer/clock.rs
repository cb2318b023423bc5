//! The thread `httpy-enforcer`: knows when a call is overdue, when its worker is lost, and when the interpreter cannot be
//! had. Never attaches.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use httpy_core::{Lost, Notice, Seat, TargetId, Ticket};

use super::{AGAIN, Ended, Enforcer, HELD, State, Told, Watched, overdue};
use crate::pool::Crew;

/// That the interpreter cannot be had is told again after so long at the earliest, of calls that were not told of.
const HELD_AGAIN: Duration = Duration::from_secs(10);
/// So many calls are told of at once: reading their stacks takes a moment each.
const HELD_CALLS: usize = 8;

/// What is to be done once the lock is released.
enum Action {
    /// To be seen in the log.
    Tell(Ended),
    /// The worker does not come back.
    Lose(Stuck),
    /// The interpreter cannot be had.
    Held(Duration, Vec<Stuck>),
}

/// A call that does not end.
struct Stuck {
    seat: Seat,
    target: TargetId,
    ticket: Arc<Ticket>,
}

/// Keeps the time, until the pool is closed and nothing is overdue any more.
pub(super) fn run(crew: &Arc<Crew>) {
    while let Some(actions) = crew.enforcer.wait() {
        for action in actions {
            match action {
                Action::Tell(ended) => crew.notify_ended(ended),
                Action::Lose(stuck) => lose(crew, &stuck),
                Action::Held(held_for, stuck) => tell_held(crew, held_for, &stuck),
            }
        }
    }
}

fn lose(crew: &Arc<Crew>, stuck: &Stuck) {
    let lost = crew.queue.lose(stuck.seat, || stuck.ticket.lose());
    if lost == Lost::Returned {
        return;
    }
    let (replacements, gone) = (crew.options().replacements, crew.queue.lost());
    let left = matches!(lost, Lost::Replaced(_)).then(|| replacements.saturating_sub(gone));
    if let Lost::Replaced(Some(seat)) = lost {
        Crew::start_or_log(crew, seat);
    }
    let call = overdue(crew, stuck.target, &stuck.ticket);
    crew.notify(&Notice::Lost {
        worker: stuck.seat.number(),
        call,
        left,
    });
    if left.is_none_or(|left| left == 0) {
        crew.notify(&Notice::Spent {
            replacements,
            lost: gone,
        });
    }
}

fn tell_held(crew: &Crew, held_for: Duration, stuck: &[Stuck]) {
    let calls = stuck.iter().map(|stuck| {
        let dump = crew.interpreter.dump();
        let stack = dump.and_then(|dump| {
            dump.read(|ask| crew.threads.with(stuck.seat, ask).unwrap_or_default())
        });
        (overdue(crew, stuck.target, &stuck.ticket), stack)
    });
    let notice = Notice::Held {
        held_for,
        calls: calls.collect(),
    };
    crew.notify(&notice);
}

impl Enforcer {
    /// Sleeps until something is to be done. None when nothing will be any more.
    fn wait(&self) -> Option<Vec<Action>> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let actions = state.look(now, self.lost_after);
            if state.asked == Some(now) {
                self.interrupter.notify_one();
            }
            if !actions.is_empty() {
                return Some(actions);
            }
            let awaited =
                |place: &Option<Watched>| place.as_ref().is_some_and(|it| it.told != Told::Lost);
            if state.closed && !state.watched.iter().any(awaited) {
                state.ended = true;
                self.interrupter.notify_one();
                return None;
            }
            state.wakes = state.next_look(self.lost_after);
            state = match state.wakes {
                None => self
                    .clock
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(wakes) => {
                    let left = wakes.saturating_duration_since(now);
                    self.clock
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }
}

impl State {
    /// Everything that is due now. Whatever the interrupter is to do is marked; its bell has still to be rung.
    fn look(&mut self, now: Instant, lost_after: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        // Nobody is lost while the interpreter is waited for.
        let (had, free) = (self.had, self.asked.is_none());
        for (seat, place) in self.watched.iter_mut().enumerate() {
            let Some(watched) = place else { continue };
            let Some(ticket) = watched.running() else {
                actions.extend(place.take().and_then(Watched::ended).map(Action::Tell));
                continue;
            };
            if ticket.is_stopped() {
                // A debugger waits in it: it is neither late nor lost. It may have been asked for before.
                watched.next = now + AGAIN;
                watched.interrupted = None;
                continue;
            }
            if free
                && watched
                    .lost(lost_after, had)
                    .is_some_and(|lost| lost <= now)
            {
                actions.push(Action::Lose(Stuck {
                    seat: Seat(seat),
                    target: watched.target,
                    ticket,
                }));
                watched.told = Told::Lost;
            } else if watched.next <= now && !watched.asked {
                watched.asked = true;
                self.asked.get_or_insert(now);
            }
        }
        if self.held_next().is_some_and(|told| told <= now) {
            actions.extend(self.tell_held(now));
        }
        actions
    }

    /// When it is to be told that the interpreter cannot be had, while there is anything to tell.
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
                Some(Stuck {
                    seat: Seat(seat),
                    target: watched.target,
                    ticket,
                })
            });
        Some(Action::Held(held_for, untold.take(HELD_CALLS).collect()))
    }

    /// When to look again.
    fn next_look(&self, lost_after: Duration) -> Option<Instant> {
        let places = self.watched.iter().flatten();
        let lost = |watched: &Watched| {
            watched
                .lost(lost_after, self.had)
                .filter(|_| self.asked.is_none())
        };
        let places =
            places.flat_map(|watched| [(!watched.asked).then_some(watched.next), lost(watched)]);
        places.flatten().chain(self.held_next()).min()
    }
}
