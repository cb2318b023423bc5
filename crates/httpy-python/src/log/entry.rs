//! `Entry`: one record of Python's `logging`, or one line of a standard stream, as plain data; and the event it becomes.

use std::any::Any;
use std::num::NonZeroU64;

use httpy_core::log::{Record, tidy};
use tracing::Level;
use tracing::span::Id;

/// One thing that Python code logged or printed.
#[derive(Debug)]
pub(super) enum Entry {
    Record {
        record: Box<Record>,
        /// That of the request.
        span: Option<NonZeroU64>,
    },
    Line {
        stream: Stream,
        text: String,
        /// That of the request.
        span: Option<NonZeroU64>,
    },
    /// A span, or what keeps one, that may close now: whatever is inside of it came before.
    Over(Box<dyn Any + Send>),
}

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Entry {
    /// How much memory it holds, roughly.
    pub(super) fn bytes(&self) -> usize {
        let text = match self {
            Self::Line { text, .. } => text.len(),
            Self::Over(_) => 0,
            Self::Record { record, .. } => record.bytes(),
        };
        size_of::<Record>() + text
    }

    /// Hands it to the subscriber, inside of its request's span. Never called attached.
    pub(super) fn emit(self) {
        match self {
            Self::Over(kept) => drop(kept),
            Self::Line { stream, text, span } => {
                let (parent, text) = (
                    span.map(Id::from_non_zero_u64),
                    tidy(text.trim_end_matches('\r')),
                );
                match stream {
                    Stream::Stdout => {
                        tracing::event!(target: "python.stdout", parent: parent, Level::INFO, "{text}");
                    }
                    Stream::Stderr => {
                        tracing::event!(target: "python.stderr", parent: parent, Level::INFO, "{text}");
                    }
                }
            }
            Self::Record { record, span } => record.emit(span),
        }
    }
}
