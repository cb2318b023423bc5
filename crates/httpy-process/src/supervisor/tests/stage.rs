//! A supervisor with a stage in place of the dispatch: it takes the orders, and says what came.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use httpy_core::frame::{Batch, Command, Question};
use httpy_core::{ExitLimits, Kind, Notice, ProcessNotice};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{mpsc, oneshot, watch};

use super::super::{Setup, Supervisor};
use crate::failure::Failure;
use crate::handover::{Ended, Handlers, Order, Reason, Started, Tally, WorkerId};
use crate::handshake::{Patience, Routes};
use crate::line::Lines;
use crate::options::ProcessOptions;

const SCRIPTED: &str = include_str!("scripted.py");

/// Nothing is judged by this: it ends a test that would wait for ever.
const FOR_EVER: Duration = Duration::from_secs(120);

/// What a test sees.
pub(super) struct Stage {
    pub(super) folder: TempDir,
    pub(super) supervisor: Supervisor,
    up: Option<oneshot::Receiver<Result<(), Failure>>>,
    seen: mpsc::Receiver<Seen>,
    played: mpsc::Sender<Play>,
    notices: watch::Receiver<Vec<ProcessNotice>>,
}

/// What the supervisor has ordered.
#[derive(Debug)]
pub(super) enum Seen {
    Added(Actor),
    Stopped(WorkerId),
    ShutDown(WorkerId, ExitLimits),
    Gone(WorkerId),
}

/// A worker that has jobs.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    pub(super) id: WorkerId,
    pub(super) number: usize,
    pub(super) pid: u32,
    pub(super) tally: Arc<Tally>,
}

/// What a test has the dispatch do.
enum Play {
    Tell(WorkerId, Vec<u8>),
    End(WorkerId, Ended),
}

/// An interpreter that is there: the one that everything else is tested with.
pub(super) fn python() -> &'static Path {
    static PYTHON: LazyLock<std::path::PathBuf> = LazyLock::new(|| {
        std::env::var_os("PYO3_PYTHON").map_or_else(|| "python3".into(), Into::into)
    });
    &PYTHON
}

pub(super) fn options() -> ProcessOptions {
    ProcessOptions {
        python: Some(python().to_owned()),
        venv: None,
        paths: Vec::new(),
        variables: Vec::new(),
        working_dir: None,
        processes: 1,
        threads: 4,
        in_flight: 100,
        uvloop: false,
        switch_interval: Duration::from_millis(5),
        logging: true,
        debug: false,
        lost_after: Duration::from_secs(5),
        loop_blocked_after: Duration::from_secs(1),
        replacements: 1000,
        start_limit: Duration::from_secs(3600),
        max_requests: None,
        max_rss: None,
        max_age: None,
    }
}

/// A program of `scripted.py` and these lines.
pub(super) fn scripted(lines: &str) -> &'static str {
    format!("{SCRIPTED}\n{lines}").leak()
}

impl Stage {
    /// With workers that run `program`, in a folder that is in `sys.path`.
    pub(super) fn new(
        change: impl FnOnce(&mut ProcessOptions),
        set: impl FnOnce(&mut Setup, &Path),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options();
        options.paths = vec![folder.path().to_owned()];
        change(&mut options);
        let (told, notices) = watch::channel(Vec::new());
        let lines = Lines::start(move |notice| {
            let Notice::Process(notice) = notice else {
                panic!("{notice:?}")
            };
            told.send_modify(|notices| notices.push(notice.clone()));
        })
        .unwrap();
        let (orders, ordered) = mpsc::channel(16);
        let (sees, seen) = mpsc::channel(4096);
        let (played, plays) = mpsc::channel(16);
        tokio::spawn(perform(ordered, plays, sees));
        let mut setup = Setup::new(
            Arc::new(options),
            Arc::new(Handlers::default()),
            lines,
            orders,
        );
        // However busy the machine is, no worker dies of being slow.
        setup.patience = Patience {
            hello: FOR_EVER,
            ready: FOR_EVER,
            slow: FOR_EVER,
        };
        set(&mut setup, folder.path());
        let (supervisor, up) = Supervisor::start(setup).unwrap();
        Self {
            folder,
            supervisor,
            up: Some(up),
            seen,
            played,
            notices,
        }
    }

    /// With scripted workers.
    pub(super) fn scripted(program: &str) -> Self {
        Self::new(|_| {}, |setup, _| setup.program = scripted(program))
    }

    /// Why the first workers have not come up.
    pub(super) async fn failure(&mut self) -> String {
        self.up().await.unwrap_err().to_string()
    }

    pub(super) async fn up(&mut self) -> Result<(), Failure> {
        soon(self.up.take().unwrap()).await.unwrap()
    }

