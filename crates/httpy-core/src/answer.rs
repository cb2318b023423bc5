//! `Answer` and `Question`: the two ends of a call's answer, which lies in its [`Ticket`]; `Outbox`: answers that are kept
//! back for a moment, so that those who wait for them are woken in one go.
//!
//! To wake somebody on another thread is dear while that thread sleeps, and dearer when it then runs in the worker's stead,
//! finds one outcome, and sleeps again. A worker with a row of short jobs before it lets the answers out at the end of the
//! row. Who sees to it that none lies here for long is [`Queue::take`](crate::Queue::take).

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::wake::wake;
use crate::{Outcome, Subject, TargetId, Ticket};

/// So many answers are let out even though the row goes on: those who wait for them have something to do meanwhile.
const MOST: usize = 16;

/// After so long they are, too: handlers may be quick enough to be kept back for, and yet take longer than to wake somebody.
const LONGEST: Duration = Duration::from_micros(50);

/// Where an answer lies on its way: in the ticket, so that a call costs one allocation.
#[derive(Debug, Default)]
pub(crate) struct Place(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// Nobody has asked yet.
    #[default]
    Empty,
    /// Whoever asked is to be woken.
    Awaited(Waker),
    /// The outcome, until it is taken away.
    Given(Outcome),
    /// There is none, and there never will be.
    Lost,
    /// Nobody asks any more.
    Gone,
}

/// The worker's end of a call: sent once. If it is dropped instead, the receiver is woken with nothing.
#[derive(Debug)]
pub struct Answer {
    ticket: Arc<Ticket>,
    given: bool,
}

/// An outcome that is in no answer, as its caller has gone.
#[derive(Debug)]
pub struct Late {
    /// The call's.
    pub subject: Subject,
    /// What became of it.
    pub outcome: Outcome,
}

/// The caller's end of a call.
#[derive(Debug)]
pub struct Question(Arc<Ticket>);

/// The two ends of a ticket that has none yet.
pub(crate) fn ends(ticket: &Arc<Ticket>) -> (Answer, Question) {
    (
        Answer {
            ticket: Arc::clone(ticket),
            given: false,
        },
        Question(Arc::clone(ticket)),
    )
}

impl Answer {
    /// Whether the caller has gone.
    pub fn is_closed(&self) -> bool {
        matches!(*self.ticket.answer.lock(), State::Gone)
    }

    /// What the log shows of the call.
    pub fn subject(&self) -> Subject {
        self.ticket.call.subject()
    }

    /// Gives the outcome to the caller.
    ///
    /// # Errors
    ///
    /// The outcome, when the caller has gone.
    pub fn send(mut self, outcome: Outcome) -> Result<(), Box<Late>> {
        self.given = true;
        let waiting = {
            let mut state = self.ticket.answer.lock();
            if let State::Gone = *state {
                drop(state);
                let subject = self.subject();
                return Err(Box::new(Late { subject, outcome }));
            }
            state.end(State::Given(outcome))
        };
        // Before the caller is woken, who so is the last owner and frees what its thread allocated.
        drop(self);
        wake(waiting);
        Ok(())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.given {
            let waiting = self.ticket.answer.lock().end(State::Lost);
            wake(waiting);
        }
    }
}

impl Question {
    /// The call's ticket.
    pub fn ticket(&self) -> &Arc<Ticket> {
        &self.0
    }

    /// Ready with the outcome, or with `None` if the worker dropped the [`Answer`]; afterwards always with `None`.
    pub fn poll(&self, context: &Context<'_>) -> Poll<Option<Outcome>> {
        let mut state = self.0.answer.lock();
        match &*state {
            State::Awaited(waker) if waker.will_wake(context.waker()) => return Poll::Pending,
            State::Empty | State::Awaited(_) => {}
            State::Given(_) | State::Lost | State::Gone => {
                let ended = mem::replace(&mut *state, State::Lost);
                drop(state);
                return Poll::Ready(if let State::Given(outcome) = ended {
                    Some(outcome)
                } else {
                    None
                });
            }
        }
        let before = mem::replace(&mut *state, State::Awaited(context.waker().clone()));
        drop(state);
        // A waker runs code of its own.
        drop(before);
        Poll::Pending
    }

