//! The start and the end: init and shutdown functions, and what is left on the loop.

use std::time::Duration;

use httpy_tests::app::App;
use httpy_tests::child::Server;
use httpy_tests::client::request;
use httpy_tests::executor::{self, Options};
use httpy_tests::gate::Gate;

use super::turn::{SOURCE, Turn};

const HANDLER: &str = "
async def handle(method, path, params, query, headers, body):
    return 200, 'ok', {}
";

#[tokio::test]
async fn an_async_init_runs_on_the_loop_and_its_routes_count() {
    let source = format!(
        "{SOURCE}
async def init():
    global queue
    await asyncio.sleep(0)
    queue = asyncio.Queue()
    return {{'/hello/:name': ['GET', threading.current_thread().name]}}
def handle(method, path, params, query, headers, body):
    return 200, 'ok', {{}}
"
    );
    let turn = Turn::begin(&source.replace(SOURCE, "")).await;
    let routes: Vec<_> = turn
        .app
        .routes()
        .map()
        .iter()
        .map(|(route, methods)| (route.to_owned(), methods.to_vec()))
        .collect();
    assert_eq!(
        routes,
        [(
            "/hello/:name".to_owned(),
            vec!["GET".to_owned(), "httpy-loop".to_owned()]
        )]
    );
}

#[tokio::test]
async fn an_async_init_fails_as_a_plain_one_does() {
    let turn = Turn::begin(HANDLER).await;
    for (body, message) in [
        (
            "await asyncio.sleep(0); {}['absent']",
            "init raised KeyError: 'absent'",
        ),
        ("raise SystemExit(3)", "init raised SystemExit: 3"),
        ("return 5", "init returned int: expected a dict of routes"),
    ] {
        let source = format!("import asyncio\nasync def init():\n    {body}\n{HANDLER}");
        let error = App::try_with(&source, |builder| builder.at_once(4)).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.is_init_result(), body.starts_with("return"));
        if let Some(exception) = error.exception() {
            let traceback = exception.traceback();
            assert!(
                traceback.contains("in init\n") && !traceback.contains("httpy_rs"),
                "{traceback}"
            );
        }
    }
    assert_eq!(turn.ask("/").await, "ok");
}

fn server(source: &str) -> Server {
    let server = Server::new(&format!("{SOURCE}{source}"));
    server.config(|config| {
        config.shutdown_function = Some(config.target.replace(":handle", ":stop"));
        config.executor = executor::with_one_interpreter();
    })
}

