//! `Bell` and `Flag`: how a worker sleeps and how a lead watches, on the threads of the system or on those of the model.
//!
//! The model's time passes only where it says so; otherwise the two halves do the same.

#[cfg(httpy_model)]
pub(super) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(httpy_model))]
pub(super) use std::sync::{Mutex, MutexGuard};

#[cfg(httpy_model)]
use loom::sync::{
    Condvar,
    atomic::{AtomicBool, Ordering},
};
use std::sync::PoisonError;
#[cfg(not(httpy_model))]
use std::sync::{
    Condvar,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;
#[cfg(not(httpy_model))]
use std::time::Instant;

/// Wakes one sleeping worker.
#[derive(Debug)]
pub(super) struct Bell {
    condvar: Condvar,
    /// Set for good when the worker has slept for as long as it would.
    #[cfg(httpy_model)]
    alarm: AtomicBool,
}

impl Bell {
    pub(super) fn new() -> Self {
        Self {
            condvar: Condvar::new(),
            #[cfg(httpy_model)]
            alarm: AtomicBool::new(false),
        }
    }

    pub(super) fn ring(&self) {
        self.condvar.notify_one();
    }

    pub(super) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.condvar
            .wait(guard)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// True when it was not rung for `time`.
    #[cfg(not(httpy_model))]
    pub(super) fn wait_for<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let (guard, slept) = self
            .condvar
            .wait_timeout(guard, time)
            .unwrap_or_else(PoisonError::into_inner);
        (guard, slept.timed_out())
    }

    /// True when the time that `time_passes` lets pass has passed.
    #[cfg(httpy_model)]
    pub(super) fn wait_for<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        _: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        if !self.alarm.load(Ordering::Acquire) {
            guard = self.wait(guard);
        }
        (guard, self.alarm.load(Ordering::Acquire))
    }

    /// The time is up for whoever sleeps here, or will.
    #[cfg(all(test, httpy_model))]
    pub(super) fn time_passes(&self) {
        self.alarm.store(true, Ordering::Release);
        self.ring();
    }
}

/// What is set for a lead that watches.
#[derive(Debug)]
pub(super) struct Flag(AtomicBool);

impl Flag {
    pub(super) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    pub(super) fn set(&self, set: bool) {
        self.0.store(set, Ordering::Release);
    }

    /// Returns when the flag is set, or after `time`. Who watches lets every other thread that can run go first.
    #[cfg(not(httpy_model))]
    pub(super) fn watch(&self, time: Duration) {
        let begun = Instant::now();
        while !self.0.load(Ordering::Acquire) && begun.elapsed() < time {
            std::thread::yield_now();
        }
    }

    /// One look: whatever happens before the next one can happen before this one too.
    #[cfg(httpy_model)]
    pub(super) fn watch(&self, _: Duration) {
        self.0.load(Ordering::Acquire);
    }
}

/// A moment passes.
pub(super) fn pause(time: Duration) {
    #[cfg(not(httpy_model))]
    std::thread::sleep(time);
    // Everything that can happen meanwhile can happen before the next step of the model as well.
    #[cfg(httpy_model)]
    let _ = time;
}
