//! The line of the log that says what has been started.

use std::fmt;

use httpy_core::Facts;

use crate::{Config, Executor};

/// What runs here, in one line.
pub(super) struct Started<'a> {
    pub(super) config: &'a Config,
    pub(super) facts: &'a Facts,
    /// Number of routes of the init function.
    pub(super) routes: usize,
}

impl fmt::Display for Started<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            config,
            facts,
            routes,
        } = self;
        write!(f, "started {}: Python {}, ", config.target, facts.version)?;
        match &facts.venv {
            Some(venv) => write!(f, "virtual environment {}", venv.display())?,
            None => f.write_str("no virtual environment")?,
        }
        match (&config.init, routes) {
            (None, _) => {}
            (Some(_), 1) => f.write_str(", 1 route")?,
            (Some(_), routes) => write!(f, ", {routes} routes")?,
        }
        match &config.executor {
            Executor::Threads => {
                let workers = &config.workers;
                write!(f, ", {} to {} worker threads", workers.min, workers.max)
            }
            Executor::Processes(processes) => {
                let (count, threads) = (processes.count, processes.threads_per_process);
                let one = if count == 1 { "process" } else { "processes" };
                write!(f, ", {count} worker {one} of up to {threads} threads")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_names_target_python_environment_routes_and_workers() {
        let mut facts = Facts {
            version: "3.11.7".to_owned(),
            venv: None,
            executable: "/usr/bin/python3".into(),
            switch_interval: Duration::from_millis(1),
            library: None,
            warnings: Vec::new(),
        };
        let mut config = Config::new("worker:handle");
        config.executor = Executor::Threads;
        config.workers = (2..=9).into();
        let text = |config: &Config, facts: &Facts, routes| {
            let started = Started {
                config,
                facts,
                routes,
            };
            started.to_string()
        };
        assert_eq!(
            text(&config, &facts, 0),
            "started worker:handle: Python 3.11.7, no virtual environment, 2 to 9 worker threads"
        );
        facts.venv = Some("/srv/venv".into());
        config.init = Some("worker:init".to_owned());
        config.executor = Executor::processes(4).into();
        assert_eq!(
            text(&config, &facts, 3),
            "started worker:handle: Python 3.11.7, virtual environment /srv/venv, 3 routes, \
             4 worker processes of up to 16 threads"
        );
    }
}
