//! `Worker`: one live worker process: its sockets, the calls that it was sent, and what it says of them.
//!
//! What it sends is judged here. Whatever no worker sends ends the connection, with a sentence about it, and the process is
//! killed.

use std::collections::HashMap;
use std::fs::File;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use httpy_core::frame::{
    Batch, Command, Ending, Feed, FrameError, JobBody, JobMessage, Kind, Lane as Way, LogRecord, Message, Order, PART,
    Question, Times, TooLong, write_part,
};
use httpy_core::{
    Content, Fault, Freight, Outcome, Reader, Returned, Running, Seat, Stack, TargetId, Upload, UploadFault,
    allows_body, stream,
};
use tokio::sync::oneshot;

use crate::after::After;
use crate::ask::Ask;
use crate::call::{Body, Call, Progress, Receiving, Waiting};
use crate::channel::Channel;
use crate::handover::{Ended, Handler, MOST_RUNNING, Reason, Started, Tally, Wants, WorkerId};
use crate::hub::{Hub, Place};
use crate::lane::{Lane, Numbers, QUICK};

/// So many jobs are sent ahead of what a quick worker has answered.
const WINDOW: usize = 32;

/// A body that comes back in parts is so long at most.
const MOST_BODY: usize = 1024 * 1024 * 1024;

/// A body below this is copied out of the frame that it came in, which would be kept for its sake.
const SMALL: usize = 16 * 1024;

/// One live worker process.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) name: String,
    pub(crate) number: usize,
    pub(crate) has_gil: bool,
    pub(crate) control: Channel,
    /// Of plain handlers, and of `async def` ones.
    pub(crate) lanes: [Lane; 2],
    mark: File,
    /// So many of the handlers it has loaded.
    pub(crate) handlers: usize,
    /// It gets no more jobs.
    pub(crate) stopping: bool,
    /// What it was asked and has not answered.
    pub(crate) asks: HashMap<u64, Ask, Numbers>,
    last_ask: u64,
    /// When it was last told to let another thread lead.
    relieved: Instant,
    recalling: bool,
    pub(crate) tally: Arc<Tally>,
    pub(crate) ended: oneshot::Sender<Ended>,
    hub: Arc<Hub>,
    seat: Seat,
    threads: usize,
    in_flight: usize,
}

/// Which of the two lanes it is.
pub(crate) const fn index(way: Way) -> usize {
    match way {
        Way::Sync => 0,
        Way::Async => 1,
    }
}

/// The lane of a handler's jobs.
pub(crate) const fn way(target: TargetId) -> Way {
    match target.lane {
        httpy_core::Lane::Worker => Way::Sync,
        httpy_core::Lane::EventLoop => Way::Async,
    }
}

pub(crate) const WAYS: [Way; 2] = [Way::Sync, Way::Async];

impl Worker {
    /// The worker that was `started`, at `seat`.
    pub(crate) fn new(started: Started, seat: Seat, hub: Arc<Hub>, threads: usize, in_flight: usize) -> Self {
        let now = Instant::now();
        let Started {
            id, name, number, control, rest, sync, asynchronous, mark, handlers, facts, tally, ended, ..
        } = started;
        let lane = |stream| Lane::new(Channel::new(stream, BytesMut::new()), now);
        Self {
            id,
            name,
            number,
            has_gil: facts.gil,
            control: Channel::new(control, rest),
            lanes: [lane(sync), lane(asynchronous)],
            mark,
            handlers,
            stopping: false,
            asks: HashMap::default(),
            last_ask: 0,
            relieved: now,
            recalling: false,
            tally,
            ended,
            hub,
            seat,
            threads,
            in_flight,
        }
    }

    /// How many calls are under way on the lane, where one more may be sent there; none where not.
    pub(crate) fn room(&self, target: TargetId, now: Instant) -> Option<usize> {
        let way = way(target);
        let lane = &self.lanes[index(way)];
        let most = match way {
            Way::Async => self.in_flight,
            Way::Sync if lane.is_quick(now) => WINDOW.max(self.threads),
            // One for each thread: whatever is sent ahead of those may wait for long.
            Way::Sync => self.threads,
        };
        let calls = lane.calls.len();
        (calls < most && self.handlers > target.index && !self.stopping).then_some(calls)
    }

