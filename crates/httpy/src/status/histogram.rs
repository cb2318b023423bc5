//! `Histogram`: how often each duration occurred, in buckets that are at most an eighth as wide as what they hold.

use std::time::Duration;

/// Durations are counted in units of 128 ns: a shift, where microseconds would need a division.
const UNIT_BITS: u32 = 7;
const UNIT_NANOS: u64 = 1 << UNIT_BITS;
/// Buckets per power of two, and what is added before the power is asked for: so the first ones need no rule of their own.
const PARTS: u64 = 1 << PART_BITS;
const PART_BITS: u32 = 3;
/// What is longer counts as that.
const LONGEST: Duration = Duration::from_secs(137);
const BUCKETS: usize = 27 << PART_BITS;

/// Counts by duration.
#[derive(Clone, Debug)]
pub(super) struct Histogram([u32; BUCKETS]);

impl Histogram {
    pub(super) const EMPTY: Self = Self([0; BUCKETS]);

    pub(super) fn add(&mut self, duration: Duration) {
        // Cleared long before it could be full.
        self.0[bucket(units(duration))] += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    /// The durations in microseconds below which these percentages of all lie, each the middle of its bucket; zeros
    /// where there is none. The percentages ascend.
    pub(super) fn percentiles<const N: usize>(&self, percentages: [u64; N]) -> [u32; N] {
        let all: u64 = self.0.iter().copied().map(u64::from).sum();
        let mut found = [0; N];
        if all == 0 {
            return found;
        }
        let (mut place, mut seen) = (0, 0);
        for (bucket, count) in self.0.iter().enumerate() {
            seen += u64::from(*count);
            while place < N && seen * 100 >= all * percentages[place] && seen > 0 {
                found[place] = middle(bucket);
                place += 1;
            }
            if place == N {
                break;
            }
        }
        found
    }
}

fn units(duration: Duration) -> u64 {
    let duration = if duration.as_secs() < LONGEST.as_secs() {
        duration
    } else {
        LONGEST
    };
    (duration.as_secs() * 1_000_000_000 + u64::from(duration.subsec_nanos())) >> UNIT_BITS
}

/// Each power of two has `PARTS` buckets.
#[expect(
    clippy::cast_possible_truncation,
    reason = "below BUCKETS, as no more than LONGEST is asked"
)]
const fn bucket(units: u64) -> usize {
    let units = units + PARTS;
    let shift = units.ilog2() - PART_BITS;
    (((shift as u64) << PART_BITS) + (units >> shift) - PARTS) as usize
}

/// In microseconds.
#[expect(clippy::cast_possible_truncation, reason = "no more than LONGEST")]
const fn middle(bucket: usize) -> u32 {
    let bucket = bucket as u64;
    let width = 1 << (bucket >> PART_BITS);
    let low = (PARTS + (bucket & (PARTS - 1))) * width - PARTS;
    ((2 * low + width) * UNIT_NANOS).div_ceil(2000) as u32
}

const _: () = assert!(bucket((LONGEST.as_secs() * 1_000_000_000) >> UNIT_BITS) < BUCKETS);

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(durations: &[(usize, u64)]) -> Histogram {
        let mut histogram = Histogram::EMPTY;
        for (times, micros) in durations {
            (0..*times).for_each(|_| histogram.add(Duration::from_micros(*micros)));
        }
        histogram
    }

    fn is_about(found: u32, micros: u64) -> bool {
        u64::from(found).abs_diff(micros) * 16 <= micros.max(16)
    }

    #[test]
    fn what_comes_out_is_within_a_sixteenth_of_what_went_in() {
        let mut micros = 1;
        while micros < 137_000_000 {
            let [found] = histogram(&[(1, micros)]).percentiles([99]);
            assert!(is_about(found, micros), "{micros} µs became {found} µs");
            micros += micros / 7 + 1;
        }
    }

    #[test]
    fn each_percentile_is_that_of_the_sorted_durations() {
        assert_eq!(Histogram::EMPTY.percentiles([50, 99]), [0, 0]);
        let found = histogram(&[(50, 3), (40, 6), (9, 1024), (1, 1 << 20)])
            .percentiles([50, 51, 90, 99, 100]);
        for (found, micros) in found.into_iter().zip([3, 6, 6, 1024, 1 << 20]) {
            assert!(is_about(found, micros), "{found} is not {micros}");
        }
    }

    #[test]
    fn what_is_out_of_range_counts_as_its_end() {
        let mut histogram = Histogram::EMPTY;
        histogram.add(Duration::ZERO);
        histogram.add(Duration::MAX);
        assert_eq!(
            histogram.percentiles([50, 100]),
            [1, middle(bucket(units(LONGEST)))]
        );
    }

    #[test]
    fn merged_ones_count_together() {
        let mut one = histogram(&[(1, 100)]);
        one.merge(&histogram(&[(1, 500)]));
        let [low, high] = one.percentiles([50, 100]);
        assert!(is_about(low, 100) && is_about(high, 500), "{low} {high}");
    }
}
