//! The thread `httpy-main`: starts CPython or joins it, then runs what is put into its inbox, for as long as the process
//! lives. If it ended, its id could be reused and a worker would become Python's main thread.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use httpy_core::StartError;
use pyo3::{ffi, prelude::*};

use crate::{attach::attach, deadline::ThreadId, fork};

use super::{
    Options, config,
    dump::StackDump,
    embed::{Embed, Executables},
    inbox::{Inbox, Work},
    library,
    signal::{self, SigintIgnored},
    venv,
};

const STACK_BYTES: usize = 8 * 1024 * 1024;

/// CPython's own 5 ms suit scripts. Beside handlers that compute, what is quick waits for several of these in a row; shorter
/// ones wake every thread that waits for the interpreter more often, which is for nothing while C code keeps it
/// (`make bench` has the figures).
const SWITCH_INTERVAL: Duration = Duration::from_millis(1);

/// What is known once the interpreter runs.
pub(super) struct Started {
    pub(super) embed: Embed,
    pub(super) dump: Option<StackDump>,
    pub(super) thread: thread::ThreadId,
    /// The same one, as Python knows it.
    pub(super) ident: ThreadId,
    pub(super) switch_interval: Duration,
    /// `sys.prefix`, when it is that of a virtual environment.
    pub(super) venv: Option<PathBuf>,
    pub(super) executable: PathBuf,
    pub(super) warnings: Vec<String>,
}

/// Spawns the thread and waits until it has the interpreter running.
pub(super) fn spawn(
    options: &Options,
    inbox: Arc<Inbox>,
    forked: Arc<AtomicBool>,
) -> Result<Started, StartError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let options = options.clone();
    thread::Builder::new()
        .name("httpy-main".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let adopted = is_running();
            // Until the hooks are in place, because any import may import `signal`.
            let sigint = (!adopted).then(SigintIgnored::begin);
            let chosen = match choose_python(&options, adopted) {
                Ok(chosen) => chosen,
                Err(error) => return send(&sender, Err(error)),
            };
            attach(|py| {
                let started = set_up(py, &options, chosen.as_ref(), Arc::clone(&forked));
                drop(sigint);
                let needed = started.is_ok() || !adopted;
                send(&sender, started);
                // Also after an error, if this is Python's main thread.
                if needed {
                    run(py, &inbox, &forked);
                }
            });
        })
        .map_err(StartError::Thread)?;
    receiver.recv().unwrap_or_else(|_| {
        Err(interpreter_error(
            "its main thread panicked while it started",
        ))
    })
}

fn send(
    sender: &mpsc::SyncSender<Result<Started, StartError>>,
    result: Result<Started, StartError>,
) {
    // The starter waits for exactly this, so there is room and someone to take it.
    drop(sender.send(result));
}

/// The pythons on disk that belong to an interpreter started here. `None` for one that ran already.
struct Chosen {
    program: Option<PathBuf>,
    base: Option<PathBuf>,
}

/// Starts CPython, unless it runs already.
fn choose_python(options: &Options, adopted: bool) -> Result<Option<Chosen>, StartError> {
    if adopted {
        return Ok(None);
    }
    let base = library::base_python();
    let program = venv::choose_python(options.venv.as_deref())?.or_else(|| base.clone());
    signal::ignore_as_cpython();
    config::initialize(program.as_deref())?;
    Ok(Some(Chosen { program, base }))
}

