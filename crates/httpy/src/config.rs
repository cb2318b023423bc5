//! `Config`: all options of an app as data, with their defaults and the check of their combinations.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Kind;
use crate::{Error, Executor, executor};

/// The options of a [`PyApp`](crate::PyApp) as data, to be read from a file; see [`PyAppBuilder::from`].
///
/// Holds the same fields as [`PyAppBuilder`] has methods, where each is described; only what is code (`extra`,
/// `failure_response`) is given to the builder alone. Durations are written as `"30s"` or `"200ms"`. Every field but
/// `target` may be left out.
///
/// [`PyAppBuilder`]: crate::PyAppBuilder
/// [`PyAppBuilder::from`]: crate::PyAppBuilder#impl-From<Config>-for-PyAppBuilder
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The handler, `"module:attribute"`.
    pub target: String,
    /// The init function, `"module:attribute"`. Defaults to none.
    #[serde(default)]
    pub init: Option<String>,
    /// The shutdown function, `"module:attribute"`. Defaults to none.
    #[serde(default)]
    pub shutdown_function: Option<String>,
    /// Folders for `sys.path`. Defaults to none.
    #[serde(default)]
    pub path: Vec<PathBuf>,
    /// The virtual environment. Defaults to the one that `VIRTUAL_ENV` names, else none.
    #[serde(default)]
    pub venv: Option<PathBuf>,
    /// What runs the handlers. Defaults to threads.
    #[serde(default)]
    pub executor: Executor,
    /// Worker threads. Defaults to 1 to 96.
    #[serde(default)]
    pub workers: Workers,
    /// Calls that may wait for a worker. Defaults to 1024.
    #[serde(default = "queue")]
    pub queue: usize,
    /// What happens when the queue is full. Defaults to refusing.
    #[serde(default)]
    pub on_full: OnFull,
    /// From the push into the queue to the answer. Defaults to 30 s.
    #[serde(default = "deadline", with = "humantime_serde")]
    pub deadline: Duration,
    /// From the push into the queue to the handler's start. Defaults to the deadline.
    #[serde(default, with = "humantime_serde::option")]
    pub max_wait: Option<Duration>,
    /// A request's body in bytes. Defaults to 2 MiB.
    #[serde(default = "body_limit")]
    pub body_limit: usize,
    /// From the first wait for a body to its end. Defaults to 30 s.
    #[serde(default = "body_timeout", with = "humantime_serde")]
    pub body_timeout: Duration,
    /// From the wait for a chunk of a streamed body to its coming. Defaults to 30 s.
    #[serde(default = "chunk_timeout", with = "humantime_serde")]
    pub chunk_timeout: Duration,
    /// All bodies together that are being read or wait, in bytes. Defaults to 256 MiB.
    #[serde(default = "body_budget")]
    pub body_budget: usize,
    /// Python's switch interval. Defaults to 1 ms.
    #[serde(default, with = "humantime_serde::option")]
    pub switch_interval: Option<Duration>,
    /// Each worker's stack in bytes. Defaults to 8 MiB.
    #[serde(default = "stack_size")]
    pub stack_size: usize,
    /// From a call's deadline until its worker counts as lost. Defaults to 5 s.
    #[serde(default = "lost_after", with = "humantime_serde")]
    pub lost_after: Duration,
    /// Lost workers that are replaced. Defaults to 16.
    #[serde(default = "replacements")]
    pub replacements: usize,
    /// Event loops for `async def` handlers. Defaults to 1.
    #[serde(default = "event_loops")]
    pub event_loops: usize,
    /// Whether they are uvloop's. Defaults to true: where it can be imported.
    #[serde(default = "uvloop")]
    pub uvloop: bool,
    /// Calls of `async def` handlers that are under way at once, on each event loop. Defaults to 10,000.
    #[serde(default = "in_flight")]
    pub in_flight: usize,
    /// From an event loop's last round until it counts as blocked. Defaults to 1 s.
    #[serde(default = "loop_blocked_after", with = "humantime_serde")]
    pub loop_blocked_after: Duration,
    /// Whether what Python's `logging` takes becomes `tracing` events. Defaults to true.
    #[serde(default)]
    pub python_logging: Option<bool>,
    /// Whether what Python code prints becomes `tracing` events. Defaults to false.
    #[serde(default)]
    pub capture_stdout: Option<bool>,
    /// From the push into the queue until a call that is not answered is told of. Defaults to 1 s.
    #[serde(default = "slow_call", with = "humantime_serde")]
    pub slow_call: Duration,
    /// From the signal to stop until new calls are refused. Defaults to 500 ms.
    #[serde(default = "drain", with = "humantime_serde")]
    pub drain: Duration,
    /// Whether failures are answered with a page about them. Defaults to false.
    #[serde(default)]
    pub debug: bool,
}

