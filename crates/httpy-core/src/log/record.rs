//! `Record`: one record of Python's `logging` as plain data, and the event it becomes.

use std::borrow::Cow;
use std::num::NonZeroU64;

use serde::Deserialize;
use tracing::Level;
use tracing::span::Id;

/// What the lines after the first one of a text begin with: none of them can pass for a line of the log.
const INDENT: &str = "\n    ";

/// A record of `logging`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// Python's number for its level.
    pub level: i64,
    /// Python's name of the level, where the number is none of the usual ones.
    pub python_level: Option<String>,
    /// The logger's name.
    pub logger: String,
    /// The message.
    pub message: String,
    /// The fields that were given as `extra`, a JSON object.
    pub extra: Option<String>,
    /// The traceback.
    pub exception: Option<String>,
    /// The stack, where that was asked for.
    pub stack: Option<String>,
    /// File and line.
    pub place: String,
}

/// The level for one of Python's, whose names are marks on an open scale.
fn level(number: i64) -> Level {
    match number {
        ..10 => Level::TRACE,
        10..20 => Level::DEBUG,
        20..30 => Level::INFO,
        30..40 => Level::WARN,
        40.. => Level::ERROR,
    }
}

macro_rules! record {
    ($level:ident, $record:expr, $parent:expr) => {{
        let record = $record;
        tracing::event!(
            target: "python",
            parent: $parent,
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

impl Record {
    /// How much memory its texts hold.
    pub fn bytes(&self) -> usize {
        let optional = [
            &self.python_level,
            &self.extra,
            &self.exception,
            &self.stack,
        ];
        let optional: usize = optional.into_iter().flatten().map(String::len).sum();
        self.logger.len() + self.message.len() + self.place.len() + optional
    }

    /// Hands it to the subscriber, inside of this span. Runs the subscriber's code, so never call this attached.
    pub fn emit(self, span: Option<NonZeroU64>) {
        let (record, parent) = (self.tidied(), span.map(Id::from_non_zero_u64));
        match level(record.level) {
            Level::ERROR => record!(ERROR, record, parent),
            Level::WARN => record!(WARN, record, parent),
            Level::INFO => record!(INFO, record, parent),
            Level::DEBUG => record!(DEBUG, record, parent),
            Level::TRACE => record!(TRACE, record, parent),
        }
    }

    fn tidied(mut self) -> Self {
        for text in [
            Some(&mut self.logger),
            Some(&mut self.message),
            Some(&mut self.place),
        ]
        .into_iter()
        .chain(
            [
                &mut self.python_level,
                &mut self.extra,
                &mut self.exception,
                &mut self.stack,
            ]
            .map(Option::as_mut),
        )
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
pub fn tidy(text: &str) -> Cow<'_, str> {
    let odd = |character: char| {
        (character.is_control() && character != '\t')
            || matches!(character, '\u{2028}' | '\u{2029}')
    };
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
