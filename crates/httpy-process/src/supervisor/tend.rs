//! One worker from the start of its process to the end of it, as a task: it is started and welcomed, watched, killed where
//! it has to be, and reaped. All that happens is told to the driver, which decides.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use httpy_core::frame::LogRecord;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::wear::{Limits, Wear, worn};
use crate::failure::{Exit, Failure};
use crate::handover::{Ended, Order, Reason, Tally, WorkerId};
use crate::handshake::{Newcomer, Patience, Problem, welcome};
use crate::line::{Lines, Stream, Tail};
use crate::options::ProcessOptions;
use crate::process::Process;
use crate::spawn::spawn;

/// A process whose connection has ended gets so long to end as well, and a connection whose process has.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Time for its last lines to be read. It passes only if the host's log takes nothing, or the machine is very busy.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Why a process may end well that was to become a worker.
const NOTHING_READ: &str = ": a wrapper script, a .pth file or sitecustomize has ended it, or replaced its standard input, from which it reads \
                            its program";

/// What starting a worker takes.
pub(super) struct Tender {
    pub(super) id: WorkerId,
    pub(super) name: Arc<str>,
    pub(super) python: Arc<PathBuf>,
    pub(super) options: Arc<ProcessOptions>,
    pub(super) program: &'static str,
    pub(super) boot: Vec<u8>,
    pub(super) limits: Limits,
    pub(super) patience: Patience,
    pub(super) lines: Lines,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) events: mpsc::Sender<(WorkerId, Event)>,
}

/// What happens to a worker.
pub(super) enum Event {
    /// Its start takes long.
    Slow {
        /// The number of its process.
        pid: u32,
    },
    /// It can have jobs.
    Up(Box<Up>),
    /// It is to be replaced.
    Worn(Wear),
    /// Nothing more is to be expected of it: it was killed, and why, as half a sentence.
    Lost { why: String, answered: bool },
    /// Its process is gone, or never was there.
    Down(Box<Down>),
}

/// A worker that can have jobs.
pub(super) struct Up {
    pub(super) newcomer: Newcomer,
    pub(super) tally: Arc<Tally>,
    pub(super) ended: oneshot::Sender<Ended>,
}

/// The end of a worker.
pub(super) struct Down {
    /// Why it did not come up, where it did not.
    pub(super) failure: Option<Failure>,
    pub(super) pid: u32,
    /// How its process ended, as half a sentence.
    pub(super) exit: String,
    /// With status 0.
    pub(super) well: bool,
    pub(super) ended: Option<Ended>,
    pub(super) answered: bool,
    pub(super) said: Vec<String>,
}

impl Tender {
    /// Runs the worker until its process is gone. It is killed when `kill` is told, or dropped.
    pub(super) async fn run(self, kill: oneshot::Receiver<()>) {
        let down = self.live(kill).await;
        // The driver is there until each of its workers is down.
        drop(
            self.events
                .send((self.id, Event::Down(Box::new(down))))
                .await,
        );
    }

    async fn live(&self, mut kill: oneshot::Receiver<()>) -> Down {
        let spawned = match spawn(&self.python, &self.options, self.program, &self.name) {
            Ok(spawned) => spawned,
            Err(failure) => return Down::unstarted(failure),
        };
        let (mut process, tail) = (spawned.process, Arc::new(Tail::default()));
        for (stream, pipe) in [
            (Stream::Output, spawned.output),
            (Stream::Error, spawned.error),
        ] {
            self.lines
                .follow(
                    Arc::clone(&self.name),
                    process.id(),
                    stream,
                    pipe,
                    Arc::clone(&tail),
                )
                .await;
        }
        let log = |record: LogRecord| self.lines.log(record.record, None);
        let welcomed = {
            let mut welcome =
                std::pin::pin!(welcome(spawned.control, &self.boot, self.patience, &log));
            let mut slow = std::pin::pin!(sleep(self.patience.slow));
            let mut is_slow = false;
            loop {
                tokio::select! {
                    result = &mut welcome => break result,
                    () = process.ended() => {
                        // What it has said before it ended is still there to be read.
                        break timeout(LAST_WORDS, welcome).await.unwrap_or(Err(Problem::Closed));
                    }
                    _ = &mut kill => break Err(Problem::Other("it was not wanted any more".to_owned())),
                    () = &mut slow, if !is_slow => {
                        is_slow = true;
                        self.tell(Event::Slow { pid: process.id() }).await;
                    }
                }
            }
        };
        match welcomed {
            Ok((newcomer, life)) => {
                let down = self.watch(newcomer, process, kill, &tail).await;
                drop(life);
                down
            }
            Err(problem) => self.bury(problem, process, &tail).await,
        }
    }

