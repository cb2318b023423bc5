//! `Desks`: which call each worker is in, for those who want to see it from outside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use httpy_core::{Seat, TargetId, Ticket};

/// By seat. The worker itself changes its place twice per call; the lock is contended only while somebody looks.
#[derive(Debug)]
pub(crate) struct Desks(Box<[Desk]>);

type Desk = Mutex<Option<(TargetId, Arc<Ticket>)>>;

/// A call that lies on its worker's desk until this is dropped.
pub(crate) struct Laid<'a>(Option<&'a Desk>);

impl Desks {
    pub(crate) fn new(seats: usize) -> Self {
        Self((0..seats).map(|_| Desk::default()).collect())
    }

    /// The worker of `seat` is in this call from now on.
    pub(crate) fn lay(&self, seat: Seat, target: TargetId, ticket: &Arc<Ticket>) -> Laid<'_> {
        let desk = self.0.get(seat.0);
        if let Some(desk) = desk {
            *lock(desk) = Some((target, Arc::clone(ticket)));
        }
        Laid(desk)
    }

    /// The call that the worker of `seat` is in.
    pub(crate) fn look(&self, seat: Seat) -> Option<(TargetId, Arc<Ticket>)> {
        lock(self.0.get(seat.0)?).clone()
    }

    /// All calls that workers are in.
    pub(crate) fn all(&self) -> Vec<(Seat, Arc<Ticket>)> {
        let seats = self.0.iter().enumerate();
        seats
            .filter_map(|(seat, desk)| Some((Seat(seat), Arc::clone(&lock(desk).as_ref()?.1))))
            .collect()
    }
}

impl Drop for Laid<'_> {
    fn drop(&mut self) {
        if let Some(desk) = self.0 {
            // Taken under the lock and dropped after it.
            let taken = lock(desk).take();
            drop(taken);
        }
    }
}

fn lock(desk: &Desk) -> MutexGuard<'_, Option<(TargetId, Arc<Ticket>)>> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}
