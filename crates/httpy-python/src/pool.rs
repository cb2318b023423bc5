//! `Pool`: the worker threads of the interpreter, shared by all apps; grows and shrinks as the queue asks.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use httpy_core::{Job, Outcome, Queue, Seat, Seats, TargetId};

use crate::interpreter::Interpreter;
use crate::runtime::Shared;
use crate::worker;

/// A worker that was idle for so long ends, down to the minimum.
const RETIRE_AFTER: Duration = Duration::from_secs(10);

/// How the workers of a process are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// Workers that never retire.
    pub min: usize,
    /// Workers at most.
    pub max: usize,
    /// The stack of each, in bytes.
    pub stack_size: usize,
}

/// How the workers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Workers at most.
    pub workers_max: usize,
    /// Workers that were given up, because a handler keeps them past its deadline.
    pub lost: usize,
    /// How many lost workers are replaced at most.
    pub replacements: usize,
    /// For how long the interpreter could not be had; none when it can be.
    pub held_for: Option<Duration>,
}

/// What hears of a target's outcome that came when its caller had gone. Runs detached on Python's main thread.
pub type Late = fn(&str, Outcome);

/// What the workers share. They keep it alive, the pool does not keep them.
pub(crate) struct Crew {
    pub(crate) queue: Queue<Job>,
    pub(crate) interpreter: Arc<Interpreter>,
    pub(crate) shared: Arc<Shared>,
    options: PoolOptions,
    late: Late,
}

/// The worker threads. They end when the last owner of the pool lets go of it, after the jobs that wait then.
pub struct Pool {
    crew: Arc<Crew>,
}

impl Pool {
    /// # Errors
    ///
    /// When the operating system gives no thread for the first workers.
    pub(crate) fn start(
        interpreter: Arc<Interpreter>,
        shared: Arc<Shared>,
        options: PoolOptions,
        exclusive: bool,
        late: Late,
    ) -> io::Result<Self> {
        let seats = Seats { min: options.min, max: options.max, spare: 0 };
        let queue = Queue::new(seats, RETIRE_AFTER, exclusive);
        let crew = Arc::new(Crew { queue, interpreter, shared, options, late });
        let pool = Self { crew };
        for seat in pool.crew.queue.first_seats() {
            Crew::start(&pool.crew, seat)?;
        }
        Ok(pool)
    }

    /// Puts a job into the queue. Never blocks.
    ///
    /// # Errors
    ///
    /// The job, when the pool is closed.
    pub fn push(&self, job: Job) -> Result<(), Box<Job>> {
        if let Some(seat) = self.crew.queue.push(job).map_err(Box::new)? {
            Crew::start_or_log(&self.crew, seat);
        }
        Ok(())
    }

    /// How the workers are. Never waits for the interpreter.
    pub fn health(&self) -> Health {
        Health { workers_max: self.crew.options.max, lost: 0, replacements: 0, held_for: None }
    }

    pub(crate) fn options(&self) -> PoolOptions {
        self.crew.options
    }

    pub(crate) fn set_exclusive(&self, exclusive: bool) {
        self.crew.queue.set_exclusive(exclusive);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.crew.queue.close();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("options", &self.crew.options).finish_non_exhaustive()
    }
}

impl Crew {
    /// Starts the worker of `seat`.
    ///
    /// # Errors
    ///
    /// When the operating system gives no thread. The seat is free again then.
    fn start(crew: &Arc<Self>, seat: Seat) -> io::Result<()> {
        let seated = Seated { crew: Arc::clone(crew), seat };
        let started = thread::Builder::new()
            .name(format!("httpy-worker-{}", seat.0 + 1))
            .stack_size(crew.options.stack_size)
            .spawn(move || worker::run(&seated.crew, seated.seat));
        started.map(drop)
    }

    /// Starts the worker of `seat` for jobs that wait. Without it they are taken by the workers that exist, or by the one
    /// that the next job calls.
    pub(crate) fn start_or_log(crew: &Arc<Self>, seat: Seat) {
        if let Err(error) = Self::start(crew, seat) {
            tracing::error!(target: "httpy", %error, "no thread for another worker");
        }
    }

    /// Passes on what nobody waits for any more, so that no exception goes unseen.
    pub(crate) fn report_late(&self, target: TargetId, outcome: Outcome) {
        if let Some(target) = self.shared.targets.get(target)
            && !matches!(outcome, Outcome::Returned(_))
        {
            let late = self.late;
            self.interpreter.later(move || late(&target.name, outcome));
        }
    }
}

/// Gives the seat back however the thread ends, or when it never started.
struct Seated {
    crew: Arc<Crew>,
    seat: Seat,
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.crew.queue.vacate(self.seat);
        if thread::panicking()
            && let Some(seat) = self.crew.queue.call_again()
        {
            Crew::start_or_log(&self.crew, seat);
        }
    }
}
