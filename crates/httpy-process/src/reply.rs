//! What a worker says of its calls, on its lanes. It is judged here: whatever no worker sends ends the connection.

use std::mem;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use httpy_core::frame::{AppHead, FrameError, Head, Kind, Message, PART, Payload, Times};
use httpy_core::{
    Content, ContractFailure, Exception, Fault, Lane, Late, Outcome, RawReply, Returned,
};

use crate::after::After;
use crate::call::{Call, Progress};
use crate::handover::Reason;
use crate::hub::Place;
use crate::traffic::{LANES, Traffic, index};
use crate::worker::Worker;

/// A body that comes back in parts is so long at most.
const MOST_BODY: usize = 1024 * 1024 * 1024;

/// A body below this is copied out of the frame that it came in, which would be kept for its sake.
const SMALL: usize = 16 * 1024;

impl Worker {
    /// Takes in what has come on both lanes, and does not look at it yet. True when anything has.
    pub(crate) fn receive(&mut self, context: &mut Context<'_>) -> bool {
        let mut any = false;
        for traffic in &mut self.lanes {
            if let Poll::Ready(open) = traffic.channel.poll_read(context) {
                traffic.is_open = open.is_ok_and(|open| open);
                any = true;
            }
        }
        // What a call has logged is there before its reply, but the runtime may not know of it yet.
        while any && self.has_spans && self.control.read_now() {}
        any
    }

    /// Does what follows from what has come on both lanes.
    ///
    /// # Errors
    ///
    /// Why the connection is at its end.
    pub(crate) fn read(&mut self, now: Instant, after: &mut After) -> Result<(), Reason> {
        let mut answered = 0;
        for lane in LANES {
            let before = self.lanes[index(lane)].calls.len();
            self.read_arrived(lane, now, after)?;
            let traffic = &mut self.lanes[index(lane)];
            if before > traffic.calls.len() {
                traffic.answered = now;
                answered += before - traffic.calls.len();
            }
        }
        if answered > 0 {
            self.tally
                .answered
                .fetch_add(answered as u64, Ordering::Relaxed);
            self.tally.look();
        }
        if self.lanes.iter().all(|traffic| traffic.is_open) {
            Ok(())
        } else {
            Err(Reason::Closed)
        }
    }

    /// Reads what was written before the end, as far as it makes sense.
    pub(crate) fn read_rest(&mut self, after: &mut After) {
        let now = Instant::now();
        for lane in LANES {
            // Something may have been taken in already.
            while self.read_arrived(lane, now, after).is_ok()
                && self.lanes[index(lane)].channel.read_now()
            {}
        }
    }

    fn read_arrived(&mut self, lane: Lane, now: Instant, after: &mut After) -> Result<(), Reason> {
        while let Some(payload) = self.lanes[index(lane)].channel.next()? {
            for message in payload.messages()? {
                self.message(lane, &payload, message?, now, after)?;
            }
        }
        Ok(())
    }

