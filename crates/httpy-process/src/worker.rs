//! `Worker`: one live worker process: its sockets, and the calls that it was sent. What it says of them is in `reply`.

use std::collections::HashMap;
use std::fs::File;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;
use httpy_core::frame::{
    Batch, Command, Feed, JobBody, JobMessage, Lane as Way, LogRecord, Order, PART, Question, TooLong, write_part,
};
use httpy_core::{Freight, Outcome, Reader, Seat, Stack, StackOf, TargetId, Upload, UploadFault, stream};
use tokio::sync::oneshot;

use crate::after::After;
use crate::ask::Ask;
use crate::call::{Body, Call, Progress, Receiving, Waiting};
use crate::channel::Channel;
use crate::handover::{Ended, Handler, Reason, Started, Tally, Wants, WorkerId};
use crate::hub::{Hub, Place};
use crate::lane::{Lane, Numbers, QUICK};
use crate::options::Limits;
use crate::reply::{broken, end, unknown};
use crate::round::Rounds;

/// So many jobs are sent ahead of what a quick worker has answered.
const WINDOW: usize = 32;

/// One live worker process.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) name: String,
    pub(crate) number: usize,
    pub(crate) pid: u32,
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
    pub(crate) hub: Arc<Hub>,
    seat: Seat,
    threads: usize,
    in_flight: usize,
    /// Of its event loop.
    pub(crate) rounds: Rounds,
}

/// Which of the two lanes it is.
pub(crate) const fn index(way: Way) -> usize {
    match way {
        Way::Sync => 0,
        Way::Async => 1,
    }
}

/// Where the stack of a worker's event loop stands among those of its calls.
const LOOP: (Way, u64) = (Way::Async, 0);

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
    pub(crate) fn new(started: Started, seat: Seat, hub: Arc<Hub>, limits: Limits) -> Self {
        let now = Instant::now();
        let Limits { threads, in_flight, loop_blocked_after } = limits;
        let Started {
            id,
            name,
            number,
            pid,
            control,
            rest,
            sync,
            asynchronous,
            mark,
            handlers,
            facts,
            tally,
            ended,
            ..
        } = started;
        let lane = |stream| Lane::new(Channel::new(stream, BytesMut::new()), now);
        Self {
            id,
            name,
            number,
            pid,
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
            rounds: Rounds::new(loop_blocked_after, now),
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
                    return end(call, Outcome::Panicked(too_long), after);
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
                let _ = write_part(lane.channel.batch(), number, &part);
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

    /// The stacks of calls, as far as they are still under way; and that of an event loop that is blocked.
    pub(crate) fn stacks(&self, stacks: Vec<(Way, u64, String)>) -> Vec<Stack> {
        let blocked = self.rounds.blocked_for(Instant::now()).is_some();
        let stacks = stacks.into_iter().filter_map(|(way, id, text)| {
            if (way, id) == LOOP {
                return blocked.then(|| Stack { of: StackOf::EventLoop(self.name.clone()), text });
            }
            let call = self.lanes[index(way)].calls.get(&id)?;
            Some(Stack { of: StackOf::Call(Arc::clone(&call.ticket)), text })
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
        if let Some(sending) = call.sending()
            && sending.full_since.is_some()
        {
            let taken = sending.room();
            if taken.is_some_and(|bytes| bytes > 0) {
                call.begin_chunk(Instant::now());
            }
            self.acknowledge(way, id, taken);
        }
        self.upload(way, id);
    }

    /// So much of a reply's body was taken; none where nobody wants any more.
    pub(crate) fn acknowledge(&mut self, way: Way, id: u64, taken: Option<usize>) {
        match taken {
            Some(0) => {}
            Some(bytes) => self.order(way, id, Order::Credit(bytes as u64)),
            None => self.cancel(way, id),
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
            let _ = self.control.batch().add(|writer| command.write(writer));
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

    /// How far a lane's jobs have begun; all of them where that cannot be found out.
    pub(crate) fn mark(&self, way: Way) -> u64 {
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
