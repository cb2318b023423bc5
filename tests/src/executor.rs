//! Which executor the suites run over: threads of this process, or worker processes when `HTTPY_TEST_EXECUTOR` is
//! `processes`. What is of one of the two alone is listed here, each with its reason.

use std::env;

use httpy::{Config, Executor, Processes, PyAppBuilder};

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
        Executor::threads()
    }
}

/// The same with one interpreter: what one call leaves in its module the next one finds.
pub fn with_one_interpreter() -> Executor {
    if are_processes() {
        processes(1).into()
    } else {
        Executor::threads()
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

impl Options for PyAppBuilder {
    fn at_once(self, calls: usize) -> Self {
        if are_processes() {
            self.executor(processes(1).threads_per_process(calls))
        } else {
            self.workers(1..=calls)
        }
    }

    fn in_one_interpreter(self) -> Self {
        self.executor(with_one_interpreter())
    }
}

/// [`Options::at_once`] for the options of a server in a process of its own.
pub fn at_once(config: &mut Config, calls: usize) {
    if are_processes() {
        config.executor = processes(1).threads_per_process(calls).into();
    } else {
        config.workers = (1..=calls).into();
    }
}

/// What is true of threads alone.
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
    /// An app has as many event loops as it asks for.
    SeveralLoops,
    /// Python code is a guest in the server's own process.
    HostProcess,
    /// Code of ours that calls handlers can panic.
    Panics,
}

impl OfThreads {
    /// Why processes have nothing of the kind.
    fn reason(self) -> &'static str {
        match self {
            Self::SharedInterpreter => {
                "each app has worker processes of its own, with the options of its own"
            }
            Self::LostWorkers => {
                "a worker process that does not come back is killed and replaced, which process tests show"
            }
            Self::HeldInterpreter => "it is held in one worker process, which is killed at last",
            Self::AttachWait => {
                "a worker process sees its calls when it has its interpreter, and counts from there"
            }
            Self::LinkedPython => "a worker process is started with the Python of its environment",
            Self::GoneAtOnce => {
                "a worker process hears by a message, a moment later, that a client has gone"
            }
            Self::SeveralLoops => "each worker process has one event loop",
            Self::HostProcess => {
                "a worker process is the code's own, with its streams, its signals, its threads and its life"
            }
            Self::Panics => "a worker process is plain Python",
        }
    }
}

/// Whether a test that is about `what` has nothing to try with the executor of now, which it says.
#[must_use]
#[expect(
    clippy::print_stderr,
    reason = "the test harness shows it with --nocapture and with a failed test"
)]
pub fn lacks(what: OfThreads) -> bool {
    if are_processes() {
        eprintln!("not over processes ({what:?}): {}", what.reason());
    }
    are_processes()
}
