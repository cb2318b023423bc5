//! `Floor`: a dispatch that runs, and jobs for it.

use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Uri};
use httpy_core::{
    BodyMode, Call, Clocks, Content, Freight, Interface, Job, Kind, Lane, Late, Listener,
    LoadError, Notice, Outcome, Permits, Question, TargetId, Ticket, Upload,
};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::deed::Deed;
use crate::dispatch::Dispatch;
use crate::handover::{Ended, Handler, Handlers, Order, Started, Tally, WorkerId};
use crate::hub::Hub;
use crate::line::Lines;
use crate::options::ProcessOptions;

/// A dispatch on the runtime of a test.
pub(super) struct Floor {
    pub(super) hub: Arc<Hub>,
    pub(super) handlers: Arc<Handlers>,
    orders: mpsc::Sender<Order>,
    workers: u64,
}

/// What was logged for whichever test of this process. Tests look for what names their own handlers.
static HEARD: LazyLock<watch::Sender<Vec<String>>> =
    LazyLock::new(|| watch::Sender::new(Vec::new()));

/// What is logged with these words in it, some time.
pub(super) async fn told(words: &str) -> String {
    let with_words = |line: &&String| line.contains(words);
    let mut heard = HEARD.subscribe();
    let told = heard
        .wait_for(|lines| lines.iter().any(|line| with_words(&line)))
        .await
        .unwrap();
    told.iter().find(with_words).unwrap().clone()
}

/// What an app gives to its executor.
pub(super) const LISTENER: Listener = Listener {
    late,
    notice,
    exit: |_| {},
};

#[expect(clippy::needless_pass_by_value, reason = "it is what a listener is")]
pub(super) fn late(target: &str, late: Late) {
    HEARD.send_modify(|lines| lines.push(format!("{target}: {:?}", late.outcome)));
}

pub(super) fn notice(notice: &Notice) {
    HEARD.send_modify(|lines| lines.push(notice.to_string()));
}

/// The interpreter of the tests.
pub(super) fn python() -> PathBuf {
    std::env::var_os("PYO3_PYTHON").map_or_else(|| "python3".into(), PathBuf::from)
}

pub(crate) fn options() -> ProcessOptions {
    ProcessOptions {
        python: None,
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
        lost_after: Duration::from_secs(60),
        loop_blocked_after: Duration::from_secs(60),
        replacements: 1,
        start_limit: Duration::from_secs(3600),
        max_requests: None,
        max_rss: None,
        max_age: None,
    }
}

impl Floor {
    /// With handlers 0 (`str`), 1 (`bytes`), 2 (a stream) and 3 (`async def`).
    pub(super) fn new() -> Self {
        let floor = Self::empty(&options());
        for (index, name) in ["text", "binary", "stream", "async"].iter().enumerate() {
            floor.handlers.add(Handler {
                target: format!("app:{name}"),
                interface: interface(index),
            });
        }
        floor
    }

    pub(super) fn empty(options: &ProcessOptions) -> Self {
        let (hub, handlers) = (Arc::new(Hub::default()), Arc::new(Handlers::default()));
        let (orders, received) = mpsc::channel(8);
        let lines = Lines::start(notice).unwrap();
        let mut dispatch = Dispatch::new(
            options,
            Arc::clone(&hub),
            Arc::clone(&handlers),
            received,
            Arc::default(),
            lines,
            late,
        );
        tokio::spawn(poll_fn(move |context| dispatch.poll(context)));
        Self {
            hub,
            handlers,
            orders,
            workers: 0,
        }
    }

    /// Gives it a worker.
    pub(super) async fn add(
        &mut self,
        make: impl FnOnce(WorkerId, oneshot::Sender<Ended>, Arc<Tally>) -> Started,
    ) -> Added {
        self.workers += 1;
        let (id, (sender, ended), tally) = (
            WorkerId(self.workers),
            oneshot::channel(),
            Arc::new(Tally::default()),
        );
        let started = make(id, sender, Arc::clone(&tally));
        self.order(Order::Add(Box::new(started))).await;
        Added { id, ended, tally }
    }

