//! `Seconds`: what ended in each of the last seconds; `History` and `Recent`: the same as plain data.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::histogram::Histogram;
use super::seconds;
use crate::ended::Times;

/// Number of seconds kept, with the current one.
const KEPT: usize = 120;
/// Number of whole seconds that count as recent.
const RECENT: u64 = 10;
/// Which percentiles are told.
const PERCENTAGES: [u64; 3] = [50, 90, 99];

/// Calls of the last two minutes, second by second.
///
/// Each list has an entry per second, the oldest first. The last second still goes on.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let history = engine.snapshot().history;
/// assert_eq!(history.count.len(), history.failed.len());
/// assert_eq!(history.count.len(), history.total.p99.len());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct History {
    /// When the first second began.
    #[serde(serialize_with = "seconds::since_1970")]
    pub begins: SystemTime,
    /// How many calls ended.
    pub count: Vec<u32>,
    /// How many of them failed.
    pub failed: Vec<u32>,
    /// From the push into the queue to the answer.
    pub total: Percentiles,
    /// Waiting for a worker.
    pub queue: Percentiles,
    /// Waiting for the interpreter.
    pub attach: Percentiles,
    /// In the handler.
    pub run: Percentiles,
}

/// Percentiles of durations in microseconds, one entry per second, within a sixteenth; 0 for a second without calls.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let run = engine.snapshot().history.run;
/// assert!(run.p50.iter().zip(&run.p99).all(|(p50, p99)| p50 <= p99));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Percentiles {
    /// Half of them were shorter.
    pub p50: Vec<u32>,
    /// Nine of ten.
    pub p90: Vec<u32>,
    /// 99 of a hundred.
    pub p99: Vec<u32>,
}

/// Calls of the last ten whole seconds together.
///
/// Durations are the percentiles 50, 90 and 99, in microseconds.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let recent = engine.snapshot().recent;
/// let [p50, p90, p99] = recent.total;
/// assert!(recent.seconds <= 10 && p50 <= p90 && p90 <= p99);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Recent {
    /// How many seconds: less than ten soon after the start.
    pub seconds: u32,
    /// How many calls ended.
    pub count: u64,
    /// How many of them failed.
    pub failed: u64,
    /// From the push into the queue to the answer.
    pub total: [u32; 3],
    /// Waiting for a worker.
    pub queue: [u32; 3],
    /// Waiting for the interpreter.
    pub attach: [u32; 3],
    /// In the handler.
    pub run: [u32; 3],
}

/// One slot per second, each behind its own lock: reading the others blocks no call.
#[derive(Debug)]
pub(super) struct Seconds(Box<[Mutex<Slot>]>);

#[derive(Clone, Debug)]
struct Slot {
    second: u64,
    count: u32,
    failed: u32,
    total: Histogram,
    queue: Histogram,
    attach: Histogram,
    run: Histogram,
}

impl Slot {
    const fn new(second: u64) -> Self {
        const EMPTY: Histogram = Histogram::EMPTY;
        Self {
            second,
            count: 0,
            failed: 0,
            total: EMPTY,
            queue: EMPTY,
            attach: EMPTY,
            run: EMPTY,
        }
    }

    fn add(&mut self, times: Option<&Times>, failed: bool) {
        self.count += 1;
        self.failed += u32::from(failed);
        // What was refused at once, or never came to the interpreter, would only hide how long the others took.
        let Some(Times { parts, total }) = times else {
            return;
        };
        self.total.add(*total);
        self.queue.add(parts.queue);
        if let Some(run) = parts.run {
            self.attach.add(parts.attach);
            self.run.add(run);
        }
    }

    fn histograms(&self) -> [&Histogram; 4] {
        [&self.total, &self.queue, &self.attach, &self.run]
    }
}

impl Seconds {
    pub(super) fn new() -> Self {
        Self(
            (0..KEPT as u64)
                .map(|second| Mutex::new(Slot::new(second)))
                .collect(),
        )
    }

    /// Records what ended at `since_start`.
    pub(super) fn add(&self, since_start: Duration, times: Option<&Times>, failed: bool) {
        let second = since_start.as_secs();
        let mut slot = self.slot(second);
        if slot.second < second {
            *slot = Slot::new(second);
        }
        // One that comes too late, after its slot was passed on, is not worth more than that.
        if slot.second == second {
            slot.add(times, failed);
        }
    }

    /// What is known at `since_start`; the start was at `started`.
    pub(super) fn history(&self, since_start: Duration, started: SystemTime) -> History {
        let last = since_start.as_secs();
        let first = (last + 1).saturating_sub(KEPT as u64);
        let mut history = History {
            begins: started + Duration::from_secs(first),
            count: Vec::with_capacity(KEPT),
            failed: Vec::with_capacity(KEPT),
            total: Percentiles::default(),
            queue: Percentiles::default(),
            attach: Percentiles::default(),
            run: Percentiles::default(),
        };
        for second in first..=last {
            let slot = self.slot(second);
            let is_it = slot.second == second;
            history.count.push(if is_it { slot.count } else { 0 });
            history.failed.push(if is_it { slot.failed } else { 0 });
            let found = slot.histograms().map(|histogram| {
                if is_it {
                    histogram.percentiles(PERCENTAGES)
                } else {
                    [0; 3]
                }
            });
            let places = [
                &mut history.total,
                &mut history.queue,
                &mut history.attach,
                &mut history.run,
            ];
            for (place, [p50, p90, p99]) in places.into_iter().zip(found) {
                place.p50.push(p50);
                place.p90.push(p90);
                place.p99.push(p99);
            }
        }
        history
    }

