//! The one CPython of the process: started once, on a thread of its own, shared by all apps, never finalised.
//!
//! Owns the start ([`Interpreter::start`]), the main thread and the end ([`Interpreter::exit`]). What runs on the main
//! thread is its callers' business; worker threads attach by themselves.

mod config;
mod dump;
mod embed;
mod environment;
mod error;
mod inbox;
mod library;
mod main_thread;
mod signal;
mod source;
mod venv;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use httpy_core::{ExitReport, StartError};
use pyo3::prelude::*;

use crate::deadline::ThreadId;

pub(crate) use self::main_thread::panic_message;
use self::{
    dump::StackDump,
    embed::Embed,
    inbox::{Inbox, Work},
};
pub use self::{
    error::MainError,
    library::{base_python, path as library_path, version},
};

/// CPython is global to the process, and so is what is known about it.
static PROCESS: Mutex<Process> = Mutex::new(Process::Fresh);

enum Process {
    Fresh,
    Running(Arc<Interpreter>),
    ShutDown,
}

/// What an app asks of the interpreter that it shares with the other apps.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The virtual environment. Defaults to the one that `VIRTUAL_ENV` names, else none.
    pub venv: Option<PathBuf>,
    /// How long a thread that computes keeps the interpreter from others. Defaults to 1 ms; where Python
    /// ran already, to what is set there.
    pub switch_interval: Option<Duration>,
    /// Whether what Python's `logging` takes becomes events of the host's log. Defaults to true, unless the root logger has a
    /// handler already.
    pub python_logging: Option<bool>,
    /// Whether the lines of Python's standard streams do. Defaults to false.
    pub capture_stdout: Option<bool>,
}

/// The running interpreter.
pub struct Interpreter {
    inbox: Arc<Inbox>,
    embed: Arc<Embed>,
    dump: Option<StackDump>,
    thread: thread::ThreadId,
    ident: ThreadId,
    forked: Arc<AtomicBool>,
    version: String,
    switch_interval: Duration,
    venv: Option<PathBuf>,
    executable: PathBuf,
    warnings: Vec<String>,
}

impl Interpreter {
    /// Starts CPython on the thread `httpy-main`, or returns the interpreter that was started before.
    ///
    /// # Blocking
    ///
    /// Until CPython runs and is set up. Must not be called attached.
    ///
    /// # Errors
    ///
    /// Each variant of [`StartError`] says when. After `Venv` and `Thread` it may be tried again.
    pub fn start(options: &Options) -> Result<Arc<Self>, StartError> {
        // Held for all of the start: who comes second gets the same interpreter.
        let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        match &*process {
            Process::ShutDown => Err(StartError::ShutDown),
            Process::Running(interpreter) => {
                interpreter.check(options)?;
                Ok(Arc::clone(interpreter))
            }
            Process::Fresh => {
                let inbox = Arc::new(Inbox::default());
                let forked = Arc::new(AtomicBool::new(false));
                let started = main_thread::spawn(options, Arc::clone(&inbox), Arc::clone(&forked))?;
                let interpreter = Arc::new(Self {
                    inbox,
                    embed: Arc::new(started.embed),
                    dump: started.dump,
                    thread: started.thread,
                    ident: started.ident,
                    forked,
                    version: version(),
                    switch_interval: started.switch_interval,
                    venv: started.venv,
                    executable: started.executable,
                    warnings: started.warnings,
                });
                *process = Process::Running(Arc::clone(&interpreter));
                Ok(interpreter)
            }
        }
    }

    fn check(&self, options: &Options) -> Result<(), StartError> {
        if let Some(asked) = &options.venv {
            main_thread::differs_from_venv(asked, self.venv.as_deref())?;
        }
        match options.switch_interval {
            Some(asked) if asked != self.switch_interval => Err(StartError::Differs {
                what: "switch interval",
                first: format!("{:?}", self.switch_interval),
                second: format!("{asked:?}"),
            }),
            _ => Ok(()),
        }
    }

