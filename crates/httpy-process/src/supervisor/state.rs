//! `State`: which workers there are, and what becomes of them, as data without processes and without a clock.
//!
//! Each worker that is wanted has a place, and its number is in the worker's name. A worker is in one of these phases:
//!
//! | phase | what it does | how it ends |
//! |---|---|---|
//! | starting | starts, says hello, loads its handlers | it is ready: ready, or waiting; it fails: dead |
//! | waiting | is of a new generation, ready, and waits for the others of it | all are ready: ready; one fails: killed |
//! | ready | has jobs | it is worn out and its replacement ready: draining; does not come back from a call: stuck |
//! | draining | finishes what has begun | it has: dead; it takes too long: stuck |
//! | stuck | was killed | its process is gone: dead |
//! | dead | is forgotten | |
//!
//! A place whose worker has died gets another one after a pause, which doubles with each one that was of no use: that never
//! got ready, or died within a minute without having answered anything. It is tried for ever. Of those that are worn out
//! one at a time is replaced, so that no more than one process comes on top.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::backoff::{Jitter, pause};
use crate::handover::WorkerId;

/// A worker that was ready for so long was of use; and restarts are counted over so long.
const MINUTE: Duration = Duration::from_secs(60);

/// What workers are subject to.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Workers wanted.
    pub(super) processes: usize,
    /// A worker is replaced after so long.
    pub(super) max_age: Option<Duration>,
    /// The place of a dead worker stays empty for so long at least.
    pub(super) shortest_pause: Duration,
    /// A draining worker is killed after so long.
    pub(super) drain_within: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Waiting,
    Ready,
    Draining,
    Stuck,
}

/// What the driver is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Start a process as worker `number`.
    Start(WorkerId, usize),
    /// It gets jobs.
    Add(WorkerId),
    /// It gets no more jobs, and ends when it has finished.
    Stop(WorkerId),
    /// As `Stop`, but shutdown functions run.
    ShutDown(WorkerId),
    /// End it at once.
    Kill(WorkerId),
    /// All workers of the new generation are ready: [`State::swap`] or [`State::abandon`].
    Complete(WorkerId),
}

/// How a worker went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    /// As it was told to.
    Asked,
    /// By itself. Another one takes its place.
    Unasked,
    /// By itself, and it was of a new generation: to be followed by [`State::abandon`].
    OfNew,
}

#[derive(Debug)]
struct Worker {
    place: usize,
    generation: u64,
    phase: Phase,
    /// When it came into its phase.
    since: Instant,
    /// When it will be worn out by age.
    due: Option<Instant>,
    worn: bool,
}

#[derive(Debug, Default)]
struct Place {
    /// Workers in a row that were of no use.
    failures: u32,
    /// Not before then another one is started.
    not_before: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct State {
    rules: Rules,
    places: Vec<Place>,
    workers: BTreeMap<WorkerId, Worker>,
    /// The one whose workers get jobs as soon as they are ready.
    generation: u64,
    last_generation: u64,
    last_id: u64,
    /// When workers of the last minute have died unasked.
    deaths: VecDeque<Instant>,
    restarts: u64,
    recycled: u64,
    jitter: Jitter,
    closed: bool,
}

impl State {
    pub(super) fn new(rules: Rules, jitter: Jitter) -> Self {
        Self {
            places: (0..rules.processes).map(|_| Place::default()).collect(),
            rules,
            workers: BTreeMap::new(),
            generation: 0,
            last_generation: 0,
            last_id: 0,
            deaths: VecDeque::new(),
            restarts: 0,
            recycled: 0,
            jitter,
            closed: false,
        }
    }

    /// What is to be done now: empty places are filled, the worn out replaced, the slow ended. To be called after each change,
    /// and when [`next`](Self::next) says.
    pub(super) fn turn(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.end_slow(now, &mut actions);
        if self.closed {
            return actions;
        }
        for place in 0..self.places.len() {
            if !self.is_served(place) && self.may_start(place, now) {
                actions.push(self.start(place, self.generation, now));
            }
        }
        for worker in self.workers.values_mut() {
            worker.worn |= worker.due.is_some_and(|due| due <= now);
        }
        if let Some(place) = self.next_worn()
            && self.may_start(place, now)
        {
            actions.push(self.start(place, self.generation, now));
        }
        actions
    }

    /// When the next [`turn`](Self::turn) is due, though nothing has happened.
    pub(super) fn next(&self) -> Option<Instant> {
        let ends = self
            .workers
            .values()
            .filter(|worker| worker.phase == Phase::Draining);
        let ends = ends.map(|worker| worker.since + self.rules.drain_within);
        if self.closed {
            return ends.min();
        }
        let empty = (0..self.places.len()).filter(|place| !self.is_served(*place));
        let starts = empty
            .chain(self.next_worn())
            .filter_map(|place| self.places[place].not_before);
        let ages = self
            .workers
            .values()
            .filter(|worker| worker.phase == Phase::Ready && !worker.worn);
        ends.chain(starts)
            .chain(ages.filter_map(|worker| worker.due))
            .min()
    }

