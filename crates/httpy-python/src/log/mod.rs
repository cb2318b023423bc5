//! What Python code logs and prints, on its way to the host's log: a bounded line, and a thread of its own that empties it.
//!
//! Python pushes plain data while it is attached, which never waits: where the line is full, the entry is dropped and
//! counted. The thread `httpy-log` never attaches, so the host's subscriber may take as long as it likes, wait for Python
//! code even. What an entry holds and how it becomes an event stands in `entry`; which levels are wanted, in `httpy_core::log`;
//! the Python end, in `bridge`.

mod bridge;
mod entry;

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use httpy_core::log::{MOST_BYTES, MOST_WAITING};
use httpy_core::{StartError, log};

use self::entry::Entry;
use crate::interpreter::{Interpreter, Options};

/// The way from Python's log to the host's; one for the process.
#[derive(Debug)]
pub(crate) struct Log {
    line: Arc<Line>,
    chosen: Chosen,
}

/// What is carried over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chosen {
    records: bool,
    streams: bool,
}

impl Log {
    /// Connects Python's `logging` with the host's log, and its standard streams where that is asked for.
    ///
    /// # Errors
    ///
    /// When there is no thread, and when `logging` cannot be imported.
    pub(crate) fn start(
        interpreter: &Arc<Interpreter>,
        options: &Options,
    ) -> Result<Self, StartError> {
        let chosen = Chosen {
            records: options.python_logging.unwrap_or(true),
            streams: options.capture_stdout.unwrap_or(false),
        };
        let line = Arc::new(Line::default());
        if chosen
            != (Chosen {
                records: false,
                streams: false,
            })
        {
            Line::empty_on_a_thread(&line).map_err(StartError::Thread)?;
            // Detached, as it asks the host's subscriber.
            line.watch(log::watch({
                let line = Arc::downgrade(&line);
                move || {
                    line.upgrade()
                        .into_iter()
                        .for_each(|line| line.note_filter());
                }
            }));
            let level = log::python_level();
            let always = options.python_logging == Some(true);
            let (target, on_main) = (Arc::clone(&line), Arc::clone(interpreter));
            let words = |error: String| StartError::Interpreter {
                message: format!("its log: {error}"),
            };
            let set_level = interpreter
                .on_main(move |py| {
                    bridge::install(py, &target, chosen, level, always)
                        .map_err(|error| error.to_string())
                })
                .unwrap_or_else(|error| Err(error.to_string()))
                .map_err(words)?;
            if let Some(set_level) = set_level {
                line.on_filter(Box::new(move || bridge::set_level(&on_main, &set_level)));
            }
        }
        Ok(Self { line, chosen })
    }

    /// # Errors
    ///
    /// [`StartError::Differs`] where `options` ask for something else than what is in force.
    pub(crate) fn check(&self, options: &Options) -> Result<(), StartError> {
        let pairs = [
            (
                "python_logging",
                self.chosen.records,
                options.python_logging,
            ),
            (
                "capture_stdout",
                self.chosen.streams,
                options.capture_stdout,
            ),
        ];
        for (what, first, asked) in pairs {
            if let Some(second) = asked.filter(|asked| *asked != first) {
                return Err(StartError::Differs {
                    what,
                    first: first.to_string(),
                    second: second.to_string(),
                });
            }
        }
        Ok(())
    }

    /// Keeps `kept` until all that was pushed until now is an event.
    pub(crate) fn keep(&self, kept: Box<dyn Any + Send>) {
        self.line.push(Entry::Over(kept));
    }

    /// What waits for the end of all that was pushed until now.
    pub(crate) fn flush(&self) -> impl FnOnce(Duration) + Send + 'static {
        let line = Arc::clone(&self.line);
        move |limit| line.flush(limit)
    }
}

/// What happens when the filters of the host's log have changed.
type OnFilter = Box<dyn Fn() + Send + Sync>;

