//! What workers answer, as plain data.

use std::time::Duration;

use httpy_core::frame::{FrameError, Parts, Value, exception};
use httpy_core::{ExitReport, Figures};

/// Python's figures: memory blocks, and the runs of the garbage collector with their seconds; and how its event loop is, where
/// it has one: how long it took to come round.
pub(crate) fn figures(value: &Value<'_>) -> Result<(Figures, Option<Duration>), FrameError> {
    let mut parts = Parts::of(value, 0, "figures")?;
    let allocated_blocks = parts.count("memory blocks")?;
    let mut runs = parts.items("runs of the garbage collector")?;
    let mut gc_pauses = Vec::new();
    while runs.left() > 0 {
        let mut run = runs.parts("a run of the garbage collector")?;
        let generation = u32::try_from(run.count("a generation")?).unwrap_or(u32::MAX);
        gc_pauses.push((generation, run.seconds("seconds")?));
    }
    let calls = parts.count("calls on the event loop")?;
    let lag = parts.seconds("the lag of the event loop")?;
    let has_loop = calls > 0 || !lag.is_zero();
    Ok((
        Figures {
            allocated_blocks,
            gc_pauses,
        },
        has_loop.then_some(lag),
    ))
}

/// What keeps an event loop.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Blocked {
    /// For how long it was asked to come round and has not.
    pub(crate) silent_for: Duration,
    /// The call; none where that is a task which a handler left behind, or a callback.
    pub(crate) by: Option<u64>,
    /// The frames of its thread.
    pub(crate) stack: String,
}

/// What keeps a worker's event loop; none where it has come round.
pub(crate) fn blocked(value: &Value<'_>) -> Result<Option<Blocked>, FrameError> {
    if matches!(value, Value::None) {
        return Ok(None);
    }
    let mut parts = Parts::of(value, 0, "what keeps an event loop")?;
    let silent_for = parts.seconds("how long the event loop was silent")?;
    let at = parts.at();
    let by = match parts.value("the number of a call, or None")? {
        Value::None => None,
        Value::Int(number) if number >= 0 => Some(number.unsigned_abs()),
        other => {
            return Err(FrameError::value(
                &other,
                at,
                "the number of a call, or None",
            ));
        }
    };
    let stack = parts.text("a stack")?.to_string_lossy().into_owned();
    parts.end()?;
    Ok(Some(Blocked {
        silent_for,
        by,
        stack,
    }))
}

/// What a worker tells when it ends: what its shutdown functions raised, the names of threads that go on, and the tracebacks
/// of what was raised besides; and the names of tasks that its event loop has left behind.
pub(crate) fn exit_report(value: &Value<'_>) -> Result<(ExitReport, Vec<String>), FrameError> {
    let mut parts = Parts::of(value, 0, "how a worker has ended")?;
    let mut failures = parts.items("what shutdown functions raised")?;
    let mut report = ExitReport::default();
    while failures.left() > 0 {
        let failure = exception(failures.parts("an exception")?)?;
        report.shutdown.get_or_insert(failure);
    }
    let tasks = texts(&mut parts, "names of tasks")?;
    report.threads = texts(&mut parts, "names of threads")?;
    report.errors = texts(&mut parts, "tracebacks")?;
    Ok((report, tasks))
}

fn texts(parts: &mut Parts<'_>, expected: &'static str) -> Result<Vec<String>, FrameError> {
    let mut items = parts.items(expected)?;
    let mut texts = Vec::new();
    while items.left() > 0 {
        texts.push(items.text(expected)?.to_string_lossy().into_owned());
    }
    Ok(texts)
}

pub(crate) fn text(value: &Value<'_>) -> Result<String, FrameError> {
    match value {
        Value::Text(text) => Ok(text.to_string_lossy().into_owned()),
        other => Err(FrameError::value(other, 0, "text")),
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn answers_are_read_as_the_vectors_say() {
        let seconds = Duration::from_secs_f64;
        let bytes = vector("figures");
        let (found, lag) = figures(&Value::read(&bytes).unwrap()).unwrap();
        assert_eq!(found.allocated_blocks, 1000);
        assert_eq!(found.gc_pauses, [(2, seconds(0.25))]);
        assert_eq!(lag, Some(seconds(0.5)));

        let bytes = vector("blocked");
        let found = blocked(&Value::read(&bytes).unwrap()).unwrap();
        let expected = Blocked {
            silent_for: seconds(1.5),
            by: Some(5),
            stack: "app.py:3".to_owned(),
        };
        assert_eq!(found, Some(expected));

        let bytes = vector("ended");
        let (report, tasks) = exit_report(&Value::read(&bytes).unwrap()).unwrap();
        assert_eq!(report.shutdown.unwrap().type_name(), "app.Broken");
        assert_eq!(report.threads, ["thread"]);
        assert_eq!(report.errors, ["Traceback ..."]);
        assert_eq!(tasks, ["task"]);
    }
}
