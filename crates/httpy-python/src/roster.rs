//! `Roster`: the workers, the event loops and their calls at one moment. Read without the interpreter, so also while every worker is stuck.

use std::sync::Arc;
use std::time::Duration;

use httpy_core::{Line, Standing, Ticket};

use crate::pool::Pool;
use crate::worker;

/// The pool's workers, the jobs that wait for them, whether one at a time takes jobs, and its event loops.
#[derive(Clone, Debug)]
pub struct Roster {
    /// Jobs of all apps that wait for a worker.
    pub jobs: usize,
    /// Whether the interpreter has its GIL.
    pub has_gil: bool,
    /// Every worker that has a thread, by number.
    pub members: Vec<Member>,
    /// The event loops; none before the first async target.
    pub loops: Vec<LoopMember>,
}

/// One worker.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its number, as people count.
    pub number: usize,
    /// The name of its thread.
    pub name: String,
    /// What it does.
    pub standing: Standing,
    /// The call that it is in.
    pub work: Option<Work>,
}

/// One event loop.
#[derive(Clone, Debug)]
pub struct LoopMember {
    /// The name of its thread.
    pub name: String,
    /// Jobs that were pushed to it and have not ended.
    pub calls: usize,
    /// Those of them whose first step has not begun.
    pub waiting: usize,
    /// How long it took to come round when it was rung the last time, or has taken until now. None before the first time.
    pub lag: Option<Duration>,
    /// For how long it has not come round; none while that is shorter than [`PoolOptions::loop_blocked_after`].
    ///
    /// [`PoolOptions::loop_blocked_after`]: crate::PoolOptions::loop_blocked_after
    pub blocked_for: Option<Duration>,
    /// The call that blocks it. None where it is a task that a handler left behind, or a callback, and, beyond a call's first
    /// step, until somebody could look.
    pub blocked_by: Option<Work>,
    /// The calls that have been under way for longest, the oldest first; at most eight.
    pub oldest: Vec<Work>,
}

/// A call that a worker or an event loop is in.
#[derive(Clone, Debug)]
pub struct Work {
    /// The handler's target.
    pub target: String,
    /// The call. Whoever keeps it keeps the memory of its head.
    pub ticket: Arc<Ticket>,
}

impl Pool {
    /// Who does what now. One worker is read after the other, while they go on; each event loop is rung, so that the next
    /// roster has its lag. Never waits for the interpreter.
    pub fn roster(&self) -> Roster {
        let crew = &self.crew;
        let Line { jobs, exclusive, workers } = crew.queue.line();
        let members = workers.into_iter().map(|(seat, standing)| Member {
            number: seat.number(),
            name: worker::name(seat),
            standing,
            work: crew.desks.look(seat).map(|(target, ticket)| Work { target: crew.name(target), ticket }),
        });
        Roster { jobs, has_gil: exclusive, members: members.collect(), loops: crew.event_loops.members(crew) }
    }
}
