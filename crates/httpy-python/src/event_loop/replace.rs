//! Replaces a lost event loop: another one gets its place and its jobs. The calls that were under way on it fail, as when a
//! worker process dies.
//!
//! A loop is lost if it has not responded for `lost_after`, at least a second, and the call that blocks it has not ended that
//! long after its deadline, although it was interrupted. If no call blocks it, but a callback or a task that a handler has
//! left behind, any call on the loop that is as late counts. A lost loop that responds after all ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use httpy_core::{Notice, Overdue};
use pyo3::prelude::*;

use super::watch::Watch;
use super::{Begun, EventLoop, NAME, PANICKED};
use crate::pool::Crew;

/// A loop that has not responded for less than this may have waited for the interpreter, or the machine.
const LEAST: Duration = Duration::from_secs(1);

/// What blocks a lost loop: a call and its number.
pub(super) type Keeper = Option<(usize, Overdue)>;

/// When a loop is lost that has been silent since `since`, because of a call that was to be answered by `due`.
pub(super) fn lost_at(lost_after: Duration, since: Instant, due: Instant) -> Instant {
    (since + lost_after.max(LEAST)).max(due + lost_after)
}

/// A loop that is started to replace a lost one. That may take as long as the interpreter is held.
#[derive(Debug)]
pub(super) struct Starting {
    other: Arc<EventLoop>,
    begun: Begun,
    keeper: Keeper,
}

impl Watch {
    /// Begins to replace the loop, which is lost, while the budget lasts.
    pub(super) fn replace(&mut self, crew: &Arc<Crew>, keeper: Keeper) {
        let lost = crew.lost() + usize::from(!self.lost);
        if lost > crew.options().replacements {
            return self.report(crew, keeper, false, None);
        }
        match EventLoop::start(crew) {
            Ok((other, begun)) => {
                self.starting = Some(Starting {
                    other,
                    begun,
                    keeper,
                });
            }
            Err(error) => self.report(crew, keeper, false, Some(error)),
        }
    }

    /// Replaces the loop if another one has started for that. True if it is replaced.
    pub(super) fn go_on_replacing(&mut self, crew: &Crew, event_loop: &EventLoop) -> bool {
        let Some(starting) = self.starting.take() else {
            return false;
        };
        let error = match starting.begun.try_recv() {
            Ok(Ok(())) => {
                let number = starting.keeper.as_ref().map(|(number, _)| *number);
                event_loop.hand_over(crew, &starting.other, number);
                self.report(crew, starting.keeper, true, None);
                return true;
            }
            Err(TryRecvError::Empty) => {
                self.starting = Some(starting);
                return false;
            }
            Ok(Err(error)) => error,
            Err(TryRecvError::Disconnected) => PANICKED.to_owned(),
        };
        self.report(crew, starting.keeper, false, Some(error));
        false
    }

    /// Ends a loop that was to replace another one.
    pub(crate) fn give_up_start(&mut self) {
        if let Some(starting) = self.starting.take() {
            starting.other.inbox.close();
        }
    }

    /// Counts and logs a lost loop.
    fn report(&mut self, crew: &Crew, keeper: Keeper, replaced: bool, error: Option<String>) {
        let told = self.lost;
        // First, so that readiness is as the log says.
        self.set_lost(crew, !replaced);
        let (replacements, lost) = (crew.options().replacements, crew.lost());
        let left = replaced.then(|| replacements.saturating_sub(lost));
        if replaced || !told {
            crew.notify(&Notice::LostLoop {
                name: NAME.to_owned(),
                call: keeper.map(|(_, call)| call),
                left,
                error,
            });
        }
        if left.unwrap_or(0) == 0 && !told {
            crew.notify(&Notice::Spent { replacements, lost });
        }
    }
}

impl EventLoop {
    /// The inspector's side: what blocks it, if it is lost.
    pub(super) fn keeper(&self, py: Python<'_>, crew: &Crew) -> Option<Keeper> {
        let lost_after = crew.options().lost_after;
        let (rounds, now) = (self.rounds.load(Ordering::Relaxed), Instant::now());
        let (since, before) = (self.silent_since()?, now.checked_sub(lost_after)?);
        if now < lost_at(lost_after, since, before) || !self.is_overdue(before) {
            return None;
        }
        let (thread, driver) = self.driver()?;
        let (task, _) = driver.asyncio.current(py, thread.0).ok()?;
        let calls = self.calls();
        if self.rounds.load(Ordering::Relaxed) != rounds {
            return None;
        }
        let Some((number, call)) = calls.current((!task.is_none()).then_some(&task)) else {
            return Some(None);
        };
        let due = call.ticket.due().is_some_and(|due| due <= before);
        let heard = calls
            .interrupted(&call.ticket)
            .is_some_and(|at| at + lost_after.min(LEAST) <= now);
        (due && heard).then(|| {
            let call = Overdue::of(crew.name(call.target), &call.ticket);
            Some((number, call))
        })
    }

    /// Whether a call on it, or a job that waits for it, was to be answered by `before`.
    pub(super) fn is_overdue(&self, before: Instant) -> bool {
        self.calls().is_overdue(before)
            || self.inbox.is_overdue(before)
            || self
                .driver()
                .is_some_and(|(_, driver)| driver.is_overdue(before))
    }

    /// Gives its place and its jobs to `other`. The calls that it is in fail, except the one of the number `current`.
    fn hand_over(&self, crew: &Crew, other: &Arc<Self>, current: Option<usize>) {
        self.life().lost = true;
        crew.async_lane.count_lost(1);
        // Whoever finds the inbox closed looks here again.
        crew.async_lane.put(Arc::clone(other));
        if crew.async_lane.is_closed() {
            other.inbox.close();
        }
        let (mut jobs, waiting) = self.inbox.hand_over();
        if let Some((_, driver)) = self.driver() {
            jobs.splice(..0, driver.hand_over());
        }
        other.load.fetch_add(jobs.len(), Ordering::SeqCst);
        other.inbox.take_over(jobs);
        for job in waiting {
            // Fails if the pool is closed.
            drop(other.push(job));
        }
        let given = self.calls().give_up(current);
        for (answer, permits) in given {
            drop(permits);
            answer.crash(format!(
                "{NAME}, on which it ran, was replaced, as a call on it did not end after its deadline"
            ));
        }
    }
}
