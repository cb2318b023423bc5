//! `Slots`: the places of an engine's queue; `Readiness`: what a service's `poll_ready` has got of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::service::Inner;
use crate::error::Kind;
use crate::{Error, OnFull};

/// The places of a queue, and of those who wait for one.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    /// As many as there are slots: neither line is without an end.
    free_to_wait: Semaphore,
    all: usize,
    on_full: OnFull,
}

impl Slots {
    pub(crate) fn new(all: usize, on_full: OnFull) -> Self {
        Self {
            free: Arc::new(Semaphore::new(all)),
            free_to_wait: Semaphore::new(all),
            all,
            on_full,
        }
    }

    /// A slot, if one is free and no service waits for it.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// How many there are.
    pub(crate) const fn all(&self) -> usize {
        self.all
    }

    /// How many are not free.
    pub(crate) fn taken(&self) -> usize {
        self.all - self.free.available_permits()
    }

    /// How many services wait for one.
    pub(crate) fn waited_for(&self) -> usize {
        self.all - self.free_to_wait.available_permits()
    }
}

/// Until there is a slot, or none in time.
pub(super) type Wait =
    Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, Error>> + Send + Sync>>;

/// How far one clone of a service is on its way to a call.
#[derive(Default)]
pub(super) enum Readiness {
    /// `poll_ready` has got nothing; the call takes a slot itself, or is refused.
    #[default]
    Unasked,
    Waiting(Wait),
    /// Given back when the service is dropped.
    Ready(OwnedSemaphorePermit),
    /// The wait was in vain. The service is ready all the same: its call says why.
    Refused(Error),
}

impl Readiness {
    pub(super) fn poll(&mut self, service: &Arc<Inner>, context: &mut Context<'_>) -> Poll<()> {
        if service.engine.slots.on_full == OnFull::Refuse {
            return Poll::Ready(());
        }
        if let Self::Unasked = self {
            *self = match service.engine.slots.take() {
                Some(slot) => Self::Ready(slot),
                None => Self::Waiting(wait(Arc::clone(service))),
            };
        }
        if let Self::Waiting(wait) = self {
            *self = match ready!(wait.as_mut().poll(context)) {
                Ok(slot) => Self::Ready(slot),
                Err(error) => Self::Refused(error),
            };
        }
        Poll::Ready(())
    }

    /// What the next call begins with: a slot, or none yet. Afterwards the service is unready.
    pub(super) fn take(&mut self) -> Result<Option<OwnedSemaphorePermit>, Error> {
        match std::mem::take(self) {
            Self::Ready(slot) => Ok(Some(slot)),
            Self::Refused(error) => Err(error),
            // It was called without having been ready.
            Self::Unasked | Self::Waiting(_) => Ok(None),
        }
    }
}

/// Waits for a slot on behalf of `service`. Gives up after its `max_wait` and when the engine stops; at once when too many wait.
pub(super) fn wait(service: Arc<Inner>) -> Wait {
    Box::pin(async move {
        let Inner { engine, target, .. } = &*service;
        let max_wait = service.limits.max_wait;
        let Ok(_waiting) = engine.slots.free_to_wait.try_acquire() else {
            let text = format!(
                "{target}: the queue is full, and the maximum number of calls waits for a place in it"
            );
            return Err(Error::new(Kind::Overloaded, text));
        };
        tokio::select! {
            biased;
            () = engine.gate.closed() => Err(Error::shutting_down()),
            // Never closed.
            slot = Arc::clone(&engine.slots.free).acquire_owned() => slot.map_err(|_| Error::shutting_down()),
            () = sleep(max_wait) => {
                let text = format!("{target} was not called: no place in the queue was free within {max_wait:?}");
                Err(Error::new(Kind::Overloaded, text))
            }
        }
    })
}
