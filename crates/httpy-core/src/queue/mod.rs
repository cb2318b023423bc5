//! `Queue`: the line of jobs before the workers of one interpreter: who sleeps, who is woken, who watches.
//!
//! The rules (which worker takes jobs, who is called, who retires) are in [`state`], without any thread; what is here puts
//! them behind one mutex, which is held for a few instructions, and lets the workers sleep. Attaching, detaching and
//! starting threads is left to the caller, always outside of that mutex.
//!
//! Four orders matter:
//!
//! 1. A job is in the line before anyone is called for it, and a called worker that finds the line empty goes back to
//!    sleep without attaching: nobody is called in vain, and no job waits for somebody who was told before it came.
//! 2. A lead says that it watches, and stops saying so, under the mutex, and looks at the line after that: a job that came
//!    without calling anyone is always seen.
//! 3. A bell rings after the mutex is released, so that the woken thread does not run into it. The call itself is in the
//!    state by then, so that a worker on its way to sleep finds it there.
//! 4. A worker has put its answer aside before it asks for the next job, where it learns whether somebody looks on; who
//!    looks on lets out what lies there after it has stopped to. An answer is kept back either while the lead has jobs and
//!    goes on, or for the moment until that is noticed.
//!
//! `model.rs` checks all of this by trying every interleaving of small cases (`make model`).

mod bell;
#[cfg(test)]
#[cfg(httpy_model)]
mod model;
mod pace;
mod state;
#[cfg(test)]
#[cfg(not(httpy_model))]
mod tests;
mod view;

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use self::bell::{Bell, Flag, Mutex, MutexGuard};
use self::state::{Appointed, Rest, State};
pub use self::view::{Line, Standing};

/// How long a lead without a job looks out for the next one before it sleeps. Waking a thread takes longer than most pauses
/// between two requests of a busy client.
const WATCH: Duration = Duration::from_micros(50);

/// After a row of jobs it sleeps for so long instead, in truth for about 60 µs: the next ones come in a row, too, and those who
/// send them need the processor meanwhile. With 64 busy connections on 2 cores, p99 was 2.3 ms instead of 3.2, at about the
/// same rate.
const NAP: Duration = Duration::from_micros(5);

/// How often a worker that looks on does so.
const LOOK: Duration = Duration::from_micros(500);

/// A worker's place, from 0 up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seat(pub usize);

/// When a worker waited for the interpreter.
#[derive(Clone, Copy, Debug)]
pub struct InLine {
    /// Since then.
    pub called: Instant,
    /// Until then.
    pub attached: Instant,
}

impl InLine {
    /// For how long.
    pub fn waited(&self) -> Duration {
        self.attached.saturating_duration_since(self.called)
    }

    #[cfg(test)]
    #[cfg(not(httpy_model))]
    fn of(time: Duration) -> Self {
        let called = Instant::now();
        Self {
            called,
            attached: called + time,
        }
    }
}

impl Seat {
    /// The number of the worker, as people count.
    pub const fn number(self) -> usize {
        self.0 + 1
    }
}

/// How many workers there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seats {
    /// Workers that never retire.
    pub min: usize,
    /// Workers at most, those not counted that are lost. At least 1.
    pub max: usize,
    /// Maximum number of lost workers that are replaced.
    pub spare: usize,
}

impl Seats {
    /// How many seats there are.
    pub const fn all(self) -> usize {
        self.max + self.spare
    }
}

/// What an attached worker is to do next.
#[derive(Debug)]
pub enum Take<J> {
    /// Run this job.
    Job {
        /// The job.
        job: J,
        /// First, start a worker for this seat.
        start: Option<Seat>,
        /// The part of its wait during which a worker waited for the interpreter to take it.
        attach: Duration,
    },
    /// Detach and [`wait`](Queue::wait).
    Wait,
}

/// What a detached worker is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Attach and [`take`](Queue::take).
    Attach,
    /// End the thread; the seat is free again.
    Retire,
}

/// What came of giving a worker up for lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It is not: it had come back.
    Returned,
    /// Another may run in its stead. Where a seat comes along, start a worker for it: jobs wait.
    Replaced(Option<Seat>),
    /// As many as may be replaced were lost already: there is one worker less until one comes back.
    Spent,
}

