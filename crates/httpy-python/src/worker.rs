//! The worker loop: take a job, call the handler, answer, send the body where it is an iterator, still attached; detach only
//! to wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use httpy_core::{
    BodyMode, Fault, Finish, Freight, InLine, Job, Kept, Notice, Outcome, Overdue, Seat, Step,
    Take, TargetId, Ticket, Upload, Wait,
};
use pyo3::prelude::*;

use crate::answer::{Answer, Ended, Streamed};
use crate::attach::attach;
use crate::convert::{self, Found};
use crate::deadline;
use crate::fork;
use crate::hook::Hooks;
use crate::interpreter::{Interpreter, panic_message};
use crate::load::Target;
use crate::pool::Crew;
use crate::runtime::Shared;
use crate::stream::{self, Sending};
use crate::turn::Turn;
use crate::upload::Receiver;

/// One worker thread's own data.
struct Worker<'a> {
    crew: &'a Arc<Crew>,
    /// A copy of the table of targets, renewed when a number is beyond it: no lock per job.
    targets: Vec<Arc<Target>>,
    hooks: Hooks,
    /// Empty; for [`Crew::let_out`].
    room: Vec<Kept>,
}

/// The name of the thread at `seat`, for the system and for Python.
pub(crate) fn name(seat: Seat) -> String {
    format!("httpy-worker-{}", seat.number())
}

/// Runs the worker of `seat` until it retires.
pub(crate) fn run(crew: &Arc<Crew>, seat: Seat) {
    let mut room = Vec::new();
    if crew.queue.wait(seat, || crew.let_out(&mut room)) == Wait::Retire {
        return;
    }
    let called = Instant::now();
    attach(|py| {
        let mut worker = Worker {
            crew,
            targets: Vec::new(),
            hooks: Hooks::default(),
            room,
        };
        let turn = worker.begin_turn(seat, called, crew.interpreter.switch_interval());
        // App code may have broken `threading`; a worker without a name still works.
        drop(crew.interpreter.enter_thread(py, &name(seat)));
        worker.drain(py, seat, turn);
        drop(crew.interpreter.leave_thread(py));
    });
}

impl Worker<'_> {
    fn drain(&mut self, py: Python<'_>, seat: Seat, mut turn: Turn) {
        let crew = self.crew;
        loop {
            let (take, looked) = self.next(py, seat, &mut turn);
            match take {
                Take::Job { job, start, attach } => {
                    if let Some(seat) = start {
                        // Detached, as it may log, which is the host's code.
                        py.detach(|| Crew::start_or_log(crew, seat));
                    }
                    self.run(py, job, seat, looked, attach);
                }
                Take::Wait => {
                    if self.wait(py, seat, &mut turn) == Wait::Retire {
                        return;
                    }
                }
            }
        }
    }

    /// The next job, and when it was looked for; between two turns somebody else comes first. What was answered goes out
    /// before whatever may take long.
    fn next(&mut self, py: Python<'_>, seat: Seat, turn: &mut Turn) -> (Take<Job>, Instant) {
        let (crew, room, mut now) = (self.crew, &mut self.room, Instant::now());
        if turn.is_over(now) {
            crew.let_out(room);
            if crew.queue.step_down(seat, now) {
                return (Take::Wait, now);
            }
            // No call is in the way of what is raised here.
            drop(turn.give_way(py, &crew.shared.pause));
            crew.queue.gave_way(seat, turn.begun);
            now = turn.begun;
        } else if crew.outbox.is_due(now) {
            crew.let_out(room);
        }
        (crew.queue.take(seat, || crew.let_out(room)), now)
    }

    /// Waits detached; where the worker is called, it has the interpreter again and begins its turn.
    fn wait(&mut self, py: Python<'_>, seat: Seat, turn: &mut Turn) -> Wait {
        let (crew, room) = (self.crew, &mut self.room);
        let (wait, called) =
            py.detach(|| (crew.queue.wait(seat, || crew.let_out(room)), Instant::now()));
        if wait == Wait::Attach {
            *turn = self.begin_turn(seat, called, turn.interval);
        }
        wait
    }

    /// It has the interpreter, for which it has stood in line since it was `called`.
    fn begin_turn(&mut self, seat: Seat, called: Instant, interval: Duration) -> Turn {
        let turn = Turn::new(interval);
        let attached = turn.begun;
        self.crew
            .queue
            .attached(seat, InLine { called, attached }, interval);
        turn
    }

    fn run(&mut self, py: Python<'_>, job: Job, seat: Seat, looked: Instant, attach: Duration) {
        let Job {
            target,
            ticket,
            answer,
            slot,
        } = job;
        drop(slot);
        // The order matters: a call that nobody waits for any more must not count as taken.
        if answer.is_closed() || !ticket.take(seat) {
            return;
        }
        // A lead without a job may have looked out for this one for a moment.
        let now = if ticket.are_timings_wanted() {
            Instant::now()
        } else {
            looked
        };
        ticket.stamp_taken(now, attach);
        let Freight { body, permits } = ticket.unload();
        let desk = self.crew.desks.lay(seat, target, &ticket);
        let mut answer = Answer::Open(answer);
        let call = AssertUnwindSafe(|| self.call(py, target, &ticket, body, &mut answer));
        let ended = deadline::during(&ticket, || catch_unwind(call)).unwrap_or_else(|payload| {
            Ended::Whole(Outcome::Panicked(panic_message(payload.as_ref())))
        });
        let interrupted = self.finish(py, target, &ticket, seat);
        if matches!(
            &ended,
            Ended::Streamed(Streamed {
                fault: Some(Fault::Stalled),
                ..
            })
        ) {
            let notice = Notice::Stalled {
                target: self.crew.name(target),
                subject: ticket.call.subject(),
                limit: ticket.clocks.chunk_timeout,
            };
            py.detach(|| self.crew.notify(&notice));
        }
        // All before the end of the answer: the response future then is the last owner and frees what its thread allocated;
        // and a client that has its answer finds the bytes of its body, and its service's limit, given back.
        drop((desk, ticket, permits));
        match (answer, ended) {
            (Answer::Open(answer), Ended::Whole(outcome)) => {
                self.crew.outbox.put(Kept {
                    target,
                    answer,
                    outcome,
                    interrupted,
                });
            }
            (answer, ended) => {
                for late in answer.end(ended, interrupted) {
                    self.crew.report_late(target, late);
                }
            }
        }
    }

    /// Ends the call, after all Python code of it. True when it was to be interrupted; it is not any more, before any other
    /// Python code runs here.
    fn finish(&self, py: Python<'_>, target: TargetId, ticket: &Ticket, seat: Seat) -> bool {
        match ticket.finish() {
            Finish::Free => false,
            Finish::Interrupted { lost } => {
                self.crew.shared.deadline.end(py);
                if lost {
                    py.detach(|| self.come_back(target, ticket, seat));
                }
                true
            }
        }
    }

    /// Says that this worker, which counted as lost, is back. Runs detached: it may log, which is the host's code.
    fn come_back(&self, target: TargetId, ticket: &Ticket, seat: Seat) {
        let call = Overdue::of(self.crew.name(target), ticket);
        self.crew.notify(&Notice::Returned {
            worker: seat.number(),
            call,
        });
    }

    fn call(
        &mut self,
        py: Python<'_>,
        target: TargetId,
        ticket: &Arc<Ticket>,
        body: Upload,
        answer: &mut Answer,
    ) -> Ended {
        let crew = self.crew;
        self.hooks.follow(py, &crew.shared.start);
        if target.index >= self.targets.len() {
            self.targets = crew.shared.targets.all();
        }
        let Some(target) = self.targets.get(target.index) else {
            return Ended::Whole(Outcome::Panicked(
                "a job for a handler that was never loaded".to_owned(),
            ));
        };
        call(
            py,
            &crew.interpreter,
            &crew.shared,
            target,
            ticket,
            body,
            answer,
        )
    }
}

