//! With the real worker.

use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;

use httpy_core::{
    BodyMode, Broken, Content, Fault, Outcome, Returned, STREAM_BYTES, Upload, UploadFault, stream,
};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use super::floor::{Added, Asked, Floor, options, outcome, python, reply, told};
use crate::handover::{Ended, Started, Tally, WorkerId};
use crate::handshake::{Newcomer, Patience, boot, welcome};
use crate::hello::Life;
use crate::process::Process;
use crate::spawn;

/// A process that has become a worker.
struct Raised {
    newcomer: Newcomer,
    life: Life,
    process: Process,
}

async fn raise(folder: &Path) -> Raised {
    let mut options = options();
    options.paths = vec![folder.to_owned()];
    let spawned = spawn::spawn(
        &python(),
        &super::floor::options(),
        spawn::BOOT,
        "httpy-process-1",
    )
    .unwrap();
    for pipe in [spawned.output, spawned.error] {
        let mut file = tokio::fs::File::from_std(pipe.into());
        tokio::spawn(async move {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text).await;
            print!("{text}");
        });
    }
    let boot = boot("httpy-process-1", &options, &[]);
    let (newcomer, life) = welcome(
        spawned.control,
        &boot,
        Patience::new(options.start_limit),
        &|_| {},
    )
    .await
    .unwrap();
    Raised {
        newcomer,
        life,
        process: spawned.process,
    }
}

impl Raised {
    fn started(
        self,
        id: WorkerId,
        ended: oneshot::Sender<Ended>,
        tally: Arc<Tally>,
    ) -> (Started, impl Sized) {
        let Newcomer {
            control,
            rest,
            ends,
            facts,
        } = self.newcomer;
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
import asyncio, os, time
import httpy_rs

def handle(method, path, params, query, headers, body):
    return 200, f"{method} {path} {query} {body}", {"X-One": "1"}

def echo(method, path, params, query, headers, body: bytes):
    return 200, body, None

def fail(method, path, params, query, headers, body):
    raise ValueError("no")

def odd(method, path, params, query, headers, body):
    return 99, object(), 3

def slow(method, path, params, query, headers, body):
    time.sleep(float(body))
    return 200, body, None

def spin(method, path, params, query, headers, body):
    open(body, "w").close()
    while True:
        pass

def stream(method, path, params, query, headers, body):
    def chunks():
        for number in range(int(body)):
            yield b"x" * 1000
    return 200, chunks(), None

class Endless:
    def __init__(self, path):
        self.path = path

    def __iter__(self):
        return self

    def __next__(self):
        return b"x" * 1000

    # Not the finally of a generator: that has none before its first chunk is asked for.
    def close(self):
        open(self.path, "w").write("closed")

def endless(method, path, params, query, headers, body):
    return 200, Endless(body), None

def breaks(method, path, params, query, headers, body):
    def chunks():
        yield "a"
        raise ValueError("broken")
    return 200, chunks(), None

def upload(method, path, params, query, headers, body: httpy_rs.Body):
    return 200, str(sum(len(chunk) for chunk in body)), None

async def wait(method, path, params, query, headers, body):
    await asyncio.sleep(float(body or 0))
    return 200, body, None

async def read(method, path, params, query, headers, body: httpy_rs.AsyncBody):
    size = 0
    async for chunk in body:
        size += len(chunk)
    return 200, str(size), None

def die(method, path, params, query, headers, body):
    os.abort()
"#;

/// A dispatch with one real worker.
async fn staffed() -> (Floor, Added, impl Sized) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("app.py"), APP).unwrap();
    let mut floor = Floor::empty(&options());
    let raised = raise(folder.path()).await;
    let mut kept = None;
    let started = |id, ended, tally| {
        let (started, life) = raised.started(id, ended, tally);
        kept = Some(life);
        started
    };
    let added = floor.add(started).await;
    (floor, added, (kept, folder))
}

