//! `Calls`: the calls that are under way on one event loop, by number and by task.
//!
//! The loop's thread adds and takes away; the watch only looks. Python objects are never dropped below the lock, as that
//! may run Python code.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;
use std::sync::{Arc, Weak};
use std::time::Instant;

use httpy_core::{Permits, TargetId, Ticket};
use pyo3::prelude::*;

use super::body::Sending;
use super::upload::Receiving;
use crate::answer::Answer;

/// A call under way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) target: TargetId,
    pub(super) ticket: Arc<Ticket>,
    pub(super) answer: Answer,
    pub(super) permits: Permits,
    /// Its task and context, once the first step is over.
    pub(super) task: Option<(Py<PyAny>, Py<PyAny>)>,
    pub(super) cancelled: Option<Cancelled>,
    /// While its reply's body is sent.
    pub(super) sending: Option<Sending>,
    /// While the body of its request may be read, where that is a stream.
    pub(super) receiving: Option<Receiving>,
    /// Futures of an application that waits for its client to leave.
    pub(super) left: Vec<Py<PyAny>>,
}

impl Call {
    pub(super) fn new(
        target: TargetId,
        ticket: Arc<Ticket>,
        answer: Answer,
        permits: Permits,
    ) -> Self {
        let (task, cancelled, sending, receiving) = (None, None, None, None);
        Self {
            target,
            ticket,
            answer,
            permits,
            task,
            cancelled,
            sending,
            receiving,
            left: Vec::new(),
        }
    }
}

/// That a call was cancelled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cancelled {
    /// Because its client was answered with 504; else because the client has gone.
    pub(super) answered: bool,
    pub(super) at: Instant,
    /// It was told that the call goes on all the same.
    pub(super) told: bool,
    /// It had no task then: its first step has run the loop again.
    waits: bool,
}

/// The calls of one loop.
#[derive(Debug, Default)]
pub(super) struct Calls {
    places: Vec<Option<Call>>,
    free: Vec<usize>,
    by_task: HashMap<usize, usize, BuildHasherDefault<Address>>,
    /// The one whose first step runs just now.
    starting: Option<usize>,
    cancelled: usize,
    /// Those of applications whose clients have left, until their time is over.
    abandoned: Vec<(TargetId, Weak<Ticket>)>,
    /// The one that was interrupted last, and when that was first done.
    interrupted: Option<(Weak<Ticket>, Instant)>,
}

impl Calls {
    /// The number that the next call gets.
    pub(super) fn next(&self) -> usize {
        self.free.last().copied().unwrap_or(self.places.len())
    }

    /// Adds a call.
    pub(super) fn add(&mut self, call: Call) {
        match self.free.pop() {
            Some(number) => self.places[number] = Some(call),
            None => self.places.push(Some(call)),
        }
    }

    /// The first step of a call begins, or that of its body; who was in one around this one, which is to be given back to
    /// [`started`](Self::started).
    pub(super) fn start(&mut self, number: usize) -> Option<usize> {
        self.starting.replace(number)
    }

    /// The step is over.
    pub(super) fn started(&mut self, around: Option<usize>) {
        self.starting = around;
    }

    /// A call goes on as `task` in `context`; the task before that.
    pub(super) fn go_on(
        &mut self,
        number: usize,
        task: &Bound<'_, PyAny>,
        context: &Bound<'_, PyAny>,
    ) -> Option<(Py<PyAny>, Py<PyAny>)> {
        let call = self.places.get_mut(number)?.as_mut()?;
        let before = call
            .task
            .replace((task.clone().unbind(), context.clone().unbind()));
        if let Some((before, _)) = &before {
            self.by_task.remove(&(before.as_ptr() as usize));
        }
        self.by_task.insert(address(task), number);
        before
    }

    /// Takes a call away that has ended.
    pub(super) fn end(&mut self, number: usize) -> Option<Call> {
        let call = self.places.get_mut(number)?.take()?;
        self.free.push(number);
        if let Some((task, _)) = &call.task {
            self.by_task.remove(&(task.as_ptr() as usize));
        }
        self.cancelled -= usize::from(call.cancelled.is_some());
        Some(call)
    }

    /// All that are left.
    pub(super) fn end_all(&mut self) -> Vec<Call> {
        (0..self.places.len())
            .filter_map(|number| self.end(number))
            .collect()
    }

    /// The number of the call of this task.
    pub(super) fn of_task(&self, task: &Bound<'_, PyAny>) -> Option<usize> {
        self.by_task.get(&address(task)).copied()
    }

    /// The call of this number.
    pub(super) fn get(&mut self, number: usize) -> Option<&mut Call> {
        self.places.get_mut(number)?.as_mut()
    }

    /// The call of this number, if it is that of `ticket`.
    pub(super) fn of_ticket(&mut self, number: usize, ticket: &Arc<Ticket>) -> Option<&mut Call> {
        self.get(number)
            .filter(|call| Arc::ptr_eq(&call.ticket, ticket))
    }

    /// Notes that a call is cancelled.
    pub(super) fn cancel(&mut self, number: usize, answered: bool) {
        if let Some(Some(call)) = self.places.get_mut(number)
            && call.cancelled.is_none()
        {
            call.cancelled = Some(Cancelled {
                answered,
                at: Instant::now(),
                told: false,
                waits: call.task.is_none(),
            });
            self.cancelled += 1;
        }
    }

