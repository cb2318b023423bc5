//! Waking whoever waits for the other end of an answer or a stream.

use std::task::Waker;

/// Wakes whoever waits, if anybody does. To be called outside of any lock: a waker runs code of its own.
pub(crate) fn wake(waiting: Option<Waker>) {
    if let Some(waker) = waiting {
        waker.wake();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// How often somebody was woken.
    #[derive(Default)]
    pub(crate) struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn waker() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    /// How often since the last time.
    pub(crate) fn woken(count: &Count) -> usize {
        count.0.swap(0, Ordering::Relaxed)
    }
}
