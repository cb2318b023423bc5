//! `Snapshot`: the state of an engine at one moment, as plain data.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use httpy_core::{Facts, Health, Roster, Stack};
use serde::Serialize;
use tokio::time::timeout;

use super::{NotReady, PyEngine};
use crate::service::Shared;
use crate::status::{CallCounts, EventLoop, History, Recent, RecordedCall, Worker, seconds};

/// Maximum time to wait for stacks; a reader has the rest of the snapshot meanwhile.
const STACKS_LIMIT: Duration = Duration::from_millis(500);

/// The state of an engine at one moment. Made by [`PyEngine::snapshot`].
///
/// Figures are read one after the other while calls go on. Serialised, times are numbers, in seconds.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use http::Request;
/// use tower::ServiceExt;
///
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let report = engine.handler("shop:report")?;
/// report.oneshot(Request::get("/").body(String::new())?).await?;
///
/// let snapshot = engine.snapshot();
/// assert_eq!(snapshot.targets, ["shop:report"]);
/// assert_eq!((snapshot.calls.ok, snapshot.waiting, snapshot.queue), (1, 0, 1024));
/// assert!(snapshot.not_ready.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Now.
    #[serde(serialize_with = "seconds::since_1970")]
    pub time: SystemTime,
    /// Time since the engine was built.
    #[serde(serialize_with = "seconds::of")]
    pub uptime: Duration,
    /// The engine's name.
    pub engine: String,
    /// The targets that run on it, in the order in which they were loaded.
    pub targets: Vec<String>,
    /// Why no requests should be sent here, as [`PyEngine::readiness`] answers it; empty when the engine is ready.
    pub not_ready: Vec<NotReady>,
    /// What runs here.
    pub versions: Versions,
    /// Number of places of the queue that are taken: by calls that wait for a worker, by abandoned ones that no worker has
    /// removed yet, and, with [`OnFull::Wait`](crate::OnFull::Wait), by services that are ready.
    pub waiting: usize,
    /// Number of places of the queue.
    pub queue: usize,
    /// Number of services and calls that wait for a place in the queue, with [`OnFull::Wait`](crate::OnFull::Wait).
    pub waiting_for_place: usize,
    /// Size in bytes of the bodies that are being read, wait or are worked on.
    pub body_bytes: usize,
    /// Their maximum size in bytes.
    pub body_budget: usize,
    /// Numbers of calls since the start, by how they ended.
    pub calls: CallCounts,
    /// Calls of the last ten seconds together.
    pub recent: Recent,
    /// Calls of the last two minutes, second by second.
    pub history: History,
    /// Time after which a call is slow.
    #[serde(serialize_with = "seconds::of")]
    pub slow_after: Duration,
    /// The last slow calls, newest first; at most 50.
    pub slow: Vec<RecordedCall>,
    /// The last failed calls, newest first; at most 50. Equal ones are one record. Calls that failed because of their client's
    /// body are among them, those without a route are not.
    pub failed: Vec<RecordedCall>,
    /// The workers, which all engines with threads share.
    pub workers: WorkerHealth,
    /// Whether the stacks of workers and event loops are there.
    pub stacks: Stacks,
}

/// The versions of httpy and Python.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let versions = engine.snapshot().versions;
/// assert!(versions.python.starts_with("3."));
/// assert!(versions.gil);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Versions {
    /// This crate's version.
    pub httpy: &'static str,
    /// CPython's.
    pub python: String,
    /// Whether the interpreter has its GIL: false on a free-threaded build, until an import switches it on.
    pub gil: bool,
    /// The virtual environment.
    pub venv: Option<PathBuf>,
    /// `sys.executable`; empty when there is none.
    pub executable: PathBuf,
    /// Time after which a handler that computes lets others run.
    #[serde(serialize_with = "seconds::of")]
    pub switch_interval: Duration,
}

