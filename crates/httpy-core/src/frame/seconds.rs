//! Durations as seconds, for `#[serde(with = "seconds")]`.

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Reads a duration.
///
/// # Errors
///
/// When it is no number, negative or more than a [`Duration`] holds.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| D::Error::custom("seconds"))
}
