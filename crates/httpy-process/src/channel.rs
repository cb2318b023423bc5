//! `Channel`: one socket to a worker, with what has arrived and is not a whole frame yet, and what is still to be written.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use httpy_core::frame::{Batch, FrameError, Payload, cut};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::UnixStream;

/// So much is read at once.
const READ: usize = 64 * 1024;

/// Once so much waits to be written, what is large waits before it becomes a message.
const FULL: usize = 256 * 1024;

/// One socket to a worker. Frames go through it in both directions.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: UnixStream,
    arrived: BytesMut,
    /// Messages for the next write.
    batch: Batch,
    /// What a write has left over, from `written` on: its frames take no more messages.
    rest: Vec<u8>,
    written: usize,
}

impl Channel {
    pub(crate) fn new(stream: UnixStream, arrived: BytesMut) -> Self {
        Self {
            stream,
            arrived,
            batch: Batch::new(),
            rest: Vec::new(),
            written: 0,
        }
    }

    /// Ready when something has arrived, with false at the end; else the task is woken then.
    ///
    /// # Errors
    ///
    /// What the system says of a socket that is broken.
    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.arrived.capacity() - self.arrived.len() < READ / 4 {
            self.arrived.reserve(READ);
        }
        let read = ready!(pin!(self.stream.read_buf(&mut self.arrived)).poll(context));
        Poll::Ready(read.map(|bytes| bytes > 0))
    }

    /// Reads what there is now; false when there is no more of it. For data that is known to be there: what has arrived in this
    /// moment is not known to the runtime yet, so that [`poll_read`](Self::poll_read) would not find it.
    pub(crate) fn read_now(&mut self) -> bool {
        let mut piece = [0; 4096];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.stream, &mut piece[..])) {
            Ok(bytes @ 1..) => {
                self.arrived.extend_from_slice(&piece[..bytes]);
                true
            }
            _ => false,
        }
    }

    /// The next frame of what has arrived.
    ///
    /// # Errors
    ///
    /// A length that no frame has: nothing that follows can be read.
    pub(crate) fn next(&mut self) -> Result<Option<Payload>, FrameError> {
        cut(&mut self.arrived)
    }

    /// Where messages for the next write go.
    pub(crate) fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Whether what is large has to wait until some of this is written.
    pub(crate) fn is_full(&self) -> bool {
        self.rest.len() - self.written + self.batch.as_bytes().len() >= FULL
    }

    /// Writes what there is. Ready when all of it is written; else the task is woken when there is room.
    ///
    /// # Errors
    ///
    /// What the system says of a socket that is broken.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.written < self.rest.len() {
                let written =
                    Pin::new(&mut self.stream).poll_write(context, &self.rest[self.written..]);
                self.written += ready!(written)?;
                continue;
            }
            self.rest = Vec::new();
            self.written = 0;
            if self.batch.is_empty() {
                return Poll::Ready(Ok(()));
            }
            // While nothing of a frame is written, it may take more messages.
            let written =
                ready!(Pin::new(&mut self.stream).poll_write(context, self.batch.as_bytes()))?;
            if written == self.batch.as_bytes().len() {
                self.batch.clear();
            } else {
                (self.rest, self.written) = (self.batch.take(), written);
            }
        }
    }
}
