//! Handlers that run the loop again from their first step, as `nest_asyncio` lets them: other calls are served meanwhile.

use std::time::Duration;

use super::turn::{Turn, expire};

const HANDLER: &str = "
freed, cancelled = {}, []
def run_again(future):
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    asyncio.tasks._leave_task(loop, task)
    try:
        while not future.done():
            try:
                loop._run_once()
            except IndexError:
                pass  # what it had counted to run, a loop within it has run
    finally:
        asyncio.tasks._enter_task(loop, task)
async def handle(method, path, params, query, headers, body):
    if path == '/block':
        block_at_gate(query['gate'][0])
    elif path == '/cancelled':
        return 200, ' '.join(cancelled), {}
    elif path == '/free':
        freed[query['name'][0]].set_result(None)
    elif path == '/again':
        name = query['name'][0]
        freed[name] = asyncio.get_running_loop().create_future()
        if 'gate' in query:
            asyncio.ensure_future(pass_gate(query['gate'][0]))
        run_again(freed[name])
        if 'sleep' in query:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancelled.append(name)
                raise
    return 200, 'ok', {}
";

async fn begin() -> Turn {
    Turn::with(HANDLER, |builder| {
        builder
            .uvloop(false)
            .loop_blocked_after(Duration::from_secs(3600))
    })
    .await
}

#[tokio::test]
async fn calls_that_come_while_the_loop_runs_again_are_served() {
    let turn = begin().await;
    let mut calls = Vec::new();
    for name in 0..3 {
        // It is at the gate, so the loop runs again.
        let (call, held) = turn.begin_call(&format!("/again?name={name}")).await;
        calls.push((name, call));
        drop(held);
    }
    while let Some((name, call)) = calls.pop() {
        assert_eq!(turn.ask(&format!("/free?name={name}")).await, "ok");
        assert_eq!(call.await.unwrap().text(), "ok");
    }
}

#[tokio::test]
async fn calls_that_were_taken_together_with_one_that_runs_the_loop_again_are_served() {
    let turn = begin().await;
    let (blocked, held) = turn.begin_call("/block").await;
    let calls = [
        "/again?name=1",
        "/again?name=2",
        "/free?name=2",
        "/free?name=1",
    ];
    let mut calls: Vec<_> = calls.map(|path| turn.call(path)).into();
    calls.push(blocked);
    tokio::task::yield_now().await;
    drop(held);
    for call in calls {
        assert_eq!(call.await.unwrap().text(), "ok");
    }
}

#[tokio::test]
async fn what_is_cancelled_while_it_runs_the_loop_again_is_cancelled_as_it_waits() {
    let turn = begin().await;
    for leaves in [true, false] {
        let name = if leaves { "leaves" } else { "late" };
        let path = format!("/again?sleep=1&name={name}");
        let (call, _held) = turn.begin_call(&path).await;
        if leaves {
            call.abort();
        } else {
            expire(call).await;
        }
        turn.ask(&format!("/free?name={name}")).await;
        let expected = if leaves { "leaves" } else { "leaves late" };
        turn.until("/cancelled", expected).await;
    }
}
