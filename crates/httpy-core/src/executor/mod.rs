//! `Execute`: what the HTTP side asks of whoever runs the calls; and the plain data that it hears from there.
//!
//! There is one executor per app. What stands behind it, threads of this process or processes of their own, is not seen
//! from here, and neither is what its apps share.

mod abandoned;
mod exit;
mod figure;
mod health;
mod load;
mod notice;
mod process;
mod roster;
mod start;

use std::any::Any;
use std::fmt;
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;

pub use self::abandoned::Abandoned;
pub use self::exit::{ExitLimits, ExitReport};
pub use self::figure::Figures;
pub use self::health::Health;
pub use self::load::{LoadError, LoadErrorKind};
pub use self::notice::{Notice, Overdue, Slow};
pub use self::process::{ProcessNotice, Running};
pub use self::roster::{LoopMember, Member, Roster, Stack, StackOf, Work};
pub use self::start::{Facts, StartError};
use crate::{Job, Kind, Late, TargetId, Ticket};

/// Says whether routes can take the place of those that are mounted, and what is to follow once the new code has taken over; or
/// why they cannot.
pub type Accept = Box<dyn FnOnce(Vec<InitRoutes>) -> Result<Swapped, String> + Send + Sync>;

/// What follows once the new code has taken over.
pub type Swapped = Box<dyn FnOnce() + Send>;

/// An init function, and what it has returned: patterns and their methods.
pub type InitRoutes = (String, Vec<(String, Vec<String>)>);

/// Runs the calls of one app: loads its handlers, takes its jobs, and tells how it is.
///
/// Nothing here waits for Python but what says so under `# Blocking`. An executor that is dropped ends without blocking,
/// after the jobs that wait then.
pub trait Execute: fmt::Debug + Send + Sync {
    /// Loads `target`, `"module:attribute"`, as a handler or an application. An application that is loaded already is the same
    /// one; else its start-up runs.
    ///
    /// # Blocking
    ///
    /// Until its module is imported, and the start-up of an application has ended.
    ///
    /// # Errors
    ///
    /// Each [`LoadErrorKind`] says when.
    fn load(&self, kind: Kind, target: &str) -> Result<TargetId, LoadError>;

    /// Calls the init function `target`: patterns and their methods, as given.
    ///
    /// # Blocking
    ///
    /// Until it has run.
    ///
    /// # Errors
    ///
    /// Each [`LoadErrorKind`] says when.
    fn run_init(&self, target: &str) -> Result<Vec<(String, Vec<String>)>, LoadError>;

    /// Loads the function `target` that is called at the [end](Self::shut_down).
    ///
    /// # Blocking
    ///
    /// Until its module is imported.
    ///
    /// # Errors
    ///
    /// Each [`LoadErrorKind`] says when.
    fn load_shutdown(&self, target: &str) -> Result<(), LoadError>;

    /// Puts a job to those that run it. Never blocks.
    ///
    /// # Errors
    ///
    /// The job, when the executor has ended.
    fn push(&self, job: Job) -> Result<(), Box<Job>>;

    /// Frees the worker of a call that nobody waits for any more: at the call's deadline its handler is interrupted; an async
    /// one is cancelled at once. True when the call still runs; with `answered`, its 504 will be in the log then. Never
    /// blocks.
    fn enforce(&self, target: TargetId, ticket: &Arc<Ticket>, answered: bool) -> bool;

    /// Reports a slow call with its stack, as soon as that is available. At most 64 reports are pending.
    /// Never blocks.
    fn tell_slow(&self, target: TargetId, ticket: &Arc<Ticket>, slow: Slow);

    /// How the workers are.
    fn health(&self) -> Health;

    /// Who does what now. One worker is read after the other, while they go on; each event loop is rung, so that the next
    /// roster has its lag.
    fn roster(&self) -> Roster;

    /// The stacks of all calls that are in handlers, of those on event loops the oldest, and of loops that do not come round,
    /// as soon as they can be had, which may be never: wait with a limit.
    /// Closed without an answer if they are not available, or too many requests wait. Never blocks.
    fn stacks(&self) -> oneshot::Receiver<Vec<Stack>>;

    /// Asks for figures of Python itself. They come when it has time; closed without them where it has ended, or app code
    /// has broken `gc` or `sys`. Never blocks.
    fn ask_figures(&self) -> mpsc::Receiver<Figures>;

    /// What is known of the interpreter since its start.
    fn facts(&self) -> Facts;

    /// What there is to know about the interpreter, as one JSON object.
    ///
    /// # Blocking
    ///
    /// Until Python has looked.
    ///
    /// # Errors
    ///
    /// When app code has broken the interpreter so that it cannot look.
    fn examine(&self) -> Result<String, LoadError>;

    /// Loads the code anew, and lets it take over once all of it is ready: the init functions run one after the other, and
    /// `accept` is asked about the routes of each right before the swap, and may refuse them. The receiver hears when that is done. Never blocks, and at any
    /// failure nothing has changed.
    fn reload(
        &self,
        inits: Vec<String>,
        accept: Accept,
    ) -> oneshot::Receiver<Result<(), LoadError>>;

    /// Keeps `kept`, a call's span for one, until all that Python code has logged until now is in the host's log.
    fn keep(&self, kept: Box<dyn Any + Send>);

    /// Ends the app, once: waits for what its handlers have shielded, calls its shutdown function, and ends the event loops
    /// where it was the last app of its interpreter. An interpreter of the app's own ends with it: threads, `atexit`, open
    /// files. One that belongs to the process ends with that, and reports to [`Listener::exit`]. Then `done` gets the report.
    /// False where the app has ended already, and `done` is dropped. Never blocks.
    fn shut_down(&self, limits: ExitLimits, done: Box<dyn FnOnce(ExitReport) + Send>) -> bool;
}

/// Who hears what belongs to no answer. Called by threads of the executor that Python code does not wait for, or on the
/// thread that calls the executor.
#[derive(Clone, Copy, Debug)]
pub struct Listener {
    /// Hears a target's outcome that came when its caller had gone.
    pub late: fn(&str, Late),
    /// Is called for overdue calls and lost workers.
    pub notice: fn(&Notice),
    /// Gets the report of an interpreter that ends with the process.
    pub exit: fn(ExitReport),
}
