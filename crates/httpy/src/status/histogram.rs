//! `Histogram`: how often each duration occurred, in buckets that are at most an eighth as wide as what they hold.

use std::time::Duration;

/// Buckets per power of two.
const PARTS: u64 = 1 << PART_BITS;
const PART_BITS: u32 = 3;
/// 134 s; what is longer counts as that.
const LONGEST: u64 = (1 << LONGEST_BITS) - 1;
const LONGEST_BITS: u32 = 27;
const BUCKETS: usize = ((LONGEST_BITS - PART_BITS + 1) as usize) << PART_BITS;

/// Counts by duration, from 1 µs up.
#[derive(Clone, Debug)]
pub(super) struct Histogram([u32; BUCKETS]);

impl Histogram {
    pub(super) const EMPTY: Self = Self([0; BUCKETS]);

    pub(super) fn add(&mut self, duration: Duration) {
        let count = &mut self.0[bucket(micros(duration))];
        *count = count.saturating_add(1);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count = count.saturating_add(*more);
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

/// Whole microseconds, without the 128 bits of `as_micros`.
fn micros(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(duration.subsec_micros())).min(LONGEST)
}

/// Up to `PARTS` each microsecond has its own; from there on each power of two has `PARTS`.
#[expect(clippy::cast_possible_truncation, reason = "below BUCKETS, as no more than LONGEST is asked")]
const fn bucket(micros: u64) -> usize {
    if micros < PARTS {
        return micros as usize;
    }
    let shift = micros.ilog2() - PART_BITS;
    (((shift as u64 + 1) << PART_BITS) + ((micros >> shift) & (PARTS - 1))) as usize
}

#[expect(clippy::cast_possible_truncation, reason = "no more than LONGEST")]
const fn middle(bucket: usize) -> u32 {
    let bucket = bucket as u64;
    if bucket < PARTS {
        return bucket as u32;
    }
    let shift = (bucket >> PART_BITS) - 1;
    let low = (PARTS + (bucket & (PARTS - 1))) << shift;
    (low + (1 << shift) / 2) as u32
}

const _: () = assert!(bucket(LONGEST) == BUCKETS - 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_is_within_a_sixteenth_of_what_went_in() {
        let mut micros = 1;
        while micros < LONGEST {
            let mut histogram = Histogram::EMPTY;
            histogram.add(Duration::from_micros(micros));
            let [found] = histogram.percentiles([99]);
            assert!(u64::from(found).abs_diff(micros) * 16 <= micros, "{micros} µs became {found} µs");
            micros += micros / 7 + 1;
        }
    }

    #[test]
    fn each_percentile_is_that_of_the_sorted_durations() {
        let mut histogram = Histogram::EMPTY;
        assert_eq!(histogram.percentiles([50, 99]), [0, 0]);
        for (times, micros) in [(50, 3), (40, 6), (9, 1024), (1, 1 << 20)] {
            (0..times).for_each(|_| histogram.add(Duration::from_micros(micros)));
        }
        assert_eq!(histogram.percentiles([50, 51, 90, 99, 100]), [3, 6, 6, 1088, (1 << 20) + (1 << 16)]);
    }

    #[test]
    fn what_is_out_of_range_counts_as_its_end() {
        let mut histogram = Histogram::EMPTY;
        histogram.add(Duration::ZERO);
        histogram.add(Duration::MAX);
        let [low, high] = histogram.percentiles([50, 100]);
        assert_eq!((low, bucket(u64::from(high))), (0, BUCKETS - 1));
    }

    #[test]
    fn merged_ones_count_together() {
        let (mut one, mut other) = (Histogram::EMPTY, Histogram::EMPTY);
        one.add(Duration::from_micros(1));
        other.add(Duration::from_micros(5));
        one.merge(&other);
        assert_eq!(one.percentiles([50, 100]), [1, 5]);
    }
}
