//! `EventLoops`: where `async def` handlers run: event loops on threads of their own, as many calls under way on each as an
//! option allows.
//!
//! Started when the first async target is loaded, and ended with the pool. A job goes to the loop with the fewest calls.
//! Tokio's threads only put it into that loop's [`inbox`] and ring; they never attach. What a loop's thread does then is in
//! [`driver`]; how tasks are made in [`asyncio`]; what is done about one that is blocked, or a call that does not let itself
//! be cancelled, in [`watch`]; what is seen of it all from outside in [`view`].

mod allowance;
mod asyncio;
mod body;
mod call;
mod driver;
mod end;
mod inbox;
mod keyword;
mod ready;
mod replace;
mod thread;
mod upload;
mod view;
mod wake;
mod watch;

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use httpy_core::{Job, Seat, TargetId, Ticket};
use pyo3::prelude::*;

use self::call::Calls;
use self::driver::Driver;
use self::inbox::{Cancel, Inbox};
use self::watch::{Rung, Watch};
use crate::deadline::ThreadId;
use crate::figure::Lag;
use crate::pool::Crew;

/// The most loops there may be: a call's place on them has to fit into its ticket.
const MOST: usize = 64;

/// A loop gets so long to end its tasks when nobody says how long.
const END: Duration = Duration::from_secs(5);

/// The event loops of a pool; none before the first async target.
#[derive(Debug, Default)]
pub(crate) struct EventLoops {
    /// Each is replaced by another one where it does not come back.
    running: OnceLock<Box<[Mutex<Arc<EventLoop>>]>>,
    /// Held by the one who starts them.
    starting: Mutex<()>,
    /// Loops that do not come back, replaced or not.
    lost: AtomicUsize,
    watch: Watch,
}

/// One event loop, as other threads see it.
#[derive(Debug)]
struct EventLoop {
    index: usize,
    inbox: Inbox,
    calls: Mutex<Calls>,
    /// Jobs that were pushed and have not ended.
    load: AtomicUsize,
    /// How often it has looked into its inbox.
    rounds: AtomicU64,
    lag: Lag,
    /// When the watch last rang it; none while no call is under way.
    rung: Mutex<Option<Rung>>,
    life: Mutex<Life>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Life {
    /// While it may be looked at from elsewhere.
    thread: Option<(ThreadId, Weak<Driver>)>,
    /// When its tasks have to have ended.
    ends: Option<Instant>,
    ended: bool,
    /// It does not come back, and another one has its place.
    lost: bool,
}

impl EventLoops {
    /// Starts them where they do not run yet.
    ///
    /// # Blocking
    ///
    /// Until they run. Must not be called attached.
    ///
    /// # Errors
    ///
    /// Why there is none, in one sentence.
    pub(crate) fn start(&self, crew: &Arc<Crew>) -> Result<(), String> {
        let _alone = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.running.get().is_some() {
            return Ok(());
        }
        let words = |error: io::Error| error.to_string();
        let count = crew.options().event_loops.min(MOST);
        let mut started: Vec<Arc<EventLoop>> = Vec::with_capacity(count);
        let result = (0..count).try_for_each(|index| {
            let event_loop =
                Arc::new(EventLoop::new(index, crew.options().in_flight).map_err(words)?);
            started.push(Arc::clone(&event_loop));
            EventLoop::start(&event_loop, crew)
        });
        let result = result.and_then(|()| Watch::start(crew).map_err(words));
        if let Err(error) = result {
            for event_loop in &started {
                event_loop.inbox.close();
            }
            return Err(error);
        }
        // Nobody else is here.
        drop(
            self.running
                .set(started.into_iter().map(Mutex::new).collect()),
        );
        Ok(())
    }

    /// Puts a job to the loop with the fewest calls. Never blocks.
    ///
    /// # Errors
    ///
    /// The job, when the pool is closed.
    pub(crate) fn push(&self, job: Job) -> Result<(), Job> {
        let mut job = job;
        loop {
            let loads = self
                .all()
                .map(|event_loop| (event_loop.load.load(Ordering::Relaxed), event_loop));
            let Some((_, event_loop)) = loads.min_by_key(|(load, _)| *load) else {
                return Err(job);
            };
            match event_loop.push(job) {
                Ok(()) => {
                    self.watch.begin();
                    return Ok(());
                }
                // Another one has its place since.
                Err(back) if event_loop.life().lost => job = back,
                Err(back) => return Err(back),
            }
        }
    }

    /// Where a call is that runs on a loop: its task's frames, or those of the loop's thread where it is just that call which
    /// keeps it.
    pub(crate) fn frames<'py>(
        &self,
        py: Python<'py>,
        ticket: &Arc<Ticket>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let seat = ticket.seat()?;
        let event_loop = self.at(seat)?;
        let (thread, driver) = event_loop.driver()?;
        let (current, of_thread) = match driver.asyncio.current(py, thread.0) {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        let number = EventLoop::number_of(seat);
        let task = {
            let mut calls = event_loop.calls();
            let keeps = calls
                .current((!current.is_none()).then_some(&current))
                .is_some_and(|(it, _)| it == number);
            let call = calls.of_ticket(number, ticket)?;
            if keeps {
                None
            } else {
                call.task.as_ref().map(|(task, _)| task.clone_ref(py))
            }
        };
        Some(task.map_or(Ok(of_thread), |task| driver.asyncio.frames(task.bind(py))))
    }