    /// Whether a call was cancelled when it had no task; true once.
    pub(super) fn was_cancelled_early(&mut self, number: usize) -> bool {
        let call = self.get(number);
        call.and_then(|call| call.cancelled.as_mut())
            .is_some_and(|cancelled| mem::take(&mut cancelled.waits))
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The call that is in its first step.
    pub(super) fn starting(&self) -> Option<&Call> {
        self.places.get(self.starting?)?.as_ref()
    }

    /// The `most` calls that were pushed first, the oldest first.
    pub(super) fn oldest(&self, most: usize) -> Vec<&Call> {
        let mut found: Vec<_> = self.places.iter().flatten().collect();
        if found.len() > most {
            found.select_nth_unstable_by_key(most, |call| call.ticket.pushed);
            found.truncate(most);
        }
        found.sort_unstable_by_key(|call| call.ticket.pushed);
        found
    }

    /// Whether some call is in its first step.
    pub(super) fn is_starting(&self) -> bool {
        self.starting.is_some()
    }

    /// The call that the loop's thread is in, where `task` is what asyncio says that it runs.
    pub(super) fn current(&self, task: Option<&Bound<'_, PyAny>>) -> Option<(usize, &Call)> {
        // By its task first: a first step may have run the loop again, and another call runs there now.
        let of_task = task.and_then(|task| self.of_task(task));
        let number = of_task.or(self.starting)?;
        self.places.get(number)?.as_ref().map(|call| (number, call))
    }

    /// Notes that the current call is interrupted: whether for the first time.
    pub(super) fn interrupt(&mut self, number: usize) -> Option<bool> {
        let ticket = Arc::clone(&self.places.get(number)?.as_ref()?.ticket);
        let first = self.interrupted(&ticket).is_none();
        if first {
            self.interrupted = Some((Arc::downgrade(&ticket), Instant::now()));
        }
        self.cancel(number, true);
        Some(first)
    }

    /// When this call was first interrupted, which the log has then, where no other one was since.
    pub(super) fn interrupted(&self, ticket: &Arc<Ticket>) -> Option<Instant> {
        let (interrupted, at) = self.interrupted.as_ref()?;
        std::ptr::eq(interrupted.as_ptr(), Arc::as_ptr(ticket)).then_some(*at)
    }

    /// The client of an application's call has left: it runs on until its time is over.
    pub(super) fn abandon(&mut self, target: TargetId, ticket: &Arc<Ticket>) {
        self.abandoned.push((target, Arc::downgrade(ticket)));
    }

    /// The abandoned calls whose time is over by `now`, each of them once.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Vec<(TargetId, Arc<Ticket>)> {
        let mut overdue = Vec::new();
        self.abandoned.retain(|(target, ticket)| {
            let Some(ticket) = ticket.upgrade().filter(|ticket| !ticket.is_done()) else {
                return false;
            };
            match ticket.due() {
                Some(due) if due <= now => {
                    overdue.push((*target, ticket));
                    false
                }
                Some(_) => true,
                None => false,
            }
        });
        overdue
    }

    /// Whether a call was to be answered by `before`.
    pub(super) fn is_overdue(&self, before: Instant) -> bool {
        let mut calls = self.places.iter().flatten();
        calls.any(|call| call.ticket.due().is_some_and(|due| due <= before))
    }

    /// Gives up all calls but the one of this number, whose code still runs: their answers, and what they hold. Their
    /// tasks stay here, for the loop to end should it come back.
    pub(super) fn give_up(&mut self, current: Option<usize>) -> Vec<(Answer, Permits)> {
        let mut given = Vec::new();
        for number in 0..self.places.len() {
            self.cancel(number, true);
            if let Some(Some(call)) = self.places.get_mut(number)
                && current != Some(number)
            {
                call.ticket.finish();
                let closed = Answer::Closed(call.ticket.call.subject());
                let answer = mem::replace(&mut call.answer, closed);
                given.push((answer, mem::take(&mut call.permits)));
            }
        }
        given
    }

    /// The calls that were cancelled before `before` and go on, once each; and when to look for others.
    pub(super) fn swallowed(
        &mut self,
        before: Instant,
    ) -> (Vec<(TargetId, Arc<Ticket>)>, Option<Instant>) {
        let (mut found, mut next) = (Vec::new(), None);
        if self.cancelled == 0 {
            return (found, next);
        }
        for call in self.places.iter_mut().flatten() {
            let Some(cancelled) = call.cancelled.as_mut().filter(|cancelled| !cancelled.told)
            else {
                continue;
            };
            if cancelled.at <= before {
                cancelled.told = true;
                found.push((call.target, Arc::clone(&call.ticket)));
            } else {
                next = Some(next.map_or(cancelled.at, |next: Instant| next.min(cancelled.at)));
            }
        }
        (found, next)
    }
}

fn address(task: &Bound<'_, PyAny>) -> usize {
    task.as_ptr() as usize
}

/// Hashes the address of an object, of which the lowest bits are always the same.
#[derive(Debug, Default)]
pub(super) struct Address(u64);

impl Hasher for Address {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, address: usize) {
        // An odd number whose bits are well mixed; the table reads the highest and the lowest ones.
        self.0 = (self.0 ^ (address as u64))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(26);
    }
}
