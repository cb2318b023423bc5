//! `Roster`: the workers and their calls at one moment. Read without the interpreter, so also while every worker is stuck.

use std::sync::Arc;

use httpy_core::{Line, Standing, Ticket};

use crate::pool::Pool;
use crate::worker;

/// The pool's workers, the jobs that wait for them, and whether one at a time takes jobs.
#[derive(Clone, Debug)]
pub struct Roster {
    /// Jobs of all apps that wait for a worker.
    pub jobs: usize,
    /// Whether the interpreter has its GIL.
    pub has_gil: bool,
    /// Every worker that has a thread, by number.
    pub members: Vec<Member>,
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

/// A call that a worker is in.
#[derive(Clone, Debug)]
pub struct Work {
    /// The handler's target.
    pub target: String,
    /// The call. Whoever keeps it keeps the memory of its head.
    pub ticket: Arc<Ticket>,
}

impl Pool {
    /// Who does what now. One worker is read after the other, while they go on. Never waits for the interpreter.
    pub fn roster(&self) -> Roster {
        let crew = &self.crew;
        let Line { jobs, exclusive, workers } = crew.queue.line();
        let members = workers.into_iter().map(|(seat, standing)| Member {
            number: seat.number(),
            name: worker::name(seat),
            standing,
            work: crew.desks.look(seat).map(|(target, ticket)| Work { target: crew.name(target), ticket }),
        });
        Roster { jobs, has_gil: exclusive, members: members.collect() }
    }
}
