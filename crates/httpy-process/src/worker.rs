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
    Batch, Command, Feed, JobBody, JobMessage, LogRecord, Order, PART, Question, TooLong, write_part,
};
use httpy_core::{Freight, Lane, Outcome, Seat, Stack, StackOf, TargetId, Upload, Wants};
use tokio::sync::oneshot;

use crate::after::After;
use crate::ask::Ask;
use crate::call::{Body, Call, Progress, Receiving, Waiting};
use crate::channel::Channel;
use crate::handover::{Ended, Handler, Reason, Started, Tally, WorkerId};
use crate::hub::{Hub, Place};

use crate::reply::{broken, end, unknown};
use crate::traffic::{LANES, Numbers, QUICK, Traffic, index};

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
    pub(crate) lanes: [Traffic; 2],
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
}

impl Worker {
    /// The worker that was `started`, at `seat`.
    pub(crate) fn new(started: Started, seat: Seat, hub: Arc<Hub>, threads: usize, in_flight: usize) -> Self {
        let now = Instant::now();
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
        let traffic = |stream| Traffic::new(Channel::new(stream, BytesMut::new()), now);
        Self {
            id,
            name,
            number,
            pid,
            has_gil: facts.gil,
            control: Channel::new(control, rest),
            lanes: [traffic(sync), traffic(asynchronous)],
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
        let lane = target.lane;
        let traffic = &self.lanes[index(lane)];
        let most = match lane {
            Lane::EventLoop => self.in_flight,
            Lane::Worker if traffic.is_quick(now) => WINDOW.max(self.threads),
            // One for each thread: whatever is sent ahead of those may wait for long.
            Lane::Worker => self.threads,
        };
        let calls = traffic.calls.len();
        (calls < most && self.handlers > target.index && !self.stopping).then_some(calls)
    }

    /// How many calls it has not answered.
    pub(crate) fn under_way(&self) -> usize {
        self.lanes.iter().map(|traffic| traffic.calls.len()).sum()
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
        let lane = target.lane;
        let traffic = &mut self.lanes[index(lane)];
        if traffic.calls.is_empty() {
            traffic.answered = now;
        }
        let number = traffic.number();
        let place = Place { worker: self.id, lane, id: number };
        let body = match body {
            Upload::Whole(whole) if handler.wants != Wants::Stream => Body::Whole(whole),
            body => Body::Stream(Receiving::new(body.into_reader(), self.hub.waker(place))),
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
            Body::Whole(whole) if whole.len() > PART => traffic.ahead.push_back((number, whole.clone())),
            _ => {
                if let Err(too_long) = write(traffic.channel.batch(), number, &call, handler, now) {
                    return end(call, Outcome::Panicked(too_long), after);
                }
            }
        }
        traffic.calls.insert(number, call);
        self.upload(lane, number);
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
            if self.lanes.iter().all(|traffic| traffic.ahead.is_empty() || traffic.channel.is_full()) {
                return;
            }
        }
    }

