//! The thread `httpy-inspector`: attaches, which may take long, and does what the other threads cannot wait for.
//!
//! What the clock asks for comes first: all overdue calls are interrupted as quickly as possible, then what blocks the event
//! loop; only then their stacks are written down, which reads source files. Requests for stacks come last, and are put off
//! after each stack if the clock asks for something. Logging runs code of the host, so it is detached.

use std::sync::Arc;

use httpy_core::{Interruption, Notice};
use pyo3::prelude::*;

use super::Task;
use super::calls::Stuck;
use crate::attach::attach;
use crate::pool::Crew;

/// Works until the clock has ended and nothing is asked for any more.
pub(super) fn run(crew: &Arc<Crew>) {
    let awaited = || crew.queue.awaited();
    while let Some(task) = crew.watchdog.wait_until_asked(awaited) {
        match task {
            Task::Clock => {
                let notices = attach(|py| serve_clock(py, crew));
                crew.notify_all(&notices);
            }
            Task::Stacks(request) => request.answer(crew),
        }
    }
}

/// Does what the clock asks for; what is to be logged of it.
pub(crate) fn serve_clock(py: Python<'_>, crew: &Crew) -> Vec<Notice> {
    let (asked, blocked) = crew.watchdog.take_asked();
    let struck: Vec<_> = asked
        .into_iter()
        .filter_map(|asked| Some((strike(py, crew, &asked)?, asked)))
        .collect();
    if !struck.is_empty() {
        let calls = struck.iter().map(|(_, asked)| asked);
        crew.watchdog.interrupted(calls);
    }
    let blocked = blocked.iter().flat_map(|it| it.examine(py, crew));
    let mut notices: Vec<_> = blocked.collect();
    let told = struck.into_iter().filter(|(_, asked)| asked.first);
    notices.extend(told.map(|((shielded, frames), asked)| Notice::Overdue {
        call: asked.call,
        stack: frames.map_or_else(String::new, |frames| crew.shared.deadline.show(py, frames)),
        shielded,
    }));
    notices
}

/// Interrupts one call: whether it is in a shield, and its frames. `None` if it is over.
fn strike<'py>(
    py: Python<'py>,
    crew: &Crew,
    asked: &Stuck,
) -> Option<(bool, Option<PyResult<Bound<'py, PyAny>>>)> {
    let deadline = &crew.shared.deadline;
    let thread = crew.desks.thread(asked.seat)?;
    // Before the interruption, which changes them; they are this call's if it can still be interrupted after that.
    let frames = asked.first.then(|| deadline.capture(py, thread));
    match asked.ticket.interrupt() {
        Interruption::Asked => {
            deadline.interrupt(py, thread, &asked.ticket);
            Some((false, frames))
        }
        Interruption::Shielded => Some((true, frames)),
        Interruption::Over => None,
    }
}
