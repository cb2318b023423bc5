//! What the host asks of the workers, and what they answer on their control sockets.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::task::{Context, Poll};
use std::time::Instant;

use httpy_core::frame::{Command, Notification, Question, Unread};
use httpy_core::{
    Lane, LoadError, LoopMember, Member, Notice, Roster, Slow, Standing, TargetId, Work, log,
};

use crate::ask::{Ask, gone, internal};
use crate::call::Call;
use crate::deed::Deed;
use crate::dispatch::Dispatch;
use crate::handover::{Handler, Reason};
use crate::hub::Place;
use crate::reply::broken;
use crate::said::{Exited, Figures};
use crate::traffic::index;
use crate::worker::{Life, Worker};

/// So many calls on an event loop are told of.
const MOST_OLDEST: usize = 8;

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
                let ask = Ask::LoadShutdown {
                    target: target.clone(),
                    reply: Some(reply),
                };
                self.ask_one(ask, Question::LoadShutdown(&target));
            }
            Deed::Examine(reply) => self.ask_one(Ask::Examine(reply), Question::Examine),
            Deed::LogLevel => {
                let level = Command::LogLevel(log::python_level());
                self.workers
                    .iter_mut()
                    .flatten()
                    .for_each(|worker| worker.command(&level));
            }
            Deed::Enforce {
                target,
                ticket,
                answered,
            } => self.watch(target, &ticket, answered),
            Deed::TellSlow { ticket, slow } => {
                let place = self.find(&ticket);
                let found = place.and_then(|place| Some((place, self.worker(place.worker)?)));
                match found {
                    // What was sent ahead waits there as it would here.
                    Some((place, worker)) if place.id > worker.mark(place.lane) => {
                        self.say(Notice::Slow {
                            call: Slow {
                                taken: false,
                                ..*slow
                            },
                            stack: None,
                        });
                    }
                    Some((Place { lane, id, .. }, worker)) => {
                        let notice = Box::new(Notice::Slow {
                            call: *slow,
                            stack: None,
                        });
                        worker.ask(Ask::Stack { lane, id, notice }, Question::Stacks);
                    }
                    None => self.say(Notice::Slow {
                        call: *slow,
                        stack: None,
                    }),
                }
            }
            Deed::Stacks(sender) => {
                let count = self.workers.iter().flatten().count();
                let Some(number) = self.gatherings.stacks(count, sender) else {
                    return;
                };
                for worker in self.workers.iter_mut().flatten() {
                    worker.ask(Ask::Stacks(number), Question::Stacks);
                }
            }
            Deed::Figures(sender) => {
                let count = self.workers.iter().flatten().count();
                let Some(number) = self.gatherings.figures(count, sender) else {
                    return;
                };
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
        let worker = self
            .workers
            .iter_mut()
            .flatten()
            .find(|worker| worker.life == Life::Serves);
        match worker {
            Some(worker) => worker.ask(ask, question),
            None => drop(ask.fail(internal("no worker process is there"))),
        }
    }

    /// Has the next handler loaded, one after the other, so that all workers give them the same numbers. One worker loads it
    /// first, since what is wrong with it is to be heard once; the others import its module at the same time.
    fn load_next(&mut self) {
        while !self.is_loading
            && let Some(Deed::Load(kind, target, reply)) = self.loads.pop_front()
        {
            let known = self
                .ids()
                .find(|(id, handler)| handler.target == target && id.interface.kind == kind);
            if let Some((id, _)) = known {
                drop(reply.try_send(Ok(id)));
                continue;
            }
            self.is_loading = true;
            let ask = Ask::LoadFirst {
                target: target.clone(),
                reply,
            };
            let mut workers = self
                .workers
                .iter_mut()
                .flatten()
                .filter(|worker| worker.life == Life::Serves);
            match workers.next() {
                Some(worker) => {
                    worker.ask(ask, Question::Load(kind, &target));
                    workers.for_each(|worker| worker.command(&Command::Prepare(&target)));
                }
                None => {
                    self.is_loading = false;
                    drop(ask.fail(internal("no worker process is there")));
                }
            }
        }
    }

    /// The handlers with their numbers.
    fn ids(&self) -> impl Iterator<Item = (TargetId, &Handler)> {
        self.handlers.iter().enumerate().map(|(index, handler)| {
            let interface = handler.interface;
            (TargetId { index, interface }, handler.as_ref())
        })
    }

    /// Has a new worker load what others have loaded since it was started.
    pub(crate) fn introduce(&mut self, worker: &mut Worker) {
        self.handlers = self.shared.all();
        for (id, handler) in self.ids().skip(worker.handlers) {
            let target = handler.target.clone();
            let question = Question::Load(id.interface.kind, &handler.target);
            worker.ask(Ask::Load { target, id }, question);
        }
        // The filters of the host's log may have changed since it was started.
        worker.command(&Command::LogLevel(log::python_level()));
        for target in &self.shutdown {
            let ask = Ask::LoadShutdown {
                target: target.clone(),
                reply: None,
            };
            worker.ask(ask, Question::LoadShutdown(target));
        }
    }

    /// Reads what has come on a worker's control socket. True when anything has.
    ///
    /// # Errors
    ///
    /// Why the connection is at its end.
    pub(crate) fn read_control(
        &mut self,
        seat: usize,
        context: &mut Context<'_>,
    ) -> Result<bool, Reason> {
        let Some(worker) = &mut self.workers[seat] else {
            return Ok(false);
        };
        let (mut any, mut open) = (false, true);
        while open && let Poll::Ready(read) = worker.control.poll_read(context) {
            open = read.is_ok_and(|open| open);
            any = true;
        }
        // Also where nothing is read: something may have come with what made the worker ready.
        while let Some(worker) = &mut self.workers[seat]
            && let Some(payload) = worker.control.next()?
        {
            for notification in payload.messages()? {
                self.notified(seat, notification?)?;
            }
        }
        if open { Ok(any) } else { Err(Reason::Closed) }
    }

    fn notified(&mut self, seat: usize, notification: Notification<'_>) -> Result<(), Reason> {
        let Some(worker) = &mut self.workers[seat] else {
            return Ok(());
        };
        match notification {
            Notification::Read { lane, id, bytes } => worker.has_read(lane, id, bytes),
            Notification::Log(record) => {
                let span = worker.span(&record);
                self.lines.log(record.record, span);
                Ok(())
            }
            Notification::Ok { seq, answer } => {
                let ask = worker.asks.remove(&seq).ok_or_else(|| unasked(seq))?;
                self.answered(seat, ask, answer)
            }
            Notification::Error { seq, error } => {
                let ask = worker.asks.remove(&seq).ok_or_else(|| unasked(seq))?;
                self.failed(ask, error)
            }
            Notification::Hello { .. } | Notification::Ready => {
                Err(broken("that it has started, once more".to_owned()))
            }
        }
    }

    fn answered(&mut self, seat: usize, ask: Ask, answer: Unread<'_>) -> Result<(), Reason> {
        let Some(worker) = &mut self.workers[seat] else {
            return Ok(());
        };
        match ask {
            Ask::LoadFirst { target, reply } => {
                let given = answer.read::<TargetId>("loaded")?;
                let TargetId { index, interface } = given;
                if let Some(known) = self.handlers.get(index) {
                    // By another name.
                    let interface = known.interface;
                    self.is_loading = false;
                    drop(reply.try_send(Ok(TargetId { index, interface })));
                    self.load_next();
                    return Ok(());
                }
                if index != self.handlers.len() {
                    return Err(broken(format!("{index} for the number of a handler")));
                }
                worker.handlers = index + 1;
                self.loaded_first(seat, given, Handler { target, interface }, reply);
                Ok(())
            }
            Ask::Load { target, id } => {
                if answer.read::<TargetId>("loaded")? != id {
                    return Err(broken(format!(
                        "that {target} is another handler than in other workers"
                    )));
                }
                worker.handlers = id.index + 1;
                self.settle_load();
                Ok(())
            }
            Ask::Init(reply) => {
                drop(reply.try_send(Ok(answer.read("routes")?)));
                Ok(())
            }
            Ask::LoadShutdown { target, reply } => {
                if let Some(reply) = reply {
                    for (other, worker) in self.workers.iter_mut().enumerate() {
                        let Some(worker) = worker.as_mut().filter(|_| other != seat) else {
                            continue;
                        };
                        let ask = Ask::LoadShutdown {
                            target: target.clone(),
                            reply: None,
                        };
                        worker.ask(ask, Question::LoadShutdown(&target));
                    }
                    self.shutdown.push(target);
                    drop(reply.try_send(Ok(())));
                }
                Ok(())
            }
            Ask::Examine(reply) => {
                drop(reply.try_send(Ok(answer.read("facts")?)));
                Ok(())
            }
            Ask::Stacks(number) => {
                let stacks = worker.stacks(answer.read("stacks")?);
                self.gatherings.add_stacks(number, stacks);
                Ok(())
            }
            Ask::Figures(number) => {
                let (figures, lag) = answer.read::<Figures>("figures")?.split();
                worker.rounds.lag = lag.or(worker.rounds.lag);
                self.gatherings.add_figures(number, Some(figures));
                Ok(())
            }
            Ask::Stack { lane, id, notice } => {
                // Also where its call has ended since: an interruption that was sent along has come first then.
                let stacks: Vec<(Lane, u64, String)> = answer.read("stacks")?;
                let mut stacks = stacks.into_iter();
                let found = stacks.find(|(of_lane, of_id, _)| (*of_lane, *of_id) == (lane, id));
                self.say(with_stack(*notice, found.map(|(_, _, text)| text)));
                Ok(())
            }
            Ask::Round => {
                worker.rounds.come(Instant::now());
                Ok(())
            }
            Ask::Blocked => {
                let handlers = &self.handlers;
                let name = |index| {
                    handlers
                        .get(index)
                        .map_or_else(String::new, |handler: &Arc<Handler>| handler.target.clone())
                };
                if let Some(notice) = worker.kept(answer.read("blocked")?, name) {
                    self.lines.say(notice);
                }
                Ok(())
            }
            Ask::ShutDown => {
                let exited: Exited = answer.read("ended")?;
                if !exited.tasks.is_empty() {
                    let tasks = exited.tasks.clone();
                    self.say(Notice::Left { tasks });
                }
                self.board.report(exited);
                Ok(())
            }
        }
    }

    /// Has the other workers load what one has loaded.
    fn loaded_first(
        &mut self,
        seat: usize,
        id: TargetId,
        handler: Handler,
        reply: SyncSender<Result<TargetId, LoadError>>,
    ) {
        let handler = self.shared.add(handler);
        self.handlers = self.shared.all();
        for (other, worker) in self.workers.iter_mut().enumerate() {
            let Some(worker) = worker.as_mut().filter(|_| other != seat) else {
                continue;
            };
            let target = handler.target.clone();
            let question = Question::Load(id.interface.kind, &handler.target);
            worker.ask(Ask::Load { target, id }, question);
        }
        self.loading = Some((id, reply));
        self.settle_load();
    }

    /// Tells that a handler is loaded, when every worker has it.
    pub(crate) fn settle_load(&mut self) {
        let lacks = |id: TargetId| {
            let mut workers = self
                .workers
                .iter()
                .flatten()
                .filter(|worker| worker.life == Life::Serves);
            workers.any(|worker| worker.handlers <= id.index)
        };
        if let Some((id, reply)) = self.loading.take_if(|(id, _)| !lacks(*id)) {
            self.is_loading = false;
            drop(reply.try_send(Ok(id)));
            self.load_next();
        }
    }

    fn failed(&mut self, ask: Ask, error: LoadError) -> Result<(), Reason> {
        if let Ask::Load { target, id } = &ask {
            // One that its first worker has loaded, and this one cannot, such as an application whose startup takes a port.
            if let Some((_, reply)) = self.loading.take_if(|(loading, _)| loading == id) {
                drop(reply.try_send(Err(error.clone())));
                self.is_loading = false;
                self.load_next();
            }
            // Jobs for it would never be taken here.
            return Err(broken(format!(
                "that {target}, which others have loaded, cannot be loaded: {error}"
            )));
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
            Some(Ask::Stack { notice, .. }) => self.say(*notice),
            _ => {}
        }
        if was_loading {
            self.is_loading = false;
            self.load_next();
        }
    }

    /// Who does what now.
    fn roster(&self) -> Roster {
        let now = Instant::now();
        let workers = self.workers.iter().flatten();
        let members = workers.clone().map(|worker| {
            let oldest = worker
                .lanes
                .iter()
                .flat_map(|traffic| traffic.calls.values())
                .min_by_key(|call| call.sent);
            let work = oldest.map(|call| self.work(call));
            let standing = if work.is_some() {
                Standing::Working
            } else {
                Standing::Idle
            };
            Member {
                number: worker.number,
                name: worker.name.clone(),
                standing,
                work,
            }
        });
        let has_gil = workers.clone().all(|worker| worker.has_gil);
        let loops = workers.filter_map(|worker| {
            let (traffic, rounds) = (&worker.lanes[index(Lane::EventLoop)], &worker.rounds);
            if rounds.lag.is_none() && traffic.calls.is_empty() {
                return None;
            }
            let mut calls: Vec<&Call> = traffic.calls.values().collect();
            calls.sort_unstable_by_key(|call| call.sent);
            let blocked_for = rounds.blocked_for(now);
            let keeps = blocked_for.and_then(|_| traffic.calls.get(&rounds.blocked_by()?));
            Some(LoopMember {
                name: worker.name.clone(),
                calls: calls.len(),
                waiting: calls.len() - traffic.begun(worker.mark(Lane::EventLoop)),
                lag: rounds.lag.max(blocked_for),
                blocked_for,
                blocked_by: keeps.map(|call| self.work(call)),
                oldest: calls
                    .into_iter()
                    .take(MOST_OLDEST)
                    .map(|call| self.work(call))
                    .collect(),
            })
        });
        Roster {
            jobs: self.jobs(),
            has_gil,
            members: members.collect(),
            loops: loops.collect(),
        }
    }

    fn work(&self, call: &Call) -> Work {
        let target = self
            .handlers
            .get(call.target.index)
            .map_or_else(String::new, |it| it.target.clone());
        Work {
            target,
            ticket: Arc::clone(&call.ticket),
        }
    }
}

fn with_stack(notice: Notice, text: Option<String>) -> Notice {
    match notice {
        Notice::Overdue { call, shielded, .. } => match text {
            Some(stack) => Notice::Overdue {
                call,
                stack,
                shielded,
            },
            // It has ended by itself in this moment, or never began.
            None => Notice::Late {
                target: call.target,
                subject: call.subject,
                limit: call.limit,
            },
        },
        Notice::Cancelled { call, .. } => Notice::Cancelled { call, stack: text },
        Notice::Slow { call, .. } => Notice::Slow { call, stack: text },
        other => other,
    }
}

#[cold]
fn unasked(seq: u64) -> Reason {
    broken(format!(
        "an answer to question {seq}, which it was not asked"
    ))
}
