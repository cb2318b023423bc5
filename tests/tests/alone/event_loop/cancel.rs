//! What becomes of an async handler when nobody waits for it any more, and of one that blocks its loop.

use std::time::Duration;

use futures_util::future::join_all;
use httpy_tests::app::{ask, get};
use httpy_tests::gate::Gate;
use httpy_tests::log;
use tracing::Level;

use super::turn::{Turn, expire};

const SOURCE: &str = "
seen, stop = [], False
async def wait(port):
    try:
        await pass_gate(port)
        seen.append('passed')
    except asyncio.CancelledError:
        seen.append(f'cancelled {httpy_rs.client_gone()}')
        raise
shielded = []
async def shield(port):
    # Nothing else refers to it for good.
    shielded.append(asyncio.ensure_future(wait(port)))
    await asyncio.shield(shielded[-1])
async def swallow(port):
    while not stop:
        try:
            await wait(port)
        except asyncio.CancelledError:
            pass
async def raise_another(port):
    try:
        await wait(port)
    except asyncio.CancelledError:
        raise ValueError('mine')
async def block(port):
    try:
        block_at_gate(port)
    finally:
        seen.append(type(sys.exc_info()[1]).__name__)
async def spin(port):
    try:
        spin_at_gate(port)
    finally:
        seen.append(type(sys.exc_info()[1]).__name__)
async def spin_later(port):
    await asyncio.sleep(0)
    await spin(port)
def spin_at_gate(port):
    with socket.create_connection(('127.0.0.1', int(port))):
        while not stop:
            pass
async def handle(method, path, params, query, headers, body):
    global stop
    if path == '/seen':
        return 200, ' '.join(seen), {}
    if path == '/tasks':
        return 200, str(len(asyncio.all_tasks()) - 1), {}  # without the root task
    if path == '/stop':
        stop = True
        return 200, '', {}
    await globals()[path[1:]](query['gate'][0])
    return 200, 'done', {}
def plain(method, path, params, query, headers, body):
    global stop
    stop = True
    return 200, '', {}
";

#[tokio::test]
async fn a_handler_is_cancelled_at_its_deadline_and_the_log_has_its_stack() {
    let turn = Turn::begin(SOURCE).await;
    let (call, _held) = turn.begin_call("/wait").await;
    expire(call).await;
    turn.until("/seen", "cancelled True").await;
    let line = turn
        .line("did not answer within 3600s; it is cancelled")
        .await;
    assert_eq!(line.level, Level::WARN);
    for part in [
        "in handle\n    await globals()",
        "in wait\n    await pass_gate(port)",
        "in pass_gate\n",
    ] {
        assert!(line.message.contains(part), "{}", line.message);
    }
    turn.until("/tasks", "1").await;
    assert_eq!(turn.lines().len(), 1, "{:?}", turn.lines());
}

#[tokio::test]
async fn a_handler_is_cancelled_at_once_when_its_client_leaves() {
    let turn = Turn::begin(SOURCE).await;
    let (call, _held) = turn.begin_call("/wait").await;
    call.abort();
    turn.until("/seen", "cancelled True").await;
    turn.until("/tasks", "1").await;
    assert!(turn.lines().is_empty(), "{:?}", turn.lines());
}

#[tokio::test]
async fn what_a_cancelled_handler_raises_instead_is_told_where_nothing_else_is() {
    let turn = Turn::begin(SOURCE).await;
    let (call, _held) = turn.begin_call("/raise_another").await;
    call.abort();
    let line = turn.line("raised ValueError: mine").await;
    assert_eq!(line.level, Level::ERROR);
    let (call, _held) = turn.begin_call("/raise_another").await;
    expire(call).await;
    turn.line("it is cancelled").await;
    turn.until("/tasks", "1").await;
    assert_eq!(turn.lines().len(), 2, "{:?}", turn.lines());
}

#[tokio::test]
async fn what_a_handler_shields_goes_on() {
    let turn = Turn::begin(SOURCE).await;
    let (call, held) = turn.begin_call("/shield").await;
    call.abort();
    // The call is over, what it has shielded is not.
    turn.until("/tasks", "2").await;
    assert_eq!(turn.ask("/seen").await, "");
    drop(held);
    turn.until("/seen", "passed").await;
}

#[tokio::test]
async fn a_handler_that_goes_on_though_it_was_cancelled_is_told_of_once() {
    let turn = Turn::with(SOURCE, |builder| {
        builder.lost_after(Duration::from_millis(1))
    })
    .await;
    let (call, _held) = turn.begin_call("/swallow").await;
    let held = turn.gate.hold(async move {
        expire(call).await;
        std::future::pending::<()>().await;
    });
    let (_, held) = held.await;
    let line = turn.line("continues although it was cancelled").await;
    assert_eq!(line.level, Level::WARN);
    turn.ask("/stop").await;
    drop(held);
    turn.until("/tasks", "1").await;
    assert_eq!(turn.lines().len(), 2, "{:?}", turn.lines());
}

