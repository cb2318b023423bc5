//! `Desks`: which thread each worker is, and which call it is in, for other threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use httpy_core::{Seat, TargetId, Ticket};

use crate::deadline::ThreadId;

/// By seat. The worker itself changes its place twice per call. The lock is contended only while another thread looks.
#[derive(Debug)]
pub(crate) struct Desks(Box<[Mutex<Desk>]>);

#[derive(Debug, Default)]
struct Desk {
    thread: Option<ThreadId>,
    call: Option<(TargetId, Arc<Ticket>)>,
}

/// A call that lies on its worker's desk until this is dropped.
pub(crate) struct Laid<'a>(Option<&'a Mutex<Desk>>);

impl Desks {
    pub(crate) fn new(seats: usize) -> Self {
        Self((0..seats).map(|_| Mutex::default()).collect())
    }

    /// The calling thread is the worker of `seat` from now on.
    pub(crate) fn enter(&self, seat: Seat) {
        self.set_thread(seat, Some(ThreadId::current()));
    }

    /// `seat` has no worker any more.
    pub(crate) fn leave(&self, seat: Seat) {
        self.set_thread(seat, None);
    }

    /// Calls `work` with the thread of the worker of `seat`, which does not end meanwhile. `work` must not wait for it.
    pub(crate) fn with_thread<R>(&self, seat: Seat, work: impl FnOnce(ThreadId) -> R) -> Option<R> {
        lock(self.0.get(seat.0)?).thread.map(work)
    }

    /// The thread of the worker of `seat`, which may end.
    pub(crate) fn thread(&self, seat: Seat) -> Option<ThreadId> {
        self.with_thread(seat, |thread| thread)
    }

    /// The worker of `seat` is in this call from now on.
    pub(crate) fn lay(&self, seat: Seat, target: TargetId, ticket: &Arc<Ticket>) -> Laid<'_> {
        let desk = self.0.get(seat.0);
        if let Some(desk) = desk {
            lock(desk).call = Some((target, Arc::clone(ticket)));
        }
        Laid(desk)
    }

    /// The call that the worker of `seat` is in.
    pub(crate) fn look(&self, seat: Seat) -> Option<(TargetId, Arc<Ticket>)> {
        lock(self.0.get(seat.0)?).call.clone()
    }

    /// All calls that workers are in.
    pub(crate) fn all(&self) -> Vec<(Seat, Arc<Ticket>)> {
        let seats = self.0.iter().enumerate();
        seats
            .filter_map(|(seat, desk)| Some((Seat(seat), Arc::clone(&lock(desk).call.as_ref()?.1))))
            .collect()
    }

    fn set_thread(&self, seat: Seat, thread: Option<ThreadId>) {
        if let Some(desk) = self.0.get(seat.0) {
            lock(desk).thread = thread;
        }
    }
}

impl Drop for Laid<'_> {
    fn drop(&mut self) {
        if let Some(desk) = self.0 {
            // Taken under the lock and dropped after it.
            let taken = lock(desk).call.take();
            drop(taken);
        }
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}
