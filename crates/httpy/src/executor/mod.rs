//! `Executor`: what runs Python code, as an option; and how the chosen one is started.

mod processes;
mod threads;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
#[cfg(feature = "embed")]
use std::sync::{Mutex, PoisonError};

use httpy_core::{Execute, Listener};
use serde::de::{self, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

pub use self::processes::Processes;
pub use self::threads::{Threads, Workers};

use crate::Error;
use crate::config::EngineConfig;
use crate::engine::Surroundings;
#[cfg(feature = "embed")]
use crate::error::Kind;

/// Shorter than that of the embedded interpreter: a worker's lead waits for the interpreter at each read and each write,
/// behind every thread that computes. Two processes, 32 fast connections beside four that compute 20 ms each: p99 8 ms, 16 ms
/// with 1 ms; 2 % fewer calls of handlers that all compute 2 ms.
#[cfg(feature = "processes")]
const SWITCH_INTERVAL: std::time::Duration = std::time::Duration::from_micros(250);

/// What runs Python code, with its own options.
///
/// Services, routes, contract, deadlines, streams and errors are the same with either.
///
/// ```
/// use httpy::Executor;
///
/// let four: Executor = Executor::processes(4).max_requests(100_000).into();
/// let read: Executor =
///     serde_json::from_str(r#"{"processes": {"count": 4, "max_requests": 100000}}"#).unwrap();
/// assert_eq!(read, four);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Executor {
    /// Threads of this process, which is linked with libpython. All engines of the process share the interpreter. Needs the
    /// feature `embed`.
    Threads(Threads),
    /// Processes of the engine's own. Needs the feature `processes`.
    Processes(Processes),
}

impl<'de> Deserialize<'de> for Executor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Executor;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`threads` or `processes`, as a word or as a table of its options")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Executor, E> {
                match word {
                    "threads" => Ok(Executor::threads().into()),
                    "processes" => Ok(Processes::default().into()),
                    other => Err(E::invalid_value(Unexpected::Str(other), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Executor, A::Error> {
                let executor = match table.next_key::<String>()?.as_deref() {
                    Some("threads") => table.next_value::<Threads>()?.into(),
                    Some("processes") => table.next_value::<Processes>()?.into(),
                    other => {
                        let found = other.unwrap_or("an empty table");
                        return Err(de::Error::invalid_value(Unexpected::Str(found), &self));
                    }
                };
                match table.next_key::<String>()? {
                    None => Ok(executor),
                    Some(_) => Err(de::Error::custom(
                        "executor: expected one of two, found both",
                    )),
                }
            }
        }

        from.deserialize_any(Reader)
    }
}

impl Executor {
    /// Threads of this process: the fastest way for handlers that are quick or that wait.
    pub fn threads() -> Threads {
        Threads::default()
    }

    /// `count` processes, each with an interpreter: handlers that compute use as many processors, and a crash of one ends
    /// only the calls that it was in. Any Python will do, with libpython or without. A call takes about twice as long to get
    /// there and back as with threads.
    ///
    /// [`build`](crate::PyEngineBuilder::build) starts the workers, with the environment of this process. They close
    /// descriptors that they inherit from it (on Linux with `/proc`), and end with it, however it ends. What they print goes
    /// to the log, line by line.
    pub fn processes(count: usize) -> Processes {
        Processes {
            count,
            ..Processes::default()
        }
    }
}

impl Executor {
    /// What is wrong with its options.
    pub(crate) fn rules(&self) -> Vec<(bool, String)> {
        match self {
            Self::Threads(threads) => threads.rules(),
            Self::Processes(processes) => processes.rules(),
        }
    }

    /// Whether files are watched for it.
    #[cfg(feature = "processes")]
    pub(crate) const fn reloads_on_change(&self) -> bool {
        matches!(self, Self::Processes(processes) if processes.reload_on_change)
    }
}

