//! What workers answer, as plain data.

use std::time::Duration;

use httpy_core::Exception;
use httpy_core::frame::seconds;
use serde::Deserialize;

/// How an interpreter and its event loop are.
#[derive(Debug, Deserialize)]
pub(crate) struct Figures {
    allocated_blocks: u64,
    gc_pauses: Vec<Pause>,
    /// Calls on the event loop.
    calls: u64,
    /// How long the event loop took to come round; zero if there is none.
    #[serde(with = "seconds")]
    lag: Duration,
}

/// The generation of a run of the garbage collector, and how long it took.
#[derive(Debug, Deserialize)]
struct Pause(u32, #[serde(with = "seconds")] Duration);

impl Figures {
    /// What is counted of the interpreter, and the lag of its event loop, if it has one.
    pub(crate) fn split(self) -> (httpy_core::Figures, Option<Duration>) {
        let Self {
            allocated_blocks,
            gc_pauses,
            calls,
            lag,
        } = self;
        let gc_pauses = gc_pauses.into_iter();
        let figures = httpy_core::Figures {
            allocated_blocks,
            gc_pauses: gc_pauses
                .map(|Pause(generation, length)| (generation, length))
                .collect(),
        };
        (figures, (calls > 0 || !lag.is_zero()).then_some(lag))
    }
}

/// What keeps an event loop.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Blocked {
    /// For how long it was asked to come round and has not.
    #[serde(with = "seconds")]
    pub(crate) silent_for: Duration,
    /// The call; none where that is a task which a handler left behind, or a callback.
    pub(crate) by: Option<u64>,
    /// The frames of its thread.
    pub(crate) stack: String,
}

/// How a worker has ended.
#[derive(Debug, Deserialize)]
pub(crate) struct Exited {
    /// What its shutdown functions have raised.
    pub(crate) failures: Vec<Exception>,
    /// Names of the tasks that its event loop has left behind.
    pub(crate) tasks: Vec<String>,
    /// Names of the threads that go on.
    pub(crate) threads: Vec<String>,
    /// Tracebacks of what was raised besides.
    pub(crate) errors: Vec<String>,
}

#[cfg(test)]
mod tests {
    use httpy_core::frame::Unread;
    use serde_json::Value as Json;

    use super::*;

    /// The first answer of this name in the vectors that the worker's own code makes, too.
    fn vector(name: &str) -> Vec<u8> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/wire.json");
        let all: Vec<Json> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let found = all
            .iter()
            .find(|vector| vector["on"] == "answer" && vector["name"] == name);
        let hex = found.unwrap()["hex"].as_str().unwrap();
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> T {
        Unread::new(bytes).unwrap().read("answer").unwrap()
    }

    #[test]
    fn answers_are_read_as_the_vectors_say() {
        let seconds = Duration::from_secs_f64;
        let bytes = vector("figures");
        let (found, lag) = read::<Figures>(&bytes).split();
        assert_eq!(found.allocated_blocks, 1000);
        assert_eq!(found.gc_pauses, [(2, seconds(0.25))]);
        assert_eq!(lag, Some(seconds(0.5)));

        let bytes = vector("blocked");
        let found: Option<Blocked> = read(&bytes);
        let expected = Blocked {
            silent_for: seconds(1.5),
            by: Some(5),
            stack: "app.py:3".to_owned(),
        };
        assert_eq!(found, Some(expected));

        let bytes = vector("ended");
        let exited: Exited = read(&bytes);
        assert_eq!(exited.failures[0].type_name(), "app.Broken");
        assert_eq!(exited.tasks, ["task"]);
        assert_eq!(exited.threads, ["thread"]);
        assert_eq!(exited.errors, ["Traceback ..."]);
    }
}
