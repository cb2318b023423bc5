//! `Backlog`: how much of what Python code has logged waits for the host's log, and what found no room.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use httpy_core::log::{MOST_BYTES, MOST_WAITING, Record};

/// What waits, and what was dropped.
#[derive(Debug, Default)]
pub(crate) struct Backlog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    bytes: usize,
    dropped: u64,
    /// So many of those that wait were there before the first one that was dropped.
    ahead: usize,
}

/// How much memory a record holds, roughly.
pub(crate) fn size(record: &Record) -> usize {
    size_of::<Record>() + record.bytes()
}

impl Backlog {
    /// Has `send` let one more wait, of so many bytes; counts it where there is no room, or where `send` says so.
    pub(crate) fn add(&self, bytes: usize, send: impl FnOnce() -> bool) {
        let mut state = self.lock();
        // One that is larger than all may be comes when nothing else waits.
        let has_room = state.waiting < MOST_WAITING
            && (state.waiting == 0 || state.bytes + bytes <= MOST_BYTES);
        // Under the lock: it must not be taken before it is counted.
        if has_room && send() {
            state.waiting += 1;
            state.bytes += bytes;
            return;
        }
        if state.dropped == 0 {
            state.ahead = state.waiting;
        }
        state.dropped += 1;
    }

    /// One of so many bytes waits no longer.
    pub(crate) fn take(&self, bytes: usize) {
        let mut state = self.lock();
        state.waiting -= 1;
        state.bytes -= bytes;
        state.ahead = state.ahead.saturating_sub(1);
    }

    /// How many were dropped, where that is to be told now: when all that came before them is logged.
    pub(crate) fn dropped(&self) -> Option<u64> {
        let mut state = self.lock();
        let tells = state.dropped > 0 && state.ahead == 0;
        tells.then(|| mem::take(&mut state.dropped))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_told_behind_what_came_before() {
        let backlog = Backlog::default();
        (0..MOST_WAITING + 3).for_each(|_| backlog.add(1, || true));
        for _ in 0..MOST_WAITING {
            assert_eq!(backlog.dropped(), None);
            backlog.take(1);
            backlog.add(1, || true);
        }
        assert_eq!((backlog.dropped(), backlog.dropped()), (Some(3), None));
    }

    #[test]
    fn memory_is_bounded_and_one_that_is_larger_comes_alone() {
        let backlog = Backlog::default();
        backlog.add(MOST_BYTES + 1, || true);
        backlog.add(1, || true);
        backlog.take(MOST_BYTES + 1);
        assert_eq!(backlog.dropped(), Some(1));
        // Nor is there room where the channel has none.
        backlog.add(1, || false);
        assert_eq!(backlog.dropped(), Some(1));
    }
}
