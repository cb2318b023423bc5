//! `wait`: a thread that waits for one end of a stream, parked, with a limit in time.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What `poll` becomes ready with; none when `until` came first. To be called detached: it blocks.
pub(crate) fn wait<R>(
    until: Option<Instant>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>,
) -> Option<R> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(ready) = poll(&mut context) {
            return Some(ready);
        }
        // Whoever woke this thread before it parks left it a token: it does not park then.
        match until {
            None => thread::park(),
            Some(until) => {
                let left = until
                    .checked_duration_since(Instant::now())
                    .filter(|left| !left.is_zero())?;
                thread::park_timeout(left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use httpy_core::{Gone, stream};

    use super::*;

    #[test]
    fn it_ends_when_the_other_end_has_done_something_or_time_is_up() {
        let (mut writer, mut reader) = stream::<()>(1);
        let other = thread::spawn(move || wait(None, |context| reader.poll_next(context)));
        assert_eq!(writer.write(Bytes::from_static(b"chunk")), Ok(false));
        assert_eq!(
            other.join().unwrap(),
            Some(Some(Ok(Bytes::from_static(b"chunk"))))
        );
        assert_eq!(
            wait(None, |context| writer.poll_ready(context)),
            Some(Err(Gone))
        );
        let (_writer, mut reader) = stream::<()>(1);
        let soon = Instant::now() + Duration::from_millis(1);
        assert_eq!(wait(Some(soon), |context| reader.poll_next(context)), None);
    }
}
