//! What can go wrong around the interpreter, as plain data. Says what happened; what becomes of it is the caller's.

use std::{error::Error, fmt, io, path::PathBuf};

/// Why the interpreter was not started, or not handed out.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The virtual environment cannot be used with the linked libpython.
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
    /// The interpreter runs already, with another value of a setting that all apps of the process share.
    Differs {
        /// The setting, for example `switch interval`.
        what: &'static str,
        /// The value in force.
        first: String,
        /// The value asked for now.
        second: String,
    },
    /// The interpreter was shut down. CPython cannot be started a second time in one process.
    ShutDown,
    /// The operating system gave no thread.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Venv { dir, problem } => {
                write!(f, "virtual environment {}: {problem}", dir.display())
            }
            Self::Interpreter { message } => write!(f, "CPython did not start: {message}"),
            Self::Differs { what, first, second } => {
                write!(f, "all apps of a process share one interpreter, and its {what} is {first}: asked for {second}")
            }
            Self::ShutDown => {
                f.write_str("the interpreter was shut down, and CPython cannot be started twice in one process")
            }
            Self::Thread(_) => f.write_str("no thread for the interpreter"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Thread(error) => Some(error),
            _ => None,
        }
    }
}

/// Why work that was meant for the main thread has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MainError {
    /// The work panicked, with this message. The main thread lives on.
    Panicked(String),
    /// The caller is the main thread itself, which would wait for itself.
    OnMain,
    /// The main thread ended without running the work, which only the end of the process does.
    Gone,
}

impl fmt::Display for MainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(message) => {
                write!(f, "a panic on the interpreter's main thread: {message}")
            }
            Self::OnMain => f.write_str("the interpreter's main thread cannot wait for work of its own"),
            Self::Gone => f.write_str("the interpreter's main thread has ended"),
        }
    }
}

impl Error for MainError {}
