//! `Contention`: for how long, in total, workers that would take a job have waited for the interpreter.
//!
//! The difference between two readings is how much of the time between them a job in the queue waited for the interpreter and
//! not for a worker, whichever worker takes the job in the end. Several workers that wait at once count once.

use std::time::{Duration, Instant};

use super::super::Seat;

#[derive(Debug)]
pub(super) struct Contention {
    /// Whether the worker of each seat waits.
    waiting: Box<[bool]>,
    /// When the first of those that wait began to; `None` if no worker waits.
    since: Option<Instant>,
    /// The time before `since`.
    total: Duration,
}

impl Contention {
    pub(super) fn new(seats: usize) -> Self {
        Self {
            waiting: vec![false; seats].into(),
            since: None,
            total: Duration::ZERO,
        }
    }

    /// The worker of `seat` begins to wait for the interpreter.
    pub(super) fn begin(&mut self, seat: Seat, now: Instant) {
        self.waiting[seat.0] = true;
        self.since.get_or_insert(now);
    }

    /// The worker of `seat` has got the interpreter, or will not ask for it. Without effect if it did not wait.
    pub(super) fn end(&mut self, seat: Seat, now: Instant) {
        self.waiting[seat.0] = false;
        if !self.waiting.contains(&true)
            && let Some(since) = self.since.take()
        {
            self.total += now.saturating_duration_since(since);
        }
    }

    /// The time until now. Reads the clock only while a worker waits.
    pub(super) fn total(&self) -> Duration {
        self.total + self.since.map(|since| since.elapsed()).unwrap_or_default()
    }
}

#[cfg(test)]
#[cfg(not(httpy_model))]
mod tests {
    use super::*;

    #[test]
    fn the_time_during_which_any_worker_waits_counts_once() {
        let (mut contention, begun) = (Contention::new(2), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        contention.begin(Seat(0), at(0));
        contention.begin(Seat(1), at(2));
        contention.end(Seat(0), at(3));
        contention.end(Seat(1), at(5));
        assert_eq!(contention.total(), Duration::from_secs(5));
        contention.end(Seat(1), at(9));
        assert_eq!(
            contention.total(),
            Duration::from_secs(5),
            "it did not wait"
        );
        contention.begin(Seat(1), at(10));
        contention.end(Seat(1), at(11));
        assert_eq!(contention.total(), Duration::from_secs(6));
    }

    #[test]
    fn a_wait_that_goes_on_counts_until_now() {
        let mut contention = Contention::new(1);
        let hour = Duration::from_secs(3600);
        contention.begin(Seat(0), Instant::now().checked_sub(hour).unwrap());
        assert!(contention.total() >= hour);
    }
}
