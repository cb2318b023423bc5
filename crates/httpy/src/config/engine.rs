//! `EngineConfig`: the options of an engine as data, with their defaults and the check of their combinations.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{LONGEST, MIB, read};
use crate::Executor;

/// The options of an engine as data.
///
/// [`PyEngineBuilder`](crate::PyEngineBuilder) has a method for each, where it is described.
///
/// ```
/// use httpy::EngineConfig;
/// use std::time::Duration;
///
/// let engine: EngineConfig = serde_json::from_str(r#"{"path": ["python"], "grace": "5s"}"#).unwrap();
/// assert_eq!(engine.grace, Duration::from_secs(5));
/// assert_eq!(engine.queue, 1024);
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table of an engine's options"
)]
#[non_exhaustive]
pub struct EngineConfig {
    /// Name in metrics, on the status page and in the log. Defaults to `python`.
    pub name: String,
    /// Folders for `sys.path`. Defaults to none.
    pub path: Vec<PathBuf>,
    /// The virtual environment. Defaults to the one that `VIRTUAL_ENV` names, else none.
    pub venv: Option<PathBuf>,
    /// Environment variables. Defaults to none.
    pub env: BTreeMap<String, String>,
    /// A file of environment variables. Defaults to none.
    pub env_file: Option<PathBuf>,
    /// The working directory. Defaults to that of the process.
    pub working_dir: Option<PathBuf>,
    /// What runs Python code, with its own options. Defaults to threads.
    pub executor: Executor,
    /// Maximum number of calls that wait for a worker. Defaults to 1024.
    #[serde(deserialize_with = "read::number")]
    pub queue: usize,
    /// What happens to a call when the queue is full. Defaults to refusing it.
    pub on_full: OnFull,
    /// Maximum size of all requests' bodies together, in bytes. Defaults to 256 MiB.
    #[serde(deserialize_with = "read::number")]
    pub body_budget: usize,
    /// The shutdown function, `"module:attribute"`. Defaults to none.
    pub shutdown_function: Option<String>,
    /// Whether records of Python's `logging` become `tracing` events. Defaults to true.
    pub python_logging: Option<bool>,
    /// Time after which a call is logged as slow. Defaults to 1 s.
    #[serde(with = "read::duration")]
    pub slow_call: Duration,
    /// Time from the stop signal until new calls are refused. Defaults to 500 ms.
    #[serde(with = "read::duration")]
    pub drain: Duration,
    /// Time from the stop signal until pending calls are answered with 503. Defaults to 10 s.
    #[serde(with = "read::duration")]
    pub grace: Duration,
    /// Whether failures are answered with a page about them. Defaults to false.
    pub debug: bool,
    /// Options that are rarely changed.
    pub advanced: Advanced,
}

/// Options of an engine that are rarely changed. Each default comes from a measurement; change one only with another.
///
/// ```
/// use httpy::{Advanced, PyEngine};
/// use std::time::Duration;
///
/// let mut advanced = Advanced::default();
/// advanced.lost_after = Duration::from_secs(20);
/// let builder = PyEngine::builder().advanced(advanced);
/// # assert!(format!("{builder:?}").contains("lost_after: 20s"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table of advanced options"
)]
#[non_exhaustive]
pub struct Advanced {
    /// Python's switch interval (`sys.setswitchinterval`): the time after which a handler that computes lets others run.
    /// Short intervals help quick handlers beside those that compute. Long ones wake fewer threads while C code keeps the
    /// interpreter. All engines with threads share it, and Python code cannot change it. Defaults to 1 ms on threads, and to
    /// 250 µs in worker processes; where the host has started Python itself, to what is set there.
    #[serde(with = "read::optional_duration")]
    pub switch_interval: Option<Duration>,
    /// Time after its deadline at which a call's worker counts as lost. Such a handler is stuck in C code (`time.sleep`, a
    /// query without a timeout), or catches the exception of each interruption and goes on. The worker is replaced, and
    /// takes its place again if it comes back. Time in which the interpreter itself is held does not count. An event
    /// loop that such a call blocks is replaced as well, after 1 s at least: its other calls get 502. Defaults to 5 s.
    #[serde(with = "read::duration")]
    pub lost_after: Duration,
    /// Maximum number of lost workers and event loops that are replaced at the same time. Each keeps its thread, and what its
    /// handler holds. Defaults to 16.
    #[serde(deserialize_with = "read::number")]
    pub replacements: usize,
    /// Whether the event loop is uvloop's where it can be imported. Defaults to true.
    pub uvloop: bool,
    /// Maximum number of calls of `async def` handlers that run at the same time on an event loop: each interpreter has
    /// one. More wait in the queue. Defaults to 10,000.
    #[serde(deserialize_with = "read::number")]
    pub in_flight: usize,
    /// Time after which a blocked event loop is logged, with the stack of what blocks it: a handler that computes, or waits
    /// without `await`. Defaults to 1 s.
    #[serde(with = "read::duration")]
    pub loop_blocked_after: Duration,
}

