//! `Driver`: does what the state says, and tells it and the operator what happens. What belongs to a reload is in `reload`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use httpy_core::{ExitLimits, Notice, ProcessNotice};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::reload::{Initialised, Reload};
use super::state::{Action, Death, Phase, State};
use super::tend::{Down, Event, Tender, Up};
use super::wear::Limits;
use super::{Question, Setup, lock};
use crate::failure::Failure;
use crate::handover::{Order, Started, WorkerId};
use crate::handshake;

/// So many events wait at most; then the workers' tasks do.
const EVENTS: usize = 64;
/// What is left of the workers at the end gets so long beyond its limit.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(super) struct Driver {
    pub(super) setup: Setup,
    python: Arc<PathBuf>,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) workers: HashMap<WorkerId, Kept>,
    events: mpsc::Sender<(WorkerId, Event)>,
    happened: mpsc::Receiver<(WorkerId, Event)>,
    /// Hears of the first workers.
    pub(super) up: Option<oneshot::Sender<Result<(), Failure>>>,
    pub(super) reload: Option<Reload>,
    /// The one after that.
    pub(super) next_reload: Reload,
    pub(super) initialised: (mpsc::Sender<Initialised>, mpsc::Receiver<Initialised>),
    pub(super) closing: Option<Closing>,
    /// As many workers have died as may.
    restless: bool,
}

/// What is known of a worker whose process is not gone.
pub(super) struct Kept {
    pub(super) name: Arc<str>,
    number: usize,
    /// So many handlers it was told to load.
    handlers: usize,
    /// It is killed when this is told, or dropped.
    pub(super) kill: Option<oneshot::Sender<()>>,
    /// It is ready, and has no jobs yet.
    pub(super) up: Option<Box<Up>>,
    pid: u32,
    /// Why it was killed, as half a sentence; none where nobody need hear of that.
    pub(super) why: Option<String>,
    /// When another one takes its place, as of the moment in which it was given up. Its process may take longer to go.
    again_in: Option<Duration>,
    /// Why it is worn out.
    worn: Option<String>,
}

pub(super) struct Closing {
    /// None where shutdown functions do not run.
    limits: Option<ExitLimits>,
    /// Then whoever is left is killed.
    until: Option<Instant>,
    /// They hear of the end by losing this.
    answers: Vec<oneshot::Sender<()>>,
}

/// On what occasion something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// The workers are cared for.
    Care,
    /// One generation makes room for another.
    Reload,
    /// The end has come.
    End,
}

/// Why nothing is done any more.
pub(super) fn closed() -> Failure {
    Failure::Process("the engine has shut down".to_owned())
}

impl Driver {
    pub(super) fn new(
        setup: Setup,
        python: PathBuf,
        state: Arc<Mutex<State>>,
        up: oneshot::Sender<Result<(), Failure>>,
    ) -> Self {
        let (events, happened) = mpsc::channel(EVENTS);
        Self {
            setup,
            python: Arc::new(python),
            state,
            workers: HashMap::new(),
            events,
            happened,
            up: Some(up),
            reload: None,
            next_reload: Reload::default(),
            initialised: mpsc::channel(1),
            closing: None,
            restless: false,
        }
    }

