//! `Failure`: why a worker did not come up; `Exit`: how a process ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use httpy_core::{LoadError, LoadErrorKind, StartError};

/// Why a worker did not come up.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// App code could not be loaded.
    Load(LoadError),
    /// The virtual environment has no Python.
    Venv {
        /// Its folder.
        dir: PathBuf,
        /// What is wrong with it, as one sentence.
        problem: String,
    },
    /// The process did not start, ended, or said what no worker says; in one sentence, and what it has printed.
    Process(String),
}

impl Failure {
    /// What is wrong with a process, and what it has printed last.
    pub(crate) fn of(what: &str, said: &[String]) -> Self {
        let lines = std::iter::once(what).chain(said.iter().map(String::as_str));
        Self::Process(lines.collect::<Vec<_>>().join("\n  "))
    }
}

impl From<Failure> for StartError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Load(error) => Self::Load(error),
            Failure::Venv { dir, problem } => Self::Venv { dir, problem },
            Failure::Process(message) => Self::Worker { message },
        }
    }
}

impl From<Failure> for LoadError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Load(error) => error,
            other => {
                let message = StartError::from(other).to_string();
                Self {
                    kind: LoadErrorKind::Internal,
                    message,
                    exception: None,
                }
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => {
                f.write_str(&error.message)?;
                match &error.exception {
                    Some(exception) => write!(f, "\n{}", exception.traceback().trim_end()),
                    None => Ok(()),
                }
            }
            Self::Venv { dir, problem } => {
                write!(f, "virtual environment {}: {problem}", dir.display())
            }
            Self::Process(message) => f.write_str(message),
        }
    }
}

/// How a process ended, as half a sentence: `ended with exit status 1`, `was killed by SIGSEGV`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) Option<ExitStatus>);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Where the host ignores the ends of its children, nobody is told how they were.
        let Some(status) = self.0 else {
            return f.write_str("has ended in an unknown way");
        };
        match (status.code(), status.signal()) {
            (Some(code), _) => write!(f, "ended with exit status {code}"),
            (None, Some(signal)) => match signal_name(signal) {
                Some("SIGKILL") => {
                    f.write_str("was killed by SIGKILL, as the system does when memory is short")
                }
                Some(name) => write!(f, "was killed by {name}"),
                None => write!(f, "was killed by signal {signal}"),
            },
            (None, None) => write!(f, "ended with {status}"),
        }
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    use rustix::process::Signal;
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::SYS, "SIGSYS"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
    ];
    names
        .iter()
        .find(|(signal, _)| signal.as_raw() == number)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_says_status_or_signal() {
        let said = |raw| Exit(Some(ExitStatus::from_raw(raw))).to_string();
        assert_eq!(said(3 << 8), "ended with exit status 3");
        assert_eq!(said(11), "was killed by SIGSEGV");
        assert_eq!(
            said(9),
            "was killed by SIGKILL, as the system does when memory is short"
        );
        assert_eq!(said(40), "was killed by signal 40");
    }
}
