//! `ResponseBody`: the body of a response from Python, whole or in chunks.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower::BoxError;

use super::stream::Streamed;

/// The body of a response from Python: whole, or in chunks if the handler returned an iterator.
///
/// A body in chunks has a length only if the handler set `Content-Length`. It fails with an [`Error`](crate::Error) in the
/// [`BoxError`] if:
///
/// - the iterator raises, yields something else than a chunk, or takes longer than
///   [`chunk_timeout`](crate::PyService::with_chunk_timeout);
/// - it is shorter or longer than its `Content-Length`;
/// - the client takes nothing for too long, or the grace period of a shutdown ends.
///
/// The server then aborts the connection, so that the client notices. A whole body never fails.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use http_body::Body;
/// use http_body_util::BodyExt;
/// use httpy::ResponseBody;
///
/// let body = ResponseBody::from("a report");
/// assert_eq!(body.size_hint().exact(), Some(8));
/// let bytes = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
/// assert_eq!(bytes, "a report");
/// # Ok(()) }
/// ```
///
/// # Cancellation
///
/// If the body is dropped before its end, the handler learns that the client has left (`httpy_rs.client_gone()`). The iterator
/// is closed at its next chunk, or interrupted after `chunk_timeout`.
///
/// # Panics
///
/// A body in chunks needs a tokio runtime with its timer.
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
