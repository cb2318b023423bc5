//! `Queue`: the line of jobs before the workers of one interpreter, and the rule by which workers take them.
//!
//! A worker owns a [`Seat`] for its whole life and is in one of these states:
//!
//! | state | attached | what it does | how it ends |
//! |---|---|---|---|
//! | lead | yes | takes job after job, watches for the next | no job is left: idle; another worker leads: overtaken |
//! | overtaken | yes | finishes the one job it is in | idle; standby when jobs wait and nobody stands by; lead when nobody leads |
//! | standby | waits to be | queues for the interpreter itself | attached: it is the lead; no job is left before that: idle |
//! | idle | no | sleeps | called: standby; idle for long: retired |
//!
//! On a GIL build there is one lead and at most one standby. While a job waits and the lead is in a handler, somebody
//! stands by: the operating system gives it the interpreter the instant the handler blocks, and after a switch
//! interval when the handler computes. Taking the first job makes it the lead, and the former lead learns of that when
//! it asks for its next job. More threads in line for the interpreter would only fight over it.
//!
//! On a free-threaded build the lead means nothing: every called worker takes jobs, and one is called per job.
//!
//! All state is behind one mutex that is held for a few instructions. Attaching, detaching and starting threads is left
//! to the caller, always outside of that mutex.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a lead without a job looks out for the next one before it sleeps.
const WATCH: Duration = Duration::from_micros(50);

/// A worker's place, from 0 up to the maximum of workers; also the number in its thread's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seat(pub usize);

/// What an attached worker is to do next.
#[derive(Debug)]
pub enum Take<J> {
    /// Run this job. Where a seat comes along, start a worker for it first.
    Job(J, Option<Seat>),
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

/// What became of a worker that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// There may be another in its place. Where a seat comes along, start a worker for it.
    Replaced(Option<Seat>),
    /// As many as may be are replaced already: there is one worker less until one comes back.
    Spent,
}

/// The jobs that wait for the workers of one interpreter. Bounded by the permits that each job carries.
#[derive(Debug)]
pub struct Queue<J> {
    state: Mutex<State<J>>,
    /// One per seat: whoever is called sleeps alone, so that no other thread wakes up.
    bells: Box<[Condvar]>,
    /// What a lead that watches looks at; what counts is `jobs`, behind the mutex.
    arrived: AtomicBool,
    min: usize,
    max: usize,
    spare: usize,
    retire_after: Duration,
}

#[derive(Debug)]
struct State<J> {
    jobs: VecDeque<J>,
    lead: Option<Seat>,
    /// By seat: called or started, but not yet here to take a job. On a GIL build the one that is coming is the standby.
    coming: Box<[bool]>,
    /// How many are coming.
    on_their_way: usize,
    /// Workers with nothing to do; the last to become idle is called first, since its caches are warm and the others may
    /// retire.
    idle: Vec<Seat>,
    /// Seats without a thread.
    free: Vec<Seat>,
    /// Workers that were given up and have not come back.
    lost: Vec<Seat>,
    /// The lead looks out for the next job, so that nobody need be called for it.
    watched: bool,
    exclusive: bool,
    closed: bool,
}

/// Who must hear of an appointment once the mutex is released.
enum Appointed {
    Nobody,
    Idle(Seat),
    New(Seat),
}

