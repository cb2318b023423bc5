//! `Pool`: the worker threads of the interpreter, shared by all apps; grows and shrinks as the queue asks.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use httpy_core::{
    Health, Job, Kept, Lane, Late, Listener, Notice, Outbox, Outcome, Queue, Seat, Seats,
    StartError, TargetId, Ticket,
};
use pyo3::prelude::*;

use crate::desk::Desks;
use crate::event_loop::AsyncLane;
use crate::interpreter::Interpreter;
use crate::runtime::Shared;
use crate::watchdog::Watchdog;
use crate::worker;

/// A worker that was idle for so long ends, down to the minimum.
const RETIRE_AFTER: Duration = Duration::from_secs(10);

/// An event loop whose tasks are left behind gets so long to say so, and to be closed.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How often it is looked at whether shields are left.
const LOOK: Duration = Duration::from_millis(5);

/// How the workers of a process are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// Workers that never retire.
    pub min: usize,
    /// Workers at most.
    pub max: usize,
    /// The stack of each, in bytes.
    pub stack_size: usize,
    /// Maximum number of lost workers that are replaced.
    pub replacements: usize,
    /// Time after the deadline at which a worker that is still in its call is lost.
    pub lost_after: Duration,
    /// Whether the event loop is uvloop's where that can be imported.
    pub uvloop: bool,
    /// Maximum number of calls under way on the event loop.
    pub in_flight: usize,
    /// Time after which an event loop that does not respond counts as blocked.
    pub loop_blocked_after: Duration,
}

/// What the workers share. They keep it alive, the pool does not keep them.
pub(crate) struct Crew {
    pub(crate) queue: Queue<Job>,
    pub(crate) outbox: Outbox,
    pub(crate) interpreter: Arc<Interpreter>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) watchdog: Watchdog,
    pub(crate) async_lane: AsyncLane,
    pub(crate) desks: Desks,
    options: PoolOptions,
    listener: Listener,
}

/// The worker threads. They end when the last owner of the pool drops it, after the jobs that wait then.
pub struct Pool {
    pub(crate) crew: Arc<Crew>,
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
        listener: Listener,
    ) -> io::Result<Self> {
        let seats = Seats {
            min: options.min,
            max: options.max,
            spare: options.replacements,
        };
        let queue = Queue::new(seats, RETIRE_AFTER, exclusive);
        let watchdog = Watchdog::new(seats.all(), options.lost_after);
        let desks = Desks::new(seats.all());
        let (outbox, async_lane) = (Outbox::default(), AsyncLane::default());
        let crew = Crew {
            queue,
            outbox,
            interpreter,
            shared,
            watchdog,
            async_lane,
            desks,
            options,
            listener,
        };
        let pool = Self {
            crew: Arc::new(crew),
        };
        Watchdog::start(&pool.crew)?;
        for seat in pool.crew.queue.first_seats() {
            Crew::start(&pool.crew, seat)?;
        }
        Ok(pool)
    }

    /// Puts a job to those that run it. Never blocks.
    ///
    /// # Errors
    ///
    /// The job, when the pool is closed.
    pub fn push(&self, job: Job) -> Result<(), Box<Job>> {
        if job.target.lane() == Lane::EventLoop {
            self.crew.async_lane.push(job).map_err(Box::new)?;
            self.crew.watchdog.watch_loop();
            return Ok(());
        }
        if let Some(seat) = self.crew.queue.push(job).map_err(Box::new)? {
            Crew::start_or_log(&self.crew, seat);
        }
        Ok(())
    }

    /// Frees the worker of a call whose caller has left: at the call's deadline its handler is interrupted; an async
    /// one is cancelled at once. True when the call still runs; with `answered`, its 504 will be in the log then. Never
    /// blocks.
    pub fn enforce(&self, target: TargetId, ticket: &Arc<Ticket>, answered: bool) -> bool {
        if target.lane() == Lane::EventLoop {
            let runs = self.crew.async_lane.cancel(target, ticket, answered);
            if runs && answered {
                self.crew.watchdog.wake_for_loop();
            }
            return runs;
        }
        let name = self.crew.name(target);
        let (watched, ended) = self.crew.watchdog.watch(name, ticket, answered);
        if let Some(notice) = ended {
            self.crew.notify(&notice);
        }
        watched
    }

    /// How the workers are. Never waits for the interpreter.
    pub fn health(&self) -> Health {
        let Crew {
            watchdog, options, ..
        } = &*self.crew;
        Health {
            workers_max: options.max,
            lost: self.crew.lost(),
            replacements: options.replacements,
            starting: false,
            held_for: watchdog.held_for(),
        }
    }

    pub(crate) fn options(&self) -> PoolOptions {
        self.crew.options
    }

    /// Starts the event loop unless it runs already.
    ///
    /// # Blocking
    ///
    /// Until it runs. Must not be called attached.
    ///
    /// # Errors
    ///
    /// Why there is none, in one sentence.
    pub(crate) fn start_event_loop(&self) -> Result<(), String> {
        self.crew.async_lane.start(&self.crew)
    }

    /// The event loop as Python's object.
    pub(crate) fn event_loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.crew.async_lane.object(py)
    }

    /// Ends the event loop.
    ///
    /// # Blocking
    ///
    /// Until it has ended, but not beyond `until`, when the tasks on it are left behind. Must not be called attached.
    pub(crate) fn end_event_loop(&self, until: Instant) {
        self.crew.async_lane.close(Some(until));
        self.crew.async_lane.wait(until + LAST_WORDS);
    }

    /// Waits, detached, for what handlers have shielded, but not beyond `until`.
    pub(crate) fn wait_for_shields(&self, py: Python<'_>, until: Instant) {
        let Crew {
            desks, async_lane, ..
        } = &*self.crew;
        let are_shielded = || desks.all().iter().any(|(_, ticket)| ticket.is_shielded());
        while Instant::now() < until && (are_shielded() || async_lane.are_shielded(py)) {
            py.detach(|| thread::sleep(LOOK));
        }
    }

    pub(crate) fn set_exclusive(&self, exclusive: bool) {
        self.crew.queue.set_exclusive(exclusive);
    }

    /// Takes no job from now on. The workers and the event loop end, in the background.
    pub(crate) fn close(&self) {
        self.crew.queue.close();
        self.crew.watchdog.close();
        self.crew.async_lane.close(None);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("options", &self.crew.options)
            .finish_non_exhaustive()
    }
}

