//! `Job`: what a worker takes: a call, how to answer it, and the permits that end with it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{Outcome, Ticket};

/// The number of a loaded handler in its interpreter's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TargetId(pub usize);

/// One call with everything that must end when it ends.
///
/// Permits travel here and not in the response future: after a deadline the handler may still run, and the limits
/// must not lie just then.
#[derive(Debug)]
pub struct Job {
    /// Which handler to call.
    pub target: TargetId,
    /// The call, shared with the response future.
    pub ticket: Arc<Ticket>,
    /// The whole body; not a part of the call, since it is gone once Python has its copy.
    pub body: Bytes,
    /// Where the outcome goes; closed when the caller has gone.
    pub answer: oneshot::Sender<Outcome>,
    /// Given back when the job is taken.
    pub slot: OwnedSemaphorePermit,
    /// The body's share of the byte budget, given back when the job ends: Python's copy lives until then.
    pub bytes: Option<OwnedSemaphorePermit>,
}
