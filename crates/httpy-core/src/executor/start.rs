//! `StartError`: why an executor was not started; `Facts`: what is known of its interpreter once it was.

use std::path::PathBuf;
use std::time::Duration;
use std::{error::Error, fmt, io};

use super::LoadError;

/// What is known of an interpreter since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Python's version: `3.11.7`.
    pub version: String,
    /// The virtual environment in force.
    pub venv: Option<PathBuf>,
    /// `sys.executable`; empty where there is none.
    pub executable: PathBuf,
    /// Time after which a handler that computes lets others run.
    pub switch_interval: Duration,
    /// The file that libpython was loaded from, links resolved. `None` if the system does not report it, or no
    /// libpython is linked.
    pub library: Option<PathBuf>,
    /// What looked wrong at the start, one sentence each.
    pub warnings: Vec<String>,
}

/// Why the interpreter was not started, or not handed out.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The virtual environment has no Python, or one that cannot be used with the linked libpython.
    Venv {
        /// The folder that was given, or named by `VIRTUAL_ENV`.
        dir: PathBuf,
        /// What is wrong with it and what to do, as one sentence or two.
        problem: String,
    },
    /// CPython refused to start, or failed while it was set up.
    Interpreter {
        /// CPython's own words.
        message: String,
    },
    /// A worker process did not start, or did not get ready.
    Worker {
        /// Why, in one sentence, and what it has printed last.
        message: String,
    },
    /// The interpreter runs already, with another value of a setting that all apps of the process share.
    Differs {
        /// The setting, for example `switch interval`.
        what: &'static str,
        /// The value in force.
        first: String,
        /// The value asked for now.
        second: String,
    },
    /// The process is about to end: the interpreter has run its exit functions, and CPython cannot be started twice.
    ShutDown,
    /// The operating system gave no thread.
    Thread(io::Error),
    /// App code, or what it has done to the interpreter, was in the way.
    Load(LoadError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Venv { dir, problem } => {
                write!(f, "virtual environment {}: {problem}", dir.display())
            }
            Self::Interpreter { message } => write!(f, "CPython did not start: {message}"),
            Self::Worker { message } => write!(f, "no worker process: {message}"),
            Self::Differs {
                what,
                first,
                second,
            } => {
                write!(
                    f,
                    "all engines of a process share one interpreter, and its {what} is {first}: asked for {second}"
                )
            }
            Self::ShutDown => f.write_str(
                "the process ends: its interpreter has run its exit functions, and CPython cannot be started twice",
            ),
            Self::Thread(_) => f.write_str("no thread for the interpreter"),
            Self::Load(error) => error.fmt(f),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Thread(error) => Some(error),
            Self::Load(error) => error.source(),
            _ => None,
        }
    }
}
