//! `Threads`: which thread sits at which seat, for those who want something of a thread that is not theirs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use httpy_core::Seat;

use crate::deadline::ThreadId;

/// The workers' threads by seat.
#[derive(Debug)]
pub(crate) struct Threads(Mutex<Box<[Option<ThreadId>]>>);

impl Threads {
    pub(crate) fn new(seats: usize) -> Self {
        Self(Mutex::new(vec![None; seats].into()))
    }

    /// The calling thread sits at `seat` from now on.
    pub(crate) fn enter(&self, seat: Seat) {
        self.set(seat, Some(ThreadId::current()));
    }

    /// Nobody sits at `seat` any more.
    pub(crate) fn leave(&self, seat: Seat) {
        self.set(seat, None);
    }

    /// Calls `work` with the thread at `seat`, which does not end meanwhile. `work` must not wait for it.
    pub(crate) fn with<R>(&self, seat: Seat, work: impl FnOnce(ThreadId) -> R) -> Option<R> {
        self.lock().get(seat.0).copied().flatten().map(work)
    }

    fn set(&self, seat: Seat, thread: Option<ThreadId>) {
        if let Some(place) = self.lock().get_mut(seat.0) {
            *place = thread;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Box<[Option<ThreadId>]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
