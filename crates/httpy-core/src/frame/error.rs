//! `FrameError`: what a worker sent that is no message, and where.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::{Items, Value};

/// Something in a frame that is not what stands there.
///
/// Displays as the names of what was read, what was found, where, and what was expected:
/// `log.level: found "x" at byte 17, expected i64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError(Box<Inside>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inside {
    /// The names of the message, the field in it, and so on.
    path: String,
    /// What was found, and the byte of the payload at which it stands. `None` until that is known.
    found: Option<(String, usize)>,
    expected: Cow<'static, str>,
}

impl FrameError {
    /// `found` at the byte `at` of a payload, where something else was `expected`.
    #[cold]
    pub fn new(
        found: impl Into<String>,
        at: usize,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inside {
            path: String::new(),
            found: Some((found.into(), at)),
            expected: expected.into(),
        }))
    }

    /// At the next one of `items`, unless the place is known already.
    #[cold]
    pub(super) fn at(mut self, mut items: Items<'_>) -> Self {
        self.0.found.get_or_insert_with(|| {
            let (_, at) = items.place();
            let found = items.next().as_ref().map(Value::to_string);
            (found.unwrap_or_else(|| "the end of a tuple".into()), at)
        });
        self
    }

    /// In the part of this name.
    #[cold]
    pub(super) fn within(mut self, name: &str) -> Self {
        let path = &mut self.0.path;
        if !path.is_empty() {
            path.insert(0, '.');
        }
        path.insert_str(0, name);
        self
    }

    #[cold]
    fn expected(expected: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inside {
            path: String::new(),
            found: None,
            expected: expected.into(),
        }))
    }
}

impl de::Error for FrameError {
    fn custom<T: fmt::Display>(expected: T) -> Self {
        Self::expected(expected.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(expected)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(expected)
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::custom(expected)
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::expected(format!("one of {}", expected.join(" ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::expected(format!("the key {field}"))
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inside {
            path,
            found,
            expected,
        } = &*self.0;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        if let Some((found, at)) = found {
            write!(f, "found {found} at byte {at}, ")?;
        }
        write!(f, "expected {expected}")
    }
}

impl std::error::Error for FrameError {}