    /// How many calls it has not answered.
    pub(crate) fn under_way(&self) -> usize {
        self.lanes.iter().map(|lane| lane.calls.len()).sum()
    }

    /// Sends a job, unless nobody waits for it. What cannot be sent is answered.
    pub(crate) fn send(&mut self, waiting: Waiting, handler: &Handler, now: Instant, after: &mut After) {
        let Waiting { target, ticket, answer, slot } = waiting;
        drop(slot);
        // The order matters: a call that nobody waits for any more must not count as taken.
        if answer.is_closed() || !ticket.take(self.seat) {
            return;
        }
        ticket.stamp_taken(now, now, now);
        let Freight { body, permits } = ticket.unload();
        let way = way(target);
        let lane = &mut self.lanes[index(way)];
        if lane.calls.is_empty() {
            lane.answered = now;
        }
        let number = lane.number();
        let place = Place { worker: self.id, lane: way, id: number };
        let body = match body {
            Upload::Whole(whole) if handler.wants != Wants::Stream => Body::Whole(whole),
            body => Body::Stream(Receiving::new(reader(body), self.hub.waker(place))),
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
            interrupted: false,
        };
        match &call.body {
            Body::Whole(whole) if whole.len() > PART => lane.ahead.push_back((number, whole.clone())),
            _ => {
                if let Err(too_long) = write(lane.channel.batch(), number, &call, handler, now) {
                    return self.end(call, Outcome::Panicked(too_long), after);
                }
            }
        }
        lane.calls.insert(number, call);
        self.upload(way, number);
    }

    /// Writes what there is, as far as there is room.
    pub(crate) fn write(
        &mut self,
        context: &mut Context<'_>,
        handlers: &[Arc<Handler>],
        now: Instant,
        after: &mut After,
    ) {
        loop {
            self.send_ahead(handlers, now, after);
            self.flush(context);
            // Where a socket has taken all, nobody wakes this task for what is left.
            if self.lanes.iter().all(|lane| lane.ahead.is_empty() || lane.channel.is_full()) {
                return;
            }
        }
    }

    /// Puts parts of large bodies into the next write, by turns; the job behind its last part.
    fn send_ahead(&mut self, handlers: &[Arc<Handler>], now: Instant, after: &mut After) {
        for way in WAYS {
            let lane = &mut self.lanes[index(way)];
            while !lane.ahead.is_empty() && !lane.channel.is_full() {
                let Some((number, mut rest)) = lane.ahead.pop_front() else { break };
                let part = rest.split_to(rest.len().min(PART));
                // It is small enough.
                drop(write_part(lane.channel.batch(), number, &part));
                if !rest.is_empty() {
                    lane.ahead.push_back((number, rest));
                    continue;
                }
                // One whose worker was told in the meantime that nobody waits is sent all the same, as it was announced.
                let Some(call) = lane.calls.get(&number) else { continue };
                let Some(handler) = handlers.get(call.target.index) else { continue };
                if let Err(too_long) = write(lane.channel.batch(), number, call, handler, now)
                    && let Some(call) = lane.calls.remove(&number)
                {
                    self.end(call, Outcome::Panicked(too_long), after);
                    return;
                }
            }
        }
    }

    /// Tells the worker something on the control socket.
    pub(crate) fn command(&mut self, command: &Command<'_>) {
        // Nothing of what is said there is anywhere near the limit of a frame.
        drop(self.control.batch().add(|writer| command.write(writer)));
    }

    /// Asks the worker something; `ask` says what is to become of the answer.
    pub(crate) fn ask(&mut self, ask: Ask, question: Question<'_>) {
        self.last_ask += 1;
        self.asks.insert(self.last_ask, ask);
        self.command(&Command::Ask { seq: self.last_ask, question });
    }

    fn order(&mut self, lane: Way, id: u64, order: Order<'_>) {
        self.command(&Command::Job { lane, id, order });
    }