/// Entries on their way.
#[derive(Default)]
struct Line {
    state: Mutex<State>,
    /// There is something to do for the thread.
    filled: Condvar,
    /// The thread is done with a batch.
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    dropped: u64,
    /// How many entries were ever let in, and how many of them are events by now.
    pushed: u64,
    done: u64,
    filter_changed: bool,
    on_filter: Option<Arc<OnFilter>>,
    watch: Option<log::Watch>,
}

impl Line {
    /// Appends an entry; drops it when too much waits. Never waits, and runs nobody's code.
    fn push(&self, entry: Entry) {
        let mut state = self.lock();
        let bytes = entry.bytes();
        if state.entries.len() >= MOST_WAITING || state.bytes + bytes > MOST_BYTES {
            state.dropped += u64::from(!matches!(entry, Entry::Over(_)));
        } else {
            state.bytes += bytes;
            state.pushed += 1;
            state.entries.push_back(entry);
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Also called while tracing holds its own locks: so nothing is logged under this one.
    fn note_filter(&self) {
        self.lock().filter_changed = true;
        self.filled.notify_one();
    }

    fn watch(&self, watch: log::Watch) {
        self.lock().watch = Some(watch);
    }

    fn on_filter(&self, work: OnFilter) {
        let mut state = self.lock();
        state.on_filter = Some(Arc::new(work));
        // What has changed since the level was asked for is not to be missed.
        state.filter_changed = true;
        drop(state);
        self.filled.notify_one();
    }

    fn empty_on_a_thread(line: &Arc<Self>) -> io::Result<()> {
        let line = Arc::clone(line);
        thread::Builder::new()
            .name("httpy-log".to_owned())
            .spawn(move || line.empty())
            .map(drop)
    }

    /// For as long as the process lives.
    fn empty(&self) {
        let mut state = self.lock();
        loop {
            while state.entries.is_empty() && state.dropped == 0 && !state.filter_changed {
                state = self
                    .filled
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            let on_filter = mem::take(&mut state.filter_changed)
                .then(|| state.on_filter.clone())
                .flatten();
            let (entries, dropped) = (mem::take(&mut state.entries), mem::take(&mut state.dropped));
            state.bytes = 0;
            drop(state);
            let count = entries.len() as u64;
            if let Some(on_filter) = on_filter {
                on_filter();
            }
            for entry in entries {
                // A subscriber that panics must not end the log; what it says of that is its own business.
                drop(catch_unwind(AssertUnwindSafe(|| entry.emit())));
            }
            if dropped > 0 {
                drop(catch_unwind(|| log::tell_dropped(dropped)));
            }
            state = self.lock();
            state.done += count;
            self.emptied.notify_all();
        }
    }

    fn flush(&self, limit: Duration) {
        let state = self.lock();
        let pushed = state.pushed;
        let waited = self
            .emptied
            .wait_timeout_while(state, limit, |state| state.done < pushed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// No code of anybody else runs under the lock, so a poisoned one still holds a whole line.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("entries", &self.lock().entries.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::entry::Stream;
    use super::*;

    fn line_of(bytes: usize) -> Entry {
        Entry::Line {
            stream: Stream::Stdout,
            text: "x".repeat(bytes),
            span: None,
        }
    }

    #[test]
    fn beyond_its_bounds_the_line_drops_and_counts() {
        let line = Line::default();
        (0..MOST_WAITING + 3).for_each(|_| line.push(line_of(1)));
        let state = line.lock();
        assert_eq!(
            (state.entries.len(), state.dropped, state.pushed),
            (MOST_WAITING, 3, MOST_WAITING as u64)
        );

        let line = Line::default();
        // What an entry takes up besides its text counts too.
        (0..3).for_each(|_| line.push(line_of(MOST_BYTES / 2 - 1000)));
        let state = line.lock();
        assert_eq!((state.entries.len(), state.dropped), (2, 1));
    }

    #[test]
    fn flushing_waits_for_what_was_pushed_before() {
        let line = Arc::new(Line::default());
        Line::empty_on_a_thread(&line).unwrap();
        (0..100).for_each(|_| line.push(line_of(1)));
        line.flush(Duration::from_secs(60));
        let state = line.lock();
        assert_eq!((state.done, state.entries.len()), (100, 0));
    }
}
