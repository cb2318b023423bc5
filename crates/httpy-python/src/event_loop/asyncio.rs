//! `Asyncio`: the Python objects that one loop's callbacks work with, and how a coroutine becomes a task whose first step
//! has run.
//!
//! A handler that never waits is over after its first step, so that one is run at once: such a call costs neither a turn of
//! the loop nor a callback at its end. From Python 3.12 on, tasks can be started that way (`eager_start`). Before, a task
//! gives its first step to the loop's `call_soon` as it is made: for that moment this loop's own `call_soon` is one that
//! keeps the step, and it is run right afterwards, in the task's context. Either way it is a task like any
//! other, and the current one during the step.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyCFunction, PyDict, PyString, PyTuple};

use super::keyword;
use crate::context::Context;
use crate::convert::is_coroutine;

/// What one loop's callbacks work with.
#[derive(Debug)]
pub(super) struct Asyncio {
    /// What runs the loop: `httpy_rs._event_loop.Runner`.
    pub(super) runner: Py<PyAny>,
    /// The loop.
    pub(super) event_loop: Py<PyAny>,
    /// `asyncio.Task`
    task: Py<PyAny>,
    /// `asyncio.current_task`
    current_task: Py<PyAny>,
    first_step: FirstStep,
    /// `httpy_rs._event_loop`'s functions.
    attended: Py<PyAny>,
    current_call: Py<PyAny>,
    send: Py<PyAny>,
    cancel: Py<PyAny>,
    is_shielded: Py<PyAny>,
    task_frames: Py<PyAny>,
    /// Ends a process that a handler has forked.
    unforked: Py<PyAny>,
    names: Names,
}

#[derive(Debug)]
struct Names {
    done: Py<PyString>,
    result: Py<PyString>,
    add_done_callback: Py<PyString>,
    call_soon: Py<PyString>,
    context: Py<PyString>,
    create_future: Py<PyString>,
    set_result: Py<PyString>,
    set_exception: Py<PyString>,
}

/// How the first step of a task is run at once.
#[derive(Debug)]
enum FirstStep {
    /// By asyncio itself: the names of the loop, the name, the context and `eager_start`.
    Eager { keywords: Py<PyTuple> },
    /// By us.
    Kept {
        /// The names of the loop, the name and the context.
        keywords: Py<PyTuple>,
        /// Stands in for the loop's `call_soon`, and keeps what is asked of that: the first step, by its context; and what
        /// a destructor asks, which may run meanwhile.
        keep: Py<PyAny>,
        kept: Arc<Mutex<Vec<Asked>>>,
    },
}

/// The arguments and keywords of a call.
type Asked = (Py<PyTuple>, Option<Py<PyDict>>);

impl Asyncio {
    /// A loop of this thread's and what belongs to it. `is_in_first_step` tells whether a call is in its first step,
    /// and `unforked` ends a process that a handler has forked.
    pub(super) fn new(
        py: Python<'_>,
        prefer_uvloop: bool,
        is_in_first_step: &Bound<'_, PyAny>,
        unforked: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let ours = py.import("httpy_rs._event_loop")?;
        // Not by its name, which may be that of a module of the app.
        let asyncio = ours.getattr("asyncio")?;
        let runner = ours
            .getattr("Runner")?
            .call1((prefer_uvloop, is_in_first_step, unforked))?;
        let event_loop = runner.getattr("loop")?.unbind();
        let string = |text: &str| PyString::intern(py, text).unbind();
        Ok(Self {
            runner: runner.unbind(),
            event_loop,
            task: asyncio.getattr("Task")?.unbind(),
            current_task: asyncio.getattr("current_task")?.unbind(),
            first_step: FirstStep::new(py)?,
            attended: ours.getattr("attended")?.unbind(),
            current_call: ours.getattr("current_call")?.unbind(),
            send: ours.getattr("send")?.unbind(),
            cancel: ours.getattr("cancel")?.unbind(),
            is_shielded: ours.getattr("is_shielded")?.unbind(),
            task_frames: ours.getattr("task_frames")?.unbind(),
            unforked: unforked.clone().unbind(),
            names: Names {
                done: string("done"),
                result: string("result"),
                add_done_callback: string("add_done_callback"),
                call_soon: string("call_soon"),
                context: string("context"),
                create_future: string("create_future"),
                set_result: string("set_result"),
                set_exception: string("set_exception"),
            },
        })
    }

