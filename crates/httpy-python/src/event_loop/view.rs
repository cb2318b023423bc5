//! What other threads can see of the event loop: its calls and its lag without the interpreter, and the stacks with it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use httpy_core::{LoopMember, StackOf, TargetId, Ticket, Work};
use pyo3::prelude::*;

use super::{AsyncLane, EventLoop, NAME};
use crate::pool::Crew;

/// Maximum number of calls that are shown.
const SHOWN: usize = 8;

type Frames<'py> = PyResult<Bound<'py, PyAny>>;

impl AsyncLane {
    /// The state of the loop. Wakes it, so that its lag is known the next time. Never waits for the interpreter.
    pub(crate) fn member(&self, crew: &Crew) -> Option<LoopMember> {
        self.current().map(|event_loop| event_loop.member(crew))
    }

    /// The frames of the calls that are shown, and of the loop's thread if the loop is blocked.
    pub(crate) fn stacks<'py>(&self, py: Python<'py>) -> Vec<(StackOf, Frames<'py>)> {
        let mut found = Vec::new();
        let Some(event_loop) = self.current() else {
            return found;
        };
        if event_loop.silent_since().is_some()
            && let Some((thread, driver)) = event_loop.driver()
        {
            let frames = driver
                .asyncio
                .current(py, thread.0)
                .map(|(_, frames)| frames);
            // Asked afterwards: if it has responded meanwhile, these frames did not block it.
            if event_loop.silent_since().is_some() {
                found.push((StackOf::EventLoop(NAME.to_owned()), frames));
            }
        }
        for (_, ticket) in event_loop.oldest() {
            if let Some(frames) = self.frames(py, &ticket) {
                found.push((StackOf::Call(ticket), frames));
            }
        }
        found
    }
}

impl EventLoop {
    fn member(&self, crew: &Crew) -> LoopMember {
        let (lag, rings) = self.lag.ask();
        if rings {
            self.inbox.call();
        }
        let work = |(target, ticket)| Work {
            target: crew.name(target),
            ticket,
        };
        let silent_for = self
            .silent_since()
            .map(|since| Instant::now().saturating_duration_since(since));
        let blocked_for =
            silent_for.filter(|silent_for| *silent_for >= crew.options().loop_blocked_after);
        // Read first: what ends meanwhile must not make it less than those that were taken.
        let calls = self.load.load(Ordering::SeqCst);
        let waiting = calls.saturating_sub(self.calls().count());
        let blocked_by = blocked_for.and_then(|_| self.kept_by()).map(work);
        let oldest = self.oldest().into_iter().map(work).collect();
        LoopMember {
            name: NAME.to_owned(),
            calls,
            waiting,
            lag,
            blocked_for,
            blocked_by,
            oldest,
        }
    }

    /// The call whose first step runs, or the one that the watch has found when it could look.
    fn kept_by(&self) -> Option<(TargetId, Arc<Ticket>)> {
        let starting = self
            .calls()
            .starting()
            .map(|call| (call.target, Arc::clone(&call.ticket)));
        starting.or_else(|| {
            let (target, ticket) = self.rung().as_ref()?.keeps.clone()?;
            Some((target, ticket.upgrade()?))
        })
    }

    fn oldest(&self) -> Vec<(TargetId, Arc<Ticket>)> {
        let calls = self.calls();
        calls
            .oldest(SHOWN)
            .into_iter()
            .map(|call| (call.target, Arc::clone(&call.ticket)))
            .collect()
    }
}