/// All of a streamed body, or why it broke off.
async fn streamed(outcome: Outcome) -> Result<Vec<u8>, Broken<Fault>> {
    let Outcome::Returned(Returned {
        body: Content::Stream(mut chunks),
        ..
    }) = outcome
    else {
        panic!("no stream: {outcome:?}")
    };
    let mut body = Vec::new();
    while let Some(chunk) = poll_fn(|context| chunks.reader.poll_next(context)).await {
        body.extend_from_slice(&chunk?);
    }
    Ok(body)
}

#[tokio::test]
async fn a_streamed_reply_comes_chunk_by_chunk_and_breaks_off_with_its_iterator() {
    let (floor, added, _kept) = staffed().await;
    let stream = floor.load("app:stream").await.unwrap();
    for chunks in [0, 1, 2000] {
        let outcome = floor
            .call(Asked::target(stream).body(chunks.to_string()))
            .await;
        assert_eq!(streamed(outcome).await.unwrap().len(), chunks * 1000);
    }
    let breaks = floor.load("app:breaks").await.unwrap();
    let broken = streamed(floor.call(Asked::target(breaks)).await).await;
    assert!(
        matches!(broken, Err(Broken::Failed(Fault::Raised(exception))) if exception.message() == "broken")
    );
    assert_eq!(added.tally.answered(), 4);
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_iterator_of_its_reply() {
    let (floor, added, _kept) = staffed().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("closed");
    let endless = floor.load("app:endless").await.unwrap();
    let question = floor.push(Asked::target(endless).body(path.to_str().unwrap().to_owned()));
    let outcome = outcome(&question).await.unwrap();
    question.ticket().set_gone(std::time::Instant::now());
    drop(outcome);
    floor.enforce(&question, endless, false);
    added.tally.reaches(1).await;
    assert_eq!(std::fs::read_to_string(path).unwrap(), "closed");
}

#[tokio::test]
async fn a_streamed_request_is_read_as_it_comes() {
    let (floor, _added, _kept) = staffed().await;
    for (name, chunks) in [
        ("app:upload", 0),
        ("app:upload", 1000),
        ("app:read", 0),
        ("app:read", 1000),
    ] {
        let handler = floor.load(name).await.unwrap();
        assert_eq!(handler.interface.body, BodyMode::Stream);
        let (mut writer, reader) = stream(STREAM_BYTES);
        let question = floor.push(Asked::target(handler).upload(Upload::Stream(reader)));
        for _ in 0..chunks {
            poll_fn(|context| writer.poll_ready(context)).await.unwrap();
            writer.write(vec![0; 3000].into()).unwrap();
        }
        writer.end();
        let (_, body) = reply(outcome(&question).await.unwrap()).unwrap();
        assert_eq!(body, (chunks * 3000).to_string(), "{name}");
    }
}

#[tokio::test]
async fn a_streamed_request_that_breaks_off_is_the_answer_of_whoever_lets_that_pass() {
    let (floor, _added, _kept) = staffed().await;
    for name in ["app:upload", "app:read"] {
        let handler = floor.load(name).await.unwrap();
        let (writer, reader) = stream(STREAM_BYTES);
        let question = floor.push(Asked::target(handler).upload(Upload::Stream(reader)));
        writer.fail(UploadFault {
            status: 413,
            text: "too large".to_owned(),
        });
        let failed = outcome(&question).await.unwrap();
        assert!(
            matches!(&failed, Outcome::Upload(fault) if fault.status == 413),
            "{name}: {failed:?}"
        );
    }
}

#[tokio::test]
async fn coroutines_are_under_way_side_by_side_and_are_cancelled() {
    let (floor, added, _kept) = staffed().await;
    let wait = floor.load("app:wait").await.unwrap();
    let long = floor.push(Asked::target(wait).body("1000"));
    let questions: Vec<_> = (0..50)
        .map(|_| floor.push(Asked::target(wait).body("0.001")))
        .collect();
    for question in &questions {
        assert_eq!(
            reply(outcome(question).await.unwrap()).unwrap(),
            (200, "0.001".into())
        );
    }
    floor.enforce(&long, wait, false);
    drop(long);
    added.tally.reaches(51).await;
    assert_eq!(added.tally.under_way(), 0);
}

#[tokio::test]
async fn a_handler_that_sleeps_keeps_nobody_else() {
    let (floor, _added, _kept) = staffed().await;
    let (slow, handle) = (
        floor.load("app:slow").await.unwrap(),
        floor.load("app:handle").await.unwrap(),
    );
    let long = floor.push(Asked::target(slow).body("0.5"));
    let questions: Vec<_> = (0..100)
        .map(|_| floor.push(Asked::target(handle)))
        .collect();
    for question in &questions {
        assert_eq!(reply(outcome(question).await.unwrap()).unwrap().0, 200);
    }
    assert!(!long.ticket().is_done(), "it still sleeps");
    assert_eq!(reply(outcome(&long).await.unwrap()).unwrap().1, "0.5");
}

#[tokio::test]
async fn a_handler_that_does_not_end_is_interrupted_and_told_of_with_its_stack() {
    let (floor, added, _kept) = staffed().await;
    let (spin, handle) = (
        floor.load("app:spin").await.unwrap(),
        floor.load("app:handle").await.unwrap(),
    );
    let folder = tempfile::tempdir().unwrap();
    let begun = folder.path().join("begun");
    let question = floor.push(Asked::target(spin).body(begun.to_str().unwrap().to_owned()));
    while !begun.exists() {
        tokio::task::yield_now().await;
    }
    floor.enforce(&question, spin, true);
    added.tally.reaches(1).await;
    assert_eq!(
        reply(floor.call(Asked::target(handle)).await).unwrap().0,
        200
    );
    let told = told("app:spin did not answer").await;
    assert!(
        told.contains("it is interrupted") && told.contains("in spin"),
        "{told}"
    );
}

#[tokio::test]
async fn calls_come_back_from_a_real_worker() {
    let (floor, added, _kept) = staffed().await;
    let handle = floor.load("app:handle").await.unwrap();
    let echo = floor.load("app:echo").await.unwrap();
    assert_eq!(floor.load("app:handle").await.unwrap(), handle);
    for _ in 0..100 {
        let (status, body) = reply(floor.call(Asked::target(handle).body("b")).await).unwrap();
        assert_eq!(
            (status, &body[..]),
            (200, &b"POST /path {'a': ['1', '2']} b"[..])
        );
    }
    let questions: Vec<_> = (0..200)
        .map(|_| floor.push(Asked::target(handle).timed()))
        .collect();
    for question in questions {
        assert_eq!(reply(outcome(&question).await.unwrap()).unwrap().0, 200);
        let timings = question.ticket().timings(std::time::Instant::now());
        assert!(timings.run.is_some() && timings.convert.is_some());
    }
    for size in [0, 1, 65536, 65537, 1_000_000, 20_000_000] {
        let sent: bytes::Bytes = vec![7; size].into();
        let (_, body) = reply(floor.call(Asked::target(echo).body(sent.clone())).await).unwrap();
        assert!(body == sent, "{size}");
    }
    let fail = floor.load("app:fail").await.unwrap();
    let failed = reply(floor.call(Asked::target(fail)).await).unwrap_err();
    assert!(
        failed.starts_with("Raised") && failed.contains("ValueError"),
        "{failed}"
    );
    let odd = floor.load("app:odd").await.unwrap();
    let failed = reply(floor.call(Asked::target(odd)).await).unwrap_err();
    assert!(
        failed.contains("status 99: expected 200 to 999"),
        "{failed}"
    );
    let missing = floor.load("app:missing").await.unwrap_err();
    assert_eq!(missing.kind, httpy_core::LoadErrorKind::AttributeNotFound);
    assert_eq!(added.tally.answered(), 308);
    let die = floor.load("app:die").await.unwrap();
    let died = reply(floor.call(Asked::target(die)).await).unwrap_err();
    assert!(
        died.starts_with("Crashed") && died.contains("httpy-process-1 ("),
        "{died}"
    );
    let ended = added.ended.await.unwrap();
    assert_eq!(ended.running[0].target, "app:die");
}
