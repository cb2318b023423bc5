//! The end of a forked child: a handler that called `os.fork()` returns twice, and only the parent's copy may answer.

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;

/// Ends the child process as a program ends whose main function gave `result`: status 0, the one of `SystemExit`, or 1
/// after printing the traceback. Runs nothing that is registered for the exit of the parent.
pub(crate) fn end_child(py: Python<'_>, result: PyResult<Bound<'_, PyAny>>) -> ! {
    let status = result.map_or_else(|error| exit_status(py, &error), |_| 0);
    for stream in ["stdout", "stderr"] {
        // A stream that app code took away or closed has nothing to flush.
        drop(
            py.import("sys")
                .and_then(|sys| sys.getattr(stream)?.call_method0("flush")),
        );
    }
    // SAFETY: `_exit` has no preconditions; it ends the process without running exit handlers, whose locks may be held
    // by threads that exist in the parent only.
    unsafe { libc::_exit(status) }
}

fn exit_status(py: Python<'_>, error: &PyErr) -> i32 {
    if !error.is_instance_of::<PySystemExit>(py) {
        error.print(py);
        return 1;
    }
    match error.value(py).getattr("code") {
        Ok(code) if code.is_none() => 0,
        Ok(code) => code.extract().unwrap_or_else(|_| {
            // `sys.exit("message")`
            drop(py.import("sys").and_then(|sys| {
                sys.getattr("stderr")?
                    .call_method1("write", (format!("{code}\n"),))
            }));
            1
        }),
        Err(_) => 1,
    }
}
