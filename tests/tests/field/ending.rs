//! The end of a process: what runs beside it, what it leaves behind, and what has time until then.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use httpy_tests::child::{Child, Ended, Server};
use httpy_tests::client::{Connection, request};
use httpy_tests::config::LIMIT;
use httpy_tests::executor::{self, OfThreads};
use httpy_tests::gate::Gate;

/// For calls that are still under way then.
const SHORT: Duration = Duration::from_millis(100);

const HANDLER: &str =
    "\ndef handle(method, path, params, query, headers, body):\n    return 200, 'ok', {}\n";

/// A server whose calls all run in one interpreter.
fn server(source: &str) -> Server {
    Server::new(source).config(|config| config.executor = executor::with_one_interpreter())
}

/// Sends a `GET` whose answer is read later, or never.
async fn ask(child: &Child, path: &str) -> Connection {
    let mut connection = child.connect().await;
    connection.send(&request("GET", path, &[], b"")).await;
    connection
}

async fn end(child: Child, signal: &str) -> Ended {
    child.signal(signal).await;
    child.wait().await
}

fn assert_no_error(ended: &Ended) {
    assert!(!ended.stderr.contains("ERROR"), "{ended:?}");
}

/// Has libc's `exit` call `abort`, as the destructor of a library would run.
const ABORT_AT_EXIT: &str = "
import ctypes
libc = ctypes.CDLL(None)
libc.__cxa_atexit(ctypes.cast(libc.abort, ctypes.c_void_p), None, None)
";

#[tokio::test]
async fn destructors_of_libraries_do_not_run_beside_python_code() {
    let daemon = "
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
";
    let pool = "
import concurrent.futures, threading
concurrent.futures.ThreadPoolExecutor().submit(threading.Event().wait)
";
    for beside in [daemon, pool] {
        let child = server(&format!("{ABORT_AT_EXIT}{beside}{HANDLER}"));
        end(child.start().await, "INT").await.assert_code(0);
    }
    for handler in ["def", "async def"] {
        let source = format!(
            "{ABORT_AT_EXIT}
import time
{handler} handle(method, path, params, query, headers, body):
    print('begun')
    while True:
        time.sleep(0.001)
"
        );
        let child = server(&source)
            .setup(|setup| setup.grace = SHORT)
            .start()
            .await;
        let _pending = ask(&child, "/").await;
        child.wait_for("begun").await;
        end(child, "INT").await.assert_code(0);
    }
}

#[tokio::test]
async fn when_no_python_code_runs_the_process_ends_with_all_destructors() {
    if executor::lacks(OfThreads::HostProcess) {
        return;
    }
    let child = server(&format!("{ABORT_AT_EXIT}{HANDLER}")).start().await;
    assert_eq!(child.get("/").await.text(), "ok");
    let ended = end(child, "INT").await;
    assert_eq!(ended.status.signal(), Some(libc::SIGABRT), "{ended:?}");
}

#[tokio::test]
async fn a_host_that_exits_at_once_keeps_its_exit_code_and_python_its_exit_functions() {
    if executor::lacks(OfThreads::HostProcess) {
        return;
    }
    let source = format!(
        "{ABORT_AT_EXIT}
import atexit, os, time
out = open(os.path.join(os.environ['FOLDER'], 'out'), 'w')
out.write('kept')
atexit.register(print, 'at exit')
def handle(method, path, params, query, headers, body):
    print('begun')
    while True:
        time.sleep(0.001)
"
    );
    let folder = tempfile::tempdir().unwrap();
    let server = server(&source).variable("FOLDER", folder.path());
    let child = server.start().await;
    let _pending = ask(&child, "/").await;
    child.wait_for("begun").await;
    let _exit = ask(&child, "/native/exit").await;
    let ended = child.wait().await;
    ended.assert_code(3);
    assert_eq!(ended.stdout.matches("at exit").count(), 1, "{ended:?}");
    let out = std::fs::read_to_string(folder.path().join("out")).unwrap();
    assert_eq!(out, "kept");
}

