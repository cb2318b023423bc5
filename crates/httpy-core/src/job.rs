//! `Job`: what a worker takes: a call, how to answer it, its place in the queue; `Freight`: what the call holds besides.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::{Answer, Ticket};

/// The number of a loaded handler in its interpreter's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TargetId(pub usize);

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
    /// Where the outcome goes; closed when the caller has gone.
    pub answer: Answer,
    /// Given back when the job is taken, also that of a call whose caller has gone: until then it takes up its place.
    pub slot: OwnedSemaphorePermit,
}

/// What a call holds, of which there is not without limit: for as long as somebody waits for it or it runs.
///
/// It lies in the [`Ticket`]. The worker that takes the call takes it over, and it ends with the job; when the caller goes
/// before that, it is given up at once, while the job still stands in the queue.
#[derive(Debug, Default)]
pub struct Freight {
    /// The whole body; not a part of the call, since it is gone once Python has its copy.
    pub body: Bytes,
    /// What is given back when the job ends.
    pub permits: Permits,
}

/// What the end of a job gives back.
#[derive(Debug, Default)]
pub struct Permits {
    /// The body's share of the byte budget: Python's copy lives until the job ends.
    pub bytes: Option<OwnedSemaphorePermit>,
    /// One of the jobs that a service may have, where it has a limit of its own.
    pub limit: Option<OwnedSemaphorePermit>,
}