/// The jobs that wait for the workers of one interpreter. Bounded by the permits that each job carries.
#[derive(Debug)]
pub struct Queue<J> {
    state: Mutex<State<J>>,
    /// One per seat: whoever is called sleeps alone, so that no other thread wakes up.
    bells: Box<[Bell]>,
    /// What a lead that watches looks at; what counts is the line, behind the mutex.
    arrived: Flag,
    retire_after: Duration,
}

impl<J> Queue<J> {
    /// A queue for workers that retire after having been idle for `retire_after`. `exclusive` is true on a GIL build: one
    /// worker at a time takes jobs.
    pub fn new(seats: Seats, retire_after: Duration, exclusive: bool) -> Self {
        let state = State::new(seats, exclusive);
        Self {
            bells: (0..state.seats()).map(|_| Bell::new()).collect(),
            state: Mutex::new(state),
            arrived: Flag::new(),
            retire_after,
        }
    }

    /// The seats for which the caller starts threads before the first job.
    pub fn first_seats(&self) -> Vec<Seat> {
        self.lock().first_seats()
    }

    /// Adds a job. Where a seat comes back, the caller starts a worker for it.
    ///
    /// # Errors
    ///
    /// The job itself, when the queue is closed.
    pub fn push(&self, job: J) -> Result<Option<Seat>, J> {
        let mut state = self.lock();
        state.push(job)?;
        if state.is_watched() {
            self.arrived.set(true);
            return Ok(None);
        }
        Ok(self.call(state))
    }

    /// What the worker of `seat`, attached, does next. A lead without a job watches for one for at most 50 µs first: to
    /// wake a thread takes longer than most pauses between two requests of a busy client.
    ///
    /// The worker may have kept answers back until here. `let_out` lets them out, of whichever worker; it is called outside
    /// of the mutex, unless the next job is there at once and a worker polls: that one lets them out after a millisecond
    /// at most, should the next handler take long after all.
    pub fn take(&self, seat: Seat, mut let_out: impl FnMut()) -> Take<J> {
        let mut state = self.lock();
        if !state.arrive(seat) {
            drop(state);
            let_out();
            return Take::Wait;
        }
        let watches = state.may_watch();
        if watches {
            state = self.watch(state, &mut let_out);
        }
        // Where it has watched, they are out already.
        let Some((job, attach)) = state.next_job(seat) else {
            drop(state);
            if !watches {
                let_out();
            }
            return Take::Wait;
        };
        let keeps_back = watches || state.is_looked_on();
        let start = self.call(state);
        if !keeps_back {
            let_out();
        }
        Take::Job { job, start, attach }
    }

    /// Whether the worker of `seat`, attached and between two jobs, goes to [`wait`](Self::wait) because there is a
    /// standby. The interpreter then changes hands here, where no request has to wait for it to come back. To be asked whenever
    /// a turn is over; `now` is the time. If it does not, it gives up the interpreter for a moment and calls
    /// [`gave_way`](Self::gave_way) when it has it again.
    pub fn step_down(&self, seat: Seat, now: Instant) -> bool {
        self.lock().step_down(seat, now)
    }

    /// Says that the worker of `seat` has the interpreter again since `now`.
    pub fn gave_way(&self, seat: Seat, now: Instant) {
        self.lock().gave_way(seat, now);
    }

    /// Says, before its next [`take`](Self::take), that the worker of `seat` was called and has got the interpreter, for which
    /// it stood in `line`; `interval` is the switch interval. So the lead's handler computes, or has detached.
    pub fn attached(&self, seat: Seat, line: InLine, interval: Duration) {
        self.lock().attached(seat, line, interval);
    }

