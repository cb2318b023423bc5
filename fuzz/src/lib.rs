//! What the targets share: one engine in the process, and a runtime to ask it on.

use std::future::Future;

use httpy::{PyEngine, PyService};
use tokio::runtime::{Builder, Runtime};

/// An engine whose handlers are functions of `grammar.py` and `twin.py`.
#[derive(Debug)]
pub struct Fixture {
    /// The engine.
    pub engine: PyEngine,
    runtime: Runtime,
}

impl Fixture {
    /// Starts Python.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn new() -> Self {
        let engine = builder().build().unwrap_or_else(|error| panic!("the engine does not build: {error:?}"));
        let runtime = Builder::new_current_thread().enable_time().build().unwrap_or_else(|error| panic!("{error}"));
        Self { engine, runtime }
    }

    /// The function `target` as a service.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn handler(&self, target: &str) -> PyService {
        self.engine.handler(target).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Waits for `future`.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

/// An engine like the fixture's, not built yet.
pub fn builder() -> httpy::PyEngineBuilder {
    PyEngine::builder().path(concat!(env!("CARGO_MANIFEST_DIR"), "/python")).path(httpy_tests::twin::FOLDER)
}