    fn message(
        &mut self,
        lane: Lane,
        payload: &Payload,
        message: Message<'_>,
        now: Instant,
        after: &mut After,
    ) -> Result<(), Reason> {
        let Message { id, kind, times } = message;
        let Traffic { calls, past, .. } = &mut self.lanes[index(lane)];
        let Some(call) = calls.get_mut(&id) else {
            return Err(unknown(id));
        };
        if let Kind::Part(bytes) = kind {
            call.begin_chunk(now);
            match &mut call.progress {
                Progress::Streaming(sending) => {
                    let credit = sending.chunk(payload.share(bytes), now);
                    self.acknowledge(lane, id, credit);
                }
                Progress::Open(_) => {
                    call.ahead.push(payload.share(bytes));
                    if call.ahead.len() * PART > MOST_BODY {
                        return Err(broken(format!("a body of more than {MOST_BODY} bytes")));
                    }
                }
                Progress::Closed => {}
            }
            return Ok(());
        }
        stamp(call, times, now);
        let (frame, on_loop) = (payload.as_bytes(), lane == Lane::EventLoop);
        let is_open = matches!(call.progress, Progress::Open(_));
        let outcome = match kind {
            Kind::Head(head) if is_open => return self.head(lane, id, frame, head, now, after),
            Kind::End { fault, closing } if !is_open => {
                if let Some(call) = calls.remove(&id) {
                    *past -= usize::from(call.ticket.is_answered());
                    end_stream(call, fault, closing, after);
                }
                return Ok(());
            }
            Kind::App { head, body } if is_open => {
                let body = match body {
                    Some(body) => Bytes::copy_from_slice(body),
                    None => joined(mem::take(&mut call.ahead)),
                };
                let outcome = raw(head, Content::Whole(body));
                if on_loop {
                    *past += 1;
                    if let Progress::Open(answer) = call.set_answered() {
                        after.answer(call.target, answer, outcome, true);
                    }
                    return Ok(());
                }
                outcome
            }
            Kind::AppHead(head) if is_open => {
                self.app_head(lane, id, head, now, after);
                return Ok(());
            }
            Kind::Complete if !is_open && on_loop && !call.ticket.is_answered() => {
                *past += 1;
                if let Progress::Streaming(sending) = call.set_answered() {
                    sending.end(None);
                }
                return Ok(());
            }
            Kind::Reply(reply) if is_open => judged(reply.read(frame, on_loop)?),
            Kind::Rest(rest) if is_open => {
                let ahead = joined(mem::take(&mut call.ahead));
                judged(rest.read(frame, &ahead, on_loop)?)
            }
            Kind::Refused(failure) if is_open => Outcome::Contract(failure),
            Kind::Raised(exception) if is_open => Outcome::Raised(exception),
            Kind::Upload(fault) if is_open => Outcome::Upload(fault),
            Kind::NotRun if is_open && (call.cancelled || call.left) => {
                if let Some(call) = calls.remove(&id) {
                    call.ticket.finish();
                }
                return Ok(());
            }
            _ => {
                return Err(broken(format!(
                    "something else than what follows in call {id}"
                )));
            }
        };
        if let Some(call) = calls.remove(&id) {
            end(call, outcome, after);
        }
        Ok(())
    }

    /// The head of a reply has come, whose body is streamed.
    fn head(
        &mut self,
        lane: Lane,
        id: u64,
        frame: &Bytes,
        head: Head<'_>,
        now: Instant,
        after: &mut After,
    ) -> Result<(), Reason> {
        let Some(call) = self.lanes[index(lane)].calls.get_mut(&id) else {
            return Err(unknown(id));
        };
        let wanted = match head.read(frame, lane == Lane::EventLoop)? {
            Ok(returned) => {
                let outcome = Outcome::Returned(returned);
                let allowed = outcome.allows_body(&call.ticket.call.method);
                let waker = self.hub.waker(Place {
                    worker: self.id,
                    lane,
                    id,
                });
                if let Some((answer, outcome)) =
                    call.begin_stream(outcome, head.heartbeat, now, waker)
                {
                    after.answer(call.target, answer, outcome, true);
                }
                allowed
            }
            Err(failure) => {
                if let Progress::Open(answer) = mem::replace(&mut call.progress, Progress::Closed) {
                    after.answer(
                        call.target,
                        answer,
                        Outcome::Contract(failure),
                        call.interrupted,
                    );
                }
                false
            }
        };
        if !wanted {
            self.leave(lane, id);
        }
        Ok(())
    }

    /// Answers the head of a streamed reply of an application.
    fn app_head(&mut self, lane: Lane, id: u64, head: AppHead, now: Instant, after: &mut After) {
        let waker = self.hub.waker(Place {
            worker: self.id,
            lane,
            id,
        });
        if let Some(call) = self.lanes[index(lane)].calls.get_mut(&id)
            && let Some((answer, outcome)) =
                call.begin_stream(raw(head, Content::Whole(Bytes::new())), None, now, waker)
        {
            after.answer(call.target, answer, outcome, true);
        }
    }
}