#[tokio::test]
async fn a_loop_that_computes_is_told_of_once_and_freed_at_the_deadline() {
    for (path, first) in [("/spin", true), ("/spin_later", false)] {
        let turn = Turn::with(SOURCE, |builder| {
            builder.loop_blocked_after(Duration::from_millis(50))
        })
        .await;
        let (call, _held) = turn.begin_call(path).await;
        let line = turn.line("has been blocked for").await;
        assert_eq!(line.level, Level::WARN);
        assert!(
            line.message.contains("in spin_at_gate\n") && line.message.contains("in handle\n"),
            "{line:?}"
        );
        assert!(!line.message.contains("asyncio/base_events.py"), "{line:?}");
        expire(call).await;
        turn.line("did not answer within 3600s; it is interrupted")
            .await;
        turn.until("/seen", "DeadlineExceeded").await;
        turn.until("/tasks", "1").await;
        assert_eq!(turn.lines().len(), 2, "{first}: {:?}", turn.lines());
    }
}

#[tokio::test]
async fn a_loop_that_is_blocked_in_c_code_is_told_of_and_goes_on_when_that_returns() {
    let turn = Turn::with(SOURCE, |builder| {
        builder.loop_blocked_after(Duration::from_millis(50))
    })
    .await;
    let (call, held) = turn.begin_call("/block").await;
    let line = turn.line("has been blocked for").await;
    assert!(line.message.contains("in block_at_gate\n"), "{line:?}");
    // Sync handlers are not held up.
    assert_eq!(ask(turn.app.handler("plain"), get("/")).await.status, 200);
    drop(held);
    assert_eq!(call.await.unwrap().text(), "done");
    assert_eq!(turn.ask("/seen").await, "NoneType");
    assert_eq!(turn.lines().len(), 1, "{:?}", turn.lines());
}

#[tokio::test]
async fn a_loop_that_no_call_blocks_is_told_of_too() {
    let source = format!(
        "{SOURCE}
async def behind(port):
    block_at_gate(port)
async def leave_behind(port):
    leave_behind.task = asyncio.ensure_future(behind(port))
    await pass_gate(port)
"
    );
    let turn = Turn::with(&source, |builder| {
        builder.loop_blocked_after(Duration::from_millis(50))
    })
    .await;
    let call = turn.call("/leave_behind");
    let held = turn.gate.arrival().await;
    // Without a handler the log has what was said of other apps, too.
    let line = log::wait_for("", "in behind\n").await;
    assert!(line.message.contains("by a background task"), "{line:?}");
    drop(held);
    drop(turn.gate.arrival().await);
    assert_eq!(call.await.unwrap().text(), "done");
}

#[tokio::test]
async fn a_call_that_ends_as_it_is_cancelled_is_answered_once_or_left_once() {
    let turn = Turn::with(
        "
async def handle(method, path, params, query, headers, body):
    await asyncio.sleep(int(path[1:]) / 1e6)
    return 200, 'done', {}
async def tasks(method, path, params, query, headers, body):
    return 200, str(len(asyncio.all_tasks()) - 1), {}  # without the root task
",
        |builder| builder.deadline(Duration::from_millis(4)),
    )
    .await;
    let clients = (0..8).map(|client: u32| {
        let service = turn.app.service();
        tokio::spawn(async move {
            let mut counts = [0; 2];
            for round in 0..150 {
                // Around the deadline; or the client leaves around the end.
                let micros = 3500 + (client * 97 + round * 31) % 1000;
                let call = ask(service.clone(), get(&format!("/{micros}")));
                let leaves = tokio::time::timeout(Duration::from_micros(u64::from(micros)), call);
                match if round % 2 == 0 {
                    leaves.await.ok()
                } else {
                    None
                } {
                    Some(answer) if answer.status == 200 => counts[0] += 1,
                    Some(answer) => assert!([503, 504].contains(&answer.status), "{answer:?}"),
                    None => {
                        let answer = ask(service.clone(), get(&format!("/{micros}"))).await;
                        assert!([200, 503, 504].contains(&answer.status), "{answer:?}");
                        counts[usize::from(answer.status != 200)] += 1;
                    }
                }
            }
            counts
        })
    });
    let counts: Vec<[u32; 2]> = join_all(clients)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let [answered, late] = counts
        .iter()
        .fold([0, 0], |sum, count| [sum[0] + count[0], sum[1] + count[1]]);
    assert!(
        answered > 0 && late > 0,
        "{answered} were answered, {late} were late"
    );
    let tasks = turn.app.handler("tasks");
    loop {
        let answer = ask(tasks.clone(), get("/")).await;
        if answer.text() == "1" {
            break;
        }
    }
    let expected = ["did not answer within 4ms", "no worker was free within 4ms"];
    assert!(
        turn.lines()
            .iter()
            .all(|line| expected.iter().any(|text| line.contains(text))),
        "{:?}",
        turn.lines()
    );
}

#[tokio::test]
async fn a_call_that_is_withdrawn_before_its_first_step_never_runs() {
    let turn = Turn::begin(SOURCE).await;
    let gate = Gate::new().await;
    let (call, held) = turn.begin_call("/block").await;
    let waiting = turn.call(&format!("/wait?gate={}", gate.port));
    tokio::task::yield_now().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    drop(held);
    assert_eq!(call.await.unwrap().text(), "done");
    assert_eq!(turn.ask("/seen").await, "NoneType");
}
