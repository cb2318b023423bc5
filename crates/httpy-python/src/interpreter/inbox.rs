//! What the main thread still has to do: a queue with one taker.
//!
//! Not a channel, because its two kinds of senders differ: who waits for a result is always let in (there are as many
//! as there are waiting threads), who does not wait is turned away when the line is long.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use pyo3::Python;

/// How many pieces of work nobody waits for may be in line.
const LATER_LIMIT: usize = 1024;

/// One thing to do on the main thread.
pub(super) enum Work {
    /// Runs attached.
    Attached(Box<dyn for<'py> FnOnce(Python<'py>) + Send>),
    /// Runs detached.
    Detached(Box<dyn FnOnce() + Send>),
}

/// The line before the main thread.
#[derive(Default)]
pub(super) struct Inbox {
    line: Mutex<VecDeque<Work>>,
    filled: Condvar,
}

impl Inbox {
    /// Appends work whose result someone waits for.
    pub(super) fn push(&self, work: Work) {
        self.lock().push_back(work);
        self.filled.notify_one();
    }

    /// Appends work that nobody waits for. False, and the work is dropped, when 1024 or more are in line.
    pub(super) fn push_later(&self, work: Work) -> bool {
        let mut line = self.lock();
        if line.len() >= LATER_LIMIT {
            // Dropped after the lock: its destructor is the host's code.
            drop(line);
            return false;
        }
        line.push_back(work);
        drop(line);
        self.filled.notify_one();
        true
    }

    /// Waits for work. Blocks, so call it detached.
    pub(super) fn take(&self) -> Work {
        let mut line = self.lock();
        loop {
            if let Some(work) = line.pop_front() {
                return work;
            }
            line = self
                .filled
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No code of anybody else runs under the lock, so a poisoned one still holds a whole line.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Work>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_the_line_is_long_later_work_is_refused_and_waited_for_work_is_not() {
        let inbox = Inbox::default();
        for _ in 0..LATER_LIMIT {
            assert!(inbox.push_later(Work::Detached(Box::new(|| ()))));
        }
        assert!(!inbox.push_later(Work::Detached(Box::new(|| ()))));
        inbox.push(Work::Detached(Box::new(|| ())));
        assert_eq!(inbox.lock().len(), LATER_LIMIT + 1);
    }
}