    /// Nobody waits for a call any more: the worker is told, once.
    pub(crate) fn cancel(&mut self, way: Way, id: u64) {
        if let Some(call) = self.lanes[index(way)].calls.get_mut(&id)
            && !call.cancelled
        {
            call.cancelled = true;
            self.order(way, id, Order::Cancel);
        }
    }

    /// The handler of a call is interrupted; what it ends with then is the deadline's doing.
    pub(crate) fn interrupt(&mut self, way: Way, id: u64) {
        if let Some(call) = self.lanes[index(way)].calls.get_mut(&id) {
            call.interrupted = true;
            self.order(way, id, Order::Interrupt);
        }
    }

    /// The handler of a call has read so much of its request's body.
    ///
    /// # Errors
    ///
    /// When it cannot have.
    pub(crate) fn has_read(&mut self, way: Way, id: u64, bytes: u64) -> Result<(), Reason> {
        // It may have ended in the meantime.
        let Some(call) = self.lanes[index(way)].calls.get_mut(&id) else { return Ok(()) };
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let Body::Stream(receiving) = &mut call.body else { return Err(unknown(id)) };
        if !receiving.read(bytes) {
            return Err(broken(format!("that it has read {bytes} bytes of call {id}, which it was not sent")));
        }
        self.upload(way, id);
        Ok(())
    }

    /// The stacks of calls, as far as they are still under way.
    pub(crate) fn stacks(&self, stacks: Vec<(Way, u64, String)>) -> Vec<Stack> {
        let stacks = stacks.into_iter().filter_map(|(way, id, text)| {
            let call = self.lanes[index(way)].calls.get(&id)?;
            Some(Stack { ticket: Arc::clone(&call.ticket), text })
        });
        stacks.collect()
    }

    /// The span of the call that a record belongs to, while it is under way; and notes that something was logged for it.
    pub(crate) fn span(&self, record: &LogRecord) -> Option<NonZeroU64> {
        let (way, id) = record.job?;
        let call = self.lanes[index(way)].calls.get(&id)?;
        call.ticket.note_logged();
        call.ticket.call.details.span
    }

    /// Something may have moved in a stream of a call.
    pub(crate) fn moved(&mut self, way: Way, id: u64) {
        let Some(call) = self.lanes[index(way)].calls.get_mut(&id) else { return };
        let room = call.sending().map(|sending| sending.full_since.map_or(Some(0), |_| sending.room()));
        if matches!(room, Some(Some(credit)) if credit > 0) {
            call.begin_chunk(Instant::now());
        }
        self.credit(way, id, room);
        self.upload(way, id);
    }

    /// Acknowledges chunks, or says that nobody wants any more.
    fn credit(&mut self, way: Way, id: u64, credit: Option<Option<usize>>) {
        match credit {
            Some(Some(bytes)) if bytes > 0 => self.order(way, id, Order::Credit(bytes as u64)),
            Some(None) => self.cancel(way, id),
            _ => {}
        }
    }

    /// Sends what has come of a request's body, as far as there is room.
    fn upload(&mut self, way: Way, id: u64) {
        let Some(Call { body: Body::Stream(receiving), .. }) = self.lanes[index(way)].calls.get_mut(&id) else {
            return;
        };
        while let Poll::Ready(next) = receiving.poll_next() {
            let feed = match &next {
                Ok(Some(chunk)) => Feed::Chunk(chunk),
                Ok(None) => Feed::End,
                Err(fault) => Feed::Fault(fault),
            };
            let command = Command::Job { lane: way, id, order: Order::Upload(feed) };
            drop(self.control.batch().add(|writer| command.write(writer)));
        }
    }

    /// Takes in what has come on both lanes, and does not look at it yet. True when anything has.
    pub(crate) fn receive(&mut self, context: &mut Context<'_>) -> bool {
        let mut any = false;
        for lane in &mut self.lanes {
            if let Poll::Ready(open) = lane.channel.poll_read(context) {
                lane.is_open = open.is_ok_and(|open| open);
                any = true;
            }
        }
        any
    }

