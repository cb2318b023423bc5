//! What goes to a worker: jobs and bodies on its lanes, and all that is said about them on its control socket.

use std::mem;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use httpy_core::frame::{
    Batch, Command, Feed, JobBody, JobMessage, Order, PART, Question, TooLong, write_part,
};
use httpy_core::{BodyMode, Freight, Kind, Lane, Outcome, Upload};

use crate::after::After;
use crate::ask::Ask;
use crate::call::{Body, Call, Progress, Receiving, Waiting};
use crate::hub::Place;
use crate::reply::end;
use crate::traffic::{LANES, index};
use crate::worker::Worker;

impl Worker {
    /// Sends a job, unless nobody waits for it. What cannot be sent is answered.
    pub(crate) fn send(&mut self, waiting: Waiting, now: Instant, after: &mut After) {
        let Waiting {
            target,
            ticket,
            answer,
            slot,
        } = waiting;
        drop(slot);
        // The order matters: a call that nobody waits for any more must not count as taken.
        if answer.is_closed() || !ticket.take(self.seat) {
            return;
        }
        ticket.stamp_taken(now, Duration::ZERO);
        let Freight { body, permits } = ticket.unload();
        let lane = target.lane();
        let traffic = &mut self.lanes[index(lane)];
        if traffic.calls.is_empty() {
            traffic.answered = now;
        }
        let number = traffic.number();
        let place = Place {
            worker: self.id,
            lane,
            id: number,
        };
        let body = match body {
            Upload::Whole(whole) => Body::Whole(whole),
            Upload::Stream(reader) => Body::Stream(Receiving::new(reader, self.hub.waker(place))),
        };
        let call = Call {
            target,
            ticket,
            progress: Progress::Open(answer),
            permits,
            body,
            ahead: Vec::new(),
            sent: now,
            cancelled: false,
            left: false,
            interrupted: false,
        };
        match &call.body {
            Body::Whole(whole) if whole.len() > PART => {
                traffic.ahead.push_back((number, whole.clone()));
            }
            _ => {
                if let Err(too_long) = write(traffic.channel.batch(), number, &call, now) {
                    return end(call, Outcome::Panicked(too_long), after);
                }
            }
        }
        self.has_spans |= call.ticket.call.details.span.is_some();
        traffic.calls.insert(number, call);
        self.upload(lane, number);
    }

    /// Writes what there is, as far as there is room.
    pub(crate) fn write(&mut self, context: &mut Context<'_>, now: Instant, after: &mut After) {
        loop {
            self.send_ahead(now, after);
            self.flush(context);
            // Where a socket has taken all, nobody wakes this task for what is left.
            if self
                .lanes
                .iter()
                .all(|traffic| traffic.ahead.is_empty() || traffic.channel.is_full())
            {
                return;
            }
        }
    }

    /// Puts parts of large bodies into the next write, by turns; the job behind its last part.
    fn send_ahead(&mut self, now: Instant, after: &mut After) {
        for lane in LANES {
            let traffic = &mut self.lanes[index(lane)];
            while !traffic.ahead.is_empty() && !traffic.channel.is_full() {
                let Some((number, mut rest)) = traffic.ahead.pop_front() else {
                    break;
                };
                let part = rest.split_to(rest.len().min(PART));
                // It is small enough.
                let _ = write_part(traffic.channel.batch(), number, &part);
                if !rest.is_empty() {
                    traffic.ahead.push_back((number, rest));
                    continue;
                }
                // One whose worker was told in the meantime that nobody waits is sent all the same, as it was announced.
                let Some(call) = traffic.calls.get(&number) else {
                    continue;
                };
                if let Err(too_long) = write(traffic.channel.batch(), number, call, now)
                    && let Some(call) = traffic.calls.remove(&number)
                {
                    end(call, Outcome::Panicked(too_long), after);
                    return;
                }
            }
        }
    }

    /// Tells the worker something on the control socket.
    pub(crate) fn command(&mut self, command: &Command<'_>) {
        // Nothing of what is said there is anywhere near the limit of a frame.
        let _ = self.control.batch().add(|writer| command.write(writer));
    }

