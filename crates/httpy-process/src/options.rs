//! `ProcessOptions`: how the worker processes of an app are set up.

use std::path::PathBuf;
use std::time::Duration;

/// How the worker processes of an app are set up.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessOptions {
    /// The interpreter that is started; none: the virtual environment's, else `python3`.
    pub python: Option<PathBuf>,
    /// The virtual environment.
    pub venv: Option<PathBuf>,
    /// Folders at the front of `sys.path`, in order.
    pub paths: Vec<PathBuf>,
    /// Environment variables beside those of this process.
    pub variables: Vec<(String, String)>,
    /// The working directory of the processes; none: that of this one.
    pub working_dir: Option<PathBuf>,
    /// Worker processes, at least 1.
    pub processes: usize,
    /// Threads for plain handlers in each, at least 1.
    pub threads: usize,
    /// Calls of `async def` handlers under way in each, at least 1.
    pub in_flight: usize,
    /// Whether the event loop is uvloop's where that can be imported.
    pub uvloop: bool,
    /// CPython's switch interval.
    pub switch_interval: Duration,
    /// Whether records of Python's `logging` come to the host's log.
    pub logging: bool,
    /// Whether exceptions come with their frames and source lines.
    pub debug: bool,
    /// Time after the deadline at which a worker that is still in its call is lost, and killed.
    pub lost_after: Duration,
    /// Time after which an event loop that does not respond counts as blocked, and is logged.
    pub loop_blocked_after: Duration,
    /// Number of restarts within a minute at which readiness fails.
    pub replacements: usize,
    /// A worker that has not started within this time is killed.
    pub start_limit: Duration,
    /// Number of calls after which a worker is replaced.
    pub max_requests: Option<u64>,
    /// Size in bytes beyond which a worker is replaced.
    pub max_rss: Option<u64>,
    /// Age at which a worker is replaced.
    pub max_age: Option<Duration>,
}

/// What one worker may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) threads: usize,
    pub(crate) in_flight: usize,
    pub(crate) loop_blocked_after: Duration,
}

impl ProcessOptions {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            threads: self.threads.max(1),
            in_flight: self.in_flight.max(1),
            loop_blocked_after: self.loop_blocked_after,
        }
    }
}
