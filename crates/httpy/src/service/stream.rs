//! `Streamed`: a reply's body in chunks, on its way from Python to the client: its clock, its heartbeat, its length, its end.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::SizeHint;
use httpy_core::{Broken, Chunks, ContractFailure, Fault, Heartbeat, Reader, Ticket};
use tokio::time::Instant;
use tracing::Span;

use super::service::Inner;
use super::timer::Timer;
use super::upload::Pump;
use crate::error::Kind;
use crate::{Error, log};

/// A call whose head is answered, while its body may still come. Dropped before the call has ended, it tells the handler that
/// its client has gone, and gives it `abandon_after` to end.
#[derive(Debug)]
pub(super) struct Open {
    service: Arc<Inner>,
    ticket: Arc<Ticket>,
    /// Kept for what Python logs until the body's end.
    span: Span,
    /// The executor was told to free its worker.
    interrupted: bool,
}

impl Open {
    pub(super) fn new(service: Arc<Inner>, ticket: Arc<Ticket>, span: Span) -> Self {
        Self {
            service,
            ticket,
            span,
            interrupted: false,
        }
    }

    /// Has the handler interrupted at once; false when it has ended.
    fn interrupt(&mut self) -> bool {
        self.interrupted =
            self.service
                .engine
                .executor
                .enforce(self.service.id, &self.ticket, true);
        self.interrupted
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Self {
            service,
            ticket,
            span,
            interrupted,
        } = self;
        service.engine.release(span, ticket);
        if ticket.is_done() {
            return;
        }
        ticket.set_gone(Instant::now().into_std());
        if *interrupted {
            return;
        }
        service.engine.executor.enforce(service.id, ticket, false);
    }
}

/// A body in chunks. Not whole before its end has come out.
#[derive(Debug)]
pub(super) struct Streamed {
    // Dropped before the reader: an iterator that is closed for want of one finds that its client has gone.
    open: Open,
    reader: Reader<Fault>,
    heartbeat: Option<Heartbeat>,
    /// As long as the handler has said that the body is.
    length: Option<u64>,
    /// What has come out of the reader.
    bytes: u64,
    /// The chunk with which the body is as long as it has to be, kept back until the iterator has ended: a server that has
    /// sent the whole length drops the body, and the iterator would be closed as if its client had left.
    last: Option<Bytes>,
    /// The request's body, which the handler may still read.
    pump: Option<Pump>,
    /// While a chunk is waited for: until there was none for too long.
    timer: Timer,
    /// Why the body breaks off, when that is known.
    fault: Option<Error>,
    ended: bool,
}

impl Streamed {
    pub(super) fn new(chunks: Chunks, length: Option<u64>, open: Open, pump: Option<Pump>) -> Self {
        let Chunks { reader, heartbeat } = chunks;
        // One more byte would be one too many.
        let heartbeat = heartbeat.filter(|_| length.is_none());
        let timer = Timer::default();
        Self {
            open,
            reader,
            heartbeat,
            length,
            bytes: 0,
            last: None,
            pump,
            timer,
            fault: None,
            ended: false,
        }
    }

    pub(super) fn is_end(&self) -> bool {
        let complete = self.length.is_none_or(|length| length == self.bytes) && self.last.is_none();
        self.ended || (self.reader.is_end() && complete)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let sent = self.bytes - self.last.as_ref().map_or(0, |chunk| chunk.len() as u64);
        self.length.map_or_else(SizeHint::default, |length| {
            SizeHint::with_exact(length.saturating_sub(sent))
        })
    }

    pub(super) fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(error) = self.fault.take() {
            self.ended = true;
            return Poll::Ready(Some(Err(error)));
        }
        match ready!(self.poll_next(context)) {
            Ok(next) => {
                self.ended = next.is_none();
                Poll::Ready(next.map(Ok))
            }
            Err(error) => {
                // A server forgets what it has not written when it hears of an error, and writes when it has to wait.
                self.fault = Some(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        // First, since Python may wait for it.
        if let Some(pump) = &mut self.pump {
            pump.poll(context);
        }
        loop {
            // Also where there is always one more chunk.
            if self.open.service.engine.gate.is_forced() {
                return Poll::Ready(Err(Error::shutting_down()));
            }
            match self.reader.poll_next(context) {
                Poll::Ready(Some(Ok(chunk))) => {
                    self.timer.clear();
                    self.bytes += chunk.len() as u64;
                    if self.length != Some(self.bytes) {
                        let wrong = self.length.is_some_and(|length| self.bytes > length);
                        return Poll::Ready(self.check(wrong, Some(chunk)));
                    }
                    self.last = Some(chunk);
                    continue;
                }
                Poll::Ready(None) => {
                    let last = self.last.take();
                    return Poll::Ready(
                        self.check(self.length.is_some_and(|length| self.bytes < length), last),
                    );
                }
                Poll::Ready(Some(Err(broken))) => return Poll::Ready(Err(self.broken(broken))),
                Poll::Pending => {}
            }
            ready!(self.poll_wait(context))?;
            self.timer.clear();
            if let Some(Heartbeat { bytes, .. }) = &self.heartbeat {
                return Poll::Ready(Ok(Some(bytes.clone())));
            }
            if self.open.ticket.is_stopped() {
                // A debugger waits in the handler.
                continue;
            }
            if self.open.interrupt() {
                let (target, limit) = (
                    &self.open.service.target,
                    self.open.ticket.clocks.chunk_timeout,
                );
                let text = format!("{target} did not yield a chunk within {limit:?}");
                return Poll::Ready(Err(Error::new(Kind::Deadline, text)));
            }
            // It has ended at this moment, and what it has still written comes out.
        }
    }

    /// Ready when no chunk came for as long as may be.
    fn poll_wait(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let (open, heartbeat) = (&self.open, self.heartbeat.as_ref());
        let until = || {
            Instant::now() + heartbeat.map_or(open.ticket.clocks.chunk_timeout, |beat| beat.every)
        };
        self.timer.poll(&open.service.engine.gate, context, until)
    }

    /// `next`, unless the body is not as long as it has to be.
    fn check(&self, wrong: bool, next: Option<Bytes>) -> Result<Option<Bytes>, Error> {
        let Some(length) = self.length.filter(|_| wrong) else {
            return Ok(next);
        };
        let failure = match next {
            Some(_) => ContractFailure::stream_too_long(length),
            None => ContractFailure::stream_too_short(length, self.bytes),
        };
        let target = &self.open.service.target;
        let error = Error::contract(target, &failure);
        let subject = self.open.ticket.call.subject();
        log::failure(target, Some(&subject), &error);
        Err(error)
    }

    /// The error of a body that has no end. The log has it.
    fn broken(&self, broken: Broken<Fault>) -> Error {
        let target = &self.open.service.target;
        let Broken::Failed(fault) = broken else {
            return Error::new(
                Kind::Internal,
                format!("the worker that ran {target} was lost"),
            );
        };
        match fault {
            Fault::Raised(exception) => Error::raised(target, exception),
            Fault::Contract(failure) => Error::contract(target, &failure),
            Fault::Panicked(text) => Error::panicked(target, &text),
            Fault::Crashed(text) => Error::worker_died(target, &text),
            Fault::Upload(fault) => Error::upload(fault),
            Fault::Interrupted => Error::new(Kind::Deadline, format!("{target} was interrupted")),
            Fault::Stalled => {
                let limit = self.open.ticket.clocks.chunk_timeout;
                Error::new(
                    Kind::Stalled,
                    format!("the client of {target} has read nothing for {limit:?}"),
                )
            }
        }
    }
}
