//! `ExitReport`: what was left when Python ended.

use crate::Exception;

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
