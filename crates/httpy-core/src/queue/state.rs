//! `State`: the rules by which the workers of one interpreter take jobs, as data that one thread at a time changes.
//!
//! A worker owns a [`Seat`] for its whole life; its place is one of these:
//!
//! | place | attached | what it does | how it ends |
//! |---|---|---|---|
//! | working, the lead | yes | takes job after job, watches for the next | no job is left: idle; its turn is over: idle; another leads: overtaken |
//! | working or computing, overtaken | yes, or about to be | finishes the one job it is in | jobs wait, or nobody leads: the lead again; else idle |
//! | coming | waits to be | queues for the interpreter itself: on a GIL build it stands by | attached: it is the lead; no job is left before that: idle |
//! | looking on | no | looks every 0.5 ms whether the lead goes on | it does not: coming; nothing is left to do: idle |
//! | holding off | no | sleeps while others compute | the time is up: coming; nothing is left to do: idle |
//! | idle | no | sleeps | called: coming; idle for long: free |
//! | lost | unknown | is in a handler that does not end | it ends after all: idle; coming when jobs wait and nobody comes; the lead when nobody leads |
//! | free | | has no thread | a thread is started: coming |
//!
//! On a GIL build one worker leads. While a job waits and the lead is in a handler, somebody stands by: the operating
//! system gives it the interpreter the instant the handler blocks, and after a switch interval when the handler
//! computes. Taking the first job makes it the lead, and the former lead learns of that when it asks for its next job. The former
//! one holds the interpreter then, so the new lead has detached: the former one leads again if jobs wait, and no thread is woken
//! for them. With 400 handlers that sleep for 10 ms this gives a fifth more requests, with a third fewer context switches; with
//! 32 quick ones beside 64 that sleep and 4 that compute, almost four times as many requests.
//!
//! More threads in line for the interpreter would only fight over it, so that one is enough, but for this: CPython gives the
//! interpreter to those in line in turn, and every handler that computes stands in that line as well. One more stands by
//! for each of them, up to [`MOST_STANDBYS`], or short handlers would wait for all of them between any two turns: beside
//! four that compute, a single standby gets a fifth of the turns. A worker counts as computing when the one that overtook
//! it had to wait for a whole switch interval.
//!
//! Where a [`Crowd`] of handlers computes, there is one standby, and it [holds off](Place::HoldingOff) before it lines up.
//!
//! While handlers are quick, nobody stands in that line at all: CPython would take the interpreter from the lead once per
//! switch interval for nothing. The standby looks on instead, and lines up when the lead has been in one handler for long.
//! Handlers count as quick while many jobs are taken in a while and none of them lets go of the interpreter.
//!
//! A lead whose turn is over goes to sleep between two jobs when somebody stands by. CPython would take the interpreter
//! from it soon, in the middle of a handler, whose request would then wait for a whole round.
//!
//! On a free-threaded build the lead means nothing: every called worker takes jobs, and one is called per job.

#[cfg(test)]
mod check;
mod contention;
mod crowd;
mod place;
#[cfg(test)]
#[cfg(not(httpy_model))]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use self::contention::Contention;
use self::crowd::Crowd;
pub(super) use self::place::Place;
use self::place::Places;
use super::pace::Pace;
use super::{InLine, Seat, Seats};

/// However many handlers compute, more threads in line for the interpreter would cost more than they bring. In the model
/// none computes, and one is the most.
const MOST_STANDBYS: usize = if cfg!(httpy_model) { 1 } else { 4 };

/// What a detached worker does.
pub(super) enum Rest {
    /// Attach.
    Attach,
    /// End the thread.
    Retire,
    /// Sleep for a moment, then say with [`State::has_looked`] whether the lead goes on.
    LookOn,
    /// Sleep for so long, then say so with [`State::has_held_off`].
    HoldOff(Duration),
    /// Sleep until it is called.
    Sleep,
}

/// Who must hear of an appointment once the mutex is released.
pub(super) enum Appointed {
    Nobody,
    Idle(Seat),
    New(Seat),
}

