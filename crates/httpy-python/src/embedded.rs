//! `Embedded`: one app's part of the interpreter in this process, as the HTTP side sees it.

use std::any::Any;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use httpy_core::{
    Accept, Execute, ExitLimits, ExitReport, Facts, Figures, Health, Job, Kind, Listener,
    LoadError, LoadErrorKind, Roster, Slow, Stack, StartError, TargetId, Ticket,
};
use tokio::sync::oneshot;

use crate::interpreter::{Interpreter, Options, library_path};
use crate::pool::{Pool, PoolOptions};
use crate::runtime::{Runtime, ShutdownFunction};

/// Runs the calls of one app on threads of this process, which it shares with all other apps, and so the interpreter.
#[derive(Debug)]
pub struct Embedded {
    pool: Arc<Pool>,
    paths: Vec<PathBuf>,
    facts: Facts,
    /// Until the end.
    shutdown: Mutex<Option<ShutdownFunction>>,
    membership: Membership,
}

/// An app's place among those that use the interpreter, left once: at its end, or when it is dropped.
#[derive(Debug)]
struct Membership {
    runtime: Arc<Runtime>,
    left: AtomicBool,
}

impl Membership {
    /// True the first time.
    fn leaves(&self) -> bool {
        !self.left.swap(true, Ordering::AcqRel)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if self.leaves() {
            self.runtime.leave();
        }
    }
}

impl Embedded {
    /// Starts CPython and the workers where they do not run yet, for one more app, with `variables` in the environment and
    /// `paths` at the front of `sys.path`.
    ///
    /// # Blocking
    ///
    /// Until that is done.
    ///
    /// # Errors
    ///
    /// Each variant of [`StartError`] says when.
    pub fn start(
        interpreter: &Options,
        pool: PoolOptions,
        variables: Vec<(String, String)>,
        paths: Vec<PathBuf>,
        listener: Listener,
    ) -> Result<Self, StartError> {
        let runtime = Runtime::start(interpreter, listener)?;
        // Before anything else, so that a failure leaves no app behind.
        let membership = Membership {
            runtime: Arc::clone(&runtime),
            left: AtomicBool::new(false),
        };
        let pool = runtime.pool(pool)?;
        // What uncovers another copy of `httpy_rs`.
        let warning = runtime
            .prepare(variables, paths.clone())
            .map_err(StartError::Load)?;
        let facts = facts(runtime.interpreter(), warning);
        Ok(Self {
            pool,
            paths,
            facts,
            shutdown: Mutex::default(),
            membership,
        })
    }

    /// From now on the exceptions of all handlers have their frames with source lines, those of other apps too; see
    /// [`Exception::chain`](httpy_core::Exception::chain).
    pub fn show_source(&self) {
        self.runtime().show_source();
    }

    fn runtime(&self) -> &Arc<Runtime> {
        &self.membership.runtime
    }
}

/// Looks at the file system.
fn facts(interpreter: &Interpreter, warning: Option<String>) -> Facts {
    Facts {
        version: interpreter.version().to_owned(),
        venv: interpreter.venv().map(PathBuf::from),
        executable: interpreter.executable().to_owned(),
        switch_interval: interpreter.switch_interval(),
        library: library_path(),
        warnings: interpreter
            .warnings()
            .iter()
            .cloned()
            .chain(warning)
            .collect(),
    }
}

impl Execute for Embedded {
    fn load(&self, kind: Kind, target: &str) -> Result<TargetId, LoadError> {
        self.runtime()
            .load(kind, target.to_owned(), self.paths.clone())
    }

    fn run_init(&self, target: &str) -> Result<Vec<(String, Vec<String>)>, LoadError> {
        self.runtime()
            .run_init(target.to_owned(), self.paths.clone())
    }

    fn load_shutdown(&self, target: &str) -> Result<(), LoadError> {
        let function = self
            .runtime()
            .load_shutdown(target.to_owned(), self.paths.clone())?;
        *self.shutdown.lock().unwrap_or_else(PoisonError::into_inner) = Some(function);
        Ok(())
    }

    fn push(&self, job: Job) -> Result<(), Box<Job>> {
        self.pool.push(job)
    }

    fn enforce(&self, target: TargetId, ticket: &Arc<Ticket>, answered: bool) -> bool {
        self.pool.enforce(target, ticket, answered)
    }

    fn tell_slow(&self, target: TargetId, ticket: &Arc<Ticket>, slow: Slow) {
        self.pool.tell_slow(target, ticket, slow);
    }

    fn health(&self) -> Health {
        self.pool.health()
    }

    fn roster(&self) -> Roster {
        self.pool.roster()
    }

    fn stacks(&self) -> oneshot::Receiver<Vec<Stack>> {
        self.pool.stacks()
    }

    fn ask_figures(&self) -> mpsc::Receiver<Figures> {
        self.pool.ask_figures()
    }

    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn examine(&self) -> Result<String, LoadError> {
        self.runtime().examine(self.paths.clone())
    }

    fn reload(&self, _: Vec<String>, _: Accept) -> oneshot::Receiver<Result<(), LoadError>> {
        let (sender, receiver) = oneshot::channel();
        let message = "threads of this process share one interpreter, which keeps what it has imported: only worker processes can \
                       load code again";
        let error = LoadError {
            kind: LoadErrorKind::Reload,
            message: message.to_owned(),
            exception: None,
        };
        // The receiver is at hand.
        drop(sender.send(Err(error)));
        receiver
    }

    fn keep(&self, kept: Box<dyn Any + Send>) {
        self.runtime().keep(kept);
    }

    fn shut_down(&self, limits: ExitLimits, done: Box<dyn FnOnce(ExitReport) + Send>) -> bool {
        let leaves = self.membership.leaves();
        if leaves {
            let function = self
                .shutdown
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            self.runtime().shut_down(limits, function, done);
        }
        leaves
    }
}
