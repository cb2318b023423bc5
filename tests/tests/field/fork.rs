//! Processes that handlers fork: only the parent may answer, and the child has nothing that is the server's: no signal handlers,
//! no log, no sockets.

use httpy_tests::child::Server;
use httpy_tests::client::{exchange, request};

const FORKS: &str = "
import asyncio, os, sys

async def handle(method, path, params, query, headers, body):
    if path.startswith('/later'):
        await asyncio.sleep(0)
    child = os.fork()
    if child == 0:
        if path.endswith('/exit'):
            sys.exit(3)
        if path.endswith('/raise'):
            raise ValueError('in the child')
        return 200, 'from the child', {}
    _, status = os.waitpid(child, 0)
    return 200, f'the child gave {os.waitstatus_to_exitcode(status)}', {}
";

#[tokio::test]
async fn a_child_of_a_coroutine_ends_as_its_part_of_the_call_does() {
    let child = Server::new(FORKS).start().await;
    // One connection, on which a second answer to the same request could not stay unseen.
    let mut connection = child.connect().await;
    for (path, status) in [
        ("/", 0),
        ("/exit", 3),
        ("/raise", 1),
        ("/later/", 0),
        ("/later/exit", 3),
        ("/later/raise", 1),
        ("/", 0),
    ] {
        connection.send(&request("GET", path, &[], b"")).await;
        assert_eq!(
            connection.receive("GET").await.text(),
            format!("the child gave {status}"),
            "{path}"
        );
    }
    child.wait_for("ValueError: in the child").await;
}

const STARTS: &str = "
import logging, multiprocessing, os, signal, subprocess, threading
import httpy_rs

FORK = multiprocessing.get_context('fork')

def signal_itself(number):
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
    signal.raise_signal(number)
    os._exit(0)

def ended_by(number):
    # Not sent by the parent: in a child that another thread than the main one has forked, CPython 3.13 calls the handler only
    # where the signal interrupts a system call.
    child = FORK.Process(target=signal_itself, args=(number,))
    child.start()
    child.join()
    return child.exitcode

def interrupted():
    # A plain fork: the handler is where the interrupt arrives.
    child = os.fork()
    if not child:
        try:
            signal.raise_signal(signal.SIGINT)
            os._exit(0)
        except KeyboardInterrupt:
            os._exit(42)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def signalled_at_once(number):
    # In the child, before any hook of httpy: where `threading` makes its lock anew.
    make, parent = threading.RLock, os.getpid()
    def make_lock():
        if os.getpid() != parent:
            signal.raise_signal(number)
        return make()
    threading.RLock = make_lock
    child = os.fork()
    if not child:
        os._exit(0)
    threading.RLock = make
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def pool():
    with FORK.Pool(2) as pool:
        return pool.map(abs, [-1, -2])

def program():
    # Its descriptor 0 is closed before the program begins, so that Python code runs in the fork.
    child = subprocess.Popen(['sleep', '600'], preexec_fn=lambda: None)
    child.terminate()
    return child.wait()

def server():
    with multiprocessing.get_context('forkserver').Pool(1) as pool:
        return pool.map(abs, [-1, -2])

def logs():
    child = FORK.Process(target=logging.error, args=('from the child',))
    child.start()
    child.join()
    return child.exitcode

def reads(body):
    child = os.fork()
    if not child:
        try:
            body.read()
        except RuntimeError as error:
            os._exit(42 if 'forked' in str(error) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(body.read())

def handle(method, path, params, query, headers, body: httpy_rs.Body):
    return 200, str(eval(path[1:])), {}
";

#[tokio::test]
async fn a_child_has_its_signals_as_any_python_has_them() {
    let child = Server::new(STARTS).start().await;
    for (expression, result) in [
        ("ended_by(signal.SIGTERM)", "-15"),
        ("ended_by(signal.SIGHUP)", "-1"),
        // The traceback of a KeyboardInterrupt, as `multiprocessing` prints it.
        ("ended_by(signal.SIGINT)", "1"),
        ("interrupted()", "42"),
        ("signalled_at_once(signal.SIGTERM)", "-15"),
        ("pool()", "[1,2]"),
        ("program()", "-15"),
        ("server()", "[1,2]"),
    ] {
        let answer = child.get(&format!("/{expression}")).await;
        assert_eq!(answer.text().replace(' ', ""), result, "{expression}");
    }
}

#[tokio::test]
async fn a_child_uses_nothing_that_is_the_servers() {
    let child = Server::new(STARTS).start().await;
    assert_eq!(child.get("/logs()").await.text(), "0");
    child.wait_for("from the child").await;
    let body = vec![b'x'; 1 << 20];
    let answer = exchange(
        child.address(),
        &request("POST", "/reads(body)", &[], &body),
    )
    .await;
    assert_eq!(answer.text(), "(42, 1048576)");
}
