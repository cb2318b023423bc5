//! `Hub`: where the host's threads leave what the thread `httpy-processes` is to do, and wake it where it sleeps.
//!
//! That thread looks here before it sleeps and says under the lock that it does: whoever comes later finds its waker and takes
//! it, so that it is woken once, and not at all while it is up.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use httpy_core::{Job, Lane};

use crate::deed::Deed;
use crate::handover::WorkerId;

/// Where the host's threads leave what is to be done.
#[derive(Debug, Default)]
pub(crate) struct Hub(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    left: Left,
    /// Of the thread that sleeps.
    sleeps: Option<Waker>,
    closed: bool,
}

/// What was left since the last look.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) jobs: Vec<Job>,
    pub(crate) deeds: Vec<Deed>,
    /// Streams in which something has moved.
    pub(crate) moved: Vec<Place>,
    /// Nothing more will come.
    pub(crate) closed: bool,
}

/// A call under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) worker: WorkerId,
    pub(crate) lane: Lane,
    pub(crate) id: u64,
}

impl Hub {
    /// Leaves a job. Bounded by the permits that each job carries.
    ///
    /// # Errors
    ///
    /// The job, when nobody will ever look here again.
    pub(crate) fn push(&self, job: Job) -> Result<(), Box<Job>> {
        let mut state = self.lock();
        if state.closed {
            return Err(Box::new(job));
        }
        state.left.jobs.push(job);
        wake(state);
        Ok(())
    }

    /// Leaves something else to do; false when nobody will ever look here again.
    pub(crate) fn ask(&self, deed: Deed) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.left.deeds.push(deed);
        wake(state);
        true
    }

    /// What was left, into `left`, which is empty; false when there is nothing.
    pub(crate) fn take(&self, left: &mut Left) -> bool {
        self.lock().take(left)
    }

    /// As [`take`](Self::take); but when there is nothing, `waker` is woken as soon as there is.
    pub(crate) fn take_or_sleep(&self, left: &mut Left, waker: &Waker) -> bool {
        let mut state = self.lock();
        let any = state.take(left);
        if !any {
            state.sleeps = Some(waker.clone());
        }
        any
    }

    /// Nothing is taken in from now on. What is here is still to be looked at.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        wake(state);
    }

    /// A waker for what moves in a stream of the call at `place`.
    pub(crate) fn waker(self: &Arc<Self>, place: Place) -> Waker {
        Arc::new(Moved {
            hub: Arc::clone(self),
            place,
        })
        .into()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, left: &mut Left) -> bool {
        self.sleeps = None;
        left.closed = self.closed;
        mem::swap(&mut left.jobs, &mut self.left.jobs);
        mem::swap(&mut left.deeds, &mut self.left.deeds);
        mem::swap(&mut left.moved, &mut self.left.moved);
        !(left.jobs.is_empty() && left.deeds.is_empty() && left.moved.is_empty())
    }
}

/// Wakes the thread, outside of the lock, where it sleeps.
fn wake(mut state: MutexGuard<'_, State>) {
    let sleeps = state.sleeps.take();
    drop(state);
    if let Some(waker) = sleeps {
        waker.wake();
    }
}

/// Something has moved in a stream.
struct Moved {
    hub: Arc<Hub>,
    place: Place,
}

impl Wake for Moved {
    fn wake(self: Arc<Self>) {
        let mut state = self.hub.lock();
        // At most one per wake that was asked for, and so bounded by the calls under way.
        state.left.moved.push(self.place);
        wake(state);
    }
}
