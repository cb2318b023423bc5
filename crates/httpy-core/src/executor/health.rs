//! `Health`: how the workers are.

use std::time::Duration;

/// How the workers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Workers at most, without those in the place of lost ones.
    pub workers_max: usize,
    /// Workers that do not come back from a call, replaced or not.
    pub lost: usize,
    /// So many of them are replaced at most.
    pub replacements: usize,
    /// How long the interpreter could not be had by now, where an overdue call is to be interrupted; a few milliseconds are
    /// nothing unusual.
    pub held_for: Option<Duration>,
}
