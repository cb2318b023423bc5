//! `AppConfig`: one handler's engine and service as data, for an app of this process and for a server in a process of its
//! own.

use std::ops::{Deref, DerefMut, RangeInclusive};
use std::time::Duration;

use httpy::{
    Config, EngineConfig, Error, Executor, PyEngine, PyEngineBuilder, PyRoutes, PyService,
};
use httpy::{ServiceOptions, Threads};
use serde::{Deserialize, Serialize};

use crate::executor;

/// A time that no test comes to the end of.
pub const LIMIT: Duration = Duration::from_secs(3600);

/// What a target is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// A handler.
    Handler,
    /// An ASGI application.
    Asgi,
    /// A WSGI application.
    Wsgi,
}

/// The options of one app. What it does not have itself are those of its engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppConfig {
    /// The handler, or the application.
    pub target: String,
    /// What that is.
    pub kind: Kind,
    /// The init function.
    pub init: Option<String>,
    /// Options of the handler's service.
    pub service: ServiceOptions,
    /// Options of the engine.
    pub engine: EngineConfig,
}

impl Deref for AppConfig {
    type Target = EngineConfig;

    fn deref(&self) -> &EngineConfig {
        &self.engine
    }
}

impl DerefMut for AppConfig {
    fn deref_mut(&mut self) -> &mut EngineConfig {
        &mut self.engine
    }
}

impl AppConfig {
    /// The default options, over the executor of the day, but with time limits that a busy machine does not miss.
    pub fn new(target: String) -> Self {
        let mut engine = EngineConfig::default();
        engine.executor = executor::chosen();
        let mut service = ServiceOptions::default();
        for time in [
            &mut service.deadline,
            &mut service.body_timeout,
            &mut service.chunk_timeout,
            &mut service.abandon_after,
        ] {
            *time = Some(LIMIT);
        }
        Self {
            target,
            kind: Kind::Handler,
            init: None,
            service,
            engine,
        }
    }

    /// The options of threads, in place of the processes that there may have been.
    pub fn threads(&mut self) -> &mut Threads {
        if let Executor::Processes(_) = self.engine.executor {
            self.engine.executor = Executor::threads().into();
        }
        match &mut self.engine.executor {
            Executor::Threads(threads) => threads,
            other => unreachable!("{other:?}"),
        }
    }

    /// Minimum and maximum number of worker threads.
    pub fn workers(&mut self, workers: RangeInclusive<usize>) {
        self.threads().workers = workers.into();
    }

    /// Starts the engine, and loads the handler and its routes.
    ///
    /// # Errors
    ///
    /// When either fails.
    pub fn build(
        self,
        options: impl FnOnce(PyEngineBuilder) -> PyEngineBuilder,
    ) -> Result<Built, Error> {
        let mut config = Config::default();
        config.engine = self.engine;
        config.defaults = self.service;
        let engine = options(config.into()).build()?;
        let service = match self.kind {
            Kind::Handler => engine.handler(&self.target)?,
            Kind::Asgi => engine.asgi(&self.target)?,
            Kind::Wsgi => engine.wsgi(&self.target)?,
        };
        let routes = self.init.map(|init| engine.routes(init, &self.target));
        Ok(Built {
            routes: routes.transpose()?,
            engine,
            service,
        })
    }
}

/// An engine with one handler.
#[derive(Clone, Debug)]
pub struct Built {
    /// The engine.
    pub engine: PyEngine,
    /// The handler for any path.
    pub service: PyService,
    /// The routes of the init function, where there is one.
    pub routes: Option<PyRoutes>,
}
