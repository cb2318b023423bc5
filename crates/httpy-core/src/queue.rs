//! `Queue`: the line of jobs before the workers of one interpreter, and the rule by which workers take them.
//!
//! A worker owns a [`Seat`] for its whole life and is in one of these states:
//!
//! | state | attached | what it does | how it ends |
//! |---|---|---|---|
//! | lead | yes | takes job after job | no job is left: idle; another worker leads: overtaken |
//! | overtaken | yes | finishes the one job it is in | idle, or standby when jobs wait and nobody stands by |
//! | standby | waits to be | queues for the interpreter itself | attached: it is the lead |
//! | idle | no | sleeps | called: standby; idle for long: retired |
//!
//! On a GIL build there is one lead and at most one standby. While a job waits and the lead is in a handler, somebody
//! stands by: the operating system gives it the interpreter the instant the handler blocks, and after a switch
//! interval when the handler computes. Taking the first job makes it the lead, and the former lead learns of that when
//! it asks for its next job. More threads in line for the interpreter would only fight over it.
//!
//! On a free-threaded build there is no lead: every called worker takes jobs.
//!
//! All state is behind one mutex that is held for a few instructions. Attaching, detaching and starting threads is left
//! to the caller, always outside of that mutex.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

/// The jobs that wait for the workers of one interpreter. Bounded by the permits that each job carries.
#[derive(Debug)]
pub struct Queue<J> {
    state: Mutex<State<J>>,
    /// One per seat: whoever is called sleeps alone, so that no other thread wakes up.
    bells: Box<[Condvar]>,
    min: usize,
    retire_after: Duration,
}

