//! The thread of an event loop: attached for its whole life, from the making of the loop to its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

use httpy_core::Notice;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::asyncio::Asyncio;
use super::driver::Driver;
use super::{END, EventLoop, NAME};
use crate::attach::attach;
use crate::deadline::ThreadId;
use crate::fork;
use crate::pool::Crew;

/// Runs `event_loop` until its inbox is closed. `started` hears once whether it runs.
pub(super) fn run(
    crew: &Arc<Crew>,
    event_loop: &Arc<EventLoop>,
    started: &mpsc::SyncSender<Result<(), String>>,
) {
    let notice = attach(|py| {
        // App code may have broken `threading`; a loop without a name still works.
        drop(crew.interpreter.enter_thread(py, NAME));
        let left = match begin(py, crew, event_loop) {
            Ok(driver) => {
                event_loop.enter(ThreadId::current(), &driver);
                let left = serve(py, &driver, started.clone());
                if let Err(error) = &left {
                    // Unless it has begun before.
                    let exception = crew.shared.describe.describe(py, error);
                    drop(started.send(Err(exception.to_string())));
                }
                event_loop.retire();
                driver.end_all();
                left
            }
            Err(error) => {
                let exception = crew.shared.describe.describe(py, &error);
                drop(started.send(Err(exception.to_string())));
                Ok(Vec::new())
            }
        };
        drop(crew.interpreter.leave_thread(py));
        match left {
            Ok(tasks) => (!tasks.is_empty()).then_some(Notice::Left { tasks }),
            Err(error) => {
                let exception = crew.shared.describe.describe(py, &error);
                Some(Notice::LoopFailed {
                    name: NAME.to_owned(),
                    exception,
                })
            }
        }
    });
    // Before the end is told: whoever waits for it may end the process.
    if event_loop.life().lost {
        crew.async_lane.count_lost(-1);
        crew.notify(&Notice::EndedLoop {
            name: NAME.to_owned(),
        });
    }
    if let Some(notice) = notice {
        crew.notify(&notice);
    }
    event_loop.leave();
}

fn begin(py: Python<'_>, crew: &Arc<Crew>, event_loop: &Arc<EventLoop>) -> PyResult<Arc<Driver>> {
    let also = Arc::downgrade(event_loop);
    let is_in_first_step =
        PyCFunction::new_closure(py, Some(c"is_in_first_step"), None, move |_, _| {
            also.upgrade()
                .is_some_and(|event_loop| event_loop.calls().is_starting())
        })?;
    let interpreter = Arc::downgrade(&crew.interpreter);
    let unforked = PyCFunction::new_closure(
        py,
        Some(c"unforked"),
        None,
        move |arguments, _| -> PyResult<()> {
            let interpreter = interpreter.upgrade();
            if interpreter.is_some_and(|interpreter| interpreter.is_forked_child()) {
                let error = arguments.get_item(0)?;
                let result = if error.is_none() {
                    Ok(error)
                } else {
                    Err(PyErr::from_value(error))
                };
                fork::end_child(arguments.py(), result);
            }
            Ok(())
        },
    )?;
    let asyncio = Asyncio::new(
        py,
        crew.options().uvloop,
        is_in_first_step.as_any(),
        unforked.as_any(),
    )?;
    let driver = Arc::new(Driver::new(
        Arc::clone(crew),
        Arc::clone(event_loop),
        asyncio,
    ));
    let also = Arc::downgrade(&driver);
    let done = PyCFunction::new_closure(
        py,
        Some(c"done"),
        None,
        move |arguments, _| -> PyResult<()> {
            if let Some(driver) = also.upgrade() {
                driver.end_task(&arguments.get_item(0)?);
            }
            Ok(())
        },
    )?;
    // It was just made, and has none yet.
    drop(driver.done.set(done.into_any().unbind()));
    Ok(driver)
}

/// Runs the loop until the inbox is closed, then ends it: the names of the tasks that did not end in time.
/// Its starter hears when the loop has begun, and runs no code of the app before that: it may replace what a loop begins with.
fn serve(
    py: Python<'_>,
    driver: &Arc<Driver>,
    started: mpsc::SyncSender<Result<(), String>>,
) -> PyResult<Vec<String>> {
    let runner = driver.asyncio.runner.bind(py);
    let begun = PyCFunction::new_closure(py, Some(c"begun"), None, move |_, _| {
        drop(started.send(Ok(())));
    })?;
    runner.setattr("begun", begun)?;
    let drain = drain(py, Arc::downgrade(driver))?;
    let event_loop = Arc::downgrade(&driver.event_loop);
    let limit = PyCFunction::new_closure(py, Some(c"limit"), None, move |_, _| {
        event_loop
            .upgrade()
            .map_or(0.0, |event_loop| event_loop.begin_end().as_secs_f64())
    })?;
    let descriptor = driver.event_loop.inbox.descriptor();
    runner
        .call_method1("run", (descriptor, drain, limit))?
        .extract()
}

impl EventLoop {
    /// Its tasks are ended now, for which they get so long. It is not looked at from elsewhere any more.
    fn begin_end(&self) -> Duration {
        self.retire();
        self.ends()
            .map_or(END, |ends| ends.saturating_duration_since(Instant::now()))
    }
}

/// What the loop calls when it is rung.
fn drain(py: Python<'_>, driver: Weak<Driver>) -> PyResult<Bound<'_, PyCFunction>> {
    PyCFunction::new_closure(
        py,
        Some(c"drain"),
        None,
        move |arguments, _| -> PyResult<()> {
            let py = arguments.py();
            let Some(driver) = driver.upgrade() else {
                return Ok(());
            };
            // A panic of our own must not end the loop; the call that it was in has its answer.
            if catch_unwind(AssertUnwindSafe(|| driver.take(py))).unwrap_or(true) {
                return Ok(());
            }
            let runner = driver.asyncio.runner.bind(py);
            runner.call_method0("stop").map(drop)
        },
    )
}