impl Crew {
    /// Starts the worker of `seat`.
    ///
    /// # Errors
    ///
    /// When the operating system gives no thread. The seat is free again then.
    fn start(crew: &Arc<Self>, seat: Seat) -> io::Result<()> {
        let seated = Seated {
            crew: Arc::clone(crew),
            seat,
        };
        let started = thread::Builder::new()
            .name(worker::name(seat))
            .stack_size(crew.options.stack_size)
            .spawn(move || {
                seated.crew.desks.enter(seated.seat);
                worker::run(&seated.crew, seated.seat);
            });
        started.map(drop)
    }

    /// Starts the worker of `seat` for jobs that wait. Without it they are taken by the workers that exist, or by the one
    /// that the next job calls. Must be called detached.
    pub(crate) fn start_or_log(crew: &Arc<Self>, seat: Seat) {
        if let Err(error) = Self::start(crew, seat) {
            crew.notify(&Notice::NoThread {
                error: error.to_string(),
            });
        }
    }

    /// Gives the answers that are kept back to those who wait for them. `room` is an empty one for the next answers.
    pub(crate) fn let_out(&self, room: &mut Vec<Kept>) {
        self.outbox.let_out(room, |target, late, interrupted| {
            // What an interrupted call ends with is the deadline's doing, and the log has it.
            if !interrupted || matches!(late.outcome, Outcome::Panicked(_)) {
                self.report_late(target, late);
            }
        });
    }

    /// Passes on what nobody waits for any more, so that no exception goes unseen.
    pub(crate) fn report_late(&self, target: TargetId, late: Late) {
        if let Some(target) = self.shared.targets.get(target)
            && !late.outcome.is_reply()
        {
            let listener = self.listener;
            self.interpreter
                .later(move || (listener.late)(&target.name, late));
        }
    }

    /// Says something to the operator from Python's main thread, so that who says it need not detach.
    pub(crate) fn notify_later(&self, notice: Notice) {
        let listener = self.listener;
        self.interpreter.later(move || (listener.notice)(&notice));
    }

    pub(crate) fn options(&self) -> PoolOptions {
        self.options
    }

    /// Workers and event loops that do not come back from a call.
    pub(crate) fn lost(&self) -> usize {
        self.queue.lost() + self.async_lane.lost()
    }

    /// The name of a target.
    pub(crate) fn name(&self, target: TargetId) -> String {
        self.shared
            .targets
            .get(target)
            .map_or_else(String::new, |target| target.name.clone())
    }

    /// Says something to the operator. Must be called detached: it runs the host's code.
    pub(crate) fn notify(&self, notice: &Notice) {
        // A subscriber that panics must not end the watchdog's threads; it is also what could have told of it.
        drop(catch_unwind(AssertUnwindSafe(|| {
            (self.listener.notice)(notice);
        })));
    }

    /// Says each of `notices`, as [`notify`](Self::notify) does.
    pub(crate) fn notify_all(&self, notices: &[Notice]) {
        for notice in notices {
            self.notify(notice);
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
        self.crew.desks.leave(self.seat);
        self.crew.queue.vacate(self.seat);
        if thread::panicking()
            && let Some(seat) = self.crew.queue.call_again()
        {
            Crew::start_or_log(&self.crew, seat);
        }
    }
}

/// The first option in which the pool that runs and another one differ.
pub(crate) fn differs(first: PoolOptions, second: PoolOptions) -> StartError {
    type Show = fn(PoolOptions) -> String;
    let shown: [(&str, Show); 7] = [
        ("number of workers", |options| {
            format!("{}..={}", options.min, options.max)
        }),
        ("workers' stack size", |options| {
            format!("{} bytes", options.stack_size)
        }),
        ("number of replacements for lost workers", |options| {
            options.replacements.to_string()
        }),
        ("time after which a worker is lost", |options| {
            format!("{:?}", options.lost_after)
        }),
        ("choice of uvloop", |options| options.uvloop.to_string()),
        ("number of calls in flight on the event loop", |options| {
            options.in_flight.to_string()
        }),
        ("time after which an event loop is blocked", |options| {
            format!("{:?}", options.loop_blocked_after)
        }),
    ];
    let pairs = shown.map(|(what, show)| (what, show(first), show(second)));
    let found = pairs.into_iter().find(|(_, first, second)| first != second);
    let (what, first, second) = found.unwrap_or_default();
    StartError::Differs {
        what,
        first,
        second,
    }
}
