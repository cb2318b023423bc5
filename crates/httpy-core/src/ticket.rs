//! `Ticket`: one call and how far it is, shared by the response future, the worker that runs it and the watchdog.
//!
//! | stage | who begins it | what may come next |
//! |---|---|---|
//! | waiting | the response future | running, withdrawn |
//! | withdrawn | the response future: its client has left or was refused, it never runs | |
//! | running | the worker that takes it | done, answered; waiting again where it was only sent ahead |
//! | answered | the worker: the reply is complete, and the application's task runs on | done |
//! | done | the worker, when no Python code of the job runs any more | |
//!
//! An interruption is asked for by the watchdog, and begins on the worker's own thread, where that can be cut: so it never
//! meets another call than the one that it was asked for.
//!
//! A call has one time limit at a time, see [`Clocks`]:
//!
//! | a call that runs | [`due`](Ticket::due) |
//! |---|---|
//! | its head is not answered | at its deadline |
//! | its body is streamed | `chunk_timeout` after the last chunk; never where the body sends heartbeats |
//! | the client of a streamed body has left | `abandon_after` later, whatever is sent until then |
//! | it is answered | never |
//! | a debugger waits in it | never |
//!
//! The stage, the seat of the worker, and how many shields are open stand in one atomic word. The normal path costs two
//! changes of that word, one to take the call and one to finish.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use crate::answer::{self, Answer, Place, Question};
use crate::timing::Stamps;
use crate::under_way::{Counted, UnderWay};
use crate::{Call, Clock, Clocks, Freight, Limit, Seat, Step, Timings};

/// One call and its stage.
///
/// The worker only reads the call, and drops its reference before the caller is woken, so that the memory is freed where it
/// was allocated.
#[derive(Debug)]
pub struct Ticket {
    word: AtomicU64,
    /// What is asked.
    pub call: Call,
    /// When the call's clock was started: as it was put into the queue.
    pub pushed: Instant,
    /// The call's time limits.
    pub clocks: Clocks,
    /// See [`due`](Self::due). Taken once per chunk, and hardly ever contended. [`GONE`] and `stopped` change under it.
    due: Mutex<Option<Instant>>,
    /// Never contended: the stage says who may take it.
    freight: Mutex<Option<Freight>>,
    stamps: Stamps,
    counted: OnceLock<Counted>,
    /// Python code has logged something for the call.
    logged: AtomicBool,
    /// A debugger that waits in the handler stops the call's clock.
    debug: AtomicBool,
    /// One has.
    stopped: AtomicBool,
    pub(crate) answer: Place,
}

/// What the worker finds when it ends a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It was not to be interrupted.
    Free,
    /// It was interrupted, or was to be as soon as it could be.
    Interrupted {
        /// Whether its worker counted as lost meanwhile.
        lost: bool,
    },
}

/// What the watchdog finds when it asks for the interruption of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The call is to be interrupted where it can be cut.
    Asked,
    /// The handler is in a shield, and is interrupted as it leaves it.
    Shielded,
    /// Nothing runs.
    Over,
}

const STAGE: u64 = 0x3;
const WAITING: u64 = 0;
const WITHDRAWN: u64 = 1;
const RUNNING: u64 = 2;
const DONE: u64 = 3;

/// The call is to be interrupted.
const DUE: u64 = 1 << 2;
/// It was to be interrupted at least once.
const INTERRUPTED: u64 = 1 << 3;
/// The worker counts as lost.
const LOST: u64 = 1 << 4;
/// The head is answered, the body is on its way.
const STREAMING: u64 = 1 << 5;
/// The client has left, and takes neither the answer nor the rest of it.
const GONE: u64 = 1 << 6;
/// The reply is complete, and the application's task runs on.
const ANSWERED: u64 = 1 << 7;
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
    stage(word) == RUNNING
}