fn raw(AppHead { status, headers }: AppHead, body: Content) -> Outcome {
    Outcome::Raw(RawReply {
        status,
        headers,
        body,
    })
}

/// The parts of a body in one.
fn joined(mut parts: Vec<Bytes>) -> Bytes {
    match parts.len() {
        0 => Bytes::new(),
        1 => parts.swap_remove(0),
        _ => parts.concat().into(),
    }
}

/// What a call ends with that was read; a small body does not keep the frame that it came in.
fn judged(read: Result<Returned, ContractFailure>) -> Outcome {
    match read {
        Ok(mut returned) => {
            if let Content::Whole(whole) = &mut returned.body
                && whole.len() < SMALL
            {
                *whole = Bytes::copy_from_slice(whole);
            }
            Outcome::Returned(returned)
        }
        Err(failure) => Outcome::Contract(failure),
    }
}

/// Notes when a call came how far, as far as that can be true.
fn stamp(call: &Call, times: Option<Times>, now: Instant) {
    if let Some(Times {
        called,
        returned,
        converted,
    }) = times
    {
        let at = |after: Duration| call.sent.checked_add(after).map_or(now, |at| at.min(now));
        call.ticket
            .stamp_run(at(called), at(returned), at(converted));
    }
}

/// Ends a call whose head was not answered.
pub(crate) fn end(call: Call, outcome: Outcome, after: &mut After) {
    let was_left = call.was_left();
    let Call {
        target,
        ticket,
        progress,
        permits,
        cancelled,
        interrupted,
        ..
    } = call;
    ticket.finish();
    // Both before the end of the answer: a client that has its answer finds the bytes of its body, and its service's
    // limit, given back; and the response future frees what its thread allocated.
    drop((ticket, permits));
    let is_ours = matches!(outcome, Outcome::Panicked(_) | Outcome::Crashed(_));
    let silent = interrupted && !matches!(outcome, Outcome::Panicked(_))
        || cancelled && outcome.is_cancellation()
        || was_left && !is_ours;
    if let Progress::Open(answer) = progress {
        after.answer(target, answer, outcome, silent);
    }
}

/// Ends a call whose head was answered.
pub(crate) fn end_stream(
    call: Call,
    fault: Option<Fault>,
    closing: Option<Exception>,
    after: &mut After,
) {
    let was_left = call.was_left();
    let Call {
        target,
        ticket,
        progress,
        permits,
        cancelled,
        interrupted,
        ..
    } = call;
    let (limit, subject) = (ticket.clocks.chunk_timeout, ticket.call.subject());
    ticket.finish();
    drop((ticket, permits));
    let fault = match fault {
        // It was not told to: it has waited for room in vain.
        Some(Fault::Interrupted)
            if !interrupted && !cancelled && matches!(progress, Progress::Streaming(_)) =>
        {
            after.stalled.push((target, subject.clone(), limit));
            Some(Fault::Stalled)
        }
        fault => fault,
    };
    let outcome = fault.as_ref().and_then(Fault::outcome);
    let is_over = interrupted
        || was_left
        || cancelled && outcome.as_ref().is_some_and(Outcome::is_cancellation);
    if let Progress::Streaming(sending) = progress {
        let crashed = matches!(fault, Some(Fault::Crashed(_)));
        sending.end(fault.map(|fault| {
            if is_over && !crashed {
                Fault::Interrupted
            } else {
                fault
            }
        }));
    }
    if !is_over {
        after.late.extend(
            outcome
                .into_iter()
                .chain(closing.map(Outcome::Raised))
                .map(|outcome| {
                    let subject = subject.clone();
                    (target, Late { subject, outcome })
                }),
        );
    }
}

#[cold]
pub(crate) fn unknown(id: u64) -> Reason {
    broken(format!(
        "something about call {id}, which is none that it has"
    ))
}

#[cold]
pub(crate) fn broken(text: String) -> Reason {
    Reason::Broken(text)
}

impl From<FrameError> for Reason {
    #[cold]
    fn from(error: FrameError) -> Self {
        Self::Broken(error.to_string())
    }
}
