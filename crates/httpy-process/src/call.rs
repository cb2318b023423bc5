//! `Call`: one call that a worker was sent and has not answered: who waits for it, what it holds, and how far its streams are.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::Bytes;
use httpy_core::frame::PART;
use httpy_core::{
    Answer, Broken, Chunks, Content, Fault, Freight, Heartbeat, Job, Kind, Outcome, Permits,
    Reader, STREAM_BYTES, TargetId, Ticket, Upload, UploadFault, Writer, stream, weight,
};
use tokio::sync::OwnedSemaphorePermit;

/// A job that waits for a worker.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) target: TargetId,
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) answer: Answer,
    /// Its place in the queue; none where it was sent once, and has come back.
    pub(crate) slot: Option<OwnedSemaphorePermit>,
}

impl From<Job> for Waiting {
    fn from(
        Job {
            target,
            ticket,
            answer,
            slot,
        }: Job,
    ) -> Self {
        Self {
            target,
            ticket,
            answer,
            slot: Some(slot),
        }
    }
}

/// A call that a worker was sent.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) target: TargetId,
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) progress: Progress,
    pub(crate) permits: Permits,
    pub(crate) body: Body,
    /// What has come of the reply's body before the reply.
    pub(crate) ahead: Vec<Bytes>,
    pub(crate) sent: Instant,
    /// The worker was told that nobody waits for it.
    pub(crate) cancelled: bool,
    /// The worker was told that the client of this application's call has left.
    pub(crate) left: bool,
    /// Its client was answered, and it was interrupted: what it ends with is the deadline's doing.
    pub(crate) interrupted: bool,
}

/// Who waits, and for what.
#[derive(Debug)]
pub(crate) enum Progress {
    /// For the outcome, or the head.
    Open(Answer),
    /// For the rest of the body.
    Streaming(Box<Sending>),
    /// For nothing any more.
    Closed,
}

/// A reply's body on its way.
#[derive(Debug)]
pub(crate) struct Sending {
    writer: Writer<Fault>,
    /// Woken when there is room.
    waker: Waker,
    /// Python has a limited time for each chunk.
    pub(crate) limited: bool,
    /// What has come and was not acknowledged.
    owed: usize,
    /// Since when there has been no room.
    pub(crate) full_since: Option<Instant>,
}

/// A request's body.
#[derive(Debug)]
pub(crate) enum Body {
    /// Sent, or about to be; kept for the case that the call never begins.
    Whole(Bytes),
    /// Sent as it comes.
    Stream(Receiving),
}

/// A request's body on its way.
#[derive(Debug)]
pub(crate) struct Receiving {
    reader: Reader<UploadFault>,
    /// Woken when there is something.
    waker: Waker,
    /// What was sent and not read yet.
    unread: usize,
    /// What was sent while nothing was read: so long the call may not have begun, and be put back.
    sent: Vec<Bytes>,
    has_begun: bool,
    /// What did not go into a message.
    rest: Bytes,
    /// There is no more to send, and why, where that is no end.
    over: Option<Result<(), UploadFault>>,
}

/// What is next of a request's body: a chunk, the end, or why there is no more.
pub(crate) type Next = Result<Option<Bytes>, UploadFault>;

impl Call {
    /// The head of a reply is there, whose body is a stream from now on: what it is answered with. The waker is woken when
    /// there is room.
    pub(crate) fn begin_stream(
        &mut self,
        head: Outcome,
        heartbeat: Option<Heartbeat>,
        now: Instant,
        waker: Waker,
    ) -> Option<(Answer, Outcome)> {
        self.ticket.begin_chunks(heartbeat.is_none(), now);
        let (writer, reader) = stream(STREAM_BYTES);
        let sending = Sending {
            writer,
            waker,
            limited: heartbeat.is_none(),
            owed: 0,
            full_since: None,
        };
        let before = mem::replace(&mut self.progress, Progress::Streaming(Box::new(sending)));
        let Progress::Open(answer) = before else {
            return None;
        };
        let body = Content::Stream(Chunks { reader, heartbeat });
        Some((answer, head.with_body(body)))
    }

    /// Marks it as answered, and returns who waited for its reply.
    pub(crate) fn set_answered(&mut self) -> Progress {
        self.ticket.set_answered();
        // Before the client has its answer: it finds the limits given back.
        self.permits = Permits::default();
        self.body = Body::Whole(Bytes::new());
        mem::replace(&mut self.progress, Progress::Closed)
    }

    /// Whether it is an application's whose client has left. What it ends with then is no failure.
    pub(crate) fn was_left(&self) -> bool {
        self.target.interface.kind == Kind::Asgi && self.ticket.is_gone()
    }

    /// From now on Python has its time for one more chunk, or as long as it likes.
    pub(crate) fn begin_chunk(&self, now: Instant) {
        if let Progress::Streaming(sending) = &self.progress {
            self.ticket.begin_chunk(sending.limited, now);
        }
    }