    /// Runs `work` attached on the main thread, after everything that is queued there.
    ///
    /// # Blocking
    ///
    /// Until `work` has run. Must not be called attached: `work` could never start.
    ///
    /// # Errors
    ///
    /// When `work` panicked, and when this is called on the main thread.
    pub fn on_main<R: Send + 'static>(
        &self,
        work: impl for<'py> FnOnce(Python<'py>) -> R + Send + 'static,
    ) -> Result<R, MainError> {
        if thread::current().id() == self.thread {
            return Err(MainError::OnMain);
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        self.inbox.push(Work::Attached(Box::new(move |py| {
            let result = catch_unwind(AssertUnwindSafe(|| work(py))).map_err(|payload| {
                MainError::Panicked(main_thread::panic_message(payload.as_ref()))
            });
            // Fails only when the caller is gone, which waits.
            drop(sender.send(result));
        })));
        receiver.recv().unwrap_or(Err(MainError::Gone))
    }

    /// Runs `work` detached on the main thread, later. Never blocks.
    ///
    /// Returns false, and drops `work`, when 1024 or more pieces of work are queued.
    pub fn later(&self, work: impl FnOnce() + Send + 'static) -> bool {
        self.inbox.push_later(Work::Detached(Box::new(work)))
    }

    /// Runs `work` attached on the main thread, after everything that is queued there. Never blocks. However often it is called,
    /// there is no limit to what is in line: the caller sees to it that it is not called for each of what Python code does.
    pub(crate) fn submit(&self, work: impl for<'py> FnOnce(Python<'py>) + Send + 'static) {
        self.inbox.push(Work::Attached(Box::new(work)));
    }

    /// Does what CPython does at its end, on the main thread, short of finalising (`httpy_rs._end`): waits for threads that
    /// Python code started for at most `limit`, runs what is registered with `atexit`, flushes files. Then calls `done`
    /// on the main thread, attached. From now on [`start`](Self::start) is refused. A second call changes nothing and
    /// reports nothing.
    ///
    /// Never blocks. An exit function that hangs keeps `done` from being called: wait for it with a limit.
    pub fn exit(
        &self,
        limit: Duration,
        done: impl for<'py> FnOnce(Python<'py>, ExitReport) + Send + 'static,
    ) {
        let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        let first = !matches!(*process, Process::ShutDown);
        *process = Process::ShutDown;
        drop(process);
        let embed = Arc::clone(&self.embed);
        self.inbox.push(Work::Attached(Box::new(move |py| {
            let report = if first {
                embed.shut_down(py, limit)
            } else {
                ExitReport::default()
            };
            done(py, report);
        })));
    }

    /// Whether no thread but this one is in Python code, or in C code that Python code has called.
    pub(crate) fn is_at_rest(&self, py: Python<'_>) -> bool {
        self.embed.is_at_rest(py)
    }

    /// Whether this is the main thread. Needs nothing that is local to the calling thread.
    pub(crate) fn is_main(&self) -> bool {
        ThreadId::current() == self.ident
    }

    /// What reads the frames of a thread without the interpreter, where that can be done.
    pub(crate) fn dump(&self) -> Option<&StackDump> {
        self.dump.as_ref()
    }

    /// CPython's version, for example `3.11.7`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The folder of the virtual environment in force, as `sys.prefix` has it.
    pub fn venv(&self) -> Option<&Path> {
        self.venv.as_deref()
    }

    /// `sys.executable` at the start: what `multiprocessing` runs. Empty when there is none.
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// How long a thread that computes keeps the interpreter.
    pub fn switch_interval(&self) -> Duration {
        self.switch_interval
    }

    /// What was odd at the start, one sentence each, for the log.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// True in a child that Python code made by `os.fork`: such a process must not answer requests.
    pub fn is_forked_child(&self) -> bool {
        self.forked.load(Ordering::Relaxed)
    }

    /// False only on a free-threaded build, and only until an import switches the GIL on: ask again after imports.
    ///
    /// # Errors
    ///
    /// When app code has broken `sys`.
    pub fn is_gil_enabled(&self, py: Python<'_>) -> PyResult<bool> {
        self.embed.is_gil_enabled(py)
    }

    /// A warning for the log when `sys.path` now leads to an installed `httpy_rs` of another version, which is not used.
    /// The start has looked once; ask again when `sys.path` has grown.
    ///
    /// # Errors
    ///
    /// When a path hook of the app raises.
    pub fn installed_copy_warning(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.embed.other_copy(py)
    }

    /// Makes the calling thread one of Python's `threading` until [`leave_thread`](Self::leave_thread).
    ///
    /// # Errors
    ///
    /// When app code has broken `threading`.
    pub fn enter_thread(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.embed.enter_thread(py, name)
    }

    /// Takes the calling thread out of Python's `threading` before it ends.
    ///
    /// # Errors
    ///
    /// When app code has broken `threading`.
    pub fn leave_thread(&self, py: Python<'_>) -> PyResult<()> {
        self.embed.leave_thread(py)
    }
}

impl fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interpreter")
            .field("version", &self.version)
            .field("executable", &self.executable)
            .field("venv", &self.venv)
            .field("switch_interval", &self.switch_interval)
            .finish_non_exhaustive()
    }
}
