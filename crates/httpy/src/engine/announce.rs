//! The line of the log that says what has been started.

use std::fmt::{self, Debug};

use httpy_core::Facts;

use super::PyEngine;
use crate::{Executor, metric};

impl PyEngine {
    /// Logs what serves here, at `address` where that is known; once.
    pub(super) fn announce(&self, address: Option<&dyn Debug>) {
        if self.inner.announced.set(()).is_err() {
            return;
        }
        let loaded = self.inner.loaded();
        let started = Started {
            facts: &self.inner.shared.executor.facts(),
            targets: &loaded.targets,
            routes: loaded.routes,
            executor: &self.inner.config.engine.executor,
            address,
        };
        let started = started.to_string();
        drop(loaded);
        if !self.inner.shared.metrics && metric::is_recorded() {
            tracing::warn!(
                target: "httpy",
                "a recorder of metrics was installed after the engine was built, and gets no metrics: install it before"
            );
        }
        tracing::info!(target: "httpy", "{started}");
    }
}

/// What serves here, in one line.
struct Started<'a> {
    facts: &'a Facts,
    targets: &'a [String],
    routes: usize,
    executor: &'a Executor,
    address: Option<&'a dyn Debug>,
}

impl fmt::Display for Started<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("serving ")?;
        match self.targets {
            [] => f.write_str("no Python code")?,
            targets => f.write_str(&targets.join(", "))?,
        }
        if let Some(address) = self.address {
            write!(f, " on {address:?}")?;
        }
        write!(f, ": Python {}, ", self.facts.version)?;
        match &self.facts.venv {
            Some(venv) => write!(f, "virtual environment {}", venv.display())?,
            None => f.write_str("no virtual environment")?,
        }
        match self.routes {
            0 => {}
            1 => f.write_str(", 1 route")?,
            routes => write!(f, ", {routes} routes")?,
        }
        match self.executor {
            Executor::Threads(threads) => {
                let workers = threads.workers;
                write!(f, ", {} to {} worker threads", workers.min, workers.max)
            }
            Executor::Processes(processes) => {
                let (count, threads) = (processes.count, processes.threads);
                let one = if count == 1 { "process" } else { "processes" };
                write!(f, ", {count} worker {one} of up to {threads} threads")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_names_targets_address_python_environment_routes_and_workers() {
        let mut facts = Facts {
            version: "3.11.7".to_owned(),
            venv: None,
            executable: "/usr/bin/python3".into(),
            switch_interval: Duration::from_millis(1),
            library: None,
            warnings: Vec::new(),
        };
        let text = |facts: &Facts, targets: &[&str], routes, executor, address| {
            let started = Started {
                facts,
                targets: &targets
                    .iter()
                    .map(|&target| target.to_owned())
                    .collect::<Vec<_>>(),
                routes,
                executor: &executor,
                address,
            };
            started.to_string()
        };
        assert_eq!(
            text(
                &facts,
                &[],
                0,
                Executor::threads().workers(2..=9).into(),
                None
            ),
            "serving no Python code: Python 3.11.7, no virtual environment, 2 to 9 worker threads"
        );
        facts.venv = Some("/srv/venv".into());
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        let processes = Executor::processes(4).into();
        assert_eq!(
            text(
                &facts,
                &["worker:handle", "report:render"],
                3,
                processes,
                Some(&address)
            ),
            "serving worker:handle, report:render on 127.0.0.1:8080: Python 3.11.7, virtual environment /srv/venv, 3 routes, \
             4 worker processes of up to 16 threads"
        );
    }
}
