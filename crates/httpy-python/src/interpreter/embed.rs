//! The Rust end of `_embed.py`: runs it once, and calls its functions with plain data.

use std::{
    ffi::{CString, c_int},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use httpy_core::ExitReport;
use pyo3::{
    prelude::*,
    types::{PyCFunction, PyDict},
};

use super::{environment, signal, source};

/// The modules `httpy_rs._embed`, `_threading` and `_end`, whatever becomes of `sys.modules`.
pub(super) struct Embed {
    module: Py<PyModule>,
    threading: Py<PyModule>,
    end: Py<PyModule>,
}

/// `sys.executable` and `sys._base_executable` of an interpreter that was started here. Empty where no python is known:
/// better than another program.
pub(super) struct Executables<'a> {
    pub(super) program: &'a Path,
    pub(super) base: &'a Path,
}

impl Embed {
    /// Runs `_embed.py` and lets it set the interpreter up. `forked` is set in each child that Python forks.
    pub(super) fn install(
        py: Python<'_>,
        forked: Arc<AtomicBool>,
        executables: Option<&Executables<'_>>,
    ) -> PyResult<Self> {
        let module = PyModule::from_code(
            py,
            &CString::new(source::EMBED)?,
            c"<httpy_rs>/_embed.py",
            c"httpy_rs._embed",
        )?;
        let sources = PyDict::new(py);
        for (name, text) in source::FILES {
            sources.set_item(name, text)?;
        }
        let mark_forked = PyCFunction::new_closure(
            py,
            Some(c"mark_forked"),
            None,
            move |_, _| -> PyResult<()> {
                forked.store(true, Ordering::Relaxed);
                Ok(())
            },
        )?;
        let release_signals = PyCFunction::new_closure(
            py,
            Some(c"release_signals"),
            None,
            move |arguments, _| -> PyResult<bool> {
                let (handled,): (Vec<c_int>,) = arguments.extract()?;
                Ok(signal::release(&handled))
            },
        )?;
        let change_variable =
            PyCFunction::new_closure(py, Some(c"change_variable"), None, |arguments, _| {
                let (name, value) = arguments.extract()?;
                environment::change(name, value);
                PyResult::Ok(())
            })?;
        let executables =
            executables.map(|known| (known.program.as_os_str(), known.base.as_os_str()));
        module.call_method1(
            "install",
            (
                sources,
                mark_forked,
                release_signals,
                change_variable,
                executables,
            ),
        )?;
        Ok(Self {
            module: module.unbind(),
            threading: py.import("httpy_rs._threading")?.unbind(),
            end: py.import("httpy_rs._end")?.unbind(),
        })
    }

    pub(super) fn other_copy(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.module.bind(py).call_method0("other_copy")?.extract()
    }

    pub(super) fn enter_thread(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.threading.bind(py).call_method1("enter", (name,))?;
        Ok(())
    }

    pub(super) fn leave_thread(&self, py: Python<'_>) -> PyResult<()> {
        self.threading.bind(py).call_method0("leave")?;
        Ok(())
    }

    pub(super) fn is_gil_enabled(&self, py: Python<'_>) -> PyResult<bool> {
        self.module
            .bind(py)
            .call_method0("is_gil_enabled")?
            .extract()
    }

    /// Has `faulthandler` write a thread's frames into `descriptor` when the thread gets `signal`.
    #[cfg(target_os = "linux")]
    pub(super) fn register_dump(
        &self,
        py: Python<'_>,
        signal: c_int,
        descriptor: c_int,
    ) -> PyResult<()> {
        self.module
            .bind(py)
            .call_method1("register_dump", (signal, descriptor))?;
        Ok(())
    }

    /// Whether no thread but this one is in Python code. False where app code has broken what tells.
    pub(super) fn is_at_rest(&self, py: Python<'_>) -> bool {
        self.end
            .bind(py)
            .call_method0("is_at_rest")
            .and_then(|is_at_rest| is_at_rest.extract())
            .unwrap_or(false)
    }

    /// Takes at most `limit` for the threads; what `atexit` runs takes what it takes.
    pub(super) fn shut_down(&self, py: Python<'_>, limit: Duration) -> ExitReport {
        let result = self
            .end
            .bind(py)
            .call_method1("shut_down", (limit.as_secs_f64(),))
            .and_then(|report| report.extract());
        match result {
            Ok((threads, errors)) => ExitReport {
                threads,
                errors,
                shutdown: None,
            },
            Err(error) => ExitReport {
                errors: vec![error.to_string()],
                ..ExitReport::default()
            },
        }
    }
}