    /// What has not come up goes.
    async fn bury(&self, problem: Problem, mut process: Process, tail: &Tail) -> Down {
        if let Problem::Closed = problem {
            // It is about to end, and how it does is what there is to say.
            drop(timeout(LAST_WORDS, process.ended()).await);
        }
        let ended = process.has_ended();
        process.kill();
        let exit = Exit(process.bury().await);
        let (python, said) = (self.python.display(), tail.last(LAST_LINES).await);
        let failure = match problem {
            Problem::Load(error) => Failure::Load(error),
            Problem::Closed if ended => {
                // An empty program ends well.
                let hint = match exit.0 {
                    Some(status) if status.success() => NOTHING_READ,
                    _ => "",
                };
                Failure::of(&format!("{python} {exit} before it was ready{hint}"), &said)
            }
            problem => Failure::of(&format!("{python}: {problem}"), &said),
        };
        Down {
            pid: process.id(),
            exit: exit.to_string(),
            said,
            ..Down::unstarted(failure)
        }
    }

    async fn watch(
        &self,
        newcomer: Newcomer,
        mut process: Process,
        mut kill: oneshot::Receiver<()>,
        tail: &Tail,
    ) -> Down {
        let (pid, tally) = (newcomer.facts.pid, Arc::new(Tally::default()));
        let (told, mut ended) = oneshot::channel();
        self.tell(Event::Up(Box::new(Up {
            newcomer,
            tally: Arc::clone(&tally),
            ended: told,
        })))
        .await;
        let mut worn = std::pin::pin!(worn(&tally, self.limits, pid));
        let (mut end, mut is_worn, mut was_killed) = (None, false, false);
        loop {
            tokio::select! {
                () = process.ended() => break,
                _ = &mut kill, if !was_killed => {
                    was_killed = true;
                    process.kill();
                }
                told = &mut ended, if end.is_none() => {
                    let told = told.unwrap_or(Ended { reason: Reason::Closed, running: Vec::new() });
                    let why = match &told.reason {
                        Reason::Broken(what) => Some(format!("was killed, as it has sent an invalid message: {what}")),
                        Reason::Stuck => Some("was killed, as a call did not end in time".to_owned()),
                        // It mostly ends in this moment, and how it does is what there is to say.
                        Reason::Closed => match timeout(LAST_WORDS, process.ended()).await {
                            Ok(()) => None,
                            Err(_) => Some("was killed, as it has closed its socket".to_owned()),
                        },
                    };
                    end = Some(told);
                    if let Some(why) = why {
                        process.kill();
                        self.tell(Event::Lost { why, answered: tally.answered() > 0 }).await;
                    }
                }
                wear = &mut worn, if !is_worn => {
                    is_worn = true;
                    self.tell(Event::Worn(wear)).await;
                }
            }
        }
        let status = process.bury().await;
        drop(self.orders.send(Order::Gone(self.id)).await);
        if end.is_none() {
            end = timeout(LAST_WORDS, ended).await.ok().and_then(Result::ok);
        }
        let said = tail.last(LAST_LINES).await;
        Down {
            failure: None,
            pid,
            exit: Exit(status).to_string(),
            well: status.is_some_and(|status| status.success()),
            ended: end,
            answered: tally.answered() > 0,
            said,
        }
    }

    async fn tell(&self, event: Event) {
        drop(self.events.send((self.id, event)).await);
    }
}

impl Down {
    fn unstarted(failure: Failure) -> Self {
        let (exit, said) = (String::new(), Vec::new());
        Self {
            failure: Some(failure),
            pid: 0,
            exit,
            well: false,
            ended: None,
            answered: false,
            said,
        }
    }
}
