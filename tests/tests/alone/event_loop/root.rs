//! The root task of a loop: there from the first call to the end, and found by those who look for it.

use httpy_tests::child::Server;
use httpy_tests::executor;

use super::turn::SOURCE;

/// As `anyio` finds the task that its worker threads live as long as.
const ROOT: &str = "
def is_of_run(callback):
    return callback is asyncio.base_events._run_until_complete_cb or callback.__module__ == 'uvloop.loop'
def roots():
    return [task for task in asyncio.all_tasks() if any(is_of_run(done) for done, _ in task._callbacks or ())]
";

#[tokio::test]
async fn a_loop_has_one_root_task_whatever_handlers_do_and_it_ends_last() {
    let source = format!(
        "{SOURCE}{ROOT}
release, kept = threading.Event(), []
async def behind():
    try:
        await asyncio.sleep(3600)
    finally:
        print('a task ended')
        release.set()
async def generator():
    try:
        yield 1
        yield 2
    finally:
        print('a generator ended')
def in_executor(loop):
    release.wait()
    loop.call_soon_threadsafe(print, 'an executor ended')
async def leave(loop):
    kept.append(asyncio.create_task(behind()))
    kept.append(generator())
    await kept[-1].__anext__()
    loop.run_in_executor(None, in_executor, loop)
    roots()[0].add_done_callback(lambda _: print('the root ended'))
async def handle(method, path, params, query, headers, body):
    loop = asyncio.get_running_loop()
    if path == '/exit':
        loop.call_soon(exit)
    elif path == '/stop':
        loop.stop()
    elif path == '/cancel':
        for task in asyncio.all_tasks() - {{asyncio.current_task()}}:
            task.cancel()
    elif path == '/leave':
        await leave(loop)
    await asyncio.sleep(0)
    return 200, ' '.join(str(id(task)) for task in roots()), {{}}
"
    );
    for uvloop in [false, true] {
        let child = Server::new(&source).config(|config| {
            config.executor = executor::with_one_interpreter();
            config.advanced.uvloop = uvloop;
        });
        let child = child.start().await;
        let first = child.get("/").await.text();
        assert!(!first.is_empty() && !first.contains(' '), "{first}");
        for path in ["/exit", "/stop", "/cancel", "/leave", "/"] {
            assert_eq!(child.get(path).await.text(), first, "{path}");
        }
        child.signal("INT").await;
        let ended = child.wait().await;
        ended.assert_code(0);
        let mut lines: Vec<&str> = ended
            .printed()
            .lines()
            .filter(|line| line.contains(" ended"))
            .collect();
        let last = lines.pop().unwrap_or_default();
        assert!(
            lines.len() == 3 && last.contains("the root ended"),
            "{ended:?}"
        );
        assert!(!ended.stderr.contains("ERROR"), "{ended:?}");
    }
}