    /// Has a call cancelled that nobody waits for any more. False when it does not run any more. Never blocks.
    pub(crate) fn cancel(&self, target: TargetId, ticket: &Arc<Ticket>, answered: bool) -> bool {
        let Some(seat) = ticket.seat() else {
            return false;
        };
        let Some(event_loop) = self.at(seat) else {
            return false;
        };
        if answered {
            // By the caller's clock its time is up.
            ticket.set_due(Some(Instant::now()));
        }
        event_loop.inbox.cancel(Cancel {
            target,
            ticket: Arc::clone(ticket),
            answered,
        });
        self.watch.hurry(answered);
        true
    }

    /// A loop for what is to run on any one, as Python's object.
    pub(crate) fn any(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let driver = self.all().next()?.driver()?.1;
        Some(driver.asyncio.event_loop.clone_ref(py))
    }

    /// Whether something goes on that a cancelled call has shielded.
    pub(crate) fn are_shielded(&self, py: Python<'_>) -> bool {
        // Where app code has broken what tells, nothing is waited for.
        self.all()
            .filter_map(|event_loop| event_loop.driver())
            .any(|(_, driver)| driver.asyncio.is_shielded(py).unwrap_or(false))
    }

    /// Has the loops end, in the background: nothing new is taken, and tasks that are left are cancelled. They get until
    /// `ends`.
    pub(crate) fn close(&self, ends: Option<Instant>) {
        // First: one that is started in another one's place meanwhile finds it.
        self.watch.close();
        for event_loop in self.all() {
            event_loop.life().ends = ends;
            event_loop.inbox.close();
        }
    }

    /// Waits until the loops have ended, but not beyond `until`.
    ///
    /// # Blocking
    ///
    /// For that long. Must not be called attached.
    pub(crate) fn wait(&self, until: Instant) {
        for event_loop in self.all() {
            let left = until.saturating_duration_since(Instant::now());
            drop(
                event_loop
                    .ended
                    .wait_timeout_while(event_loop.life(), left, |life| !life.ended),
            );
        }
    }

    fn all(&self) -> impl Iterator<Item = Arc<EventLoop>> + '_ {
        let running = self.running.get().map_or(&[][..], |running| running);
        running.iter().map(|place| Arc::clone(&lock(place)))
    }

    /// Loops that do not come back, replaced or not.
    pub(crate) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }

    fn count_lost(&self, change: isize) {
        self.lost
            .fetch_add(change.cast_unsigned(), Ordering::SeqCst);
    }

    /// Gives a loop the place of its index.
    fn put(&self, event_loop: Arc<EventLoop>) {
        if let Some(place) = self
            .running
            .get()
            .and_then(|running| running.get(event_loop.index))
        {
            *lock(place) = event_loop;
        }
    }

    /// The loop that a call's place is on, or was before that loop was replaced.
    fn at(&self, seat: Seat) -> Option<Arc<EventLoop>> {
        let place = self.running.get()?.get(EventLoop::index_of(seat))?;
        Some(Arc::clone(&lock(place)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing below these locks can panic half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EventLoop {
    fn new(index: usize, in_flight: usize) -> io::Result<Self> {
        Ok(Self {
            index,
            inbox: Inbox::new(in_flight)?,
            calls: Mutex::default(),
            load: AtomicUsize::new(0),
            rounds: AtomicU64::new(0),
            lag: Lag::new(),
            rung: Mutex::default(),
            life: Mutex::default(),
            ended: Condvar::new(),
        })
    }

    /// Puts a job to it. Never blocks.
    ///
    /// # Errors
    ///
    /// The job, when its inbox is closed.
    fn push(&self, job: Job) -> Result<(), Job> {
        self.load.fetch_add(1, Ordering::SeqCst);
        self.inbox.push(job).inspect_err(|_| {
            self.load.fetch_sub(1, Ordering::SeqCst);
        })
    }

    /// Starts its thread, and waits until it runs.
    fn start(event_loop: &Arc<Self>, crew: &Arc<Crew>) -> Result<(), String> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let (event_loop, crew) = (Arc::clone(event_loop), Arc::clone(crew));
        let builder = std::thread::Builder::new()
            .name(event_loop.name())
            .stack_size(crew.options().stack_size);
        builder
            .spawn(move || thread::run(&crew, &event_loop, &sender))
            .map_err(|error| error.to_string())?;
        receiver
            .recv()
            .unwrap_or_else(|_| Err("its thread panicked as it started".to_owned()))
    }

    /// The name of its thread, for the system and for Python.
    fn name(&self) -> String {
        format!("httpy-loop-{}", self.index + 1)
    }

    /// The place of the call of this number, among those of all loops.
    fn seat(&self, number: usize) -> Seat {
        Seat(number * MOST + self.index)
    }

    fn index_of(seat: Seat) -> usize {
        seat.0 % MOST
    }

    fn number_of(seat: Seat) -> usize {
        seat.0 / MOST
    }

    /// Its thread runs, and is this one.
    fn enter(&self, thread: ThreadId, driver: &Arc<Driver>) {
        self.life().thread = Some((thread, Arc::downgrade(driver)));
    }

    /// It is not to be looked at any more.
    fn retire(&self) {
        self.life().thread = None;
    }

    /// Its thread has ended.
    fn leave(&self) {
        self.life().ended = true;
        self.ended.notify_all();
    }

    fn ends(&self) -> Option<Instant> {
        self.life().ends
    }

    /// Its thread and what that works with, while it runs.
    fn driver(&self) -> Option<(ThreadId, Arc<Driver>)> {
        let life = self.life();
        let (thread, driver) = life.thread.as_ref()?;
        Some((*thread, driver.upgrade()?))
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        lock(&self.calls)
    }

    fn rung(&self) -> MutexGuard<'_, Option<Rung>> {
        lock(&self.rung)
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        lock(&self.life)
    }
}
