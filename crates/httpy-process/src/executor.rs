//! `Processes`: the worker processes of one app, as the HTTP side sees them. Everything is done on a thread of its own,
//! `httpy-processes`; what is asked here is left for it, and some of that waited for.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use httpy_core::{
    Accept, Execute, ExitLimits, ExitReport, Facts, Figures, Health, Job, Kind, Listener,
    LoadError, Roster, Slow, Stack, StartError, TargetId, Ticket, log,
};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::ask::internal;
use crate::board::Board;
use crate::deed::{Deed, Routes};
use crate::dispatch::Dispatch;
use crate::failure::Failure;
use crate::handover::Handlers;
use crate::hub::Hub;
use crate::line::Lines;
use crate::options::ProcessOptions;
use crate::supervisor::{Setup, Standing, Supervisor};

/// So many orders of the supervisor wait for the dispatch.
const ORDERS: usize = 64;

/// The thread is waited for so long where it only has to look around.
const LOOK_AROUND: Duration = Duration::from_millis(200);

/// The worker processes of one app.
pub struct Processes {
    hub: Arc<Hub>,
    supervisor: Mutex<Option<Arc<Supervisor>>>,
    runtime: Handle,
    board: Arc<Board>,
    lines: Lines,
    options: Arc<ProcessOptions>,
    /// Tells the workers of changes of the host's log.
    #[expect(dead_code, reason = "it watches for as long as it lives")]
    watch: log::Watch,
}

impl Processes {
    /// Starts the worker processes of an app.
    ///
    /// # Blocking
    ///
    /// Until all of them are ready.
    ///
    /// # Errors
    ///
    /// When one of them does not come up: then there are none.
    pub fn start(options: ProcessOptions, listener: Listener) -> Result<Self, StartError> {
        let options = Arc::new(options);
        let lines = Lines::start(listener.notice).map_err(StartError::Thread)?;
        let (hub, handlers, board) = (
            Arc::<Hub>::default(),
            Arc::<Handlers>::default(),
            Arc::<Board>::default(),
        );
        // Before the first worker is told which levels are wanted.
        let watch = log::watch({
            let hub = Arc::downgrade(&hub);
            move || {
                if let Some(hub) = hub.upgrade() {
                    hub.ask(Deed::LogLevel);
                }
            }
        });
        let (sender, receiver) = sync_channel(1);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let handle = runtime.handle().clone();
        let begin = {
            let (options, hub, board, lines) =
                (options.clone(), hub.clone(), board.clone(), lines.clone());
            move || {
                runtime.block_on(async {
                    let (orders, received) = tokio::sync::mpsc::channel(ORDERS);
                    let setup =
                        Setup::new(options.clone(), handlers.clone(), lines.clone(), orders);
                    match Supervisor::start(setup) {
                        Ok((supervisor, up)) => {
                            tokio::spawn(async move {
                                let up = up.await.unwrap_or_else(|_| {
                                    Err(Failure::Process("its thread has ended".to_owned()))
                                });
                                // The one who waits is there.
                                drop(sender.send(up.map(|()| supervisor)));
                            });
                        }
                        Err(failure) => return drop(sender.send(Err(failure))),
                    }
                    let mut dispatch = Dispatch::new(
                        &options,
                        hub,
                        handlers,
                        received,
                        board,
                        lines,
                        listener.late,
                    );
                    tokio::task::coop::unconstrained(poll_fn(|context| dispatch.poll(context)))
                        .await;
                });
            }
        };
        thread::Builder::new()
            .name("httpy-processes".to_owned())
            .spawn(begin)
            .map_err(StartError::Thread)?;
        let supervisor = receiver
            .recv()
            .unwrap_or_else(|_| Err(Failure::Process("its thread has ended".to_owned())))?;
        let supervisor = Mutex::new(Some(Arc::new(supervisor)));
        Ok(Self {
            hub,
            supervisor,
            runtime: handle,
            board,
            lines,
            options,
            watch,
        })
    }

