//! `Crowd`: for how long the next standby holds off because too many handlers compute.
//!
//! Handlers that compute gain nothing from running at once: each takes as much longer as there are more of them, until all miss
//! their deadlines; and CPython wakes all who stand in line for the interpreter once per switch interval. So where a standby has
//! stood in line behind a crowd of them, the next one holds off for a multiple of that time before it lines up. Handlers that
//! wait leave no such crowd, however many of them there are.

use std::time::Duration;

/// So many handlers that compute are a crowd,
pub(super) const MANY: usize = 64;

/// where whoever comes has to wait for so many switch intervals: some that have computed may wait for something by now.
const LONG_LINE: u32 = 16;

/// The next one holds off for so many times what that one has waited,
const HOLD_OFF: u32 = 4;

/// and no longer than this, as the line may have gone meanwhile.
pub(super) const MOST_HOLD_OFF: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(in super::super) struct Crowd(Option<Duration>);

impl Crowd {
    /// Somebody has come through after it has `waited`; so many handlers compute.
    pub(super) fn passed(&mut self, computing: usize, waited: Duration, interval: Duration) {
        let is_crowd = computing >= MANY && waited >= interval * LONG_LINE;
        self.0 = is_crowd.then(|| (waited * HOLD_OFF).min(MOST_HOLD_OFF));
    }

    /// Nobody stands in line.
    pub(super) fn is_gone(&mut self) {
        self.0 = None;
    }

    /// For how long the next one holds off, if it does.
    pub(super) fn hold_off(&self) -> Option<Duration> {
        self.0
    }

    /// There is a crowd, until somebody has come through or no job is left.
    #[cfg(all(test, httpy_model))]
    pub(in super::super) fn form(&mut self) {
        self.0 = Some(MOST_HOLD_OFF);
    }
}
