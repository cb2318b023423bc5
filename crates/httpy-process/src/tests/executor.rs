//! All of it together, as the HTTP side sees it.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use httpy_core::{Execute, ExitLimits, Kind, LoadErrorKind, StartError};

use super::floor::{Asked, LISTENER, options, outcome, python, reply};
use crate::Processes;

const APP: &str = r#"
import os, signal, time

def handle(method, path, params, query, headers, body):
    return 200, str(os.getpid()), None

async def wait(method, path, params, query, headers, body):
    return 200, "waited", None

def die(method, path, params, query, headers, body):
    os.kill(os.getpid(), signal.SIGKILL)

def routes():
    return {"/one": ["GET", "POST"]}

def ends():
    raise ValueError("the end")
"#;

fn start(app: &str, processes: usize) -> (Result<Processes, StartError>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("app.py"), app).unwrap();
    let mut options = options();
    (options.python, options.paths, options.processes) =
        (Some(python()), vec![folder.path().to_owned()], processes);
    (Processes::start(options, LISTENER), folder)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn an_app_runs_on_two_processes_and_shuts_down() {
    let (executor, _folder) = start(APP, 2);
    let executor = executor.unwrap();
    assert!(executor.facts().version.starts_with('3'));
    let handle = executor.load(Kind::Handler, "app:handle").unwrap();
    assert_eq!(
        executor.load(Kind::Handler, "app:none").unwrap_err().kind,
        LoadErrorKind::AttributeNotFound
    );
    let wait = executor.load(Kind::Handler, "app:wait").unwrap();
    assert_eq!(
        executor.run_init("app:routes").unwrap(),
        [("/one".to_owned(), vec!["GET".to_owned(), "POST".to_owned()])]
    );
    executor.load_shutdown("app:ends").unwrap();
    assert!(executor.examine().unwrap().starts_with('{'));
    assert_eq!(executor.roster().members.len(), 2);
    assert!(executor.ask_figures().recv().unwrap().allocated_blocks > 0);
    runtime().block_on(async {
        let questions: Vec<_> = (0..200)
            .map(|_| push(&executor, Asked::target(handle)))
            .collect();
        let mut pids = std::collections::HashSet::new();
        for question in &questions {
            pids.insert(reply(outcome(question).await.unwrap()).unwrap().1);
        }
        assert_eq!(pids.len(), 2, "both had some");
        let question = push(&executor, Asked::target(wait));
        assert_eq!(
            reply(outcome(&question).await.unwrap()).unwrap().1,
            "waited"
        );
    });
    let (sender, receiver) = sync_channel(1);
    assert!(executor.shut_down(
        ExitLimits {
            shielded: Duration::ZERO,
            rest: Duration::from_secs(10),
        },
        Box::new(move |report| sender.send(report).unwrap())
    ));
    assert_eq!(
        receiver.recv().unwrap().shutdown.unwrap().message(),
        "the end"
    );
    assert!(executor.push(Asked::target(handle).job().0).is_err());
}

fn push(executor: &Processes, asked: Asked) -> httpy_core::Question {
    let (job, question) = asked.job();
    executor.push(job).unwrap();
    question
}

#[test]
fn a_worker_that_is_killed_is_replaced_and_only_its_running_calls_are_lost() {
    let (executor, _folder) = start(APP, 1);
    let executor = executor.unwrap();
    let (handle, die) = (
        executor.load(Kind::Handler, "app:handle").unwrap(),
        executor.load(Kind::Handler, "app:die").unwrap(),
    );
    runtime().block_on(async {
        for _ in 0..3 {
            let dies = push(&executor, Asked::target(die));
            let behind: Vec<_> = (0..10)
                .map(|_| push(&executor, Asked::target(handle)))
                .collect();
            let died = reply(outcome(&dies).await.unwrap()).unwrap_err();
            assert!(died.starts_with("Crashed"), "{died}");
            for question in &behind {
                assert_eq!(reply(outcome(question).await.unwrap()).unwrap().0, 200);
            }
        }
    });
}

/// Its startup takes what only one process can have.
const EXCLUSIVE: &str = r#"
import os

async def app(scope, receive, send):
    await receive()
    try:
        os.mkdir(os.path.join(os.path.dirname(__file__), "taken"))
    except FileExistsError:
        return await send({"type": "lifespan.startup.failed", "message": "it is taken"})
    await send({"type": "lifespan.startup.complete"})
    await receive()
"#;

#[test]
fn what_one_worker_has_loaded_and_another_cannot_is_an_error() {
    let (executor, _folder) = start(EXCLUSIVE, 2);
    let error = executor
        .unwrap()
        .load(Kind::Asgi, "app:app")
        .expect_err("one of two has no place");
    assert_eq!(error.kind, LoadErrorKind::Startup, "{error}");
    assert!(error.message.contains("it is taken"), "{error}");
}

#[test]
fn an_app_that_is_dropped_answers_what_waits() {
    let (executor, _folder) = start(APP, 1);
    let executor = executor.unwrap();
    let handle = executor.load(Kind::Handler, "app:handle").unwrap();
    let questions: Vec<_> = (0..500)
        .map(|_| push(&executor, Asked::target(handle)))
        .collect();
    drop(executor);
    runtime().block_on(async {
        for question in &questions {
            assert_eq!(reply(outcome(question).await.unwrap()).unwrap().0, 200);
        }
    });
}

#[test]
fn a_python_that_is_not_there_is_an_error() {
    let mut options = options();
    options.python = Some("/no/such/python".into());
    let refused = Processes::start(options, LISTENER).unwrap_err();
    assert!(refused.to_string().contains("/no/such/python"), "{refused}");
}
