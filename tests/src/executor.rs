//! Which executor the suites run over: threads of this process, or worker processes when `HTTPY_TEST_EXECUTOR` is
//! `processes`. What only threads have is listed here; a test that is about it is ignored over processes.

use std::env;

use httpy::{Executor, Processes};

use crate::app::Builder;
use crate::config::AppConfig;

/// So many there are where a test does not say otherwise: more than one, so that no test takes their state for one.
const PROCESSES: usize = 2;

/// What `HTTPY_TEST_EXECUTOR` asks for; threads when it is not set.
///
/// # Panics
///
/// When it is set to something else.
pub fn chosen() -> Executor {
    if are_processes() {
        processes(PROCESSES).into()
    } else {
        Executor::threads().into()
    }
}

/// The same with one interpreter: what one call leaves in its module the next one finds.
pub fn with_one_interpreter() -> Executor {
    if are_processes() {
        processes(1).into()
    } else {
        Executor::threads().into()
    }
}

/// Whether the suites run over processes now.
///
/// # Panics
///
/// As [`chosen`].
pub fn are_processes() -> bool {
    match env::var("HTTPY_TEST_EXECUTOR").as_deref() {
        Err(_) | Ok("" | "threads") => false,
        Ok("processes") => true,
        Ok(other) => panic!("HTTPY_TEST_EXECUTOR is {other:?}: expected threads or processes"),
    }
}

/// Python's switch interval where an app does not say otherwise, in seconds.
///
/// # Panics
///
/// As [`chosen`].
pub fn switch_interval() -> f64 {
    if are_processes() { 0.000_25 } else { 0.001 }
}

/// Processes of the Python that `HTTPY_TEST_PYTHON` names, else of the one that the suites were built with, where that is
/// known.
pub fn processes(count: usize) -> Processes {
    let processes = Executor::processes(count);
    match env::var_os("HTTPY_TEST_PYTHON").or_else(|| env::var_os("PYO3_PYTHON")) {
        Some(python) => processes.python(python),
        None => processes,
    }
}

/// Options that mean the same over both executors.
pub trait Options: Sized {
    /// At most so many calls of plain handlers are under way at once, all in one interpreter.
    fn at_once(self, calls: usize) -> Self;

    /// All calls run in one interpreter: what one leaves in its module the next one finds.
    fn in_one_interpreter(self) -> Self;
}

impl Options for Builder {
    fn at_once(self, calls: usize) -> Self {
        if are_processes() {
            self.executor(processes(1).threads(calls))
        } else {
            self.workers(1..=calls)
        }
    }

    fn in_one_interpreter(self) -> Self {
        self.executor(with_one_interpreter())
    }
}

/// [`Options::at_once`] for the options of a server in a process of its own.
pub fn at_once(config: &mut AppConfig, calls: usize) {
    if are_processes() {
        config.executor = processes(1).threads(calls).into();
    } else {
        config.workers(1..=calls);
    }
}

/// What only threads of the server have. `docs/processes.md` has the same table, which a test compares.
#[derive(Clone, Copy, Debug)]
pub enum OfThreads {
    /// All apps of a process share what is started for the first one.
    SharedInterpreter,
    /// A worker that does not come back is lost, and another one is started in its place.
    LostWorkers,
    /// Code that keeps the GIL keeps every thread of this process from Python.
    HeldInterpreter,
    /// What a call waits for the interpreter is told apart from what it runs.
    AttachWait,
    /// The program is linked with one Python, which an environment has to be of.
    LinkedPython,
    /// A handler knows at once that its client has gone.
    GoneAtOnce,
    /// A debugger can use the terminal of the server.
    Debugger,
    /// Python code is a guest in the server's own process.
    HostProcess,
    /// Code of ours that calls handlers can panic.
    Panics,
}

impl OfThreads {
    /// All of them, in the order of the documents.
    pub const ALL: [Self; 9] = [
        Self::SharedInterpreter,
        Self::LostWorkers,
        Self::HeldInterpreter,
        Self::AttachWait,
        Self::LinkedPython,
        Self::GoneAtOnce,
        Self::Debugger,
        Self::HostProcess,
        Self::Panics,
    ];

    /// What threads have, and what is true of worker processes instead.
    pub fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::SharedInterpreter => (
                "all engines of the server share one interpreter, its modules and its options",
                "each engine has its own worker processes and options",
            ),
            Self::LostWorkers => (
                "a worker that does not return after its deadline is lost, and a new one replaces it",
                "the process of that worker is killed and replaced",
            ),
            Self::HeldInterpreter => (
                "C code that holds the interpreter stops all Python of the server",
                "it stops one process, which is killed if it does not return",
            ),
            Self::AttachWait => (
                "metrics, spans and the status page show how long a call waits for the interpreter",
                "the wait is part of the time in the queue or in the handler",
            ),
            Self::LinkedPython => (
                "a virtual environment has to be of the Python that the program is linked with",
                "a process is started with the Python of its environment",
            ),
            Self::GoneAtOnce => (
                "a handler sees at once that its client has gone",
                "a message informs it, a moment later",
            ),
            Self::Debugger => (
                "`breakpoint()` stops at the terminal of the server",
                "it is refused: a process has no terminal",
            ),
            Self::HostProcess => (
                "Python code is a guest: streams, signals, threads and the end of the process are the server's",
                "a process is the code's own",
            ),
            Self::Panics => (
                "a panic in httpy's own code on a worker is answered with 500",
                "a process runs Python only",
            ),
        }
    }
}

/// Whether the executor of now has `what`; for a test that does more where it has.
pub fn has(_what: OfThreads) -> bool {
    !are_processes()
}

/// Whether a test that is all about `what` has nothing to try with the executor of now. It ends then, and
/// `scripts/run_tests.py` shows it as ignored.
#[must_use]
#[expect(clippy::print_stdout, reason = "the runner of tests reads it")]
pub fn lacks(what: OfThreads) -> bool {
    if has(what) {
        return false;
    }
    let test = std::thread::current();
    println!(
        "test ignored: {}: with worker processes, {}",
        test.name().unwrap_or_default(),
        what.row().1
    );
    true
}
