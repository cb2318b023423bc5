//! `Worker`: one live worker process: its sockets, and the calls that it was sent. How something is sent is in `send`, what it
//! says of its calls in `reply`.

use std::collections::HashMap;
use std::fs::File;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use httpy_core::frame::{Command, LogRecord};
use httpy_core::{Lane, Seat, Stack, StackOf, TargetId};
use tokio::sync::oneshot;

use crate::ask::Ask;
use crate::call::Body;
use crate::channel::Channel;
use crate::handover::{Ended, Reason, Started, Tally, WorkerId};
use crate::hub::Hub;
use crate::options::Limits;
use crate::reply::{broken, unknown};
use crate::round::Rounds;
use crate::traffic::{Numbers, Traffic, index};

/// Time without a reply after which a worker sends what it has kept back, and another thread reads the lane of plain
/// handlers.
const RELIEVE_AFTER: Duration = Duration::from_millis(1);

/// Whether a worker gets jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It does.
    Serves,
    /// It gets no more, and ends when it has finished what it has begun.
    Stops,
    /// It ends with the app, whatever its calls do.
    Ends,
}

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
    pub(crate) life: Life,
    /// What it was asked and has not answered.
    pub(crate) asks: HashMap<u64, Ask, Numbers>,
    /// The number of the last question.
    pub(crate) last_ask: u64,
    /// When it was last told that no reply has come for a while.
    relieved: Instant,
    /// The number of the last job of plain handlers, if all had begun by then.
    relieved_with: u64,
    /// A call of it had a span, in which its log records belong.
    pub(crate) has_spans: bool,
    pub(crate) tally: Arc<Tally>,
    pub(crate) ended: oneshot::Sender<Ended>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) seat: Seat,
    threads: usize,
    in_flight: usize,
    /// Of its event loop.
    pub(crate) rounds: Rounds,
}

/// Where the stack of a worker's event loop stands among those of its calls.
const LOOP: (Lane, u64) = (Lane::EventLoop, 0);

impl Worker {
    /// The worker that was `started`, at `seat`.
    pub(crate) fn new(started: Started, seat: Seat, hub: Arc<Hub>, limits: Limits) -> Self {
        let now = Instant::now();
        let Limits {
            threads,
            in_flight,
            loop_blocked_after,
        } = limits;
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
            life: Life::Serves,
            asks: HashMap::default(),
            last_ask: 0,
            relieved: now,
            relieved_with: 0,
            has_spans: false,
            tally,
            ended,
            hub,
            seat,
            threads,
            in_flight,
            rounds: Rounds::new(loop_blocked_after, now),
        }
    }

    /// The number of calls under way on the lane of `target`. None if no more may be sent there.
    pub(crate) fn room(&self, target: TargetId) -> Option<usize> {
        let most = match target.lane() {
            Lane::EventLoop => self.in_flight,
            // One for each thread, so that none waits for another one to end.
            Lane::Worker => self.threads,
        };
        let traffic = &self.lanes[index(target.lane())];
        let calls = traffic.calls.len() - traffic.past;
        (calls < most && self.handlers > target.index && self.life == Life::Serves).then_some(calls)
    }

    /// How many calls it has not answered.
    pub(crate) fn under_way(&self) -> usize {
        self.lanes.iter().map(|traffic| traffic.calls.len()).sum()
    }

    /// The handler of a call has read so much of its request's body.
    ///
    /// # Errors
    ///
    /// When it cannot have.
    pub(crate) fn has_read(&mut self, lane: Lane, id: u64, bytes: u64) -> Result<(), Reason> {
        // It may have ended in the meantime.
        let Some(call) = self.lanes[index(lane)].calls.get_mut(&id) else {
            return Ok(());
        };
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let Body::Stream(receiving) = &mut call.body else {
            return if call.ticket.is_answered() {
                Ok(())
            } else {
                Err(unknown(id))
            };
        };
        if !receiving.read(bytes) {
            return Err(broken(format!(
                "that it has read {bytes} bytes of call {id}, which it was not sent"
            )));
        }
        self.upload(lane, id);
        Ok(())
    }

    /// The stacks of calls, as far as they are still under way; and that of an event loop that is blocked.
    pub(crate) fn stacks(&self, stacks: Vec<(Lane, u64, String)>) -> Vec<Stack> {
        let blocked = self.rounds.blocked_for(Instant::now()).is_some();
        let stacks = stacks.into_iter().filter_map(|(lane, id, text)| {
            if (lane, id) == LOOP {
                return blocked.then(|| Stack {
                    of: StackOf::EventLoop(self.name.clone()),
                    text,
                });
            }
            let call = self.lanes[index(lane)].calls.get(&id)?;
            Some(Stack {
                of: StackOf::Call(Arc::clone(&call.ticket)),
                text,
            })
        });
        stacks.collect()
    }

    /// The span of the call that a record belongs to, while it is under way; and notes that something was logged for it.
    pub(crate) fn span(&self, record: &LogRecord) -> Option<NonZeroU64> {
        let (lane, id) = record.lane.zip(record.id)?;
        let call = self.lanes[index(lane)].calls.get(&id)?;
        call.ticket.note_logged();
        call.ticket.call.details.span
    }

    /// Something may have moved in a stream of a call.
    pub(crate) fn moved(&mut self, lane: Lane, id: u64) {
        let Some(call) = self.lanes[index(lane)].calls.get_mut(&id) else {
            return;
        };
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

    /// How far a lane's jobs have begun; all of them where that cannot be found out.
    pub(crate) fn mark(&self, lane: Lane) -> u64 {
        let mut bytes = [0; 8];
        let offset = 8 * index(lane) as u64;
        self.mark
            .read_exact_at(&mut bytes, offset)
            .map_or(u64::MAX, |()| u64::from_le_bytes(bytes))
    }

    /// Tells the worker when no reply has come for a while: jobs, or replies that are kept back to be sent with others, may
    /// wait for a handler to end. Returns when to look again; None if nothing can wait.
    pub(crate) fn look(&mut self, now: Instant) -> Option<Instant> {
        let traffic = &self.lanes[index(Lane::Worker)];
        if traffic.calls.len() < 2 {
            return None;
        }
        let due = traffic.answered.max(self.relieved) + RELIEVE_AFTER;
        if due > now {
            return Some(due);
        }
        if traffic.begun(self.mark(Lane::Worker)) == traffic.calls.len() {
            // Once: what was kept back is sent then.
            if self.relieved_with == traffic.last {
                return None;
            }
            self.relieved_with = traffic.last;
        }
        self.relieved = now;
        self.command(&Command::Relieve);
        Some(now + RELIEVE_AFTER)
    }
}