    /// Stops waiting, and returns the outcome if it was sent and not taken. A later one goes back to its
    /// [sender](Answer::send), so that exactly one of the two sees it. Dropping the question does the same, but is too late if
    /// the worker must know before that the caller has gone.
    pub fn give_up(&self) -> Option<Outcome> {
        let before = mem::replace(&mut *self.0.answer.lock(), State::Gone);
        // Dropped without the lock: a waker runs code of its own.
        if let State::Given(outcome) = before {
            Some(outcome)
        } else {
            None
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        drop(self.give_up());
    }
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends the wait of whoever asked; they are to be woken outside of the lock.
    fn end(&mut self, ended: Self) -> Option<Waker> {
        match mem::replace(self, ended) {
            Self::Awaited(waker) => Some(waker),
            _ => None,
        }
    }
}

/// An answer that is kept back.
#[derive(Debug)]
pub struct Kept {
    /// Whose handler was called.
    pub target: TargetId,
    /// Where the outcome goes.
    pub answer: Answer,
    /// What became of the call.
    pub outcome: Outcome,
    /// The handler was interrupted at its deadline.
    pub interrupted: bool,
}

/// The answers that the workers of one interpreter keep back.
#[derive(Debug, Default)]
pub struct Outbox {
    state: Mutex<Row>,
}

impl Outbox {
    /// Puts an answer in. To be let out when [`is_due`](Self::is_due) says so, or [`Queue::take`](crate::Queue::take).
    pub fn put(&self, kept: Kept) {
        self.lock().kept.push(kept);
    }

    /// Whether what lies here must not wait for the end of the row; `now` is the time.
    pub fn is_due(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let kept = state.kept.len();
        kept >= MOST
            || kept > 0 && now.saturating_duration_since(*state.since.get_or_insert(now)) >= LONGEST
    }