    /// Puts parts of large bodies into the next write, by turns; the job behind its last part.
    fn send_ahead(&mut self, handlers: &[Arc<Handler>], now: Instant, after: &mut After) {
        for lane in LANES {
            let traffic = &mut self.lanes[index(lane)];
            while !traffic.ahead.is_empty() && !traffic.channel.is_full() {
                let Some((number, mut rest)) = traffic.ahead.pop_front() else { break };
                let part = rest.split_to(rest.len().min(PART));
                // It is small enough.
                let _ = write_part(traffic.channel.batch(), number, &part);
                if !rest.is_empty() {
                    traffic.ahead.push_back((number, rest));
                    continue;
                }
                // One whose worker was told in the meantime that nobody waits is sent all the same, as it was announced.
                let Some(call) = traffic.calls.get(&number) else { continue };
                let Some(handler) = handlers.get(call.target.index) else { continue };
                if let Err(too_long) = write(traffic.channel.batch(), number, call, handler, now)
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
        self.command(&Command::Ask { seq: self.last_ask, question });
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

    /// The handler of a call is interrupted; what it ends with then is the deadline's doing.
    pub(crate) fn interrupt(&mut self, lane: Lane, id: u64) {
        if let Some(call) = self.lanes[index(lane)].calls.get_mut(&id) {
            call.interrupted = true;
            self.order(lane, id, Order::Interrupt);
        }
    }

    /// The handler of a call has read so much of its request's body.
    ///
    /// # Errors
    ///
    /// When it cannot have.
    pub(crate) fn has_read(&mut self, lane: Lane, id: u64, bytes: u64) -> Result<(), Reason> {
        // It may have ended in the meantime.
        let Some(call) = self.lanes[index(lane)].calls.get_mut(&id) else { return Ok(()) };
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let Body::Stream(receiving) = &mut call.body else { return Err(unknown(id)) };
        if !receiving.read(bytes) {
            return Err(broken(format!("that it has read {bytes} bytes of call {id}, which it was not sent")));
        }
        self.upload(lane, id);
        Ok(())
    }

    /// The stacks of calls, as far as they are still under way.
    pub(crate) fn stacks(&self, stacks: Vec<(Lane, u64, String)>) -> Vec<Stack> {
        let stacks = stacks.into_iter().filter_map(|(lane, id, text)| {
            let call = self.lanes[index(lane)].calls.get(&id)?;
            Some(Stack { of: StackOf::Call(Arc::clone(&call.ticket)), text })
        });
        stacks.collect()
    }

    /// The span of the call that a record belongs to, while it is under way; and notes that something was logged for it.
    pub(crate) fn span(&self, record: &LogRecord) -> Option<NonZeroU64> {
        let (lane, id) = record.job?;
        let call = self.lanes[index(lane)].calls.get(&id)?;
        call.ticket.note_logged();
        call.ticket.call.details.span
    }

    /// Something may have moved in a stream of a call.
    pub(crate) fn moved(&mut self, lane: Lane, id: u64) {
        let Some(call) = self.lanes[index(lane)].calls.get_mut(&id) else { return };
        if let Some(sending) = call.sending()
            && sending.full_since.is_some()
        {
            let taken = sending.room();
            if taken.is_some_and(|bytes| bytes > 0) {
                call.begin_chunk(Instant::now());
            }
            self.acknowledge(lane, id, taken);
        }
        self.upload(lane, id);
    }

    /// So much of a reply's body was taken; none where nobody wants any more.
    pub(crate) fn acknowledge(&mut self, lane: Lane, id: u64, taken: Option<usize>) {
        match taken {
            Some(0) => {}
            Some(bytes) => self.order(lane, id, Order::Credit(bytes as u64)),
            None => self.cancel(lane, id),
        }
    }

    /// Sends what has come of a request's body, as far as there is room.
    fn upload(&mut self, lane: Lane, id: u64) {
        let Some(Call { body: Body::Stream(receiving), .. }) = self.lanes[index(lane)].calls.get_mut(&id) else {
            return;
        };
        while let Poll::Ready(next) = receiving.poll_next() {
            let feed = match &next {
                Ok(Some(chunk)) => Feed::Chunk(chunk),
                Ok(None) => Feed::End,
                Err(fault) => Feed::Fault(fault),
            };
            let command = Command::Job { lane, id, order: Order::Upload(feed) };
            let _ = self.control.batch().add(|writer| command.write(writer));
        }
    }

    fn flush(&mut self, context: &mut Context<'_>) {
        for channel in self.lanes.iter_mut().map(|traffic| &mut traffic.channel).chain([&mut self.control]) {
            // Where that fails, reading tells of the end.
            let _ = channel.poll_flush(context);
        }
        let under_way = self.under_way();
        if self.tally.under_way.swap(under_way, Ordering::Relaxed) != under_way {
            self.tally.look();
        }
    }

    /// How far a lane's jobs have begun; all of them where that cannot be found out.
    pub(crate) fn mark(&self, lane: Lane) -> u64 {
        let mut bytes = [0; 8];
        let offset = 8 * index(lane) as u64;
        self.mark.read_exact_at(&mut bytes, offset).map_or(u64::MAX, |()| u64::from_le_bytes(bytes))
    }

    /// Looks whether plain handlers keep jobs from beginning: another thread takes over then, or, where every thread is in a
    /// handler, the jobs come back. When to look again; none where nothing waits.
    pub(crate) fn look(&mut self, now: Instant) -> Option<Instant> {
        let traffic = &self.lanes[index(Lane::Worker)];
        if traffic.calls.len() < 2 || self.recalling {
            return None;
        }
        let due = traffic.answered.max(self.relieved) + QUICK;
        if due > now {
            return Some(due);
        }
        let begun = traffic.begun(self.mark(Lane::Worker));
        if begun >= traffic.calls.len() {
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
        let traffic = &mut self.lanes[index(Lane::Worker)];
        for id in ids {
            match traffic.calls.remove(id) {
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
