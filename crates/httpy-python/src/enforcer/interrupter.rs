//! The thread `httpy-interrupter`: attaches, which may take long, and interrupts the calls that it is asked for.
//!
//! First all of them are interrupted, as quickly as that can be; then what they were doing is written down, which reads
//! source files; and only detached it is logged, since the subscriber is the host's.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use httpy_core::{Interruption, Notice, Seat, TargetId, Ticket};
use pyo3::prelude::*;

use super::{AGAIN, Enforcer, HELD, overdue};
use crate::attach::attach;
use crate::pool::Crew;

/// What the interrupter is asked for.
struct Asked {
    seat: Seat,
    target: TargetId,
    ticket: Arc<Ticket>,
    /// Nothing was said of it yet.
    first: bool,
}

/// Interrupts what it is asked for, until the clock has ended.
pub(super) fn run(crew: &Arc<Crew>) {
    while crew.enforcer.wait_until_asked() {
        let notices = attach(|py| interrupt(py, crew));
        for notice in &notices {
            crew.notify(notice);
        }
    }
}

fn interrupt(py: Python<'_>, crew: &Crew) -> Vec<Notice> {
    let asked = crew.enforcer.take_asked();
    let struck: Vec<_> = asked
        .iter()
        .filter_map(|asked| Some((asked, strike(py, crew, asked)?)))
        .collect();
    crew.enforcer
        .interrupted(struck.iter().map(|(asked, _)| *asked));
    let told = struck.into_iter().filter(|(asked, _)| asked.first);
    told.map(|(asked, (shielded, frames))| Notice::Overdue {
        call: overdue(crew, asked.target, &asked.ticket),
        stack: frames.map_or_else(String::new, |frames| crew.shared.deadline.show(py, frames)),
        shielded,
    })
    .collect()
}

/// Interrupts one call: whether it is in a shield, and its frames. None when it is over.
fn strike<'py>(
    py: Python<'py>,
    crew: &Crew,
    asked: &Asked,
) -> Option<(bool, Option<PyResult<Bound<'py, PyAny>>>)> {
    let deadline = &crew.shared.deadline;
    let thread = crew.threads.with(asked.seat, |thread| thread)?;
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

impl Enforcer {
    /// Sleeps, detached, until there is something to do. False when there never will be.
    fn wait_until_asked(&self) -> bool {
        let asked = self
            .interrupter
            .wait_while(self.lock(), |state| state.asked.is_none() && !state.ended);
        !asked.unwrap_or_else(PoisonError::into_inner).ended
    }

    /// What is asked for; from now on it does not wait for the interpreter any more.
    fn take_asked(&self) -> Vec<Asked> {
        let mut state = self.lock();
        let now = Instant::now();
        if state.asked.take().is_some_and(|asked| asked + HELD <= now) {
            state.had = Some(now);
        }
        let places = state.watched.iter_mut().enumerate();
        let asked = places.filter_map(|(seat, place)| {
            let watched = place.as_mut().filter(|watched| watched.asked)?;
            watched.asked = false;
            watched.next = now + AGAIN;
            let ticket = watched.running()?;
            Some(Asked {
                seat: Seat(seat),
                target: watched.target,
                ticket,
                first: watched.interrupted.is_none(),
            })
        });
        let asked = asked.collect();
        // It sleeps with another `next` in mind, and has to learn of calls that are over.
        self.clock.notify_one();
        asked
    }

    /// These were interrupted just now.
    fn interrupted<'a>(&self, asked: impl Iterator<Item = &'a Asked>) {
        let mut state = self.lock();
        let now = Instant::now();
        for asked in asked {
            // Unless it is over by now, and another call of the same worker stands here.
            if let Some(Some(watched)) = state.watched.get_mut(asked.seat.0)
                && watched.is(&asked.ticket)
            {
                watched.interrupted.get_or_insert(now);
            }
        }
        self.clock.notify_one();
    }
}
