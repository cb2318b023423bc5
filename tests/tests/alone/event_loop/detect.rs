//! Which handlers run on the event loop, and what becomes of results that nobody awaited.

use httpy_tests::app::{App, ask, get};
use httpy_tests::executor::Options;

use super::turn::Turn;

#[tokio::test]
async fn whatever_gives_a_coroutine_runs_on_the_loop() {
    let turn = Turn::begin(
        "
def thread():
    return threading.current_thread().name
async def handle(method, path, params, query, headers, body):
    await asyncio.sleep(0)
    return 200, thread(), {}
async def with_more(prefix, method, path, params, query, headers, body):
    return 200, thread(), {}
partial = functools.partial(with_more, 'prefix')
class Handler:
    async def method(self, *arguments):
        return 200, thread(), {}
    async def __call__(self, *arguments):
        return 200, thread(), {}
method = Handler().method
instance = Handler()
def pass_on(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)
    return wrapper
wrapped = pass_on(pass_on(handle))
@functools.wraps(handle)
def answers_itself(*arguments):
    return 200, thread(), {}
class Awaitable:
    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return 200, thread(), {}
@functools.wraps(handle)
def awaitable(*arguments):
    return Awaitable()
@functools.wraps(handle)
def future(*arguments):
    return asyncio.ensure_future(handle(*arguments))
",
    )
    .await;
    let attributes = [
        "handle",
        "partial",
        "method",
        "instance",
        "wrapped",
        "answers_itself",
        "awaitable",
        "future",
    ];
    for attribute in attributes {
        let answer = ask(turn.app.handler(attribute), get("/")).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "httpy-loop"),
            "{attribute}"
        );
    }
}

#[tokio::test]
async fn a_coroutine_that_was_never_awaited_is_a_contract_failure_without_a_warning() {
    let turn = Turn::begin(
        "
import warnings
warnings.simplefilter('error')
unraisable = []
sys.unraisablehook = lambda args: unraisable.append(repr(args.exc_value))
async def coroutine():
    pass
def handle(method, path, params, query, headers, body):
    return coroutine()
async def nested(method, path, params, query, headers, body):
    return coroutine()
def seen(method, path, params, query, headers, body):
    gc.collect()
    return 200, repr(unraisable), {}
",
    )
    .await;
    let expected = "returned a coroutine that was never awaited: expected a tuple (status, body, headers); await it in an \
                    async def";
    for attribute in ["handle", "nested"] {
        let answer = ask(turn.app.handler(attribute), get("/")).await;
        assert_eq!(
            (answer.status, answer.message()),
            (500, format!("{} {expected}", turn.app.target(attribute)))
        );
    }
    assert_eq!(ask(turn.app.handler("seen"), get("/")).await.text(), "[]");
}

#[tokio::test]
async fn a_generator_function_is_refused_at_the_start() {
    let turn = Turn::begin("def handle(method, path, params, query, headers, body): pass").await;
    for prefix in ["", "async "] {
        let source = format!(
            "{prefix}def handle(method, path, params, query, headers, body):\n    yield 5\n"
        );
        let error = App::try_with(&source, |builder| builder.at_once(4)).unwrap_err();
        assert!(
            error.is_generator_handler() && !error.is_signature(),
            "{error}"
        );
    }
    drop(turn);
}

#[tokio::test]
async fn uvloop_is_used_where_it_can_be_imported_and_not_where_it_is_switched_off() {
    let source = "
try:
    import uvloop
except ImportError:
    uvloop = None
async def handle(method, path, params, query, headers, body):
    await asyncio.sleep(0)
    return 200, f'{uvloop is not None} {type(asyncio.get_running_loop()).__module__.partition(\".\")[0]}', {}
";
    for wanted in [true, false] {
        let turn = Turn::with(source, |builder| builder.uvloop(wanted)).await;
        let text = turn.ask("/").await;
        if text.starts_with("False") {
            println!("uvloop cannot be imported here: nothing is tried with it");
        }
        let expected = if wanted && text.starts_with("True") {
            "uvloop"
        } else {
            "asyncio"
        };
        assert!(text.ends_with(expected), "{text}");
    }
}
