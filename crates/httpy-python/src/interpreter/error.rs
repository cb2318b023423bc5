//! `MainError`: why work on the interpreter's main thread has no result.

use std::{error::Error, fmt};

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
            Self::OnMain => {
                f.write_str("the interpreter's main thread cannot wait for work of its own")
            }
            Self::Gone => f.write_str("the interpreter's main thread has ended"),
        }
    }
}

impl Error for MainError {}