    /// Asks the worker something; `ask` says what is to become of the answer.
    pub(crate) fn ask(&mut self, ask: Ask, question: Question<'_>) {
        self.last_ask += 1;
        self.asks.insert(self.last_ask, ask);
        self.command(&Command::Ask {
            seq: self.last_ask,
            question,
        });
    }

    fn order(&mut self, lane: Lane, id: u64, order: Order<'_>) {
        self.command(&Command::Job { lane, id, order });
    }

    /// Nobody waits for a call any more: the worker is told, once.
    pub(crate) fn cancel(&mut self, lane: Lane, id: u64) {
        if let Some(call) = self.lanes[index(lane)].calls.get_mut(&id)
            && !call.cancelled
        {
            call.cancelled = true;
            self.order(lane, id, Order::Cancel);
        }
    }

    /// Nobody wants the reply of a call any more, or the rest of it: a handler is cancelled, and an application learns that its
    /// client has left.
    pub(crate) fn leave(&mut self, lane: Lane, id: u64) {
        match self.lanes[index(lane)].calls.get_mut(&id) {
            Some(call) if call.target.interface.kind == Kind::Asgi => {
                if !mem::replace(&mut call.left, true) {
                    self.order(lane, id, Order::Left);
                }
            }
            _ => self.cancel(lane, id),
        }
    }

    /// The handler of a call is interrupted; what it ends with then is the deadline's doing.
    pub(crate) fn interrupt(&mut self, lane: Lane, id: u64) {
        if let Some(call) = self.lanes[index(lane)].calls.get_mut(&id) {
            call.interrupted = true;
            self.order(lane, id, Order::Interrupt);
        }
    }

    /// So much of a reply's body was taken; none where nobody wants any more.
    pub(crate) fn acknowledge(&mut self, lane: Lane, id: u64, taken: Option<usize>) {
        match taken {
            Some(0) => {}
            Some(bytes) => self.order(lane, id, Order::Credit(bytes as u64)),
            None => self.leave(lane, id),
        }
    }

    /// Sends what has come of a request's body, as far as there is room.
    pub(crate) fn upload(&mut self, lane: Lane, id: u64) {
        let Some(Call {
            body: Body::Stream(receiving),
            ..
        }) = self.lanes[index(lane)].calls.get_mut(&id)
        else {
            return;
        };
        while let Poll::Ready(next) = receiving.poll_next() {
            let feed = match &next {
                Ok(Some(chunk)) => Feed::Chunk(chunk),
                Ok(None) => Feed::End,
                Err(fault) => Feed::Fault(fault),
            };
            let command = Command::Job {
                lane,
                id,
                order: Order::Upload(feed),
            };
            let _ = self.control.batch().add(|writer| command.write(writer));
        }
    }

    fn flush(&mut self, context: &mut Context<'_>) {
        for channel in self
            .lanes
            .iter_mut()
            .map(|traffic| &mut traffic.channel)
            .chain([&mut self.control])
        {
            // Where that fails, reading tells of the end.
            let _ = channel.poll_flush(context);
        }
        let under_way = self.under_way();
        if self.tally.under_way.swap(under_way, Ordering::Relaxed) != under_way {
            self.tally.look();
        }
    }
}

/// # Errors
///
/// In words, when there is more of it than a frame holds.
fn write(batch: &mut Batch, id: u64, call: &Call, now: Instant) -> Result<(), String> {
    let body = match &call.body {
        Body::Stream(_) => JobBody::Stream,
        Body::Whole(whole) if whole.len() > PART => JobBody::Ahead,
        Body::Whole(whole) if call.target.interface.body == BodyMode::Text => JobBody::Text(whole),
        Body::Whole(whole) => JobBody::Bytes(whole),
    };
    let ticket = &call.ticket;
    let job = JobMessage {
        id,
        handler: call.target.index,
        kind: call.target.interface.kind,
        call: &ticket.call,
        body,
        left: ticket.clocks.deadline.saturating_duration_since(now),
        wants_timings: ticket.are_timings_wanted(),
        chunk_timeout: ticket.clocks.chunk_timeout,
    };
    batch
        .add(|writer| job.write(writer))
        .map_err(|error: TooLong| format!("its call is {error}"))
}
