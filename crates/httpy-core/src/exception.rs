//! `Exception`: a Python exception as plain data, made on the worker, readable anywhere.

use std::fmt;
use std::sync::Arc;

/// A Python exception as text. Cheap to clone; holds no Python object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    text: Arc<Text>,
}

#[derive(Debug, PartialEq, Eq)]
struct Text {
    type_name: String,
    message: String,
    traceback: String,
    place: String,
}

impl Exception {
    /// An exception from its parts: the type's name (`ValueError`, `app.errors.NotAllowed`), `str()` of the value, the
    /// traceback as Python prints it, and the innermost place (`worker.py:12`).
    pub fn new(type_name: String, message: String, traceback: String, place: String) -> Self {
        Self { text: Arc::new(Text { type_name, message, traceback, place }) }
    }

    /// The type's name, with its module unless that is `builtins`.
    pub fn type_name(&self) -> &str {
        &self.text.type_name
    }

    /// `str()` of the exception; a note in its place when `__str__` itself raised.
    pub fn message(&self) -> &str {
        &self.text.message
    }

    /// The whole traceback as Python prints it, chained exceptions included.
    pub fn traceback(&self) -> &str {
        &self.text.traceback
    }

    /// File and line of the innermost frame (`worker.py:12`), empty when there is none.
    pub fn place(&self) -> &str {
        &self.text.place
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())?;
        if !self.message().is_empty() {
            write!(f, ": {}", self.message())?;
        }
        Ok(())
    }
}

impl std::error::Error for Exception {}
