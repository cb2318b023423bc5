//! `Watch`: the thread `httpy-loop-watch`, which knows when the event loop does not come round, and when a call goes on that
//! was cancelled. It sleeps while no call is under way.
//!
//! A loop comes round when it looks into its inbox, and it is rung to do so a few times while the threshold passes. One that
//! has not done so is blocked: by the call that is its current one, if any is. That is told once, with the stack of the
//! loop's thread; and when that call's deadline has passed and nobody waits for it, its thread is interrupted, as a worker's
//! is: it interrupts itself, if it is still in the call that blocks it.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use httpy_core::{Interruption, Notice, TargetId, Ticket};
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::driver::Driver;
use super::{EventLoop, NAME};
use crate::attach::attach;
use crate::enforcer;
use crate::pool::Crew;

/// A loop whose current call may be overdue gets so long to come round by itself.
const GRACE: Duration = Duration::from_millis(20);
/// A call that was interrupted and goes on is interrupted again after so long.
const AGAIN: Duration = Duration::from_secs(1);
/// The loop is not woken more often than this, nor less often.
const RING_AFTER: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(250)];

/// The bell of the thread.
#[derive(Debug, Default)]
pub(super) struct Watch {
    state: Mutex<State>,
    bell: Condvar,
    /// It looks, or was rung.
    is_awake: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// A client was answered with 504: perhaps by a call that blocks its loop.
    hurry: bool,
    closed: bool,
}

/// That a loop was rung.
#[derive(Clone, Debug)]
pub(super) struct Rung {
    /// How often it had come round by then.
    pub(super) rounds: u64,
    pub(super) at: Instant,
    /// The call that has kept it since, where somebody could look.
    pub(super) keeps: Option<(TargetId, Weak<Ticket>)>,
}

/// What is known of the loop.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// That it is blocked was told.
    told: bool,
    /// When its current call is to be looked at.
    next: Option<Instant>,
    /// That it is lost and not replaced was told.
    lost: bool,
}

impl Known {
    fn set_lost(&mut self, crew: &Crew, lost: bool) {
        let before = mem::replace(&mut self.lost, lost);
        crew.async_lane
            .count_lost(isize::from(lost) - isize::from(before));
    }
}

impl Watch {
    /// # Errors
    ///
    /// When the operating system gives no thread.
    pub(super) fn start(crew: &Arc<Crew>) -> io::Result<()> {
        let also = Arc::clone(crew);
        let builder = thread::Builder::new()
            .name("httpy-loop-watch".to_owned())
            .stack_size(crew.options().stack_size);
        builder.spawn(move || run(&also)).map(drop)
    }

    /// A call was pushed: it is counted already.
    pub(super) fn begin(&self) {
        // After the count, as the thread says that it sleeps before it looks at the count.
        if !self.is_awake.load(Ordering::SeqCst) {
            self.ring(|_| ());
        }
    }

    /// A call is cancelled, `overdue` or not.
    pub(super) fn hurry(&self, overdue: bool) {
        if overdue {
            self.ring(|state| state.hurry = true);
        }
    }

