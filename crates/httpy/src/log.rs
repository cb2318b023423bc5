//! What goes wrong goes to the log once per place and second, with the number of suppressed lines.
//!
//! Each line about a call names its handler, method and route, and at DEBUG its path, which may hold what is secret.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU64;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use httpy_core::{Exception, ExitReport, Late, Notice, ProcessNotice, Subject, Warning};

use crate::Error;
use crate::ended::{CallEnded, CallResult};
use crate::error::Kind;
use crate::judge::judge;

const EVERY: Duration = Duration::from_secs(1);
/// Maximum number of places remembered. Beyond that the table is cleared, and a line may come early.
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
    suppressed: u64,
}

impl Log {
    /// Number of lines of this place that were suppressed since the last one; `None` when this one is suppressed as well.
    fn admit(&self, place: impl Hash, now: Instant) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        place.hash(&mut hasher);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get_mut(&hasher.finish()) {
            if now.saturating_duration_since(place.logged) < EVERY {
                place.suppressed += 1;
                return None;
            }
            place.logged = now;
            return Some(std::mem::take(&mut place.suppressed));
        }
        if places.len() >= PLACES {
            places.clear();
        }
        places.insert(
            hasher.finish(),
            Place {
                logged: now,
                suppressed: 0,
            },
        );
        Some(0)
    }
}

/// The number of the span that this thread is in, for what Python logs on behalf of the request. The span itself is not kept
/// alive: its request does that until its answer is taken or its client has left. Later records belong to no span.
pub(crate) fn current_span() -> Option<NonZeroU64> {
    tracing::dispatcher::get_default(|subscriber| {
        subscriber
            .current_span()
            .id()
            .map(tracing::Id::into_non_zero_u64)
    })
}

/// Emits an event with the fields of its call, and how many events like it were suppressed, where any were.
macro_rules! event {
    ($level:ident, $call:expr, $suppressed:expr, $($text:tt)+) => {{
        let fields = Fields::new($call);
        tracing::$level!(
            target: "httpy",
            handler = fields.handler,
            method = fields.method,
            route = fields.route,
            path = fields.path,
            suppressed = NonZeroU64::new($suppressed),
            $($text)+
        )
    }};
}

/// The fields of a line about a call; `None` is omitted.
struct Fields<'a> {
    handler: Option<&'a str>,
    method: Option<&'a str>,
    route: Option<&'a str>,
    /// Only where lines of level DEBUG are seen.
    path: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn new(call: Option<(&'a str, Option<&'a Subject>)>) -> Self {
        let (handler, subject) = call.unzip();
        let subject = subject.flatten();
        Self {
            handler,
            method: subject.map(|subject| subject.method.as_str()),
            route: subject.and_then(|subject| subject.route.as_deref()),
            path: subject
                .map(|subject| subject.uri.path())
                .filter(|_| tracing::enabled!(target: "httpy", tracing::Level::DEBUG)),
        }
    }
}

/// Logs why a call failed, unless the executor does, or what was left out of its reply.
pub(crate) fn ended(ended: &CallEnded<'_>) {
    match ended.result {
        CallResult::Answered { warnings: [], .. }
        | CallResult::Failed {
            is_logged: true, ..
        }
        | CallResult::Left { .. } => {}
        CallResult::Answered { warnings: all, .. } => {
            warnings(ended.target, &ended.call.subject(), all);
        }
        CallResult::Failed { error, .. } => {
            failure(ended.target, Some(&ended.call.subject()), error);
        }
    }
}

/// Logs a failed call of `target`; without a request where it was none. What the client did wrong is no more than a debug line.
pub(crate) fn failure(target: &str, subject: Option<&Subject>, error: &Error) {
    let call = Some((target, subject));
    match error.kind() {
        Kind::BodyTooLarge
        | Kind::BodyBroken
        | Kind::BodyTimeout
        | Kind::NotFound
        | Kind::MethodNotAllowed(_) => {
            event!(debug, call, 0, "{error}");
            return;
        }
        _ => {}
    }
    // Not by the message, which may hold what differs from call to call.
    let exception = error.exception();
    let place = exception.map_or("", Exception::place);
    let Some(suppressed) = LOG.admit((target, error.kind(), place), Instant::now()) else {
        return;
    };
    match (error.kind(), exception) {
        (Kind::Overloaded | Kind::ShuttingDown | Kind::Deadline | Kind::Stalled, _) => {
            event!(warn, call, suppressed, "{error}");
        }
        (_, Some(exception)) => {
            let traceback = exception.traceback().trim_end();
            event!(error, call, suppressed, "{error}\n{traceback}");
        }
        (_, None) => event!(error, call, suppressed, "{error}"),
    }
}