    /// Sleeps, detached, until the worker of `seat` is called or may retire; a new one comes here first. `let_out` is that of
    /// [`take`](Self::take).
    pub fn wait(&self, seat: Seat, mut let_out: impl FnMut()) -> Wait {
        let bell = &self.bells[seat.0];
        let mut state = self.lock();
        let mut looked_on = false;
        loop {
            looked_on |= state.looks_on(seat);
            match state.look_up(seat) {
                Rest::LookOn => {
                    let taken = state.pace().taken();
                    drop(state);
                    bell::pause(LOOK);
                    state = self.lock();
                    state.has_looked(seat, taken);
                }
                rest if looked_on => {
                    looked_on = false;
                    // Nothing is kept back any more on account of this worker, but something may be from before.
                    drop(state);
                    let_out();
                    if let Rest::Retire = rest {
                        return Wait::Retire;
                    }
                    // It may have been called meanwhile, or the job may be gone.
                    state = self.lock();
                }
                Rest::Attach => {
                    state.attaches(seat, Instant::now());
                    return Wait::Attach;
                }
                Rest::Retire => return Wait::Retire,
                Rest::HoldOff(time) => {
                    state = bell.wait_for(state, time).0;
                    state.has_held_off(seat);
                }
                Rest::Sleep if state.may_retire() => {
                    let (guard, timed_out) = bell.wait_for(state, self.retire_after);
                    state = guard;
                    // A call that came at the same moment is in the state and stands.
                    if timed_out && state.retire_idle(seat) {
                        return Wait::Retire;
                    }
                }
                Rest::Sleep => state = bell.wait(state),
            }
        }
    }

    /// Gives up the worker of `seat`, which is in a handler, for lost; `still` says whether it is in that handler yet. When
    /// it comes back after all it is a worker again, and a surplus one retires.
    pub fn lose(&self, seat: Seat, still: impl FnOnce() -> bool) -> Lost {
        let mut state = self.lock();
        // Asked under the mutex, without which no worker gets to its next job.
        if !still() {
            return Lost::Returned;
        }
        if state.lose(seat) {
            Lost::Replaced(self.call(state))
        } else {
            Lost::Spent
        }
    }

    /// How many workers are lost, replaced or not.
    pub fn lost(&self) -> usize {
        self.lock().lost()
    }

    /// Number of jobs ever taken, while a worker waits for the interpreter to take the next one. `None` while no worker does:
    /// then the interpreter is free, or a lead detaches soon.
    pub fn awaited(&self) -> Option<u64> {
        let mut state = self.lock();
        state.is_awaited().then(|| state.pace().taken())
    }

    /// Who does what now. Holds the mutex for a few instructions per seat.
    pub fn line(&self) -> Line {
        self.lock().view()
    }

    /// Frees the seat of a worker that could not be started, or that ended without having been told to. What it was
    /// called for goes to an idle worker, if there is one.
    pub fn vacate(&self, seat: Seat) {
        let mut state = self.lock();
        if state.vacate(seat) {
            // With an idle worker there no seat comes back.
            let _ = self.call(state);
        }
    }

    /// Calls a worker for jobs whose worker was lost. Where a seat comes back, the caller starts a worker for it.
    pub fn call_again(&self) -> Option<Seat> {
        self.call(self.lock())
    }

    /// Whether one worker at a time takes jobs: an import can switch the GIL on for good.
    pub fn set_exclusive(&self, exclusive: bool) {
        self.lock().set_exclusive(exclusive);
    }

    /// No new job from now on; the workers finish what waits and retire.
    pub fn close(&self) {
        self.lock().close();
        self.arrived.set(true);
        for bell in &self.bells {
            bell.ring();
        }
    }

    /// Calls a worker if one is needed.
    fn call(&self, mut state: MutexGuard<'_, State<J>>) -> Option<Seat> {
        let appointed = state.appoint();
        drop(state);
        match appointed {
            Appointed::Nobody => None,
            Appointed::Idle(seat) => {
                self.bells[seat.0].ring();
                None
            }
            Appointed::New(seat) => Some(seat),
        }
    }

    /// Looks out for a job for a moment. Whoever waits for an answer is told first.
    fn watch<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<J>>,
        let_out: &mut impl FnMut(),
    ) -> MutexGuard<'a, State<J>> {
        self.arrived.set(false);
        state.set_watched(true);
        let row = state.pace().end_row();
        drop(state);
        let_out();
        if row {
            bell::pause(NAP);
        } else {
            self.arrived.watch(WATCH);
        }
        state = self.lock();
        state.set_watched(false);
        state
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // Nothing below the lock can panic half-way, so that a poisoned state is still a right one.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        #[cfg(test)]
        state.check();
        state
    }
}
