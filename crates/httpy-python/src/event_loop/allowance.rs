//! `Allowance`: so many costly things per second, for what many calls may want at the same moment.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// More stacks than this are not written down in one second: it reads source files, and the loop waits.
const LIMIT: usize = 16;
const SPAN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Allowance(Mutex<Option<(Instant, usize)>>);

impl Allowance {
    /// Whether one more is allowed now.
    pub(super) fn take(&self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, taken) = place
            .filter(|(begun, _)| now.saturating_duration_since(*begun) < SPAN)
            .unwrap_or((now, 0));
        *place = Some((begun, taken + 1));
        taken < LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_allows_so_many_and_the_next_one_as_many_again() {
        let (allowance, now) = (Allowance::default(), Instant::now());
        let allowed = |at| (0..2 * LIMIT).filter(|_| allowance.take_at(at)).count();
        assert_eq!(allowed(now), LIMIT);
        assert_eq!(allowed(now + SPAN / 2), 0);
        assert_eq!(allowed(now + SPAN), LIMIT);
    }
}
