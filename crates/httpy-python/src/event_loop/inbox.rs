//! `Inbox`: what other threads hand to an event loop: jobs, calls to cancel, and calls whose streams have something for them.
//!
//! As many jobs as may be in flight on the loop are admitted at once, and give their place in the queue back: they count from
//! here on, so that a burst of them finds room while the loop is busy. What is beyond that waits with its place in the
//! queue, until a call ends.
//!
//! Whoever puts something in rings the loop only when nobody has since the loop last found it empty, so that a row of jobs
//! costs one wake-up. Two orders matter: the loop silences the bell *before* it looks, and only says that it needs a ring
//! again under the lock under which it has found nothing.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use httpy_core::{Answer, Job, TargetId, Ticket};
use tokio::sync::OwnedSemaphorePermit;

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

/// A job that has given its place in the queue back.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) target: TargetId,
    pub(super) ticket: Arc<Ticket>,
    pub(super) answer: Answer,
}

/// What one loop has not taken yet.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    wake: Wake,
    /// So many jobs are admitted at most.
    in_flight: usize,
}

#[derive(Debug, Default)]
struct State {
    jobs: Vec<Admitted>,
    /// Jobs for which there is no room. Bounded by the places in the queue that they have.
    waiting: VecDeque<Job>,
    /// How many jobs were admitted and have not ended.
    admitted: usize,
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
    Some {
        jobs: Vec<Admitted>,
        cancels: Vec<Cancel>,
        woken: Vec<Woken>,
    },
    /// Nothing, and the next one rings.
    Nothing,
    /// The pool is closed.
    Closed,
}

impl Inbox {
    /// One that admits so many jobs.
    ///
    /// # Errors
    ///
    /// When the process has too many files open.
    pub(super) fn new(in_flight: usize) -> io::Result<Self> {
        Ok(Self {
            state: Mutex::default(),
            wake: Wake::new()?,
            in_flight,
        })
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
        if state.admitted >= self.in_flight {
            state.waiting.push_back(job);
            return Ok(());
        }
        state.admitted += 1;
        let slot = state.admit(job);
        self.ring(state);
        drop(slot);
        Ok(())
    }

    /// The loop's side: an admitted job has ended, so that there is room for another one.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        match state.waiting.pop_front() {
            None => state.admitted = state.admitted.saturating_sub(1),
            Some(job) => {
                let slot = state.admit(job);
                self.ring(state);
                drop(slot);
            }
        }
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
        let given_up = (
            mem::take(&mut state.jobs),
            mem::take(&mut state.waiting),
            mem::take(&mut state.cancels),
        );
        self.ring(state);
        drop(given_up);
    }

    /// Nothing is taken from now on: the jobs that are left, those that were admitted first.
    pub(super) fn hand_over(&self) -> (Vec<Admitted>, VecDeque<Job>) {
        let mut state = self.lock();
        state.closed = true;
        let left = (mem::take(&mut state.jobs), mem::take(&mut state.waiting));
        self.ring(state);
        left
    }

    /// Takes over jobs that another inbox has admitted, however many may be in flight. False where it is closed.
    pub(super) fn take_over(&self, jobs: Vec<Admitted>) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.admitted += jobs.len();
        state.jobs.extend(jobs);
        self.ring(state);
        true
    }

    /// Whether a job that waits here was to be answered by `before`.
    pub(super) fn is_overdue(&self, before: Instant) -> bool {
        let state = self.lock();
        let admitted = state.jobs.iter().map(|job| job.ticket.clocks.deadline);
        let waiting = state.waiting.iter().map(|job| job.ticket.clocks.deadline);
        admitted.chain(waiting).any(|deadline| deadline <= before)
    }

    /// The loop's side, first in each round: what was rung until now is being seen to.
    pub(super) fn hear(&self) {
        self.wake.clear();
    }

    /// The loop's side: takes everything.
    pub(super) fn look(&self) -> Look {
        let mut state = self.lock();
        if state.closed {
            return Look::Closed;
        }
        if state.jobs.is_empty() && state.cancels.is_empty() && state.woken.is_empty() {
            state.is_awake = false;
            return Look::Nothing;
        }
        let State {
            jobs,
            cancels,
            woken,
            ..
        } = &mut *state;
        Look::Some {
            jobs: mem::take(jobs),
            cancels: mem::take(cancels),
            woken: mem::take(woken),
        }
    }

    /// The loop's side: it stops in the middle of its work, to go on in its next round.
    pub(super) fn put_off(&self) {
        self.wake.ring();
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

impl State {
    /// Hands a job to the loop; its place in the queue, to be given back without the lock.
    fn admit(&mut self, job: Job) -> OwnedSemaphorePermit {
        let Job {
            target,
            ticket,
            answer,
            slot,
        } = job;
        self.jobs.push(Admitted {
            target,
            ticket,
            answer,
        });
        slot
    }
}