    /// Lets all answers out; `late` gets the outcomes whose callers have gone, and whether they were interrupted. `room` is
    /// empty, and becomes what holds the next answers: so nothing is allocated for them.
    pub fn let_out(&self, room: &mut Vec<Kept>, mut late: impl FnMut(TargetId, Late, bool)) {
        let mut state = self.lock();
        mem::swap(&mut state.kept, room);
        state.since = None;
        drop(state);
        for Kept {
            target,
            answer,
            outcome,
            interrupted,
        } in room.drain(..)
        {
            if let Err(unheard) = answer.send(outcome) {
                late(target, *unheard, interrupted);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Row> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Row {
    kept: Vec<Kept>,
    /// When it was first asked about them.
    since: Option<Instant>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::tests::waiting;
    use crate::wake::tests::{waker, woken};
    use crate::{BodyMode, Interface, Kind, Lane};

    fn target(index: usize) -> TargetId {
        TargetId {
            index,
            interface: Interface {
                kind: Kind::Handler,
                lane: Lane::Worker,
                body: BodyMode::Text,
            },
        }
    }

    fn both() -> (Answer, Question) {
        ends(&Arc::new(waiting()))
    }

    fn outcome() -> Outcome {
        Outcome::Panicked("an outcome".to_owned())
    }

    #[test]
    fn whoever_asked_last_is_woken_and_finds_the_outcome_once() {
        let (answer, question) = both();
        let ((first, first_waker), (second, second_waker)) = (waker(), waker());
        assert!(
            question
                .poll(&Context::from_waker(&first_waker))
                .is_pending()
        );
        assert!(
            question
                .poll(&Context::from_waker(&second_waker))
                .is_pending()
        );
        assert!(
            question
                .poll(&Context::from_waker(&second_waker))
                .is_pending()
        );
        assert!(answer.send(outcome()).is_ok());
        assert_eq!((woken(&first), woken(&second)), (0, 1));
        assert!(matches!(
            question.poll(&Context::from_waker(&first_waker)),
            Poll::Ready(Some(Outcome::Panicked(_)))
        ));
        assert!(matches!(
            question.poll(&Context::from_waker(&first_waker)),
            Poll::Ready(None)
        ));
    }

    #[test]
    fn an_answer_that_is_dropped_is_told() {
        let (answer, question) = both();
        let (count, waker) = waker();
        assert!(question.poll(&Context::from_waker(&waker)).is_pending());
        drop(answer);
        assert_eq!(woken(&count), 1);
        assert!(matches!(
            question.poll(&Context::from_waker(&waker)),
            Poll::Ready(None)
        ));
    }

    #[test]
    fn an_outcome_comes_back_when_the_caller_has_gone() {
        let (answer, question) = both();
        let ticket = Arc::clone(question.ticket());
        assert!(!answer.is_closed());
        drop(question);
        assert!(answer.is_closed());
        assert!(matches!(
            answer.send(outcome()).map_err(|late| late.outcome),
            Err(Outcome::Panicked(_))
        ));
        assert_eq!(
            Arc::strong_count(&ticket),
            1,
            "nobody holds the call any longer"
        );
    }

    #[test]
    fn an_outcome_comes_back_to_whoever_gave_it_or_goes_to_whoever_gave_up() {
        let (answer, question) = both();
        assert!(question.give_up().is_none());
        assert!(matches!(
            answer.send(outcome()).map_err(|late| late.outcome),
            Err(Outcome::Panicked(_))
        ));
        let (answer, question) = both();
        assert!(answer.send(outcome()).is_ok());
        assert!(matches!(question.give_up(), Some(Outcome::Panicked(_))));
        assert!(question.give_up().is_none());
    }

    #[test]
    fn an_outcome_that_nobody_takes_away_ends_with_the_question() {
        let (answer, question) = both();
        let ticket = Arc::clone(question.ticket());
        assert!(answer.send(outcome()).is_ok());
        drop(question);
        assert!(matches!(*ticket.answer.lock(), State::Gone));
    }

    #[test]
    fn what_is_kept_back_goes_out_in_order_and_is_late_for_who_has_gone() {
        let outbox = Outbox::default();
        let (mut room, mut late) = (Vec::new(), Vec::new());
        let questions: Vec<_> = (0..MOST)
            .map(|number| {
                let (answer, question) = both();
                outbox.put(Kept {
                    target: target(number),
                    answer,
                    outcome: outcome(),
                    interrupted: number == 1,
                });
                question
            })
            .collect();
        let context = Context::from_waker(Waker::noop());
        assert!(questions[0].poll(&context).is_pending());
        drop(questions);
        outbox.let_out(&mut room, |target, _, interrupted| {
            late.push((target.index, interrupted));
        });
        assert_eq!(
            late,
            (0..MOST)
                .map(|number| (number, number == 1))
                .collect::<Vec<_>>()
        );
        late.clear();
        outbox.let_out(&mut room, |target, _, interrupted| {
            late.push((target.index, interrupted));
        });
        assert!(late.is_empty() && room.is_empty());
    }

    #[test]
    fn a_row_is_let_out_when_it_is_long_or_takes_long() {
        let (outbox, now) = (Outbox::default(), Instant::now());
        let put = |number| {
            outbox.put(Kept {
                target: target(number),
                answer: both().0,
                outcome: outcome(),
                interrupted: false,
            });
        };
        assert!(
            !outbox.is_due(now) && !outbox.is_due(now + LONGEST),
            "there is nothing"
        );
        for number in 0..MOST {
            assert!(!outbox.is_due(now), "{number}");
            put(number);
        }
        assert!(outbox.is_due(now));
        outbox.let_out(&mut Vec::new(), |_, _, _| {});
        put(0);
        assert!(!outbox.is_due(now + LONGEST), "the time begins anew");
        assert!(outbox.is_due(now + LONGEST * 2));
    }
}
