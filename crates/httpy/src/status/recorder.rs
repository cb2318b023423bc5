//! `Recorder`: remembers what became of an engine's calls, for those who look later.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::history::Seconds;
use super::ring::Ring;
use super::{History, Recent, RecordedCall};
use crate::ended::{CallEnded, CallResult, Ending};

/// Numbers of calls since the start, by how they ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use http::Request;
/// use tower::ServiceExt;
///
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// engine.handler("shop:fail")?.oneshot(Request::get("/").body(String::new())?).await?;
/// let calls = engine.snapshot().calls;
/// assert_eq!((calls.ok, calls.exception), (0, 1));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallCounts {
    /// The handler answered, with whatever status.
    pub ok: u64,
    /// The handler raised.
    pub exception: u64,
    /// The handler returned what the contract does not allow.
    pub contract: u64,
    /// The deadline passed while they ran.
    pub deadline: u64,
    /// They were refused before they ran: no place in the queue, or no worker in time.
    pub overloaded: u64,
    /// The engine was shutting down.
    pub shutting_down: u64,
    /// The client's body was too large, too slow, or broke off.
    pub body: u64,
    /// No route or no method of a route.
    pub not_found: u64,
    /// The client went away while they waited: they never ran.
    pub abandoned: u64,
    /// httpy failed, or an extra of the host.
    pub internal: u64,
    /// The client went away while they ran, or before it took the answer.
    pub gone: u64,
    /// The worker process that ran them died.
    pub crashed: u64,
}

/// One per app. What happens on the path of every call is two counters and a short lock, without memory being asked for.
#[derive(Debug)]
pub(crate) struct Recorder {
    started: Instant,
    started_at: SystemTime,
    /// What takes longer is slow.
    slow_after: Duration,
    endings: [AtomicU64; Ending::ALL.len()],
    seconds: Seconds,
    slow: Mutex<Ring>,
    failed: Mutex<Ring>,
    /// Whether the history was ever requested, so that the times of calls are measured.
    watched: AtomicBool,
}

impl Recorder {
    pub(crate) fn new(slow_after: Duration) -> Self {
        Self {
            started: Instant::now(),
            started_at: SystemTime::now(),
            slow_after,
            endings: Default::default(),
            seconds: Seconds::new(),
            slow: Mutex::new(Ring::new(false)),
            failed: Mutex::new(Ring::new(true)),
            watched: AtomicBool::new(false),
        }
    }

    /// Records the end of a call; of one whose client has left, no more than how it ended.
    pub(crate) fn record(&self, ended: &CallEnded<'_>) {
        self.endings[ended.ending() as usize].fetch_add(1, Ordering::Relaxed);
        if let CallResult::Left { .. } = ended.result {
            return;
        }
        let failed = ended.has_failed();
        self.seconds.add(
            ended.time.saturating_duration_since(self.started),
            ended.times.as_ref(),
            failed,
        );
        if ended
            .times
            .is_some_and(|times| times.total > self.slow_after)
        {
            add(&self.slow, ended);
        }
        if failed {
            add(&self.failed, ended);
        }
    }

    pub(crate) fn counts(&self) -> CallCounts {
        let of = |ending: Ending| self.endings[ending as usize].load(Ordering::Relaxed);
        CallCounts {
            ok: of(Ending::Ok),
            exception: of(Ending::Exception),
            contract: of(Ending::Contract),
            deadline: of(Ending::Deadline),
            overloaded: of(Ending::Overloaded),
            shutting_down: of(Ending::ShuttingDown),
            body: of(Ending::Body),
            not_found: of(Ending::NotFound),
            abandoned: of(Ending::Abandoned),
            internal: of(Ending::Internal),
            gone: of(Ending::Gone),
            crashed: of(Ending::Crashed),
        }
    }

    pub(crate) const fn slow_after(&self) -> Duration {
        self.slow_after
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether the history was ever requested.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    pub(crate) fn history(&self) -> History {
        self.watched.store(true, Ordering::Relaxed);
        self.seconds.history(self.uptime(), self.started_at)
    }

    pub(crate) fn recent(&self) -> Recent {
        self.seconds.recent(self.uptime())
    }

    /// The last slow calls, the last one first.
    pub(crate) fn slow(&self) -> Vec<RecordedCall> {
        calls(&self.slow)
    }

    /// The last failed calls, the last one first.
    pub(crate) fn failed(&self) -> Vec<RecordedCall> {
        calls(&self.failed)
    }
}

fn add(ring: &Mutex<Ring>, ended: &CallEnded<'_>) {
    let now = SystemTime::now();
    ring.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .add(ended, now);
}

fn calls(ring: &Mutex<Ring>) -> Vec<RecordedCall> {
    ring.lock().unwrap_or_else(PoisonError::into_inner).calls()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::Error;
    use crate::ended::tests::{answered, call, ended, failed};
    use crate::error::Kind;

    #[test]
    fn a_slow_call_and_a_failed_one_come_into_their_rings_and_all_are_counted() {
        let recorder = Recorder::new(Duration::from_secs(1));
        let (call, error) = (call(), Error::new(Kind::Exception, ""));
        let left = CallResult::Left { is_unused: true };
        for (result, millis) in [
            (answered(StatusCode::OK), 1000),
            (answered(StatusCode::CREATED), 1001),
            (failed(&error), 0),
            (left, 1001),
        ] {
            recorder.record(&ended(&call, result, Duration::from_millis(millis)));
        }
        assert_eq!(
            recorder.counts(),
            CallCounts {
                ok: 2,
                exception: 1,
                abandoned: 1,
                ..CallCounts::default()
            }
        );
        let status =
            |calls: Vec<RecordedCall>| calls.iter().map(|call| call.status).collect::<Vec<_>>();
        assert_eq!(
            (status(recorder.slow()), status(recorder.failed())),
            (vec![201], vec![500])
        );
        let history = recorder.history();
        assert_eq!(
            (
                history.count.iter().sum::<u32>(),
                history.failed.iter().sum::<u32>()
            ),
            (3, 1)
        );
    }
}