#[tokio::test]
async fn code_that_holds_the_interpreter_does_not_hold_the_process() {
    if executor::lacks(OfThreads::HeldInterpreter) {
        return;
    }
    let source = "
import ctypes
libc = ctypes.PyDLL(None)
def handle(method, path, params, query, headers, body):
    print('begun')
    libc.pause()
";
    let child = server(source)
        .setup(|setup| setup.grace = SHORT)
        .start()
        .await;
    let _pending = ask(&child, "/").await;
    child.wait_for("begun").await;
    end(child, "INT").await.assert_code(0);
}

/// Notes what its end leaves: `left()` gives the names in a folder.
const FILES: &str = "
import gzip, os, tempfile, threading

folder = os.environ['FOLDER']

def within(name):
    return os.path.join(folder, name)

class Last:
    def __del__(self):
        open(within('destructor'), 'w').close()

out = open(within('out'), 'w')
last = Last()
temporary = tempfile.NamedTemporaryFile(dir=folder, prefix='temporary')
temporary_folder = tempfile.TemporaryDirectory(dir=folder, prefix='temporary')
packed = gzip.open(within('packed'), 'wb')
keep = threading.local()

def handle(method, path, params, query, headers, body):
    out.write('row\\n')
    packed.write(b'row\\n')
    mine = open(within('of_the_handler'), 'w')
    mine.write('row\\n')
    print('begun')
    if path == '/stays':
        threading.Event().wait()
    return 200, 'ok', {}
";

#[tokio::test]
async fn what_a_module_holds_is_closed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(FILES).variable("FOLDER", folder.path());
    let child = server.start().await;
    assert_eq!(child.get("/").await.text(), "ok");
    let ended = end(child, "INT").await;
    ended.assert_code(0);
    assert_no_error(&ended);
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["destructor", "of_the_handler", "out", "packed"]);
    let read = |name| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("out"), b"row\n");
    // CRC and length of what is packed come last.
    assert_eq!(&read("packed")[read("packed").len() - 4..], [4, 0, 0, 0]);
}

#[tokio::test]
async fn files_of_a_handler_that_never_ends_are_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(FILES).variable("FOLDER", folder.path());
    let child = server.setup(|setup| setup.grace = SHORT).start().await;
    let _pending = ask(&child, "/stays").await;
    child.wait_for("begun").await;
    let ended = end(child, "INT").await;
    ended.assert_code(0);
    assert_no_error(&ended);
    for name in ["out", "of_the_handler"] {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(text, "row\n", "{name}");
    }
}

#[tokio::test]
async fn threads_that_watch_the_main_thread_end_with_it() {
    let source = format!(
        "
import threading, time
def watch():
    while threading.main_thread().is_alive():
        time.sleep(0.001)
    print('watched')
def join():
    threading.main_thread().join()
    print('joined')
for work in (watch, join):
    threading.Thread(target=work).start()
{HANDLER}"
    );
    let child = server(&source).start().await;
    assert_eq!(child.get("/").await.text(), "ok");
    let ended = end(child, "INT").await;
    ended.assert_code(0);
    for text in ["watched", "joined"] {
        assert!(ended.printed().contains(text), "{ended:?}");
    }
    assert!(!ended.stderr.contains("still runs"), "{ended:?}");
}

/// Stops at a gate, shielded or not, and says what has become of it.
fn gated() -> String {
    format!(
        "{}
import asyncio, contextlib, httpy_rs
def handle(method, path, *rest):
    kind, port = path[1:].split('/')
    with httpy_rs.shield() if kind == 'shielded' else contextlib.nullcontext():
        pass_gate(port)
        print('to its end')
    return 200, 'passed', {{}}
def stop():
    print('stop was called')
",
        Gate::SOURCE
    )
}

fn with_end(server: Server) -> Server {
    server.config(|config| {
        config.shutdown_function = Some(config.target.replace(":handle", ":stop"));
    })
}

/// In which order these were printed.
#[track_caller]
fn assert_order(ended: &Ended, texts: [&str; 2]) {
    let places = texts.map(|text| ended.printed().find(text));
    assert!(
        places.is_sorted() && !places.contains(&None),
        "{places:?}\n{ended:?}"
    );
}

