//! What goes wrong goes to the log once per place and second, with a count of what was left out.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU64;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use httpy_core::{Exception, Notice, Outcome, ProcessNotice, Warning};

use crate::Error;
use crate::error::Kind;

const EVERY: Duration = Duration::from_secs(1);
/// So many places are remembered; beyond that the table starts anew, and a line may come early.
const PLACES: usize = 1024;

/// One log for the process, as there is one subscriber: what comes late from a worker belongs to no app any more.
static LOG: LazyLock<Log> = LazyLock::new(Log::default);

/// Where the lines of the last second came from.
#[derive(Debug, Default)]
struct Log {
    places: Mutex<HashMap<u64, Place>>,
}

#[derive(Debug)]
struct Place {
    logged: Instant,
    left_out: u64,
}

impl Log {
    /// How many lines of this place were left out since the last one; `None` when this one is left out as well.
    fn admit(&self, place: impl Hash, now: Instant) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        place.hash(&mut hasher);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get_mut(&hasher.finish()) {
            if now.saturating_duration_since(place.logged) < EVERY {
                place.left_out += 1;
                return None;
            }
            place.logged = now;
            return Some(std::mem::take(&mut place.left_out));
        }
        if places.len() >= PLACES {
            places.clear();
        }
        places.insert(
            hasher.finish(),
            Place {
                logged: now,
                left_out: 0,
            },
        );
        Some(0)
    }
}

/// The number of the span that this thread is in, for what Python logs on behalf of the request. The span itself is not kept
/// alive: its request does that for as long as anybody waits for the answer, and what is logged later belongs to none.
pub(crate) fn current_span() -> Option<NonZeroU64> {
    tracing::dispatcher::get_default(|subscriber| {
        subscriber
            .current_span()
            .id()
            .map(tracing::Id::into_non_zero_u64)
    })
}

/// Logs a failed call of `target`. What the client did wrong is no more than a debug line.
pub(crate) fn failure(target: &str, error: &Error) {
    match error.kind() {
        Kind::BodyTooLarge
        | Kind::BodyBroken
        | Kind::BodyTimeout
        | Kind::NotFound
        | Kind::MethodNotAllowed(_) => {
            tracing::debug!(target: "httpy", handler = target, "{error}");
            return;
        }
        _ => {}
    }
    // Not by the message, which may hold what differs from call to call.
    let exception = error.exception();
    let place = exception.map_or("", Exception::place);
    let Some(left_out) = LOG.admit((target, error.kind(), place), Instant::now()) else {
        return;
    };
    match (error.kind(), exception) {
        (Kind::Overloaded | Kind::ShuttingDown | Kind::Deadline | Kind::Stalled, _) => {
            tracing::warn!(target: "httpy", handler = target, left_out, "{error}");
        }
        (_, Some(exception)) => {
            let traceback = exception.traceback().trim_end();
            tracing::error!(target: "httpy", handler = target, left_out, "{error}\n{traceback}");
        }
        (_, None) => tracing::error!(target: "httpy", handler = target, left_out, "{error}"),
    }
}

/// Logs something that a handler returned and that was set right.
pub(crate) fn warning(target: &str, warning: &Warning) {
    if let Some(left_out) = LOG.admit((target, warning.rule), Instant::now()) {
        tracing::warn!(target: "httpy", handler = target, left_out, "{target}: {}", warning.text);
    }
}

/// Logs an outcome for which nobody waited any more. Never runs attached.
pub(crate) fn late(target: &str, outcome: Outcome) {
    if let Err(error) = crate::service::judge(target, &http::Method::GET, outcome) {
        failure(target, &error);
    }
}

/// Whether a call that takes long is to be told of: how many like it were left out since the last one.
pub(crate) fn admits_slow(target: &str, route: Option<&str>) -> Option<u64> {
    LOG.admit((target, "slow", route), Instant::now())
}

/// Logs what becomes of overdue calls and their workers: each call that was answered with 504 and each that is interrupted,
/// once per target, route and second; what happens to workers, always. Never runs attached.
pub(crate) fn notice(notice: &Notice) {
    let handler = notice.target();
    let admitted = |route| LOG.admit((handler, "overdue", route), Instant::now());
    match notice {
        Notice::Overdue { call, .. } | Notice::Cancelled { call, .. } => {
            if let Some(left_out) = admitted(call.route.as_deref()) {
                tracing::warn!(target: "httpy", handler, left_out, "{notice}");
            }
        }
        Notice::Late { .. } => {
            if let Some(left_out) = admitted(None) {
                tracing::warn!(target: "httpy", handler, left_out, "{notice}");
            }
        }
        Notice::Stalled { .. } => {
            if let Some(left_out) = LOG.admit((handler, "stalled"), Instant::now()) {
                tracing::warn!(target: "httpy", handler, left_out, "{notice}");
            }
        }
        // Admitted before its stack was read.
        Notice::Slow { call, .. } => {
            tracing::warn!(target: "httpy", handler, left_out = call.left_out, "{notice}");
        }
        Notice::NoThread { .. } => {
            if let Some(left_out) = LOG.admit("thread", Instant::now()) {
                tracing::error!(target: "httpy", left_out, "{notice}");
            }
        }
        Notice::Uncancelled { .. } | Notice::Blocked { .. } | Notice::Left { .. } => {
            tracing::warn!(target: "httpy", handler, "{notice}");
        }
        Notice::Process(ProcessNotice::Recycled { .. }) => {
            tracing::info!(target: "httpy", "{notice}");
        }
        // What it is about differs from death to death; the worker is the place, of which each app has one of that name.
        Notice::Process(process) => {
            if let Some(left_out) =
                LOG.admit((handler, process.worker(), "process"), Instant::now())
            {
                tracing::error!(target: "httpy", handler, left_out, "{notice}");
            }
        }
        Notice::Returned { .. } => tracing::info!(target: "httpy", handler, "{notice}"),
        _ => tracing::error!(target: "httpy", handler, "{notice}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_logged_once_per_second_with_a_count_of_the_rest() {
        let (log, start) = (Log::default(), Instant::now());
        assert_eq!(log.admit("a", start), Some(0));
        assert_eq!(log.admit("a", start + EVERY / 3), None);
        assert_eq!(log.admit("a", start + EVERY / 2), None);
        assert_eq!(log.admit("b", start + EVERY / 2), Some(0));
        assert_eq!(log.admit("a", start + EVERY), Some(2));
        assert_eq!(log.admit("a", start + EVERY * 2), Some(0));
    }

    #[test]
    fn a_flood_of_places_does_not_grow_the_table() {
        let (log, now) = (Log::default(), Instant::now());
        for place in 0..10 * PLACES {
            log.admit(place, now);
        }
        assert!(log.places.lock().unwrap().len() <= PLACES);
    }
}
