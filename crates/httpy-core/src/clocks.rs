//! `Clocks`: a call's time limits; `Limit`: the one that it has exceeded, for the log.

use std::fmt;
use std::time::{Duration, Instant};

/// A call's time limits, of which one holds at a time; see [`Ticket`](crate::Ticket).
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// When the call's time is up, unless its head is answered by then.
    pub deadline: Instant,
    /// How long Python may take for a chunk of a streamed body, and a client to make room for one, while that is there.
    pub chunk_timeout: Duration,
    /// How long a streamed body may take to end once its client has left.
    pub abandon_after: Duration,
}

/// A time limit of a call, as the log shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is limited.
    pub clock: Clock,
    /// To how long.
    pub time: Duration,
}

/// What a [`Limit`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The time until the head is answered.
    Head,
    /// The time for a chunk of the body.
    Chunk,
    /// The time until the body ends, after the client has left.
    Abandoned,
}

/// As in "worker:handle did not answer within 30s".
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time;
        match self.clock {
            Clock::Head => write!(f, "did not answer within {time:?}"),
            Clock::Chunk => write!(f, "did not yield a chunk within {time:?}"),
            Clock::Abandoned => {
                write!(f, "did not end within {time:?} after its client left")
            }
        }
    }
}