    /// Does what follows from what has come on both lanes.
    ///
    /// # Errors
    ///
    /// Why the connection is at its end.
    pub(crate) fn read(&mut self, now: Instant, after: &mut After) -> Result<(), Reason> {
        let mut answered = 0;
        for way in WAYS {
            let before = self.lanes[index(way)].calls.len();
            self.read_arrived(way, now, after)?;
            let lane = &mut self.lanes[index(way)];
            if before > lane.calls.len() {
                lane.answered = now;
                answered += before - lane.calls.len();
            }
        }
        if answered > 0 {
            self.tally.answered.fetch_add(answered as u64, Ordering::Relaxed);
        }
        if self.lanes.iter().all(|lane| lane.is_open) { Ok(()) } else { Err(Reason::Closed) }
    }

    /// Reads what was written before the end, as far as it makes sense.
    pub(crate) fn read_rest(&mut self, after: &mut After) {
        let now = Instant::now();
        for way in WAYS {
            while self.lanes[index(way)].channel.read_now() {
                if self.read_arrived(way, now, after).is_err() {
                    break;
                }
            }
        }
    }

    fn flush(&mut self, context: &mut Context<'_>) {
        for channel in self.lanes.iter_mut().map(|lane| &mut lane.channel).chain([&mut self.control]) {
            // Where that fails, reading tells of the end.
            let _ = channel.poll_flush(context);
        }
        let under_way = self.under_way();
        if self.tally.under_way.swap(under_way, Ordering::Relaxed) != under_way {
            self.tally.look();
        }
    }

    fn read_arrived(&mut self, way: Way, now: Instant, after: &mut After) -> Result<(), Reason> {
        while let Some(payload) = self.lanes[index(way)].channel.next()? {
            for message in payload.messages()? {
                self.message(way, message?, now, after)?;
            }
        }
        Ok(())
    }

    fn message(&mut self, way: Way, message: Message<'_>, now: Instant, after: &mut After) -> Result<(), Reason> {
        let Message { id, kind, times } = message;
        let calls = &mut self.lanes[index(way)].calls;
        let Some(call) = calls.get_mut(&id) else { return Err(unknown(id)) };
        if let Kind::Part(bytes) = kind {
            call.begin_chunk(now);
            match &mut call.progress {
                Progress::Streaming(sending) => {
                    let credit = sending.chunk(bytes, now);
                    self.credit(way, id, Some(credit));
                }
                Progress::Open(_) => {
                    call.ahead.push(bytes);
                    if call.ahead.len() * PART > MOST_BODY {
                        return Err(broken(format!("a body of more than {MOST_BODY} bytes")));
                    }
                }
                Progress::Closed => {}
            }
            return Ok(());
        }
        stamp(call, times, now);
        let on_loop = way == Way::Async;
        let is_open = matches!(call.progress, Progress::Open(_));
        let outcome = match kind {
            Kind::Head(head) if is_open => {
                let heartbeat = head.heartbeat().cloned();
                let wanted = match head.read(on_loop)? {
                    Ok(returned) => {
                        let allowed = allows_body(&call.ticket.call.method, returned.status);
                        let waker = self.hub.waker(Place { worker: self.id, lane: way, id });
                        if let Some((answer, outcome)) = call.begin_stream(returned, heartbeat, now, waker) {
                            after.answer(call.target, answer, outcome, true);
                        }
                        allowed
                    }
                    Err(failure) => {
                        if let Progress::Open(answer) = std::mem::replace(&mut call.progress, Progress::Closed) {
                            after.answer(call.target, answer, Outcome::Contract(failure), call.interrupted);
                        }
                        false
                    }
                };
                if !wanted {
                    self.cancel(way, id);
                }
                return Ok(());
            }
            Kind::End(ending) if !is_open => {
                if let Some(call) = calls.remove(&id) {
                    end_stream(call, ending, after);
                }
                return Ok(());
            }
            Kind::Reply(reply) if is_open => {
                let ahead = joined(std::mem::take(&mut call.ahead));
                match reply.read(&ahead, on_loop)? {
                    Ok(returned) => Outcome::Returned(own(returned)),
                    Err(failure) => Outcome::Contract(failure),
                }
            }
            Kind::Raised(exception) if is_open => Outcome::Raised(exception),
            Kind::Upload(fault) if is_open => Outcome::Upload(fault),
            Kind::NotRun if is_open && call.cancelled => {
                if let Some(call) = calls.remove(&id) {
                    call.ticket.finish();
                }
                return Ok(());
            }
            _ => return Err(broken(format!("something else than what follows in call {id}"))),
        };
        if let Some(call) = calls.remove(&id) {
            self.end(call, outcome, after);
        }
        Ok(())
    }

