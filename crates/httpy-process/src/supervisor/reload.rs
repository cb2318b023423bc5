//! A reload: a whole new generation of workers, its init functions, and the swap. At any failure the old workers go on.
//!
//! The init functions run in one worker of the generation, as they do in one at the start: their routes are those of all.
//! Each worker imports the handlers' modules, and one that takes the place of another does no more than that.

use std::time::Instant;

use httpy_core::frame::LogRecord;
use httpy_core::{Accept, InitRoutes, LoadError, LoadErrorKind};
use tokio::sync::oneshot;

use super::driver::{Driver, Occasion, closed};
use super::lock;
use super::tend::Up;
use crate::failure::Failure;
use crate::handover::WorkerId;
use crate::handshake::{Newcomer, Patience, Problem};

/// A reload that was asked for, or is under way.
#[derive(Default)]
pub(super) struct Reload {
    pub(super) inits: Vec<String>,
    /// Those who have a say in the routes.
    pub(super) accepts: Vec<Accept>,
    pub(super) answers: Vec<oneshot::Sender<Result<(), Failure>>>,
}

/// What has become of a new generation's init functions.
pub(super) struct Initialised {
    id: WorkerId,
    up: Box<Up>,
    result: Result<Vec<InitRoutes>, Problem>,
}

/// The routes of each init function.
async fn run_all(
    newcomer: &mut Newcomer,
    inits: &[String],
    patience: Patience,
    log: &impl Fn(LogRecord),
) -> Result<Vec<InitRoutes>, Problem> {
    let mut all = Vec::with_capacity(inits.len());
    for target in inits {
        let routes = newcomer.run_init(target, patience, log).await?;
        all.push((target.clone(), routes));
    }
    Ok(all)
}

impl Driver {
    /// Begins the next reload, where one was asked for and the time has come.
    pub(super) async fn begin_reload(&mut self) {
        // The first workers come first.
        let waits = self.reload.is_some() || self.up.is_some() || self.closing.is_some();
        if waits || self.next_reload.answers.is_empty() {
            return;
        }
        self.reload = Some(std::mem::take(&mut self.next_reload));
        let actions = lock(&self.state).reload(Instant::now());
        self.perform(actions, Occasion::Reload).await;
    }

    /// All of the new generation are ready, and `first` is to run their init functions.
    pub(super) async fn complete(&mut self, first: WorkerId) {
        let inits = self.reload.as_ref().map(|reload| reload.inits.clone());
        let Some(inits) = inits.filter(|inits| !inits.is_empty()) else {
            return self.swap(Vec::new()).await;
        };
        let Some(kept) = self.workers.get_mut(&first) else {
            return;
        };
        let Some(mut up) = kept.up.take() else { return };
        let (lines, done, patience) = (
            self.setup.lines.clone(),
            self.initialised.0.clone(),
            self.setup.patience,
        );
        tokio::spawn(async move {
            let log = |record: LogRecord| lines.log(record.record, None);
            let result = run_all(&mut up.newcomer, &inits, patience, &log).await;
            drop(
                done.send(Initialised {
                    id: first,
                    up,
                    result,
                })
                .await,
            );
        });
    }

    pub(super) async fn initialised(&mut self, Initialised { id, up, result }: Initialised) {
        // It may have died meanwhile, and the reload with it.
        let Some(kept) = self.workers.get_mut(&id).filter(|kept| kept.kill.is_some()) else {
            return;
        };
        kept.up = Some(up);
        match result {
            Ok(routes) => self.swap(routes).await,
            // It mostly ends in this moment, and how it does is what there is to say.
            Err(Problem::Closed) => kept.kill = None,
            Err(Problem::Load(error)) => self.fail_reload(&Failure::Load(error)).await,
            Err(Problem::Other(problem)) => self.fail_reload(&Failure::Process(problem)).await,
        }
    }

    async fn swap(&mut self, routes: Vec<InitRoutes>) {
        let accepts = self
            .reload
            .as_mut()
            .map(|reload| std::mem::take(&mut reload.accepts))
            .unwrap_or_default();
        let mut swapped = Vec::new();
        for accept in accepts {
            match accept(routes.clone()) {
                Ok(follows) => swapped.push(follows),
                Err(message) => {
                    let error = LoadError {
                        kind: LoadErrorKind::Reload,
                        message,
                        exception: None,
                    };
                    return self.fail_reload(&Failure::Load(error)).await;
                }
            }
        }
        let actions = lock(&self.state).swap(Instant::now());
        self.perform(actions, Occasion::Reload).await;
        for follows in swapped {
            follows();
        }
        for answer in self
            .reload
            .take()
            .into_iter()
            .flat_map(|reload| reload.answers)
        {
            drop(answer.send(Ok(())));
        }
        Box::pin(self.begin_reload()).await;
    }

    /// The new generation goes, where there is one.
    pub(super) async fn fail_reload(&mut self, failure: &Failure) {
        let Some(reload) = self.reload.take() else {
            return;
        };
        let actions = lock(&self.state).abandon();
        self.perform(actions, Occasion::Reload).await;
        for answer in reload.answers {
            drop(answer.send(Err(failure.clone())));
        }
        Box::pin(self.begin_reload()).await;
    }

    /// There are no reloads any more.
    pub(super) async fn end_reloads(&mut self) {
        self.fail_reload(&closed()).await;
        for answer in std::mem::take(&mut self.next_reload).answers {
            drop(answer.send(Err(closed())));
        }
    }
}
