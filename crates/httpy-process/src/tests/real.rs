//! With the real worker.

use std::path::Path;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use super::floor::{Asked, Floor, options, outcome, reply};
use crate::handover::{Ended, Started, Tally, WorkerId};
use crate::handshake::{Newcomer, Patience, boot, welcome};
use crate::hello::Life;
use crate::spawn::{self, Process};

/// A process that has become a worker.
struct Raised {
    newcomer: Newcomer,
    life: Life,
    process: Process,
}

async fn raise(folder: &Path) -> Raised {
    let mut options = options();
    options.paths = vec![folder.to_owned()];
    let python = std::env::var_os("PYO3_PYTHON").map_or_else(|| "python3".into(), std::path::PathBuf::from);
    let spawned = spawn::spawn(&python, None).unwrap();
    for pipe in [spawned.output, spawned.error] {
        let mut file = tokio::fs::File::from_std(pipe.into());
        tokio::spawn(async move {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text).await;
            print!("{text}");
        });
    }
    let boot = boot("httpy-process-1", &options, &[]);
    let (newcomer, life) = welcome(spawned.control, &boot, Patience::default(), &|_| {}).await.unwrap();
    Raised { newcomer, life, process: spawned.process }
}

impl Raised {
    fn started(self, id: WorkerId, ended: oneshot::Sender<Ended>, tally: Arc<Tally>) -> (Started, impl Sized) {
        let Newcomer { control, rest, ends, facts } = self.newcomer;
        let started = Started {
            id,
            name: "httpy-process-1".to_owned(),
            number: 1,
            pid: facts.pid,
            control,
            rest,
            sync: ends.sync,
            asynchronous: ends.asynchronous,
            mark: ends.mark,
            handlers: 0,
            facts,
            tally,
            ended,
        };
        (started, (self.process, self.life))
    }
}

const APP: &str = r#"
import os, time

def handle(method, path, params, query, headers, body):
    return 200, f"{method} {path} {query} {body}", {"X-One": "1"}

def echo(method, path, params, query, headers, body: bytes):
    return 200, body, None

def fail(method, path, params, query, headers, body):
    raise ValueError("no")

def odd(method, path, params, query, headers, body):
    return 99, object(), 3

def die(method, path, params, query, headers, body):
    os.abort()
"#;

#[tokio::test]
async fn calls_come_back_from_a_real_worker() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("app.py"), APP).unwrap();
    let mut floor = Floor::empty(&options());
    let raised = raise(folder.path()).await;
    let mut kept = None;
    let added = floor
        .add(|id, ended, tally| {
            let (started, life) = raised.started(id, ended, tally);
            kept = Some(life);
            started
        })
        .await;
    let handle = floor.load("app:handle").await.unwrap();
    let echo = floor.load("app:echo").await.unwrap();
    assert_eq!(floor.load("app:handle").await.unwrap(), handle);
    for _ in 0..100 {
        let (status, body) = reply(floor.call(Asked::target(handle.id).body("b")).await).unwrap();
        assert_eq!((status, &body[..]), (200, &b"POST /path {'a': ['1', '2']} b"[..]));
    }
    let questions: Vec<_> = (0..200).map(|_| floor.push(Asked::target(handle.id).timed())).collect();
    for question in questions {
        assert_eq!(reply(outcome(&question).await.unwrap()).unwrap().0, 200);
        let timings = question.ticket().timings(std::time::Instant::now());
        assert!(timings.run.is_some() && timings.convert.is_some());
    }
    for size in [0, 1, 65536, 65537, 1_000_000, 20_000_000] {
        let sent: bytes::Bytes = vec![7; size].into();
        let (_, body) = reply(floor.call(Asked::target(echo.id).body(sent.clone())).await).unwrap();
        assert!(body == sent, "{size}");
    }
    let fail = floor.load("app:fail").await.unwrap();
    let failed = reply(floor.call(Asked::target(fail.id)).await).unwrap_err();
    assert!(failed.starts_with("Raised") && failed.contains("ValueError"), "{failed}");
    let odd = floor.load("app:odd").await.unwrap();
    let failed = reply(floor.call(Asked::target(odd.id)).await).unwrap_err();
    assert!(failed.contains("status 99: expected 200 to 999"), "{failed}");
    let missing = floor.load("app:missing").await.unwrap_err();
    assert_eq!(missing.kind, httpy_core::LoadErrorKind::AttributeNotFound);
    assert_eq!(added.tally.answered(), 308);
    let die = floor.load("app:die").await.unwrap();
    let died = reply(floor.call(Asked::target(die.id)).await).unwrap_err();
    assert!(died.starts_with("Crashed") && died.contains("httpy-process-1, died"), "{died}");
    let ended = added.ended.await.unwrap();
    assert_eq!(ended.running[0].target, "app:die");
    drop(kept);
}