#[tokio::test]
async fn a_handler_whose_client_has_left_has_the_grace_period() {
    for kind in ["plain", "shielded"] {
        let (child, gate) = (with_end(server(&gated())).start().await, Gate::new().await);
        let connection = ask(&child, &format!("/{kind}/{}", gate.port)).await;
        let held = gate.arrival().await;
        drop(connection);
        child.signal("TERM").await;
        // The server has ended: nobody waits for the handler any more.
        child.wait_for("requests were accepted").await;
        drop(held);
        let ended = child.wait().await;
        ended.assert_code(0);
        assert_no_error(&ended);
        ended.assert_says(&["stopping: 1 call left, up to 3600 s"]);
        assert_order(&ended, ["to its end", "stop was called"]);
    }
}

#[tokio::test]
async fn what_is_shielded_has_some_time_beyond_the_grace_period() {
    let child = with_end(server(&gated())).setup(|setup| setup.grace = SHORT);
    let (child, gate) = (child.start().await, Gate::new().await);
    let mut connection = ask(&child, &format!("/shielded/{}", gate.port)).await;
    let held = gate.arrival().await;
    child.signal("INT").await;
    assert_eq!(connection.receive("GET").await.status, 503);
    child
        .wait_for("the engine ends before calls that still run")
        .await;
    drop(held);
    let ended = child.wait().await;
    ended.assert_code(0);
    assert_no_error(&ended);
    assert_order(&ended, ["to its end", "stop was called"]);
}

#[tokio::test]
async fn a_handler_that_runs_beyond_the_grace_period_is_no_error() {
    let child = server(&gated()).setup(|setup| setup.grace = SHORT);
    let (child, gate) = (child.start().await, Gate::new().await);
    let connection = ask(&child, &format!("/plain/{}", gate.port)).await;
    let _held = gate.arrival().await;
    drop(connection);
    let ended = end(child, "TERM").await;
    ended.assert_code(0);
    assert_no_error(&ended);
    ended.assert_says(&["the engine ends before calls that still run", "calls=1"]);
}

#[tokio::test]
async fn what_a_coroutine_has_shielded_goes_on_when_its_client_has_left() {
    let source = "
import asyncio
async def pass_gate(port):
    reader, writer = await asyncio.open_connection('127.0.0.1', int(port))
    await reader.read(1)
    print('to its end')
    writer.close()
async def handle(method, path, *rest):
    try:
        await asyncio.gather(asyncio.shield(pass_gate(path[1:])), asyncio.sleep(3600))
    finally:
        print('cancelled')
def stop():
    print('stop was called')
";
    let (child, gate) = (with_end(server(source)).start().await, Gate::new().await);
    let connection = ask(&child, &format!("/{}", gate.port)).await;
    let held = gate.arrival().await;
    drop(connection);
    child.wait_for("cancelled").await;
    child.signal("TERM").await;
    child.wait_for("requests were accepted").await;
    drop(held);
    let ended = child.wait().await;
    ended.assert_code(0);
    assert_no_error(&ended);
    assert_order(&ended, ["to its end", "stop was called"]);
}

#[tokio::test]
async fn while_it_drains_the_app_is_not_ready_and_serves() {
    let child = server(HANDLER).config(|config| config.drain = LIMIT);
    let child = child.start().await;
    assert_eq!(child.get("/readyz").await.status, 200);
    child.signal("TERM").await;
    child
        .wait_for("stopping: no calls left, up to 3600 s; a second signal ends at once")
        .await;
    let ready = child.get("/readyz").await;
    assert_eq!(
        (ready.status, ready.text().as_str()),
        (503, "shutting down\n")
    );
    assert_eq!(child.get("/").await.status, 200);
    end(child, "TERM").await.assert_code(130);
}

#[tokio::test]
async fn ctrl_c_does_not_wait_for_a_drain() {
    let child = server(HANDLER).config(|config| config.drain = LIMIT);
    let child = child.start().await;
    let ended = end(child, "INT").await;
    ended.assert_code(0);
    ended.assert_says(&["stopping: no calls left, up to 3600 s; Ctrl-C again ends at once"]);
}

#[tokio::test]
async fn after_a_shutdown_another_app_has_its_own_event_loop_and_workers() {
    for handler in ["def", "async def"] {
        let source = format!(
            "{handler} handle(method, path, params, query, headers, body):\n    return 200, 'ok', {{}}\n"
        );
        let child = Server::new(&source).setup(|setup| setup.rebuild = true);
        let ended = end(child.start().await, "INT").await;
        ended.assert_code(0);
        assert_no_error(&ended);
        ended.assert_says(&["built again, it answers 200"]);
    }
}
