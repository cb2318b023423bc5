//! The supervisor: starts the workers, replaces those that die or are worn out, ends those that do not come back, and swaps
//! all of them for new ones in a reload.
//!
//! What becomes of whom is said by [`State`], which knows neither processes nor a clock; the driver does it, with a task for
//! each worker (`tend`). All of that runs on the thread `httpy-processes`, and only what the host asks crosses from
//! elsewhere.

mod backoff;
mod driver;
mod reload;
mod state;
mod tend;
#[cfg(test)]
mod tests;
mod wear;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use httpy_core::{Accept, ExitLimits};
use tokio::sync::{mpsc, oneshot};

use self::backoff::Jitter;
use self::driver::Driver;
use self::state::{Phase, Rules, State};
use crate::failure::Failure;
use crate::handover::{Handlers, Order};
use crate::handshake::Patience;
use crate::line::Lines;
use crate::options::ProcessOptions;
use crate::spawn;

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// Only streams take so long.
const DRAIN_WITHIN: Duration = Duration::from_secs(300);
/// So many questions of the host wait at most.
const QUESTIONS: usize = 16;

/// What the supervisor is started with.
pub(crate) struct Setup {
    pub(crate) options: Arc<ProcessOptions>,
    /// What each worker loads before it has jobs.
    pub(crate) handlers: Arc<Handlers>,
    /// What workers print and log goes there, and what is said of them.
    pub(crate) lines: Lines,
    /// What the dispatch is to do.
    pub(crate) orders: mpsc::Sender<Order>,
    /// What each process runs.
    pub(crate) program: &'static str,
    pub(crate) patience: Patience,
    /// The shortest time for which the place of a dead worker stays empty.
    pub(crate) shortest_pause: Duration,
    /// A worker that is to end finishes what it has begun, but not for longer than this.
    pub(crate) drain_within: Duration,
}

impl Setup {
    pub(crate) fn new(
        options: Arc<ProcessOptions>,
        handlers: Arc<Handlers>,
        lines: Lines,
        orders: mpsc::Sender<Order>,
    ) -> Self {
        Self {
            patience: Patience::new(options.start_limit),
            options,
            handlers,
            lines,
            orders,
            program: spawn::BOOT,
            shortest_pause: SHORTEST_PAUSE,
            drain_within: DRAIN_WITHIN,
        }
    }
}

/// The host's hold of the supervisor. When it is dropped, the workers end after what they have begun.
#[derive(Debug)]
pub(crate) struct Supervisor {
    state: Arc<Mutex<State>>,
    questions: mpsc::Sender<Question>,
    replacements: usize,
}

/// How the workers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Workers that are wanted.
    pub(crate) wanted: usize,
    /// Workers that have jobs, or may.
    pub(crate) ready: usize,
    /// Workers that were killed and are not gone yet.
    pub(crate) stuck: usize,
    /// Workers that have died unasked within the last minute.
    pub(crate) deaths: usize,
    /// So many may.
    pub(crate) replacements: usize,
    /// Workers that have died unasked since the start.
    pub(crate) restarts: u64,
    /// Workers that were replaced for being worn out.
    pub(crate) recycled: u64,
}

/// What the host asks.
enum Question {
    Reload {
        inits: Vec<String>,
        accept: Accept,
        answer: oneshot::Sender<Result<(), Failure>>,
    },
    Close {
        limits: ExitLimits,
        answer: oneshot::Sender<()>,
    },
}

impl Supervisor {
    /// Starts the first workers, and the supervisor as a task of the runtime that runs here. The receiver hears when all of
    /// them are ready, or why one is not: then there are none.
    ///
    /// # Errors
    ///
    /// When the virtual environment has no python.
    pub(crate) fn start(
        setup: Setup,
    ) -> Result<(Self, oneshot::Receiver<Result<(), Failure>>), Failure> {
        let python: PathBuf = spawn::python(&setup.options)?;
        let rules = Rules {
            processes: setup.options.processes,
            max_age: setup.options.max_age,
            shortest_pause: setup.shortest_pause,
            drain_within: setup.drain_within,
        };
        let state = Arc::new(Mutex::new(State::new(rules, Jitter::new())));
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let (up, is_up) = oneshot::channel();
        let replacements = setup.options.replacements;
        let driver = Driver::new(setup, python, Arc::clone(&state), up);
        tokio::spawn(driver.run(asked));
        Ok((
            Self {
                state,
                questions,
                replacements,
            },
            is_up,
        ))
    }

    /// Starts a whole new generation of workers with the code as it is now, and has the first of it run the init functions. The
    /// generation takes over when all of it are ready and `accept` takes the routes, those of each init function in order.
    /// The old workers end after what they have begun. Where a reload is under way, this is the one after it.
    ///
    /// # Errors
    ///
    /// When one of the new workers does not come up, an init function fails, or its routes are refused. The old ones go on then.
    ///
    /// # Cancellation
    ///
    /// The reload goes on.
    pub(crate) async fn reload(&self, inits: Vec<String>, accept: Accept) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        drop(
            self.questions
                .send(Question::Reload {
                    inits,
                    accept,
                    answer,
                })
                .await,
        );
        answered.await.unwrap_or_else(|_| Err(driver::closed()))
    }

    /// Ends all workers within `limits`. Returns when no process is left.
    pub(crate) async fn close(&self, limits: ExitLimits) {
        let (answer, answered) = oneshot::channel();
        drop(
            self.questions
                .send(Question::Close { limits, answer })
                .await,
        );
        // Told, or dropped with a driver that had ended before.
        drop(answered.await);
    }

    pub(crate) fn standing(&self) -> Standing {
        let (now, state) = (Instant::now(), lock(&self.state));
        let (restarts, recycled) = state.totals();
        Standing {
            wanted: state.wanted(),
            ready: state.count(Phase::Ready),
            stuck: state.count(Phase::Stuck),
            deaths: state.deaths(now),
            replacements: self.replacements,
            restarts,
            recycled,
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
