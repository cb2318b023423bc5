//! `ExitLimits`: how long the end of an app may take; `ExitReport`: what was left when Python ended.

use std::time::Duration;

use crate::Exception;

/// How long the end of an app may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitLimits {
    /// The wait for what handlers have shielded, before anything else.
    pub shielded: Duration,
    /// The shutdown function with the event loops; then as much again for Python's threads.
    pub rest: Duration,
}

/// What was left when Python ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExitReport {
    /// Names of the threads that Python code had started, not as daemons, and that still ran at the limit.
    pub threads: Vec<String>,
    /// Tracebacks of what raised, in order.
    pub errors: Vec<String>,
    /// What the app's shutdown function raised.
    pub shutdown: Option<Exception>,
}
