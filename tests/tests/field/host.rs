//! What belongs to the process: signals that would end it, and the limits it has.

use httpy_tests::child::Server;

const SOURCE: &str = "
import os, resource, signal, tempfile, time

class TimedOut(Exception):
    pass

def ring(number, frame):
    raise TimedOut

def limited():
    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(1)
    try:
        time.sleep(60)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)

def kind(call):
    try:
        return call()
    except Exception as error:
        return type(error).__name__

def write_much():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(2 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

def write_into_nothing():
    read, write = os.pipe()
    os.close(read)
    try:
        os.write(write, b'x')
    finally:
        os.close(write)
";

#[tokio::test]
async fn a_time_limit_by_an_alarm_is_refused_and_the_server_lives() {
    let child = Server::evaluating(SOURCE).start().await;
    assert_eq!(child.evaluate("kind(limited)").await, "ValueError");
    assert_eq!(child.evaluate("1 + 1").await, "2");
    child.signal("INT").await;
    child.wait().await.assert_code(0);
}

#[tokio::test]
async fn what_cannot_be_written_is_an_error_in_python_and_no_signal() {
    let child = Server::evaluating(SOURCE).start().await;
    assert_eq!(child.evaluate("kind(write_much)").await, "OSError");
    assert_eq!(
        child.evaluate("kind(write_into_nothing)").await,
        "BrokenPipeError"
    );
    child.signal("INT").await;
    child.wait().await.assert_code(0);
}