#[derive(Debug)]
pub(super) struct State<J> {
    /// Each with [`Contention::total`] at its push.
    jobs: VecDeque<(J, Duration)>,
    lead: Option<Seat>,
    places: Places,
    /// Workers with nothing to do; the last to become idle is called first, since its caches are warm and the others may
    /// retire.
    idle: Vec<Seat>,
    /// Seats without a thread.
    free: Vec<Seat>,
    limits: Seats,
    pace: Pace,
    crowd: Crowd,
    contention: Contention,
    /// The lead looks out for the next job, so that nobody need be called for it.
    watched: bool,
    exclusive: bool,
    closed: bool,
}

impl<J> State<J> {
    pub(super) fn new(limits: Seats, exclusive: bool) -> Self {
        let max = limits.max.max(1);
        let limits = Seats {
            min: limits.min.min(max),
            max,
            ..limits
        };
        let seats = limits.all();
        Self {
            jobs: VecDeque::new(),
            lead: None,
            places: Places::new(seats),
            idle: Vec::with_capacity(seats),
            free: (0..seats).rev().map(Seat).collect(),
            limits,
            pace: Pace::default(),
            crowd: Crowd::default(),
            contention: Contention::new(seats),
            watched: false,
            exclusive,
            closed: false,
        }
    }

    /// How many seats there are.
    pub(super) fn seats(&self) -> usize {
        self.places.all().len()
    }

    pub(super) fn first_seats(&mut self) -> Vec<Seat> {
        let seats: Vec<Seat> = (0..self.limits.min)
            .map_while(|_| self.free.pop())
            .collect();
        for seat in &seats {
            self.places.put(*seat, Place::Working);
        }
        seats
    }

    /// # Errors
    ///
    /// The job itself, after [`close`](Self::close).
    pub(super) fn push(&mut self, job: J) -> Result<(), J> {
        if self.closed {
            return Err(job);
        }
        self.jobs.push_back((job, self.contention.total()));
        Ok(())
    }

    /// The worker of `seat` is here, attached. Returns whether it may take a job; if not, it goes to sleep.
    pub(super) fn arrive(&mut self, seat: Seat) -> bool {
        let place = self.places[seat];
        self.places.put(seat, Place::Working);
        if !self.exclusive || self.lead == Some(seat) {
            return true;
        }
        if place == Place::Coming || self.lead.is_none() {
            self.lead = Some(seat);
            return true;
        }
        // Overtaken while it was in a handler. It has the interpreter now, so the lead has not: whoever was called for the
        // next job would only stand in line behind it. Of a crowd there is to be one less, though.
        if place != Place::Lost && !self.jobs.is_empty() && self.crowd.hold_off().is_none() {
            if place == Place::Working {
                // One that was not seen to compute waited for something.
                self.pace.let_go();
            }
            self.lead = Some(seat);
            return true;
        }
        // One that was lost may be one too many. Where every other seat was busy nobody stands by for the jobs that came
        // meanwhile, and nobody else would ever be told of them.
        if self.wants_another() {
            self.places.put(seat, Place::Coming);
        } else {
            self.rest(seat);
        }
        false
    }

    /// The next job for the worker of `seat`, which may take one, and how much of its wait was one for the interpreter.
    /// Without a job the worker goes to sleep, and none leads.
    pub(super) fn next_job(&mut self, seat: Seat) -> Option<(J, Duration)> {
        let Some((job, pushed)) = self.jobs.pop_front() else {
            self.lead = None;
            self.crowd.is_gone();
            self.rest(seat);
            return None;
        };
        self.pace.took();
        Some((job, self.contention.total().saturating_sub(pushed)))
    }

    /// The worker of `seat` goes to sleep if it leads and another one stands in line for the jobs that wait. If not, it
    /// gives up the interpreter for a moment and calls [`gave_way`](Self::gave_way) when it has it again.
    pub(super) fn step_down(&mut self, seat: Seat, now: Instant) -> bool {
        self.pace.judge(now);
        let steps_down = self.exclusive
            && self.lead == Some(seat)
            && self.places.coming > 0
            && !self.jobs.is_empty();
        if steps_down {
            self.lead = None;
            self.rest(seat);
        } else {
            self.contention.begin(seat, now);
        }
        steps_down
    }