    /// Ends a call whose head was not answered.
    fn end(&self, call: Call, outcome: Outcome, after: &mut After) {
        let Call { target, ticket, progress, permits, cancelled, interrupted, .. } = call;
        ticket.finish();
        // Both before the end of the answer: a client that has its answer finds the bytes of its body, and its service's
        // limit, given back; and the response future frees what its thread allocated.
        drop((ticket, permits));
        let silent = interrupted && !matches!(outcome, Outcome::Panicked(_)) || cancelled && is_cancellation(&outcome);
        if let Progress::Open(answer) = progress {
            after.answer(target, answer, outcome, silent);
        }
    }

    /// How far a lane's jobs have begun; all of them where that cannot be found out.
    fn mark(&self, way: Way) -> u64 {
        let mut bytes = [0; 8];
        let offset = 8 * index(way) as u64;
        self.mark.read_exact_at(&mut bytes, offset).map_or(u64::MAX, |()| u64::from_le_bytes(bytes))
    }

    /// Looks whether plain handlers keep jobs from beginning: another thread takes over then, or, where every thread is in a
    /// handler, the jobs come back. When to look again; none where nothing waits.
    pub(crate) fn look(&mut self, now: Instant) -> Option<Instant> {
        let lane = &self.lanes[index(Way::Sync)];
        if lane.calls.len() < 2 || self.recalling {
            return None;
        }
        let due = lane.answered.max(self.relieved) + QUICK;
        if due > now {
            return Some(due);
        }
        let begun = lane.begun(self.mark(Way::Sync));
        if begun >= lane.calls.len() {
            return None;
        }
        if begun < self.threads {
            self.relieved = now;
            self.command(&Command::Relieve);
            return Some(now + QUICK);
        }
        self.recalling = true;
        self.ask(Ask::Recall, Question::Recall);
        None
    }

    /// These jobs have come back.
    ///
    /// # Errors
    ///
    /// A number of which there is no call that could not have begun.
    pub(crate) fn recalled(&mut self, ids: &[u64], after: &mut After) -> Result<(), Reason> {
        self.recalling = false;
        let lane = &mut self.lanes[index(Way::Sync)];
        for id in ids {
            match lane.calls.remove(id) {
                Some(call) if matches!(call.progress, Progress::Open(_)) => after.back.extend(call.put_back()),
                _ => return Err(unknown(*id)),
            }
        }
        Ok(())
    }

    /// Ends all calls: what had begun is answered, what had not goes to others. Tells the supervisor.
    pub(crate) fn close(mut self, reason: Reason, handlers: &[Arc<Handler>], after: &mut After) {
        let mut running = Vec::new();
        for way in WAYS {
            let mark = self.mark(way);
            let mut calls: Vec<_> = self.lanes[index(way)].calls.drain().collect();
            calls.sort_unstable_by_key(|(number, _)| *number);
            for (number, call) in calls {
                if number > mark && matches!(call.progress, Progress::Open(_)) {
                    after.back.extend(call.put_back());
                    continue;
                }
                if running.len() < MOST_RUNNING {
                    let target = handlers.get(call.target.index).map_or_else(String::new, |it| it.target.clone());
                    let route = call.ticket.call.details.route.clone();
                    running.push(Running { target, route, elapsed: call.ticket.pushed.elapsed() });
                }
                let text = format!("its worker process, {}, {}", self.name, died(&reason));
                if matches!(call.progress, Progress::Open(_)) {
                    self.end(call, Outcome::Crashed(text), after);
                } else {
                    end_stream(call, Ending { fault: Some(Fault::Crashed(text)), closing: None }, after);
                }
            }
        }
        self.tally.under_way.store(0, Ordering::Relaxed);
        after.asks.extend(self.asks.into_values());
        // Fails where the supervisor has ended.
        drop(self.ended.send(Ended { reason, running }));
    }
}