impl Default for Executor {
    /// Threads; processes, one per processor, where httpy was built without the feature `embed`.
    fn default() -> Self {
        if cfg!(feature = "embed") {
            Threads::default().into()
        } else {
            Processes::default().into()
        }
    }
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
    config: &EngineConfig,
    surroundings: Surroundings,
    listener: Listener,
) -> Result<Arc<dyn Execute>, Error> {
    let advanced = &config.advanced;
    let Surroundings {
        paths,
        venv,
        variables,
        working_dir,
    } = surroundings;
    match &config.executor {
        #[cfg(feature = "embed")]
        Executor::Threads(threads) => {
            let interpreter = httpy_python::interpreter::Options {
                venv,
                switch_interval: advanced.switch_interval,
                python_logging: config.python_logging,
                capture_stdout: threads.capture_stdout,
            };
            let pool = httpy_python::PoolOptions {
                min: threads.workers.min,
                max: threads.workers.max,
                stack_size: threads.stack_size,
                replacements: advanced.replacements,
                lost_after: advanced.lost_after,
                uvloop: advanced.uvloop,
                in_flight: advanced.in_flight,
                loop_blocked_after: advanced.loop_blocked_after,
            };
            if let Some(dir) = working_dir {
                go_to(dir)?;
            }
            let embedded =
                httpy_python::Embedded::start(&interpreter, pool, variables, paths, listener)
                    .map_err(|error| Error::not_started(&error))?;
            if config.debug {
                embedded.show_source();
            }
            Ok(Arc::new(embedded))
        }
        #[cfg(feature = "processes")]
        Executor::Processes(processes) => {
            let options = httpy_process::ProcessOptions {
                python: processes.python.as_deref().map(program),
                venv: venv.or_else(activated),
                paths,
                variables,
                working_dir,
                processes: processes.count,
                threads: processes.threads,
                in_flight: advanced.in_flight,
                uvloop: advanced.uvloop,
                switch_interval: advanced.switch_interval.unwrap_or(SWITCH_INTERVAL),
                logging: config.python_logging.unwrap_or(true),
                debug: config.debug,
                lost_after: advanced.lost_after,
                loop_blocked_after: advanced.loop_blocked_after,
                replacements: advanced.replacements,
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
            drop((paths, venv, variables, working_dir, listener, advanced));
            Err(Error::new(
                crate::error::Kind::Config,
                "executor: it needs a feature of the crate httpy that is not on".to_owned(),
            ))
        }
    }
}

/// Changes the working directory of the process, which all engines with threads share.
#[cfg(feature = "embed")]
fn go_to(dir: PathBuf) -> Result<(), Error> {
    static CHOSEN: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut chosen = CHOSEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(other) = chosen.as_ref().filter(|other| **other != dir) {
        let text = format!(
            "working_dir: {} differs from {}, which another engine of this process has chosen",
            dir.display(),
            other.display()
        );
        return Err(Error::new(Kind::Differs, text));
    }
    std::env::set_current_dir(&dir).map_err(|error| {
        let text = format!("working_dir: {} cannot be entered", dir.display());
        Error::with_source(Kind::Config, text, error)
    })?;
    *chosen = Some(dir);
    Ok(())
}

/// A program with a path is relative to where this process stands, one without is looked for in `PATH`.
#[cfg(feature = "processes")]
fn program(python: &std::path::Path) -> PathBuf {
    let has_path = python.components().nth(1).is_some();
    let whole = has_path.then(|| std::path::absolute(python).ok()).flatten();
    whole.unwrap_or_else(|| python.to_owned())
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
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_default_number_of_threads_is_one_that_native_libraries_bear() {
        let replacements = EngineConfig::default().advanced.replacements;
        assert!(Workers::default().max + replacements < 128);
    }

    #[test]
    fn it_is_written_as_the_table_of_its_options() {
        for text in [r#"{"threads": {}}"#, r#""threads""#] {
            let executor: Executor = serde_json::from_str(text).unwrap();
            assert_eq!(executor, Executor::threads().into());
        }
        for text in ["{}", r#"{"threads": {}, "processes": {}}"#, "4"] {
            serde_json::from_str::<Executor>(text).unwrap_err();
        }
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
            Executor::from(processes)
                .rules()
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
            Executor::processes(2).threads(0),
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
