//! Every interleaving of small cases, by loom: no job is taken twice, none is forgotten, nobody sleeps while jobs wait.
//!
//! Threads stand for workers, a mutex for the interpreter. Loom itself fails a case in which all threads sleep; what
//! holds between any two steps is checked by `State::check`.

use std::sync::Arc;

use loom::sync::{Condvar, Mutex, MutexGuard};
use loom::thread;

use super::*;

/// What a handler does, from the interpreter's point of view.
#[derive(Clone, Copy, Debug)]
enum Handler {
    /// Returns without having let go of the interpreter.
    Returns,
    /// Lets go of the interpreter for a moment, as one that waits or that CPython interrupts.
    LetsGo,
    /// Lets go of the interpreter until so many jobs have run or begun.
    WaitsFor(usize),
    /// Keeps the interpreter until so many answers were let out.
    WaitsForAnswers(usize),
}
use Handler::{LetsGo, Returns, WaitsFor, WaitsForAnswers};

struct Case {
    queue: Queue<(usize, Handler)>,
    interpreter: Mutex<()>,
    /// How often each job ran.
    ran: Mutex<Vec<usize>>,
    runs: Condvar,
    outbox: Mutex<usize>,
    /// How many answers were let out.
    answered: Mutex<usize>,
    answers: Condvar,
    /// The job that is in its handler, by seat.
    running: Mutex<Vec<Option<usize>>>,
    /// Not loom's: to look at it is no step of its own.
    threads: std::sync::Mutex<Vec<thread::JoinHandle<()>>>,
    /// Leads step down whenever they may.
    short_turns: bool,
    /// No time passes.
    begun: Instant,
}

impl Case {
    fn new(seats: Seats, jobs: usize) -> Arc<Self> {
        Self::with(seats, jobs, true, false)
    }

    fn with(seats: Seats, jobs: usize, exclusive: bool, short_turns: bool) -> Arc<Self> {
        let case = Arc::new(Self {
            queue: Queue::new(seats, Duration::MAX, exclusive),
            interpreter: Mutex::new(()),
            ran: Mutex::new(vec![0; jobs]),
            runs: Condvar::new(),
            outbox: Mutex::new(0),
            answered: Mutex::new(0),
            answers: Condvar::new(),
            running: Mutex::new(vec![None; seats.max + seats.spare]),
            threads: std::sync::Mutex::default(),
            short_turns,
            begun: Instant::now(),
        });
        for seat in case.queue.first_seats() {
            case.start(seat);
        }
        case
    }

    fn start(self: &Arc<Self>, seat: Seat) {
        let case = Arc::clone(self);
        let thread = thread::spawn(move || case.work(seat));
        self.threads.lock().unwrap().push(thread);
    }

    fn push(self: &Arc<Self>, number: usize, handler: Handler) -> bool {
        let pushed = self.queue.push((number, handler));
        if let Ok(Some(seat)) = pushed {
            self.start(seat);
        }
        pushed.is_ok()
    }

    /// The worker loop of `httpy-python`, without Python.
    fn work(self: &Arc<Self>, seat: Seat) {
        while self.queue.wait(seat, || self.let_out()) == Wait::Attach {
            let mut attached = self.attach();
            loop {
                if self.short_turns && self.queue.step_down(seat, self.begun) {
                    break;
                }
                let Take::Job {
                    job: (number, handler),
                    start,
                    ..
                } = self.queue.take(seat, || self.let_out())
                else {
                    break;
                };
                if let Some(seat) = start {
                    self.start(seat);
                }
                self.running.lock().unwrap()[seat.0] = Some(number);
                self.ran.lock().unwrap()[number] += 1;
                self.runs.notify_all();
                attached = match handler {
                    Returns => attached,
                    LetsGo => {
                        drop(attached);
                        self.attach()
                    }
                    WaitsFor(jobs) => {
                        drop(attached);
                        self.wait_for(jobs);
                        self.attach()
                    }
                    WaitsForAnswers(answers) => {
                        self.wait_for_answers(answers);
                        attached
                    }
                };
                *self.outbox.lock().unwrap() += 1;
                self.running.lock().unwrap()[seat.0] = None;
            }
            drop(attached);
        }
    }

    fn let_out(&self) {
        let answers = std::mem::take(&mut *self.outbox.lock().unwrap());
        *self.answered.lock().unwrap() += answers;
        self.answers.notify_all();
    }

    fn wait_for_answers(&self, answers: usize) {
        let mut answered = self.answered.lock().unwrap();
        while *answered < answers {
            answered = self.answers.wait(answered).unwrap();
        }
    }

    fn attach(&self) -> MutexGuard<'_, ()> {
        self.interpreter.lock().unwrap()
    }

    /// Waits until `jobs` have run, without any help from the end.
    fn wait_for(&self, jobs: usize) {
        let mut ran = self.ran.lock().unwrap();
        while ran.iter().sum::<usize>() < jobs {
            ran = self.runs.wait(ran).unwrap();
        }
    }

    /// Closes the queue and waits for all threads; each of the first `jobs` must have run once, and no other.
    fn end(&self, jobs: usize) {
        self.queue.close();
        loop {
            let Some(thread) = self.threads.lock().unwrap().pop() else {
                break;
            };
            thread.join().unwrap();
        }
        let ran = self.ran.lock().unwrap();
        assert!(
            ran.iter()
                .enumerate()
                .all(|(number, times)| *times == usize::from(number < jobs)),
            "{ran:?}"
        );
        assert_eq!(
            *self.answered.lock().unwrap(),
            jobs,
            "none is kept back for ever"
        );
        self.queue.lock().check();
    }
}