fn died(reason: &Reason) -> &'static str {
    match reason {
        Reason::Closed => "died",
        Reason::Broken(_) => "was killed, as it sent what no worker sends",
        Reason::Stuck => "was killed, as a call in it did not come back after its deadline",
    }
}

/// # Errors
///
/// In words, when there is more of it than a frame holds.
fn write(batch: &mut Batch, id: u64, call: &Call, handler: &Handler, now: Instant) -> Result<(), String> {
    let body = match &call.body {
        Body::Stream(_) => JobBody::Stream,
        Body::Whole(whole) if whole.len() > PART => JobBody::Ahead,
        Body::Whole(whole) if handler.wants == Wants::Bytes => JobBody::Bytes(whole),
        Body::Whole(whole) => JobBody::Text(whole),
    };
    let ticket = &call.ticket;
    let job = JobMessage {
        id,
        handler: call.target.index,
        call: &ticket.call,
        body,
        left: ticket.deadline.saturating_duration_since(now),
        wants_timings: ticket.are_timings_wanted(),
        chunk_timeout: ticket.chunk_timeout,
    };
    batch.add(|writer| job.write(writer)).map_err(|error: TooLong| format!("its call is {error}"))
}

/// The chunks of any upload.
fn reader(upload: Upload) -> Reader<UploadFault> {
    match upload {
        Upload::Stream(reader) => reader,
        Upload::Whole(body) => {
            let (mut writer, reader) = stream(body.len());
            // The reader is there.
            let _ = writer.write(body);
            writer.end();
            reader
        }
    }
}

/// The parts of a body in one.
fn joined(mut parts: Vec<Bytes>) -> Bytes {
    match parts.len() {
        0 => Bytes::new(),
        1 => parts.swap_remove(0),
        _ => parts.concat().into(),
    }
}

/// A reply whose small body does not keep the frame that it came in.
fn own(mut returned: Returned) -> Returned {
    if let Content::Whole(whole) = &mut returned.body
        && whole.len() < SMALL
    {
        *whole = Bytes::copy_from_slice(whole);
    }
    returned
}

/// Notes when a call came how far, as far as that can be true.
fn stamp(call: &Call, times: Option<Times>, now: Instant) {
    if let Some(Times { called, returned, converted }) = times {
        let at = |after: Duration| call.sent.checked_add(after).map_or(now, |at| at.min(now));
        call.ticket.stamp_run(at(called), at(returned), at(converted));
    }
}

/// Ends a call whose head was answered.
fn end_stream(call: Call, Ending { fault, closing }: Ending, after: &mut After) {
    let Call { target, ticket, progress, permits, cancelled, interrupted, .. } = call;
    ticket.finish();
    drop((ticket, permits));
    let outcome = fault.as_ref().and_then(Fault::outcome);
    let is_over = interrupted || cancelled && outcome.as_ref().is_some_and(is_cancellation);
    if let Progress::Streaming(sending) = progress {
        let crashed = matches!(fault, Some(Fault::Crashed(_)));
        sending.end(fault.map(|fault| if is_over && !crashed { Fault::Interrupted } else { fault }));
    }
    if !is_over {
        after.late.extend(outcome.into_iter().chain(closing.map(Outcome::Raised)).map(|outcome| (target, outcome)));
    }
}

/// Whether a call ended by being cancelled.
fn is_cancellation(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Raised(exception) if exception.type_name() == "asyncio.exceptions.CancelledError")
}

#[cold]
fn unknown(id: u64) -> Reason {
    broken(format!("something about call {id}, which is none that it has"))
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