    pub(super) async fn order(&self, order: Order) {
        self.orders.send(order).await.unwrap();
    }

    /// Has a handler loaded.
    pub(super) async fn load(&self, target: &str) -> Result<TargetId, LoadError> {
        let (sender, receiver) = sync_channel(1);
        assert!(
            self.hub
                .ask(Deed::Load(Kind::Handler, target.to_owned(), sender))
        );
        tokio::task::spawn_blocking(move || receiver.recv().unwrap())
            .await
            .unwrap()
    }

    pub(super) fn push(&self, asked: Asked) -> Question {
        let (job, question) = asked.job();
        self.hub.push(job).unwrap();
        question
    }

    /// Pushes a job, and waits for its outcome.
    pub(super) async fn call(&self, asked: Asked) -> Outcome {
        outcome(&self.push(asked)).await.expect("an answer")
    }

    pub(super) fn enforce(&self, question: &Question, target: TargetId, answered: bool) {
        let ticket = Arc::clone(question.ticket());
        ticket.set_gone(Instant::now());
        self.hub.ask(Deed::Enforce {
            target,
            ticket,
            answered,
        });
    }
}

/// What is known of a worker that was added.
pub(super) struct Added {
    pub(super) id: WorkerId,
    pub(super) ended: oneshot::Receiver<Ended>,
    pub(super) tally: Arc<Tally>,
}

pub(super) async fn outcome(question: &Question) -> Option<Outcome> {
    poll_fn(|context| question.poll(context)).await
}

/// What a call may take, which none does.
const MINUTE: Duration = Duration::from_secs(60);

/// That of a handler of [`Floor::new`].
fn interface(handler: usize) -> Interface {
    let (lane, body) = match handler {
        1 => (Lane::Worker, BodyMode::Bytes),
        2 => (Lane::Worker, BodyMode::Stream),
        3 => (Lane::EventLoop, BodyMode::Text),
        _ => (Lane::Worker, BodyMode::Text),
    };
    Interface {
        kind: Kind::Handler,
        lane,
        body,
    }
}

/// A call to be.
pub(super) struct Asked {
    target: TargetId,
    uri: Uri,
    body: Upload,
    timings: bool,
}

impl Asked {
    pub(super) fn of(handler: usize) -> Self {
        Self::target(TargetId {
            index: handler,
            interface: interface(handler),
        })
    }

    pub(super) fn target(target: TargetId) -> Self {
        let uri = Uri::from_static("/path?a=1&a=2");
        Self {
            target,
            uri,
            body: Upload::default(),
            timings: false,
        }
    }

    pub(super) fn body(self, body: impl Into<Bytes>) -> Self {
        Self {
            body: Upload::Whole(body.into()),
            ..self
        }
    }

    pub(super) fn upload(self, body: Upload) -> Self {
        Self { body, ..self }
    }

    pub(super) fn timed(self) -> Self {
        Self {
            timings: true,
            ..self
        }
    }

    pub(super) fn job(self) -> (Job, Question) {
        let mut call = Call::new(Method::POST, self.uri);
        call.query.push(b"a", b"1");
        call.query.push(b"a", b"2");
        let now = Instant::now();
        let freight = Freight {
            body: self.body,
            permits: Permits::default(),
        };
        let clocks = Clocks {
            deadline: now + MINUTE,
            chunk_timeout: MINUTE,
            abandon_after: MINUTE,
        };
        let (ticket, answer, question) = Ticket::issue(call, now, clocks, freight);
        if self.timings {
            ticket.want_timings();
        }
        let slot = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        (
            Job {
                target: self.target,
                ticket,
                answer,
                slot,
            },
            question,
        )
    }
}

/// Status and body of a reply; what else it is.
pub(super) fn reply(outcome: Outcome) -> Result<(u16, Bytes), String> {
    match outcome {
        Outcome::Returned(returned) => match returned.body {
            Content::Whole(whole) => Ok((returned.status.as_u16(), whole)),
            Content::Stream(_) => Err("a stream".to_owned()),
        },
        other => Err(format!("{other:?}")),
    }
}
