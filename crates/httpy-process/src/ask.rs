//! `Ask`: what a worker was asked on its control socket, and who waits for the answer.

use std::sync::mpsc::SyncSender;

use httpy_core::{Lane, LoadError, LoadErrorKind, Notice, TargetId};

use crate::deed::Routes;

/// What a worker was asked.
#[derive(Debug)]
pub(crate) enum Ask {
    /// To load a handler that no worker has yet; the others follow.
    LoadFirst {
        target: String,
        reply: SyncSender<Result<TargetId, LoadError>>,
    },
    /// To load a handler, as others have.
    Load {
        target: String,
        id: TargetId,
    },
    Init(SyncSender<Result<Routes, LoadError>>),
    /// To load a shutdown function; the others follow the one that has somebody to tell.
    LoadShutdown {
        target: String,
        reply: Option<SyncSender<Result<(), LoadError>>>,
    },
    Examine(SyncSender<Result<String, LoadError>>),
    /// For the stacks of its calls, for whoever gathers them under this number.
    Stacks(u64),
    /// For its figures, likewise.
    Figures(u64),
    /// For the stack of the call of this number, which belongs to a notice.
    Stack {
        lane: Lane,
        id: u64,
        notice: Box<Notice>,
    },
    /// To have its event loop come round.
    Round,
    /// What keeps its event loop.
    Blocked,
    /// To end.
    ShutDown,
}

/// Why nobody has answered.
pub(crate) fn gone() -> LoadError {
    internal("the worker process died while it was asked")
}

pub(crate) fn internal(message: impl Into<String>) -> LoadError {
    LoadError {
        kind: LoadErrorKind::Internal,
        message: message.into(),
        exception: None,
    }
}

impl Ask {
    /// Tells whoever waits for it why there is no answer. What belongs to a log or to a gathering comes back.
    pub(crate) fn fail(self, error: LoadError) -> Option<Self> {
        // Whoever waited may have gone.
        match self {
            Self::LoadFirst { reply, .. } => drop(reply.try_send(Err(error))),
            Self::Init(reply) => drop(reply.try_send(Err(error))),
            Self::LoadShutdown {
                reply: Some(reply), ..
            } => drop(reply.try_send(Err(error))),
            Self::Examine(reply) => drop(reply.try_send(Err(error))),
            other => return Some(other),
        }
        None
    }
}
