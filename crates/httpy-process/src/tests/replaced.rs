//! Workers that are replaced while calls come, one after the other or all at once: whichever way, no call is lost that was
//! not running in a worker that died.

use std::collections::{HashSet, VecDeque};

use httpy_core::{Execute, Kind, LoadError, LoadErrorKind, Question, TargetId};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::floor::{Asked, LISTENER, options, outcome, python, reply};
use crate::{ProcessOptions, Processes};

/// So many calls are under way.
const WINDOW: usize = 64;
/// So many threads has each worker.
const THREADS: usize = 2;

struct App {
    executor: Processes,
    folder: TempDir,
    handle: TargetId,
}

impl App {
    fn new(change: impl FnOnce(&mut ProcessOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options();
        (options.python, options.paths, options.processes) =
            (Some(python()), vec![folder.path().to_owned()], 2);
        (options.threads, options.replacements) = (THREADS, 1000);
        change(&mut options);
        write(&folder, "one");
        let executor = Processes::start(options, LISTENER).unwrap();
        let handle = executor.load(Kind::Handler, "app:handle").unwrap();
        Self {
            executor,
            folder,
            handle,
        }
    }

    /// A reload whose routes are accepted, and what they are.
    async fn reload(&self, init: Option<&str>) -> Result<Vec<(String, Vec<String>)>, LoadError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let accept = move |routes| -> Result<httpy_core::Swapped, String> {
            sender.send(routes).map_err(|error| error.to_string())?;
            Ok(Box::new(|| {}))
        };
        self.executor
            .reload(
                init.map(str::to_owned).into_iter().collect(),
                Box::new(accept),
            )
            .await
            .unwrap()?;
        let all: Vec<httpy_core::InitRoutes> =
            receiver.try_recv().expect("`accept` was not called");
        Ok(all.into_iter().flat_map(|(_, routes)| routes).collect())
    }

    fn push(&self) -> Question {
        let (job, question) = Asked::target(self.handle).job();
        self.executor.push(job).unwrap();
        question
    }

    /// Calls without a pause, until `enough` of an answer's text, or of that it was lost.
    async fn call(&self, mut enough: impl FnMut(Result<&str, &str>) -> bool) {
        let mut questions: VecDeque<Question> = (0..WINDOW).map(|_| self.push()).collect();
        let mut is_enough = false;
        while let Some(question) = questions.pop_front() {
            match reply(outcome(&question).await.unwrap()) {
                Ok((status, text)) => {
                    assert_eq!(status, 200);
                    is_enough |= enough(Ok(std::str::from_utf8(&text).unwrap()));
                }
                Err(lost) => is_enough |= enough(Err(&lost)),
            }
            if !is_enough {
                questions.push_back(self.push());
            }
        }
    }
}

fn write(folder: &TempDir, version: &str) {
    let app = format!(
        "import os\ndef handle(method, path, params, query, headers, body):\n    return 200, f'{version} {{os.getpid()}}', None\n\
         def routes():\n    return {{'/{version}': ['GET']}}\n"
    );
    // Of another length each time: a compiled file of the same second and length would be taken for this one's.
    std::fs::write(folder.path().join("app.py"), app).unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn workers_that_have_answered_enough_are_replaced_and_no_call_is_lost() {
    let app = App::new(|options| options.max_requests = Some(300));
    runtime().block_on(async {
        let mut workers = HashSet::new();
        app.call(|answer| {
            workers.insert(answer.unwrap().to_owned());
            workers.len() == 8
        })
        .await;
    });
}

#[test]
fn of_workers_that_are_killed_only_running_calls_are_lost() {
    let app = App::new(|_| {});
    runtime().block_on(async {
        let (mut killed, mut lost) = (HashSet::new(), 0);
        app.call(|answer| {
            match answer {
                Ok(text) => {
                    let pid: i32 = text.rsplit_once(' ').unwrap().1.parse().unwrap();
                    if killed.insert(pid) {
                        // It may have died, and its answer have lain here for a while.
                        let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
                    }
                }
                Err(text) => {
                    assert!(text.starts_with("Crashed"), "{text}");
                    lost += 1;
                }
            }
            killed.len() == 10
        })
        .await;
        // A worker keeps up to 16 answers back for one write, beside the call that each of its threads is in.
        assert!(lost <= (16 + THREADS) * killed.len(), "{lost}");
    });
}

#[test]
fn a_reload_swaps_the_code_and_no_call_is_lost() {
    let app = App::new(|_| {});
    runtime().block_on(async {
        for version in ["second", "the-third", "and-the-fourth"] {
            write(&app.folder, version);
            let mut is_swapped = false;
            let reload = async { app.reload(Some("app:routes")).await.unwrap() };
            let calls = app.call(|answer| {
                is_swapped |= answer.unwrap().starts_with(version);
                is_swapped
            });
            let (routes, ()) = tokio::join!(reload, calls);
            assert_eq!(routes, [(format!("/{version}"), vec!["GET".to_owned()])]);
            let question = app.push();
            let (_, text) = reply(outcome(&question).await.unwrap()).unwrap();
            assert!(text.starts_with(version.as_bytes()), "{text:?}");
        }
    });
}

#[test]
fn a_reload_of_broken_code_leaves_the_old_workers_serving() {
    let app = App::new(|_| {});
    runtime().block_on(async {
        // Both have loaded it by then.
        let mut workers = HashSet::new();
        app.call(|answer| {
            workers.insert(answer.unwrap().to_owned());
            workers.len() == 2
        })
        .await;
        std::fs::write(app.folder.path().join("app.py"), "def handle(:\n").unwrap();
        let error = app.reload(None).await.unwrap_err();
        assert_eq!(error.kind, LoadErrorKind::Import);
        assert!(error.exception.unwrap().traceback().contains("SyntaxError"));
        let mut answers = 0;
        app.call(|answer| {
            assert!(answer.unwrap().starts_with("one"));
            answers += 1;
            answers == 1000
        })
        .await;
        assert_eq!(app.executor.health().lost, 0);
        write(&app.folder, "mended");
        assert_eq!(app.reload(None).await.unwrap(), []);
    });
}
