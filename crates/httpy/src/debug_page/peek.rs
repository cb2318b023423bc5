//! `Peek`: a request's body that passes by, and keeps its first bytes where they are to be shown.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// Maximum number of bytes kept.
const KEPT: usize = 2048;

/// What has passed by until now.
#[derive(Clone, Debug, Default)]
pub(super) struct Start(Arc<Mutex<Passed>>);

#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) first: Vec<u8>,
    pub(super) bytes: u64,
}

impl Start {
    pub(super) fn lock(&self) -> MutexGuard<'_, Passed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, data: &[u8]) {
        let mut passed = self.lock();
        let room = KEPT - passed.first.len();
        passed.first.extend(data.iter().take(room));
        passed.bytes += data.len() as u64;
    }
}

pin_project! {
    /// A body that is passed on unchanged, and inspected on the way if requested.
    pub(crate) struct Peek<B> {
        #[pin]
        body: B,
        start: Option<Start>,
    }
}

impl<B> Peek<B> {
    pub(super) fn new(body: B, start: Option<Start>) -> Self {
        Self { body, start }
    }
}

impl<B: Body<Data = Bytes>> Body for Peek<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(context));
        if let (Some(start), Some(Ok(frame))) = (this.start, &frame)
            && let Some(data) = frame.data_ref()
        {
            start.note(data);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test]
    async fn the_first_bytes_are_kept_and_all_are_counted() {
        let start = Start::default();
        let body = Peek::new(
            Full::new(Bytes::from(vec![b'a'; 5000])),
            Some(start.clone()),
        );
        assert_eq!(body.size_hint().exact(), Some(5000));
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 5000);
        let passed = start.lock();
        assert_eq!((passed.first.len(), passed.bytes), (KEPT, 5000));
    }
}
