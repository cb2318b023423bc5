//! `FileWatch`: reloads an app when its files change, for development.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use notify_debouncer_mini::notify::{RecommendedWatcher, RecursiveMode};
use notify_debouncer_mini::{DebounceEventResult, Debouncer, new_debouncer};

use super::{Inner, PyApp};
use crate::Error;
use crate::error::Kind;

/// Editors write a file in several steps, and a checkout many files.
const QUIET: Duration = Duration::from_millis(200);

/// Watches until it is dropped, on a thread of its own.
pub(super) struct FileWatch(
    #[expect(dead_code, reason = "it ends when it is dropped")] Debouncer<RecommendedWatcher>,
);

impl FileWatch {
    /// Watches `folders` for the app.
    pub(super) fn start(app: &Arc<Inner>, folders: &[PathBuf]) -> Result<Self, Error> {
        let failed = |what: String| move |error| Error::with_source(Kind::Config, what, error);
        let app = Arc::downgrade(app);
        let changed = move |events: DebounceEventResult| changed(&app, events);
        let mut watcher = new_debouncer(QUIET, changed).map_err(failed(
            "reload_on_change: files cannot be watched".to_owned(),
        ))?;
        for folder in folders {
            let what = format!("reload_on_change: {} cannot be watched", folder.display());
            watcher
                .watcher()
                .watch(folder, RecursiveMode::Recursive)
                .map_err(failed(what))?;
        }
        Ok(Self(watcher))
    }
}

fn changed(app: &Weak<Inner>, events: DebounceEventResult) {
    let events = match events {
        Ok(events) => events,
        Err(error) => {
            tracing::warn!(target: "httpy", %error, "the app's files are not watched any more as they should be");
            return;
        }
    };
    let Some(event) = events.iter().find(|event| is_source(&event.path)) else {
        return;
    };
    let Some(inner) = app.upgrade() else { return };
    tracing::info!(target: "httpy", "{} has changed: the app is loaded anew", event.path.display());
    // What changes meanwhile is seen afterwards.
    match (PyApp { inner }).begin_reload().blocking_recv() {
        Ok(Ok(())) => tracing::info!(target: "httpy", "the app was loaded anew"),
        Ok(Err(error)) => {
            tracing::error!(target: "httpy", "the old code serves on: {:?}", Error::not_loaded(error));
        }
        // The app has ended.
        Err(_) => {}
    }
}

/// Whether the app may be another one when this file is: not what Python and editors write beside it.
fn is_source(path: &Path) -> bool {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let is_cache = path.iter().any(|part| part == "__pycache__");
    !(is_cache || name.ends_with(".pyc") || name.ends_with('~') || name.starts_with('.'))
}

impl fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWatch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_and_editors_leave_is_no_source() {
        for path in ["/a/worker.py", "/a/b/rules.json", "/a.b/template.html"] {
            assert!(is_source(Path::new(path)), "{path}");
        }
        for path in [
            "/a/__pycache__/worker.cpython-311.pyc",
            "/a/.worker.py.swp",
            "/a/worker.py~",
            "/a/old.pyc",
        ] {
            assert!(!is_source(Path::new(path)), "{path}");
        }
    }
}