/// Calls the handler of `target` for `ticket` in a context of its own, and answers the head where its body is an iterator,
/// which then is run here.
pub(crate) fn call(
    py: Python<'_>,
    interpreter: &Interpreter,
    shared: &Shared,
    target: &Target,
    ticket: &Arc<Ticket>,
    body: Upload,
    answer: &mut Answer,
) -> Ended {
    let ended = shared.current.run(py, &shared.start, ticket, || {
        let mut upload = None;
        let ended = (|| -> PyResult<Ended> {
            let body = match (target.interface.body, body) {
                (BodyMode::Stream, body) => {
                    let (body, receiver) = shared.uploads.open(py, ticket, body)?;
                    upload = Some(receiver);
                    body
                }
                (mode, Upload::Whole(body)) => convert::body(py, &body, mode == BodyMode::Bytes)?,
                (_, Upload::Stream(_)) => {
                    return Ok(Ended::Whole(Outcome::Panicked(
                        "a stream for a handler that takes none".to_owned(),
                    )));
                }
            };
            let (handler, is_app) = (target.handler.bind(py), target.interface.kind.is_app());
            let result = if is_app {
                let scope = convert::scope(py, &shared.names, &ticket.call)?;
                ticket.stamp(Step::Called);
                handler.call1((scope, body))
            } else {
                let arguments = convert::arguments(py, &shared.names, &ticket.call, body)?;
                ticket.stamp(Step::Called);
                handler.call1(arguments)
            };
            ticket.stamp(Step::Returned);
            if interpreter.is_forked_child() {
                fork::end_child(py, result);
            }
            let result = result?;
            let found = if is_app {
                convert::raw(&result)
            } else {
                convert::returned(&result, false)
            };
            ticket.stamp(Step::Converted);
            match found? {
                Found::Outcome(outcome) => Ok(Ended::Whole(outcome)),
                Found::Refused(failure, body) => {
                    // As of a destructor, since this call has something else to tell.
                    stream::close(&body)
                        .unwrap_or_else(|error| error.write_unraisable(py, Some(&body)));
                    Ok(Ended::Whole(Outcome::Contract(failure)))
                }
                Found::Stream(head, body) => {
                    let sending = Sending {
                        interpreter,
                        shared,
                        target,
                        ticket,
                        upload: upload.as_ref(),
                        body,
                    };
                    sending.send(answer, head).map(Ended::Streamed)
                }
            }
        })();
        Ok(ended.unwrap_or_else(|error| {
            let fault = upload
                .as_ref()
                .and_then(|upload: &Receiver| upload.fault_behind(py, &error));
            let raised =
                || Outcome::Raised(shared.describe.raised(py, target.label.bind(py), &error));
            Ended::Whole(fault.map_or_else(raised, Outcome::Upload))
        }))
    });
    // Only the context itself can fail here.
    ended
        .unwrap_or_else(|error| Ended::Whole(Outcome::Raised(shared.describe.describe(py, &error))))
}
