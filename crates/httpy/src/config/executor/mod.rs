//! `Executor`: what runs Python code, as an option.

mod processes;
mod threads;

use std::fmt;

use serde::de::{self, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

pub use self::processes::Processes;
pub use self::threads::{Threads, Workers};

/// What runs Python code, with its own options.
///
/// Services, routes, contract, deadlines, streams and errors are the same with either.
///
/// ```
/// use httpy::Executor;
///
/// let four: Executor = Executor::processes(4).max_requests(100_000).into();
/// let read: Executor =
///     serde_json::from_str(r#"{"processes": {"count": 4, "max_requests": 100000}}"#).unwrap();
/// assert_eq!(read, four);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Executor {
    /// Threads of this process, which is linked with libpython. All engines of the process share the interpreter. Needs the
    /// feature `embed`.
    Threads(Threads),
    /// Processes of the engine's own. Needs the feature `processes`.
    Processes(Processes),
}

impl<'de> Deserialize<'de> for Executor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Executor;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`threads` or `processes`, as a word or as a table of its options")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Executor, E> {
                match word {
                    "threads" => Ok(Executor::threads().into()),
                    "processes" => Ok(Processes::default().into()),
                    other => Err(E::invalid_value(Unexpected::Str(other), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Executor, A::Error> {
                let executor = match table.next_key::<String>()?.as_deref() {
                    Some("threads") => table.next_value::<Threads>()?.into(),
                    Some("processes") => table.next_value::<Processes>()?.into(),
                    other => {
                        let found = other.unwrap_or("an empty table");
                        return Err(de::Error::invalid_value(Unexpected::Str(found), &self));
                    }
                };
                match table.next_key::<String>()? {
                    None => Ok(executor),
                    Some(_) => Err(de::Error::custom(
                        "executor: expected one of two, found both",
                    )),
                }
            }
        }

        from.deserialize_any(Reader)
    }
}

impl Executor {
    /// Threads of this process: the fastest way for handlers that are quick or that wait.
    pub fn threads() -> Threads {
        Threads::default()
    }

    /// `count` processes, each with an interpreter: handlers that compute use as many processors, and a crash of one ends
    /// only the calls that it was in. Any Python will do, with libpython or without. A call takes about twice as long to get
    /// there and back as with threads.
    ///
    /// [`build`](crate::PyEngineBuilder::build) starts the workers, with the environment of this process. They close
    /// descriptors that they inherit from it (on Linux with `/proc`), and end with it, however it ends. What they print goes
    /// to the log, line by line.
    pub fn processes(count: usize) -> Processes {
        Processes {
            count,
            ..Processes::default()
        }
    }
}

impl Executor {
    /// What is wrong with its options.
    pub(crate) fn rules(&self) -> Vec<(bool, String)> {
        match self {
            Self::Threads(threads) => threads.rules(),
            Self::Processes(processes) => processes.rules(),
        }
    }

    /// Whether files are watched for it.
    #[cfg(feature = "processes")]
    pub(crate) const fn reloads_on_change(&self) -> bool {
        matches!(self, Self::Processes(processes) if processes.reload_on_change)
    }
}

impl Default for Executor {
    /// Threads; processes, one per processor, where httpy was built without the feature `embed`.
    fn default() -> Self {
        if cfg!(feature = "embed") {
            Threads::default().into()
        } else {
            Processes::default().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::EngineConfig;

    #[test]
    fn the_default_number_of_threads_is_one_that_native_libraries_bear() {
        let replacements = EngineConfig::default().advanced.replacements;
        assert!(Workers::default().max + replacements < 128);
    }

    #[test]
    fn it_is_written_as_the_table_of_its_options() {
        for text in [r#"{"threads": {}}"#, r#""threads""#] {
            let executor: Executor = serde_json::from_str(text).unwrap();
            assert_eq!(executor, Executor::threads().into());
        }
        for text in ["{}", r#"{"threads": {}, "processes": {}}"#, "4"] {
            serde_json::from_str::<Executor>(text).unwrap_err();
        }
        let executor: Executor =
            serde_json::from_str(r#"{"processes": {"count": 2, "max_age": "1h"}}"#).unwrap();
        assert_eq!(
            executor,
            Executor::processes(2)
                .max_age(Duration::from_secs(3600))
                .into()
        );
        serde_json::from_str::<Executor>(r#"{"processes": {"cuont": 2}}"#).unwrap_err();
    }

    #[test]
    fn what_could_not_work_is_told() {
        let broken = |processes: Processes| {
            Executor::from(processes)
                .rules()
                .into_iter()
                .filter(|(broken, _)| *broken)
                .count()
        };
        assert_eq!(
            broken(Executor::processes(2)),
            usize::from(cfg!(not(feature = "processes")))
        );
        for wrong in [
            Executor::processes(0),
            Executor::processes(2).threads(0),
            Executor::processes(2).max_requests(0),
            Executor::processes(2).start_limit(Duration::ZERO),
            Executor::processes(2).max_rss(1000),
            Executor::processes(2).max_age(Duration::ZERO),
        ] {
            assert_eq!(
                broken(wrong),
                1 + usize::from(cfg!(not(feature = "processes")))
            );
        }
    }
}
