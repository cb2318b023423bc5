//! `Limit`: how many jobs a service may have at a time, whatever the rest of the engine does; more are refused.
//! `Concurrency`: how many of its calls may run at a time; more wait.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::slot::Wait;
use crate::Error;
use crate::error::Kind;

/// Shared by all clones of a service. What is taken travels with the job and ends with it.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    free: Arc<Semaphore>,
    all: usize,
}

impl Limit {
    pub(super) fn new(jobs: usize) -> Self {
        let all = jobs.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(all)),
            all,
        }
    }

    /// # Errors
    ///
    /// An overload, when that many jobs wait or run.
    pub(super) fn take(&self, target: &str) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            let text = format!(
                "{target}: the limit of {} calls in the queue and at work is reached",
                self.all
            );
            Error::new(Kind::Overloaded, text)
        })
    }
}

/// Shared by all clones of a service. What is taken travels with the job and ends with it.
#[derive(Clone, Debug)]
pub(super) struct Concurrency(Arc<Semaphore>);

impl Concurrency {
    pub(super) fn new(calls: usize) -> Self {
        Self(Arc::new(Semaphore::new(calls.min(Semaphore::MAX_PERMITS))))
    }

    /// A permit at once, or the wait for one: first come, first served.
    pub(super) fn take(&self) -> Result<OwnedSemaphorePermit, Wait> {
        let free = Arc::clone(&self.0);
        free.clone().try_acquire_owned().map_err(|_| -> Wait {
            // Never closed.
            Box::pin(async {
                free.acquire_owned()
                    .await
                    .map_err(|_| Error::shutting_down())
            })
        })
    }
}
