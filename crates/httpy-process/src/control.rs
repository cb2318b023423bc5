//! What the host asks of the workers, and what they answer on their control sockets.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use httpy_core::frame::{FrameError, Loaded as Given, Notification, Parts, Question, Value, job_ids, routes, stacks};
use httpy_core::{Figures, LoadError, LoadErrorKind, Loaded, Member, Notice, Roster, Standing, TargetId, Ticket, Work};

use crate::ask::{Ask, gone, internal};
use crate::deed::Deed;
use crate::dispatch::Dispatch;
use crate::handover::{Handler, Reason, Wants};
use crate::hub::Place;
use crate::watch::{Strike, Watched};
use crate::worker::{WAYS, Worker, broken, index, way};

impl Dispatch {
    /// Does what the host asks.
    pub(crate) fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Load(..) => {
                self.loads.push_back(deed);
                self.load_next();
            }
            Deed::Init(target, reply) => {
                self.ask_one(Ask::Init(reply), Question::Init(&target));
            }
            Deed::LoadShutdown(target, reply) => {
                let ask = Ask::LoadShutdown { target: target.clone(), reply: Some(reply) };
                self.ask_one(ask, Question::LoadShutdown(&target));
            }
            Deed::Examine(reply) => self.ask_one(Ask::Examine(reply), Question::Examine),
            Deed::Enforce { target, ticket, answered } => self.watch(target, &ticket, answered),
            Deed::TellSlow { ticket, slow } => {
                let notice = Box::new(Notice::Slow { call: slow, stack: None });
                match self.find(&ticket).and_then(|place| self.worker(place.worker)) {
                    Some(worker) => worker.ask(Ask::Stack { ticket, notice }, Question::Stacks),
                    None => (self.listener.notice)(&notice),
                }
            }
            Deed::Stacks(sender) => {
                let count = self.workers.iter().flatten().count();
                let Some(number) = self.gatherings.stacks(count, sender) else { return };
                for worker in self.workers.iter_mut().flatten() {
                    worker.ask(Ask::Stacks(number), Question::Stacks);
                }
            }
            Deed::Figures(sender) => {
                let count = self.workers.iter().flatten().count();
                let Some(number) = self.gatherings.figures(count, sender) else { return };
                for worker in self.workers.iter_mut().flatten() {
                    worker.ask(Ask::Figures(number), Question::Figures);
                }
            }
            // Fails where nobody waits any more.
            Deed::Roster(sender) => drop(sender.try_send(self.roster())),
        }
    }

    /// Asks one worker.
    fn ask_one(&mut self, ask: Ask, question: Question<'_>) {
        let worker = self.workers.iter_mut().flatten().find(|worker| !worker.stopping);
        match worker {
            Some(worker) => worker.ask(ask, question),
            None => drop(ask.fail(internal("no worker process is there"))),
        }
    }

    /// Has the next handler loaded, one after the other, so that all workers give them the same numbers.
    fn load_next(&mut self) {
        while !self.is_loading
            && let Some(Deed::Load(target, reply)) = self.loads.pop_front()
        {
            if let Some(index) = self.handlers.iter().position(|handler| handler.target == target) {
                drop(reply.try_send(Ok(loaded(index, &self.handlers[index]))));
                continue;
            }
            self.is_loading = true;
            let ask = Ask::LoadFirst { target: target.clone(), reply };
            let worker = self.workers.iter_mut().flatten().find(|worker| !worker.stopping);
            match worker {
                Some(worker) => worker.ask(ask, Question::Load(&target)),
                None => {
                    self.is_loading = false;
                    drop(ask.fail(internal("no worker process is there")));
                }
            }
        }
    }

    /// Has a new worker load what others have loaded since it was started.
    pub(crate) fn introduce(&mut self, worker: &mut Worker) {
        self.handlers = self.shared.all();
        for (index, handler) in self.handlers.iter().enumerate().skip(worker.handlers) {
            let target = handler.target.clone();
            worker.ask(Ask::Load { target, index }, Question::Load(&handler.target));
        }
        for target in &self.shutdown {
            let ask = Ask::LoadShutdown { target: target.clone(), reply: None };
            worker.ask(ask, Question::LoadShutdown(target));
        }
    }

    /// Reads what has come on a worker's control socket. True when anything has.
    ///
    /// # Errors
    ///
    /// Why the connection is at its end.
    pub(crate) fn read_control(&mut self, seat: usize, context: &mut Context<'_>) -> Result<bool, Reason> {
        let Some(worker) = &mut self.workers[seat] else { return Ok(false) };
        let mut open = true;
        let any = match worker.control.poll_read(context) {
            Poll::Ready(read) => {
                open = read.is_ok_and(|open| open);
                true
            }
            Poll::Pending => false,
        };
        // Also where nothing is read: something may have come with what made the worker ready.
        while let Some(worker) = &mut self.workers[seat]
            && let Some(payload) = worker.control.next()?
        {
            for notification in payload.notifications()? {
                self.notified(seat, notification?)?;
            }
        }
        if open { Ok(any) } else { Err(Reason::Closed) }
    }

    fn notified(&mut self, seat: usize, notification: Notification<'_>) -> Result<(), Reason> {
        let Some(worker) = &mut self.workers[seat] else { return Ok(()) };
        match notification {
            Notification::Read { lane, id, bytes } => worker.has_read(lane, id, bytes),
            Notification::Log(record) => {
                crate::record::emit(&record, worker.span(&record));
                Ok(())
            }
            Notification::Ok { seq, value } => {
                let ask = worker.asks.remove(&seq).ok_or_else(|| unasked(seq))?;
                self.answered(seat, ask, &value)
            }
            Notification::Error { seq, kind, message, exception } => {
                let ask = worker.asks.remove(&seq).ok_or_else(|| unasked(seq))?;
                self.failed(seat, ask, LoadError { kind: LoadErrorKind::named(&kind), message, exception })
            }
            Notification::Hello(_) | Notification::Ready => Err(broken("that it has started, once more".to_owned())),
        }
    }

    fn answered(&mut self, seat: usize, ask: Ask, value: &Value<'_>) -> Result<(), Reason> {
        let Some(worker) = &mut self.workers[seat] else { return Ok(()) };
        match ask {
            Ask::LoadFirst { target, reply } => {
                let given = Given::read(value)?;
                let handler = Handler::new(target, &given);
                if let Some(known) = self.handlers.get(given.index) {
                    // By another name.
                    let loaded = loaded(given.index, known);
                    self.is_loading = false;
                    drop(reply.try_send(Ok(loaded)));
                    self.load_next();
                    return Ok(());
                }
                if given.index != self.handlers.len() {
                    return Err(broken(format!("{} for the number of a handler", given.index)));
                }
                worker.handlers = given.index + 1;
                self.loaded_first(seat, given.index, handler, reply);
                Ok(())
            }
            Ask::Load { target, index } => {
                let given = Given::read(value)?;
                let known =
                    self.handlers.get(index).filter(|known| known.as_ref() == &Handler::new(target.clone(), &given));
                if given.index != index || known.is_none() {
                    return Err(broken(format!("that {target} is another handler than in other workers")));
                }
                worker.handlers = index + 1;
                Ok(())
            }
            Ask::Init(reply) => {
                drop(reply.try_send(Ok(routes(value)?)));
                Ok(())
            }
            Ask::LoadShutdown { target, reply } => {
                if let Some(reply) = reply {
                    for (other, worker) in self.workers.iter_mut().enumerate() {
                        let Some(worker) = worker.as_mut().filter(|_| other != seat) else { continue };
                        let ask = Ask::LoadShutdown { target: target.clone(), reply: None };
                        worker.ask(ask, Question::LoadShutdown(&target));
                    }
                    self.shutdown.push(target);
                    drop(reply.try_send(Ok(())));
                }
                Ok(())
            }
            Ask::Examine(reply) => {
                drop(reply.try_send(Ok(text(value)?)));
                Ok(())
            }
            Ask::Stacks(number) => {
                let stacks = worker.stacks(stacks(value)?);
                self.gatherings.add_stacks(number, stacks);
                Ok(())
            }
            Ask::Figures(number) => {
                let figures = figures(value)?;
                self.gatherings.add_figures(number, Some(figures));
                Ok(())
            }
            Ask::Stack { ticket, notice } => {
                let stacks = worker.stacks(stacks(value)?);
                let stack = stacks.into_iter().find(|stack| Arc::ptr_eq(&stack.ticket, &ticket));
                (self.listener.notice)(&with_stack(*notice, stack.map(|stack| stack.text)));
                Ok(())
            }
            Ask::Recall => worker.recalled(&job_ids(value)?, &mut self.after),
            Ask::ShutDown => Ok(()),
        }
    }

    /// Has the other workers load what one has loaded.
    fn loaded_first(
        &mut self,
        seat: usize,
        index: usize,
        handler: Handler,
        reply: std::sync::mpsc::SyncSender<Result<Loaded, LoadError>>,
    ) {
        let handler = self.shared.add(handler);
        self.handlers = self.shared.all();
        for (other, worker) in self.workers.iter_mut().enumerate() {
            let Some(worker) = worker.as_mut().filter(|_| other != seat) else { continue };
            let target = handler.target.clone();
            worker.ask(Ask::Load { target, index }, Question::Load(&handler.target));
        }
        self.is_loading = false;
        drop(reply.try_send(Ok(loaded(index, &handler))));
        self.load_next();
    }

    fn failed(&mut self, seat: usize, ask: Ask, error: LoadError) -> Result<(), Reason> {
        if let Ask::Load { target, .. } = &ask {
            // Jobs for it would never be taken here.
            return Err(broken(format!("that {target}, which others have loaded, cannot be loaded: {error}")));
        }
        if matches!(ask, Ask::Recall)
            && let Some(worker) = &mut self.workers[seat]
        {
            return worker.recalled(&[], &mut self.after);
        }
        self.unanswered_because(ask, error);
        Ok(())
    }

    /// A worker has died with a question.
    pub(crate) fn unanswered(&mut self, ask: Ask) {
        self.unanswered_because(ask, gone());
    }

    fn unanswered_because(&mut self, ask: Ask, error: LoadError) {
        let was_loading = matches!(ask, Ask::LoadFirst { .. });
        match ask.fail(error) {
            Some(Ask::Stacks(number)) => self.gatherings.add_stacks(number, Vec::new()),
            Some(Ask::Figures(number)) => self.gatherings.add_figures(number, None),
            Some(Ask::Stack { notice, .. }) => (self.listener.notice)(&notice),
            _ => {}
        }
        if was_loading {
            self.is_loading = false;
            self.load_next();
        }
    }

    /// Where a call is under way.
    fn find(&self, ticket: &Arc<Ticket>) -> Option<Place> {
        let worker = self.workers.get(ticket.seat()?.0)?.as_ref()?;
        WAYS.into_iter().find_map(|lane| {
            let id = worker.lanes[index(lane)].number_of(ticket)?;
            Some(Place { worker: worker.id, lane, id })
        })
    }

    /// Nobody waits for a call any more.
    fn watch(&mut self, target: TargetId, ticket: &Arc<Ticket>, answered: bool) {
        let now = Instant::now();
        let name = self.handlers.get(target.index).map_or_else(String::new, |handler| handler.target.clone());
        let Some(place) = self.find(ticket) else {
            if answered {
                let (limit, streaming) = (ticket.limit(), ticket.is_streaming());
                (self.listener.notice)(&Notice::Late { target: name, limit, streaming });
            }
            return;
        };
        debug_assert_eq!(way(target), place.lane);
        if let Some(worker) = self.worker(place.worker) {
            worker.cancel(place.lane, place.id);
        }
        let watched = Watched::new(place, ticket, name, answered, now);
        match self.watched.iter_mut().find(|before| before.place == place) {
            Some(before) => *before = watched,
            None => self.watched.push(watched),
        }
    }

    /// Does what is due about calls that nobody waits for. True when anything was.
    pub(crate) fn enforce(&mut self, context: &mut Context<'_>, now: Instant) -> bool {
        if self.watched.is_empty() {
            return false;
        }
        let mut any = false;
        let mut watched = std::mem::take(&mut self.watched);
        let mut kept = Vec::with_capacity(watched.len());
        for mut watched in watched.drain(..) {
            let (Place { worker, lane, id }, lost_after) = (watched.place, self.lost_after);
            let still = self.worker(worker).filter(|worker| worker.lanes[index(lane)].calls.contains_key(&id));
            let Some(worker) = still else {
                if let Some(notice) = watched.over() {
                    (self.listener.notice)(&notice);
                }
                continue;
            };
            let strike = watched.strike(now, lost_after);
            any |= !matches!(strike, Strike::Nothing);
            let notice = match strike {
                Strike::Nothing => None,
                Strike::Interrupt(notice) => {
                    worker.interrupt(lane, id);
                    notice
                }
                Strike::Cancel(notice) => notice,
                Strike::Tell(notice) => {
                    (self.listener.notice)(&notice);
                    None
                }
                Strike::Kill => {
                    if let Some(seat) = self.seat(watched.place.worker) {
                        self.end(seat, Reason::Stuck, context);
                    }
                    continue;
                }
            };
            if let (Some(notice), Some(ticket)) = (notice, watched.ticket.upgrade())
                && let Some(worker) = self.worker(watched.place.worker)
            {
                worker.ask(Ask::Stack { ticket, notice: Box::new(notice) }, Question::Stacks);
            }
            kept.push(watched);
        }
        self.watched.extend(kept);
        any
    }

    /// Who does what now.
    fn roster(&self) -> Roster {
        let workers = self.workers.iter().flatten();
        let members = workers.clone().map(|worker| {
            let oldest = worker.lanes.iter().flat_map(|lane| lane.calls.values()).min_by_key(|call| call.sent);
            let work = oldest.map(|call| Work {
                target: self.handlers.get(call.target.index).map_or_else(String::new, |it| it.target.clone()),
                ticket: Arc::clone(&call.ticket),
            });
            let standing = if work.is_some() { Standing::Working } else { Standing::Idle };
            Member { number: worker.number, name: worker.name.clone(), standing, work }
        });
        Roster { jobs: self.jobs(), has_gil: workers.clone().all(|worker| worker.has_gil), members: members.collect() }
    }
}

