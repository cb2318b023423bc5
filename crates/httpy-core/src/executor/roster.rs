//! `Roster`: the workers and their calls at one moment. Read without Python, so also while every worker is stuck.

use std::sync::Arc;

use crate::{Standing, Ticket};

/// The workers, the jobs that wait for them, and whether one at a time takes jobs.
#[derive(Clone, Debug)]
pub struct Roster {
    /// Jobs that wait for a worker.
    pub jobs: usize,
    /// Whether the interpreter has its GIL.
    pub has_gil: bool,
    /// Every worker that is there, by number.
    pub members: Vec<Member>,
}

/// One worker.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its number, as people count.
    pub number: usize,
    /// Its name.
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

/// What the handler of one call was doing.
#[derive(Clone, Debug)]
pub struct Stack {
    /// The call.
    pub ticket: Arc<Ticket>,
    /// Its frames as a traceback prints them, the outermost first; empty where no Python code runs.
    pub text: String,
}