impl<J> Queue<J> {
    /// A queue for `min` to `max` workers that retire after having been idle for `retire_after`, and for others in the
    /// place of at most `spare` that are lost. `exclusive` is true on a GIL build: one worker at a time takes jobs.
    pub fn new(min: usize, max: usize, spare: usize, retire_after: Duration, exclusive: bool) -> Self {
        let max = max.max(1);
        let seats = max + spare;
        Self {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                lead: None,
                coming: vec![false; seats].into(),
                on_their_way: 0,
                idle: Vec::with_capacity(seats),
                free: (0..seats).rev().map(Seat).collect(),
                lost: Vec::new(),
                watched: false,
                exclusive,
                closed: false,
            }),
            bells: (0..seats).map(|_| Condvar::new()).collect(),
            arrived: AtomicBool::new(false),
            min: min.min(max),
            max,
            spare,
            retire_after,
        }
    }

    /// The seats for which the caller starts threads before the first job.
    pub fn first_seats(&self) -> Vec<Seat> {
        let mut state = self.lock();
        (0..self.min).map_while(|_| state.free.pop()).collect()
    }

    /// Adds a job. Where a seat comes back, the caller starts a worker for it.
    ///
    /// # Errors
    ///
    /// The job itself, when the queue is closed.
    pub fn push(&self, job: J) -> Result<Option<Seat>, J> {
        let mut state = self.lock();
        if state.closed {
            return Err(job);
        }
        state.jobs.push_back(job);
        if state.watched {
            self.arrived.store(true, Ordering::Release);
            return Ok(None);
        }
        Ok(self.call(state))
    }

    /// What the worker of `seat`, attached, does next. A lead without a job watches for one for at most 50 µs first: to
    /// wake a thread takes longer than most pauses between two requests of a busy client. It does so attached, and only
    /// while no other worker is in a handler, which might want the interpreter back just then.
    pub fn take(&self, seat: Seat) -> Take<J> {
        let mut state = self.lock();
        // A worker that was lost and comes here is not lost any more.
        state.lost.retain(|lost| *lost != seat);
        let was_coming = state.arrive(seat);
        // Who was coming overtakes; and where nobody leads, whoever is here does, without another round through the
        // interpreter.
        if was_coming || state.lead.is_none() {
            state.lead = Some(seat);
        }
        if self.active(&state) > self.max && !was_coming {
            // It came back to find another in its place.
            state.lead = state.lead.filter(|lead| *lead != seat);
            return Take::Wait;
        }
        if state.exclusive && state.lead != Some(seat) {
            // Overtaken while it was in a handler. Where every other seat was busy nobody stands by for the jobs that
            // came meanwhile, and nobody else would ever be told of them.
            if state.wants_another() {
                state.summon(seat);
            } else {
                state.idle.push(seat);
            }
            return Take::Wait;
        }
        if state.jobs.is_empty() && state.may_watch(self.alive(&state)) {
            state = self.watch(state);
        }
        let Some(job) = state.jobs.pop_front() else {
            state.lead = None;
            state.idle.push(seat);
            return Take::Wait;
        };
        Take::Job(job, self.call(state))
    }

    /// Sleeps, detached, until the worker of `seat` is called or may retire.
    pub fn wait(&self, seat: Seat) -> Wait {
        let bell = &self.bells[seat.0];
        let mut state = self.lock();
        loop {
            if state.coming[seat.0] {
                if !state.jobs.is_empty() {
                    return Wait::Attach;
                }
                // The lead was quicker: nobody is needed, and the next job calls again.
                state.arrive(seat);
                state.idle.push(seat);
            }
            // Whatever still waits is the business of the lead and of the standby.
            if state.closed || self.active(&state) > self.max {
                return state.retire(seat);
            }
            if self.alive(&state) > self.min {
                let (guard, slept) =
                    bell.wait_timeout(state, self.retire_after).unwrap_or_else(PoisonError::into_inner);
                state = guard;
                if slept.timed_out() && self.alive(&state) > self.min && !state.coming[seat.0] {
                    return state.retire(seat);
                }
            } else {
                state = bell.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Frees the seat of a worker that could not be started, or that ended without having been told to. What it was
    /// called for goes to an idle worker, if there is one.
    pub fn vacate(&self, seat: Seat) {
        let mut state = self.lock();
        if state.free.contains(&seat) {
            return;
        }
        state.lead = state.lead.filter(|lead| *lead != seat);
        state.retire(seat);
        if !state.idle.is_empty() {
            // With an idle worker there no seat comes back.
            let _ = self.call(state);
        }
    }

    /// Gives up the worker of `seat`, which does not come back from a handler, until it does: another one may be started in
    /// its place.
    pub fn lose(&self, seat: Seat) -> Lost {
        let mut state = self.lock();
        if state.lost.contains(&seat) {
            return Lost::Replaced(None);
        }
        state.lost.push(seat);
        state.lead = state.lead.filter(|lead| *lead != seat);
        if state.lost.len() > self.spare { Lost::Spent } else { Lost::Replaced(self.call(state)) }
    }

    /// How many workers are lost.
    pub fn lost(&self) -> usize {
        self.lock().lost.len()
    }

    /// Calls a worker for jobs whose worker was lost. Where a seat comes back, the caller starts a worker for it.
    pub fn call_again(&self) -> Option<Seat> {
        self.call(self.lock())
    }

    /// Whether one worker at a time takes jobs: an import can switch the GIL on for good.
    pub fn set_exclusive(&self, exclusive: bool) {
        self.lock().exclusive = exclusive;
    }

    /// No new job from now on; the workers finish what waits and retire.
    pub fn close(&self) {
        self.lock().closed = true;
        self.arrived.store(true, Ordering::Release);
        for bell in &self.bells {
            bell.notify_one();
        }
    }

    /// How many workers have a thread.
    #[cfg(test)]
    fn workers(&self) -> usize {
        self.alive(&self.lock())
    }

    /// Workers with a thread, but for those that have been replaced.
    fn active(&self, state: &State<J>) -> usize {
        self.alive(state) - state.lost.len().min(self.spare)
    }

    fn alive(&self, state: &State<J>) -> usize {
        self.bells.len() - state.free.len()
    }

    /// Calls a worker if one is needed. The bell rings after the mutex is released, so that the woken thread does not
    /// run into it.
    fn call(&self, mut state: MutexGuard<'_, State<J>>) -> Option<Seat> {
        let may_grow = self.active(&state) < self.max;
        let appointed = state.appoint(may_grow);
        drop(state);
        match appointed {
            Appointed::Nobody => None,
            Appointed::Idle(seat) => {
                self.bells[seat.0].notify_one();
                None
            }
            Appointed::New(seat) => Some(seat),
        }
    }

    /// Looks out for a job for a moment, at the cost of no thread that wants to run.
    fn watch<'a>(&'a self, mut state: MutexGuard<'a, State<J>>) -> MutexGuard<'a, State<J>> {
        self.arrived.store(state.closed, Ordering::Relaxed);
        state.watched = true;
        drop(state);
        let begun = Instant::now();
        while !self.arrived.load(Ordering::Acquire) && begun.elapsed() < WATCH {
            std::thread::yield_now();
        }
        state = self.lock();
        state.watched = false;
        state
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // Nothing below the lock can panic half-way, so that a poisoned state is still a right one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> State<J> {
    /// Whether a worker should come for what waits: one at a time stands by on a GIL build, else one per job.
    fn wants_another(&self) -> bool {
        let enough = if self.exclusive { self.jobs.len().min(1) } else { self.jobs.len() };
        self.on_their_way < enough
    }

    /// Whether the lead may keep the interpreter while it has nothing to do: there is one, and all others are idle or on
    /// their way.
    fn may_watch(&self, alive: usize) -> bool {
        self.exclusive && self.idle.len() + self.on_their_way + 1 >= alive
    }

    fn appoint(&mut self, may_grow: bool) -> Appointed {
        if !self.wants_another() {
            return Appointed::Nobody;
        }
        let (seat, appointed) = if let Some(seat) = self.idle.pop() {
            (seat, Appointed::Idle(seat))
        } else if may_grow && let Some(seat) = self.free.pop() {
            (seat, Appointed::New(seat))
        } else {
            return Appointed::Nobody;
        };
        self.summon(seat);
        appointed
    }

    fn summon(&mut self, seat: Seat) {
        self.coming[seat.0] = true;
        self.on_their_way += 1;
    }

    /// Whether the worker of `seat` was coming; from now on it is not.
    fn arrive(&mut self, seat: Seat) -> bool {
        let was_coming = std::mem::take(&mut self.coming[seat.0]);
        self.on_their_way -= usize::from(was_coming);
        was_coming
    }

    fn retire(&mut self, seat: Seat) -> Wait {
        self.arrive(seat);
        self.idle.retain(|idle| *idle != seat);
        self.lost.retain(|lost| *lost != seat);
        self.free.push(seat);
        Wait::Retire
    }
}

#[cfg(test)]
mod tests;
