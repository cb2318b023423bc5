//! `Rounds`: whether a worker's event loop comes round, as far as that is to be seen from here.
//!
//! While calls run on a loop and none of them has ended for a while, the loop is pinged, and answers when it gets to it. A loop
//! that has not answered for `loop_blocked_after` is blocked: its worker is asked what blocks it, and the first answer is
//! logged. It is asked again every second, as that may change before the loop answers. A loop that replies all the time, or
//! that has no calls, is not pinged.

use std::mem;
use std::time::{Duration, Instant};

use httpy_core::frame::Question;
use httpy_core::{Abandoned, Lane, Notice, Overdue};

use crate::ask::Ask;
use crate::said::Blocked;
use crate::traffic::index;
use crate::watch::OfLoop;
use crate::worker::Worker;

/// A loop is not asked more often than this, nor less often.
const ASK_AFTER: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(250)];

/// A loop that has not come round for less than this may have waited for the machine.
const LEAST: Duration = Duration::from_secs(1);

/// What is known of one loop.
#[derive(Debug)]
pub(crate) struct Rounds {
    blocked_after: Duration,
    pause: Duration,
    /// When it came round last.
    came: Instant,
    /// How long it took to come round when the figures were asked for last; none before that.
    pub(crate) lag: Option<Duration>,
    asked: Option<Asked>,
}

/// That the loop was asked to come round, and has not done so.
#[derive(Debug)]
struct Asked {
    at: Instant,
    /// When the worker is to be asked what keeps it; none until it has answered.
    next: Option<Instant>,
    /// The call that keeps it, where it has said so.
    by: Option<u64>,
    /// What keeps it was told.
    told: bool,
}

impl Rounds {
    pub(crate) fn new(blocked_after: Duration, now: Instant) -> Self {
        let pause = (blocked_after / 4).clamp(ASK_AFTER[0], ASK_AFTER[1]);
        Self {
            blocked_after,
            pause,
            came: now,
            lag: None,
            asked: None,
        }
    }

    /// What is to be asked now, and when to look again, while calls are under way, the last of which ended at `answered`.
    fn look(
        &mut self,
        answered: Instant,
        now: Instant,
    ) -> (Option<Question<'static>>, Option<Instant>) {
        let Some(asked) = &mut self.asked else {
            let due = answered.max(self.came) + self.pause;
            if due > now {
                return (None, Some(due));
            }
            self.hurry(now);
            return (Some(Question::Round), Some(now + self.blocked_after));
        };
        match asked.next {
            Some(next) if next <= now => {
                asked.next = None;
                (Some(Question::Blocked), None)
            }
            next => (None, next),
        }
    }

    /// Has it asked now, where it is not already: true where the worker is to be told.
    fn hurry(&mut self, now: Instant) -> bool {
        let is_new = self.asked.is_none();
        self.asked.get_or_insert(Asked {
            at: now,
            next: Some(now + self.blocked_after),
            by: None,
            told: false,
        });
        is_new
    }

    /// It has come round, or has no calls.
    pub(crate) fn come(&mut self, now: Instant) {
        (self.came, self.asked) = (now, None);
    }

    /// What keeps it, as the worker has answered: that is given back where it is to be told.
    fn kept(&mut self, found: Option<Blocked>, now: Instant) -> Option<Blocked> {
        let Some(found) = found else {
            self.come(now);
            return None;
        };
        let asked = self.asked.as_mut()?;
        asked.by = found.by;
        let left = self.blocked_after.saturating_sub(found.silent_for);
        if !left.is_zero() {
            // The worker came to ask it late.
            asked.next = Some(now + left);
            return None;
        }
        // As often as something is done about a call that is overdue, which depends on the answer.
        asked.next = Some(now + Abandoned::AGAIN);
        let told = mem::replace(&mut asked.told, true);
        (!told).then_some(found)
    }

    /// For how long it was asked to come round and has not.
    pub(crate) fn silent_for(&self, now: Instant) -> Option<Duration> {
        self.asked
            .as_ref()
            .map(|asked| now.saturating_duration_since(asked.at))
    }

    /// The same where that is too long.
    pub(crate) fn blocked_for(&self, now: Instant) -> Option<Duration> {
        self.silent_for(now)
            .filter(|silent_for| *silent_for >= self.blocked_after)
    }

    /// How it is for the call of this number, which is overdue.
    pub(crate) fn for_call(&self, id: u64, lost_after: Duration, now: Instant) -> OfLoop {
        let by = self.blocked_by();
        let is_silent = self
            .silent_for(now)
            .is_some_and(|silent_for| silent_for >= lost_after.max(LEAST));
        match by {
            Some(by) if by != id => OfLoop::Other,
            _ if is_silent => OfLoop::Stuck,
            Some(_) => OfLoop::Keeps,
            None => OfLoop::Other,
        }
    }

    /// The number of the call that keeps it, where that is known.
    pub(crate) fn blocked_by(&self) -> Option<u64> {
        self.asked.as_ref()?.by
    }
}

impl Worker {
    /// Looks whether the event loop comes round. When to look again; none where nothing is to be seen, or an answer to come.
    pub(crate) fn look_round(&mut self, now: Instant) -> Option<Instant> {
        let traffic = &self.lanes[index(Lane::EventLoop)];
        if traffic.calls.is_empty() {
            self.rounds.asked = None;
            return None;
        }
        let (question, next) = self.rounds.look(traffic.answered, now);
        match question {
            Some(Question::Round) => self.ask(Ask::Round, Question::Round),
            Some(_) => self.ask(Ask::Blocked, Question::Blocked),
            None => {}
        }
        next
    }

