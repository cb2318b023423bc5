//! A loop that does not come back: another one takes its place, in worker processes that of its worker.

use std::time::Duration;

use httpy_tests::app::{ask, get};
use httpy_tests::executor::{self, OfThreads};
use httpy_tests::log;
use tokio::task::JoinHandle;

use super::turn::{Turn, expire};

const HANDLER: &str = "
lock, kept = threading.Lock(), []
def compute():
    while True:
        pass
async def behind(port):
    block_at_gate(port)
    lock.acquire()
async def body(port):
    yield 'head'
    await pass_gate(port)
async def handle(method, path, params, query, headers, body):
    if path == '/stuck':
        block_at_gate(query['gate'][0])
        lock.acquire()
        lock.acquire()
        compute()
    elif path == '/behind':
        await pass_gate(query['gate'][0])
        lock.acquire()
        kept.append(asyncio.ensure_future(behind(query['gate'][0])))
        await asyncio.sleep(3600)
    elif path == '/wait':
        await pass_gate(query['gate'][0])
    elif path == '/stream':
        return 200, globals()['body'](query['gate'][0]), {}
    return 200, 'ok', {}
def release(method, path, params, query, headers, body):
    lock.release()
    return 200, 'ok', {}
";

async fn begin() -> Turn {
    Turn::with(HANDLER, |builder| {
        builder.lost_after(Duration::from_millis(1))
    })
    .await
}

/// Runs with time limits that do not pass before those of the other calls.
fn patient(turn: &Turn, path: &str) -> JoinHandle<httpy_tests::app::Answer> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let service = turn.app.service();
    let service = service.with_deadline(DAY).with_chunk_timeout(DAY);
    tokio::spawn(ask(service, get(&turn.gated(path))))
}

#[tokio::test]
async fn a_loop_that_a_call_keeps_for_good_is_replaced() {
    let turn = begin().await;
    let waiting = patient(&turn, "/wait");
    let _held = turn.gate.arrival().await;
    let (stuck, held) = turn.begin_call("/stuck").await;
    drop(held);
    expire(stuck).await;
    // Put to the loop before it is replaced, most likely.
    assert_eq!(turn.ask("/").await, "ok");
    let answer = waiting.await.unwrap();
    assert_eq!(answer.status, 502, "{answer:?}");
    if executor::are_processes() {
        log::wait_for(
            "",
            "was killed, as a call in it did not end after its deadline",
        )
        .await;
        return;
    }
    turn.line("httpy-loop is lost: ").await;
    let release = turn.app.handler("release");
    assert_eq!(ask(release, get("/")).await.status, 200);
    log::wait_for("", "httpy-loop, which was lost, has ended").await;
    assert_eq!(turn.ask("/").await, "ok");
}

#[tokio::test]
async fn a_loop_that_no_call_keeps_for_good_is_replaced_for_an_overdue_one() {
    let turn = begin().await;
    let (stuck, held) = turn.begin_call("/behind").await;
    let streamed = patient(&turn, "/stream");
    let _held = turn.gate.arrival().await;
    drop(held);
    // The task that it leaves behind has come to where the loop stays.
    drop(turn.gate.arrival().await);
    expire(stuck).await;
    assert_eq!(turn.ask("/").await, "ok");
    assert!(streamed.await.is_err(), "the body breaks off");
}

#[tokio::test]
async fn without_replacements_a_loop_is_lost_until_it_comes_back() {
    if executor::lacks(OfThreads::LostWorkers) {
        return;
    }
    let turn = Turn::with(HANDLER, |builder| {
        builder.lost_after(Duration::from_millis(1)).replacements(0)
    })
    .await;
    let (stuck, held) = turn.begin_call("/stuck").await;
    drop(held);
    expire(stuck).await;
    let line = turn.line("httpy-loop is lost: ").await;
    assert!(line.message.ends_with("; not replaced"), "{line:?}");
    let ready = || ask(turn.app.python.readiness(), get("/"));
    assert_eq!(ready().await.status, 503);
    let release = turn.app.handler("release");
    assert_eq!(ask(release, get("/")).await.status, 200);
    assert_eq!(turn.ask("/").await, "ok");
    for _ in 0..100_000 {
        if ready().await.status == 200 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it is not ready again");
}
