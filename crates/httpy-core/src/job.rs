//! `Job`: what a worker takes: a call, how to answer it, its place in the queue; `Freight`: what the call holds besides.

use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::{Answer, Interface, Lane, Ticket, Upload};

/// A loaded target: its place in its interpreter's table, and its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct TargetId {
    /// Its place in the table.
    pub index: usize,
    /// How it is called.
    pub interface: Interface,
}

impl TargetId {
    /// What runs its calls.
    pub fn lane(self) -> Lane {
        self.interface.lane
    }
}

/// One call with everything that must end when it ends.
///
/// Permits travel here and in the ticket, and not in the response future: after a deadline the handler may still run, and
/// the limits must not lie just then.
#[derive(Debug)]
pub struct Job {
    /// Which handler to call.
    pub target: TargetId,
    /// The call, shared with the response future.
    pub ticket: Arc<Ticket>,
    /// Where the outcome goes, or, where its body is a stream, the head; closed when the caller has gone.
    pub answer: Answer,
    /// Given back when the job is taken, also that of a call whose caller has gone: until then it takes up its place.
    pub slot: OwnedSemaphorePermit,
}

/// The limited resources of a call (permits, body), held while its caller waits for it or it runs.
///
/// They are in the [`Ticket`]. The worker that takes the call owns them, and they end with the job. If the caller leaves before
/// that, they are released at once, while the job is still in the queue.
#[derive(Debug, Default)]
pub struct Freight {
    /// The body; not a part of the call, since a whole one is gone once Python has its copy.
    pub body: Upload,
    /// What is given back when the job ends.
    pub permits: Permits,
}

/// What the end of a job gives back.
#[derive(Debug, Default)]
pub struct Permits {
    /// A whole body's share of the byte budget: Python's copy lives until the job ends. What a stream holds is bounded
    /// by [`STREAM_BYTES`](crate::STREAM_BYTES).
    pub bytes: Option<OwnedSemaphorePermit>,
    /// One of the jobs that a service may have, where it has a limit of its own.
    pub limit: Option<OwnedSemaphorePermit>,
    /// One of the calls of a service that may run at the same time, where that number is limited.
    pub concurrency: Option<OwnedSemaphorePermit>,
}
