//! The figures of calls, workers and Python for the host's recorder of the `metrics` facade; `docs/metrics.md` has the table.
//! Those that are looked at every few seconds are set by `engine/gauge.rs`.
//!
//! Everything is registered with the recorder that is there when an engine is built, and nothing is done where there is none.
//! The recorder's code runs on the HTTP side: in the task of a call, or on the thread `httpy-metrics`, never attached.

mod series;

use std::cell::Cell;

use metrics::{IntoF64, Unit, describe_counter, describe_gauge, describe_histogram, gauge};

pub(crate) use self::series::{Series, TargetSeries};

/// Whether the host has installed a recorder. Describes all figures to it.
pub(crate) fn is_recorded() -> bool {
    // A handle that leads nowhere does not ask for its value, which is the one sign of it that the facade gives.
    let asked = Cell::new(false);
    gauge!(BLOCKS).increment(Nothing(&asked));
    if asked.get() {
        describe();
    }
    asked.get()
}

const CALLS: &str = "httpy_calls_total";
const QUEUE_WAIT: &str = "httpy_queue_wait_seconds";
const ATTACH_WAIT: &str = "httpy_attach_wait_seconds";
const CONVERSION: &str = "httpy_conversion_seconds";
const RUN: &str = "httpy_run_seconds";
const CALL: &str = "httpy_call_seconds";
pub(crate) const QUEUE_LENGTH: &str = "httpy_queue_length";
pub(crate) const WORKERS: &str = "httpy_workers";
pub(crate) const LOOP_CALLS: &str = "httpy_event_loop_calls";
pub(crate) const LOOP_LAG: &str = "httpy_event_loop_lag_seconds";
pub(crate) const BLOCKS: &str = "httpy_python_allocated_blocks";
pub(crate) const GC_PAUSE: &str = "httpy_python_gc_pause_seconds";

fn describe() {
    describe_counter!(CALLS, Unit::Count, "Calls that ended, by outcome.");
    let seconds = [
        (
            QUEUE_WAIT,
            "Time in the queue until a worker or an event loop took the call, without the wait for the interpreter.",
        ),
        (
            ATTACH_WAIT,
            "Time that a worker waited for the interpreter to take a call.",
        ),
        (
            CONVERSION,
            "Time to build a call's arguments and to read its result.",
        ),
        (
            RUN,
            "Time in the handler; for an async one, from its first step to its end.",
        ),
        (
            CALL,
            "Time from the queue to the reply, or to the head of a streamed reply.",
        ),
        (
            GC_PAUSE,
            "Time of a run of Python's cyclic garbage collector, during which no other Python code runs.",
        ),
    ];
    for (name, text) in seconds {
        describe_histogram!(name, Unit::Seconds, text);
    }
    describe_gauge!(
        QUEUE_LENGTH,
        Unit::Count,
        "Taken places in the engine's queue."
    );
    describe_gauge!(WORKERS, Unit::Count, "Workers of the process, by state.");
    describe_gauge!(
        LOOP_CALLS,
        Unit::Count,
        "Calls that run on the event loop or wait for it."
    );
    describe_gauge!(
        LOOP_LAG,
        Unit::Seconds,
        "Time that the event loop last took to respond when it was woken."
    );
    describe_gauge!(
        BLOCKS,
        Unit::Count,
        "Memory blocks in use by Python's allocator."
    );
}

/// Zero, and notes that it was asked for.
struct Nothing<'a>(&'a Cell<bool>);

impl IntoF64 for Nothing<'_> {
    fn into_f64(self) -> f64 {
        self.0.set(true);
        0.0
    }
}

#[cfg(test)]
mod tests {
    use metrics::{NoopRecorder, with_local_recorder};
    use metrics_util::debugging::DebuggingRecorder;

    use super::*;

    #[test]
    fn a_recorder_is_told_from_none() {
        assert!(!is_recorded());
        assert!(!with_local_recorder(&NoopRecorder, is_recorded));
        assert!(with_local_recorder(&DebuggingRecorder::new(), is_recorded));
    }
}
