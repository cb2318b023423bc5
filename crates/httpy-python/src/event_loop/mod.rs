//! `AsyncLane`: where `async def` handlers run: one event loop on a thread of its own.
//!
//! The loop starts when the first async target is loaded, and ends with the pool. Tokio's threads only put a job into its
//! [`inbox`] and wake it; they never attach. What the loop's thread does then is in [`driver`]; how tasks are made in
//! [`asyncio`]; what happens if the loop is blocked, or a call ignores its cancellation, in [`watch`]; what other threads can
//! see of it in [`view`]. A loop that does not return from a call is lost, and [`replace`] starts another one.

mod allowance;
mod asyncio;
mod body;
mod call;
mod driver;
mod end;
mod exchange;
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
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use httpy_core::{Job, TargetId, Ticket};
use pyo3::prelude::*;

use self::call::Calls;
use self::driver::Driver;
use self::inbox::{Cancel, Inbox};
use self::watch::Rung;
pub(crate) use self::watch::Watch;
use crate::deadline::ThreadId;
use crate::figure::Lag;
use crate::pool::Crew;

/// The name of the loop's thread, for the system and for Python.
const NAME: &str = "httpy-loop";

/// Why a loop could not be started, if its thread has not said it.
const PANICKED: &str = "its thread panicked as it started";

/// Time for the tasks of a loop to end, unless the end has its own limit.
const END: Duration = Duration::from_secs(5);

/// The event loop of a pool. There is none before the first async target.
#[derive(Debug, Default)]
pub(crate) struct AsyncLane {
    /// The loop that takes calls. A lost one is replaced here.
    running: OnceLock<Mutex<Arc<EventLoop>>>,
    /// Held while the loop is started.
    starting: Mutex<()>,
    /// Loops that do not return from a call, replaced or not.
    lost: AtomicUsize,
    closed: AtomicBool,
}

/// What arrives when a loop runs, or why it cannot.
type Begun = Receiver<Result<(), String>>;

/// One event loop, as other threads see it.
#[derive(Debug)]
pub(crate) struct EventLoop {
    inbox: Inbox,
    calls: Mutex<Calls>,
    /// Jobs that were pushed and have not ended.
    load: AtomicUsize,
    /// How often it has looked into its inbox.
    rounds: AtomicU64,
    lag: Lag,
    /// When the watchdog's clock last woke it. `None` while no call is under way.
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
    /// It does not return from a call, and another one has replaced it.
    lost: bool,
}

impl AsyncLane {
    /// Starts the event loop unless it runs already.
    ///
    /// # Blocking
    ///
    /// Until it runs. Must not be called attached.
    ///
    /// # Errors
    ///
    /// Why there is none, in one sentence.
    pub(crate) fn start(&self, crew: &Arc<Crew>) -> Result<(), String> {
        let _alone = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.running.get().is_some() {
            return Ok(());
        }
        let (event_loop, begun) = EventLoop::start(crew)?;
        begun.recv().unwrap_or_else(|_| Err(PANICKED.to_owned()))?;
        // It is empty: the lock is held.
        drop(self.running.set(Mutex::new(event_loop)));
        Ok(())
    }

    /// Puts a job to the event loop. Never blocks.
    ///
    /// # Errors
    ///
    /// The job, when the pool is closed.
    pub(crate) fn push(&self, job: Job) -> Result<(), Job> {
        let mut job = job;
        loop {
            let Some(event_loop) = self.current() else {
                return Err(job);
            };
            match event_loop.push(job) {
                Ok(()) => return Ok(()),
                // It was replaced meanwhile.
                Err(back) if event_loop.life().lost => job = back,
                Err(back) => return Err(back),
            }
        }
    }

    /// The frames of a call on the loop: those of its task, or those of the loop's thread if the thread is in that call.
    pub(crate) fn frames<'py>(
        &self,
        py: Python<'py>,
        ticket: &Arc<Ticket>,
    ) -> Option<PyResult<Bound<'py, PyAny>>> {
        let number = ticket.seat()?.0;
        let event_loop = self.current()?;
        let (thread, driver) = event_loop.driver()?;
        let (current, of_thread) = match driver.asyncio.current(py, thread.0) {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
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

    /// Cancels a call that nothing waits for. False if it does not run any more. Never blocks.
    pub(crate) fn cancel(&self, target: TargetId, ticket: &Arc<Ticket>, answered: bool) -> bool {
        let Some((_, event_loop)) = ticket.seat().zip(self.current()) else {
            return false;
        };
        if answered {
            // By the caller's clock its time is up.
            ticket.set_late(Instant::now());
        }
        event_loop.inbox.cancel(Cancel {
            target,
            ticket: Arc::clone(ticket),
            answered,
        });
        true
    }

    /// The event loop as Python's object.
    pub(crate) fn object(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let driver = self.current()?.driver()?.1;
        Some(driver.asyncio.event_loop.clone_ref(py))
    }

    /// Whether something goes on that a cancelled call has shielded.
    pub(crate) fn are_shielded(&self, py: Python<'_>) -> bool {
        // False where app code has broken `asyncio`: then nothing is waited for.
        self.current()
            .and_then(|event_loop| event_loop.driver())
            .is_some_and(|(_, driver)| driver.asyncio.is_shielded(py).unwrap_or(false))
    }

    /// Ends the loop in the background: it takes nothing new, and cancels tasks that are left. They have until `ends`.
    pub(crate) fn close(&self, ends: Option<Instant>) {
        // First: what replaces the loop meanwhile sees it.
        self.closed.store(true, Ordering::SeqCst);
        if let Some(event_loop) = self.current() {
            event_loop.life().ends = ends;
            event_loop.inbox.close();
        }
    }

    /// Waits until the loop has ended, but not beyond `until`.
    ///
    /// # Blocking
    ///
    /// Until then. Must not be called attached.
    pub(crate) fn wait(&self, until: Instant) {
        if let Some(event_loop) = self.current() {
            let left = until.saturating_duration_since(Instant::now());
            drop(
                event_loop
                    .ended
                    .wait_timeout_while(event_loop.life(), left, |life| !life.ended),
            );
        }
    }

    /// Loops that do not return from a call, replaced or not.
    pub(crate) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }

    fn count_lost(&self, change: isize) {
        self.lost
            .fetch_add(change.cast_unsigned(), Ordering::SeqCst);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn current(&self) -> Option<Arc<EventLoop>> {
        self.running.get().map(|running| Arc::clone(&lock(running)))
    }

    /// Makes `event_loop` the one that takes calls, in place of a lost one.
    fn put(&self, event_loop: Arc<EventLoop>) {
        if let Some(running) = self.running.get() {
            *lock(running) = event_loop;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing below these locks can panic half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EventLoop {
    fn new(in_flight: usize) -> io::Result<Self> {
        Ok(Self {
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

    /// A new one, whose thread starts, and what arrives when it runs or cannot. Never blocks.
    ///
    /// # Errors
    ///
    /// When there is no thread or no file descriptor for it.
    fn start(crew: &Arc<Crew>) -> Result<(Arc<Self>, Begun), String> {
        let words = |error: io::Error| error.to_string();
        let event_loop = Arc::new(Self::new(crew.options().in_flight).map_err(words)?);
        let (sender, receiver) = mpsc::sync_channel(1);
        let (also, crew) = (Arc::clone(&event_loop), Arc::clone(crew));
        let builder = std::thread::Builder::new()
            .name(NAME.to_owned())
            .stack_size(crew.options().stack_size);
        builder
            .spawn(move || thread::run(&crew, &also, &sender))
            .map_err(words)?;
        Ok((event_loop, receiver))
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