    /// A reload whose routes are accepted, and what they are.
    pub(super) async fn reload(&self, init: Option<&str>) -> Result<Routes, Failure> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let accept = move |routes| -> Result<httpy_core::Swapped, String> {
            sender.send(routes).map_err(|error| error.to_string())?;
            Ok(Box::new(|| {}))
        };
        self.supervisor
            .reload(
                init.map(str::to_owned).into_iter().collect(),
                Box::new(accept),
            )
            .await?;
        let all: Vec<httpy_core::InitRoutes> =
            receiver.try_recv().expect("`accept` was not called");
        Ok(all.into_iter().flat_map(|(_, routes)| routes).collect())
    }

    pub(super) async fn next(&mut self) -> Seen {
        soon(self.seen.recv())
            .await
            .expect("the dispatch has ended")
    }

    /// The next worker that gets jobs; what else comes is passed over.
    pub(super) async fn added(&mut self) -> Actor {
        loop {
            if let Seen::Added(actor) = self.next().await {
                return actor;
            }
        }
    }

    pub(super) async fn gone(&mut self, id: WorkerId) {
        while !matches!(self.next().await, Seen::Gone(gone) if gone == id) {}
    }

    /// Until the supervisor has no processes and has ended, with all orders since the last look.
    pub(super) async fn ended(self) -> Vec<Seen> {
        let Self {
            supervisor,
            mut seen,
            ..
        } = self;
        drop(supervisor);
        let mut rest = Vec::new();
        while let Some(seen) = soon(seen.recv()).await {
            rest.push(seen);
        }
        rest
    }

    /// Has the worker import `module`.
    pub(super) async fn import(&self, id: WorkerId, module: &str) {
        self.tell(
            id,
            &Command::Ask {
                seq: 7,
                question: Question::Load(Kind::Handler, &format!("{module}:handle")),
            },
        )
        .await;
    }

    pub(super) async fn tell(&self, id: WorkerId, command: &Command<'_>) {
        self.played
            .send(Play::Tell(id, bytes(command)))
            .await
            .unwrap();
    }

    pub(super) async fn end(&self, id: WorkerId, ended: Ended) {
        self.played.send(Play::End(id, ended)).await.unwrap();
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// The first notice of this kind, as soon as it is there.
    pub(super) async fn notice(&mut self, is_it: impl Fn(&ProcessNotice) -> bool) -> ProcessNotice {
        let notices = soon(self.notices.wait_for(|notices| notices.iter().any(&is_it)))
            .await
            .unwrap();
        notices
            .iter()
            .find(|notice| is_it(notice))
            .cloned()
            .unwrap()
    }

    pub(super) async fn died(&mut self) -> String {
        self.notice(|notice| matches!(notice, ProcessNotice::Died { .. }))
            .await
            .to_string()
    }

    pub(super) fn notices(&self) -> Vec<ProcessNotice> {
        self.notices.borrow().clone()
    }
}

impl Actor {
    pub(super) fn kill(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    /// As if it had answered so many calls.
    pub(super) fn answers(&self, answered: u64) {
        self.tally.answered.store(answered, Ordering::Relaxed);
        self.tally.look();
    }
}

/// Ends a test that would wait for ever.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(FOR_EVER, future)
        .await
        .expect("it never came")
}

fn bytes(command: &Command<'_>) -> Vec<u8> {
    let mut batch = Batch::new();
    batch.add(|writer| command.write(writer)).unwrap();
    batch.take()
}

struct Live {
    control: OwnedWriteHalf,
    end: Option<oneshot::Sender<Ended>>,
}

/// What the dispatch does: it tells workers to end, and says when their control sockets have.
async fn perform(
    mut ordered: mpsc::Receiver<Order>,
    mut plays: mpsc::Receiver<Play>,
    sees: mpsc::Sender<Seen>,
) {
    let mut live: HashMap<WorkerId, Live> = HashMap::new();
    let (closes, mut closed) = mpsc::channel(16);
    loop {
        let seen = tokio::select! {
            order = ordered.recv() => match order {
                None => return,
                Some(Order::Add(started)) => {
                    let (actor, worker) = take_in(*started, closes.clone());
                    live.insert(actor.id, worker);
                    Seen::Added(actor)
                }
                Some(Order::Stop(id)) => {
                    tell(&mut live, id, &bytes(&Command::Stop)).await;
                    Seen::Stopped(id)
                }
                Some(Order::ShutDown(id, limits)) => {
                    let question = Question::ShutDown(limits);
                    tell(&mut live, id, &bytes(&Command::Ask { seq: 8, question })).await;
                    Seen::ShutDown(id, limits)
                }
                Some(Order::Gone(id)) => {
                    end(&mut live, id, Ended { reason: Reason::Closed, running: Vec::new() });
                    live.remove(&id);
                    Seen::Gone(id)
                }
            },
            Some(id) = closed.recv() => {
                end(&mut live, id, Ended { reason: Reason::Closed, running: Vec::new() });
                continue;
            }
            Some(play) = plays.recv() => {
                match play {
                    Play::Tell(id, bytes) => tell(&mut live, id, &bytes).await,
                    Play::End(id, ended) => end(&mut live, id, ended),
                }
                continue;
            }
        };
        // A test that has seen enough does not look.
        drop(sees.try_send(seen));
    }
}

fn take_in(started: Started, closes: mpsc::Sender<WorkerId>) -> (Actor, Live) {
    let Started {
        id,
        number,
        pid,
        tally,
        ended,
        control,
        sync,
        asynchronous,
        ..
    } = started;
    let (mut reader, writer) = control.into_split();
    tokio::spawn(async move {
        let _lanes = (sync, asynchronous);
        let mut rest = [0; 4096];
        while let Ok(1..) = reader.read(&mut rest).await {}
        let _ = closes.send(id).await;
    });
    (
        Actor {
            id,
            number,
            pid,
            tally,
        },
        Live {
            control: writer,
            end: Some(ended),
        },
    )
}

async fn tell(live: &mut HashMap<WorkerId, Live>, id: WorkerId, bytes: &[u8]) {
    // It may have ended just now.
    if let Some(worker) = live.get_mut(&id) {
        drop(worker.control.write_all(bytes).await);
    }
}

fn end(live: &mut HashMap<WorkerId, Live>, id: WorkerId, ended: Ended) {
    if let Some(end) = live.get_mut(&id).and_then(|worker| worker.end.take()) {
        drop(end.send(ended));
    }
}