    /// A call on the event loop is overdue, and perhaps what keeps that from coming round.
    pub(crate) fn hurry_round(&mut self, now: Instant) {
        if self.rounds.hurry(now) {
            self.ask(Ask::Round, Question::Round);
        }
    }

    /// The worker has told what keeps its event loop: what is to be said of it. `name` is that of a handler, by its index.
    pub(crate) fn kept(
        &mut self,
        found: Option<Blocked>,
        name: impl Fn(usize) -> String,
    ) -> Option<Notice> {
        let now = Instant::now();
        let Blocked {
            silent_for,
            by,
            stack,
        } = self.rounds.kept(found, now)?;
        let call = by.and_then(|id| self.lanes[index(Lane::EventLoop)].calls.get(&id));
        let call = call.map(|call| Overdue::of(name(call.target.index), &call.ticket));
        let name = format!("the event loop of {}", self.name);
        Some(Notice::Blocked {
            name,
            blocked_for: silent_for,
            call,
            stack,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKED_AFTER: Duration = Duration::from_millis(400);
    const PAUSE: Duration = Duration::from_millis(100);

    fn found(silent_for: Duration) -> Blocked {
        Blocked {
            silent_for,
            by: Some(7),
            stack: String::new(),
        }
    }

    #[test]
    fn a_loop_that_answers_is_not_asked_and_one_that_does_not_is() {
        let start = Instant::now();
        let mut rounds = Rounds::new(BLOCKED_AFTER, start);
        let answered = start + PAUSE;
        assert!(
            matches!(rounds.look(answered, start + PAUSE), (None, Some(due)) if due == answered + PAUSE)
        );
        let asked = answered + PAUSE;
        assert!(matches!(
            rounds.look(answered, asked),
            (Some(Question::Round), Some(_))
        ));
        rounds.come(asked);
        assert!(matches!(rounds.look(answered, asked), (None, Some(due)) if due == asked + PAUSE));
    }

    #[test]
    fn what_keeps_a_loop_is_asked_again_and_again_and_told_once() {
        let start = Instant::now();
        let mut rounds = Rounds::new(BLOCKED_AFTER, start);
        let asked = start + PAUSE;
        let (_, next) = rounds.look(start, asked);
        assert_eq!(
            (next, rounds.blocked_for(asked)),
            (Some(asked + BLOCKED_AFTER), None)
        );
        let late = asked + BLOCKED_AFTER;
        assert!(matches!(
            rounds.look(start, late),
            (Some(Question::Blocked), None)
        ));
        assert_eq!(
            rounds.kept(Some(found(BLOCKED_AFTER)), late),
            Some(found(BLOCKED_AFTER))
        );
        assert_eq!(
            (rounds.blocked_for(late), rounds.blocked_by()),
            (Some(BLOCKED_AFTER), Some(7))
        );
        // A call that has ended may have left a task behind that keeps it now.
        let again = late + Abandoned::AGAIN;
        assert!(matches!(
            rounds.look(start, late),
            (None, Some(next)) if next == again
        ));
        assert!(matches!(
            rounds.look(start, again),
            (Some(Question::Blocked), None)
        ));
        let by_none = Blocked {
            by: None,
            ..found(BLOCKED_AFTER + Abandoned::AGAIN)
        };
        assert_eq!(rounds.kept(Some(by_none), again), None);
        assert_eq!(rounds.blocked_by(), None);
        assert_eq!(rounds.for_call(8, PAUSE, again), OfLoop::Stuck);
        rounds.come(late);
        assert_eq!(
            (rounds.blocked_for(late), rounds.blocked_by()),
            (None, None)
        );
    }

    #[test]
    fn a_loop_is_stuck_for_the_call_that_keeps_it_and_for_any_where_none_does() {
        let start = Instant::now();
        let mut rounds = Rounds::new(BLOCKED_AFTER, start);
        let asked = start + PAUSE;
        rounds.look(start, asked);
        let late = asked + BLOCKED_AFTER;
        rounds.look(start, late);
        for lost_after in [PAUSE, 2 * LEAST] {
            let silent_for = lost_after.max(LEAST);
            let before = asked + silent_for.saturating_sub(PAUSE);
            let stuck = asked + silent_for;
            assert_eq!(rounds.for_call(7, lost_after, before), OfLoop::Other);
            assert_eq!(rounds.for_call(7, lost_after, stuck), OfLoop::Stuck);
        }
        rounds.kept(Some(found(BLOCKED_AFTER)), late);
        assert_eq!(rounds.for_call(7, PAUSE, late), OfLoop::Keeps);
        assert_eq!(rounds.for_call(7, PAUSE, asked + LEAST), OfLoop::Stuck);
        assert_eq!(rounds.for_call(8, PAUSE, asked + LEAST), OfLoop::Other);
        rounds.come(late);
        assert_eq!(rounds.for_call(7, PAUSE, asked + LEAST), OfLoop::Other);
    }

    #[test]
    fn a_worker_that_came_late_to_ask_its_loop_is_asked_again() {
        let start = Instant::now();
        let mut rounds = Rounds::new(BLOCKED_AFTER, start);
        rounds.look(start, start + PAUSE);
        let late = start + PAUSE + BLOCKED_AFTER;
        rounds.look(start, late);
        assert_eq!(rounds.kept(Some(found(PAUSE)), late), None);
        assert!(matches!(rounds.look(start, late), (None, Some(next)) if next == late + 3 * PAUSE));
        assert_eq!(rounds.kept(None, late), None);
        assert_eq!(rounds.blocked_for(late + BLOCKED_AFTER), None);
    }
}
