//! The end of the process: what libc's `exit` calls before the destructors of the libraries that Python code has loaded.
//!
//! A process ends when `main` returns or somebody calls `exit`, while other threads run on. One that is in a library whose
//! destructor runs makes it hang (`OpenBLAS`) or crashes in it (OpenSSL). CPython stops all other threads before it lets
//! that happen, which is a part of finalising, and this interpreter is never finalised. So first its exit functions run;
//! then no thread gets the interpreter any more; and where one is still in Python code, or in C code that Python code has
//! called, the process is left without its destructors.
//!
//! What was registered last runs first, so this is registered again whenever Python code may have loaded libraries.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::ffi;

use crate::runtime::{self, Runtime};

/// Time for the end of the last app and Python's own.
const END: Duration = Duration::from_secs(10);

/// Time for Python's own end, however long the app's took.
const LEAST: Duration = Duration::from_secs(1);

/// Time for threads of Python code to end.
const THREADS: Duration = Duration::from_secs(5);

/// Time for the buffers of C's streams, of which a thread may hold one that cannot be written.
const FLUSH: Duration = Duration::from_millis(200);

/// How much time there is for the end, and what has come of it.
#[derive(Debug)]
pub(crate) struct Exit {
    left: Mutex<Left>,
    /// No thread is in Python code any more. Set at the end of the process.
    at_rest: OnceLock<bool>,
}

#[derive(Clone, Copy, Debug)]
enum Left {
    /// What the last app has not used.
    Rest(Duration),
    /// The last app ends just now, and has all of the time until then.
    Until(Instant),
}

impl Default for Exit {
    fn default() -> Self {
        Self {
            left: Mutex::new(Left::Rest(END)),
            at_rest: OnceLock::new(),
        }
    }
}

impl Exit {
    /// The last app begins to end, which takes until then at most.
    pub(crate) fn app_begins(&self, until: Instant) {
        *self.lock_left() = Left::Until(until);
    }

    /// It has ended.
    pub(crate) fn app_has_ended(&self) {
        let mut left = self.lock_left();
        *left = Left::Rest(left.time().clamp(LEAST, END));
    }

    fn lock_left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Left {
    fn time(self) -> Duration {
        match self {
            Self::Rest(time) => time,
            Self::Until(until) => until.saturating_duration_since(Instant::now()),
        }
    }
}

impl Runtime {
    /// Ends Python at the end of the process, once: an event loop that still runs, threads, `atexit`, open files. Whether no
    /// thread is in Python code any more; then none gets there from now on.
    fn end(&self) -> bool {
        // It cannot wait for itself.
        !self.interpreter.is_main() && *self.exit.at_rest.get_or_init(|| self.end_once())
    }

    fn end_once(&self) -> bool {
        let left = self.exit.lock_left().time();
        if let Some(pool) = self.lock_pool().upgrade() {
            // Of an app that was not shut down: what has not begun never does.
            pool.close();
            let work = move || pool.end_event_loop(Instant::now() + left / 4);
            self.interpreter.submit(move |py| py.detach(work));
        }
        let outcome = Outcome::new();
        let (also, interpreter) = (Arc::clone(&outcome), Arc::clone(&self.interpreter));
        let (flush, report) = (self.log.flush(), self.listener.exit);
        let threads = THREADS.min(left / 2);
        self.interpreter.exit(threads, move |py, left_over| {
            py.detach(|| {
                flush(LEAST);
                // A subscriber that panics is also what could have told of it.
                drop(catch_unwind(AssertUnwindSafe(|| report(left_over))));
            });
            also.set(interpreter.is_at_rest(py));
            // Attached for ever: no other thread gets the interpreter.
            loop {
                thread::park();
            }
        });
        outcome.wait(left).unwrap_or(false)
    }
}

/// What one thread waits for until another one has it. Needs nothing that is local to a thread.
#[derive(Debug)]
pub(crate) struct Outcome<T> {
    value: Mutex<Option<T>>,
    there: Condvar,
}

impl<T: Copy> Outcome<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            value: Mutex::new(None),
            there: Condvar::new(),
        })
    }

    pub(crate) fn set(&self, value: T) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        self.there.notify_all();
    }

    /// It, or none where it does not come within `limit`.
    pub(crate) fn wait(&self, limit: Duration) -> Option<T> {
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .there
            .wait_timeout_while(value, limit, |value| value.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Has the end run before all that is registered for the exit until now. May be repeated.
pub(crate) fn register() {
    register_with_libc();
}

/// libc passes the exit code along.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn register_with_libc() {
    use std::ffi::c_void;
    use std::ptr::without_provenance_mut;

    // SAFETY: 1. This is glibc's declaration.
    unsafe extern "C" {
        fn on_exit(function: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
    }

    extern "C" fn at_exit(status: c_int, process: *mut c_void) {
        end(process.addr(), Some(status));
    }

    // SAFETY: 1. The function lives as long as the program and does not unwind. 2. The argument is a number, which nobody
    // reads as a pointer. 3. Where there is no memory for it, nothing is registered.
    unsafe { on_exit(at_exit, without_provenance_mut(process::id() as usize)) };
}

/// Nobody knows the exit code.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn register_with_libc() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    static PROCESS: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn at_exit() {
        end(PROCESS.load(Ordering::Relaxed), None);
    }

    PROCESS.store(process::id() as usize, Ordering::Relaxed);
    // SAFETY: 1. The function lives as long as the program and does not unwind. 2. Where there is no memory for it,
    // nothing is registered.
    unsafe { libc::atexit(at_exit) };
}

/// Must not log, nor touch what is local to this thread, which is gone.
fn end(registered_by: usize, status: Option<c_int>) {
    // A forked child has none of the threads that would have to be waited for.
    if registered_by != process::id() as usize {
        return;
    }
    detach();
    let is_at_rest = match runtime::running() {
        Ok(Some(runtime)) => runtime.end(),
        Ok(None) => true,
        Err(runtime::Starting) => false,
    };
    if let Some(status) = status.filter(|_| !is_at_rest) {
        leave(status);
    }
}

/// C code in a handler may have called `exit`.
fn detach() {
    // SAFETY: 1. The first function may be called at any time, the second once CPython runs. 2. A thread without a state is
    // not attached. 3. One that is attached may detach, and it never runs Python code again: `exit` does not return.
    unsafe {
        if ffi::Py_IsInitialized() != 0
            && !ffi::PyGILState_GetThisThreadState().is_null()
            && ffi::PyGILState_Check() != 0
        {
            ffi::PyEval_SaveThread();
        }
    }
}

/// Ends the process here. Rust's stdout is flushed by now.
fn leave(status: c_int) -> ! {
    let flushed = Outcome::new();
    let also = Arc::clone(&flushed);
    let flush = move || {
        // SAFETY: 1. Null stands for all streams that are open.
        unsafe { libc::fflush(std::ptr::null_mut()) };
        also.set(());
    };
    if thread::Builder::new().spawn(flush).is_ok() {
        flushed.wait(FLUSH);
    }
    // SAFETY: 1. It has no preconditions.
    unsafe { libc::_exit(status) }
}