fn set_up(
    py: Python<'_>,
    options: &Options,
    chosen: Option<&Chosen>,
    forked: Arc<AtomicBool>,
) -> Result<Started, StartError> {
    let words = |error: PyErr| interpreter_error(&error.to_string());
    let mut warnings = Vec::new();
    let executables = chosen.map(|chosen| Executables {
        program: chosen.program.as_deref().unwrap_or(Path::new("")),
        base: chosen
            .base
            .as_deref()
            .or(chosen.program.as_deref())
            .unwrap_or(Path::new("")),
    });
    let sys = py.import("sys").map_err(words)?;
    // An interpreter that ran already keeps its own, unless another one is asked for.
    let interval = options.switch_interval.or(chosen.map(|_| SWITCH_INTERVAL));
    if let Some(interval) = interval {
        // Before `install`, from which on Python code may not change it any more.
        sys.call_method1("setswitchinterval", (interval.as_secs_f64(),))
            .map_err(words)?;
    }
    let embed = Embed::install(py, forked, executables.as_ref()).map_err(words)?;
    match chosen {
        None => {
            warnings.push("Python ran already in this process: its argv, stdio, signals and executable are left as they are".to_owned());
            embed.enter_thread(py, "httpy-main").map_err(words)?;
        }
        Some(Chosen { program: None, .. }) => warnings.push(format!(
            "no python executable belongs to the linked libpython {}: sys.executable is empty, and multiprocessing will not work",
            library::version()
        )),
        Some(_) => {}
    }
    warnings.extend(embed.other_copy(py).map_err(words)?);

    let venv = virtual_prefix(py).map_err(words)?;
    if let Some(asked) = &options.venv {
        differs_from_venv(asked, venv.as_deref())?;
    }
    let executable = sys
        .getattr("executable")
        .and_then(|value| value.extract::<Option<PathBuf>>())
        .map_err(words)?
        .unwrap_or_default();
    let switch_interval = sys
        .call_method0("getswitchinterval")
        .and_then(|value| value.extract())
        .map_err(words)?;
    // Signals of an interpreter that ran already are its owner's.
    let dump = chosen.and_then(|_| StackDump::install(py, &embed));
    Ok(Started {
        embed,
        dump,
        thread: thread::current().id(),
        ident: ThreadId::current(),
        switch_interval: interval
            .unwrap_or(Duration::try_from_secs_f64(switch_interval).unwrap_or_default()),
        venv,
        executable,
        warnings,
    })
}

/// An error when the environment asked for is not the one in force.
pub(super) fn differs_from_venv(asked: &Path, in_force: Option<&Path>) -> Result<(), StartError> {
    match in_force {
        Some(dir) if venv::is_same(asked, dir) => Ok(()),
        _ => Err(StartError::Differs {
            what: "virtual environment",
            first: in_force.map_or_else(|| "none".to_owned(), |dir| dir.display().to_string()),
            second: asked.display().to_string(),
        }),
    }
}

fn virtual_prefix(py: Python<'_>) -> PyResult<Option<PathBuf>> {
    let sys = py.import("sys")?;
    let prefix: PathBuf = sys.getattr("prefix")?.extract()?;
    let base: PathBuf = sys.getattr("base_prefix")?.extract()?;
    Ok((prefix != base).then_some(prefix))
}

fn run(py: Python<'_>, inbox: &Inbox, forked: &AtomicBool) {
    loop {
        let work = py.detach(|| inbox.take());
        // Who waits for a result has a `catch_unwind` of its own and tells it; this one keeps the thread.
        let ended = match work {
            Work::Attached(work) => catch_unwind(AssertUnwindSafe(|| work(py))),
            Work::Detached(work) => py.detach(|| catch_unwind(AssertUnwindSafe(work))),
        };
        if let Err(payload) = ended {
            // Detached, because the subscriber is the host's.
            let message = panic_message(payload.as_ref());
            py.detach(|| tracing::error!(target: "httpy", "a panic on httpy-main: {message}"));
        }
        if forked.load(Ordering::Relaxed) {
            // A module or an init function forked, and this is the child's way back: nobody waits for it here.
            fork::end_child(py, Ok(py.None().into_bound(py)));
        }
    }
}

/// The text of a panic, where it has one.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

fn is_running() -> bool {
    // SAFETY:
    // 1. `Py_IsInitialized` may be called at any time, from any thread.
    unsafe { ffi::Py_IsInitialized() != 0 }
}

fn interpreter_error(message: &str) -> StartError {
    StartError::Interpreter {
        message: message.to_owned(),
    }
}
