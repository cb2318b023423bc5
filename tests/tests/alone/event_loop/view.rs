//! What the snapshot shows of event loops: their calls, and what blocks them.

use std::sync::{Barrier, LazyLock};
use std::time::Duration;

use httpy::{EventLoop, Stacks};
use httpy_tests::executor::{self, OfThreads};
use tokio::task::{spawn_blocking, yield_now};

use super::turn::Turn;

const SOURCE: &str = "
import ctypes

def init():
    return {'/wait': ['GET'], '/block': ['GET'], '/block_later': ['GET'], '/attached': ['GET']}

async def handle(method, path, params, query, headers, body):
    if path == '/block_later':
        await asyncio.sleep(0)
    if path.startswith('/block'):
        block_at_gate(query['gate'][0])
    if path == '/wait':
        await pass_gate(query['gate'][0])
    if path == '/attached':
        ctypes.PYFUNCTYPE(None)(int(query['function'][0]))()
    return 200, 'done', {}
";

async fn turn() -> Turn {
    Turn::with(SOURCE, |builder| {
        builder.loop_blocked_after(Duration::from_millis(50))
    })
    .await
}

/// The loop, as soon as the snapshot shows it, and as it should be. On a busy machine the thread that knows the worker
/// processes may be asked in vain.
async fn until(turn: &Turn, is_it: impl Fn(&EventLoop) -> bool) -> EventLoop {
    loop {
        let loops = turn.app.python.snapshot().workers.loops;
        match &loops[..] {
            [event_loop] if is_it(event_loop) => return event_loop.clone(),
            [] | [_] => yield_now().await,
            _ => panic!("{loops:?}"),
        }
    }
}

/// The loop with stacks, as soon as the interpreter was to be had in time: this machine may be busy.
async fn with_stacks(turn: &Turn) -> EventLoop {
    loop {
        let snapshot = turn.app.python.snapshot_with_stacks().await;
        if snapshot.stacks == Stacks::Read
            && let [event_loop] = &snapshot.workers.loops[..]
        {
            return event_loop.clone();
        }
    }
}

#[tokio::test]
async fn a_loop_shows_its_oldest_calls_and_what_they_await() {
    let turn = turn().await;
    let mut held = Vec::new();
    for _ in 0..9 {
        held.push(turn.begin_call("/wait").await);
    }
    let shown = with_stacks(&turn).await;
    let name = if executor::are_processes() {
        "httpy-process-1"
    } else {
        "httpy-loop"
    };
    assert_eq!(
        (
            shown.name.as_str(),
            shown.calls,
            shown.waiting,
            shown.oldest.len()
        ),
        (name, 9, 0, 8)
    );
    assert!(shown.blocked_by.is_none(), "{shown:?}");
    for one in &shown.oldest {
        let current = (
            one.call.target.clone(),
            one.call.method.as_str(),
            one.call.path.as_str(),
        );
        assert_eq!(current, (turn.app.target("handle"), "GET", "/wait"));
        let stack = one.stack.as_deref().unwrap_or_default();
        assert!(
            stack.contains("in handle\n") && stack.contains("in pass_gate\n"),
            "{stack}"
        );
    }
    assert!(
        shown
            .oldest
            .is_sorted_by(|one, other| one.call.elapsed >= other.call.elapsed),
        "{shown:?}"
    );
    // Without being asked for there are none.
    assert_eq!(until(&turn, |_| true).await.oldest[0].stack, None);
    for (call, held) in held {
        drop(held);
        assert_eq!(call.await.unwrap().status, 200);
    }
    // Rung by a look, it comes round.
    let shown = until(&turn, |shown| shown.lag.is_some() && shown.calls == 0).await;
    assert!(
        shown.oldest.is_empty() && shown.blocked_for.is_none(),
        "{shown:?}"
    );
}

#[tokio::test]
async fn a_blocked_loop_names_the_call_that_blocks_it_and_those_that_wait() {
    let turn = turn().await;
    for path in ["/block", "/block_later"] {
        let (blocking, held) = turn.begin_call(path).await;
        let waiting = turn.call("/wait");
        let shown = until(&turn, |shown| {
            shown.blocked_by.is_some() && shown.waiting == 1
        })
        .await;
        assert_eq!(
            shown.blocked_by.map(|call| call.path).as_deref(),
            Some(path)
        );
        assert!(
            shown.blocked_for >= Some(Duration::from_millis(50)) && shown.calls == 2,
            "{path}"
        );
        assert!(shown.lag.is_some_and(|lag| lag > Duration::ZERO), "{path}");
        let shown = with_stacks(&turn).await;
        let of_call = shown.oldest[0].stack.as_deref().unwrap_or_default();
        for stack in [shown.stack.as_deref().unwrap_or_default(), of_call] {
            assert!(
                stack.contains("in handle\n") && stack.contains("in block_at_gate\n"),
                "{path}: {stack}"
            );
        }
        let shown = serde_json::to_value(until(&turn, |_| true).await).unwrap();
        assert_eq!(
            (&shown["blocked_by"]["path"], &shown["oldest"][0]["path"]),
            (&path.into(), &path.into()),
            "{shown}"
        );
        assert!(shown["blocked_for"].as_f64() >= Some(0.05), "{shown}");
        drop(held);
        assert_eq!(blocking.await.unwrap().status, 200);
        drop(turn.gate.arrival().await);
        assert_eq!(waiting.await.unwrap().status, 200);
        assert_eq!(
            until(&turn, |shown| shown.calls == 0).await.blocked_for,
            None
        );
    }
}

/// What C code that forgot to detach does: it waits, and the interpreter with it.
extern "C" fn wait_attached() {
    ATTACHED.wait();
    ATTACHED.wait();
}

static ATTACHED: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));

#[tokio::test]
async fn a_loop_whose_call_holds_the_interpreter_is_shown_as_blocked_without_it() {
    if executor::lacks(OfThreads::HeldInterpreter) {
        return;
    }
    let turn = turn().await;
    let function = format!(
        "/attached?function={}",
        wait_attached as extern "C" fn() as usize
    );
    let request = httpy_tests::app::get(&function);
    let held = tokio::spawn(httpy_tests::app::ask(turn.app.service(), request));
    spawn_blocking(|| ATTACHED.wait()).await.unwrap();
    let shown = until(&turn, |shown| shown.blocked_for.is_some()).await;
    assert_eq!(
        shown.blocked_by.map(|call| call.path).as_deref(),
        Some("/attached")
    );
    let snapshot = turn.app.python.snapshot_with_stacks().await;
    assert_eq!(snapshot.stacks, Stacks::Held);
    spawn_blocking(|| ATTACHED.wait()).await.unwrap();
    assert_eq!(held.await.unwrap().status, 200);
}
