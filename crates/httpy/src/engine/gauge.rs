//! `Gauges`: what is looked at every few seconds: the queue, the workers, the event loops, Python's memory.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use httpy_core::{Figures, LoopMember, Roster};
use metrics::{Gauge, gauge, histogram};

use crate::metric::{BLOCKS, GC_PAUSE, LOOP_CALLS, LOOP_LAG, QUEUE_LENGTH, WORKERS};
use crate::service::Shared;
use crate::status::WorkerState;

/// Seldom enough to cost nothing, and more often than exporters are scraped.
const EVERY: Duration = Duration::from_secs(2);

/// The gauges of one engine, and of the process that it is in.
pub(crate) struct Gauges {
    queue: Gauge,
    workers: [Gauge; WorkerState::ALL.len()],
    loops: HashMap<String, [Gauge; 2]>,
    blocks: Gauge,
}

impl Gauges {
    /// Starts the thread that sets the gauges of `engine`, and ends some seconds after it. Calls are served without it: where the
    /// system has no thread for it, that is logged.
    pub(crate) fn start(engine: &Arc<Shared>) {
        let name = engine.name.clone();
        let engine = Arc::downgrade(engine);
        let started = thread::Builder::new()
            .name("httpy-metrics".to_owned())
            .spawn(move || run(name, &engine));
        if let Err(error) = started {
            tracing::warn!(target: "httpy", "gauges are not updated, as their thread could not be started: {error}");
        }
    }

    fn new(name: String) -> Self {
        Self {
            queue: gauge!(QUEUE_LENGTH, "engine" => name),
            workers: WorkerState::ALL.map(|state| gauge!(WORKERS, "state" => state.name())),
            loops: HashMap::new(),
            blocks: gauge!(BLOCKS),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of things that are here at once"
    )]
    fn set(&mut self, engine: &Shared) {
        self.queue.set(engine.slots.taken() as f64);
        let Roster { members, loops, .. } = engine.executor.roster();
        for (state, gauge) in WorkerState::ALL.iter().zip(&self.workers) {
            gauge.set(
                members
                    .iter()
                    .filter(|member| WorkerState::from(member.standing) == *state)
                    .count() as f64,
            );
        }
        for LoopMember {
            name, calls, lag, ..
        } in loops
        {
            let [gauge_of_calls, gauge_of_lag] =
                self.loops.entry(name).or_insert_with_key(|name| {
                    [LOOP_CALLS, LOOP_LAG].map(|metric| gauge!(metric, "loop" => name.clone()))
                });
            gauge_of_calls.set(calls as f64);
            if let Some(lag) = lag {
                gauge_of_lag.set(lag);
            }
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "beyond 2^53 blocks there are other worries"
    )]
    fn set_figures(&self, figures: &Figures) {
        self.blocks.set(figures.allocated_blocks as f64);
        for (generation, pause) in &figures.gc_pauses {
            // No handle is kept: there are a few of them in a round at most.
            histogram!(GC_PAUSE, "generation" => generation.to_string()).record(*pause);
        }
    }
}

fn run(name: String, engine: &Weak<Shared>) {
    let mut gauges = Gauges::new(name);
    let mut asked: Option<Receiver<Figures>> = None;
    while let Some(shared) = engine.upgrade() {
        let next = Instant::now() + EVERY;
        gauges.set(&shared);
        // One question at a time: while the interpreter is held, the next round waits for the same answer.
        let receiver = asked
            .take()
            .unwrap_or_else(|| shared.executor.ask_figures());
        drop(shared);
        match receiver.recv_timeout(EVERY) {
            Ok(figures) => gauges.set_figures(&figures),
            Err(RecvTimeoutError::Timeout) => asked = Some(receiver),
            // Python has ended, or app code has broken what is asked.
            Err(RecvTimeoutError::Disconnected) => {}
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}