/// What a full queue means for one more call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OnFull {
    /// It is answered with 503 at once. The services are always ready.
    #[default]
    Refuse,
    /// Its service is not ready before there is a place in the queue again, which layers of tower can see: `LoadShed`,
    /// `Buffer`, and whatever gives up on a service that does not become ready.
    ///
    /// The wait is bounded. As many calls may wait as the queue is long, and none longer than
    /// [`max_wait`](crate::PyAppBuilder::max_wait), which begins anew in the queue. Beyond either, and at a shutdown, the
    /// service is ready at once, and the call is answered with 503.
    ///
    /// A ready service has a place in the queue until it is called or dropped. A call whose body does not come at once gives
    /// its place back, and waits for another one when it has read the body, within the same bounds: slow clients take up no
    /// places. What is called without having been asked whether it is ready, as
    /// [`PyService::try_call`](crate::PyService::try_call) is, does not wait.
    Wait,
}

/// How many worker threads an app's interpreter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workers {
    /// Minimum number of worker threads. Defaults to 1.
    #[serde(default = "min_workers")]
    pub min: usize,
    /// Maximum number of worker threads. Defaults to 96, see
    /// [`PyAppBuilder::workers`](crate::PyAppBuilder::workers).
    #[serde(default = "max_workers")]
    pub max: usize,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            min: min_workers(),
            max: max_workers(),
        }
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

pub(crate) const MIB: usize = 1024 * 1024;
const MOST_WORKERS: usize = 1024;
/// A moment further away cannot be told on every clock.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// A call's place among those in flight has to fit into its ticket.
const MOST_IN_FLIGHT: usize = 1_000_000;
const MOST_LOOPS: usize = 64;
const MOST_INTERVAL: Duration = Duration::from_secs(60);
const MOST_STACK: usize = 1024 * MIB;
/// Below this CPython's own start of a thread may not fit.
const LEAST_STACK: usize = 256 * 1024;

fn min_workers() -> usize {
    1
}

/// Together with [`replacements`] fewer than the 128 threads that `OpenBLAS` has buffers for (as built for numpy's wheels), so
/// that some are left for threads of Python code's own.
fn max_workers() -> usize {
    96
}

fn queue() -> usize {
    1024
}

fn deadline() -> Duration {
    Duration::from_secs(30)
}

fn body_limit() -> usize {
    2 * MIB
}

fn body_timeout() -> Duration {
    Duration::from_secs(30)
}

fn chunk_timeout() -> Duration {
    Duration::from_secs(30)
}

fn body_budget() -> usize {
    256 * MIB
}

fn stack_size() -> usize {
    8 * MIB
}

fn lost_after() -> Duration {
    Duration::from_secs(5)
}

fn replacements() -> usize {
    16
}

fn event_loops() -> usize {
    1
}

fn uvloop() -> bool {
    true
}

fn in_flight() -> usize {
    10_000
}

fn loop_blocked_after() -> Duration {
    Duration::from_secs(1)
}

fn slow_call() -> Duration {
    Duration::from_secs(1)
}

fn drain() -> Duration {
    Duration::from_millis(500)
}

