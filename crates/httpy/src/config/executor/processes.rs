//! `Processes`: the options of worker processes.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Executor;
use crate::config::{LONGEST, MIB, read};

/// The options of worker processes. Made by [`Executor::processes`].
///
/// ```
/// use httpy::Executor;
///
/// let processes = Executor::processes(4).threads(32).max_rss(1 << 30);
/// assert_eq!((processes.count, processes.threads), (4, 32));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table of the options of processes"
)]
#[non_exhaustive]
pub struct Processes {
    /// How many there are. Defaults to one per processor.
    #[serde(deserialize_with = "read::number")]
    pub count: usize,
    /// Maximum number of threads for plain handlers in each. Defaults to 16.
    #[serde(deserialize_with = "read::number")]
    pub threads: usize,
    /// The interpreter. Defaults to that of the virtual environment, else `python3`.
    pub python: Option<PathBuf>,
    /// Maximum time of a worker's start. Defaults to 10 minutes.
    #[serde(with = "read::duration")]
    pub start_limit: Duration,
    /// Number of calls after which a worker is replaced. Defaults to none.
    #[serde(deserialize_with = "read::optional_number")]
    pub max_requests: Option<u64>,
    /// Size in bytes beyond which a worker is replaced. Defaults to none.
    #[serde(deserialize_with = "read::optional_number")]
    pub max_rss: Option<u64>,
    /// Age at which a worker is replaced. Defaults to none.
    #[serde(with = "read::optional_duration")]
    pub max_age: Option<Duration>,
    /// Whether workers are replaced when a Python file changes. Defaults to false.
    pub reload_on_change: bool,
}

const MOST_PROCESSES: usize = 256;
const MOST_THREADS: usize = 1024;

impl Default for Processes {
    fn default() -> Self {
        Self {
            count: std::thread::available_parallelism().map_or(1, usize::from),
            threads: 16,
            python: None,
            // Modules that load a model take minutes.
            start_limit: Duration::from_secs(600),
            max_requests: None,
            max_rss: None,
            max_age: None,
            reload_on_change: false,
        }
    }
}

impl From<Processes> for Executor {
    fn from(processes: Processes) -> Self {
        Self::Processes(processes)
    }
}

impl Processes {
    /// Maximum number of threads for plain handlers in each process, and so of their calls at the same time. They start as they
    /// are needed. `async def` handlers need none: they share an event loop. Defaults to 16.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The interpreter that is started: CPython 3.11 or newer. Defaults to that of the
    /// [virtual environment](crate::PyEngineBuilder::venv), else `python3`.
    #[must_use]
    pub fn python(mut self, program: impl Into<PathBuf>) -> Self {
        self.python = Some(program.into());
        self
    }

    /// Maximum time of a worker's start, after which it is killed and another one is started. It holds for Python itself with
    /// its `sitecustomize`, and again for the imports of the handlers. A start that takes longer than 30 s is logged. Defaults
    /// to 10 minutes.
    #[must_use]
    pub fn start_limit(mut self, limit: Duration) -> Self {
        self.start_limit = limit;
        self
    }

    /// Number of calls after which a worker is replaced, up to a tenth earlier, so that not all are replaced at once. Its
    /// successor is ready before it ends, and no call is lost. Defaults to none.
    #[must_use]
    pub fn max_requests(mut self, calls: u64) -> Self {
        self.max_requests = Some(calls);
        self
    }

    /// Size in bytes beyond which a worker is replaced as by [`max_requests`](Self::max_requests). It is measured every
    /// second while the worker has calls, on Linux only. Defaults to none.
    #[must_use]
    pub fn max_rss(mut self, bytes: u64) -> Self {
        self.max_rss = Some(bytes);
        self
    }

    /// Age at which a worker is replaced as by [`max_requests`](Self::max_requests). Defaults to none.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Whether [`PyEngine::reload`](crate::PyEngine::reload) is called when Python files change, for development: `*.py` below
    /// the folders of [`path`](crate::PyEngineBuilder::path), links followed, without hidden files and folders,
    /// `__pycache__` and virtual environments. A file has changed when it is created, removed, renamed, or has another
    /// modification time or size. Templates, data and logs do not count. All files of a checkout are one reload. Defaults to
    /// false.
    #[must_use]
    pub fn reload_on_change(mut self, on: bool) -> Self {
        self.reload_on_change = on;
        self
    }
}

impl Processes {
    pub(super) fn rules(&self) -> Vec<(bool, String)> {
        let Self {
            count,
            threads,
            start_limit,
            max_requests,
            max_rss,
            max_age,
            ..
        } = self;
        vec![
            (
                !cfg!(feature = "processes"),
                "executor: processes need the feature `processes` of the crate httpy".to_owned(),
            ),
            (
                !(1..=MOST_PROCESSES).contains(count),
                format!("executor: {count} processes, expected 1 to {MOST_PROCESSES}"),
            ),
            (
                !(1..=MOST_THREADS).contains(threads),
                format!("executor: {threads} threads per process, expected 1 to {MOST_THREADS}"),
            ),
            (
                !(Duration::from_secs(1)..=LONGEST).contains(start_limit),
                format!("executor: start_limit of {start_limit:?}, expected 1 s to a year"),
            ),
            (
                *max_requests == Some(0),
                "executor: max_requests of 0 would replace workers for ever".to_owned(),
            ),
            (
                max_rss.is_some_and(|bytes| bytes < 16 * MIB as u64),
                "executor: max_rss of less than 16 MiB, which a worker needs for itself".to_owned(),
            ),
            (
                max_age.is_some_and(|age| age < Duration::from_secs(1) || age > LONGEST),
                "executor: max_age, expected 1 s to a year".to_owned(),
            ),
        ]
    }
}
