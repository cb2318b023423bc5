//! `FrameError`: what a worker sent that is no message, and where.

use std::fmt;

use super::Value;

/// Something in a frame that is not what stands there.
///
/// Displays as what was found, where, and what was expected:
/// `found str of 3 bytes at byte 17: expected the id of a job`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError {
    found: String,
    at: usize,
    expected: &'static str,
}

impl FrameError {
    /// `found` at the byte `at` of a payload, where something else was `expected`.
    #[cold]
    pub fn new(found: impl Into<String>, at: usize, expected: &'static str) -> Self {
        Self {
            found: found.into(),
            at,
            expected,
        }
    }

    /// `value`, where something else was `expected`.
    #[cold]
    pub fn value(value: &Value<'_>, at: usize, expected: &'static str) -> Self {
        Self::new(value.to_string(), at, expected)
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "found {} at byte {}: expected {}",
            self.found, self.at, self.expected
        )
    }
}

impl std::error::Error for FrameError {}