    /// The worker of `seat` has the interpreter again since `now`.
    pub(super) fn gave_way(&mut self, seat: Seat, now: Instant) {
        self.contention.end(seat, now);
    }

    /// The worker of `seat` waits for the interpreter from now on, until it is [`attached`](Self::attached).
    pub(super) fn attaches(&mut self, seat: Seat, now: Instant) {
        self.contention.begin(seat, now);
    }

    /// The worker of `seat` is coming and has got the interpreter, for which it stood in `line`. Where that took as long as a
    /// handler may compute undisturbed, which is `interval`, the lead computes; else the lead has let go of the interpreter.
    pub(super) fn attached(&mut self, seat: Seat, line: InLine, interval: Duration) {
        let waited = line.waited();
        if let Some(lead) = self.lead.filter(|lead| *lead != seat)
            && self.places[lead] == Place::Working
        {
            if waited >= interval {
                self.places.put(lead, Place::Computing);
            } else {
                self.pace.let_go();
            }
        }
        self.crowd.passed(self.places.computing, waited, interval);
        self.contention.end(seat, line.attached);
    }

    /// What the worker of `seat`, detached, does next.
    pub(super) fn look_up(&mut self, seat: Seat) -> Rest {
        let needed = !self.jobs.is_empty();
        match self.places[seat] {
            // One of those that are there from the beginning: it was not yet.
            Place::Working => return Rest::Attach,
            Place::Coming if needed => return Rest::Attach,
            Place::LookingOn | Place::HoldingOff if needed && self.closed => {
                self.places.put(seat, Place::Coming);
                return Rest::Attach;
            }
            Place::LookingOn if !self.closed => return Rest::LookOn,
            Place::HoldingOff if needed => {
                return Rest::HoldOff(self.crowd.hold_off().unwrap_or_default());
            }
            // The lead was quicker: nobody is needed, and the next job calls again.
            Place::Coming | Place::LookingOn | Place::HoldingOff => self.rest(seat),
            _ => {}
        }
        // Whatever still waits is the business of the lead and of who is coming.
        if self.closed || self.alive() > self.most() {
            self.retire(seat);
            return Rest::Retire;
        }
        Rest::Sleep
    }

    /// The worker of `seat` has looked on for a moment; `taken` is what [`Pace::taken`] was before it. When nothing
    /// went on meanwhile, it comes for the jobs that wait, and goes idle without any.
    pub(super) fn has_looked(&mut self, seat: Seat, taken: u64) {
        if self.places[seat] == Place::LookingOn && self.pace.taken() == taken {
            if self.jobs.is_empty() {
                self.rest(seat);
            } else {
                self.places.put(seat, Place::Coming);
            }
        }
    }

    /// The worker of `seat` has held off for as long as it was to: it comes for the jobs that wait, and goes idle without any.
    pub(super) fn has_held_off(&mut self, seat: Seat) {
        if self.places[seat] == Place::HoldingOff {
            if self.jobs.is_empty() {
                self.rest(seat);
            } else {
                self.places.put(seat, Place::Coming);
            }
        }
    }

    /// Whether the worker of `seat` looks on, or was called to.
    pub(super) fn looks_on(&self, seat: Seat) -> bool {
        self.places[seat] == Place::LookingOn
    }

    /// Whether somebody looks at the lead every now and then, and goes on with that while the lead takes jobs.
    pub(super) fn is_looked_on(&self) -> bool {
        self.places.looking_on > 0
    }

    /// Whether somebody stands in line for the interpreter.
    pub(super) fn is_awaited(&self) -> bool {
        self.exclusive && self.places.coming > 0
    }

    #[cfg(all(test, httpy_model))]
    pub(super) fn crowd(&mut self) -> &mut Crowd {
        &mut self.crowd
    }

