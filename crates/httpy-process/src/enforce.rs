//! What is done about calls that nobody waits for any more.

use std::sync::Arc;
use std::time::Instant;

use httpy_core::frame::Question;
use httpy_core::{Abandoned, Kind, Lane, Notice, TargetId, Ticket};

use crate::ask::Ask;
use crate::dispatch::Dispatch;
use crate::handover::Reason;
use crate::hub::Place;
use crate::traffic::{LANES, index};
use crate::watch::{GRACE, OfLoop, Strike, Watched};
use crate::worker::Worker;

impl Dispatch {
    /// Where a call is under way.
    pub(crate) fn find(&self, ticket: &Arc<Ticket>) -> Option<Place> {
        let worker = self.workers.get(ticket.seat()?.0)?.as_ref()?;
        LANES.into_iter().find_map(|lane| {
            let id = worker.lanes[index(lane)].number_of(ticket)?;
            Some(Place {
                worker: worker.id,
                lane,
                id,
            })
        })
    }

    /// Nobody waits for a call any more.
    pub(crate) fn watch(&mut self, target: TargetId, ticket: &Arc<Ticket>, answered: bool) {
        let now = Instant::now();
        let name = self
            .handlers
            .get(target.index)
            .map_or_else(String::new, |handler| handler.target.clone());
        let call = Abandoned::new(name, ticket, answered);
        let Some(place) = self.find(ticket) else {
            if let Some(notice) = call.over() {
                self.say(notice);
            }
            return;
        };
        let is_told = target.interface.kind == Kind::Asgi && !answered;
        if is_told && let Some(worker) = self.worker(place.worker) {
            worker.leave(place.lane, place.id);
        }
        if is_told && ticket.due().is_none() {
            return;
        }
        // A plain handler only hears of it; one that has not begun never does. A coroutine is cancelled when it was looked at; an
        // application when its time is over.
        if place.lane == Lane::Worker
            && let Some(worker) = self.worker(place.worker)
        {
            worker.cancel(place.lane, place.id);
        }
        let mut watched = Watched::new(place, call, now);
        if is_told {
            watched.call.next = watched.call.from;
        }
        match self.watched.iter_mut().find(|before| before.place == place) {
            Some(before) => *before = watched,
            None => self.watched.push(watched),
        }
    }

    /// Does what is due about calls that nobody waits for. True when anything was.
    pub(crate) fn enforce(&mut self, now: Instant) -> bool {
        if self.watched.is_empty() {
            return false;
        }
        let mut any = false;
        let mut watched = std::mem::take(&mut self.watched);
        let mut kept = Vec::with_capacity(watched.len());
        for mut watched in watched.drain(..) {
            let (Place { worker, lane, id }, lost_after) = (watched.place, self.lost_after);
            let still = self.worker(worker).filter(|worker| {
                let call = worker.lanes[index(lane)].calls.get(&id);
                call.is_some_and(|call| !call.ticket.is_answered() || watched.call.answered)
            });
            let Some(worker) = still else {
                if let Some(notice) = watched.call.over() {
                    self.say(notice);
                }
                continue;
            };
            let of_loop = match lane {
                Lane::Worker => OfLoop::Other,
                Lane::EventLoop => worker.rounds.for_call(id, lost_after, now),
            };
            let strike = watched.strike(now, lost_after, of_loop);
            any |= !matches!(strike, Strike::Nothing);
            match strike {
                Strike::Nothing => {}
                Strike::Interrupt(notice) => {
                    // Before the interruption, which changes where it is.
                    ask_stack(worker, &watched, notice);
                    worker.interrupt(lane, id);
                }
                Strike::Cancel(notice) => {
                    ask_stack(worker, &watched, notice);
                    worker.cancel(lane, id);
                    worker.hurry_round(now);
                }
                Strike::Free(notice) => {
                    ask_stack(worker, &watched, notice);
                    worker.interrupt(lane, id);
                    worker.cancel(lane, id);
                }
                Strike::Unblock => {
                    if worker
                        .rounds
                        .silent_for(now)
                        .is_some_and(|silent_for| silent_for >= GRACE)
                    {
                        worker.interrupt(lane, id);
                    }
                }
                Strike::Tell(notice) => self.say(notice),
                Strike::Kill => {
                    if let Some(seat) = self.seat(watched.place.worker) {
                        self.end(seat, Reason::Stuck);
                    }
                    continue;
                }
            }
            kept.push(watched);
        }
        self.watched.extend(kept);
        any
    }
}

/// Asks where the call is, for what is said of it.
fn ask_stack(worker: &mut Worker, watched: &Watched, notice: Option<Notice>) {
    if let Some(notice) = notice {
        let Place { lane, id, .. } = watched.place;
        worker.ask(
            Ask::Stack {
                lane,
                id,
                notice: Box::new(notice),
            },
            Question::Stacks,
        );
    }
}
