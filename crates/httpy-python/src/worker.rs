//! The worker loop: take a job, call the handler, answer, still attached; detach only to wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use httpy_core::{Finish, Freight, Job, Kept, Outcome, Seat, Take, TargetId, Ticket, Wait};
use pyo3::prelude::*;

use crate::attach::attach;
use crate::convert;
use crate::deadline;
use crate::enforcer;
use crate::fork;
use crate::interpreter::{Interpreter, panic_message};
use crate::load::Target;
use crate::notice::Notice;
use crate::pool::Crew;
use crate::runtime::Shared;

/// One worker thread's own data.
struct Worker<'a> {
    crew: &'a Arc<Crew>,
    /// A copy of the table of targets, renewed when a number is beyond it: no lock per job.
    targets: Vec<Arc<Target>>,
    /// Empty; for [`Crew::let_out`].
    room: Vec<Kept>,
}

/// The name of the thread at `seat`, for the system and for Python.
pub(crate) fn name(seat: Seat) -> String {
    format!("httpy-worker-{}", seat.number())
}

/// Runs the worker of `seat` until it retires.
pub(crate) fn run(crew: &Arc<Crew>, seat: Seat) {
    attach(|py| {
        // App code may have broken `threading`; a worker without a name still works.
        drop(crew.interpreter.name_thread(py, &name(seat)));
        Worker { crew, targets: Vec::new(), room: Vec::new() }.drain(py, seat);
        drop(crew.interpreter.forget_thread(py));
    });
}

impl Worker<'_> {
    fn drain(&mut self, py: Python<'_>, seat: Seat) {
        let crew = self.crew;
        let mut turn = Turn::new(crew.interpreter.switch_interval());
        loop {
            match self.next(py, seat, &mut turn) {
                Take::Job(job, start) => {
                    if let Some(seat) = start {
                        // Detached, as it may log, which is the host's code.
                        py.detach(|| Crew::start_or_log(crew, seat));
                    }
                    self.run(py, job, seat);
                }
                Take::Wait => {
                    if self.wait(py, seat, &mut turn) == Wait::Retire {
                        return;
                    }
                }
            }
        }
    }

    /// The next job; between two turns somebody else comes first. What was answered goes out before whatever may take long.
    fn next(&mut self, py: Python<'_>, seat: Seat, turn: &mut Turn) -> Take<Job> {
        let (crew, room, now) = (self.crew, &mut self.room, Instant::now());
        if turn.is_over(now) {
            crew.let_out(room);
            if crew.queue.step_down(seat, now) {
                return Take::Wait;
            }
            turn.give_way(py, &crew.shared.pause);
        } else if crew.outbox.is_due(now) {
            crew.let_out(room);
        }
        crew.queue.take(seat, || crew.let_out(room))
    }

    /// Waits detached; where the worker is called, it has the interpreter again and begins its turn.
    fn wait(&mut self, py: Python<'_>, seat: Seat, turn: &mut Turn) -> Wait {
        let (crew, room) = (self.crew, &mut self.room);
        let (wait, called) = py.detach(|| (crew.queue.wait(seat, || crew.let_out(room)), Instant::now()));
        *turn = Turn::new(turn.interval);
        if wait == Wait::Attach {
            crew.queue.attached(seat, turn.begun.duration_since(called) >= turn.interval);
        }
        wait
    }

    fn run(&mut self, py: Python<'_>, job: Job, seat: Seat) {
        let Job { target, ticket, answer, slot } = job;
        drop(slot);
        // The order matters: a call that nobody waits for any more must not count as taken.
        if answer.is_closed() || !ticket.take(seat) {
            return;
        }
        let Freight { body, permits } = ticket.unload();
        let call = AssertUnwindSafe(|| self.call(py, target, &ticket, body));
        let outcome = deadline::during(&ticket, || catch_unwind(call))
            .unwrap_or_else(|payload| Outcome::Panicked(panic_message(payload.as_ref())));
        let interrupted = self.finish(py, target, &ticket, seat);
        // Both before the answer: the response future then is the last owner and frees what its thread allocated; and a
        // client that has its answer finds the bytes of its body, and its service's limit, given back.
        drop((ticket, permits));
        self.crew.outbox.put(Kept { target, answer, outcome, interrupted });
    }

    /// Ends the call, after all Python code of it. True when it was interrupted; what was sent for it and has not arrived is
    /// taken back before any other Python code runs here.
    fn finish(&self, py: Python<'_>, target: TargetId, ticket: &Ticket, seat: Seat) -> bool {
        loop {
            match ticket.finish() {
                Finish::Free => return false,
                Finish::Interrupting => py.detach(thread::yield_now),
                Finish::Interrupted { lost } => {
                    deadline::take_back(py);
                    if lost {
                        py.detach(|| self.come_back(target, ticket, seat));
                    }
                    return true;
                }
            }
        }
    }

    /// Says that this worker, which counted as lost, is back. Runs detached: it may log, which is the host's code.
    fn come_back(&self, target: TargetId, ticket: &Ticket, seat: Seat) {
        let call = enforcer::overdue(self.crew, target, ticket);
        self.crew.notify(&Notice::Returned { worker: seat.number(), call });
    }

    fn call(&mut self, py: Python<'_>, target: TargetId, ticket: &Arc<Ticket>, body: Bytes) -> Outcome {
        let crew = self.crew;
        if target.0 >= self.targets.len() {
            self.targets = crew.shared.targets.all();
        }
        let Some(target) = self.targets.get(target.0) else {
            return Outcome::Panicked("a job for a handler that was never loaded".to_owned());
        };
        outcome(py, &crew.interpreter, &crew.shared, target, ticket, body)
    }
}

/// Calls the handler of `target` for `ticket` in a context of its own.
pub(crate) fn outcome(
    py: Python<'_>,
    interpreter: &Interpreter,
    shared: &Shared,
    target: &Target,
    ticket: &Arc<Ticket>,
    body: Bytes,
) -> Outcome {
    let outcome = shared.current.run(py, ticket, || {
        let arguments = convert::arguments(py, &shared.names, &ticket.call, &body, target.wants_bytes)?;
        // Python has its own copy.
        drop(body);
        let result = target.handler.bind(py).call1(arguments);
        if interpreter.is_forked_child() {
            fork::end_child(py, result);
        }
        convert::returned(&result?)
    });
    outcome.unwrap_or_else(|error| Outcome::Raised(shared.describe.describe(py, &error)))
}

/// How long a worker has had the interpreter. A turn is half a switch interval, so that it is over before CPython would
/// take the interpreter away in the middle of a handler.
struct Turn {
    interval: Duration,
    begun: Instant,
}

impl Turn {
    fn new(interval: Duration) -> Self {
        Self { interval, begun: Instant::now() }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.begun) >= self.interval / 2
    }

    /// Lets threads of Python's own run, if there are any that wait: CPython looks for them only between bytecodes, which a
    /// row of handlers in C never reaches. Detaching for a moment would not do: the same thread takes the interpreter back
    /// at once, and those who wait begin their interval anew.
    fn give_way(&mut self, py: Python<'_>, pause: &Py<PyAny>) {
        // An empty function of Python's; it fails only when a signal or another thread interrupts it.
        drop(pause.bind(py).call0());
        *self = Self::new(self.interval);
    }
}
