//! `Dispatch`: gives jobs to workers and reads what they answer, all of them on one thread, in rounds: what the host has left
//! is taken, what workers have sent is read, jobs are given out, and then everything is written in one go per socket. A
//! round in which nothing came ends with sleep, until a socket or the [`Hub`] wakes the thread. Without calls under way
//! there is no timer.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use httpy_core::frame::{Command, Question};
use httpy_core::{Late, LoadError, Notice, Seat, TargetId};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use crate::after::After;
use crate::ask::Ask;
use crate::board::Board;
use crate::call::Waiting;
use crate::deed::Deed;
use crate::gather::Gatherings;
use crate::handover::{Handler, Handlers, Order, Reason, WorkerId};
use crate::hub::{Hub, Left};
use crate::line::Lines;
use crate::options::{Limits, ProcessOptions};
use crate::traffic::index;
use crate::watch::Watched;
use crate::worker::{Life, Worker};

/// After so many rounds in a row whatever else is on this thread comes first.
const ROUNDS: usize = 16;

/// Gives out jobs.
#[derive(Debug)]
pub(crate) struct Dispatch {
    pub(crate) hub: Arc<Hub>,
    pub(crate) shared: Arc<Handlers>,
    /// A copy of what is shared.
    pub(crate) handlers: Vec<Arc<Handler>>,
    orders: Option<mpsc::Receiver<Order>>,
    /// By seat.
    pub(crate) workers: Vec<Option<Worker>>,
    /// Jobs for either lane.
    waiting: [VecDeque<Waiting>; 2],
    pub(crate) watched: Vec<Watched>,
    left: Left,
    pub(crate) after: After,
    /// Handlers that are still to be loaded, one after the other.
    pub(crate) loads: VecDeque<Deed>,
    pub(crate) is_loading: bool,
    /// The handler that one worker has loaded and others have not yet, and who waits for that.
    pub(crate) loading: Option<(TargetId, SyncSender<Result<TargetId, LoadError>>)>,
    /// What every worker loads for its end.
    pub(crate) shutdown: Vec<String>,
    pub(crate) gatherings: Gatherings,
    pub(crate) board: Arc<Board>,
    /// Workers that are to end when no job waits any more.
    stops: Vec<WorkerId>,
    sleep: Pin<Box<Sleep>>,
    /// When the timer rings, if it does.
    rings: Option<Instant>,
    pub(crate) lines: Lines,
    late: fn(&str, Late),
    limits: Limits,
    pub(crate) lost_after: Duration,
}

impl Dispatch {
    /// Must be called within a runtime.
    pub(crate) fn new(
        options: &ProcessOptions,
        hub: Arc<Hub>,
        shared: Arc<Handlers>,
        orders: mpsc::Receiver<Order>,
        board: Arc<Board>,
        lines: Lines,
        late: fn(&str, Late),
    ) -> Self {
        Self {
            hub,
            shared,
            handlers: Vec::new(),
            orders: Some(orders),
            workers: Vec::new(),
            waiting: [VecDeque::new(), VecDeque::new()],
            watched: Vec::new(),
            left: Left::default(),
            after: After::default(),
            loads: VecDeque::new(),
            is_loading: false,
            loading: None,
            shutdown: Vec::new(),
            gatherings: Gatherings::default(),
            board,
            stops: Vec::new(),
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            rings: None,
            lines,
            late,
            limits: options.limits(),
            lost_after: options.lost_after,
        }
    }

    /// Goes on until the supervisor has ended and no worker is left.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            let now = Instant::now();
            let mut any = self.take_orders(context);
            any |= self.hub.take(&mut self.left);
            // Before anything that was left is looked at: whoever has asked for a reload is told now that it is done, and what
            // comes from here on is for the new workers.
            self.stop();
            self.take_left();
            any |= self.read(context, now);
            any |= self.enforce(now);
            self.assign(now);
            self.write(context, now);
            self.after.finish(&self.handlers, &self.lines, self.late);
            if any {
                continue;
            }
            if self.orders.is_none() && self.workers.iter().all(Option::is_none) {
                self.hub.close();
                return Poll::Ready(());
            }
            if self.hub.take_or_sleep(&mut self.left, context.waker()) {
                self.take_left();
                continue;
            }
            if !self.sleeps(context, now) {
                continue;
            }
            return Poll::Pending;
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn take_orders(&mut self, context: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Some(orders) = &mut self.orders {
            let Poll::Ready(order) = orders.poll_recv(context) else {
                break;
            };
            any = true;
            match order {
                None => self.orders = None,
                Some(Order::Add(started)) => {
                    let free = self.workers.iter().position(Option::is_none);
                    let seat = free.unwrap_or_else(|| {
                        self.workers.push(None);
                        self.workers.len() - 1
                    });
                    self.board.started(&started.facts);
                    let hub = Arc::clone(&self.hub);
                    let mut worker = Worker::new(*started, Seat(seat), hub, self.limits);
                    self.introduce(&mut worker);
                    self.workers[seat] = Some(worker);
                }
                Some(Order::Stop(id)) => self.stops.push(id),
                Some(Order::ShutDown(id, limits)) => {
                    if let Some(worker) = self.worker(id) {
                        worker.life = Life::Ends;
                        worker.ask(Ask::ShutDown, Question::ShutDown(limits));
                    }
                }
                Some(Order::Gone(id)) => {
                    if let Some(seat) = self.seat(id) {
                        self.end(seat, Reason::Closed);
                    }
                }
            }
        }
        any
    }

