//! Starts the standard app and answers one request: `start threads` or `start processes`, the latter with two workers.
//!
//! Worker processes are of the Python that `PYO3_PYTHON` names, where it is set: a `python3` on PATH may be a script of pyenv's,
//! which takes longer than all the rest. Prints the nanoseconds until the handler was loaded and until the answer was there. Run by `benches/start.rs`, once for
//! each measurement, as CPython starts once in a process.

#![expect(clippy::print_stdout, reason = "what it is for")]

use std::time::Instant;

use httpy::{Executor, PyEngine};
use httpy_benches::{PYTHON, Result, TARGET, request};
use tower::ServiceExt;

fn main() -> Result<()> {
    let executor: Executor = match std::env::args().nth(1).as_deref() {
        Some("threads") => Executor::threads().into(),
        Some("processes") => {
            let processes = Executor::processes(2);
            match std::env::var_os("PYO3_PYTHON") {
                Some(python) => processes.python(python).into(),
                None => processes.into(),
            }
        }
        _ => return Err("start threads, or start processes".into()),
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let begin = Instant::now();
    let engine = PyEngine::builder()
        .path(PYTHON)
        .executor(executor)
        .build()?;
    let service = engine.handler(TARGET)?;
    let built = begin.elapsed();
    let response = runtime.block_on(service.oneshot(request()))?;
    let answered = begin.elapsed();
    assert!(response.status().is_success(), "{response:?}");
    println!("{} {}", built.as_nanos(), answered.as_nanos());
    Ok(())
}
