//! The Rust end of `httpy_rs._logging`: takes records and lines as plain data and puts them into the line. Runs attached,
//! and so never waits and never logs.

use std::num::NonZeroU64;
use std::sync::Arc;

use httpy_core::log::{self, Record};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyTuple};

use super::entry::{Entry, Stream};
use super::{Chosen, Line};
use crate::context;
use crate::interpreter::Interpreter;

/// Number of the level, its name where that says more, logger, message, place, extra, exception, stack, span.
type Pushed = (
    i64,
    Option<String>,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<NonZeroU64>,
);

/// Connects `logging` with the line, and the standard streams where that was chosen. What sets the level of the bridge, where
/// there is one.
pub(super) fn install(
    py: Python<'_>,
    line: &Arc<Line>,
    chosen: Chosen,
    level: i64,
    always: bool,
) -> PyResult<Option<Arc<Py<PyAny>>>> {
    let span = PyCFunction::new_closure(
        py,
        Some(c"span"),
        None,
        |arguments, _| -> PyResult<Option<NonZeroU64>> { context::span(&arguments.get_item(0)?) },
    )?;
    let module = py.import("httpy_rs._logging")?;
    let sink =
        module
            .getattr("Sink")?
            .call1((push_record(py, line)?, push_line(py, line)?, span))?;
    if chosen.streams {
        module.getattr("capture_streams")?.call1((&sink,))?;
    }
    if !chosen.records {
        return Ok(None);
    }
    let set_level = module.getattr("install")?.call1((sink, level, always))?;
    Ok((!set_level.is_none()).then(|| Arc::new(set_level.unbind())))
}

/// Has Python's main thread set the level, some time.
pub(super) fn set_level(interpreter: &Interpreter, set_level: &Arc<Py<PyAny>>) {
    let set_level = Arc::clone(set_level);
    interpreter.submit(move |py| {
        // Asked there: a change on the way is not lost. Fails only where app code has broken `logging`.
        drop(set_level.bind(py).call1((log::python_level(),)));
    });
}

fn push_record<'py>(py: Python<'py>, line: &Arc<Line>) -> PyResult<Bound<'py, PyCFunction>> {
    let line = Arc::clone(line);
    PyCFunction::new_closure(
        py,
        Some(c"record"),
        None,
        move |arguments, _| -> PyResult<bool> {
            if !log::is_listened_to() {
                return Ok(false);
            }
            let (record, span) = record(arguments)?;
            line.push(Entry::Record {
                record: Box::new(record),
                span,
            });
            Ok(true)
        },
    )
}

fn record(arguments: &Bound<'_, PyTuple>) -> PyResult<(Record, Option<NonZeroU64>)> {
    let (level, python_level, logger, message, place, extra, exception, stack, span): Pushed =
        arguments.extract()?;
    Ok((
        Record {
            level,
            python_level,
            logger,
            message,
            place,
            extra,
            exception,
            stack,
        },
        span,
    ))
}

fn push_line<'py>(py: Python<'py>, line: &Arc<Line>) -> PyResult<Bound<'py, PyCFunction>> {
    let line = Arc::clone(line);
    PyCFunction::new_closure(
        py,
        Some(c"line"),
        None,
        move |arguments, _| -> PyResult<bool> {
            if !log::is_listened_to() {
                return Ok(false);
            }
            let (stream, text, span): (String, String, Option<NonZeroU64>) = arguments.extract()?;
            let stream = if stream == "stderr" {
                Stream::Stderr
            } else {
                Stream::Stdout
            };
            line.push(Entry::Line { stream, text, span });
            Ok(true)
        },
    )
}
