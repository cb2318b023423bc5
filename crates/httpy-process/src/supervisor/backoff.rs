//! How long a place stays empty before the next worker is started there, and how limits are spread.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

const LONGEST: Duration = Duration::from_secs(30);

/// The pause after `failures` starts in a row that came to nothing, before jitter.
pub(super) fn pause(shortest: Duration, failures: u32) -> Duration {
    shortest.saturating_mul(1 << failures.min(16)).min(LONGEST)
}

/// Takes up to a tenth off what it is given, so that workers that were started together are not all replaced together.
#[derive(Clone, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    /// Another one each time.
    pub(super) fn new() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    pub(super) fn duration(&mut self, full: Duration) -> Duration {
        full.saturating_sub(full / 10_000 * self.tenth())
    }

    pub(super) fn number(&mut self, full: u64) -> u64 {
        let share = u128::from(full) * u128::from(self.tenth()) / 10_000;
        full - u64::try_from(share).unwrap_or(full)
    }

    /// 0 to 1000 of ten thousand parts: by splitmix64, since nothing hangs on how good the numbers are.
    fn tenth(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((mixed ^ (mixed >> 31)) % 1001).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_half_a_minute() {
        let shortest = Duration::from_millis(100);
        let pauses: Vec<u128> = [0, 1, 2, 8, 9, 40]
            .map(|failures| pause(shortest, failures).as_millis())
            .to_vec();
        assert_eq!(pauses, [100, 200, 400, 25_600, 30_000, 30_000]);
    }

    #[test]
    fn jitter_takes_off_a_tenth_at_most_and_not_always_the_same() {
        let mut jitter = Jitter(7);
        let numbers: Vec<u64> = (0..1000).map(|_| jitter.number(10_000)).collect();
        assert!(
            numbers
                .iter()
                .all(|number| (9_000..=10_000).contains(number))
        );
        assert!(
            numbers.iter().any(|number| *number < 9_100)
                && numbers.iter().any(|number| *number > 9_900)
        );
        assert_eq!(jitter.number(1), 1);
        assert!(
            (0..1000)
                .all(|_| (9..=10).contains(&jitter.duration(Duration::from_secs(10)).as_secs()))
        );
    }
}
