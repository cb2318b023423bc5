//! `Threads`: the options of worker threads.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::Executor;
use crate::config::{MIB, read};

/// The options of worker threads. Made by [`Executor::threads`].
///
/// ```
/// use httpy::{Executor, PyEngine};
///
/// let builder = PyEngine::builder().executor(Executor::threads().workers(1..=200));
/// # assert!(format!("{builder:?}").contains("max: 200"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table of the options of threads"
)]
#[non_exhaustive]
pub struct Threads {
    /// How many there are. Defaults to 1 to 96.
    pub workers: Workers,
    /// Size of each worker's stack, in bytes. Defaults to 8 MiB.
    #[serde(deserialize_with = "read::number")]
    pub stack_size: usize,
    /// Whether what Python code prints becomes `tracing` events. Defaults to false.
    pub capture_stdout: Option<bool>,
}

/// Minimum and maximum number of worker threads, as [`Threads::workers`] takes them.
///
/// ```
/// use httpy::Workers;
///
/// assert_eq!(Workers::from(2..=8), Workers { min: 2, max: 8 });
/// assert_eq!(Workers::default(), Workers { min: 1, max: 96 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table with `min` and `max`"
)]
pub struct Workers {
    /// Minimum number. Defaults to 1.
    #[serde(deserialize_with = "read::number")]
    pub min: usize,
    /// Maximum number. Defaults to 96.
    #[serde(deserialize_with = "read::number")]
    pub max: usize,
}

const MOST_WORKERS: usize = 1024;
const MOST_STACK: usize = 1024 * MIB;
/// Below this CPython's own start of a thread may not fit.
const LEAST_STACK: usize = 256 * 1024;

impl Default for Threads {
    fn default() -> Self {
        Self {
            workers: Workers::default(),
            stack_size: 8 * MIB,
            capture_stdout: None,
        }
    }
}

impl Default for Workers {
    /// Together with the workers that replace lost ones fewer than the 128 threads that `OpenBLAS` has buffers for (as built
    /// for numpy's wheels), so that some are left for threads of Python code's own.
    fn default() -> Self {
        Self { min: 1, max: 96 }
    }
}

impl From<RangeInclusive<usize>> for Workers {
    fn from(range: RangeInclusive<usize>) -> Self {
        Self {
            min: *range.start(),
            max: *range.end(),
        }
    }
}

impl From<Threads> for Executor {
    fn from(threads: Threads) -> Self {
        Self::Threads(threads)
    }
}

impl Threads {
    /// Minimum and maximum number of worker threads. More are started while handlers wait (for a database, another server, a
    /// sleep), and retire after 10 s without work. One that waits costs some 20 KiB of memory. Where the system gives no more
    /// threads, those that exist take all calls. All engines with threads share them.
    ///
    /// Defaults to `1..=96`: libraries in C have tables for 64 or 128 threads, and `OpenBLAS`, for one, writes beyond its own
    /// when more threads call it at once. Handlers that wait and do not call such libraries are served faster by a larger
    /// maximum: handlers that sleep 10 ms get at most 100 requests per second and worker.
    #[must_use]
    pub fn workers(mut self, workers: RangeInclusive<usize>) -> Self {
        self.workers = Workers::from(workers);
        self
    }

    /// Size of each worker's stack, in bytes. All engines with threads share it. Defaults to 8 MiB, as on a main thread,
    /// which Python's recursion limit counts on.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes;
        self
    }

    /// Whether lines that Python code writes to `sys.stdout` and `sys.stderr` become `tracing` events of level INFO, targets
    /// `python.stdout` and `python.stderr`. Lines of more than 8192 characters come in pieces. What C code writes, and bytes
    /// written to `sys.stdout.buffer`, are not captured. All engines with threads share it. Defaults to false.
    #[must_use]
    pub fn capture_stdout(mut self, on: bool) -> Self {
        self.capture_stdout = Some(on);
        self
    }
}

impl Threads {
    pub(super) fn rules(&self) -> Vec<(bool, String)> {
        let Self {
            workers: Workers { min, max },
            stack_size,
            ..
        } = self;
        vec![
            (
                !cfg!(feature = "embed"),
                "executor: threads need the feature `embed` of the crate httpy".to_owned(),
            ),
            (
                *max == 0,
                "workers: at most 0 could never run anything, expected at least 1".to_owned(),
            ),
            (
                min > max,
                format!("workers: at least {min} and at most {max} contradict each other"),
            ),
            (
                *max > MOST_WORKERS,
                format!("workers: at most {max}, expected at most {MOST_WORKERS}"),
            ),
            (
                !(LEAST_STACK..=MOST_STACK).contains(stack_size),
                format!("stack_size: {stack_size} bytes, expected {LEAST_STACK} to {MOST_STACK}"),
            ),
        ]
    }
}
