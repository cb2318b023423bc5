//! `Collect`: reads a request's body whole, within the limit for one and the budget for all.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::BoxError;

use super::debug_page::BodyStart;
use crate::Error;
use crate::error::Kind;

/// Frames below this size are copied.
const SMALL: usize = 4096;

/// The bytes that all bodies together may take up while they are read, wait, or are worked on.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    free: Arc<Semaphore>,
    all: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(bytes)),
            all: bytes,
        }
    }

    /// How much there is.
    pub(crate) const fn all(&self) -> usize {
        self.all
    }

    /// How much of it is taken.
    pub(crate) fn held(&self) -> usize {
        self.all - self.free.available_permits()
    }

    fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free)
            .try_acquire_many_owned(u32::try_from(bytes).ok()?)
            .ok()
    }
}

pin_project! {
    /// A body on its way in.
    pub(super) struct Collect<B> {
        #[pin]
        body: B,
        // A body of one frame, the usual one, is passed on without a copy.
        first: Bytes,
        rest: BytesMut,
        limit: usize,
        budget: Budget,
        held: Option<OwnedSemaphorePermit>,
        start: Option<BodyStart>,
    }
}

impl<B> Collect<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// # Errors
    ///
    /// If the body declares a size above the limit; nothing of it is read then.
    pub(super) fn new(
        body: B,
        limit: usize,
        budget: Budget,
        start: Option<BodyStart>,
    ) -> Result<Self, Error> {
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large(limit));
        }
        Ok(Self {
            body,
            first: Bytes::new(),
            rest: BytesMut::new(),
            limit,
            budget,
            held: None,
            start,
        })
    }

    /// The body and its share of the budget. Trailers are dropped.
    pub(super) fn poll(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(Bytes, Option<OwnedSemaphorePermit>), Error>> {
        let mut this = self.project();
        loop {
            let data = match ready!(this.body.as_mut().poll_frame(context)) {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Err(broken(error.into()))),
                None => {
                    let body = if this.rest.is_empty() {
                        this.first.split_off(0)
                    } else {
                        this.rest.split().freeze()
                    };
                    return Poll::Ready(Ok((body, this.held.take())));
                }
            };
            if data.is_empty() {
                continue;
            }
            if let Some(start) = this.start {
                start.note(&data);
            }
            let so_far = this.first.len().max(this.rest.len());
            if data.len() > *this.limit - so_far {
                return Poll::Ready(Err(too_large(*this.limit)));
            }
            match (this.budget.take(data.len()), this.held.as_mut()) {
                (None, _) => {
                    let text = "the budget for the bodies of all requests together is spent";
                    return Poll::Ready(Err(Error::new(Kind::Overloaded, text)));
                }
                (Some(permit), Some(held)) => held.merge(permit),
                (Some(permit), None) => *this.held = Some(permit),
            }
            if so_far == 0 {
                *this.first = compact(data);
            } else {
                if this.rest.is_empty() {
                    this.rest.extend_from_slice(this.first);
                }
                this.rest.extend_from_slice(&data);
            }
        }
    }
}

/// A small frame is a piece of a large buffer of the server's, which it would keep alive.
pub(super) fn compact(data: Bytes) -> Bytes {
    if data.len() < SMALL {
        Bytes::copy_from_slice(&data)
    } else {
        data
    }
}

pub(super) fn too_large(limit: usize) -> Error {
    Error::new(
        Kind::BodyTooLarge,
        format!("the request's body is over the limit of {limit} bytes"),
    )
}

/// A body that ended with an error: the client's connection, or a limit that a layer around us set.
pub(super) fn broken(error: BoxError) -> Error {
    let mut causes = std::iter::successors(
        Some(&*error as &(dyn std::error::Error + 'static)),
        |error| error.source(),
    );
    if causes.any(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>) {
        return Error::new(
            Kind::BodyTooLarge,
            "the request's body is over the limit that a layer set",
        );
    }
    Error::with_source(Kind::BodyBroken, "the request's body broke off", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
    use std::convert::Infallible;

    fn frames(frames: &[&'static [u8]]) -> BoxBody<Bytes, Infallible> {
        let frames: Vec<_> = frames
            .iter()
            .map(|data| Ok(http_body::Frame::data(Bytes::from_static(data))))
            .collect();
        BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)))
    }

    async fn collect(
        body: BoxBody<Bytes, Infallible>,
        limit: usize,
        budget: &Budget,
    ) -> Result<Bytes, Error> {
        let mut collect = std::pin::pin!(Collect::new(body, limit, budget.clone(), None)?);
        std::future::poll_fn(|context| collect.as_mut().poll(context))
            .await
            .map(|(body, _)| body)
    }

    #[tokio::test]
    async fn frames_are_joined_up_to_the_limit() {
        let budget = Budget::new(100);
        assert_eq!(
            collect(frames(&[b"ab", b"", b"c", b"de"]), 5, &budget)
                .await
                .unwrap(),
            "abcde"
        );
        assert_eq!(collect(frames(&[]), 5, &budget).await.unwrap(), "");
        assert!(
            collect(frames(&[b"abc", b"def"]), 5, &budget)
                .await
                .unwrap_err()
                .is_body_too_large()
        );
    }

    #[tokio::test]
    async fn a_body_that_says_it_is_too_long_is_not_read() {
        let body = BodyExt::boxed(Full::new(Bytes::from_static(b"abcdef")));
        assert!(
            collect(body, 5, &Budget::new(100))
                .await
                .unwrap_err()
                .is_body_too_large()
        );
    }

    #[tokio::test]
    async fn a_spent_budget_is_an_overload_and_comes_back() {
        let budget = Budget::new(4);
        assert!(
            collect(frames(&[b"abc", b"de"]), 10, &budget)
                .await
                .unwrap_err()
                .is_overloaded()
        );
        assert_eq!(
            collect(frames(&[b"ab", b"cd"]), 10, &budget).await.unwrap(),
            "abcd"
        );
    }
}