    /// A worker has loaded all its handlers.
    pub(super) fn ready(&mut self, id: WorkerId, now: Instant) -> Vec<Action> {
        let Some(worker) = self
            .workers
            .get_mut(&id)
            .filter(|worker| worker.phase == Phase::Starting)
        else {
            return Vec::new();
        };
        worker.since = now;
        if worker.generation == self.generation {
            return self.admit(id, now);
        }
        worker.phase = Phase::Waiting;
        let generation = worker.generation;
        let mut members = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.generation == generation);
        if members
            .clone()
            .any(|(_, worker)| worker.phase != Phase::Waiting)
        {
            return Vec::new();
        }
        members
            .next()
            .map(|(first, _)| Action::Complete(*first))
            .into_iter()
            .collect()
    }

    /// A worker's process is gone. `answered`: it has answered calls.
    pub(super) fn dead(&mut self, id: WorkerId, answered: bool, now: Instant) -> Death {
        let Some(worker) = self.workers.remove(&id) else {
            return Death::Asked;
        };
        match worker.phase {
            Phase::Draining | Phase::Stuck => Death::Asked,
            _ if worker.generation != self.generation => Death::OfNew,
            phase => {
                let healthy = phase == Phase::Ready
                    && (answered || now.duration_since(worker.since) >= MINUTE);
                self.lose(worker.place, healthy, now);
                Death::Unasked
            }
        }
    }

    /// A worker does not come back from a call, or cannot be understood any more: it is killed, and its place is empty from
    /// now on.
    pub(super) fn stuck(&mut self, id: WorkerId, answered: bool, now: Instant) -> Vec<Action> {
        let Some(worker) = self.workers.get_mut(&id) else {
            return Vec::new();
        };
        let was = std::mem::replace(&mut worker.phase, Phase::Stuck);
        let (place, since) = (worker.place, std::mem::replace(&mut worker.since, now));
        if was == Phase::Ready && !self.closed {
            self.lose(place, answered || now.duration_since(since) >= MINUTE, now);
        }
        vec![Action::Kill(id)]
    }

