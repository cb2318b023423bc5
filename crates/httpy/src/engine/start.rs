//! `start`: the executor that the configuration has chosen.

use std::path::PathBuf;
use std::sync::Arc;
#[cfg(feature = "embed")]
use std::sync::{Mutex, PoisonError};

use httpy_core::{Execute, Listener};

use super::Surroundings;
#[cfg(feature = "embed")]
use crate::error::Kind;
use crate::{EngineConfig, Error, Executor};

/// Shorter than that of the embedded interpreter: a worker's lead waits for the interpreter at each read and each write,
/// behind every thread that computes. Two processes, 32 fast connections beside four that compute 20 ms each: p99 8 ms, 16 ms
/// with 1 ms; 2 % fewer calls of handlers that all compute 2 ms.
#[cfg(feature = "processes")]
const SWITCH_INTERVAL: std::time::Duration = std::time::Duration::from_micros(250);

/// Starts what `config` has chosen, which is checked.
///
/// # Blocking
///
/// Until it runs.
///
/// # Errors
///
/// Why it does not start.
pub(super) fn start(
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