    pub(super) fn close(&self) {
        self.ring(|state| state.closed = true);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn ring(&self, why: impl FnOnce(&mut State)) {
        why(&mut self.lock());
        self.is_awake.store(true, Ordering::SeqCst);
        self.bell.notify_one();
    }

    /// Sleeps until `until`, or until it is rung for a reason: true for a call that may be overdue. None when it is to end.
    fn wait(&self, until: Option<Instant>) -> Option<bool> {
        let mut state = self.lock();
        while !state.closed && !state.hurry {
            let Some(until) = until else {
                if self.is_awake.load(Ordering::SeqCst) {
                    break;
                }
                state = self
                    .bell
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self
                .bell
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        (!state.closed).then(|| mem::take(&mut state.hurry))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(crew: &Arc<Crew>) {
    let watch = &crew.async_lane.watch;
    let threshold = crew.options().loop_blocked_after;
    let pause = (threshold / 4).clamp(RING_AFTER[0], RING_AFTER[1]);
    let mut known = Known::default();
    let mut replaced = Vec::new();
    let mut until = None;
    while let Some(hurry) = watch.wait(until) {
        let Some(event_loop) = crew.async_lane.current() else {
            continue;
        };
        let now = Instant::now();
        let mut next = None;
        if event_loop.load.load(Ordering::SeqCst) == 0 {
            known.set_lost(crew, false);
            known = Known::default();
            *event_loop.rung() = None;
        } else {
            if hurry {
                known.next = Some(known.next.map_or(now + GRACE, |next| next.min(now + GRACE)));
            }
            look(crew, &event_loop, &mut known, threshold, now);
            let mut notices = Vec::new();
            let lost = event_loop.replace_lost(crew, known.lost, &mut notices);
            known.set_lost(crew, lost);
            // Only now, so that readiness is as the log says.
            for notice in &notices {
                crew.notify(notice);
            }
            if event_loop.life().lost {
                replaced.push((Arc::clone(&event_loop), now + AGAIN));
            }
            let swallowed = tell_swallowed(crew, &event_loop, now);
            next = [Some(now + pause), known.next, swallowed]
                .into_iter()
                .flatten()
                .min();
        }
        replaced.retain_mut(|(event_loop, next)| interrupt_replaced(crew, event_loop, next));
        until = replaced.iter().map(|(_, next)| *next).chain(next).min();
        if until.is_none() {
            // It says that it sleeps before it counts: between the two nothing is missed.
            watch.is_awake.store(false, Ordering::SeqCst);
            let has_calls = |it: Arc<EventLoop>| it.load.load(Ordering::SeqCst) > 0;
            if crew.async_lane.current().is_some_and(has_calls) {
                watch.is_awake.store(true, Ordering::SeqCst);
            }
        }
    }
}

fn look(
    crew: &Crew,
    event_loop: &Arc<EventLoop>,
    known: &mut Known,
    threshold: Duration,
    now: Instant,
) {
    let rounds = event_loop.rounds.load(Ordering::Relaxed);
    let Some(since) = event_loop.silent_since() else {
        let next = known.next.filter(|next| *next > now);
        (known.told, known.next) = (false, next);
        *event_loop.rung() = Some(Rung {
            rounds,
            at: now,
            keeps: None,
        });
        event_loop.inbox.call();
        return;
    };
    let blocked_for = now.saturating_duration_since(since);
    let tells = !known.told && blocked_for >= threshold;
    let strikes = known.next.is_some_and(|next| next <= now) && blocked_for >= GRACE;
    if !tells && !strikes {
        if known.next.is_some_and(|next| next <= now) {
            known.next = Some(since + GRACE);
        }
        return;
    }
    // Attached only now, and perhaps for long: whoever holds the interpreter may be the one.
    let (next, notices) =
        attach(|py| examine(py, crew, event_loop, rounds, tells.then_some(since)));
    known.told |= tells;
    known.next = next;
    for notice in &notices {
        crew.notify(notice);
    }
}

/// Interrupts the call that keeps a loop that was replaced: it may come back and compute. False when its thread has ended.
fn interrupt_replaced(crew: &Crew, event_loop: &EventLoop, next: &mut Instant) -> bool {
    let now = Instant::now();
    if *next <= now {
        *next = now + AGAIN;
        let rounds = event_loop.rounds.load(Ordering::Relaxed);
        let (_, notices) = attach(|py| examine(py, crew, event_loop, rounds, None));
        for notice in &notices {
            crew.notify(notice);
        }
    }
    event_loop.driver().is_some()
}

impl EventLoop {
    /// When it was rung that has not come round since.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        let rounds = self.rounds.load(Ordering::Relaxed);
        self.rung()
            .as_ref()
            .filter(|rung| rung.rounds == rounds)
            .map(|rung| rung.at)
    }

    /// Notes which call keeps it in this round.
    fn keeps(&self, rounds: u64, target: TargetId, ticket: &Arc<Ticket>) {
        if let Some(rung) = self.rung().as_mut().filter(|rung| rung.rounds == rounds) {
            rung.keeps = Some((target, Arc::downgrade(ticket)));
        }
    }
}

/// Looks at what a blocked loop does: when to look again, and what is to be said. That it has been blocked since `tells`,
/// or nothing of that.
fn examine(
    py: Python<'_>,
    crew: &Crew,
    event_loop: &EventLoop,
    rounds: u64,
    tells: Option<Instant>,
) -> (Option<Instant>, Vec<Notice>) {
    let mut notices = Vec::new();
    let Some((thread, driver)) = event_loop.driver() else {
        return (None, notices);
    };
    // App code can break `asyncio`, and with it all that could be said.
    let Ok((task, frames)) = driver.asyncio.current(py, thread.0) else {
        return (None, notices);
    };
    if event_loop.rounds.load(Ordering::Relaxed) != rounds {
        return (None, notices);
    }
    let now = Instant::now();
    let (mut next, mut call, mut interrupted, mut current) = (None, None, None, None);
    {
        let mut calls = event_loop.calls();
        if let Some((number, its)) = calls.current((!task.is_none()).then_some(&task)) {
            let (target, ticket) = (its.target, Arc::clone(&its.ticket));
            let due = ticket.due();
            let overdue = due.is_some_and(|due| due <= now) && its.answer.is_closed();
            next = if overdue {
                Some(now + AGAIN)
            } else {
                due.map(|due| due.max(now + GRACE))
            };
            if overdue && ticket.interrupt() != Interruption::Over {
                interrupted = calls.interrupt(number);
            }
            call = Some(enforcer::overdue(crew, target, &ticket));
            event_loop.keeps(rounds, target, &ticket);
            current = Some(ticket);
        }
    }
    // Not below the lock, as Python code runs.
    if let (Some(_), Some(ticket)) = (interrupted, &current)
        && let Ok(strikes) = strikes(py, &driver, ticket)
    {
        crew.shared
            .deadline
            .interrupt_where(py, thread, ticket, &strikes);
    }
    // With the source lines, which takes a while: after the interruption.
    let stack = || crew.shared.deadline.show(py, Ok(frames));
    match (interrupted, call) {
        // Its deadline was told of where it was interrupted before; this says no more.
        (Some(true), Some(call)) => notices.push(Notice::Overdue {
            call,
            stack: stack(),
            shielded: false,
        }),
        (_, call) => {
            if let Some(since) = tells {
                let blocked_for = now.saturating_duration_since(since);
                notices.push(Notice::Blocked {
                    name: NAME.to_owned(),
                    blocked_for,
                    call,
                    stack: stack(),
                });
            }
        }
    }
    (next, notices)
}

/// Asks on the loop's thread whether the call of `ticket` keeps it, and is interrupted just here.
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
            // App code can break `asyncio`, and would be raised that here.
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

/// Tells of calls that go on though they were cancelled; when there may be others.
fn tell_swallowed(crew: &Crew, event_loop: &EventLoop, now: Instant) -> Option<Instant> {
    let lost_after = crew.options().lost_after;
    let (swallowed, next) = event_loop.calls().swallowed(now.checked_sub(lost_after)?);
    for (target, ticket) in swallowed {
        crew.notify(&Notice::Uncancelled {
            call: enforcer::overdue(crew, target, &ticket),
        });
    }
    next.map(|next| next + lost_after)
}
