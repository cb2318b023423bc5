//! `Stamps`: when one call came how far; `Timings`: how long each part of it took.
//!
//! They lie in the [`Ticket`](crate::Ticket), in nanoseconds since the push: written by whoever runs the call, read by the
//! caller after its outcome, or while it goes on. Each is written once and for itself, so that nothing but the parts' lengths
//! depends on their order. Where nobody wants to know, only the taking is stamped, with a clock that was read anyway.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What happens to a call, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its arguments are there, the handler is called.
    Called,
    /// The handler has returned, or what it gave has come to its end; or it raised.
    Returned,
    /// The result is plain data.
    Converted,
}

/// Times of the parts of a call. A part that has not begun has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the push until it was taken, without [`attach`](Self::attach).
    pub queue: Duration,
    /// The part of the wait during which a worker waited for the interpreter. Zero on an event loop, which does not
    /// measure it.
    pub attach: Duration,
    /// Building the arguments and reading the result.
    pub convert: Option<Duration>,
    /// In the handler; of an `async def` one, from its first step to its end.
    pub run: Option<Duration>,
}

/// When a call came how far.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    wanted: AtomicBool,
    /// Zero for what has not happened.
    taken: AtomicU64,
    attach: AtomicU64,
    steps: [AtomicU64; 3],
}

impl Stamps {
    pub(crate) fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn are_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    pub(crate) fn take(&self, waited: Duration, attach: Duration) {
        // Most calls come while their worker has the interpreter.
        if !attach.is_zero() {
            self.attach
                .store(nanoseconds(attach.min(waited)), Ordering::Relaxed);
        }
        self.taken
            .store(nanoseconds(waited).max(1), Ordering::Relaxed);
    }

    pub(crate) fn stamp(&self, step: Step, pushed: Instant) {
        if self.are_wanted() {
            self.steps[step as usize]
                .store(nanoseconds(pushed.elapsed()).max(1), Ordering::Relaxed);
        }
    }

    /// When each step was reached, after the push.
    pub(crate) fn run(&self, steps: [Duration; 3]) {
        for (stamp, at) in self.steps.iter().zip(steps) {
            stamp.store(nanoseconds(at).max(1), Ordering::Relaxed);
        }
    }

    /// What is going on has lasted until now, `elapsed` after the push.
    pub(crate) fn timings(&self, elapsed: Duration) -> Timings {
        let (taken, attach) = (
            self.taken.load(Ordering::Relaxed),
            self.attach.load(Ordering::Relaxed),
        );
        if taken == 0 {
            return Timings {
                queue: elapsed,
                ..Timings::default()
            };
        }
        let queue = Duration::from_nanos(taken.saturating_sub(attach));
        let (taken, attach) = (Duration::from_nanos(taken), Duration::from_nanos(attach));
        if !self.are_wanted() {
            return Timings {
                queue,
                attach,
                ..Timings::default()
            };
        }
        let [called, returned, converted] = &self.steps;
        let (called, returned, converted) = (at(called), at(returned), at(converted));
        let before = called.map(|called| called.saturating_sub(taken));
        let after = converted
            .zip(returned)
            .map(|(converted, returned)| converted.saturating_sub(returned));
        Timings {
            queue,
            attach,
            convert: before.map(|before| before + after.unwrap_or_default()),
            run: called.map(|called| returned.unwrap_or(elapsed).saturating_sub(called)),
        }
    }
}

fn at(stamp: &AtomicU64) -> Option<Duration> {
    let nanoseconds = stamp.load(Ordering::Relaxed);
    (nanoseconds != 0).then(|| Duration::from_nanos(nanoseconds))
}

/// Of half a millennium at most.
fn nanoseconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn stamped(steps: [u64; 3]) -> Stamps {
        let stamps = Stamps::default();
        stamps.want();
        stamps.take(ms(10), ms(4));
        for (stamp, at) in stamps.steps.iter().zip(steps) {
            stamp.store(nanoseconds(ms(at)), Ordering::Relaxed);
        }
        stamps
    }

    #[test]
    fn the_parts_are_told_apart() {
        let timings = Timings {
            queue: ms(6),
            attach: ms(4),
            convert: Some(ms(5)),
            run: Some(ms(8)),
        };
        assert_eq!(stamped([12, 20, 23]).timings(ms(30)), timings);
    }

    #[test]
    fn what_goes_on_lasts_until_now_and_what_has_not_begun_is_none() {
        assert_eq!(
            Stamps::default().timings(ms(30)),
            Timings {
                queue: ms(30),
                ..Timings::default()
            }
        );
        let taken = Timings {
            queue: ms(6),
            attach: ms(4),
            convert: None,
            run: None,
        };
        assert_eq!(stamped([0, 0, 0]).timings(ms(30)), taken);
        let called = Timings {
            convert: Some(ms(2)),
            run: Some(ms(18)),
            ..taken
        };
        assert_eq!(stamped([12, 0, 0]).timings(ms(30)), called);
    }

    #[test]
    fn nothing_is_stamped_that_nobody_wants_and_the_line_was_not_longer_than_the_wait() {
        let stamps = Stamps::default();
        stamps.take(ms(3), ms(50));
        stamps.stamp(Step::Called, Instant::now());
        assert_eq!(
            stamps.timings(ms(5)),
            Timings {
                attach: ms(3),
                ..Timings::default()
            }
        );
        stamps.want();
        stamps.stamp(Step::Called, Instant::now());
        assert!(stamps.timings(ms(5)).run.is_some());
    }
}
