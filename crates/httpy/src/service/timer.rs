//! `Timer`: what a call's future, and the body of its response, wait with: until it is time, or until the engine is forced to
//! stop.

use std::task::{Context, Poll};

use tokio::time::Instant;

use super::clock::Registered;
use super::gate::Gate;
use crate::Error;

/// A time to wait for. Set when there is something to wait for, and not before.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Registered>);

impl Timer {
    /// Ready when it is time, with an error when the engine is forced to stop; else the task of `context` is woken then. Where it
    /// is not set, it is set to what `at` says.
    pub(super) fn poll(
        &mut self,
        gate: &Gate,
        context: &Context<'_>,
        at: impl FnOnce() -> Instant,
    ) -> Poll<Result<(), Error>> {
        let rung = match &mut self.0 {
            Some(registered) => registered.poll(&gate.clocks, context.waker()),
            None => {
                self.set(gate, context, at());
                false
            }
        };
        // Registered first and asked second: between the two nothing is missed.
        if gate.is_forced() {
            return Poll::Ready(Err(Error::shutting_down()));
        }
        if rung {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Sets it again: the task of `context` is woken at this time.
    pub(super) fn set(&mut self, gate: &Gate, context: &Context<'_>, at: Instant) {
        self.0 = Some(gate.clocks.register(at, context.waker()));
    }

    /// Nothing is waited for any more.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}
