//! `Ticket`: one call and how far it is, shared by the response future, the worker that runs it and the enforcer.
//!
//! | stage | who begins it | what may come next |
//! |---|---|---|
//! | waiting | the response future | running, withdrawn |
//! | withdrawn | the response future: nobody waits for the call any more, it never runs | |
//! | running | the worker that takes it | interrupting, done |
//! | interrupting | the enforcer, for the few instructions in which it sends the interruption | interrupted |
//! | interrupted | the enforcer: the interruption is on its way to the worker's thread, or has arrived there | interrupting again, done |
//! | done | the worker, when no Python code of the job runs any more | |
//!
//! An interruption is sent to a thread and not to a call, so it must not be sent once the worker has gone on: the worker
//! does not leave *interrupting* by itself, and the enforcer sends nothing in any other stage. What the worker finds in
//! *interrupted* it takes back before it does anything else.
//!
//! The stage, the seat of the worker, and how many shields are open stand in one atomic word: entering a shield and
//! interrupting cannot both win. The normal path costs two changes of that word, one to take the call and one to finish.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::answer::{self, Answer, Place, Question};
use crate::{Call, Freight, Seat};

/// One call and its stage.
///
/// The worker only reads the call, and lets go of its share before the caller is woken, so that the memory is freed where it
/// was allocated.
#[derive(Debug)]
pub struct Ticket {
    word: AtomicU64,
    /// What is asked.
    pub call: Call,
    /// When the call's clock was started: as it was put into the queue.
    pub pushed: Instant,
    /// When the call's time is up.
    pub deadline: Instant,
    /// Never contended: the stage says who may take it.
    freight: Mutex<Option<Freight>>,
    pub(crate) answer: Place,
}

/// What the worker finds when it ends a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Nobody interrupted it.
    Free,
    /// An interruption is being sent just now: let it be, then ask again.
    Interrupting,
    /// It was interrupted, or was to be at the end of its shield. The interruption may still be on its way.
    Interrupted {
        /// Whether its worker counted as lost meanwhile.
        lost: bool,
    },
}

/// What the enforcer finds when it wants to interrupt a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The worker is held in the call until [`Ticket::end_interruption`].
    Begun,
    /// The handler is in a shield, and is interrupted as it leaves it.
    Shielded,
    /// Nothing runs.
    Over,
}

const STAGE: u64 = 0xf;
const WAITING: u64 = 0;
const WITHDRAWN: u64 = 1;
const RUNNING: u64 = 2;
const INTERRUPTING: u64 = 3;
const INTERRUPTED: u64 = 4;
const DONE: u64 = 5;

/// An interruption waits for the end of the shield.
const DUE: u64 = 1 << 4;
/// The worker counts as lost.
const LOST: u64 = 1 << 5;
/// Open shields, in the bits from here up to the seat. One that would not fit any more is not counted.
const SHIELD: u64 = 1 << 8;
const SHIELDS: u64 = (1 << 32) - SHIELD;
const SEAT_SHIFT: u32 = 32;

const fn stage(word: u64) -> u64 {
    word & STAGE
}

const fn at_stage(word: u64, stage: u64) -> u64 {
    word & !STAGE | stage
}

const fn runs(word: u64) -> bool {
    matches!(stage(word), RUNNING | INTERRUPTING | INTERRUPTED)
}

impl Ticket {
    /// A ticket of a call that waits.
    pub fn new(call: Call, pushed: Instant, deadline: Instant, freight: Freight) -> Self {
        let word = AtomicU64::new(WAITING);
        Self { word, call, pushed, deadline, freight: Mutex::new(Some(freight)), answer: Place::default() }
    }

    /// The ticket of a call that waits, and the two ends of its answer.
    pub fn issue(call: Call, pushed: Instant, deadline: Instant, freight: Freight) -> (Arc<Self>, Answer, Question) {
        let ticket = Arc::new(Self::new(call, pushed, deadline, freight));
        let (answer, question) = answer::ends(&ticket);
        (ticket, answer, question)
    }