impl Config {
    /// All defaults, for the handler `target` (`"module:attribute"`).
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            init: None,
            shutdown_function: None,
            path: Vec::new(),
            venv: None,
            executor: Executor::default(),
            workers: Workers::default(),
            queue: queue(),
            on_full: OnFull::default(),
            deadline: deadline(),
            max_wait: None,
            body_limit: body_limit(),
            body_timeout: body_timeout(),
            chunk_timeout: chunk_timeout(),
            body_budget: body_budget(),
            switch_interval: None,
            stack_size: stack_size(),
            lost_after: lost_after(),
            replacements: replacements(),
            event_loops: event_loops(),
            uvloop: uvloop(),
            in_flight: in_flight(),
            loop_blocked_after: loop_blocked_after(),
            python_logging: None,
            capture_stdout: None,
            slow_call: slow_call(),
            drain: drain(),
            debug: false,
        }
    }

    /// Every option and every combination that can be judged before Python starts.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Self {
            workers: Workers { min, max },
            queue,
            deadline,
            body_limit,
            body_budget,
            stack_size,
            ..
        } = self;
        let max_wait = self.max_wait();
        let rules = [
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
                *queue == 0,
                "queue: 0 could never take a call, expected at least 1".to_owned(),
            ),
            (
                deadline.is_zero(),
                "deadline: 0 s would refuse every call".to_owned(),
            ),
            (
                max_wait.is_zero(),
                "max_wait: 0 s would refuse every call".to_owned(),
            ),
            (
                max_wait > *deadline,
                format!("max_wait: {max_wait:?} is longer than the deadline of {deadline:?}"),
            ),
            (
                self.body_timeout.is_zero(),
                "body_timeout: 0 s would refuse every body".to_owned(),
            ),
            (
                self.chunk_timeout.is_zero(),
                "chunk_timeout: 0 s would break off every stream".to_owned(),
            ),
            (
                body_limit > body_budget,
                format!(
                    "body_limit: {body_limit} bytes are more than the {body_budget} of body_budget for all bodies together"
                ),
            ),
            (
                *body_budget > tokio::sync::Semaphore::MAX_PERMITS,
                format!(
                    "body_budget: {body_budget} bytes, expected at most {}",
                    tokio::sync::Semaphore::MAX_PERMITS
                ),
            ),
            (
                *queue > tokio::sync::Semaphore::MAX_PERMITS,
                format!("queue: {queue} calls are more than can be counted"),
            ),
            (
                *stack_size < LEAST_STACK,
                format!("stack_size: {stack_size} bytes, expected at least {LEAST_STACK}"),
            ),
            (
                *stack_size > MOST_STACK,
                format!("stack_size: {stack_size} bytes, expected at most {MOST_STACK}"),
            ),
            (
                *deadline > LONGEST,
                format!("deadline: {deadline:?}, expected at most a year"),
            ),
            (
                self.lost_after > LONGEST,
                format!("lost_after: {:?}, expected at most a year", self.lost_after),
            ),
            (
                self.replacements > MOST_WORKERS,
                format!(
                    "replacements: {}, expected at most {MOST_WORKERS}",
                    self.replacements
                ),
            ),
            (
                !(1..=MOST_LOOPS).contains(&self.event_loops),
                format!(
                    "event_loops: {}, expected 1 to {MOST_LOOPS}",
                    self.event_loops
                ),
            ),
            (
                !(1..=MOST_IN_FLIGHT).contains(&self.in_flight),
                format!(
                    "in_flight: {}, expected 1 to {MOST_IN_FLIGHT}",
                    self.in_flight
                ),
            ),
            (
                self.loop_blocked_after.is_zero() || self.loop_blocked_after > LONGEST,
                format!(
                    "loop_blocked_after: {:?}, expected more than 0 s and at most a year",
                    self.loop_blocked_after
                ),
            ),
            (
                self.slow_call.is_zero() || self.slow_call > LONGEST,
                format!(
                    "slow_call: {:?}, expected more than 0 s and at most a year",
                    self.slow_call
                ),
            ),
            (
                self.drain > LONGEST,
                format!("drain: {:?}, expected at most a year", self.drain),
            ),
            (
                self.body_timeout > LONGEST,
                format!(
                    "body_timeout: {:?}, expected at most a year",
                    self.body_timeout
                ),
            ),
            (
                self.chunk_timeout > LONGEST,
                format!(
                    "chunk_timeout: {:?}, expected at most a year",
                    self.chunk_timeout
                ),
            ),
            (
                self.switch_interval
                    .is_some_and(|interval| interval > MOST_INTERVAL),
                format!("switch_interval: more than {MOST_INTERVAL:?}"),
            ),
            (
                self.switch_interval
                    .is_some_and(|interval| interval < Duration::from_micros(1)),
                "switch_interval: less than 1 µs, which CPython cannot count".to_owned(),
            ),
        ];
        let rules = rules.into_iter().chain(executor::rules(&self.executor));
        let problems: Vec<String> = rules
            .filter(|(broken, _)| *broken)
            .map(|(_, text)| text)
            .collect();
        let missing = self.path.iter().filter(|dir| !dir.is_dir());
        let problems: Vec<String> = problems
            .into_iter()
            .chain(missing.map(|dir| format!("path: {} is not a folder", dir.display())))
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::new(Kind::Config, problems.join("; ")))
        }
    }

    pub(crate) fn max_wait(&self) -> Duration {
        self.max_wait.unwrap_or(self.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_target_alone_gives_the_defaults() {
        let config: Config = serde_json::from_str(r#"{"target": "worker:handle"}"#).unwrap();
        assert_eq!(config, Config::new("worker:handle"));
        config.check().unwrap();
    }

    #[test]
    fn the_default_number_of_threads_is_one_that_native_libraries_bear() {
        let config = Config::new("worker:handle");
        assert!(config.workers.max + config.replacements < 128, "{config:?}");
    }

    #[test]
    fn durations_are_written_with_their_unit_and_come_back() {
        let text = r#"{"target": "w:h", "deadline": "1500ms", "max_wait": "1s", "on_full": "wait", "workers": {"max": 8}}"#;
        let config: Config = serde_json::from_str(text).unwrap();
        assert_eq!(config.deadline, Duration::from_millis(1500));
        assert_eq!(config.workers, Workers { min: 1, max: 8 });
        assert_eq!(config.on_full, OnFull::Wait);
        let again: Config = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn a_misspelt_option_is_an_error() {
        let error =
            serde_json::from_str::<Config>(r#"{"target": "w:h", "dedline": "1s"}"#).unwrap_err();
        assert!(error.to_string().contains("dedline"), "{error}");
    }

    #[test]
    fn contradictions_are_told_with_both_numbers_and_all_at_once() {
        let mut config = Config::new("w:h");
        config.workers = Workers { min: 9, max: 3 };
        config.max_wait = Some(Duration::from_secs(40));
        config.path = vec!["/no/such/folder".into()];
        let error = config.check().unwrap_err();
        assert!(error.is_config());
        assert_eq!(
            error.to_string(),
            "workers: at least 9 and at most 3 contradict each other; max_wait: 40s is longer than the deadline of 30s; \
             path: /no/such/folder is not a folder"
        );
    }
}
