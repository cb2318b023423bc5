//! What a thread of Python's `threading` has, the threads that run handlers have: the hooks of debuggers and profilers, a
//! place in `threading`, hooks for exceptions. And each call begins with what loading the app has set.

use httpy_tests::child::{Child, Server};
use httpy_tests::client::request;
use httpy_tests::executor;

/// A server with this source, whose handler is `handle`, once as it is and once with an `async` one.
async fn both(source: &str) -> [Child; 2] {
    let asynchronous = source.replace("\ndef handle(", "\nasync def handle(");
    // What one call leaves in its module the next one finds.
    let server = |source| {
        let server = Server::new(source).init();
        server.config(|config| config.executor = executor::with_one_interpreter())
    };
    [
        server(source).start().await,
        server(&asynchronous).start().await,
    ]
}

/// Ends the server as Ctrl-C does, and gives what it has written to stderr.
async fn end(child: Child) -> String {
    child.signal("INT").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    ended.stderr
}

const CONTEXT: &str = "
import contextvars, decimal
tenant = contextvars.ContextVar('tenant', default='nobody')
decimal.getcontext().prec = 6

def init():
    tenant.set('everybody')
    return {'/': ['GET']}

def handle(method, path, params, query, headers, body):
    seen = f'{decimal.Decimal(1) / 3} {tenant.get()}'
    # What a call changes is its own.
    decimal.getcontext().prec = 3
    tenant.set('one')
    return 200, seen, None
";

#[tokio::test]
async fn calls_begin_with_the_context_that_import_and_init_have_left() {
    let inits = [
        CONTEXT.to_owned(),
        CONTEXT.replace("def init", "async def init"),
    ];
    for source in inits {
        for child in both(&source).await {
            for _ in 0..3 {
                assert_eq!(child.get("/").await.text(), "0.333333 everybody");
            }
            end(child).await;
        }
    }
}

const HOOKS: &str = "
import sys, threading
seen = {'trace': set(), 'profile': set()}

def trace(frame, event, argument):
    seen['trace'].add(frame.f_code.co_name)

def profile(frame, event, argument):
    seen['profile'].add(frame.f_code.co_name)

threading.settrace(trace)

def init():
    threading.setprofile(profile)
    return {'/': ['GET']}

def traced():
    pass

def handle(method, path, params, query, headers, body):
    traced()
    return 200, ' '.join(kind for kind, names in seen.items() if {'handle', 'traced'} <= names), None
";

#[tokio::test]
async fn what_is_set_for_all_threads_sees_the_code_of_handlers() {
    for child in both(HOOKS).await {
        for _ in 0..2 {
            assert_eq!(child.get("/").await.text(), "trace profile");
        }
        end(child).await;
    }
}

const THREAD: &str = "
import threading

def init():
    return {'/': ['GET']}

def handle(method, path, params, query, headers, body):
    thread = threading.current_thread()
    started = threading.Thread(target=print)
    facts = (
        type(thread) is threading.Thread, thread in threading.enumerate(), thread.is_alive(),
        thread.ident == threading.get_ident(), thread.native_id == threading.get_native_id(),
        thread is not threading.main_thread(), thread.name.startswith('httpy-'), not thread.daemon, not started.daemon,
    )
    return 200, str(all(facts) or facts), None
";

#[tokio::test]
async fn handlers_run_on_real_threads_of_threading() {
    for child in both(THREAD).await {
        assert_eq!(child.get("/").await.text(), "True");
        end(child).await;
    }
}

const TRACKERS: &str = "
import asyncio, contextvars, httpy_rs, logging, sys, threading
seen = []

class Tracker(logging.Handler):
    def emit(self, record):
        if record.exc_info:
            seen.append(f'log {record.exc_info[0].__name__} {httpy_rs.request().target}')

logging.getLogger().addHandler(Tracker())

def of_threads(arguments):
    seen.append(f'threads {arguments.exc_type.__name__} {arguments.thread.name[:6]}')

def of_all(kind, error, frames):
    seen.append(f'all {kind.__name__} {frames.tb_frame.f_code.co_name}')
    raise ValueError('a broken hook')

def init():
    return {'/:kind': ['GET']}

def broken():
    yield 'chunk'
    raise OSError('broken')

class Closing:
    def __iter__(self): return self
    def __next__(self): raise StopIteration
    def close(self): raise BufferError('closing')

def handle(method, path, params, query, headers, body):
    kind = path[1:]
    if kind == 'seen':
        text = ', '.join(seen)
        seen.clear()
        return 200, text, None
    if kind == 'threads':
        threading.excepthook = of_threads
    if kind == 'all':
        threading.excepthook, sys.excepthook = threading.__excepthook__, of_all
    if kind == 'chunks':
        return 200, broken(), None
    if kind == 'closing':
        return 200, Closing(), None
    if kind == 'contract':
        return 200, 5, None
    raise LookupError(kind)
";

#[tokio::test]
async fn an_exception_of_a_handler_reaches_what_the_app_has_set_up_for_exceptions() {
    for child in both(TRACKERS).await {
        for (kind, status, seen) in [
            ("lost", 500, "log LookupError /lost"),
            (
                "threads",
                500,
                "log LookupError /threads, threads LookupError httpy-",
            ),
            ("all", 500, "log LookupError /all, all LookupError handle"),
            ("contract", 500, ""),
            (
                "closing",
                200,
                "log BufferError /closing, all BufferError close",
            ),
        ] {
            assert_eq!(
                child.get(&format!("/{kind}")).await.status,
                status,
                "{kind}"
            );
            assert_eq!(child.get("/seen").await.text(), seen, "{kind}");
        }
        let mut connection = child.connect().await;
        connection.send(&request("GET", "/chunks", &[], b"")).await;
        child.wait_for("OSError: broken").await;
        assert_eq!(
            child.get("/seen").await.text(),
            "log OSError /chunks, all OSError broken"
        );
        let log = end(child).await;
        // The host's log has each once, whoever has heard of it besides.
        assert_eq!(log.matches("raised LookupError: lost").count(), 1, "{log}");
        assert!(log.contains("ValueError: a broken hook"), "{log}");
    }
}