    /// Has workers end. When the app is dropped, whatever waits then comes before that, also what a worker has not begun: no
    /// other one would.
    fn stop(&mut self) {
        let (closed, waits) = (self.left.closed, self.jobs() + self.left.jobs.len() > 0);
        for id in std::mem::take(&mut self.stops) {
            let Some(worker) = self.worker(id) else {
                continue;
            };
            if closed && (waits || worker.under_way() > 0) {
                self.stops.push(id);
                continue;
            }
            worker.life = Life::Stops;
            worker.command(&Command::Stop);
        }
        self.settle_load();
    }

    /// Takes in what the host has left.
    fn take_left(&mut self) {
        let mut left = std::mem::take(&mut self.left);
        for job in left.jobs.drain(..) {
            self.waiting[index(job.target.lane())].push_back(job.into());
        }
        for deed in left.deeds.drain(..) {
            self.act(deed);
        }
        for place in left.moved.drain(..) {
            if let Some(worker) = self.worker(place.worker) {
                worker.moved(place.lane, place.id);
            }
        }
        // With its memory.
        self.left = left;
    }

    fn read(&mut self, context: &mut Context<'_>, now: Instant) -> bool {
        let mut any = false;
        for seat in 0..self.workers.len() {
            let Some(worker) = &mut self.workers[seat] else {
                continue;
            };
            // What a call has logged comes before its reply, by another way: with the reply in hand, it is there.
            any |= worker.receive(context);
            let read = self.read_control(seat, context).and_then(|control| {
                any |= control;
                self.workers[seat]
                    .as_mut()
                    .map_or(Ok(()), |worker| worker.read(now, &mut self.after))
            });
            if let Err(reason) = read {
                any = true;
                self.end(seat, reason);
            }
        }
        self.take_back();
        any
    }

    /// Jobs that have come back are the next ones, the oldest first.
    fn take_back(&mut self) {
        if self.after.back.is_empty() {
            return;
        }
        self.after.back.sort_by_key(|waiting| waiting.ticket.pushed);
        for waiting in self.after.back.drain(..).rev() {
            self.waiting[index(waiting.target.lane())].push_front(waiting);
        }
    }

    /// Ends the connection to a worker. What it had written before is still read.
    pub(crate) fn end(&mut self, seat: usize, reason: Reason) {
        let Some(mut worker) = self.workers[seat].take() else {
            return;
        };
        if matches!(reason, Reason::Closed) {
            worker.read_rest(&mut self.after);
        }
        worker.close(reason, &self.handlers, &mut self.after);
        for ask in std::mem::take(&mut self.after.asks) {
            self.unanswered(ask);
        }
        self.settle_load();
        self.take_back();
    }

    /// Gives out jobs: each to the worker with the fewest that has room for it.
    fn assign(&mut self, now: Instant) {
        for waiting in &mut self.waiting {
            while let Some(next) = waiting.front() {
                let target = next.target;
                let rooms = self.workers.iter_mut().flatten();
                let rooms = rooms.filter_map(|worker| Some((worker.room(target)?, worker)));
                let Some((_, worker)) = rooms.min_by_key(|(calls, _)| *calls) else {
                    break;
                };
                if let Some(next) = waiting.pop_front() {
                    worker.send(next, now, &mut self.after);
                }
            }
        }
    }

    fn write(&mut self, context: &mut Context<'_>, now: Instant) {
        for worker in self.workers.iter_mut().flatten() {
            worker.write(context, now, &mut self.after);
        }
    }

    /// Sets the timer for whatever is to be looked at next; false when it has rung already.
    fn sleeps(&mut self, context: &mut Context<'_>, now: Instant) -> bool {
        let looks = self.workers.iter_mut().flatten();
        let looks = looks
            .flat_map(|worker| [worker.look(now), worker.look_round(now)])
            .flatten();
        let next = looks
            .chain(self.watched.iter().map(|watched| watched.call.next))
            .min();
        // What `look` has told the workers.
        self.write(context, now);
        let Some(next) = next else {
            self.rings = None;
            return true;
        };
        // One that rings too early is set anew then, which is cheaper than to set it in each round.
        if self.rings.is_none_or(|rings| next < rings) {
            self.rings = Some(next);
            self.sleep.as_mut().reset(next.into());
        }
        if self.sleep.as_mut().poll(context).is_pending() {
            return true;
        }
        self.rings = None;
        false
    }

    /// Says something to the operator, elsewhere: it runs the host's code.
    pub(crate) fn say(&self, notice: Notice) {
        self.lines.say(notice);
    }

    /// The worker of this number, while it lives.
    pub(crate) fn worker(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.workers
            .iter_mut()
            .flatten()
            .find(|worker| worker.id == id)
    }

    pub(crate) fn seat(&self, id: WorkerId) -> Option<usize> {
        self.workers
            .iter()
            .position(|worker| worker.as_ref().is_some_and(|worker| worker.id == id))
    }

    pub(crate) fn jobs(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }
}