/// The state of the workers and event loops.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let workers = engine.snapshot().workers;
/// assert_eq!((workers.max, workers.lost), (96, 0));
/// assert_eq!(workers.held_for, None);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkerHealth {
    /// Maximum number of workers.
    pub max: usize,
    /// Number of workers that are lost: their handlers did not end after their deadlines.
    pub lost: usize,
    /// Maximum number of lost workers that are replaced at the same time.
    pub replacements: usize,
    /// Time for which Python code has held the interpreter, so that no other thread could attach; `None` if it is free. It is
    /// measured as soon as a call is overdue.
    #[serde(serialize_with = "seconds::of_option")]
    pub held_for: Option<Duration>,
    /// Number of calls of all engines that wait for a worker.
    pub jobs: usize,
    /// The workers that have a thread, by number.
    pub each: Vec<Worker>,
    /// The event loop of `async def` handlers, with worker processes that of each. None before the first one is loaded.
    pub loops: Vec<EventLoop>,
}

/// Whether a [`Snapshot`] has Python stacks.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use httpy::Stacks;
///
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// assert_eq!(engine.snapshot().stacks, Stacks::NotAsked);
/// assert_eq!(engine.snapshot_with_stacks().await.stacks, Stacks::Read);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stacks {
    /// They were not asked for.
    NotAsked,
    /// They were read: of 64 workers at most, and of the oldest calls on each event loop.
    Read,
    /// They could not be read within half a second, since the interpreter is held.
    Held,
}

impl PyEngine {
    /// The state now, without stacks. Never waits for Python, and never touches it.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_of(Stacks::NotAsked, &[])
    }

    /// The state now, with the Python stack of every call that is in its handler, of those on event loops the oldest, and of
    /// the threads of blocked loops. Calls go on meanwhile, and a thread of its own waits for the interpreter. Half a second at
    /// most; then [`Snapshot::stacks`] says that the interpreter is held.
    ///
    /// # Cancellation
    ///
    /// Nothing is left behind but that thread, until it has the interpreter. There is one, however often this is called.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with its timer.
    pub async fn snapshot_with_stacks(&self) -> Snapshot {
        match timeout(STACKS_LIMIT, self.inner.shared.executor.stacks()).await {
            Ok(Ok(stacks)) => self.snapshot_of(Stacks::Read, &stacks),
            Ok(Err(_)) | Err(_) => self.snapshot_of(Stacks::Held, &[]),
        }
    }

    fn snapshot_of(&self, stacks: Stacks, read: &[Stack]) -> Snapshot {
        let shared: &Shared = &self.inner.shared;
        let (health, roster) = (shared.executor.health(), shared.executor.roster());
        Snapshot {
            time: SystemTime::now(),
            uptime: shared.recorder.uptime(),
            engine: shared.name.clone(),
            targets: self.inner.loaded().targets.clone(),
            not_ready: NotReady::of(shared.gate.is_stopping(), &health),
            versions: Versions::of(shared, roster.has_gil),
            waiting: shared.slots.taken(),
            queue: shared.slots.all(),
            waiting_for_place: shared.slots.waited_for(),
            body_bytes: shared.budget.held(),
            body_budget: shared.budget.all(),
            calls: shared.recorder.counts(),
            recent: shared.recorder.recent(),
            history: shared.recorder.history(),
            slow_after: shared.recorder.slow_after(),
            slow: shared.recorder.slow(),
            failed: shared.recorder.failed(),
            workers: WorkerHealth::new(&health, roster, read),
            stacks,
        }
    }
}

impl Versions {
    fn of(shared: &Shared, gil: bool) -> Self {
        let Facts {
            version,
            venv,
            executable,
            switch_interval,
            ..
        } = shared.executor.facts();
        Self {
            httpy: env!("CARGO_PKG_VERSION"),
            python: version,
            gil,
            venv,
            executable,
            switch_interval,
        }
    }
}

impl WorkerHealth {
    fn new(health: &Health, roster: Roster, stacks: &[Stack]) -> Self {
        let Health {
            workers_max,
            lost,
            replacements,
            starting: _, // one of the reasons in `not_ready`
            held_for,
        } = *health;
        let each = roster
            .members
            .into_iter()
            .map(|member| Worker::new(member, stacks))
            .collect();
        let loops = roster
            .loops
            .into_iter()
            .map(|member| EventLoop::new(member, stacks))
            .collect();
        Self {
            max: workers_max,
            lost,
            replacements,
            held_for,
            jobs: roster.jobs,
            each,
            loops,
        }
    }
}
