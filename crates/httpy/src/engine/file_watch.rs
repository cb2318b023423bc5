//! `FileWatch`: reloads an engine when its Python files have changed, for development.
//!
//! Looks at the files a few times a second and compares. Events of the operating system would save the looks, but they also
//! come when a file is opened or read, as importing does, and are missing for folders that have just appeared, behind links, in
//! shared folders of containers, and when too many come at once.

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::source::Sources;
use super::{Inner, PyEngine};
use crate::Error;
use crate::error::Kind;

/// Time between two looks at the files.
const INTERVAL: Duration = Duration::from_millis(200);
/// In a large tree, scanning takes at most this fraction (1 / `SHARE`) of the time.
const SHARE: u32 = 20;

/// Watches until it is dropped, on a thread of its own.
pub(super) struct FileWatch(
    #[expect(dead_code, reason = "the thread ends when it is dropped")] SyncSender<Infallible>,
);

impl FileWatch {
    /// Watches `folders` for the engine, whose code was loaded when they were as in `loaded`, or later.
    pub(super) fn start(
        engine: &Arc<Inner>,
        folders: Vec<PathBuf>,
        loaded: Sources,
    ) -> Result<Self, Error> {
        let (sender, ended) = sync_channel(0);
        let engine = Arc::downgrade(engine);
        thread::Builder::new()
            .name("httpy-files".to_owned())
            .spawn(move || watch(&engine, &folders, loaded, &ended))
            .map_err(|error| {
                Error::with_source(
                    Kind::Config,
                    "reload_on_change: there is no thread to watch the files",
                    error,
                )
            })?;
        Ok(Self(sender))
    }
}

fn watch(engine: &Weak<Inner>, folders: &[PathBuf], loaded: Sources, ended: &Receiver<Infallible>) {
    let mut seen = Seen::new(loaded);
    let mut interval = INTERVAL;
    while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        let started = Instant::now();
        let now = Sources::read(folders);
        interval = INTERVAL.max(started.elapsed() * SHARE);
        if let Some(changes) = seen.look(now) {
            // What changes during the reload is seen by the next look.
            reload(engine, &changes);
        }
    }
}

/// What the looks have seen.
struct Seen {
    loaded: Sources,
    last: Sources,
}

impl Seen {
    fn new(loaded: Sources) -> Self {
        let last = loaded.clone();
        Self { loaded, last }
    }

    /// Which files the code that is now there differs in from the loaded one, which it is from now on. None while they still
    /// change: an editor writes a file in several steps, and a checkout many files.
    fn look(&mut self, now: Sources) -> Option<String> {
        let is_still = now == self.last;
        self.last = now;
        if !is_still || self.last == self.loaded {
            return None;
        }
        let mut changes = self.loaded.changes(&self.last);
        let first = changes.next().unwrap_or(Path::new("")).display();
        let text = match changes.count() {
            0 => format!("{first} has changed"),
            1 => format!("{first} and another file have changed"),
            more => format!("{first} and {more} more files have changed"),
        };
        self.loaded = self.last.clone();
        Some(text)
    }
}

fn reload(engine: &Weak<Inner>, changes: &str) {
    let Some(inner) = engine.upgrade() else {
        return;
    };
    tracing::info!(target: "httpy", "reloading: {changes}");
    let reload = PyEngine { inner }.begin_reload();
    match reload.blocking_recv() {
        Ok(Ok(())) => tracing::info!(target: "httpy", "reloaded"),
        Ok(Err(error)) => {
            tracing::error!(target: "httpy", "the reload failed, the old code keeps serving: {:?}", Error::not_loaded(error));
        }
        // The engine has ended.
        Err(_) => {}
    }
}

impl fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWatch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Sources {
        names.iter().map(|name| (PathBuf::from(name), 1)).collect()
    }

    #[test]
    fn a_change_is_reported_once_and_when_two_looks_have_seen_the_same() {
        let mut seen = Seen::new(files(&["a.py"]));
        assert_eq!(seen.look(files(&["a.py"])), None);
        assert_eq!(seen.look(files(&["a.py", "b.py"])), None);
        assert_eq!(seen.look(files(&["a.py", "b.py", "c.py"])), None);
        let changes = seen.look(files(&["a.py", "b.py", "c.py"]));
        assert_eq!(
            changes.as_deref(),
            Some("b.py and another file have changed")
        );
        assert_eq!(seen.look(files(&["a.py", "b.py", "c.py"])), None);
        // Gone for a moment, as some editors save.
        assert_eq!(seen.look(files(&["a.py", "b.py"])), None);
        assert_eq!(seen.look(files(&["a.py", "b.py", "c.py"])), None);
        assert_eq!(seen.look(files(&["a.py", "b.py", "c.py"])), None);
    }
}
