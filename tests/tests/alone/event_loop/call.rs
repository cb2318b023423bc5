//! What an async handler can count on while it runs, and what becomes of what it gives.

use std::collections::HashSet;

use futures_util::future::join_all;
use httpy_tests::app::{ask, get, post};
use httpy_tests::child::Server;

use super::turn::{SOURCE, Turn};

#[tokio::test]
async fn an_async_handler_answers_by_the_same_contract() {
    let turn = Turn::begin(
        "
async def handle(method, path, params, query, headers, body):
    await asyncio.sleep(0)
    return 201, f'{method} {path} {query} {body}', {'X-Test': ['1', '2']}
async def take_bytes(method, path, params, query, headers, body: bytes):
    return 200, bytes(reversed(body)), {}
",
    )
    .await;
    let answer = turn.app.ask(post("/here?a=1", "text")).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (201, "POST /here {'a': ['1']} text")
    );
    assert_eq!(answer.header("x-test"), "1");
    let answer = ask(turn.app.handler("take_bytes"), post("/", "abc")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "cba"));
}

#[tokio::test]
async fn three_hundred_handlers_wait_at_once_on_one_loop() {
    let turn = Turn::begin(
        "
async def handle(method, path, params, query, headers, body):
    if path == '/count':
        return 200, str(len(asyncio.all_tasks()) - 1), {}  # without the root task
    await pass_gate(query['gate'][0])
    return 200, threading.current_thread().name, {}
",
    )
    .await;
    let calls: Vec<_> = (0..300).map(|_| turn.call("/")).collect();
    let mut held = Vec::new();
    for _ in &calls {
        held.push(turn.gate.arrival().await);
    }
    assert_eq!(turn.ask("/count").await, "301");
    drop(held);
    for call in calls {
        assert_eq!(call.await.unwrap().text(), "httpy-loop");
    }
    turn.until("/count", "1").await;
}

#[tokio::test]
async fn each_call_has_a_context_of_its_own_and_knows_its_request() {
    let turn = Turn::begin(
        "
variable = contextvars.ContextVar('variable', default='unset')
async def handle(method, path, params, query, headers, body):
    before = variable.get()
    variable.set(path)
    if 'gate' in query:
        await pass_gate(query['gate'][0])
    await asyncio.sleep(0)
    inner = await asyncio.gather(inside(), asyncio.create_task(inside()))
    return 200, f'{before} {variable.get()} {inner} {httpy_rs.request().target.partition(\"?\")[0]}', {}
async def inside():
    await asyncio.sleep(0)
    return variable.get()
",
    )
    .await;
    let calls: Vec<_> = (0..20)
        .map(|number| turn.call(&format!("/{number}")))
        .collect();
    for _ in &calls {
        drop(turn.gate.arrival().await);
    }
    for (number, call) in calls.into_iter().enumerate() {
        let path = format!("/{number}");
        assert_eq!(
            call.await.unwrap().text(),
            format!("unset {path} ['{path}', '{path}'] {path}")
        );
    }
}

#[tokio::test]
async fn the_current_task_is_the_calls_own_from_its_first_step_on() {
    let turn = Turn::begin(
        "
async def handle(method, path, params, query, headers, body):
    first = asyncio.current_task()
    if path == '/wait':
        await asyncio.sleep(0.001)
    loop = asyncio.get_running_loop()
    same = first is asyncio.current_task() and first in asyncio.all_tasks() and isinstance(first, asyncio.Task)
    return 200, f'{same} {first.get_name()} {id(first)} {loop.is_running()}', {}
",
    )
    .await;
    let mut ids = HashSet::new();
    for path in ["/", "/wait"] {
        let text = turn.ask(path).await;
        let parts: Vec<&str> = text.split(' ').collect();
        assert_eq!(
            (parts[0], parts[1], parts[3]),
            ("True", turn.app.target("handle").as_str(), "True")
        );
        ids.insert(parts[2].to_owned());
    }
}

#[tokio::test]
async fn what_asyncio_offers_works() {
    let turn = Turn::begin(
        "
async def group():
    async with asyncio.TaskGroup() as tasks:
        one, two = tasks.create_task(asyncio.sleep(0, 1)), tasks.create_task(asyncio.sleep(0, 2))
    return [one.result(), two.result()]
async def timeout():
    try:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(3600)
    except TimeoutError:
        return 'timed out'
async def wait_for():
    try:
        await asyncio.wait_for(asyncio.sleep(3600), 0.001)
    except asyncio.TimeoutError:
        return 'timed out'
async def executor():
    return await asyncio.get_running_loop().run_in_executor(None, lambda: threading.current_thread() is not here)
async def semaphore():
    async with asyncio.Semaphore(1):
        return await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))
async def subprocess():
    process = await asyncio.create_subprocess_exec(sys.executable, '-c', 'print(5)', stdout=-1)
    return (await process.communicate())[0]
here = None
async def handle(method, path, params, query, headers, body):
    global here
    here = threading.current_thread()
    return 200, str(await globals()[path[1:]]()), {}
