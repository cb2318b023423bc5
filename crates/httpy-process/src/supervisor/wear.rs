//! When a worker is worn out: after so many calls, or grown beyond so many bytes. (Its age is the state's own concern.)

use std::fmt;
use std::time::Duration;

use crate::handover::Tally;

/// How often a busy worker's memory is looked at. An idle one's is not: nothing wakes up for it.
const EVERY: Duration = Duration::from_secs(1);

/// What one worker may come to, already spread.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) requests: Option<u64>,
    pub(super) rss: Option<u64>,
}

/// Why a worker is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wear {
    Requests(u64),
    Rss(u64),
}

impl fmt::Display for Wear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(answered) => write!(f, "has answered {answered} calls"),
            Self::Rss(bytes) => write!(f, "has grown to {} MiB", bytes / (1024 * 1024)),
        }
    }
}

/// Until the worker of process `pid` is worn out.
pub(super) async fn worn(tally: &Tally, limits: Limits, pid: u32) -> Wear {
    let mut seen = None;
    loop {
        let answered = tally.answered();
        if limits.requests.is_some_and(|most| answered >= most) {
            return Wear::Requests(answered);
        }
        // One look after the last call, too.
        let busy = tally.under_way() > 0 || seen != Some(answered);
        seen = Some(answered);
        let watches = limits.rss.is_some();
        if watches
            && busy
            && let Some(bytes) = rss(pid)
            && limits.rss.is_some_and(|most| bytes > most)
        {
            return Wear::Rss(bytes);
        }
        let most = limits.requests.unwrap_or(u64::MAX);
        let until = if watches && !busy { answered } else { most };
        tokio::select! {
            () = tally.reaches(until) => {}
            () = tokio::time::sleep(EVERY), if watches && busy => {}
        }
    }
}

/// What of a process's memory is in use, in bytes.
#[cfg(target_os = "linux")]
fn rss(pid: u32) -> Option<u64> {
    // Size and resident pages, first of all. The file is made up by the kernel as it is read, from counters.
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

/// Not told here.
#[cfg(not(target_os = "linux"))]
fn rss(_: u32) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake};

    use super::*;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_worn(worn: Pin<&mut impl Future<Output = Wear>>, bell: &Arc<Bell>) -> bool {
        worn.poll(&mut Context::from_waker(&Arc::clone(bell).into())) != Poll::Pending
    }

    fn answer(tally: &Tally, answered: u64) {
        tally.answered.store(answered, Ordering::Relaxed);
        tally.look();
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_answers_wear_out_and_fewer_wake_nobody() {
        let (tally, bell) = (Tally::default(), Arc::new(Bell::default()));
        let mut worn = pin!(worn(
            &tally,
            Limits {
                requests: Some(10),
                rss: None
            },
            0
        ));
        assert!(!is_worn(worn.as_mut(), &bell));
        for answered in 1..10 {
            answer(&tally, answered);
        }
        assert_eq!(bell.0.load(Ordering::Relaxed), 0);
        answer(&tally, 12);
        assert_eq!(bell.0.load(Ordering::Relaxed), 1);
        assert_eq!(worn.await, Wear::Requests(12));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn memory_beyond_the_limit_wears_out() {
        let limits = Limits {
            requests: None,
            rss: Some(1024 * 1024),
        };
        let grown = worn(&Tally::default(), limits, std::process::id()).await;
        let Wear::Rss(bytes) = grown else {
            panic!("{grown:?}")
        };
        assert!(
            bytes > 1024 * 1024 && grown.to_string().starts_with("has grown to "),
            "{grown}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_looked_at_while_calls_come_and_an_idle_worker_wakes_nobody() {
        let (tally, bell) = (Tally::default(), Arc::new(Bell::default()));
        let mut worn = pin!(worn(
            &tally,
            Limits {
                requests: None,
                rss: Some(u64::MAX)
            },
            std::process::id()
        ));
        let rings = || bell.0.swap(0, Ordering::Relaxed);
        for answered in 1..4 {
            assert!(!is_worn(worn.as_mut(), &bell));
            tokio::time::advance(EVERY).await;
            assert_eq!(rings(), 1);
            tally.answered.store(answered, Ordering::Relaxed);
        }
        assert!(!is_worn(worn.as_mut(), &bell));
        tokio::time::advance(EVERY).await;
        assert_eq!(rings(), 1);
        assert!(!is_worn(worn.as_mut(), &bell));
        tokio::time::advance(EVERY * 1000).await;
        assert_eq!(rings(), 0);
        answer(&tally, 4);
        assert_eq!(rings(), 1);
        assert!(!is_worn(worn.as_mut(), &bell));
        tokio::time::advance(EVERY).await;
        assert_eq!(rings(), 1);
    }
}
