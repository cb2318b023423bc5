//! `Inbox`: what other threads hand to an event loop: jobs, calls to cancel, and calls whose streams have something for them.
//!
//! Whoever puts something in rings the loop only when nobody has since the loop last found it empty, so that a row of jobs
//! costs one wake-up. Two orders matter: the loop silences the bell *before* it looks, and only says that it needs a ring
//! again under the lock under which it has found nothing.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use httpy_core::{Job, TargetId, Ticket};

use super::ready::Woken;
use super::wake::Wake;

/// A call that nobody waits for any more.
#[derive(Debug)]
pub(super) struct Cancel {
    pub(super) target: TargetId,
    pub(super) ticket: Arc<Ticket>,
    /// Its client was answered with 504; else the client has gone.
    pub(super) answered: bool,
}

/// The jobs of one loop that it has not taken yet. Bounded by the permits that each job carries.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    wake: Wake,
    /// Jobs were left, as no more may be under way.
    is_full: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    cancels: Vec<Cancel>,
    woken: Vec<Woken>,
    /// The loop was rung, or looks: whoever comes now need not ring.
    is_awake: bool,
    closed: bool,
}

/// What a look gave.
#[derive(Debug)]
pub(super) enum Look {
    /// This, and perhaps more: look again.
    Some { jobs: Vec<Job>, cancels: Vec<Cancel>, woken: Vec<Woken> },
    /// Nothing, and the next one rings.
    Nothing,
    /// The pool is closed.
    Closed,
}

impl Inbox {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { state: Mutex::default(), wake: Wake::new()?, is_full: AtomicBool::new(false) })
    }

    /// What the loop is to watch for reading.
    pub(super) fn descriptor(&self) -> RawFd {
        self.wake.descriptor()
    }

    /// Hands a job over. Never blocks.
    ///
    /// # Errors
    ///
    /// The job, when the inbox is closed.
    pub(super) fn push(&self, job: Job) -> Result<(), Job> {
        let mut state = self.lock();
        if state.closed {
            return Err(job);
        }
        state.jobs.push_back(job);
        // A full loop looks for jobs when one of its calls has ended.
        if !self.is_full.load(Ordering::Relaxed) {
            self.ring(state);
        }
        Ok(())
    }

    /// Asks for a call to be cancelled. Never blocks.
    pub(super) fn cancel(&self, cancel: Cancel) {
        let mut state = self.lock();
        if !state.closed {
            state.cancels.push(cancel);
            self.ring(state);
        }
    }

    /// Says that there may be what a call waits for. Never blocks.
    pub(super) fn wake(&self, woken: Woken) {
        let mut state = self.lock();
        if !state.closed {
            state.woken.push(woken);
            self.ring(state);
        }
    }

    /// Has the loop look, whether there is anything or not.
    pub(super) fn call(&self) {
        self.ring(self.lock());
    }

    /// Nothing is taken from now on; the loop ends. The jobs that wait are given up.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let (jobs, cancels) = (mem::take(&mut state.jobs), mem::take(&mut state.cancels));
        self.ring(state);
        drop((jobs, cancels));
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The loop's side, first in each round: what was rung until now is being seen to.
    pub(super) fn hear(&self) {
        self.wake.clear();
    }

    /// The loop's side: takes everything, but no more jobs than there is `room` for.
    pub(super) fn look(&self, room: usize) -> Look {
        let mut state = self.lock();
        if state.closed {
            return Look::Closed;
        }
        let count = room.min(state.jobs.len());
        if count == 0 && state.cancels.is_empty() && state.woken.is_empty() {
            state.is_awake = false;
            self.is_full.store(!state.jobs.is_empty(), Ordering::Relaxed);
            return Look::Nothing;
        }
        let State { jobs, cancels, woken, .. } = &mut *state;
        Look::Some { jobs: jobs.drain(..count).collect(), cancels: mem::take(cancels), woken: mem::take(woken) }
    }

    /// The loop's side: it stops in the middle of its work, to go on in its next round.
    pub(super) fn put_off(&self) {
        self.wake.ring();
    }

    /// The loop's side: a call has ended, so that there is room for another one.
    pub(super) fn has_room(&self) {
        if self.is_full.swap(false, Ordering::Relaxed) {
            self.call();
        }
    }

    /// Rings after the lock is released, so that the loop does not run into it.
    fn ring(&self, mut state: MutexGuard<'_, State>) {
        let rings = !mem::replace(&mut state.is_awake, true);
        drop(state);
        if rings {
            self.wake.ring();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing below the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
