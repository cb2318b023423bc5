//! `Parts`: the items of a tuple that have types and places.

use std::time::Duration;

use super::{FrameError, Items, Text, Value};

/// The items of a tuple, of which the next one must always be a certain thing.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    items: Items<'a>,
}

impl<'a> Parts<'a> {
    /// The items of `value`, which stands at byte `at`.
    ///
    /// # Errors
    ///
    /// When it is no tuple.
    pub fn of(value: &Value<'a>, at: usize, expected: &'static str) -> Result<Self, FrameError> {
        match value {
            Value::Tuple(items) => Ok(Self { items: *items }),
            other => Err(FrameError::value(other, at, expected)),
        }
    }

    /// The items of `value`, a list or a tuple.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub fn list(value: &Value<'a>, expected: &'static str) -> Result<Self, FrameError> {
        match value {
            Value::List(items) | Value::Tuple(items) => Ok(Self { items: *items }),
            other => Err(FrameError::value(other, 0, expected)),
        }
    }

    /// How many are left.
    pub fn left(&self) -> usize {
        self.items.len()
    }

    /// Where the next one stands in the payload.
    pub fn at(&self) -> usize {
        self.items.at()
    }

    /// The next one, whatever it is.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn value(&mut self, expected: &'static str) -> Result<Value<'a>, FrameError> {
        let at = self.at();
        self.items
            .next()
            .ok_or_else(|| FrameError::new("the end of a tuple", at, expected))
    }

    /// The next one, a `str`.
    ///
    /// # Errors
    ///
    /// When it is none, or there is none.
    pub fn text(&mut self, expected: &'static str) -> Result<Text<'a>, FrameError> {
        match self.next_with_place(expected)? {
            (Value::Text(text), _) => Ok(text),
            (other, at) => Err(FrameError::value(&other, at, expected)),
        }
    }

    /// The next one, a `str` without surrogates.
    ///
    /// # Errors
    ///
    /// When it is none, or there is none.
    pub fn str(&mut self, expected: &'static str) -> Result<&'a str, FrameError> {
        let at = self.at();
        let text = self.text(expected)?;
        text.to_str()
            .ok_or_else(|| FrameError::new("text with surrogates", at, expected))
    }

    /// The next one, a `str` without surrogates or `None`.
    ///
    /// # Errors
    ///
    /// When it is neither, or there is none.
    pub fn optional_str(&mut self, expected: &'static str) -> Result<Option<&'a str>, FrameError> {
        let mut ahead = *self;
        if let Value::None = ahead.value(expected)? {
            *self = ahead;
            return Ok(None);
        }
        self.str(expected).map(Some)
    }

    /// The next one, an `int` from 0 on.
    ///
    /// # Errors
    ///
    /// When it is none, or there is none.
    pub fn count(&mut self, expected: &'static str) -> Result<u64, FrameError> {
        let (value, at) = self.next_with_place(expected)?;
        let count = if let Value::Int(count) = value {
            u64::try_from(count).ok()
        } else {
            None
        };
        count.ok_or_else(|| FrameError::value(&value, at, expected))
    }

    /// The next one, `True` or `False`.
    ///
    /// # Errors
    ///
    /// When it is neither, or there is none.
    pub fn bool(&mut self, expected: &'static str) -> Result<bool, FrameError> {
        match self.next_with_place(expected)? {
            (Value::Bool(value), _) => Ok(value),
            (other, at) => Err(FrameError::value(&other, at, expected)),
        }
    }

    /// The next one, a tuple.
    ///
    /// # Errors
    ///
    /// When it is none, or there is none.
    pub fn parts(&mut self, expected: &'static str) -> Result<Self, FrameError> {
        let (value, at) = self.next_with_place(expected)?;
        Self::of(&value, at, expected)
    }

    /// The next one, a tuple or `None`.
    ///
    /// # Errors
    ///
    /// When it is neither, or there is none.
    pub fn optional(&mut self, expected: &'static str) -> Result<Option<Self>, FrameError> {
        match self.next_with_place(expected)? {
            (Value::None, _) => Ok(None),
            (value, at) => Self::of(&value, at, expected).map(Some),
        }
    }

    /// The next one, seconds as a `float`.
    ///
    /// # Errors
    ///
    /// When it is something else, negative or more than a [`Duration`] holds, or there is none.
    pub fn seconds(&mut self, expected: &'static str) -> Result<Duration, FrameError> {
        let (value, at) = self.next_with_place(expected)?;
        let seconds = if let Value::Float(seconds) = value {
            Duration::try_from_secs_f64(seconds).ok()
        } else {
            None
        };
        seconds.ok_or_else(|| FrameError::value(&value, at, expected))
    }

    /// The next one, a list or a tuple.
    ///
    /// # Errors
    ///
    /// When it is neither, or there is none.
    pub fn items(&mut self, expected: &'static str) -> Result<Self, FrameError> {
        match self.next_with_place(expected)? {
            (Value::List(items) | Value::Tuple(items), _) => Ok(Self { items }),
            (other, at) => Err(FrameError::value(&other, at, expected)),
        }
    }

    /// The end: nothing may be left.
    ///
    /// # Errors
    ///
    /// When something is.
    pub fn end(&self) -> Result<(), FrameError> {
        match self.left() {
            0 => Ok(()),
            left => Err(FrameError::new(
                format!("{left} more items"),
                self.at(),
                "the end of a tuple",
            )),
        }
    }

    fn next_with_place(
        &mut self,
        expected: &'static str,
    ) -> Result<(Value<'a>, usize), FrameError> {
        let at = self.at();
        Ok((self.value(expected)?, at))
    }
}
