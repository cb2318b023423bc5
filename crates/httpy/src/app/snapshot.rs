//! `Snapshot`: how an app is at this moment, as plain data.

use std::sync::atomic::Ordering;
use std::time::Duration;

use httpy_python::Health;
use serde::Serialize;

use super::PyApp;

/// How an app is at one moment: a few numbers, read one after the other while others go on. Made by
/// [`PyApp::snapshot`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Places of the queue that are taken: by calls that wait for a worker, by abandoned ones that no worker has come by
    /// yet, and, with [`OnFull::Wait`](crate::OnFull::Wait), by services that are ready.
    pub waiting: usize,
    /// Services and calls that wait for a place in the queue, with [`OnFull::Wait`](crate::OnFull::Wait).
    pub waiting_for_place: usize,
    /// Bytes of the bodies that are being read, wait or are worked on.
    pub body_bytes: usize,
    /// Calls that were given up by their callers while they waited in the queue, since the start: their handler never ran.
    pub abandoned: u64,
    /// How the workers are, which all apps of the process share.
    pub workers: WorkerHealth,
}

/// How the workers are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkerHealth {
    /// Workers at most.
    pub max: usize,
    /// Workers that were given up, because a handler keeps them past its deadline.
    pub lost: usize,
    /// How many lost workers are replaced at most.
    pub replacements: usize,
    /// For how long Python code has held the interpreter, so that nobody else could have it; none when it can be had.
    #[serde(with = "humantime_serde::option")]
    pub held_for: Option<Duration>,
}

impl From<Health> for WorkerHealth {
    fn from(health: Health) -> Self {
        let Health { workers_max, lost, replacements, held_for } = health;
        Self { max: workers_max, lost, replacements, held_for }
    }
}

impl PyApp {
    /// How the app is now. Never waits, and never touches Python.
    pub fn snapshot(&self) -> Snapshot {
        let shared = &self.inner.shared;
        Snapshot {
            waiting: shared.slots.taken(),
            waiting_for_place: shared.slots.waited_for(),
            body_bytes: shared.budget.held(),
            abandoned: shared.abandoned.load(Ordering::Relaxed),
            workers: shared.pool.health().into(),
        }
    }
}