    /// What is to be awaited for `result` of a handler; none where that is the reply itself.
    pub(super) fn coroutine<'py>(
        &self,
        result: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = result.py();
        if !is_coroutine(result)
            && (result.is_exact_instance_of::<PyTuple>() || !result.hasattr("__await__")?)
        {
            return Ok(None);
        }
        self.attended
            .bind(py)
            .call1((result, self.unforked.bind(py)))
            .map(Some)
    }

    /// A task of `coroutine` with this name in `context`, whose first step has run.
    ///
    /// # Errors
    ///
    /// What CPython raises when it has no memory left, and a `SystemExit` or `KeyboardInterrupt` of the first step.
    pub(super) fn start<'py>(
        &self,
        coroutine: &Bound<'py, PyAny>,
        name: &Bound<'py, PyAny>,
        context: &Context<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = coroutine.py();
        let (task, event_loop) = (self.task.bind(py), self.event_loop.bind(py));
        match &self.first_step {
            FirstStep::Eager { keywords } => {
                let eager = PyBool::new(py, true);
                let arguments = [
                    coroutine,
                    event_loop,
                    name,
                    context.as_any(),
                    eager.as_any(),
                ];
                keyword::call(task, arguments, keywords.bind(py))
            }
            FirstStep::Kept {
                keywords,
                keep,
                kept,
            } => {
                let call_soon = self.names.call_soon.bind(py);
                event_loop.setattr(call_soon, keep.bind(py))?;
                let arguments = [coroutine, event_loop, name, context.as_any()];
                let made = keyword::call(task, arguments, keywords.bind(py));
                event_loop.delattr(call_soon)?;
                let kept = mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
                let mut step = None;
                for (arguments, keywords) in kept {
                    let (arguments, keywords) =
                        (arguments.bind(py), keywords.as_ref().map(|it| it.bind(py)));
                    let own = keywords
                        .map(|keywords| keywords.get_item(self.names.context.bind(py)))
                        .transpose()?
                        .flatten();
                    if own.is_some_and(|own| own.is(context.as_any())) {
                        step = Some(arguments.get_item(0)?);
                    } else {
                        event_loop.call_method(call_soon, arguments, keywords)?;
                    }
                }
                let task = made?;
                let Some(step) = step else {
                    return Err(PyRuntimeError::new_err(
                        "asyncio.Task did not ask for its first step",
                    ));
                };
                // What it raises is the task's as well, and found there.
                drop(context.run(|| Ok(step.call0()))?);
                Ok(task)
            }
        }
    }

    /// What sends a body by `write`, and closes it; see `httpy_rs._event_loop.send`.
    pub(super) fn send<'py>(
        &self,
        body: &Bound<'py, PyAny>,
        write: &Bound<'py, PyAny>,
        allowed: bool,
        limit: Duration,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.send
            .bind(body.py())
            .call1((body, write, allowed, limit.as_secs_f64()))
    }

    /// A future of the loop's.
    pub(super) fn future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.event_loop
            .bind(py)
            .call_method0(self.names.create_future.bind(py))
    }

    /// Gives a future its result, unless it has one or was cancelled.
    pub(super) fn resolve(
        &self,
        future: &Bound<'_, PyAny>,
        result: PyResult<Py<PyAny>>,
    ) -> PyResult<()> {
        let py = future.py();
        if self.is_done(future)? {
            return Ok(());
        }
        match result {
            Ok(result) => future.call_method1(self.names.set_result.bind(py), (result,)),
            Err(error) => future.call_method1(self.names.set_exception.bind(py), (error,)),
        }
        .map(drop)
    }

    /// Whether a task or future has ended.
    pub(super) fn is_done(&self, task: &Bound<'_, PyAny>) -> PyResult<bool> {
        task.call_method0(self.names.done.bind(task.py()))?
            .is_truthy()
    }

    /// What a task that has ended gave.
    ///
    /// # Errors
    ///
    /// What it raised, `CancelledError` too.
    pub(super) fn result<'py>(&self, task: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        task.call_method0(self.names.result.bind(task.py()))
    }

    /// Cancels a task; what it awaits behind an `asyncio.shield` goes on.
    pub(super) fn cancel(&self, task: &Bound<'_, PyAny>) -> PyResult<()> {
        self.cancel.bind(task.py()).call1((task,)).map(drop)
    }

    /// Whether something goes on that a cancelled call has shielded. From any thread.
    pub(super) fn is_shielded(&self, py: Python<'_>) -> PyResult<bool> {
        self.is_shielded
            .bind(py)
            .call1((self.event_loop.bind(py),))?
            .is_truthy()
    }

    /// Has `done` called with the task when it has ended; not in its context, which what comes then enters anew.
    pub(super) fn when_done(
        &self,
        task: &Bound<'_, PyAny>,
        done: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        task.call_method1(self.names.add_done_callback.bind(task.py()), (done,))
            .map(drop)
    }

    /// Where a task that does not run just now waits, for `Deadline::show`.
    pub(super) fn frames<'py>(&self, task: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.task_frames.bind(task.py()).call1((task,))
    }

    /// The task that runs on the loop just now, if any does.
    pub(super) fn current_task<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let task = self.current_task.bind(py).call1((&self.event_loop,))?;
        Ok((!task.is_none()).then_some(task))
    }

    /// The task that runs on the loop just now, or `None`, and the frames of its thread. From any thread.
    pub(super) fn current<'py>(
        &self,
        py: Python<'py>,
        thread: std::ffi::c_ulong,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        self.current_call
            .bind(py)
            .call1((self.event_loop.bind(py), thread))?
            .extract()
    }
}

impl FirstStep {
    fn new(py: Python<'_>) -> PyResult<Self> {
        if py.version_info() >= (3, 12) {
            return Ok(Self::Eager {
                keywords: PyTuple::new(py, ["loop", "name", "context", "eager_start"])?.unbind(),
            });
        }
        let kept = Arc::new(Mutex::new(Vec::<Asked>::new()));
        let place = Arc::clone(&kept);
        let keep = PyCFunction::new_closure(
            py,
            Some(c"call_soon"),
            None,
            move |arguments: &Bound<'_, PyTuple>, keywords: Option<&Bound<'_, PyDict>>| {
                let asked = (
                    arguments.clone().unbind(),
                    keywords.map(|keywords| keywords.clone().unbind()),
                );
                let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
                place.push(asked);
            },
        )?;
        Ok(Self::Kept {
            keywords: PyTuple::new(py, ["loop", "name", "context"])?.unbind(),
            keep: keep.into_any().unbind(),
            kept,
        })
    }
}
