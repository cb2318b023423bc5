//! `Entry`: one record of Python's `logging`, or one line of a standard stream, as plain data; and the event it becomes.

use std::any::Any;
use std::borrow::Cow;
use std::num::NonZeroU64;

use tracing::Level;
use tracing::span::Id;

/// What the lines after the first one of a text begin with: none of them can pass for a line of the log.
const INDENT: &str = "\n    ";

/// One thing that Python code logged or printed.
#[derive(Debug)]
pub(super) enum Entry {
    Record(Box<Record>),
    Line {
        stream: Stream,
        text: String,
        /// That of the request.
        span: Option<NonZeroU64>,
    },
    /// A span, or what keeps one, that may close now: whatever is inside of it came before.
    Over(Box<dyn Any + Send>),
}

/// A record of `logging`.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) level: Level,
    /// Python's name of the level, where it is none that `level` can tell.
    pub(super) python_level: Option<String>,
    pub(super) logger: String,
    pub(super) message: String,
    /// File and line.
    pub(super) place: String,
    /// The fields that were given as `extra`, a JSON object.
    pub(super) extra: Option<String>,
    /// The traceback.
    pub(super) exception: Option<String>,
    pub(super) stack: Option<String>,
    /// That of the request.
    pub(super) span: Option<NonZeroU64>,
}

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// The level for one of Python's, whose names are marks on an open scale.
pub(super) fn level(number: i64) -> Level {
    match number {
        ..10 => Level::TRACE,
        10..20 => Level::DEBUG,
        20..30 => Level::INFO,
        30..40 => Level::WARN,
        40.. => Level::ERROR,
    }
}

macro_rules! record {
    ($level:ident, $record:expr) => {{
        let record = $record;
        tracing::event!(
            target: "python",
            parent: record.span.map(|span| Id::from_non_zero_u64(span)),
            Level::$level,
            logger = %record.logger,
            python_level = record.python_level.as_ref().map(tracing::field::display),
            extra = record.extra.as_ref().map(tracing::field::display),
            place = %record.place,
            exception = record.exception.as_ref().map(tracing::field::display),
            stack = record.stack.as_ref().map(tracing::field::display),
            "{}",
            record.message
        )
    }};
}

impl Entry {
    /// How much memory it holds, roughly.
    pub(super) fn bytes(&self) -> usize {
        let text = match self {
            Self::Line { text, .. } => text.len(),
            Self::Over(_) => 0,
            Self::Record(record) => {
                let optional = [&record.python_level, &record.extra, &record.exception, &record.stack];
                let optional: usize = optional.into_iter().flatten().map(String::len).sum();
                record.logger.len() + record.message.len() + record.place.len() + optional
            }
        };
        size_of::<Record>() + text
    }

    /// Hands it to the subscriber, inside of its request's span. Never called attached.
    pub(super) fn emit(self) {
        match self {
            Self::Over(kept) => drop(kept),
            Self::Line { stream, text, span } => {
                let (parent, text) = (span.map(Id::from_non_zero_u64), tidy(text.trim_end_matches('\r')));
                match stream {
                    Stream::Stdout => tracing::event!(target: "python.stdout", parent: parent, Level::INFO, "{text}"),
                    Stream::Stderr => tracing::event!(target: "python.stderr", parent: parent, Level::INFO, "{text}"),
                }
            }
            Self::Record(record) => {
                let record = record.tidied();
                match record.level {
                    Level::ERROR => record!(ERROR, record),
                    Level::WARN => record!(WARN, record),
                    Level::INFO => record!(INFO, record),
                    Level::DEBUG => record!(DEBUG, record),
                    Level::TRACE => record!(TRACE, record),
                }
            }
        }
    }
}

impl Record {
    fn tidied(mut self) -> Self {
        for text in [Some(&mut self.logger), Some(&mut self.message), Some(&mut self.place)]
            .into_iter()
            .chain([&mut self.python_level, &mut self.extra, &mut self.exception, &mut self.stack].map(Option::as_mut))
            .flatten()
        {
            text.truncate(text.trim_end().len());
            if let Cow::Owned(tidy) = tidy(text) {
                *text = tidy;
            }
        }
        self
    }
}

/// `text` without what could make it look like something else in a log: lines after the first are indented, other control
/// characters are spelt out. Tabs stay.
fn tidy(text: &str) -> Cow<'_, str> {
    let odd =
        |character: char| (character.is_control() && character != '\t') || matches!(character, '\u{2028}' | '\u{2029}');
    if !text.contains(odd) {
        return Cow::Borrowed(text);
    }
    let mut tidy = String::with_capacity(text.len() + 64);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' => tidy.push_str(INDENT),
            '\r' if characters.peek() == Some(&'\n') => {}
            character if odd(character) => tidy.extend(character.escape_default()),
            character => tidy.push(character),
        }
    }
    Cow::Owned(tidy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_pass_for_a_line_of_the_log() {
        for (text, expected) in [
            ("plain, é and \t stay", "plain, é and \t stay"),
            ("one\nERROR two", "one\n    ERROR two"),
            ("one\r\ntwo", "one\n    two"),
            ("over\rwritten", "over\\rwritten"),
            ("\u{1b}[31mred\0", "\\u{1b}[31mred\\u{0}"),
            ("a\u{85}b\u{2028}c", "a\\u{85}b\\u{2028}c"),
        ] {
            assert_eq!(tidy(text), expected);
        }
    }

    #[test]
    fn levels_between_pythons_marks_belong_to_the_one_below() {
        let levels = [-5, 5, 10, 19, 20, 30, 35, 40, 50, 1000].map(level);
        let expected = [
            Level::TRACE,
            Level::TRACE,
            Level::DEBUG,
            Level::DEBUG,
            Level::INFO,
            Level::WARN,
            Level::WARN,
            Level::ERROR,
            Level::ERROR,
            Level::ERROR,
        ];
        assert_eq!(levels, expected);
    }
}
