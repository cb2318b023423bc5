//! `Deed`: what the host asks of the workers besides running jobs.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use httpy_core::{Figures, Kind, LoadError, Roster, Slow, Stack, TargetId, Ticket};
use tokio::sync::oneshot;

/// Patterns and their methods, as an init function gives them.
pub(crate) type Routes = Vec<(String, Vec<String>)>;

/// Something to do. Whoever waits for an answer finds the sender dropped where there is none.
#[derive(Debug)]
pub(crate) enum Deed {
    /// Load a target in every worker.
    Load(Kind, String, SyncSender<Result<TargetId, LoadError>>),
    /// Run an init function in one worker.
    Init(String, SyncSender<Result<Routes, LoadError>>),
    /// Load a shutdown function in every worker.
    LoadShutdown(String, SyncSender<Result<(), LoadError>>),
    /// Examine one worker's interpreter.
    Examine(SyncSender<Result<String, LoadError>>),
    /// Free the worker of a call that nobody waits for.
    Enforce {
        target: TargetId,
        ticket: Arc<Ticket>,
        answered: bool,
    },
    /// Tell of a call that takes long.
    TellSlow {
        ticket: Arc<Ticket>,
        slow: Box<Slow>,
    },
    /// Read the stacks of all calls that are in handlers.
    Stacks(oneshot::Sender<Vec<Stack>>),
    /// Ask for figures of all workers; for whoever waits, and for the board.
    Figures(Option<SyncSender<Figures>>),
    /// The host's log takes other levels than before.
    LogLevel,
    /// Say who does what.
    Roster(SyncSender<Roster>),
}
