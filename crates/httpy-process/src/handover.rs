//! What passes between the supervisor, which starts and ends workers, and the dispatch, which gives them jobs. Both run on
//! the thread `httpy-processes`.

use std::fs::File;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use httpy_core::frame::Facts;
use httpy_core::{ExitLimits, Interface, Running};
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};

/// One worker process; never used again for another one, while names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// What the supervisor has the dispatch do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Jobs may go there from now on.
    Add(Box<Started>),
    /// No more jobs go there; it is told to end when what has begun has ended. Its connection then ends as
    /// [`Reason::Closed`].
    Stop(WorkerId),
    /// As [`Stop`](Self::Stop), but within these limits, and shutdown functions run first.
    ShutDown(WorkerId, ExitLimits),
    /// Its process has ended. What it has written is still read, and its connection then counts as closed, though a process
    /// that it has left behind may hold the other end. Nothing is to be done where the connection has ended already.
    Gone(WorkerId),
}

/// A worker that is ready for jobs.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) id: WorkerId,
    /// `httpy-process-1`
    pub(crate) name: String,
    /// The number in its name.
    pub(crate) number: usize,
    pub(crate) pid: u32,
    pub(crate) control: UnixStream,
    /// What was read of `control` beyond the frames that the supervisor has dealt with.
    pub(crate) rest: BytesMut,
    /// The lane of plain handlers.
    pub(crate) sync: UnixStream,
    /// The lane of `async def` handlers.
    pub(crate) asynchronous: UnixStream,
    /// Where the worker notes what it has begun.
    pub(crate) mark: File,
    /// So many handlers of the list it has loaded. The dispatch has it load those that came meanwhile before it gets jobs.
    pub(crate) handlers: usize,
    /// What it has said of itself.
    pub(crate) facts: Facts,
    pub(crate) tally: Arc<Tally>,
    /// Told once: the connection is at its end, and whatever is left of the process is to be killed.
    pub(crate) ended: oneshot::Sender<Ended>,
}

/// What the supervisor may know of a worker at any time.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Calls that it has answered.
    pub(crate) answered: AtomicU64,
    /// Calls that it has not answered yet.
    pub(crate) under_way: AtomicUsize,
    /// Whether the supervisor waits to hear from [`look`](Self::look), and from how many answers on.
    waits_from: AtomicU64,
    waiting: Notify,
}

impl Tally {
    /// To be called by the dispatch whenever it has written other numbers, once for a whole row of them: lets the supervisor
    /// look where it waits for that. Else it costs two loads.
    pub(crate) fn look(&self) {
        let from = self.waits_from.load(Ordering::Relaxed);
        if from != 0 && self.answered() >= from - 1 {
            self.waits_from.store(0, Ordering::Relaxed);
            self.waiting.notify_one();
        }
    }

    /// Until a call of [`look`](Self::look) finds so many calls answered; the next one where that is so already.
    pub(crate) async fn reaches(&self, answered: u64) {
        self.waits_from
            .store(answered.saturating_add(1), Ordering::Relaxed);
        self.waiting.notified().await;
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }
}

/// How the connection to a worker ended, and what it was doing. Its jobs are answered or given to others by then.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) reason: Reason,
    /// What had begun and was not answered.
    pub(crate) running: Vec<Running>,
}

/// Why the connection to a worker has ended.
#[derive(Debug)]
pub(crate) enum Reason {
    /// It was closed: the process has ended, or has closed it.
    Closed,
    /// It has sent an invalid message; in one sentence.
    Broken(String),
    /// A call has not come back so long after its deadline that it never will.
    Stuck,
}

/// The handlers that every worker has loaded, or is about to, in the order of their numbers. Grows only. A worker that is
/// started loads what is here then.
#[derive(Debug, Default)]
pub(crate) struct Handlers(Mutex<Vec<Arc<Handler>>>);

/// A handler that every worker has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Handler {
    /// `module:attribute`
    pub(crate) target: String,
    /// As the first worker that has loaded it found it.
    pub(crate) interface: Interface,
}

impl Handlers {
    /// Adds one behind all others.
    pub(crate) fn add(&self, handler: Handler) -> Arc<Handler> {
        let handler = Arc::new(handler);
        self.lock().push(Arc::clone(&handler));
        handler
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Handler>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Handler>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
