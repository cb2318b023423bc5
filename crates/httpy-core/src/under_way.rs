//! `UnderWay`: how many calls of an app wait for a worker or run, whether or not anybody waits for their answers.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The number of an app's calls that its end has to wait for.
#[derive(Debug, Default)]
pub struct UnderWay {
    calls: AtomicUsize,
    idle: Notify,
}

impl UnderWay {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.calls.load(Ordering::Acquire)
    }

    /// Waits until there are none.
    pub async fn idle(&self) {
        loop {
            let mut idle = pin!(self.idle.notified());
            // Registered first and asked second: between the two nothing is missed.
            idle.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            idle.await;
        }
    }
}

/// One call of that number, until it leaves or is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    among: Arc<UnderWay>,
    has_left: AtomicBool,
}

impl Counted {
    pub(crate) fn enter(among: Arc<UnderWay>) -> Self {
        among.calls.fetch_add(1, Ordering::AcqRel);
        Self {
            among,
            has_left: AtomicBool::new(false),
        }
    }

    pub(crate) fn leave(&self) {
        if !self.has_left.swap(true, Ordering::AcqRel)
            && self.among.calls.fetch_sub(1, Ordering::AcqRel) == 1
        {
            self.among.idle.notify_waiters();
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_idle_when_the_last_call_has_left_which_each_does_once() {
        let calls = Arc::<UnderWay>::default();
        calls.idle().await;
        let [first, second] = [(); 2].map(|()| Counted::enter(Arc::clone(&calls)));
        let waiting = tokio::spawn({
            let calls = Arc::clone(&calls);
            async move { calls.idle().await }
        });
        first.leave();
        first.leave();
        drop(first);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert_eq!(calls.count(), 1);
        drop(second);
        waiting.await.unwrap();
        assert_eq!(calls.count(), 0);
    }
}
