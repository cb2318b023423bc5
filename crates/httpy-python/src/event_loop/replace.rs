//! A loop that does not come back is lost: another one takes its place and its jobs. The calls that were under way on it are
//! answered, as when a worker process dies.
//!
//! A loop is lost when it has not come round for `lost_after`, a second at least, and the call that keeps it has not come
//! back so long after its deadline, though it was interrupted. Where no call keeps it, but a callback or a task that a handler
//! has left behind, any call on the loop counts that is as late. Should a lost loop come back after all, it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use httpy_core::{Notice, Overdue};
use pyo3::prelude::*;

use super::{EventLoop, NAME};
use crate::attach::attach;
use crate::enforcer;
use crate::pool::Crew;

/// A loop that has not come round for less than this may have waited for the interpreter, or the machine.
const LEAST: Duration = Duration::from_secs(1);

/// What keeps a lost loop: a call and its number.
type Keeper = Option<(usize, Overdue)>;

impl EventLoop {
    /// Replaces it where it is lost, which is to be reported as `notices`. True where that cannot be; perhaps it was so before,
    /// and was told.
    pub(super) fn replace_lost(
        self: &Arc<Self>,
        crew: &Arc<Crew>,
        told: bool,
        notices: &mut Vec<Notice>,
    ) -> bool {
        let Some(keeper) = self.keeper(crew) else {
            return false;
        };
        let (number, call) = keeper.unzip();
        let (replacements, lost) = (crew.options().replacements, crew.lost());
        let lost = lost + usize::from(!told);
        let (left, error) = match replacements.checked_sub(lost) {
            None => (None, None),
            Some(left) => match self.replace(crew, number) {
                Ok(()) => (Some(left), None),
                Err(error) => (None, Some(error)),
            },
        };
        if left.is_some() || !told {
            notices.push(Notice::LostLoop {
                name: NAME.to_owned(),
                call,
                left,
                error,
            });
        }
        if left.unwrap_or(0) == 0 && !told {
            notices.push(Notice::Spent { replacements, lost });
        }
        left.is_none()
    }

    /// What keeps it, where it is lost.
    fn keeper(&self, crew: &Crew) -> Option<Keeper> {
        let lost_after = crew.options().lost_after;
        let (rounds, now) = (self.rounds.load(Ordering::Relaxed), Instant::now());
        let silent_for = now.saturating_duration_since(self.silent_since()?);
        let before = now.checked_sub(lost_after)?;
        if silent_for < lost_after.max(LEAST) || !self.is_overdue(before) {
            return None;
        }
        let (thread, driver) = self.driver()?;
        attach(|py| {
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
            (due && heard)
                .then(|| Some((number, enforcer::overdue(crew, call.target, &call.ticket))))
        })
    }

    /// Whether a call on it, or a job that waits for it, was to be answered by `before`.
    fn is_overdue(&self, before: Instant) -> bool {
        self.calls().is_overdue(before)
            || self.inbox.is_overdue(before)
            || self
                .driver()
                .is_some_and(|(_, driver)| driver.is_overdue(before))
    }

    fn replace(self: &Arc<Self>, crew: &Arc<Crew>, current: Option<usize>) -> Result<(), String> {
        let other = Self::new(crew.options().in_flight);
        let other = Arc::new(other.map_err(|error| error.to_string())?);
        Self::start(&other, crew)?;
        self.life().lost = true;
        crew.async_lane.count_lost(1);
        // Whoever finds the inbox closed looks here again.
        crew.async_lane.put(Arc::clone(&other));
        if crew.async_lane.watch.is_closed() {
            other.inbox.close();
        }
        let (mut jobs, waiting) = self.inbox.hand_over();
        if let Some((_, driver)) = self.driver() {
            jobs.splice(..0, driver.hand_over());
        }
        other.load.fetch_add(jobs.len(), Ordering::SeqCst);
        other.inbox.take_over(jobs);
        for job in waiting {
            // Fails where the pool is closed.
            drop(other.push(job));
        }
        let given = self.calls().give_up(current);
        for (answer, permits) in given {
            drop(permits);
            answer.crash(format!(
                "{NAME}, on which it ran, was replaced, as a call on it did not end after its deadline"
            ));
        }
        Ok(())
    }
}