fn seats(min: usize, max: usize) -> Seats {
    Seats { min, max, spare: 0 }
}

/// All interleavings in which threads are interrupted at most so often where they would not have to be.
const INTERRUPTIONS: usize = 3;

fn model(case: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(INTERRUPTIONS);
    builder.check(case);
}

#[test]
fn a_closed_queue_finishes_what_waits() {
    model(|| {
        let case = Case::new(seats(0, 1), 2);
        case.push(0, Returns);
        case.push(1, LetsGo);
        case.end(2);
    });
}

#[test]
fn an_idle_worker_hears_of_every_job() {
    model(|| {
        let case = Case::new(seats(1, 1), 2);
        case.push(0, Returns);
        case.push(1, Returns);
        case.wait_for(2);
        case.end(2);
    });
}

#[test]
fn a_standby_takes_over_from_a_handler_that_lets_go() {
    model(|| {
        let case = Case::new(seats(0, 2), 3);
        case.push(0, LetsGo);
        case.push(1, LetsGo);
        case.push(2, Returns);
        case.wait_for(3);
        case.end(3);
    });
}

#[test]
fn a_worker_that_looks_on_takes_over_from_a_lead_that_does_not_go_on() {
    model(|| {
        let case = Case::new(seats(2, 2), 3);
        case.queue.lock().pace().set_quick();
        case.push(0, Returns);
        case.push(1, WaitsFor(3));
        case.push(2, Returns);
        case.wait_for(3);
        case.end(3);
    });
}

#[test]
fn a_worker_that_holds_off_takes_over_when_its_time_is_up() {
    model(|| {
        let case = Case::new(seats(2, 2), 3);
        case.queue.lock().crowd().form();
        case.push(0, Returns);
        case.push(1, WaitsFor(3));
        case.push(2, Returns);
        {
            // Nobody falls asleep between the time that passes and the bell.
            let _state = case.queue.lock();
            case.queue.bells.iter().for_each(Bell::time_passes);
        }
        case.wait_for(3);
        case.end(3);
    });
}

#[test]
fn a_worker_that_looks_on_lets_out_the_answers_that_the_lead_keeps_back() {
    model(|| {
        let case = Case::new(seats(2, 2), 2);
        case.queue.lock().pace().set_quick();
        case.push(0, Returns);
        case.push(1, WaitsForAnswers(1));
        case.wait_for_answers(2);
        case.end(2);
    });
}

#[test]
fn answers_are_let_out_when_the_queue_closes_meanwhile() {
    model(|| {
        let case = Case::new(seats(2, 2), 2);
        case.queue.lock().pace().set_quick();
        case.push(0, Returns);
        case.push(1, WaitsForAnswers(1));
        case.end(2);
    });
}

#[test]
fn a_worker_that_returns_runs_what_came_while_all_were_busy() {
    model(|| {
        let case = Case::new(seats(0, 2), 3);
        case.push(0, LetsGo);
        case.push(1, WaitsFor(3));
        case.push(2, Returns);
        case.wait_for(3);
        case.end(3);
    });
}

#[test]
fn leads_that_step_down_forget_no_job() {
    model(|| {
        let case = Case::with(seats(2, 2), 3, true, true);
        case.push(0, Returns);
        case.push(1, LetsGo);
        case.push(2, Returns);
        case.wait_for(3);
        case.end(3);
    });
}

#[test]
fn without_a_gil_every_worker_takes_jobs() {
    model(|| {
        let case = Case::with(seats(1, 2), 2, false, false);
        case.push(0, Returns);
        case.push(1, Returns);
        case.wait_for(2);
        case.end(2);
    });
}

#[test]
fn a_worker_that_retires_leaves_no_job_behind() {
    model(|| {
        let case = Case::new(seats(0, 1), 2);
        case.push(0, Returns);
        // While the worker is in its handler, on its way to sleep, or asleep.
        case.queue.bells[0].time_passes();
        case.push(1, Returns);
        case.wait_for(2);
        case.end(2);
    });
}

#[test]
fn a_job_is_refused_or_runs_when_the_queue_closes_meanwhile() {
    model(|| {
        let case = Case::new(seats(1, 1), 1);
        let closes = {
            let case = Arc::clone(&case);
            thread::spawn(move || case.queue.close())
        };
        let taken = case.push(0, Returns);
        closes.join().unwrap();
        case.end(usize::from(taken));
    });
}

#[test]
fn a_worker_that_is_given_up_as_it_comes_back_loses_no_job() {
    model(|| {
        let case = Case::new(
            Seats {
                min: 1,
                max: 1,
                spare: 1,
            },
            2,
        );
        case.push(0, LetsGo);
        case.push(1, Returns);
        let still = || case.running.lock().unwrap()[0] == Some(0);
        if let Lost::Replaced(Some(seat)) = case.queue.lose(Seat(0), still) {
            case.start(seat);
        }
        case.wait_for(2);
        case.end(2);
        assert_eq!(case.queue.lost(), 0, "it came back");
    });
}

#[test]
fn the_job_of_a_worker_that_could_not_start_goes_to_another() {
    model(|| {
        let case = Case::new(seats(1, 2), 2);
        case.push(0, LetsGo);
        // No thread for it: its seat is given back.
        if let Ok(Some(seat)) = case.queue.push((1, Returns)) {
            case.queue.vacate(seat);
        }
        case.wait_for(2);
        case.end(2);
    });
}