fn loaded(index: usize, handler: &Handler) -> Loaded {
    Loaded { id: TargetId { index, lane: handler.lane }, reads_stream: handler.wants == Wants::Stream }
}

fn with_stack(notice: Notice, text: Option<String>) -> Notice {
    match notice {
        Notice::Overdue { call, shielded, .. } => Notice::Overdue { call, stack: text.unwrap_or_default(), shielded },
        Notice::Cancelled { call, .. } => Notice::Cancelled { call, stack: text },
        Notice::Slow { call, .. } => Notice::Slow { call, stack: text },
        other => other,
    }
}

#[cold]
fn unasked(seq: u64) -> Reason {
    broken(format!("an answer to question {seq}, which it was not asked"))
}

/// Python's figures: memory blocks, and the runs of the garbage collector with their seconds.
fn figures(value: &Value<'_>) -> Result<Figures, FrameError> {
    let mut parts = Parts::of(value, 0, "figures")?;
    let allocated_blocks = parts.count("memory blocks")?;
    let mut runs = parts.items("runs of the garbage collector")?;
    let mut gc_pauses = Vec::new();
    while runs.left() > 0 {
        let mut run = runs.parts("a run of the garbage collector")?;
        let generation = u32::try_from(run.count("a generation")?).unwrap_or(u32::MAX);
        gc_pauses.push((generation, run.seconds("seconds")?));
    }
    Ok(Figures { allocated_blocks, gc_pauses })
}

fn text(value: &Value<'_>) -> Result<String, FrameError> {
    match value {
        Value::Text(text) => Ok(text.to_string_lossy().into_owned()),
        other => Err(FrameError::value(other, 0, "text")),
    }
}
