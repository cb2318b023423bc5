//! `Board`: what the host may read at any time of what the dispatch knows.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use httpy_core::{ExitReport, Facts, frame};

use crate::said::Exited;

/// What the host may read at any time.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Known>);

/// What is on the board.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Of the worker that was started last.
    pub(crate) facts: Facts,
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

    /// A worker has told how it ends.
    pub(crate) fn report(&self, told: Exited) {
        let report = &mut self.lock().report;
        let failure = told.failures.into_iter().next();
        report.shutdown = report.shutdown.take().or(failure);
        report.threads.extend(told.threads);
        report.errors.extend(told.errors);
    }
}
