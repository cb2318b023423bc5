//! `Figures`: what is counted of an interpreter, for the host's metrics.

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
