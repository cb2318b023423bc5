//! `Exception`: a Python exception as plain data, made on the worker, readable anywhere.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

/// A Python exception as text. A clone is one reference count; it holds no Python object.
///
/// ```
/// # use httpy_core as httpy;
/// use httpy::Exception;
///
/// let [name, message, traceback, place] = ["KeyError", "'tea'", "Traceback ...", "shop.py:12"].map(str::to_owned);
/// let exception = Exception::new(name, message, traceback, place);
/// assert_eq!(exception.to_string(), "KeyError: 'tea'");
/// assert_eq!(exception.place(), "shop.py:12");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Text")]
pub struct Exception {
    text: Arc<Text>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Text {
    type_name: String,
    message: String,
    traceback: String,
    place: String,
    chain: Vec<Link>,
}

/// An exception of a chain, with its frames.
///
/// ```
/// # use httpy_core as httpy;
/// use httpy::{Link, Relation};
///
/// let cause = Link::new(Relation::Cause, "OSError: no network".to_owned(), Vec::new());
/// assert_eq!(cause.relation, Relation::Cause);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Link {
    /// How it led to the one before it.
    pub relation: Relation,
    /// Its type and its message.
    pub title: String,
    /// Where it was raised, the outermost frame first.
    pub frames: Vec<Frame>,
}

/// The way in which an exception led to another one.
///
/// ```
/// # use httpy_core as httpy;
/// use httpy::Relation;
///
/// // raise ValueError() from error
/// assert_ne!(Relation::Cause, Relation::Context);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Relation {
    /// The other one was raised from it.
    Cause,
    /// The other one was raised while it was handled.
    Context,
    /// It is the one that was raised in the end.
    #[serde(other)]
    Raised,
}

/// A place in Python code.
///
/// ```
/// # use httpy_core as httpy;
/// use httpy::Frame;
///
/// let frame = Frame::new("shop.py".to_owned(), 12, "price".to_owned(), true);
/// let frame = frame.with_source(11, vec!["def price(item):".to_owned(), "    return PRICES[item]".to_owned()]);
/// assert_eq!((frame.first, frame.line, frame.source.len()), (11, 12, 2));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Frame {
    /// The file's name.
    pub file: String,
    /// The line that ran.
    pub line: u32,
    /// The function.
    pub function: String,
    /// Whether it is the app's own code, and neither Python's nor installed.
    pub own: bool,
    /// The number of the first line in `source`.
    pub first: u32,
    /// Lines around the one that ran; empty where there is no source.
    pub source: Vec<String>,
}

impl Link {
    /// One of its parts.
    pub fn new(relation: Relation, title: String, frames: Vec<Frame>) -> Self {
        Self {
            relation,
            title,
            frames,
        }
    }
}

impl Frame {
    /// A frame without source lines.
    pub fn new(file: String, line: u32, function: String, own: bool) -> Self {
        Self {
            file,
            line,
            function,
            own,
            first: line,
            source: Vec::new(),
        }
    }

    /// With these lines around it.
    #[must_use]
    pub fn with_source(self, first: u32, source: Vec<String>) -> Self {
        Self {
            first,
            source,
            ..self
        }
    }
}

impl Exception {
    /// An exception from its parts: the type's name (`ValueError`, `app.errors.NotAllowed`), `str()` of the value, the
    /// traceback as Python prints it, and the innermost place (`worker.py:12`).
    pub fn new(type_name: String, message: String, traceback: String, place: String) -> Self {
        Self {
            text: Arc::new(Text {
                type_name,
                message,
                traceback,
                place,
                chain: Vec::new(),
            }),
        }
    }

    /// With the frames and the source lines of the whole chain.
    #[must_use]
    pub fn with_chain(mut self, chain: Vec<Link>) -> Self {
        Arc::make_mut(&mut self.text).chain = chain;
        self
    }

    /// The exception with its frames and their source lines, and after it what it came from. Empty unless the process has an
    /// app in debug.
    pub fn chain(&self) -> &[Link] {
        &self.text.chain
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

impl From<Text> for Exception {
    fn from(text: Text) -> Self {
        let text = Arc::new(text);
        Self { text }
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