    /// A worker is to be replaced.
    pub(super) fn wear(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.worn = true;
        }
    }

    /// Starts a new generation beside the one that serves.
    pub(super) fn reload(&mut self, now: Instant) -> Vec<Action> {
        self.last_generation += 1;
        let generation = self.last_generation;
        (0..self.places.len())
            .map(|place| self.start(place, generation, now))
            .collect()
    }

    /// The new generation takes over: its workers get jobs first, only then the others get none any more.
    pub(super) fn swap(&mut self, now: Instant) -> Vec<Action> {
        let old = self.generation;
        self.generation = self.last_generation;
        for place in &mut self.places {
            *place = Place::default();
        }
        let new = self.of_phase(Phase::Waiting);
        let mut actions: Vec<Action> = new.into_iter().flat_map(|id| self.admit(id, now)).collect();
        for (id, worker) in &mut self.workers {
            if worker.generation == old && worker.phase == Phase::Starting {
                worker.phase = Phase::Stuck;
                actions.push(Action::Kill(*id));
            }
        }
        actions
    }

    /// The new generation is given up. The old one goes on.
    pub(super) fn abandon(&mut self) -> Vec<Action> {
        let generation = self.generation;
        let new = self
            .workers
            .iter_mut()
            .filter(|(_, worker)| worker.generation > generation);
        new.filter(|(_, worker)| worker.phase != Phase::Stuck)
            .map(|(id, worker)| {
                worker.phase = Phase::Stuck;
                Action::Kill(*id)
            })
            .collect()
    }

    /// All workers end, and no other ones are started.
    pub(super) fn close(&mut self, now: Instant) -> Vec<Action> {
        self.closed = true;
        let mut actions = Vec::new();
        for (id, worker) in &mut self.workers {
            let (phase, action) = match worker.phase {
                // What drains has its calls to finish, but no longer than the others.
                Phase::Ready | Phase::Draining => (Phase::Draining, Action::ShutDown(*id)),
                Phase::Starting | Phase::Waiting => (Phase::Stuck, Action::Kill(*id)),
                Phase::Stuck => continue,
            };
            (worker.phase, worker.since) = (phase, now);
            actions.push(action);
        }
        actions
    }

    /// All workers that still are there end now.
    pub(super) fn kill_all(&mut self) -> Vec<Action> {
        let left = self
            .workers
            .iter_mut()
            .filter(|(_, worker)| worker.phase != Phase::Stuck);
        left.map(|(id, worker)| {
            worker.phase = Phase::Stuck;
            Action::Kill(*id)
        })
        .collect()
    }

    #[cfg(test)]
    pub(super) fn phase(&self, id: WorkerId) -> Option<Phase> {
        self.workers.get(&id).map(|worker| worker.phase)
    }

    pub(super) fn count(&self, phase: Phase) -> usize {
        self.workers
            .values()
            .filter(|worker| worker.phase == phase)
            .count()
    }

    /// So many workers are to be ready.
    pub(super) fn wanted(&self) -> usize {
        self.places.len()
    }

    /// Workers that have died unasked within the last minute.
    pub(super) fn deaths(&self, now: Instant) -> usize {
        self.deaths
            .iter()
            .filter(|death| now.saturating_duration_since(**death) < MINUTE)
            .count()
    }

    /// Workers that have died unasked, and those that were replaced for being worn out, since the start.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.restarts, self.recycled)
    }

    /// How long the place of a dead worker stays empty.
    pub(super) fn pause(&self, number: usize, now: Instant) -> Duration {
        let not_before = self
            .places
            .get(number.wrapping_sub(1))
            .and_then(|place| place.not_before);
        not_before.map_or(Duration::ZERO, |not_before| {
            not_before.saturating_duration_since(now)
        })
    }

    /// Spreads a limit.
    pub(super) fn spread(&mut self, limit: u64) -> u64 {
        self.jitter.number(limit)
    }

    fn start(&mut self, place: usize, generation: u64, now: Instant) -> Action {
        self.last_id += 1;
        let id = WorkerId(self.last_id);
        let worker = Worker {
            place,
            generation,
            phase: Phase::Starting,
            since: now,
            due: None,
            worn: false,
        };
        self.workers.insert(id, worker);
        Action::Start(id, place + 1)
    }

    /// The worker gets jobs, and another one in its place none any more.
    fn admit(&mut self, id: WorkerId, now: Instant) -> Vec<Action> {
        let due = self
            .rules
            .max_age
            .and_then(|age| now.checked_add(self.jitter.duration(age)));
        let Some(new) = self.workers.get_mut(&id) else {
            return Vec::new();
        };
        (new.phase, new.since, new.due) = (Phase::Ready, now, due);
        let (place, mut actions) = (new.place, vec![Action::Add(id)]);
        for (other, old) in &mut self.workers {
            if *other != id && old.place == place && old.phase == Phase::Ready {
                self.recycled += u64::from(old.worn);
                (old.phase, old.since) = (Phase::Draining, now);
                actions.push(Action::Stop(*other));
            }
        }
        actions
    }

    /// A worker has died unasked.
    fn lose(&mut self, place: usize, healthy: bool, now: Instant) {
        let place = &mut self.places[place];
        if healthy {
            place.failures = 0;
        }
        place.not_before = Some(
            now + self
                .jitter
                .duration(pause(self.rules.shortest_pause, place.failures)),
        );
        place.failures += u32::from(!healthy);
        self.restarts += 1;
        self.deaths
            .retain(|death| now.saturating_duration_since(*death) < MINUTE);
        self.deaths.push_back(now);
    }

    fn end_slow(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for (id, worker) in &mut self.workers {
            if worker.phase == Phase::Draining
                && now.duration_since(worker.since) >= self.rules.drain_within
            {
                worker.phase = Phase::Stuck;
                actions.push(Action::Kill(*id));
            }
        }
    }

    /// Whether a place has a worker, or gets one.
    fn is_served(&self, place: usize) -> bool {
        self.current(place).next().is_some()
    }

    fn may_start(&self, place: usize, now: Instant) -> bool {
        self.places[place]
            .not_before
            .is_none_or(|not_before| not_before <= now)
    }

    /// The place of a worker that is worn out, while no replacement of another one is under way.
    fn next_worn(&self) -> Option<usize> {
        let replaces = |place| self.current(place).count() > 1;
        if (0..self.places.len()).any(replaces) {
            return None;
        }
        self.workers
            .values()
            .find(|worker| worker.worn && worker.phase == Phase::Ready)
            .map(|worker| worker.place)
    }

    fn current(&self, place: usize) -> impl Iterator<Item = &Worker> {
        let here = self
            .workers
            .values()
            .filter(move |worker| worker.place == place);
        here.filter(|worker| {
            worker.generation == self.generation
                && matches!(worker.phase, Phase::Starting | Phase::Ready)
        })
    }

    fn of_phase(&self, phase: Phase) -> Vec<WorkerId> {
        self.workers
            .iter()
            .filter(|(_, worker)| worker.phase == phase)
            .map(|(id, _)| *id)
            .collect()
    }
}

#[cfg(test)]
mod tests;