/// What happens to a call when the queue is full.
///
/// ```
/// use httpy::OnFull;
///
/// assert_eq!(serde_json::from_str::<OnFull>(r#""wait""#).unwrap(), OnFull::Wait);
/// assert_eq!(OnFull::default(), OnFull::Refuse);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OnFull {
    /// It is answered with 503 at once. Services are always ready.
    #[default]
    Refuse,
    /// Its service is not ready until the queue has a place again. Layers of tower see that: `LoadShed`, `Buffer`, and
    /// timeouts.
    ///
    /// The wait is bounded. As many calls may wait as the queue is long, and none longer than its service's `max_wait`,
    /// which starts again in the queue. Beyond either, and at a shutdown, the service is ready at once, and the call is
    /// answered with 503.
    ///
    /// A ready service has a place in the queue until it is called or dropped. A call whose body does not come at once gives
    /// its place back, and waits for another one after it has read the body, within the same bounds: slow clients take up no
    /// places. A call that was not preceded by `poll_ready`, such as
    /// [`PyService::try_call`](crate::PyService::try_call), does not wait.
    Wait,
}

const MOST_INTERVAL: Duration = Duration::from_secs(60);
const MOST_REPLACEMENTS: usize = 1024;
/// A call's place among those in flight has to fit into its ticket.
const MOST_IN_FLIGHT: usize = 1_000_000;

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            name: "python".to_owned(),
            path: Vec::new(),
            venv: None,
            env: BTreeMap::new(),
            env_file: None,
            working_dir: None,
            executor: Executor::default(),
            queue: 1024,
            on_full: OnFull::default(),
            body_budget: 256 * MIB,
            shutdown_function: None,
            python_logging: None,
            slow_call: Duration::from_secs(1),
            drain: Duration::from_millis(500),
            grace: Duration::from_secs(10),
            debug: false,
            advanced: Advanced::default(),
        }
    }
}

impl Default for Advanced {
    fn default() -> Self {
        Self {
            switch_interval: None,
            lost_after: Duration::from_secs(5),
            replacements: 16,
            uvloop: true,
            in_flight: 10_000,
            loop_blocked_after: Duration::from_secs(1),
        }
    }
}

/// Of variables only the names: what they hold may be secret.
impl fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            path,
            venv,
            env,
            env_file,
            working_dir,
            executor,
            queue,
            on_full,
            body_budget,
            shutdown_function,
            python_logging,
            slow_call,
            drain,
            grace,
            debug,
            advanced,
        } = self;
        f.debug_struct("EngineConfig")
            .field("name", name)
            .field("path", path)
            .field("venv", venv)
            .field("env", &env.keys())
            .field("env_file", env_file)
            .field("working_dir", working_dir)
            .field("executor", executor)
            .field("queue", queue)
            .field("on_full", on_full)
            .field("body_budget", body_budget)
            .field("shutdown_function", shutdown_function)
            .field("python_logging", python_logging)
            .field("slow_call", slow_call)
            .field("drain", drain)
            .field("grace", grace)
            .field("debug", debug)
            .field("advanced", advanced)
            .finish()
    }
}

impl EngineConfig {
    /// Every option and every combination that can be judged before Python starts.
    pub(super) fn problems(&self) -> Vec<String> {
        let Self {
            queue, body_budget, ..
        } = self;
        let most = tokio::sync::Semaphore::MAX_PERMITS;
        let rules = [
            (
                self.name.is_empty(),
                "name: \"\", expected a name such as \"python\"".to_owned(),
            ),
            (
                *queue == 0,
                "queue: 0 could never take a call, expected at least 1".to_owned(),
            ),
            (
                *queue > most,
                format!("queue: {queue}, expected at most {most}"),
            ),
            (
                *body_budget > most,
                format!("body_budget: {body_budget} bytes, expected at most {most}"),
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
                self.grace > LONGEST,
                format!("grace: {:?}, expected at most a year", self.grace),
            ),
        ];
        let missing = |option: &'static str, dir: &PathBuf| {
            let whole = std::path::absolute(dir);
            let whole = whole.as_ref().unwrap_or(dir).display();
            (!dir.is_dir(), format!("{option}: {whole} is not a folder"))
        };
        let folders = self.path.iter().map(|dir| missing("path", dir));
        let variables = self.env.iter().map(|(name, value)| {
            let broken = name.is_empty() || name.contains(['=', '\0']) || value.contains('\0');
            let text = format!(
                "env: {name:?}: expected a name without \"=\", and no NUL in name or value"
            );
            (broken, text)
        });
        let working_dir = self.working_dir.iter();
        let rules = rules.into_iter().chain(self.advanced.rules());
        let rules = rules.chain(self.executor.rules()).chain(folders);
        rules
            .chain(working_dir.map(|dir| missing("working_dir", dir)))
            .chain(variables)
            .filter(|(broken, _)| *broken)
            .map(|(_, text)| text)
            .collect()
    }
}

impl Advanced {
    fn rules(&self) -> impl Iterator<Item = (bool, String)> {
        let interval = self.switch_interval;
        [
            (
                self.lost_after > LONGEST,
                format!("lost_after: {:?}, expected at most a year", self.lost_after),
            ),
            (
                self.replacements > MOST_REPLACEMENTS,
                format!(
                    "replacements: {}, expected at most {MOST_REPLACEMENTS}",
                    self.replacements
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
                interval.is_some_and(|interval| interval > MOST_INTERVAL),
                format!("switch_interval: more than {MOST_INTERVAL:?}"),
            ),
            (
                interval.is_some_and(|interval| interval < Duration::from_micros(1)),
                "switch_interval: less than 1 µs, which CPython cannot count".to_owned(),
            ),
        ]
        .into_iter()
    }
}
