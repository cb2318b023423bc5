//! `BodyStart`: the first bytes of a request's body, noted by who reads it, for the page about its failure.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Maximum number of bytes kept.
const KEPT: usize = 2048;

/// What was read of a body until now. A clone shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyStart(Arc<Mutex<Read>>);

#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) first: Vec<u8>,
    pub(super) bytes: u64,
}

impl BodyStart {
    pub(super) fn lock(&self) -> MutexGuard<'_, Read> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more frame was read.
    pub(crate) fn note(&self, data: &[u8]) {
        let mut read = self.lock();
        let room = KEPT - read.first.len();
        read.first.extend(data.iter().take(room));
        read.bytes += data.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_are_kept_and_all_are_counted() {
        let start = BodyStart::default();
        for _ in 0..5 {
            start.note(&[b'a'; 1000]);
        }
        let read = start.lock();
        assert_eq!((read.first.len(), read.bytes), (KEPT, 5000));
    }
}
