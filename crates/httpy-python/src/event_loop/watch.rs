//! `Watch`: whether the event loop responds, as the watchdog's clock sees it; and what its inspector does if it does not.
//!
//! A loop responds when it looks into its inbox, and it is woken to do so a few times within the threshold. One that does not
//! is blocked: by the call that is its current one, if there is one. That is logged once, with the stack of the loop's thread.
//! When that call's deadline has passed and nothing waits for it, the loop's thread is interrupted, as a worker's is: it
//! interrupts itself, if it is still in the call that blocks it.

use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use httpy_core::{Abandoned, Interruption, Notice, Overdue, TargetId, Ticket};
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::driver::Driver;
use super::inbox::Cancel;
use super::replace::{Keeper, Starting, lost_at};
use super::{EventLoop, NAME};
use crate::pool::Crew;

/// Time in which a loop whose current call may be overdue can still respond by itself.
const GRACE: Duration = Duration::from_millis(20);
/// The least and the longest time between two wake-ups of the loop.
const WAKE_AFTER: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(250)];

/// What the clock knows of the loops of a pool. Only its thread uses it, and it never attaches.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Whether the loop counts as lost, which was logged, and is not replaced.
    pub(super) lost: bool,
    /// A loop that is to replace the lost one.
    pub(super) starting: Option<Starting>,
    /// Loops that were replaced and have not ended, and when each is looked at.
    replaced: Vec<(Arc<EventLoop>, Instant)>,
}

/// That a loop was woken, and what is known of it while it does not respond.
#[derive(Debug)]
pub(super) struct Rung {
    /// How often it had responded by then.
    rounds: u64,
    at: Instant,
    /// When the inspector is to look at it, if a call on it is overdue.
    next: Instant,
    /// Whether it was logged that it is blocked.
    told: bool,
    /// The call that blocks it, if the inspector has found it.
    pub(super) keeps: Option<(TargetId, Weak<Ticket>)>,
    /// What blocks it, if the inspector has found that it is lost.
    keeper: Option<Keeper>,
}

impl Watch {
    /// Looks at the loops: when to look again. `None` until a call is pushed to the loop. It was `woken` by a call that was
    /// pushed or answered with 504, or its time has come.
    pub(crate) fn look(&mut self, crew: &Arc<Crew>, woken: bool) -> Option<Instant> {
        let event_loop = crew.async_lane.current()?;
        if crew.async_lane.is_closed() {
            self.give_up_start();
            return None;
        }
        let (now, mut next) = (Instant::now(), None);
        if event_loop.load.load(Ordering::SeqCst) > 0 {
            next = Some(self.look_at(crew, &event_loop, woken, now));
        } else {
            self.responds(crew);
            *event_loop.rung() = None;
        }
        self.replaced.retain_mut(|(event_loop, next)| {
            if *next <= now {
                // The call in it may return from C code and go on to compute.
                *next = now + Abandoned::AGAIN;
                crew.watchdog.examine(event_loop);
            }
            event_loop.driver().is_some()
        });
        let until = self.replaced.iter().map(|(_, next)| *next);
        let until = until.chain(next).min();
        let has_calls = || {
            let event_loop = crew.async_lane.current();
            event_loop.is_some_and(|event_loop| event_loop.load.load(Ordering::SeqCst) > 0)
        };
        if until.is_none() && !crew.watchdog.unwatch_loop(has_calls) {
            return Some(now);
        }
        until
    }

    /// Looks at the loop that takes calls, while it has some: when to look again.
    fn look_at(
        &mut self,
        crew: &Arc<Crew>,
        event_loop: &Arc<EventLoop>,
        woken: bool,
        now: Instant,
    ) -> Instant {
        let threshold = crew.options().loop_blocked_after;
        let pause = (threshold / 4).clamp(WAKE_AFTER[0], WAKE_AFTER[1]);
        let overdue = event_loop.calls().take_overdue(now);
        for (target, ticket) in overdue {
            event_loop.inbox.cancel(Cancel {
                target,
                ticket,
                answered: false,
            });
        }
        let swallowed = tell_swallowed(crew, event_loop, now);
        let mut next = swallowed.map_or(now + pause, |next| next.min(now + pause));
        let rounds = event_loop.rounds.load(Ordering::Relaxed);
        let Some(since) = event_loop.silent_since() else {
            self.responds(crew);
            *event_loop.rung() = Some(Rung {
                rounds,
                at: now,
                next: now + GRACE,
                told: false,
                keeps: None,
                keeper: None,
            });
            event_loop.inbox.call();
            return if woken { next.min(now + GRACE) } else { next };
        };
        let mut keeper = None;
        let mut tells = false;
        if let Some(rung) = event_loop.rung().as_mut() {
            keeper = rung.keeper.take();
            tells = !rung.told && now.saturating_duration_since(since) >= threshold;
            if woken {
                rung.next = rung.next.min(now + GRACE);
            }
            if rung.next > now {
                next = next.min(rung.next);
            }
        }
        if self.go_on_replacing(crew, event_loop) {
            self.replaced
                .push((Arc::clone(event_loop), now + Abandoned::AGAIN));
            return now;
        }
        if let Some(keeper) = keeper.filter(|_| self.starting.is_none()) {
            self.replace(crew, keeper);
        }
        if tells || event_loop.is_due(now) {
            crew.watchdog.examine(event_loop);
        }
        next
    }

    /// The loop responds, or has no calls.
    fn responds(&mut self, crew: &Crew) {
        self.give_up_start();
        self.set_lost(crew, false);
    }

    pub(super) fn set_lost(&mut self, crew: &Crew, lost: bool) {
        let before = mem::replace(&mut self.lost, lost);
        crew.async_lane
            .count_lost(isize::from(lost) - isize::from(before));
    }
}

