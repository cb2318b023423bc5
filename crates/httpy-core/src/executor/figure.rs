//! `Figures`: what is counted of an interpreter and of its event loops, for the host's metrics.

use std::time::Duration;

/// What is counted of an interpreter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Memory blocks that Python's allocator has given out.
    pub allocated_blocks: u64,
    /// The generation of each run of the cyclic garbage collector since the last time, and how long it took. Noted from
    /// the first question on.
    pub gc_pauses: Vec<(u32, Duration)>,
}

/// What is counted of one event loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopFigures {
    /// Its name.
    pub name: String,
    /// Jobs that were pushed to it and have not ended.
    pub calls: usize,
    /// How long it took to come round when it was rung the last time, or has taken until now. None before the first time.
    pub lag: Option<Duration>,
}
