//! A record of Python's `logging` in a worker, as an event of the host's log.

use std::num::NonZeroU64;

use httpy_core::frame::LogRecord;
use tracing::span::Id;

macro_rules! record {
    ($level:ident, $record:expr, $parent:expr) => {{
        let LogRecord { logger, message, fields, exception, place, .. } = $record;
        tracing::event!(
            target: "python",
            parent: $parent,
            tracing::Level::$level,
            logger,
            place,
            fields,
            exception,
            "{message}"
        )
    }};
}

/// Hands a record to the subscriber, inside of its call's span.
pub(crate) fn emit(record: &LogRecord, span: Option<NonZeroU64>) {
    let parent = span.map(Id::from_non_zero_u64);
    match record.level {
        ..10 => record!(TRACE, record, parent),
        10..20 => record!(DEBUG, record, parent),
        20..30 => record!(INFO, record, parent),
        30..40 => record!(WARN, record, parent),
        40.. => record!(ERROR, record, parent),
    }
}