impl EventLoop {
    /// When it was woken, if it has not responded since.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        let rounds = self.rounds.load(Ordering::Relaxed);
        self.rung()
            .as_ref()
            .filter(|rung| rung.rounds == rounds)
            .map(|rung| rung.at)
    }

    /// Whether the inspector is to look at it because of a call that is overdue.
    fn is_due(&self, now: Instant) -> bool {
        let may = self.rung().as_ref().is_some_and(|rung| rung.next <= now);
        may && self.is_overdue(now)
    }

    /// Changes what is known of it, unless it has responded since.
    fn note(&self, rounds: u64, change: impl FnOnce(&mut Rung)) {
        if let Some(rung) = self.rung().as_mut().filter(|rung| rung.rounds == rounds) {
            change(rung);
        }
    }

    /// The inspector's side: finds out what blocks it, and interrupts that call if it is overdue. Returns what is to be
    /// logged.
    pub(crate) fn examine(&self, py: Python<'_>, crew: &Crew) -> Vec<Notice> {
        let rounds = self.rounds.load(Ordering::Relaxed);
        let Some((since, (thread, driver))) = self.silent_since().zip(self.driver()) else {
            return Vec::new();
        };
        let (options, now) = (crew.options(), Instant::now());
        let blocked_for = now.saturating_duration_since(since);
        let mut tells = false;
        self.note(rounds, |rung| {
            tells = !rung.told && blocked_for >= options.loop_blocked_after;
            rung.told |= tells;
            rung.next = now + Abandoned::AGAIN;
            rung.keeps = None;
        });
        // Fails if app code has broken `asyncio`, and with it all that could be logged.
        let Ok((task, frames)) = driver.asyncio.current(py, thread.0) else {
            return Vec::new();
        };
        let (mut call, mut interrupted) = (None, None);
        {
            let mut calls = self.calls();
            // Otherwise that is not what has blocked it.
            if self.rounds.load(Ordering::Relaxed) != rounds {
                return Vec::new();
            }
            if let Some((number, its)) = calls.current((!task.is_none()).then_some(&task)) {
                let (target, ticket) = (its.target, Arc::clone(&its.ticket));
                let due = ticket.due();
                let is_overdue = due.is_some_and(|due| due <= now) && its.answer.is_closed();
                self.note(rounds, |rung| {
                    rung.keeps = Some((target, Arc::downgrade(&ticket)));
                    if let Some(due) = due {
                        let lost = lost_at(options.lost_after, since, due);
                        rung.next = match is_overdue {
                            false => due.max(now + GRACE),
                            true if lost > now => lost.min(now + Abandoned::AGAIN),
                            true => now + Abandoned::AGAIN,
                        };
                    }
                });
                if is_overdue && ticket.interrupt() != Interruption::Over {
                    let first = calls.interrupt(number);
                    interrupted = first.map(|first| (first, Arc::clone(&ticket)));
                }
                call = Some(Overdue::of(crew.name(target), &ticket));
            }
        }
        // Not below the lock, as Python code runs.
        if let Some((_, ticket)) = &interrupted
            && let Ok(strikes) = strikes(py, &driver, ticket)
        {
            let deadline = &crew.shared.deadline;
            deadline.interrupt_where(py, thread, ticket, &strikes);
        }
        let keeper = self.keeper(py, crew);
        self.note(rounds, |rung| rung.keeper = keeper);
        // With the source lines, which takes a while: after the interruption.
        let stack = || crew.shared.deadline.show(py, Ok(frames));
        match (interrupted, call) {
            // The log has its deadline, and where it was interrupted; this says no more.
            (Some((true, _)), Some(call)) => vec![Notice::Overdue {
                call,
                stack: stack(),
                shielded: false,
            }],
            (_, call) if tells => vec![Notice::Blocked {
                name: NAME.to_owned(),
                blocked_for,
                call,
                stack: stack(),
            }],
            _ => Vec::new(),
        }
    }
}

/// A function for the loop's thread: whether the call of `ticket` blocks it, and is interrupted just here.
fn strikes<'py>(
    py: Python<'py>,
    driver: &Arc<Driver>,
    ticket: &Arc<Ticket>,
) -> PyResult<Bound<'py, PyCFunction>> {
    let (driver, ticket) = (Arc::downgrade(driver), Arc::downgrade(ticket));
    PyCFunction::new_closure(
        py,
        Some(c"strikes"),
        None,
        move |arguments, _| -> PyResult<Option<bool>> {
            let raises: bool = arguments.get_item(0)?.extract()?;
            let (Some(driver), Some(ticket)) = (driver.upgrade(), ticket.upgrade()) else {
                return Ok(None);
            };
            // App code can break `asyncio`, and its error would be raised here.
            let task = driver
                .asyncio
                .current_task(arguments.py())
                .unwrap_or_default();
            let calls = driver.event_loop.calls();
            let is_current = calls
                .current(task.as_ref())
                .is_some_and(|(_, call)| Arc::ptr_eq(&call.ticket, &ticket));
            Ok(is_current.then(|| ticket.strikes(!raises)).flatten())
        },
    )
}

/// Logs calls that go on although they were cancelled. Returns when there may be others.
fn tell_swallowed(crew: &Crew, event_loop: &EventLoop, now: Instant) -> Option<Instant> {
    let lost_after = crew.options().lost_after;
    let (swallowed, next) = event_loop.calls().swallowed(now.checked_sub(lost_after)?);
    for (target, ticket) in swallowed {
        crew.notify(&Notice::Uncancelled {
            call: Overdue::of(crew.name(target), &ticket),
        });
    }
    next.map(|next| next + lost_after)
}
