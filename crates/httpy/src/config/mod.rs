//! `Config`: all options of an engine and its services as data.

mod engine;
mod executor;
pub(crate) mod read;
mod service;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::engine::{Advanced, EngineConfig, OnFull};
pub use self::executor::{Executor, Processes, Threads, Workers};
pub(crate) use self::service::Limits;
pub use self::service::{ServiceConfig, ServiceOptions};
use crate::Error;
use crate::error::Kind;

pub(crate) const MIB: usize = 1024 * 1024;
/// A moment further away does not exist on every clock.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The options of an engine and of its services, to be read from a file with serde.
///
/// A builder is made of it, to which the host may add what only code can say, such as
/// [`extra`](crate::PyEngineBuilder::extra). [`PyEngine::service`](crate::PyEngine::service) gives a service that is named here.
/// Durations are text, sizes are bytes. Everything but a service's `handler` may be left out; a name that does not exist is an
/// error.
///
/// In TOML:
///
/// ```toml
/// [engine]
/// path = ["python"]
/// executor = { processes = { count = 4 } }
///
/// [defaults]                       # of all services
/// deadline = "10s"
///
/// [services.shop]
/// handler = "shop:handle"
/// init = "shop:startup"            # its routes are matched by the service
///
/// [services.report]
/// handler = "report:render"
/// deadline = "1m 30s"
/// limit = 2
/// ```
///
/// The same in JSON:
///
/// ```
/// use httpy::Config;
/// use std::time::Duration;
///
/// let text = r#"{
///     "engine": {"path": ["python"], "executor": {"processes": {"count": 4}}},
///     "defaults": {"deadline": "10s"},
///     "services": {
///         "shop": {"handler": "shop:handle", "init": "shop:startup"},
///         "report": {"handler": "report:render", "deadline": "1m 30s", "limit": 2}
///     }
/// }"#;
/// let config: Config = serde_json::from_str(text).unwrap();
/// assert_eq!(config.services["report"].options.deadline, Some(Duration::from_secs(90)));
///
/// let error = serde_json::from_str::<Config>(r#"{"defaults": {"deadline": 10}}"#).unwrap_err();
/// assert!(error.to_string().contains(r#"expected a duration such as "30s""#));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "tables `engine`, `defaults` and `services`"
)]
#[non_exhaustive]
pub struct Config {
    /// The engine's options.
    pub engine: EngineConfig,
    /// Options of services that do not say otherwise.
    pub defaults: ServiceOptions,
    /// The services by name.
    pub services: BTreeMap<String, ServiceConfig>,
}

impl Config {
    /// Every option and every combination that can be judged before Python starts.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let budget = self.engine.body_budget;
        let mut problems = self.engine.problems();
        problems.extend(self.defaults.problems(budget));
        for (name, service) in &self.services {
            let mut options = service.options.clone().or(&self.defaults);
            // That of the defaults is cut to the deadline of this service.
            options.max_wait = service.options.max_wait;
            for problem in options.problems(budget) {
                // Those of the defaults are known.
                if !problems.contains(&problem) {
                    problems.push(format!("services.{name}: {problem}"));
                }
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::new(Kind::Config, problems.join("; ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Executor;

    #[test]
    fn what_is_left_out_has_its_default() {
        let config: Config = serde_json::from_str("{}").unwrap();
        assert_eq!(config, Config::default());
        config.check().unwrap();
    }

    #[test]
    fn it_is_read_from_data_and_written_as_it_was_read() {
        let text = r#"{
            "engine": {"executor": {"threads": {"workers": {"max": 8}}}, "on_full": "wait"},
            "defaults": {"deadline": "1500ms"},
            "services": {"shop": {"handler": "shop:handle", "max_wait": "1s"}}
        }"#;
        let config: Config = serde_json::from_str(text).unwrap();
        assert_eq!(config.defaults.deadline, Some(Duration::from_millis(1500)));
        assert_eq!(
            config.engine.executor,
            Executor::threads().workers(1..=8).into()
        );
        assert_eq!(config.engine.on_full, OnFull::Wait);
        let shop = &config.services["shop"];
        assert_eq!((shop.handler.as_str(), &shop.init), ("shop:handle", &None));
        let again: Config = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn values_of_variables_are_not_shown() {
        let text = r#"{"engine": {"env": {"TOKEN": "hidden"}}}"#;
        let config: Config = serde_json::from_str(text).unwrap();
        let shown = format!("{config:?}");
        assert!(
            shown.contains("TOKEN") && !shown.contains("hidden"),
            "{shown}"
        );
    }

    #[test]
    fn a_variable_that_the_system_does_not_take_is_an_error_that_names_it() {
        for name in ["", "A=B", "A\0"] {
            let mut config = Config::default();
            config
                .engine
                .env
                .insert(name.to_owned(), "value".to_owned());
            let error = config.check().unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("env: {name:?}: ")),
                "{error}"
            );
        }
    }

    #[test]
    fn an_error_says_what_to_write() {
        let table = [
            (
                r#"{"engine": {"deadline": "1s"}}"#,
                "unknown field `deadline`",
            ),
            (
                r#"{"engine": {"queue": "many"}}"#,
                "expected a whole number such as 1024",
            ),
            (
                r#"{"engine": {"queue": -1}}"#,
                "expected a whole number such as 1024",
            ),
            (
                r#"{"engine": {"grace": 30}}"#,
                "expected a duration such as \"30s\"",
            ),
            (
                r#"{"engine": {"grace": "thirty"}}"#,
                "string \"thirty\", expected a duration such as \"30s\"",
            ),
            (
                r#"{"engine": {"on_full": "drop"}}"#,
                "expected `refuse` or `wait`",
            ),
            (
                r#"{"engine": 1}"#,
                "expected a table of an engine's options",
            ),
            (
                r#"{"engine": {"executor": "fibres"}}"#,
                "expected `threads` or `processes`",
            ),
            (r#"{"services": {"shop": {}}}"#, "missing field `handler`"),
            (
                r#"{"services": {"shop": {"handler": 1}}}"#,
                "expected a target such as \"shop:handle\"",
            ),
            (
                r#"{"services": {"shop": {"handler": "s:h", "dedline": "1s"}}}"#,
                "unknown field `dedline`",
            ),
            (
                r#"{"services": {"shop": {"handler": "s:h", "deadline": 1}}}"#,
                "expected a duration such as \"30s\"",
            ),
        ];
        for (text, expected) in table {
            let error = serde_json::from_str::<Config>(text)
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{text}: {error}");
            for rust in ["usize", "u64", "struct", "Option", "enum"] {
                assert!(!error.contains(rust), "{text}: {error}");
            }
        }
    }

    #[test]
    fn contradictions_are_errors_with_both_numbers_and_all_at_once() {
        let text = r#"{
            "engine": {"executor": {"threads": {"workers": {"min": 9, "max": 3}}}, "path": ["/no/such/folder"]},
            "services": {"shop": {"handler": "s:h", "max_wait": "40s"}}
        }"#;
        let error = serde_json::from_str::<Config>(text)
            .unwrap()
            .check()
            .unwrap_err();
        assert!(error.is_config());
        assert_eq!(
            error.to_string(),
            "workers: at least 9 and at most 3 contradict each other; path: /no/such/folder is not a folder; \
             services.shop: max_wait: 40s is longer than the deadline of 30s"
        );
    }
}
