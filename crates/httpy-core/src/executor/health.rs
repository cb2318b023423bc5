//! `Health`: how the workers are.

use std::time::Duration;

/// How the workers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Workers at most, without those in the place of lost ones.
    pub workers_max: usize,
    /// Workers that do not come back from a call, replaced or not.
    pub lost: usize,
    /// Maximum number of them that are replaced.
    pub replacements: usize,
    /// No worker runs: they are starting, or are started again.
    pub starting: bool,
    /// How long the interpreter has been held while an overdue call is to be interrupted. A few milliseconds are normal.
    pub held_for: Option<Duration>,
}
