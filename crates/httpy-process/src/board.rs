//! `Board`: what the host may read at any time of what the dispatch knows.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use httpy_core::{ExitReport, Facts, LoopMember, frame};

/// What the host may read at any time.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Known>);

/// What is on the board.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Of the worker that was started last.
    pub(crate) facts: Facts,
    /// Of each worker that has an event loop, by name.
    pub(crate) loops: Vec<LoopMember>,
    /// How workers have ended that were shut down.
    pub(crate) report: ExitReport,
}

impl Board {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker was started.
    pub(crate) fn started(&self, facts: &frame::Facts) {
        let known = &mut self.lock().facts;
        known.version.clone_from(&facts.version);
        known.executable = PathBuf::from(&facts.executable);
        known.warnings = facts.warning.iter().cloned().collect();
    }

    /// How a worker's event loop is.
    pub(crate) fn looped(&self, name: &str, calls: usize, lag: Duration) {
        let loops = &mut self.lock().loops;
        let figures = LoopMember {
            name: name.to_owned(),
            calls,
            // A job is in its worker's hands from the moment when it is sent.
            waiting: 0,
            lag: Some(lag),
            blocked_for: None,
            blocked_by: None,
            oldest: Vec::new(),
        };
        match loops.iter_mut().find(|known| known.name == name) {
            Some(known) => *known = figures,
            None => loops.push(figures),
        }
    }

    /// A worker has ended.
    pub(crate) fn forget(&self, name: &str) {
        self.lock().loops.retain(|known| known.name != name);
    }

    /// A worker has told how it ends.
    pub(crate) fn report(&self, told: ExitReport) {
        let report = &mut self.lock().report;
        report.shutdown = report.shutdown.take().or(told.shutdown);
        report.threads.extend(told.threads);
        report.errors.extend(told.errors);
    }
}
