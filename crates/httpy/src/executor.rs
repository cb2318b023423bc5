//! `Executor`: what runs an app's handlers, as an option; and how the one that was chosen is started.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use httpy_core::{Execute, Listener};
use serde::{Deserialize, Serialize};

use crate::config::{LONGEST, MIB};
use crate::{Config, Error};

/// What runs an app's handlers.
///
/// Services, routes, contract, deadlines, streams and errors are the same with either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Executor {
    /// Threads of this process, which is linked with libpython. They share one interpreter with those of all other apps, and
    /// its fate with the server. Needs the feature `embed`.
    Threads,
    /// Processes of their own. Needs the feature `processes`.
    Processes(Processes),
}

/// How many worker processes an app has, and how they are kept. Made by [`Executor::processes`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Processes {
    /// How many there are.
    pub count: usize,
    /// Threads for plain handlers in each. Defaults to 16.
    #[serde(default = "threads_per_process")]
    pub threads_per_process: usize,
    /// The interpreter that is started. Defaults to that of the virtual environment, else `python3`.
    #[serde(default)]
    pub python: Option<PathBuf>,
    /// A worker that has not started within this time is killed. Defaults to 10 minutes.
    #[serde(default = "start_limit", with = "humantime_serde")]
    pub start_limit: Duration,
    /// A worker is replaced after so many calls. Defaults to none.
    #[serde(default)]
    pub max_requests: Option<u64>,
    /// A worker is replaced when it has grown beyond so many bytes. Defaults to none.
    #[serde(default)]
    pub max_rss: Option<u64>,
    /// A worker is replaced after so long. Defaults to none.
    #[serde(default, with = "humantime_serde::option")]
    pub max_age: Option<Duration>,
    /// Whether the workers are replaced when a Python file of the app changes. Defaults to false.
    #[serde(default)]
    pub reload_on_change: bool,
}

/// Shorter than that of the embedded interpreter: a worker's lead stands in line for the interpreter at each read and each
/// write, behind whatever computes. Two processes, 32 fast connections beside four that compute 20 ms each: p99 8 ms, 16 ms
/// with 1 ms; 2 % fewer calls of handlers that all compute 2 ms.
#[cfg(feature = "processes")]
const SWITCH_INTERVAL: Duration = Duration::from_micros(250);
const MOST_PROCESSES: usize = 256;
const MOST_THREADS: usize = 1024;

fn threads_per_process() -> usize {
    16
}

/// Modules that load a model take minutes.
fn start_limit() -> Duration {
    Duration::from_secs(600)
}

impl Executor {
    /// Threads of this process: the fastest way for handlers that are quick or wait.
    pub const fn threads() -> Self {
        Self::Threads
    }

    /// So many processes of their own, each with an interpreter: a crash of one costs the calls that it was in and nothing
    /// else, handlers that compute use as many processors, and any Python will do, with libpython or without. A call takes
    /// about twice as long to get there and back as with threads.
    ///
    /// The workers are started by [`build`](crate::PyAppBuilder::build), clean, with the environment of this process. They
    /// close descriptors that they inherit from it (on Linux with `/proc`). They end with it, however it ends. What they print
    /// goes to the log, line by line.
    pub fn processes(count: usize) -> Processes {
        Processes {
            count,
            threads_per_process: threads_per_process(),
            python: None,
            start_limit: start_limit(),
            max_requests: None,
            max_rss: None,
            max_age: None,
            reload_on_change: false,
        }
    }
}

#[cfg(feature = "processes")]
impl Executor {
    /// Whether files are watched for it.
    pub(crate) const fn reloads_on_change(&self) -> bool {
        matches!(self, Self::Processes(processes) if processes.reload_on_change)
    }
}

impl Default for Executor {
    /// Threads; processes, one per processor, where httpy was built without the feature `embed`.
    fn default() -> Self {
        if cfg!(feature = "embed") {
            return Self::Threads;
        }
        Self::processes(std::thread::available_parallelism().map_or(1, usize::from)).into()
    }
}

impl From<Processes> for Executor {
    fn from(processes: Processes) -> Self {
        Self::Processes(processes)
    }
}

impl Processes {
    /// So many calls of plain handlers may be under way at once in each process, for handlers that wait (for a database,
    /// another server, a sleep). Threads are started as they are needed. `async def` handlers need none: they share an event
    /// loop. Defaults to 16.
    #[must_use]
    pub fn threads_per_process(mut self, threads: usize) -> Self {
        self.threads_per_process = threads;
        self
    }

    /// The interpreter that is started: CPython 3.11 or newer. Defaults to that of the [virtual environment](crate::PyAppBuilder::venv), else `python3`.
    #[must_use]
    pub fn python(mut self, program: impl Into<PathBuf>) -> Self {
        self.python = Some(program.into());
        self
    }

    /// Kills a worker that has not started within this time, and starts another one: the limit for Python itself with its
    /// `sitecustomize`, and again for the imports of the handlers. A start that takes longer than 30 s is logged. Defaults
    /// to 10 minutes.
    #[must_use]
    pub fn start_limit(mut self, limit: Duration) -> Self {
        self.start_limit = limit;
        self
    }

    /// A worker that has answered so many calls is replaced, up to a tenth earlier, so that not all are at once: its successor
    /// is ready before it goes, and no call is lost. Defaults to none.
    #[must_use]
    pub fn max_requests(mut self, calls: u64) -> Self {
        self.max_requests = Some(calls);
        self
    }

