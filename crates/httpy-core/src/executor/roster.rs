//! `Roster`: the workers, the event loops and their calls at one moment. Read without Python, so also while every worker is stuck.

use std::sync::Arc;
use std::time::Duration;

use crate::{Standing, Ticket};

/// The workers, the jobs that wait for them, whether one at a time takes jobs, and the event loops.
#[derive(Clone, Debug)]
pub struct Roster {
    /// Jobs that wait for a worker.
    pub jobs: usize,
    /// Whether the interpreter has its GIL.
    pub has_gil: bool,
    /// Every worker that is there, by number.
    pub members: Vec<Member>,
    /// The event loops; none before the first async target.
    pub loops: Vec<LoopMember>,
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

/// One event loop.
#[derive(Clone, Debug, Default)]
pub struct LoopMember {
    /// Its name.
    pub name: String,
    /// Jobs that were pushed to it and have not ended.
    pub calls: usize,
    /// Those of them whose first step has not begun.
    pub waiting: usize,
    /// Time it took to respond when it was last woken, or has taken until now. `None` before the first time.
    pub lag: Option<Duration>,
    /// How long it has been blocked, if that is longer than `loop_blocked_after`.
    pub blocked_for: Option<Duration>,
    /// The call that blocks it. `None` if that is a task that a handler left behind, or a callback; and, after a call's first
    /// step, until the loop could be examined.
    pub blocked_by: Option<Work>,
    /// The calls that have been under way for longest, the oldest first; at most eight.
    pub oldest: Vec<Work>,
}

/// A call that a worker or an event loop is in.
#[derive(Clone, Debug)]
pub struct Work {
    /// The handler's target.
    pub target: String,
    /// The call. Keeping it keeps the memory of its head.
    pub ticket: Arc<Ticket>,
}

/// The Python stack of a worker or an event loop.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Who.
    pub of: StackOf,
    /// Its frames as a traceback prints them, the outermost first; empty where no Python code runs.
    pub text: String,
}

/// Who was doing something.
#[derive(Clone, Debug)]
pub enum StackOf {
    /// The handler of this call; an async one that waits shows what it awaits.
    Call(Arc<Ticket>),
    /// The event loop of this name, which does not come round.
    EventLoop(String),
}