    /// Whether a worker that sleeps for long may retire.
    pub(super) fn may_retire(&self) -> bool {
        self.alive() > self.limits.min + self.places.lost
    }

    /// The worker of `seat` has slept for long: true when it is still idle and not needed.
    pub(super) fn retire_idle(&mut self, seat: Seat) -> bool {
        let retires = self.places[seat] == Place::Idle && self.may_retire();
        if retires {
            self.retire(seat);
        }
        retires
    }

    /// Whether another worker may run instead of the one of `seat`.
    pub(super) fn lose(&mut self, seat: Seat) -> bool {
        self.lead = self.lead.filter(|lead| *lead != seat);
        self.places.put(seat, Place::Lost);
        self.places.lost <= self.limits.spare
    }

    pub(super) fn lost(&self) -> usize {
        self.places.lost
    }

    /// The thread of `seat` has ended or never began. True when somebody idle could do what it was called for.
    pub(super) fn vacate(&mut self, seat: Seat) -> bool {
        if self.places[seat] == Place::Free {
            return false;
        }
        self.lead = self.lead.filter(|lead| *lead != seat);
        self.contention.end(seat, Instant::now());
        self.retire(seat);
        !self.idle.is_empty()
    }

    /// Calls a worker, if one more is needed.
    pub(super) fn appoint(&mut self) -> Appointed {
        if !self.wants_another() {
            return Appointed::Nobody;
        }
        let place = self.place_of_next();
        if let Some(seat) = self.idle.pop() {
            self.places.put(seat, place);
            return Appointed::Idle(seat);
        }
        if self.alive() < self.most()
            && let Some(seat) = self.free.pop()
        {
            self.places.put(seat, place);
            return Appointed::New(seat);
        }
        Appointed::Nobody
    }

    /// Whether the lead may keep the interpreter for a moment while it has nothing to do.
    pub(super) fn may_watch(&self) -> bool {
        self.exclusive && self.jobs.is_empty() && !self.closed
    }

    pub(super) fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watched
    }

    pub(super) fn set_watched(&mut self, watched: bool) {
        self.watched = watched;
    }

    pub(super) fn jobs(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn lead(&self) -> Option<Seat> {
        self.lead
    }

    pub(super) fn places(&self) -> &[Place] {
        self.places.all()
    }

    pub(super) fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    pub(super) fn set_exclusive(&mut self, exclusive: bool) {
        self.exclusive = exclusive;
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// How many workers may have a thread.
    fn most(&self) -> usize {
        self.limits.max + self.places.lost.min(self.limits.spare)
    }

    /// How many workers have a thread.
    pub(super) fn alive(&self) -> usize {
        self.places.all().len() - self.free.len()
    }

    /// Whether a worker should come for what waits: on a GIL build one, and one more for each handler that computes, short of
    /// a crowd; else one per job.
    fn wants_another(&self) -> bool {
        let most = match (self.exclusive, self.crowd.hold_off()) {
            (true, None) => (1 + self.places.computing).min(MOST_STANDBYS),
            (true, Some(_)) => 1,
            (false, _) => usize::MAX,
        };
        // Who looks on or holds off is there for a lead that does not go on, and for nothing else.
        let aside = if self.lead.is_some() {
            self.places.looking_on + self.places.holding_off
        } else {
            0
        };
        self.places.coming + aside < self.jobs.len().min(most)
    }

    /// What the next worker does first: the lead, where there is one, may be quick, or have a crowd beside it.
    fn place_of_next(&self) -> Place {
        match (self.exclusive && self.lead.is_some(), self.crowd.hold_off()) {
            (true, Some(_)) => Place::HoldingOff,
            (true, None) if self.pace.is_quick() && self.places.computing == 0 => Place::LookingOn,
            _ => Place::Coming,
        }
    }

    fn rest(&mut self, seat: Seat) {
        self.places.put(seat, Place::Idle);
        self.idle.push(seat);
    }

    fn retire(&mut self, seat: Seat) {
        self.idle.retain(|idle| *idle != seat);
        self.places.put(seat, Place::Free);
        self.free.push(seat);
    }
}