    /// Runs until it is closed and no process is left.
    pub(super) async fn run(mut self, mut asked: mpsc::Receiver<Question>) {
        loop {
            let (actions, due) = {
                let mut state = lock(&self.state);
                let actions = state.turn(Instant::now());
                (actions, state.next())
            };
            self.perform(actions, Occasion::Care).await;
            if self.closing.is_some() && self.workers.is_empty() {
                return;
            }
            let end = self.closing.as_ref().and_then(|closing| closing.until);
            let due = due.into_iter().chain(end).min();
            let alarm = async {
                match due {
                    Some(due) => sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            let listens = self
                .closing
                .as_ref()
                .is_none_or(|closing| closing.limits.is_some());
            tokio::select! {
                Some((id, event)) = self.happened.recv() => self.handle(id, event).await,
                Some(done) = self.initialised.1.recv() => self.initialised(done).await,
                question = asked.recv(), if listens => self.answer(question).await,
                () = alarm => self.end_overdue().await,
            }
        }
    }

    async fn answer(&mut self, question: Option<Question>) {
        match question {
            Some(Question::Reload { answer, .. }) if self.closing.is_some() => {
                drop(answer.send(Err(closed())));
            }
            Some(Question::Reload {
                inits,
                accept,
                answer,
            }) => {
                self.next_reload.inits = inits;
                self.next_reload.accepts.push(accept);
                self.next_reload.answers.push(answer);
                self.begin_reload().await;
            }
            Some(Question::Close { limits, answer }) => {
                self.close(Some(limits), Some(answer)).await;
            }
            None => self.close(None, None).await,
        }
    }

    async fn close(&mut self, limits: Option<ExitLimits>, answer: Option<oneshot::Sender<()>>) {
        if let Some(closing) = &mut self.closing {
            closing.answers.extend(answer);
            closing.limits = closing.limits.filter(|_| limits.is_some());
            return;
        }
        let now = Instant::now();
        let until = limits.and_then(|ExitLimits { shielded, rest }| {
            let all = rest.saturating_mul(2).saturating_add(shielded);
            now.checked_add(all.saturating_add(LAST_WORDS))
        });
        self.closing = Some(Closing {
            limits,
            until,
            answers: answer.into_iter().collect(),
        });
        self.end_reloads().await;
        let actions = lock(&self.state).close(now);
        self.perform(actions, Occasion::End).await;
    }

    async fn end_overdue(&mut self) {
        let end = self
            .closing
            .as_mut()
            .and_then(|closing| closing.until.take_if(|until| *until <= Instant::now()));
        if end.is_some() {
            let actions = lock(&self.state).kill_all();
            for worker in self.workers.values_mut() {
                worker.why.get_or_insert_with(|| {
                    "was killed, as it had not shut down in time".to_owned()
                });
            }
            self.perform(actions, Occasion::End).await;
        }
    }

    async fn handle(&mut self, id: WorkerId, event: Event) {
        let Some(kept) = self.workers.get_mut(&id) else {
            return;
        };
        match event {
            Event::Slow { pid } => {
                let notice = ProcessNotice::Slow {
                    worker: kept.name.to_string(),
                    process: pid,
                    elapsed: self.setup.patience.slow,
                    limit: self.setup.options.start_limit,
                };
                self.say(notice);
            }
            Event::Up(up) => {
                kept.pid = up.newcomer.facts.pid;
                kept.up = Some(up);
                let actions = lock(&self.state).ready(id, Instant::now());
                self.perform(actions, Occasion::Care).await;
                self.rise().await;
            }
            Event::Worn(wear) => {
                kept.worn = Some(wear.to_string());
                lock(&self.state).wear(id);
            }
            Event::Lost { why, answered } => {
                kept.why = Some(why);
                let (actions, pause) = {
                    let (now, mut state) = (Instant::now(), lock(&self.state));
                    (
                        state.stuck(id, answered, now),
                        state.pause(kept.number, now),
                    )
                };
                kept.again_in = Some(pause).filter(|pause| !pause.is_zero());
                self.perform(actions, Occasion::End).await;
            }
            Event::Down(down) => {
                if let Some(kept) = self.workers.remove(&id) {
                    self.bury(id, kept, *down).await;
                }
            }
        }
    }

    /// Says so when the first workers are ready.
    async fn rise(&mut self) {
        let is_up = {
            let state = lock(&self.state);
            state.count(Phase::Ready) == state.wanted()
        };
        if is_up && let Some(up) = self.up.take() {
            drop(up.send(Ok(())));
            self.begin_reload().await;
        }
    }

    /// A process is gone.
    async fn bury(&mut self, id: WorkerId, kept: Kept, down: Down) {
        let now = Instant::now();
        let (death, pause, deaths) = {
            let mut state = lock(&self.state);
            (
                state.dead(id, down.answered, now),
                state.pause(kept.number, now),
                state.deaths(now),
            )
        };
        let Down {
            failure,
            pid,
            exit,
            well,
            ended,
            said,
            ..
        } = down;
        let running = ended.map(|ended| ended.running).unwrap_or_default();
        let was_killed = kept.kill.is_none();
        // At the end of the app the calls that it was in have had their time.
        let is_expected = well && (running.is_empty() || self.closing.is_some());
        let is_told = death == Death::Unasked || kept.why.is_some() || !(was_killed || is_expected);
        let (worker, how) = (kept.name.to_string(), kept.why.unwrap_or(exit));
        let again_in = kept
            .again_in
            .or_else(|| Some(pause).filter(|pause| !pause.is_zero()))
            .filter(|_| self.closing.is_none());
        if self.up.is_some() || death == Death::OfNew {
            let failure = failure.unwrap_or_else(|| Failure::of(&format!("{worker} {how}"), &said));
            if let Some(up) = self.up.take() {
                drop(up.send(Err(failure)));
                self.close(None, None).await;
            } else {
                self.fail_reload(&failure).await;
            }
        } else if let Some(failure) = failure {
            if death == Death::Unasked {
                let problem = failure.to_string();
                self.say(ProcessNotice::Unready {
                    worker,
                    problem,
                    again_in: pause,
                });
            }
        } else if is_told {
            self.say(ProcessNotice::Died {
                worker,
                process: pid,
                how,
                running,
                said,
                again_in,
            });
        }
        let replacements = self.setup.options.replacements;
        let is_restless = deaths > 0 && deaths >= replacements;
        if is_restless && !self.restless {
            self.say(ProcessNotice::Restless {
                deaths,
                replacements,
            });
        }
        self.restless = is_restless;
    }

    pub(super) async fn perform(&mut self, actions: Vec<Action>, occasion: Occasion) {
        for action in actions {
            match action {
                Action::Start(id, number) => self.start(id, number),
                Action::Add(id) => self.add(id).await,
                Action::Stop(id) => {
                    self.order(Order::Stop(id)).await;
                    if occasion == Occasion::Care {
                        self.tell_recycled(id);
                    }
                }
                Action::ShutDown(id) => {
                    let limits = self.closing.as_ref().and_then(|closing| closing.limits);
                    self.order(
                        limits.map_or(Order::Stop(id), |limits| Order::ShutDown(id, limits)),
                    )
                    .await;
                }
                Action::Kill(id) => {
                    let drain_within = self.setup.drain_within;
                    if let Some(kept) = self.workers.get_mut(&id) {
                        kept.kill = None;
                        if occasion == Occasion::Care {
                            let why = format!(
                                "was killed, as it had not finished its calls within {drain_within:?}"
                            );
                            kept.why.get_or_insert(why);
                        }
                    }
                }
                Action::Complete(first) => Box::pin(self.complete(first)).await,
            }
        }
    }

    fn start(&mut self, id: WorkerId, number: usize) {
        let name: Arc<str> = format!("httpy-process-{number}").into();
        let options = &self.setup.options;
        let handlers = self.setup.handlers.all();
        let limits = {
            let mut state = lock(&self.state);
            let mut spread = |limit: Option<u64>| limit.map(|limit| state.spread(limit));
            Limits {
                requests: spread(options.max_requests),
                rss: spread(options.max_rss),
            }
        };
        let (kill, killed) = oneshot::channel();
        let tender = Tender {
            id,
            name: Arc::clone(&name),
            python: Arc::clone(&self.python),
            options: Arc::clone(options),
            program: self.setup.program,
            boot: handshake::boot(&name, options, &handlers),
            limits,
            patience: self.setup.patience,
            lines: self.setup.lines.clone(),
            orders: self.setup.orders.clone(),
            events: self.events.clone(),
        };
        tokio::spawn(tender.run(killed));
        let handlers = handlers.len();
        let kept = Kept {
            name,
            number,
            handlers,
            kill: Some(kill),
            up: None,
            pid: 0,
            why: None,
            again_in: None,
            worn: None,
        };
        self.workers.insert(id, kept);
    }

    async fn add(&mut self, id: WorkerId) {
        let Some(kept) = self.workers.get_mut(&id) else {
            return;
        };
        let Some(up) = kept.up.take() else { return };
        let Up {
            newcomer,
            tally,
            ended,
        } = *up;
        let started = Started {
            id,
            name: kept.name.to_string(),
            number: kept.number,
            pid: newcomer.facts.pid,
            control: newcomer.control,
            rest: newcomer.rest,
            sync: newcomer.ends.sync,
            asynchronous: newcomer.ends.asynchronous,
            mark: newcomer.ends.mark,
            handlers: kept.handlers,
            facts: newcomer.facts,
            tally,
            ended,
        };
        self.order(Order::Add(Box::new(started))).await;
    }

    fn tell_recycled(&mut self, id: WorkerId) {
        let Some(kept) = self.workers.get_mut(&id) else {
            return;
        };
        let why = kept
            .worn
            .take()
            .unwrap_or_else(|| "has reached its age".to_owned());
        let notice = ProcessNotice::Recycled {
            worker: kept.name.to_string(),
            process: kept.pid,
            why,
        };
        self.say(notice);
    }

    fn say(&self, notice: ProcessNotice) {
        self.setup.lines.say(Notice::Process(notice));
    }

    async fn order(&self, order: Order) {
        // Without a dispatch nobody has jobs, and all is about to end.
        drop(self.setup.orders.send(order).await);
    }
}