    fn supervisor(&self) -> Option<Arc<Supervisor>> {
        self.supervisor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for the answer to a deed.
    fn wait<T>(
        &self,
        deed: impl FnOnce(SyncSender<Result<T, LoadError>>) -> Deed,
    ) -> Result<T, LoadError> {
        let (sender, receiver) = sync_channel(1);
        if !self.hub.ask(deed(sender)) {
            return Err(ended());
        }
        receiver.recv().unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> LoadError {
    internal("the worker processes have ended")
}

impl Execute for Processes {
    fn load(&self, kind: Kind, target: &str) -> Result<TargetId, LoadError> {
        self.wait(|reply| Deed::Load(kind, target.to_owned(), reply))
    }

    fn run_init(&self, target: &str) -> Result<Routes, LoadError> {
        self.wait(|reply| Deed::Init(target.to_owned(), reply))
    }

    fn load_shutdown(&self, target: &str) -> Result<(), LoadError> {
        self.wait(|reply| Deed::LoadShutdown(target.to_owned(), reply))
    }

    fn push(&self, job: Job) -> Result<(), Box<Job>> {
        self.hub.push(job)
    }

    fn enforce(&self, target: TargetId, ticket: &Arc<Ticket>, answered: bool) -> bool {
        ticket.seat().is_some()
            && self.hub.ask(Deed::Enforce {
                target,
                ticket: Arc::clone(ticket),
                answered,
            })
    }

    fn tell_slow(&self, _: TargetId, ticket: &Arc<Ticket>, slow: Slow) {
        self.hub.ask(Deed::TellSlow {
            ticket: Arc::clone(ticket),
            slow: Box::new(slow),
        });
    }

    fn health(&self) -> Health {
        let Some(standing) = self.supervisor().map(|supervisor| supervisor.standing()) else {
            let replacements = self.options.replacements;
            return Health {
                workers_max: 0,
                lost: replacements,
                replacements,
                starting: false,
                held_for: None,
            };
        };
        let Standing {
            wanted,
            ready,
            deaths,
            replacements,
            ..
        } = standing;
        Health {
            workers_max: wanted,
            // No more than would say that none can come back: others always do.
            lost: deaths.min(replacements),
            replacements,
            starting: ready == 0,
            held_for: None,
        }
    }

    fn roster(&self) -> Roster {
        let (sender, receiver) = sync_channel(1);
        self.hub.ask(Deed::Roster(sender));
        // The thread waits for nobody, and is only looked for again where the system has no processor for it.
        let roster = receiver.recv_timeout(LOOK_AROUND);
        // For the next time.
        self.hub.ask(Deed::Figures(None));
        roster.unwrap_or_else(|_| Roster {
            jobs: 0,
            has_gil: true,
            members: Vec::new(),
            loops: Vec::new(),
        })
    }

    fn stacks(&self) -> oneshot::Receiver<Vec<Stack>> {
        let (sender, receiver) = oneshot::channel();
        self.hub.ask(Deed::Stacks(sender));
        receiver
    }

    fn ask_figures(&self) -> Receiver<Figures> {
        let (sender, receiver) = sync_channel(1);
        self.hub.ask(Deed::Figures(Some(sender)));
        receiver
    }

    fn facts(&self) -> Facts {
        let mut facts = self.board.lock().facts.clone();
        facts.switch_interval = self.options.switch_interval;
        facts.venv.clone_from(&self.options.venv);
        facts
    }

    fn examine(&self) -> Result<String, LoadError> {
        self.wait(Deed::Examine)
    }

    fn reload(
        &self,
        inits: Vec<String>,
        accept: Accept,
    ) -> oneshot::Receiver<Result<(), LoadError>> {
        let (sender, receiver) = oneshot::channel();
        let supervisor = self.supervisor();
        self.runtime.spawn(async move {
            let done = match supervisor {
                Some(supervisor) => supervisor
                    .reload(inits, accept)
                    .await
                    .map_err(LoadError::from),
                None => Err(ended()),
            };
            // Fails where nobody waits any more.
            drop(sender.send(done));
        });
        receiver
    }

    fn keep(&self, kept: Box<dyn Any + Send>) {
        // Behind what was logged before the answer, which is there by now.
        self.lines.later(move || drop(kept));
    }

    fn shut_down(&self, limits: ExitLimits, done: Box<dyn FnOnce(ExitReport) + Send>) -> bool {
        let taken = self
            .supervisor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(supervisor) = taken else {
            return false;
        };
        self.hub.close();
        let (board, lines) = (Arc::clone(&self.board), self.lines.clone());
        let runtime = self.runtime.clone();
        // On a thread of its own, since that of the processes ends with the last of them.
        let ends = move || {
            runtime.block_on(async move {
                supervisor.close(limits).await;
                let report = std::mem::take(&mut board.lock().report);
                lines.last(Box::new(move || done(report))).await;
            });
        };
        thread::Builder::new()
            .name("httpy-shutdown".to_owned())
            .spawn(ends)
            .is_ok()
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // The supervisor ends with its last owner.
        self.hub.close();
    }
}

impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processes")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
