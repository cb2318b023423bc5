//! The attached part of a call, piece by piece and many times over, for the measurements in `benches/`.
//!
//! Behind the feature `bench`, which nothing else switches on, and no part of the public interface. The pieces are the
//! very functions that the workers use; here they run on Python's main thread, without queue and pool. No PyO3 type is
//! in a signature, so that the measurements stay on the plain side of the border.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use httpy_core::{BodyMode, Call, Clocks, Freight, Outcome, TargetId, Ticket, Upload};
use pyo3::prelude::*;

use crate::answer::{Answer, Ended};
use crate::load::Target;
use crate::runtime::{Runtime, Shared};
use crate::{convert, worker};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The call's data as six Python objects, and their end.
    Arguments,
    /// Python's own part: the handler with six objects that are there already.
    Handler,
    /// The handler's tuple, there already, as plain data.
    Result,
    /// Everything that a worker does for a call: the context, the three above, and the end of the objects.
    All,
}

/// A handler with a call for it.
#[derive(Clone, Debug)]
pub struct Attached {
    runtime: Arc<Runtime>,
    target: Arc<Target>,
    ticket: Arc<Ticket>,
}

impl Attached {
    /// `call`, without a body, for the handler `target`; `None` when that was never loaded.
    pub fn new(runtime: Arc<Runtime>, target: TargetId, call: Call) -> Option<Self> {
        let target = runtime.shared.targets.get(target)?;
        let now = Instant::now();
        let clocks = Clocks {
            deadline: now,
            chunk_timeout: Duration::ZERO,
            abandon_after: Duration::ZERO,
        };
        Some(Self {
            runtime,
            target,
            ticket: Arc::new(Ticket::new(call, now, clocks, Freight::default())),
        })
    }

    /// How long `times` times `piece` take in all.
    ///
    /// # Errors
    ///
    /// What went wrong, when the handler raised or did not keep the contract.
    pub fn measure(&self, piece: Piece, times: u64) -> Result<Duration, String> {
        let this = self.clone();
        let measured = self.runtime.interpreter().on_main(move |py| {
            match this.call(py) {
                Outcome::Returned(_) => {}
                other => return Err(format!("{other:?}")),
            }
            this.repeat(py, piece, times).map_err(|error| {
                this.runtime
                    .shared
                    .describe
                    .describe(py, &error)
                    .to_string()
            })
        });
        measured.unwrap_or_else(|error| Err(error.to_string()))
    }

    fn repeat(&self, py: Python<'_>, piece: Piece, times: u64) -> PyResult<Duration> {
        let Shared { names, .. } = &*self.runtime.shared;
        let handler = self.target.handler.bind(py);
        let arguments = || {
            let body = convert::body(py, &[], self.target.interface.body == BodyMode::Bytes)?;
            convert::arguments(py, names, &self.ticket.call, body)
        };
        match piece {
            Piece::Arguments => repeat(times, arguments),
            Piece::Handler => {
                let arguments = arguments()?;
                repeat(times, || handler.call1(arguments.clone()))
            }
            Piece::Result => {
                let result = handler.call1(arguments()?)?;
                repeat(times, || convert::returned(&result, false))
            }
            Piece::All => repeat(times, || Ok(self.call(py))),
        }
    }

    fn call(&self, py: Python<'_>) -> Outcome {
        let runtime = &*self.runtime;
        let (body, answer) = (
            Upload::default(),
            &mut Answer::Closed(self.ticket.call.subject()),
        );
        let ended = worker::call(
            py,
            runtime.interpreter(),
            &runtime.shared,
            &self.target,
            &self.ticket,
            body,
            answer,
        );
        match ended {
            Ended::Whole(outcome) => outcome,
            Ended::Streamed(_) => {
                Outcome::Panicked("a streamed body, of which nothing is measured".to_owned())
            }
        }
    }
}

fn repeat<R>(times: u64, mut work: impl FnMut() -> PyResult<R>) -> PyResult<Duration> {
    let begun = Instant::now();
    for _ in 0..times {
        black_box(work()?);
    }
    Ok(begun.elapsed())
}
