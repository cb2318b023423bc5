//! Sets the trace function of another thread: up to 3.11, how that thread comes to interrupt itself (`httpy_rs._interrupt`).

use std::ffi::{c_int, c_ulong};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

unsafe extern "C" {
    /// `PyEval_SetTrace` for any thread. Exported by 3.11, and declared in its `cpython/ceval.h`.
    fn _PyEval_SetTrace(
        thread: *mut ffi::PyThreadState,
        function: Option<ffi::Py_tracefunc>,
        argument: *mut ffi::PyObject,
    ) -> c_int;
}

/// What `httpy_rs._interrupt` calls `trace_thread`.
pub(crate) fn setter(py: Python<'_>) -> PyResult<Bound<'_, PyCFunction>> {
    PyCFunction::new_closure(
        py,
        Some(c"trace_thread"),
        None,
        |arguments, _| -> PyResult<()> {
            let (_, frame, begin): (c_ulong, Bound<'_, PyAny>, Bound<'_, PyAny>) =
                arguments.extract()?;
            set(&frame, &begin)
        },
    )
}

/// Has `begin` called once by the thread whose innermost frame is `frame`, before that takes its next step.
fn set(frame: &Bound<'_, PyAny>, begin: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = frame.py();
    // SAFETY: 1. This thread is attached, and detaches nowhere in here but in what listens to audit events: no thread ends
    // meanwhile, as it has to attach for that, and a worker in a call ends long after it. 2. Threads that begin come first in
    // the list, where they are not in the way. 3. `PyThreadState_GetFrame` gives a reference or null. 4. The hook matches
    // `Py_tracefunc`; the function takes a reference to its argument.
    let result = unsafe {
        let mut thread = ffi::PyInterpreterState_ThreadHead(ffi::PyInterpreterState_Get());
        loop {
            if thread.is_null() {
                // It has gone on to another frame, or has ended.
                return Ok(());
            }
            let its = ffi::PyThreadState_GetFrame(thread).cast::<ffi::PyObject>();
            drop(Bound::from_owned_ptr_or_opt(py, its));
            if its == frame.as_ptr() {
                break _PyEval_SetTrace(thread, Some(hook), begin.as_ptr());
            }
            thread = ffi::PyThreadState_Next(thread);
        }
    };
    if result == 0 {
        Ok(())
    } else {
        Err(PyErr::fetch(py))
    }
}

/// The trace function that is set: calls its argument, which sets another one.
extern "C" fn hook(
    begin: *mut ffi::PyObject,
    _frame: *mut ffi::PyFrameObject,
    _event: c_int,
    _argument: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: 1. CPython calls trace functions attached. 2. `begin` is what `set` has given to it; the reference taken here
    // keeps it while it replaces this hook. 3. Each reference that is taken here is given back, and no error is left behind.
    unsafe {
        ffi::Py_INCREF(begin);
        let result = ffi::PyObject_CallNoArgs(begin);
        if result.is_null() {
            ffi::PyErr_WriteUnraisable(begin);
        } else {
            ffi::Py_DECREF(result);
        }
        ffi::Py_DECREF(begin);
    }
    0
}