    /// The stream of its reply, once its head is answered.
    pub(crate) fn sending(&mut self) -> Option<&mut Sending> {
        match &mut self.progress {
            Progress::Streaming(sending) => Some(sending),
            Progress::Open(_) | Progress::Closed => None,
        }
    }

    /// The job as it was before it was sent; none when nobody waits for it.
    pub(crate) fn put_back(self) -> Option<Waiting> {
        let Self {
            target,
            ticket,
            progress: Progress::Open(answer),
            permits,
            body,
            ..
        } = self
        else {
            return None;
        };
        let body = match body {
            Body::Whole(whole) => Upload::Whole(whole),
            Body::Stream(receiving) => match receiving.put_back() {
                Ok(reader) => Upload::Stream(reader),
                Err(fault) => {
                    ticket.finish();
                    drop((ticket, permits));
                    // Fails where nobody waits any more.
                    drop(answer.send(Outcome::Upload(fault)));
                    return None;
                }
            },
        };
        if answer.is_closed() || !ticket.put_back(Freight { body, permits }) {
            ticket.finish();
            return None;
        }
        Some(Waiting {
            target,
            ticket,
            answer,
            slot: None,
        })
    }
}

impl Sending {
    /// Takes a chunk: what is to be acknowledged at once; none when nobody wants any more.
    pub(crate) fn chunk(&mut self, chunk: Bytes, now: Instant) -> Option<usize> {
        self.owed += chunk.len();
        if self.writer.write(chunk).ok()? {
            // Not for each small chunk: the other side has more left than is kept back here.
            return Some(if self.owed >= STREAM_BYTES / 4 {
                mem::take(&mut self.owed)
            } else {
                0
            });
        }
        self.full_since.get_or_insert(now);
        self.room()
    }

    /// There may be room again: what is to be acknowledged; none when nobody wants any more.
    pub(crate) fn room(&mut self) -> Option<usize> {
        match self
            .writer
            .poll_ready(&mut Context::from_waker(&self.waker))
        {
            Poll::Pending => Some(0),
            Poll::Ready(Ok(())) => {
                self.full_since = None;
                Some(mem::take(&mut self.owed))
            }
            Poll::Ready(Err(_)) => None,
        }
    }

    /// The body is complete, or breaks off.
    pub(crate) fn end(self, fault: Option<Fault>) {
        match fault {
            Some(fault) => self.writer.fail(fault),
            None => self.writer.end(),
        }
    }
}

impl Receiving {
    /// The waker is woken when there is something.
    pub(crate) fn new(reader: Reader<UploadFault>, waker: Waker) -> Self {
        Self {
            reader,
            waker,
            unread: 0,
            sent: Vec::new(),
            has_begun: false,
            rest: Bytes::new(),
            over: None,
        }
    }

    /// What is next, in chunks of [`PART`] at most; pending while there is nothing, or no room, and for ever after the end. What
    /// makes room is [`read`](Self::read).
    pub(crate) fn poll_next(&mut self) -> Poll<Next> {
        if self.unread >= STREAM_BYTES || self.over.is_some() {
            return Poll::Pending;
        }
        if self.rest.is_empty() {
            let end = match ready!(self.reader.poll_next(&mut Context::from_waker(&self.waker))) {
                Some(Ok(chunk)) => {
                    self.rest = chunk;
                    None
                }
                None => Some(Ok(())),
                Some(Err(Broken::Failed(fault))) => Some(Err(fault)),
                Some(Err(Broken::Dropped)) => Some(Err(UploadFault {
                    status: 400,
                    text: "the client has gone".to_owned(),
                })),
            };
            if let Some(end) = end {
                self.over = Some(end.clone());
                return Poll::Ready(end.map(|()| None));
            }
        }
        let chunk = self.rest.split_to(self.rest.len().min(PART));
        self.unread += weight(&chunk);
        if !self.has_begun {
            self.sent.push(chunk.clone());
        }
        Poll::Ready(Ok(Some(chunk)))
    }

    /// The handler has read so much; false when that is more than it was sent.
    pub(crate) fn read(&mut self, bytes: usize) -> bool {
        self.has_begun = true;
        self.sent = Vec::new();
        match self.unread.checked_sub(bytes) {
            Some(unread) => {
                self.unread = unread;
                true
            }
            None => false,
        }
    }

    /// The reader as it was before anything was sent.
    ///
    /// # Errors
    ///
    /// Why there is no more, where that was found out already.
    fn put_back(self) -> Result<Reader<UploadFault>, UploadFault> {
        let Self {
            mut reader,
            sent,
            rest,
            over,
            ..
        } = self;
        over.unwrap_or(Ok(()))?;
        for chunk in std::iter::once(rest).chain(sent.into_iter().rev()) {
            reader.put_back(chunk);
        }
        Ok(reader)
    }
}