",
    )
    .await;
    for (path, expected) in [
        ("/group", "[1, 2]"),
        ("/timeout", "timed out"),
        ("/wait_for", "timed out"),
        ("/executor", "True"),
        ("/semaphore", "[1, 2]"),
        ("/subprocess", "b'5\\n'"),
    ] {
        assert_eq!(turn.ask(path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn sync_and_async_handlers_of_one_app_run_side_by_side() {
    let turn = Turn::begin(
        "
async def handle(method, path, params, query, headers, body):
    await pass_gate(query['gate'][0])
    return 200, threading.current_thread().name, {}
def plain(method, path, params, query, headers, body):
    return 200, threading.current_thread().name.rpartition('-')[0], {}
def blocking(method, path, params, query, headers, body):
    block_at_gate(query['gate'][0])
    return 200, 'unblocked', {}
",
    )
    .await;
    let (call, held) = turn.begin_call("/").await;
    let (blocked, blocking) = turn
        .gate
        .hold(ask(turn.app.handler("blocking"), get(&turn.gated("/"))))
        .await;
    assert_eq!(
        ask(turn.app.handler("plain"), get("/")).await.text(),
        "httpy-worker"
    );
    let (other, also_held) = turn.begin_call("/").await;
    drop((held, blocking, also_held));
    assert_eq!(call.await.unwrap().text(), "httpy-loop");
    assert_eq!(other.await.unwrap().text(), "httpy-loop");
    assert_eq!(blocked.await.unwrap().text(), "unblocked");
}

#[tokio::test]
async fn what_goes_wrong_is_told_in_the_words_that_hold_for_sync_handlers() {
    let source = "
class Failure(Exception):
    pass
async def handle(method, path, params, query, headers, body):
    if query:
        await asyncio.sleep(0)
    if path == '/raise':
        raise Failure('mine')
    if path == '/exit':
        raise SystemExit(3)
    if path == '/interrupt':
        raise KeyboardInterrupt
    if path == '/cancelled':
        raise asyncio.CancelledError
    if path == '/number':
        return 5
    if path == '/pair':
        return 200, 'x'
    return '200', 'x', {}
";
    let turn = Turn::begin(source).await;
    let target = turn.app.target("handle");
    for query in ["", "?wait"] {
        for (path, expected) in [
            (
                "/raise",
                format!("{target} raised {}.Failure: mine", turn.app.module),
            ),
            ("/exit", format!("{target} raised SystemExit: 3")),
            ("/interrupt", format!("{target} raised KeyboardInterrupt")),
            (
                "/cancelled",
                format!("{target} raised asyncio.exceptions.CancelledError"),
            ),
            (
                "/number",
                format!("{target} returned int: expected a tuple (status, body, headers)"),
            ),
            (
                "/pair",
                format!(
                    "{target} returned (int, str): expected 3 items (status, body, headers), found 2"
                ),
            ),
            (
                "/status",
                format!(
                    "{target} returned (str, str, dict): expected status to be an int, found str"
                ),
            ),
        ] {
            let answer = turn.app.ask(get(&format!("{path}{query}"))).await;
            assert_eq!(
                (answer.status, answer.message()),
                (500, expected),
                "{path}{query}"
            );
            if path == "/raise" {
                let error = answer.error.unwrap();
                let traceback = error.exception().unwrap().traceback();
                assert!(
                    traceback.contains("in handle\n    raise Failure('mine')"),
                    "{traceback}"
                );
                assert!(!traceback.contains("_event_loop.py"), "{traceback}");
            }
        }
    }
}

#[tokio::test]
async fn a_task_that_a_handler_leaves_behind_goes_on() {
    let turn = Turn::begin(
        "
done = []
async def behind(port):
    await pass_gate(port)
    done.append('done')
async def handle(method, path, params, query, headers, body):
    if path == '/done':
        return 200, str(done), {}
    handle.task = asyncio.create_task(behind(query['gate'][0]))
    return 200, 'left', {}
",
    )
    .await;
    assert_eq!(turn.ask(&turn.gated("/")).await, "left");
    let held = turn.gate.arrival().await;
    assert_eq!(turn.ask("/done").await, "[]");
    drop(held);
    turn.until("/done", "['done']").await;
}

#[tokio::test]
async fn five_thousand_sleepers_are_all_answered() {
    // They all come before anybody has taken the first.
    let turn = Turn::with(
        "
async def handle(method, path, params, query, headers, body):
    await asyncio.sleep(0.2)
    return 200, '', {}
",
        |builder| builder.queue(5000),
    )
    .await;
    let service = turn.app.service();
    let calls = (0..5000).map(|_| tokio::spawn(ask(service.clone(), get("/"))));
    let statuses: Vec<u16> = join_all(calls)
        .await
        .into_iter()
        .map(|answer| answer.unwrap().status)
        .collect();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

#[tokio::test]
async fn what_a_destructor_asks_of_the_loop_as_a_task_is_made_is_done() {
    // In place of a garbage collection at that moment.
    let source = format!(
        "{SOURCE}
done, task = [], asyncio.Task
def collecting(*arguments, **keywords):
    asyncio.get_running_loop().call_soon(done.append, 'done')
    return task(*arguments, **keywords)
asyncio.Task = collecting
async def handle(method, path, params, query, headers, body):
    await asyncio.sleep(0)
    return 200, ' '.join(done), {{}}
"
    );
    let child = Server::new(&source).start().await;
    assert_eq!(child.get("/").await.text(), "done");
}
