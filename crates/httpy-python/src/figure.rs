//! How the figures of the interpreter are taken, for the host's metrics; `Lag`: how late an event loop is.
//!
//! The interpreter's are asked on Python's main thread, so that nobody else has to attach for them, and come when that has
//! the interpreter. What belongs to an event loop is counted by its own thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use httpy_core::Figures;
use pyo3::prelude::*;

use crate::pool::Pool;

impl Pool {
    /// Asks the interpreter's figures. They come as soon as Python's main thread has the interpreter; closed without them
    /// where Python has ended, or app code has broken `gc` or `sys`. Never blocks.
    pub fn ask_figures(&self) -> Receiver<Figures> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.crew.interpreter.submit(move |py| {
            if let Ok(figures) = take(py) {
                // Fails where nobody waits any more.
                drop(sender.send(figures));
            }
        });
        receiver
    }
}

fn take(py: Python<'_>) -> PyResult<Figures> {
    let (allocated_blocks, pauses): (u64, Vec<(u32, f64)>) = py
        .import("httpy_rs._figures")?
        .call_method0("take")?
        .extract()?;
    let duration = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let gc_pauses = pauses
        .into_iter()
        .map(|(generation, seconds)| (generation, duration(seconds)))
        .collect();
    Ok(Figures {
        allocated_blocks,
        gc_pauses,
    })
}

/// How long an event loop takes to come round.
#[derive(Debug)]
pub(crate) struct Lag {
    born: Instant,
    /// When it was asked to come round, in nanoseconds since it was born; 0 where it has come since.
    asked: AtomicU64,
    /// How long it took then, in nanoseconds and one.
    last: AtomicU64,
}

impl Lag {
    pub(crate) fn new() -> Self {
        Self {
            born: Instant::now(),
            asked: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }

    /// The loop has come round. Nothing but one look where it was not asked to.
    pub(crate) fn comes_round(&self) {
        if self.asked.load(Ordering::Relaxed) != 0 {
            let asked = self.asked.swap(0, Ordering::Relaxed);
            self.last
                .store(self.now().saturating_sub(asked) + 1, Ordering::Relaxed);
        }
    }

    /// How long it took the last time, or has taken since it was asked. True when it is to be rung now.
    pub(crate) fn ask(&self) -> (Option<Duration>, bool) {
        let asked = self.asked.load(Ordering::Relaxed);
        if asked != 0 {
            return (
                Some(Duration::from_nanos(self.now().saturating_sub(asked))),
                false,
            );
        }
        let last = self.last.load(Ordering::Relaxed);
        self.asked.store(self.now(), Ordering::Relaxed);
        ((last != 0).then(|| Duration::from_nanos(last - 1)), true)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_nanos())
            .unwrap_or(u64::MAX)
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_has_not_come_round_lags_since_it_was_asked() {
        let lag = Lag::new();
        assert_eq!(lag.ask(), (None, true));
        let (since, rings) = lag.ask();
        assert!(since.is_some() && !rings);
        lag.comes_round();
        let (last, rings) = lag.ask();
        assert!(last >= since && rings);
    }
}