#[tokio::test]
async fn a_shutdown_function_is_called_once_before_atexit_wherever_it_runs() {
    for (definition, thread) in [("async def", "httpy-loop"), ("def", "MainThread")] {
        let child = server(&format!(
            "
import atexit
atexit.register(print, 'at exit')
{definition} stop():
    print('stopped on', threading.current_thread().name)
{HANDLER}"
        ));
        let child = child.start().await;
        assert_eq!(child.get("/").await.text(), "ok");
        child.signal("INT").await;
        let ended = child.wait().await;
        ended.assert_code(0);
        let said = ["stopped on", "at exit"];
        let said: Vec<&str> = ended
            .printed()
            .lines()
            .filter(|line| said.iter().any(|text| line.contains(text)))
            .collect();
        let [stopped, at_exit] = said[..] else {
            panic!("{ended:?}")
        };
        assert!(
            stopped.contains(&format!("stopped on {thread}")) && at_exit.contains("at exit"),
            "{ended:?}"
        );
        assert!(
            !ended.stderr.contains("WARN") && !ended.stderr.contains("ERROR"),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn what_a_shutdown_function_raises_is_logged_and_the_end_goes_on() {
    for (definition, body, expected) in [
        (
            "async def",
            "raise ValueError('mine')",
            "stop raised ValueError: mine",
        ),
        ("def", "sys.exit(3)", "stop raised SystemExit: 3"),
        (
            "async def",
            "await asyncio.sleep(3600)",
            "stop raised TimeoutError: it did not end within 5.0 s",
        ),
    ] {
        let source = format!(
            "import atexit\natexit.register(print, 'at exit')\n{definition} stop():\n    {body}\n{HANDLER}"
        );
        let child = server(&source).start().await;
        child.signal("INT").await;
        let ended = child.wait().await;
        ended.assert_code(0);
        ended.assert_says(&[expected]);
        assert!(ended.printed().contains("at exit"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_shutdown_function_that_cannot_be_called_fails_the_start() {
    let ended = server(&format!("def stop(app): pass\n{HANDLER}"))
        .fail()
        .await;
    ended.assert_says(&[
        "stop takes (app): expected a function without arguments",
        "[\"signature\"]",
    ]);
}

#[tokio::test]
async fn what_is_left_on_the_loop_is_cancelled_at_the_end() {
    let gate = Gate::new().await;
    let child = server(
        "
async def behind():
    try:
        await asyncio.sleep(3600)
    finally:
        print('behind was cancelled')
async def generator():
    try:
        yield 1
        yield 2
    finally:
        print('the generator was closed')
kept = []
async def stop():
    print('background', kept[0] in asyncio.all_tasks())
async def handle(method, path, params, query, headers, body):
    kept.append(asyncio.create_task(behind()))
    kept.append(generator())
    await kept[-1].__anext__()
    try:
        await pass_gate(path[1:])
    finally:
        print('the handler was cancelled')
",
    )
    .setup(|setup| setup.grace = Duration::from_millis(100))
    .start()
    .await;
    let mut connection = child.connect().await;
    connection
        .send(&request("GET", &format!("/{}", gate.port), &[], b""))
        .await;
    let _held = gate.arrival().await;
    child.signal("INT").await;
    assert_eq!(connection.receive("GET").await.status, 503);
    let ended = child.wait().await;
    ended.assert_code(0);
    for said in [
        "the handler was cancelled",
        "background True",
        "behind was cancelled",
        "the generator was closed",
    ] {
        assert!(ended.printed().contains(said), "{said}: {ended:?}");
    }
    assert!(
        !ended.stderr.contains("ERROR") && !ended.stderr.contains("Task was destroyed"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_task_that_does_not_end_is_named_and_left_behind() {
    let child = server(
        "
async def behind():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
async def stop():
    pass
async def handle(method, path, params, query, headers, body):
    handle.task = asyncio.create_task(behind(), name='stubborn')
    return 200, 'left', {}
",
    )
    .start()
    .await;
    assert_eq!(child.get("/").await.text(), "left");
    child.signal("INT").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    ended.assert_says(&[
        "tasks were left behind at the end of their event loop",
        "cancelled: stubborn",
    ]);
}

#[tokio::test]
async fn what_a_task_raises_that_nobody_awaits_is_logged() {
    let child = server(
        "
async def behind():
    raise ValueError('behind')
async def stop():
    pass
async def handle(method, path, params, query, headers, body):
    asyncio.create_task(behind())
    await asyncio.sleep(0)
    gc.collect()
    return 200, 'left', {}
",
    )
    .start()
    .await;
    assert_eq!(child.get("/").await.text(), "left");
    child.wait_for("ValueError: behind").await;
    child.signal("INT").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    assert_eq!(
        ended
            .stderr
            .matches("Task exception was never retrieved")
            .count(),
        1,
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_handler_that_exits_or_stops_the_loop_ends_nothing() {
    let child = server(
        "
async def stop():
    pass
async def handle(method, path, params, query, headers, body):
    if path == '/stop':
        asyncio.get_running_loop().stop()
    if path != '/now' and path != '/ok':
        await asyncio.sleep(0)
    if path != '/ok' and path != '/stop':
        raise SystemExit(3)
    return 200, 'ok', {}
",
    )
    .start()
    .await;
    for (path, status) in [
        ("/now", 500),
        ("/later", 500),
        ("/stop", 200),
        ("/ok", 200),
        ("/now", 500),
        ("/ok", 200),
    ] {
        assert_eq!(child.get(path).await.status, status, "{path}");
    }
    child.signal("INT").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    assert!(!ended.stderr.contains("never retrieved"), "{ended:?}");
    assert!(ended.stderr.contains("raised SystemExit: 3"), "{ended:?}");
}

#[tokio::test]
async fn a_pool_that_is_dropped_ends_its_loop_and_the_next_one_has_another() {
    let source = format!(
        "{HANDLER}
async def ident(method, path, params, query, headers, body):
    handle.task = asyncio.create_task(asyncio.sleep(3600))
    return 200, str(id(asyncio.get_running_loop())), {{}}
loops = lambda: [thread for thread in threading.enumerate() if thread.name.startswith('httpy-loop')]
async def count(method, path, params, query, headers, body):
    return 200, str(len(loops())), {{}}
"
    );
    for _ in 0..5 {
        let turn = Turn::begin(&source).await;
        let ident = turn.app.handler("ident");
        assert_eq!(
            httpy_tests::app::ask(ident, httpy_tests::app::get("/"))
                .await
                .status,
            200
        );
    }
    let turn = Turn::begin(&source).await;
    let count = turn.app.handler("count");
    loop {
        let answer = httpy_tests::app::ask(count.clone(), httpy_tests::app::get("/")).await;
        if answer.text() == "1" {
            break;
        }
    }
}