impl Ticket {
    /// A ticket of a call that waits.
    pub fn new(call: Call, pushed: Instant, clocks: Clocks, freight: Freight) -> Self {
        Self {
            word: AtomicU64::new(WAITING),
            call,
            pushed,
            clocks,
            due: Mutex::new(Some(clocks.deadline)),
            freight: Mutex::new(Some(freight)),
            stamps: Stamps::default(),
            counted: OnceLock::new(),
            logged: AtomicBool::new(false),
            debug: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            answer: Place::default(),
        }
    }

    /// The ticket of a call that waits, and the two ends of its answer.
    pub fn issue(
        call: Call,
        pushed: Instant,
        clocks: Clocks,
        freight: Freight,
    ) -> (Arc<Self>, Answer, Question) {
        let ticket = Arc::new(Self::new(call, pushed, clocks, freight));
        let (answer, question) = answer::ends(&ticket);
        (ticket, answer, question)
    }

    /// The worker's side: true, once, when the call still waits; from then on it runs at `seat`, and its resources are the
    /// worker's.
    pub fn take(&self, seat: Seat) -> bool {
        // There are never so many seats that the number would not fit.
        let running = RUNNING | (seat.0 as u64) << SEAT_SHIFT;
        self.word
            .compare_exchange(WAITING, running, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Adds the permit of a call that had to wait for it. It is given back at once if the call was withdrawn meanwhile.
    pub fn permit(&self, concurrency: OwnedSemaphorePermit) {
        let mut freight = self.freight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(freight) = &mut *freight {
            freight.permits.concurrency = Some(concurrency);
        }
    }

    /// For a dispatcher that took the call ahead of its turn, and knows that it never began. The call waits again, and
    /// `freight`, which was [unloaded](Self::unload), belongs to the next that takes or withdraws it. False if the caller has
    /// left: then `freight` was dropped, and the call is still to be [finished](Self::finish).
    pub fn put_back(&self, freight: Freight) -> bool {
        // First, since whoever finds it waiting unloads it.
        *self.freight.lock().unwrap_or_else(PoisonError::into_inner) = Some(freight);
        let waits = self
            .change(|word| (stage(word) == RUNNING && word & GONE == 0).then_some(WAITING))
            .is_some();
        if !waits {
            drop(self.unload());
        }
        waits
    }

    /// The caller's side: true, once, when the call still waits; from then on it never runs. Its resources are released
    /// here, before a worker skips its job.
    pub fn withdraw(&self) -> bool {
        let withdrawn = self
            .word
            .compare_exchange(WAITING, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if withdrawn {
            drop(self.unload());
            self.give_up_waiting();
        }
        withdrawn
    }

    /// The caller's side, before the push: the call is one of `calls` until it has ended or never will begin, or its time is up
    /// (see [`give_up_waiting`](Self::give_up_waiting)).
    pub fn count_among(&self, calls: &Arc<UnderWay>) {
        self.counted
            .get_or_init(|| Counted::enter(Arc::clone(calls)));
    }

    /// The end of the app need not wait for the call any more: it has had its time.
    pub fn give_up_waiting(&self) {
        if let Some(counted) = self.counted.get() {
            counted.leave();
        }
    }

    /// The caller's side, before the push: how long each part of the call takes is to be told.
    pub fn want_timings(&self) {
        self.stamps.want();
    }

    /// Whether the times of the call's parts are measured.
    pub fn are_timings_wanted(&self) -> bool {
        self.stamps.are_wanted()
    }

    /// The caller's side, before the push: a debugger in the handler may [stop the clock](Self::stop_clock).
    pub fn allow_debugger(&self) {
        self.debug.store(true, Ordering::Relaxed);
    }

    /// The handler's side: a debugger waits in it. From now on the call may take as long as it likes. False where debuggers
    /// are not allowed that.
    pub fn stop_clock(&self) -> bool {
        let stops = self.debug.load(Ordering::Relaxed);
        if stops {
            let mut due = self.lock_due();
            *due = None;
            self.stopped.store(true, Ordering::Release);
        }
        stops
    }

    /// Whether a debugger has stopped the call's clock.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The worker's side: it took the call at `now`; `attach` is the part of the wait that was one for the interpreter.
    pub fn stamp_taken(&self, now: Instant, attach: Duration) {
        self.stamps
            .take(now.saturating_duration_since(self.pushed), attach);
    }

    /// The worker's side: where timings are wanted, notes that the call has come so far.
    pub fn stamp(&self, step: Step) {
        self.stamps.stamp(step, self.pushed);
    }

    /// For the dispatcher that sent the call to another process: if timings are wanted, notes when the handler was `called`
    /// there, when it `returned`, and when its result was plain data.
    pub fn stamp_run(&self, called: Instant, returned: Instant, converted: Instant) {
        if self.are_timings_wanted() {
            self.stamps.take(
                called.saturating_duration_since(self.pushed),
                Duration::ZERO,
            );
            self.stamps.run(
                [called, returned, converted].map(|at| at.saturating_duration_since(self.pushed)),
            );
        }
    }

    /// The handler's side: something is logged for the call.
    pub fn note_logged(&self) {
        self.logged.store(true, Ordering::Relaxed);
    }

    /// Whether something was logged for the call, which may still be on its way to the log.
    pub fn has_logged(&self) -> bool {
        self.logged.load(Ordering::Relaxed)
    }

    /// Times of the call's parts until `now`; only the wait, unless [more is wanted](Self::want_timings).
    pub fn timings(&self, now: Instant) -> Timings {
        self.timings_after(now.saturating_duration_since(self.pushed))
    }

    /// The [`timings`](Self::timings) at `elapsed` after the push.
    pub fn timings_after(&self, elapsed: Duration) -> Timings {
        self.stamps.timings(elapsed)
    }

    /// What the call holds, for the worker that took it; nothing the second time.
    pub fn unload(&self) -> Freight {
        self.freight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .unwrap_or_default()
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

    /// Time limit of the call: until its head is answered; then for a chunk, or for its end if its client has left.
    pub fn limit(&self) -> Limit {
        let (word, clocks) = (self.load(), self.clocks);
        let (clock, time) = if word & STREAMING == 0 {
            let time = clocks.deadline.saturating_duration_since(self.pushed);
            (Clock::Head, time)
        } else if word & GONE == 0 {
            (Clock::Chunk, clocks.chunk_timeout)
        } else {
            (Clock::Abandoned, clocks.abandon_after)
        };
        Limit { clock, time }
    }

    /// The worker's side: the head is about to be answered, at `now`. From now on it is the chunks that have a time limit, the
    /// first one if it is `limited`.
    pub fn begin_chunks(&self, limited: bool, now: Instant) {
        let mut due = self.lock_due();
        let before = self.word.fetch_or(STREAMING, Ordering::AcqRel);
        if !self.is_stopped() {
            *due = if before & GONE == 0 {
                limited.then(|| now + self.clocks.chunk_timeout)
            } else {
                Some(now + self.clocks.abandon_after)
            };
        }
    }

    /// The worker's side: since `now` Python has its time for one more chunk, if that is `limited`. If the client
    /// has left, the limit stays where it is.
    pub fn begin_chunk(&self, limited: bool, now: Instant) {
        let mut due = self.lock_due();
        if !self.is_gone() && !self.is_stopped() {
            *due = limited.then(|| now + self.clocks.chunk_timeout);
        }
    }

    /// Whether the head is answered, so that only chunks of the body are still to come.
    pub fn is_streaming(&self) -> bool {
        self.load() & STREAMING != 0
    }

    /// When the handler is late, see the table above. `None` if it has no limit.
    pub fn due(&self) -> Option<Instant> {
        *self.lock_due()
    }

    /// The caller's side: by its clock, the call's time is up.
    pub fn set_late(&self, now: Instant) {
        *self.lock_due() = Some(now);
    }

    /// The caller's side: it has left at `now`, and waits neither for the reply of a call that runs nor for the rest of it. A
    /// call that is late already stays late.
    pub fn set_gone(&self, now: Instant) {
        let mut due = self.lock_due();
        let before =
            self.change(|word| (runs(word) && word & ANSWERED == 0).then_some(word | GONE));
        let streams = before.is_some_and(|word| word & (STREAMING | GONE) == STREAMING);
        if streams && !self.is_stopped() && due.is_none_or(|due| due > now) {
            *due = Some(now + self.clocks.abandon_after);
        }
    }

    /// The worker's side: the reply is complete, and the application's task runs on. It has no deadline from now on, and a
    /// caller that leaves is not noted.
    pub fn set_answered(&self) {
        let mut due = self.lock_due();
        self.change(|word| runs(word).then_some(word | ANSWERED));
        *due = None;
    }

    /// Whether its reply is complete, and the application's task runs on.
    pub fn is_answered(&self) -> bool {
        self.load() & ANSWERED != 0
    }

    /// Whether the caller of a call that was taken has left.
    pub fn is_gone(&self) -> bool {
        self.load() & GONE != 0
    }

    /// The worker's side: ends the call, when no Python code of it runs any more.
    pub fn finish(&self) -> Finish {
        self.give_up_waiting();
        match self.change(|word| Some(at_stage(word, DONE))) {
            Some(word) if word & INTERRUPTED != 0 => Finish::Interrupted {
                lost: word & LOST != 0,
            },
            _ => Finish::Free,
        }
    }

    /// The watchdog's side: from now on the call is to be interrupted.
    pub fn interrupt(&self) -> Interruption {
        match self.change(|word| runs(word).then_some(word | DUE | INTERRUPTED)) {
            Some(word) if word & SHIELDS == 0 => Interruption::Asked,
            Some(_) => Interruption::Shielded,
            None => Interruption::Over,
        }
    }

    /// The worker's side, on its own thread, which can be cut just here: whether the call is interrupted, once for each time
    /// that this was asked for. If it only `looks`, it is to be interrupted as before. `None` if it is not interrupted.
    pub fn strikes(&self, looks: bool) -> Option<bool> {
        if self.is_stopped() {
            return None;
        }
        let strikes = |word| {
            (runs(word) && word & (DUE | SHIELDS) == DUE).then_some(if looks {
                word
            } else {
                word & !DUE
            })
        };
        if self.change(strikes).is_some() {
            return Some(true);
        }
        let word = self.load();
        (runs(word) && word & DUE != 0).then_some(false)
    }

    /// The watchdog's side: from now on the worker counts as lost. False when the call has ended.
    pub fn lose(&self) -> bool {
        self.give_up_waiting();
        self.change(|word| runs(word).then_some(word | LOST))
            .is_some()
    }

    /// The handler's side, on the worker's thread: opens a shield; shields nest.
    pub fn shield(&self) {
        self.change(|word| (runs(word) && word & SHIELDS != SHIELDS).then(|| word + SHIELD));
    }

    /// Whether the call runs, and has a shield open.
    pub fn is_shielded(&self) -> bool {
        let word = self.load();
        runs(word) && word & SHIELDS != 0
    }

    /// The handler's side, on the worker's thread: closes a shield. True when it was the outermost one and an interruption
    /// waits for just that: the handler is interrupted here.
    pub fn unshield(&self) -> bool {
        let strikes = |word| word & SHIELDS == SHIELD && word & DUE != 0;
        let before = self.change(|word| {
            let word_after = if strikes(word) { word & !DUE } else { word };
            (runs(word) && word & SHIELDS != 0).then(|| word_after - SHIELD)
        });
        before.is_some_and(strikes)
    }

    fn lock_due(&self) -> MutexGuard<'_, Option<Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    /// Changes the word as `next` says; the word before, or none when `next` has none to give.
    fn change(&self, next: impl FnMut(u64) -> Option<u64>) -> Option<u64> {
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
            .ok()
    }
}

const fn seat(word: u64) -> Seat {
    Seat((word >> SEAT_SHIFT) as usize)
}

#[cfg(test)]
pub(crate) mod tests;
