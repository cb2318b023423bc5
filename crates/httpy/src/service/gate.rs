//! `Gate`: whether an engine takes calls, and how the pending ones hear that it is forced to stop.

use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::clock::Clocks;

const OPEN: u8 = 0;
/// Every call is served, but the engine is not ready for more of them.
const DRAINING: u8 = 1;
/// New calls are refused, pending ones go on.
const CLOSED: u8 = 2;
/// Pending calls are answered at once.
const FORCED: u8 = 3;
/// The same, because the grace period has ended, and with it the server has to.
const ENDED: u8 = 4;

/// Goes one way: open, draining, closed, forced, ended.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: AtomicU8,
    /// When the grace period ends, once there is one.
    grace_ends: OnceLock<Instant>,
    closed: Notify,
    ended: Notify,
    /// How often the code was loaded again.
    renewals: watch::Sender<u64>,
    /// Those of the pending calls.
    pub(crate) clocks: Clocks,
}

impl Gate {
    /// Whether the end has begun, so that nothing should be sent here any more.
    pub(crate) fn is_stopping(&self) -> bool {
        self.state.load(Ordering::Acquire) != OPEN
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) >= CLOSED
    }

    pub(crate) fn is_forced(&self) -> bool {
        self.state.load(Ordering::Acquire) >= FORCED
    }

    /// Resolves when the gate is closed, at once when it is.
    pub(crate) async fn closed(&self) {
        self.reaches(CLOSED, &self.closed).await;
    }

    /// How often the code was loaded again.
    #[cfg(feature = "axum")]
    pub(crate) fn renewals(&self) -> u64 {
        *self.renewals.borrow()
    }

    /// The code was loaded again.
    pub(crate) fn renew(&self) {
        self.renewals.send_modify(|renewals| *renewals += 1);
    }

    /// Resolves when the code was loaded again more often than that.
    #[cfg(feature = "axum")]
    pub(crate) async fn renewed(&self, renewals: u64) {
        // Fails if the gate is gone, which it is not.
        let _ = self
            .renewals
            .subscribe()
            .wait_for(|now| *now > renewals)
            .await;
    }

    /// Resolves when the grace period has ended, at once when it has already.
    pub(crate) async fn ended(&self) {
        // A shutdown rings as well, and the grace period may end after it.
        self.reaches(ENDED, &self.ended).await;
    }

    /// Resolves when `bell` has signalled `state`, or a later one.
    async fn reaches(&self, state: u8, bell: &Notify) {
        loop {
            let mut rung = pin!(bell.notified());
            // Registered first and asked second: between the two nothing is missed.
            rung.as_mut().enable();
            if self.state.load(Ordering::Acquire) >= state {
                return;
            }
            rung.await;
        }
    }

    /// What is left of the grace period; zero where none has begun.
    pub(crate) fn grace_left(&self) -> Duration {
        self.grace_ends.get().map_or(Duration::ZERO, |ends| {
            ends.saturating_duration_since(Instant::now())
        })
    }

    /// Whether the process is about to end: there is a grace period.
    #[cfg(feature = "axum")]
    pub(crate) fn is_ending(&self) -> bool {
        self.grace_ends.get().is_some()
    }

    /// The engine is not ready from now on, and has until `grace_ends` for its calls.
    pub(crate) fn drain(&self, grace_ends: Instant) {
        // Fails where a signal has come before: that one's grace period holds.
        let _ = self.grace_ends.set(grace_ends);
        self.state.fetch_max(DRAINING, Ordering::AcqRel);
    }

    pub(crate) fn close(&self) {
        self.state.fetch_max(CLOSED, Ordering::AcqRel);
        self.closed.notify_waiters();
    }

    pub(crate) fn force(&self) {
        self.ring(FORCED);
    }

    pub(crate) fn end(&self) {
        self.ring(ENDED);
    }

    fn ring(&self, state: u8) {
        // First the state, then the bell: whoever registers in between finds the state.
        self.state.fetch_max(state, Ordering::AcqRel);
        self.ended.notify_waiters();
        self.clocks.ring();
    }
}

const _: () = assert!(OPEN < DRAINING && DRAINING < CLOSED && CLOSED < FORCED && FORCED < ENDED);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn who_waits_for_the_end_hears_of_it_before_or_after_it_and_not_of_a_shutdown() {
        let gate = Arc::new(Gate::default());
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.ended().await }
        });
        gate.close();
        gate.force();
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        gate.end();
        waiting.await.unwrap();
        gate.ended().await;
        gate.force();
        gate.ended().await;
        assert!(gate.is_forced());
    }
}
