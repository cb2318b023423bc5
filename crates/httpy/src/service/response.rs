//! From an `Outcome` to a reply; `ResponseBody`.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Method;
use http_body::{Body, Frame, SizeHint};
use httpy_core::{Outcome, Reply};
use tower::BoxError;

use super::stream::Streamed;
use super::upload;
use crate::Error;

/// The body of a response from Python: whole, or in chunks where the handler returned an iterator.
///
/// One in chunks has a length only where the handler gave a `Content-Length`. It fails, with an [`Error`] in the
/// [`BoxError`], where it cannot come to its end: the iterator raised, yielded something that is no chunk, or took longer
/// than [`chunk_timeout`](crate::PyService::with_chunk_timeout); it is not as long as its `Content-Length`; the client took
/// nothing for too long; the app was forced to stop. The server then aborts the connection, so that the client can tell. A
/// whole body never fails.
///
/// # Cancellation
///
/// Dropped before its end, it tells the handler that the client has gone (`httpy_rs.client_gone()`); the iterator is closed at
/// its next chunk, and interrupted when it does not come to that within `chunk_timeout`.
///
/// # Panics
///
/// One in chunks needs a tokio runtime with its timer.
#[derive(Debug, Default)]
pub struct ResponseBody {
    content: Outgoing,
}

#[derive(Debug)]
enum Outgoing {
    Whole(Bytes),
    Stream(Box<Streamed>),
}

impl Default for Outgoing {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl ResponseBody {
    pub(super) fn stream(streamed: Streamed) -> Self {
        Self {
            content: Outgoing::Stream(Box::new(streamed)),
        }
    }
}

impl<T: Into<Bytes>> From<T> for ResponseBody {
    /// A whole body.
    fn from(whole: T) -> Self {
        Self {
            content: Outgoing::Whole(whole.into()),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.content {
            Outgoing::Whole(whole) => {
                let whole = std::mem::take(whole);
                Poll::Ready((!whole.is_empty()).then(|| Ok(Frame::data(whole))))
            }
            Outgoing::Stream(streamed) => streamed
                .poll_chunk(context)
                .map(|next| Some(next?.map(Frame::data).map_err(BoxError::from))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Outgoing::Whole(whole) => whole.is_empty(),
            Outgoing::Stream(streamed) => streamed.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Outgoing::Whole(whole) => SizeHint::with_exact(whole.len() as u64),
            Outgoing::Stream(streamed) => streamed.size_hint(),
        }
    }
}

/// Judges what became of a call of `target`.
///
/// # Errors
///
/// Everything but a reply that keeps the contract.
pub(crate) fn judge(target: &str, method: &Method, outcome: Outcome) -> Result<Reply, Error> {
    match outcome {
        Outcome::Returned(returned) => returned
            .check(method)
            .map_err(|failure| Error::contract(target, &failure)),
        Outcome::Contract(failure) => Err(Error::contract(target, &failure)),
        Outcome::Raised(exception) => Err(Error::raised(target, exception)),
        Outcome::Upload(fault) => Err(upload::error(fault)),
        Outcome::Panicked(text) => Err(Error::panicked(target, &text)),
        Outcome::Crashed(text) => Err(Error::worker_died(target, &text)),
    }
}
