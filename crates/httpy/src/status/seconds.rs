//! Times in data for programs: seconds as numbers.

use std::time::{Duration, SystemTime};

use serde::Serializer;

/// A duration.
pub(crate) fn of<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// A duration that there may be.
#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(crate) fn of_option<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => of(duration, serializer),
        None => serializer.serialize_none(),
    }
}

/// A time of day, in seconds since 1970.
pub(crate) fn since_1970<S: Serializer>(
    time: &SystemTime,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    // A clock that stands before 1970 is not set.
    of(
        &time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default(),
        serializer,
    )
}