/// Logs what a handler returned and was set right.
fn warnings(target: &str, subject: &Subject, warnings: &[Warning]) {
    for warning in warnings {
        if let Some(suppressed) = LOG.admit((target, warning.rule), Instant::now()) {
            let call = Some((target, Some(subject)));
            event!(warn, call, suppressed, "{target}: {}", warning.text);
        }
    }
}

/// Logs an outcome whose caller has gone. Never runs attached.
pub(crate) fn late(target: &str, late: Late) {
    let Late { subject, outcome } = late;
    match judge(target, &subject.method, outcome) {
        Ok(reply) => warnings(target, &subject, &reply.warnings),
        Err(error) => failure(target, Some(&subject), &error),
    }
}

/// Logs what was left when an interpreter ended, which had no app any more. Never runs attached.
pub(crate) fn exit_report(report: ExitReport) {
    for thread in report.threads {
        tracing::warn!(target: "httpy", thread, "a thread that Python code started still runs at the exit");
    }
    for error in report.errors {
        tracing::error!(target: "httpy", "an exit function raised\n{}", error.trim_end());
    }
}

/// Whether a slow call is logged: how many like it were suppressed since the last one.
pub(crate) fn admits_slow(target: &str, route: Option<&str>) -> Option<u64> {
    LOG.admit((target, "slow", route), Instant::now())
}

/// Logs what becomes of overdue calls and their workers: each call that was answered with 504 and each that is interrupted,
/// once per target, route and second; what happens to workers, always. Never runs attached.
pub(crate) fn notice(notice: &Notice) {
    let call = notice.call();
    let handler = call.map(|(handler, _)| handler);
    let admitted = |route| LOG.admit((handler, "overdue", route), Instant::now());
    match notice {
        Notice::Overdue { call: overdue, .. } | Notice::Cancelled { call: overdue, .. } => {
            if let Some(suppressed) = admitted(overdue.subject.route.as_deref()) {
                event!(warn, call, suppressed, "{notice}");
            }
        }
        Notice::Late { .. } => {
            if let Some(suppressed) = admitted(None) {
                event!(warn, call, suppressed, "{notice}");
            }
        }
        Notice::Stalled { .. } => {
            if let Some(suppressed) = LOG.admit((handler, "stalled"), Instant::now()) {
                event!(warn, call, suppressed, "{notice}");
            }
        }
        // Admitted before its stack was read.
        Notice::Slow { call: slow, .. } => event!(warn, call, slow.suppressed, "{notice}"),
        Notice::NoThread { .. } => {
            if let Some(suppressed) = LOG.admit("thread", Instant::now()) {
                event!(error, call, suppressed, "{notice}");
            }
        }
        Notice::Uncancelled { .. } | Notice::Blocked { .. } | Notice::Left { .. } => {
            event!(warn, call, 0, "{notice}");
        }
        Notice::Process(ProcessNotice::Recycled { .. })
        | Notice::Returned { .. }
        | Notice::EndedLoop { .. } => {
            event!(info, call, 0, "{notice}");
        }
        Notice::Process(ProcessNotice::Slow { .. }) => {
            tracing::warn!(target: "httpy", "{notice}");
        }
        // What it is about differs from death to death; the worker is the place, of which each app has one of that name.
        Notice::Process(process) => {
            let place = (handler, process.worker(), "process");
            if let Some(suppressed) = LOG.admit(place, Instant::now()) {
                event!(error, call, suppressed, "{notice}");
            }
        }
        _ => event!(error, call, 0, "{notice}"),
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
