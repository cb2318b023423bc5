//! `Gate`: whether an app takes calls, and how the pending ones hear that it is forced to stop.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

const OPEN: u8 = 0;
/// New calls are refused, pending ones go on.
const CLOSED: u8 = 1;
/// Pending calls are answered at once.
const FORCED: u8 = 2;

/// Goes one way: open, closed, forced.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: AtomicU8,
    closed: Notify,
    forced: Arc<Notify>,
}

impl Gate {
    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) != OPEN
    }

    pub(crate) fn is_forced(&self) -> bool {
        self.state.load(Ordering::Acquire) == FORCED
    }

    /// Resolves when the gate is closed, at once when it is.
    pub(crate) async fn closed(&self) {
        let mut closed = pin!(self.closed.notified());
        // Registered first and asked second: between the two nothing is missed.
        closed.as_mut().enable();
        if !self.is_closed() {
            closed.await;
        }
    }

    /// Resolves when the gate is forced. Poll it once before asking [`is_forced`](Self::is_forced): only what is
    /// registered is woken.
    pub(crate) fn forced(&self) -> OwnedNotified {
        Arc::clone(&self.forced).notified_owned()
    }

    pub(super) fn close(&self) {
        self.state.fetch_max(CLOSED, Ordering::AcqRel);
        self.closed.notify_waiters();
    }

    pub(super) fn force(&self) {
        // First the state, then the bell: whoever registers in between finds the state.
        self.state.store(FORCED, Ordering::Release);
        self.forced.notify_waiters();
    }
}

const _: () = assert!(OPEN < CLOSED && CLOSED < FORCED);