    /// The last whole seconds at `since_start`.
    pub(super) fn recent(&self, since_start: Duration) -> Recent {
        let now = since_start.as_secs();
        let mut sum = Slot::new(0);
        let (mut count, mut failed) = (0, 0);
        for second in now.saturating_sub(RECENT)..now {
            let slot = self.slot(second);
            if slot.second == second {
                count += u64::from(slot.count);
                failed += u64::from(slot.failed);
                sum.total.merge(&slot.total);
                sum.queue.merge(&slot.queue);
                sum.attach.merge(&slot.attach);
                sum.run.merge(&slot.run);
            }
        }
        let [total, queue, attach, run] = sum
            .histograms()
            .map(|histogram| histogram.percentiles(PERCENTAGES));
        let seconds = u32::try_from(now.min(RECENT)).unwrap_or_default();
        Recent {
            seconds,
            count,
            failed,
            total,
            queue,
            attach,
            run,
        }
    }

    fn slot(&self, second: u64) -> MutexGuard<'_, Slot> {
        #[expect(clippy::cast_possible_truncation, reason = "less than KEPT")]
        let place = (second % KEPT as u64) as usize;
        self.0[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use httpy_core::Timings;

    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn took(micros: u64) -> Times {
        let total = Duration::from_micros(micros);
        let parts = Timings {
            queue: total / 4,
            run: Some(total / 2),
            ..Timings::default()
        };
        Times { parts, total }
    }

    /// What comes out of a histogram for that.
    fn shown(micros: u64) -> u32 {
        let mut histogram = Histogram::EMPTY;
        histogram.add(Duration::from_micros(micros));
        let [shown] = histogram.percentiles([50]);
        shown
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn each_second_has_its_own_counts_and_percentiles() {
        let seconds = Seconds::new();
        seconds.add(at(100), Some(&took(400)), false);
        seconds.add(at(999), Some(&took(400)), true);
        seconds.add(at(2000), Some(&took(2000)), false);
        let history = seconds.history(at(2500), START);
        assert_eq!(
            (history.begins, &*history.count, &*history.failed),
            (START, &[2, 0, 1][..], &[1, 0, 0][..])
        );
        assert_eq!(history.total.p50, [shown(400), 0, shown(2000)]);
        assert_eq!(history.total.p50, history.total.p99);
        assert_eq!(history.queue.p50, [shown(100), 0, shown(500)]);
        assert_eq!(history.run.p90, [shown(200), 0, shown(1000)]);
    }

    #[test]
    fn after_two_minutes_the_oldest_second_makes_room() {
        let seconds = Seconds::new();
        let kept = KEPT as u64 * 1000;
        seconds.add(at(500), Some(&took(400)), false);
        seconds.add(at(kept + 500), Some(&took(500)), false);
        seconds.add(at(500), Some(&took(600)), false);
        let history = seconds.history(at(kept + 1500), START);
        assert_eq!(history.begins, START + Duration::from_secs(2));
        assert_eq!(
            (history.count.len(), history.count.iter().sum::<u32>()),
            (KEPT, 1)
        );
        assert_eq!(history.total.p50[KEPT - 2..], [shown(500), 0]);
        let later = seconds.history(at(kept * 3), START);
        assert_eq!(
            later.count,
            vec![0; KEPT],
            "what nobody has passed on is old all the same"
        );
    }

    #[test]
    fn recent_is_what_ended_in_the_last_ten_whole_seconds() {
        let seconds = Seconds::new();
        assert_eq!(seconds.recent(at(900)).seconds, 0);
        for (millis, micros) in [(4999, 100), (5000, 200), (14_999, 400), (15_000, 600)] {
            seconds.add(at(millis), Some(&took(micros)), false);
        }
        let recent = seconds.recent(at(15_500));
        assert_eq!((recent.seconds, recent.count, recent.failed), (10, 2, 0));
        assert_eq!(recent.total, [shown(200), shown(400), shown(400)]);
    }

    #[test]
    fn what_was_refused_at_once_counts_and_leaves_the_percentiles() {
        let seconds = Seconds::new();
        seconds.add(at(0), Some(&took(1000)), false);
        (0..100).for_each(|_| seconds.add(at(0), None, true));
        let history = seconds.history(at(0), START);
        assert_eq!(
            (history.count[0], history.failed[0], history.total.p50[0]),
            (101, 100, shown(1000))
        );
    }
}