    /// A worker whose memory has grown beyond so many bytes is replaced as by [`max_requests`](Self::max_requests). Looked at
    /// every second while it has calls; on Linux only. Defaults to none.
    #[must_use]
    pub fn max_rss(mut self, bytes: u64) -> Self {
        self.max_rss = Some(bytes);
        self
    }

    /// A worker is replaced after so long as by [`max_requests`](Self::max_requests). Defaults to none.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Whether [`PyApp::reload`](crate::PyApp::reload) is called when Python files change, for development: `*.py` below the
    /// folders of [`path`](crate::PyAppBuilder::path), links followed, without hidden files and folders, `__pycache__` and
    /// virtual environments. A file counts as changed when it is created, removed, renamed, or has another modification time
    /// or size; templates, data and logs do not count. All files of a checkout are one reload. Defaults to false.
    #[must_use]
    pub fn reload_on_change(mut self, on: bool) -> Self {
        self.reload_on_change = on;
        self
    }
}

/// What is wrong with the choice, each with what says so.
pub(crate) fn rules(executor: &Executor) -> Vec<(bool, String)> {
    let Executor::Processes(processes) = executor else {
        let text = "executor: threads need the feature `embed` of the crate httpy".to_owned();
        return vec![(!cfg!(feature = "embed"), text)];
    };
    let Processes {
        count,
        threads_per_process: threads,
        start_limit,
        max_requests,
        max_rss,
        max_age,
        ..
    } = processes;
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

/// Starts what `config` has chosen, which is checked.
///
/// # Blocking
///
/// Until it runs.
///
/// # Errors
///
/// Why it does not start.
pub(crate) fn start(
    config: &Config,
    paths: Vec<PathBuf>,
    listener: Listener,
) -> Result<Arc<dyn Execute>, Error> {
    match &config.executor {
        #[cfg(feature = "embed")]
        Executor::Threads => {
            let interpreter = httpy_python::interpreter::Options {
                venv: config.venv.clone(),
                switch_interval: config.switch_interval,
                python_logging: config.python_logging,
                capture_stdout: config.capture_stdout,
            };
            let pool = httpy_python::PoolOptions {
                min: config.workers.min,
                max: config.workers.max,
                stack_size: config.stack_size,
                replacements: config.replacements,
                lost_after: config.lost_after,
                event_loops: config.event_loops,
                uvloop: config.uvloop,
                in_flight: config.in_flight,
                loop_blocked_after: config.loop_blocked_after,
            };
            let started = httpy_python::Embedded::start(&interpreter, pool, paths, listener);
            Ok(Arc::new(
                started.map_err(|error| Error::not_started(&error))?,
            ))
        }
        #[cfg(feature = "processes")]
        Executor::Processes(processes) => {
            let options = httpy_process::ProcessOptions {
                python: processes.python.clone(),
                venv: config.venv.clone().or_else(activated),
                paths,
                processes: processes.count,
                threads: processes.threads_per_process,
                in_flight: config.in_flight,
                uvloop: config.uvloop,
                switch_interval: config.switch_interval.unwrap_or(SWITCH_INTERVAL),
                logging: config.python_logging.unwrap_or(true),
                debug: config.debug,
                lost_after: config.lost_after,
                loop_blocked_after: config.loop_blocked_after,
                replacements: config.replacements,
                start_limit: processes.start_limit,
                max_requests: processes.max_requests,
                max_rss: processes.max_rss,
                max_age: processes.max_age,
            };
            let started = httpy_process::Processes::start(options, listener);
            Ok(Arc::new(
                started.map_err(|error| Error::not_started(&error))?,
            ))
        }
        #[cfg(not(all(feature = "embed", feature = "processes")))]
        _ => {
            drop((paths, listener));
            Err(Error::new(
                crate::error::Kind::Config,
                "executor: it needs a feature of the crate httpy that is not on".to_owned(),
            ))
        }
    }
}

/// The virtual environment that `VIRTUAL_ENV` names.
#[cfg(feature = "processes")]
fn activated() -> Option<PathBuf> {
    std::env::var_os("VIRTUAL_ENV")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_a_word_or_as_what_it_holds() {
        let executor: Executor = serde_json::from_str(r#""threads""#).unwrap();
        assert_eq!(executor, Executor::threads());
        let executor: Executor =
            serde_json::from_str(r#"{"processes": {"count": 2, "max_age": "1h"}}"#).unwrap();
        assert_eq!(
            executor,
            Executor::processes(2)
                .max_age(Duration::from_secs(3600))
                .into()
        );
        serde_json::from_str::<Executor>(r#"{"processes": {"cuont": 2}}"#).unwrap_err();
    }

    #[test]
    fn what_could_not_work_is_told() {
        let broken = |processes: Processes| {
            rules(&processes.into())
                .into_iter()
                .filter(|(broken, _)| *broken)
                .count()
        };
        assert_eq!(
            broken(Executor::processes(2)),
            usize::from(cfg!(not(feature = "processes")))
        );
        for wrong in [
            Executor::processes(0),
            Executor::processes(2).threads_per_process(0),
            Executor::processes(2).max_requests(0),
            Executor::processes(2).start_limit(Duration::ZERO),
            Executor::processes(2).max_rss(1000),
            Executor::processes(2).max_age(Duration::ZERO),
        ] {
            assert_eq!(
                broken(wrong),
                1 + usize::from(cfg!(not(feature = "processes")))
            );
        }
    }
}