    /// The worker's side: true, once, when the call still waits; from then on it runs at `seat`, and its freight is the
    /// worker's.
    pub fn take(&self, seat: Seat) -> bool {
        // There are never so many seats that the number would not fit.
        let running = RUNNING | (seat.0 as u64) << SEAT_SHIFT;
        self.word.compare_exchange(WAITING, running, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The caller's side: true, once, when the call still waits; from then on it never runs. Its freight is given up here,
    /// whenever a worker comes by its job.
    pub fn withdraw(&self) -> bool {
        let withdrawn = self.word.compare_exchange(WAITING, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if withdrawn {
            drop(self.unload());
        }
        withdrawn
    }

    /// What the call holds, for the worker that took it; nothing the second time.
    pub fn unload(&self) -> Freight {
        self.freight.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// Whether a worker has taken the call.
    pub fn is_taken(&self) -> bool {
        !matches!(stage(self.load()), WAITING | WITHDRAWN)
    }

    /// Whether the call was taken and has ended.
    pub fn is_done(&self) -> bool {
        stage(self.load()) == DONE
    }

    /// Where the call runs, while it does.
    pub fn seat(&self) -> Option<Seat> {
        let word = self.load();
        runs(word).then(|| seat(word))
    }

    /// How long the call may take in all.
    pub fn limit(&self) -> Duration {
        self.deadline.saturating_duration_since(self.pushed)
    }

    /// The worker's side: ends the call, when no Python code of it runs any more. To be repeated for as long as it is
    /// [`Finish::Interrupting`].
    pub fn finish(&self) -> Finish {
        let ended = self.change(|word| (stage(word) != INTERRUPTING).then(|| at_stage(word, DONE)));
        match ended {
            None => Finish::Interrupting,
            Some(word) if stage(word) == INTERRUPTED || word & DUE != 0 => {
                Finish::Interrupted { lost: word & LOST != 0 }
            }
            Some(_) => Finish::Free,
        }
    }

    /// The enforcer's side: holds the worker in the call, so that an interruption can be sent to its thread.
    pub fn begin_interruption(&self) -> Interruption {
        let before = self.change(|word| match stage(word) {
            RUNNING | INTERRUPTED if word & SHIELDS == 0 => Some(at_stage(word, INTERRUPTING)),
            RUNNING | INTERRUPTED => Some(word | DUE),
            _ => None,
        });
        match before {
            Some(word) if word & SHIELDS == 0 => Interruption::Begun,
            Some(_) => Interruption::Shielded,
            None => Interruption::Over,
        }
    }

    /// The enforcer's side: the interruption that was begun is sent, the worker may go on.
    pub fn end_interruption(&self) {
        self.change(|word| (stage(word) == INTERRUPTING).then(|| at_stage(word, INTERRUPTED)));
    }

    /// The enforcer's side: from now on the worker counts as lost. False when the call has ended.
    pub fn lose(&self) -> bool {
        self.change(|word| runs(word).then_some(word | LOST)).is_some()
    }

    /// The handler's side, on the worker's thread: opens a shield; shields nest. True when an interruption was sent
    /// before: should it still be on its way, it is to be taken back.
    pub fn shield(&self) -> bool {
        let before = self.change(|word| (runs(word) && word & SHIELDS != SHIELDS).then(|| word + SHIELD));
        before.is_some_and(|word| stage(word) != RUNNING)
    }

    /// Whether an interruption is being sent at this moment.
    pub fn is_interrupting(&self) -> bool {
        stage(self.load()) == INTERRUPTING
    }

    /// The handler's side, on the worker's thread: closes a shield. True when it was the outermost one and an interruption
    /// waits for just that: the handler is interrupted here.
    pub fn unshield(&self) -> bool {
        let before = self.change(|word| {
            let open = word & SHIELDS;
            if !runs(word) || open == 0 {
                return None;
            }
            let word = word - SHIELD;
            let strikes = open == SHIELD && word & DUE != 0 && stage(word) != INTERRUPTING;
            Some(if strikes { at_stage(word & !DUE, INTERRUPTED) } else { word })
        });
        before.is_some_and(|word| word & SHIELDS == SHIELD && word & DUE != 0 && stage(word) != INTERRUPTING)
    }

    fn load(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    /// Changes the word as `next` says; the word before, or none when `next` has none to give.
    fn change(&self, next: impl FnMut(u64) -> Option<u64>) -> Option<u64> {
        self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).ok()
    }
}

const fn seat(word: u64) -> Seat {
    Seat((word >> SEAT_SHIFT) as usize)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Barrier;
    use std::thread;

    use bytes::Bytes;
    use http::{Method, Uri, Version};

    use super::*;
    use crate::{Details, Fields, Headers};

    const SEAT: Seat = Seat(70_000);

    pub(crate) fn waiting() -> Ticket {
        let call = Call {
            method: Method::GET,
            uri: Uri::from_static("/"),
            decoded_path: None,
            params: Fields::new(),
            query: Fields::new(),
            headers: Headers::default(),
            details: Details {
                target: Uri::from_static("/"),
                route: None,
                client: None,
                scheme: "http",
                version: Version::HTTP_11,
                extras: None,
            },
        };
        let now = Instant::now();
        let freight = Freight { body: Bytes::from_static(b"body"), ..Freight::default() };
        Ticket::new(call, now, now + Duration::from_secs(3), freight)
    }

    fn running() -> Ticket {
        let ticket = waiting();
        assert!(ticket.take(SEAT));
        ticket
    }

    fn interrupted() -> Ticket {
        let ticket = running();
        assert_eq!(ticket.begin_interruption(), Interruption::Begun);
        ticket.end_interruption();
        ticket
    }

    #[test]
    fn a_taken_call_cannot_be_withdrawn_and_tells_its_seat_while_it_runs() {
        let ticket = waiting();
        assert_eq!(ticket.seat(), None);
        assert!(ticket.take(SEAT));
        assert!(ticket.is_taken() && !ticket.is_done());
        assert_eq!(ticket.seat(), Some(SEAT));
        assert!(!ticket.withdraw());
        assert!(!ticket.take(SEAT));
        assert_eq!(ticket.finish(), Finish::Free);
        assert!(ticket.is_taken() && ticket.is_done());
        assert_eq!(ticket.seat(), None);
        assert_eq!(ticket.limit(), Duration::from_secs(3));
    }

    #[test]
    fn a_withdrawn_call_never_runs() {
        let ticket = waiting();
        assert!(ticket.withdraw());
        assert!(!ticket.take(SEAT) && !ticket.withdraw());
        assert!(!ticket.is_taken() && !ticket.is_done());
        assert!(ticket.unload().body.is_empty(), "its freight is given up at once");
    }

    #[test]
    fn the_freight_of_a_taken_call_is_the_workers_once() {
        let ticket = running();
        assert!(!ticket.withdraw());
        assert_eq!(ticket.unload().body, "body");
        assert!(ticket.unload().body.is_empty());
    }

    #[test]
    fn only_a_call_that_runs_is_interrupted_or_lost() {
        for ticket in [waiting(), running()] {
            ticket.withdraw();
            ticket.finish();
            assert_eq!(ticket.begin_interruption(), Interruption::Over);
            assert!(!ticket.lose());
            assert!(!ticket.shield() && !ticket.unshield());
        }
    }

    #[test]
    fn a_worker_does_not_leave_while_an_interruption_is_being_sent() {
        let ticket = running();
        assert_eq!(ticket.begin_interruption(), Interruption::Begun);
        assert!(ticket.is_interrupting());
        assert_eq!(ticket.finish(), Finish::Interrupting);
        ticket.end_interruption();
        assert!(!ticket.is_interrupting());
        assert_eq!(ticket.finish(), Finish::Interrupted { lost: false });
        assert_eq!(ticket.begin_interruption(), Interruption::Over);
    }

    #[test]
    fn an_interrupted_call_can_be_interrupted_again_and_lost() {
        let ticket = interrupted();
        assert_eq!(ticket.begin_interruption(), Interruption::Begun);
        ticket.end_interruption();
        assert!(ticket.lose());
        assert_eq!(ticket.finish(), Finish::Interrupted { lost: true });
    }

    #[test]
    fn a_shield_holds_the_interruption_off_until_the_outermost_is_left() {
        let ticket = running();
        assert!(!ticket.shield() && !ticket.shield());
        assert_eq!(ticket.begin_interruption(), Interruption::Shielded);
        assert!(!ticket.unshield(), "one is still open");
        assert!(ticket.unshield());
        assert_eq!(ticket.seat(), Some(SEAT), "the count of shields does not run into it");
        assert!(!ticket.unshield(), "it strikes once, and there is none to be left");
        assert_eq!(ticket.finish(), Finish::Interrupted { lost: false });
    }

    #[test]
    fn a_call_that_ends_in_its_shield_was_interrupted_all_the_same() {
        let ticket = running();
        ticket.shield();
        ticket.begin_interruption();
        assert_eq!(ticket.finish(), Finish::Interrupted { lost: false });
    }

    #[test]
    fn a_shield_that_is_entered_after_an_interruption_says_so() {
        let ticket = interrupted();
        assert!(ticket.shield());
        assert_eq!(ticket.begin_interruption(), Interruption::Shielded);
        assert!(ticket.unshield());
    }

    #[test]
    fn shields_without_end_leave_the_seat_alone() {
        let ticket = running();
        ticket.word.fetch_or(SHIELDS, Ordering::Relaxed);
        ticket.shield();
        assert_eq!(ticket.seat(), Some(SEAT));
    }

    #[test]
    fn whoever_comes_first_an_interruption_is_never_sent_to_a_worker_that_has_left() {
        for _ in 0..2_000 {
            let (ticket, start) = (running(), Barrier::new(2));
            let (finish, sent) = thread::scope(|scope| {
                let enforcer = scope.spawn(|| {
                    start.wait();
                    let begun = ticket.begin_interruption() == Interruption::Begun;
                    let sent = begun && !ticket.is_done();
                    ticket.end_interruption();
                    assert_eq!(begun, sent, "the worker left while it was held");
                    sent
                });
                start.wait();
                let finish = loop {
                    match ticket.finish() {
                        Finish::Interrupting => thread::yield_now(),
                        finish => break finish,
                    }
                };
                (finish, enforcer.join().unwrap())
            });
            assert_eq!(finish == Finish::Free, !sent, "the worker knows of each one that was sent");
        }
    }
}