#[derive(Debug)]
struct State<J> {
    jobs: VecDeque<J>,
    lead: Option<Seat>,
    standby: Option<Seat>,
    /// Sleeping workers; the last to fall asleep is called first, since its caches are warm and the others may retire.
    idle: Vec<Seat>,
    /// Seats without a thread.
    free: Vec<Seat>,
    /// By seat: called, but not yet awake.
    called: Box<[bool]>,
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
    /// A queue for `min` to `max` workers that retire after having been idle for `retire_after`. `exclusive` is true
    /// on a GIL build: one worker at a time takes jobs.
    pub fn new(min: usize, max: usize, retire_after: Duration, exclusive: bool) -> Self {
        let max = max.max(1);
        Self {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                lead: None,
                standby: None,
                idle: Vec::with_capacity(max),
                free: (0..max).rev().map(Seat).collect(),
                called: vec![false; max].into(),
                exclusive,
                closed: false,
            }),
            bells: (0..max).map(|_| Condvar::new()).collect(),
            min: min.min(max),
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
        Ok(self.call(state))
    }

    /// What the worker of `seat`, attached, does next.
    pub fn take(&self, seat: Seat) -> Take<J> {
        let mut state = self.lock();
        if state.standby == Some(seat) {
            state.standby = None;
            state.lead = Some(seat);
        }
        if state.exclusive && state.lead != Some(seat) {
            // Overtaken while it was in a handler. Where every other seat was busy nobody stands by for the jobs that
            // came meanwhile, and nobody else would ever be told of them.
            if state.standby.is_none() && !state.jobs.is_empty() {
                state.standby = Some(seat);
                state.called[seat.0] = true;
            } else {
                state.idle.push(seat);
            }
            return Take::Wait;
        }
        let Some(job) = state.jobs.pop_front() else {
            state.lead = None;
            state.idle.push(seat);
            return Take::Wait;
        };
        let start = if state.jobs.is_empty() { None } else { self.call(state) };
        Take::Job(job, start)
    }

    /// Sleeps, detached, until the worker of `seat` is called or may retire.
    pub fn wait(&self, seat: Seat) -> Wait {
        let bell = &self.bells[seat.0];
        let mut state = self.lock();
        loop {
            if std::mem::take(&mut state.called[seat.0]) {
                return Wait::Attach;
            }
            // Whatever still waits is the business of the lead and of the standby.
            if state.closed {
                return state.retire(seat);
            }
            let alive = self.bells.len() - state.free.len();
            if alive > self.min {
                let (guard, slept) =
                    bell.wait_timeout(state, self.retire_after).unwrap_or_else(PoisonError::into_inner);
                state = guard;
                let alive = self.bells.len() - state.free.len();
                if slept.timed_out() && alive > self.min && !state.called[seat.0] {
                    return state.retire(seat);
                }
            } else {
                state = bell.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Frees the seat of a worker that could not be started, or that ended without having been told to.
    pub fn vacate(&self, seat: Seat) {
        let mut state = self.lock();
        if !state.free.contains(&seat) {
            state.called[seat.0] = false;
            state.lead = state.lead.filter(|lead| *lead != seat);
            state.standby = state.standby.filter(|standby| *standby != seat);
            state.retire(seat);
        }
    }

    /// Calls a worker for jobs whose worker was lost. Where a seat comes back, the caller starts a worker for it.
    pub fn call_again(&self) -> Option<Seat> {
        let state = self.lock();
        if state.jobs.is_empty() { None } else { self.call(state) }
    }

    /// Whether one worker at a time takes jobs: an import can switch the GIL on for good.
    pub fn set_exclusive(&self, exclusive: bool) {
        self.lock().exclusive = exclusive;
    }

    /// No new job from now on; the workers finish what waits and retire.
    pub fn close(&self) {
        self.lock().closed = true;
        for bell in &self.bells {
            bell.notify_one();
        }
    }

    /// How many jobs wait.
    pub fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Whether no job waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many workers have a thread.
    pub fn workers(&self) -> usize {
        self.bells.len() - self.lock().free.len()
    }

    /// Calls a worker if one is needed. The bell rings after the mutex is released, so that the woken thread does not
    /// run into it.
    fn call(&self, mut state: MutexGuard<'_, State<J>>) -> Option<Seat> {
        let appointed = state.appoint();
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

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // Nothing below the lock can panic half-way, so that a poisoned state is still a right one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> State<J> {
    fn appoint(&mut self) -> Appointed {
        if self.exclusive && self.standby.is_some() {
            return Appointed::Nobody;
        }
        let (seat, appointed) = if let Some(seat) = self.idle.pop() {
            self.called[seat.0] = true;
            (seat, Appointed::Idle(seat))
        } else if let Some(seat) = self.free.pop() {
            (seat, Appointed::New(seat))
        } else {
            return Appointed::Nobody;
        };
        if self.exclusive {
            self.standby = Some(seat);
        }
        appointed
    }

    fn retire(&mut self, seat: Seat) -> Wait {
        self.idle.retain(|idle| *idle != seat);
        self.free.push(seat);
        Wait::Retire
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn job<J: std::fmt::Debug>(take: Take<J>) -> (J, Option<Seat>) {
        match take {
            Take::Job(job, start) => (job, start),
            Take::Wait => panic!("expected a job"),
        }
    }

    #[test]
    fn one_worker_leads_and_one_stands_by_however_many_jobs_wait() {
        let queue = Queue::new(0, 4, LONG, true);
        let first = queue.push(1).unwrap().expect("nobody is there yet");
        assert_eq!(queue.push(2).unwrap(), None, "the first is still on its way");
        let (one, second) = job(queue.take(first));
        assert_eq!(one, 1);
        let second = second.expect("a job waits and the lead is in a handler");
        assert_eq!(queue.push(3).unwrap(), None, "one stands by already");

        // The standby gets the interpreter: it leads, and the former lead goes to sleep.
        let (two, third) = job(queue.take(second));
        assert_eq!(two, 2);
        assert!(third.is_some());
        assert!(matches!(queue.take(first), Take::Wait));
        assert_eq!(queue.workers(), 3);
    }

    #[test]
    fn a_worker_that_returns_stands_by_when_all_others_were_busy() {
        let queue = Queue::new(0, 2, LONG, true);
        let first = queue.push(1).unwrap().unwrap();
        queue.push(2).unwrap();
        let second = job(queue.take(first)).1.unwrap();
        job(queue.take(second));
        assert_eq!(queue.push(3).unwrap(), None, "both are in handlers");

        assert!(matches!(queue.take(first), Take::Wait));
        assert_eq!(queue.wait(first), Wait::Attach, "it was appointed as it returned");
        assert_eq!(job(queue.take(first)).0, 3);
        assert!(matches!(queue.take(second), Take::Wait), "the first leads now");
    }

    #[test]
    fn an_idle_worker_is_called_before_a_new_one_is_started() {
        let queue = Queue::new(0, 2, LONG, true);
        let first = queue.push(1).unwrap().unwrap();
        job(queue.take(first));
        assert!(matches!(queue.take(first), Take::Wait));
        assert_eq!(queue.push(2).unwrap(), None);
        assert_eq!(queue.wait(first), Wait::Attach);
        assert_eq!(job(queue.take(first)).0, 2);
    }

    #[test]
    fn without_a_gil_every_worker_takes_jobs() {
        let queue = Queue::new(0, 2, LONG, false);
        let first = queue.push(1).unwrap().unwrap();
        let second = queue.push(2).unwrap().unwrap();
        assert_eq!(job(queue.take(first)).0, 1);
        assert_eq!(job(queue.take(second)).0, 2);
        assert_eq!(queue.push(3).unwrap(), None);
        assert_eq!(job(queue.take(first)).0, 3);
    }

    #[test]
    fn an_idle_worker_above_the_minimum_retires() {
        let queue = Queue::new(1, 2, Duration::ZERO, true);
        assert_eq!(queue.first_seats().len(), 1);
        let second = queue.push(1).unwrap().unwrap();
        job(queue.take(second));
        assert!(matches!(queue.take(second), Take::Wait));
        assert_eq!(queue.wait(second), Wait::Retire);
        assert_eq!(queue.workers(), 1);
    }

    #[test]
    fn a_closed_queue_refuses_new_jobs_and_finishes_the_old_ones() {
        let queue = Queue::new(0, 1, LONG, true);
        let seat = queue.push(1).unwrap().unwrap();
        queue.close();
        assert_eq!(queue.push(2), Err(2));
        assert_eq!(job(queue.take(seat)).0, 1);
        assert!(matches!(queue.take(seat), Take::Wait));
        assert_eq!(queue.wait(seat), Wait::Retire);
    }

    #[test]
    fn the_part_of_a_worker_that_could_not_start_goes_to_another() {
        let queue = Queue::new(0, 2, LONG, true);
        let lost = queue.push(1).unwrap().unwrap();
        queue.vacate(lost);
        let next = queue.call_again().expect("the job still waits");
        assert_eq!(job(queue.take(next)).0, 1);
    }

    #[test]
    fn threads_take_every_job_once() {
        let queue = Queue::new(0, 3, LONG, true);
        let taken = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            fn start<'s>(
                scope: &'s std::thread::Scope<'s, '_>,
                queue: &'s Queue<u32>,
                taken: &'s Mutex<Vec<u32>>,
                seat: Seat,
            ) {
                scope.spawn(move || {
                    loop {
                        match queue.take(seat) {
                            Take::Job(job, new) => {
                                if let Some(new) = new {
                                    start(scope, queue, taken, new);
                                }
                                taken.lock().unwrap().push(job);
                            }
                            Take::Wait if queue.wait(seat) == Wait::Retire => break,
                            Take::Wait => {}
                        }
                    }
                });
            }
            for number in 0..1000 {
                if let Some(seat) = queue.push(number).unwrap() {
                    start(scope, &queue, &taken, seat);
                }
            }
            queue.close();
        });
        let mut taken = taken.into_inner().unwrap();
        taken.sort_unstable();
        assert_eq!(taken, (0..1000).collect::<Vec<_>>());
    }
}
