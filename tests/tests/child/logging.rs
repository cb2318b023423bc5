//! Python's log and its standard streams as a whole process shows them: the host's subscriber writes to stderr, from INFO on.

use httpy_tests::child::{Ended, Server};
use httpy_tests::executor::{self, OfThreads};

const LOG: &str = "
import atexit, logging, os, sys, threading
log = logging.getLogger('app.log')
";

/// Ends the server as Ctrl-C does.
async fn end(server: Server, expressions: &[(&str, &str)]) -> Ended {
    let child = server.start().await;
    for (expression, expected) in expressions {
        assert_eq!(child.evaluate(expression).await, *expected, "{expression}");
    }
    child.signal("INT").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    ended
}

fn logging(more: &str) -> Server {
    Server::evaluating(&format!("{LOG}{more}"))
        .config(|config| config.executor = executor::with_one_interpreter())
}

/// The lines of stderr that have `text`.
fn lines<'a>(ended: &'a Ended, text: &str) -> Vec<&'a str> {
    ended
        .stderr
        .lines()
        .filter(|line| line.contains(text))
        .collect()
}

#[tokio::test]
async fn from_the_import_to_the_exit_nothing_is_missed() {
    let server = logging("log.info('while importing')\natexit.register(log.info, 'at the exit')\n");
    let ended = end(server, &[("log.info('in a request')", "None")]).await;
    for text in ["while importing", "in a request", "at the exit"] {
        let found = lines(&ended, text);
        assert!(
            found.len() == 1
                && found[0].contains("INFO python: ")
                && found[0].contains("logger=app.log"),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn the_hosts_level_is_pythons_where_python_has_set_none() {
    let enabled = |level: &'static str| format!("log.isEnabledFor(logging.{level})");
    let ended = end(
        logging(""),
        &[
            (&enabled("INFO"), "True"),
            (&enabled("DEBUG"), "False"),
            ("log.debug('too fine')", "None"),
        ],
    )
    .await;
    assert_eq!(lines(&ended, "too fine"), [""; 0]);
}

#[tokio::test]
async fn a_record_that_the_host_does_not_take_is_not_formatted() {
    let source = "
formatted = []
class Costly:
    def __str__(self):
        formatted.append(1)
        return 'costly'
log.setLevel('DEBUG')
";
    end(
        logging(source),
        &[
            ("log.debug(Costly()) or len(formatted)", "0"),
            ("log.info(Costly()) or len(formatted)", "1"),
        ],
    )
    .await;
}

#[tokio::test]
async fn without_the_bridge_pythons_log_is_as_in_any_program() {
    if executor::lacks(OfThreads::HostProcess) {
        return;
    }
    let server = logging("").config(|config| config.python_logging = Some(false));
    let expressions = [
        ("log.isEnabledFor(logging.INFO)", "False"),
        ("log.warning('as ever')", "None"),
    ];
    assert_eq!(
        lines(&end(server, &expressions).await, "as ever"),
        ["as ever"]
    );
}

#[tokio::test]
async fn basic_config_sets_the_level_and_leaves_the_rest_to_the_host() {
    let server = logging("logging.basicConfig(level='ERROR', format='mine %(message)s')\n");
    let ended = end(
        server,
        &[("log.warning('below it') or log.error('at it')", "None")],
    )
    .await;
    assert_eq!(lines(&ended, "below it"), [""; 0]);
    assert!(
        lines(&ended, "at it")[0].contains("ERROR python: at it"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn an_app_that_names_a_stream_of_its_own_has_its_own_log() {
    if executor::lacks(OfThreads::HostProcess) {
        return;
    }
    let server = logging("logging.basicConfig(stream=sys.stdout, format='mine %(message)s')\n");
    let ended = end(
        server,
        &[("log.info('below it') or log.warning('at it')", "None")],
    )
    .await;
    assert_eq!(
        (
            lines(&ended, "at it").len(),
            ended.stdout.contains("mine at it\n")
        ),
        (0, true),
        "{ended:?}"
    );
    assert!(
        !ended.stdout.contains("below it"),
        "CPython's own level is in force again\n{ended:?}"
    );
}

#[tokio::test]
async fn what_a_client_sends_cannot_pass_for_a_line_of_the_log() {
    let ended = end(
        logging(""),
        &[(
            "log.info('%s', 'x\\n2026-01-01T00:00:00Z ERROR forged\\x1b[2K')",
            "None",
        )],
    )
    .await;
    let forged = lines(&ended, "forged");
    assert!(
        forged.len() == 1 && forged[0].starts_with("    2026"),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains('\u{1b}'), "{ended:?}");
}

#[tokio::test]
async fn a_forked_child_logs_to_stderr() {
    let source = "
def fork():
    child = os.fork()
    if child == 0:
        log.warning('from the child')
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
";
    let ended = end(
        logging(source),
        &[("fork()", "7"), ("log.info('from the parent')", "None")],
    )
    .await;
    let [line] = lines(&ended, "from the child")[..] else {
        panic!("{ended:?}");
    };
    if executor::are_processes() {
        // What a worker process writes to stderr is an event of the host.
        assert!(line.contains(" WARN httpy::process: "), "{line}");
    } else {
        assert_eq!(line, "from the child");
    }
    assert!(
        lines(&ended, "from the parent")[0].contains("INFO python: "),
        "{ended:?}"
    );
}

#[tokio::test]
async fn what_is_printed_stays_untouched() {
    if executor::lacks(OfThreads::HostProcess) {
        return;
    }
    let ended = end(
        logging(""),
        &[(
            "print('to stdout') or print('to stderr', file=sys.stderr)",
            "None",
        )],
    )
    .await;
    assert!(ended.stdout.contains("to stdout\n"), "{ended:?}");
    assert_eq!(lines(&ended, "to stderr"), ["to stderr"]);
}

#[tokio::test]
async fn captured_streams_become_events_line_by_line_and_thread_by_thread() {
    if executor::lacks(OfThreads::HostProcess) {
        return;
    }
    let source = "
def interleave():
    mine, other = threading.Event(), threading.Event()
    def work():
        print('other', end=' ')
        other.set()
        mine.wait()
        print('thread', end='')
    thread = threading.Thread(target=work)
    thread.start()
    other.wait()
    print('this', 'thread')
    mine.set()
    thread.join()
";
    let server = logging(source).config(|config| config.threads().capture_stdout = Some(true));
    let expressions = [
        ("interleave()", "None"),
        ("print('one\\ntwo\\n\\nth', end='') or print('ree')", "None"),
        ("print('to stderr', file=sys.stderr)", "None"),
        ("sys.stdout.write('w' * 20_000 + '\\n')", "20001"),
        (
            "sys.stdout.fileno(), sys.stdout.isatty(), sys.stdout.buffer.write(b'bytes\\n')",
            "(1, False, 6)",
        ),
        ("print('half a line', end='')", "None"),
    ];
    let ended = end(server, &expressions).await;
    for line in [
        "this thread",
        "other thread",
        "one",
        "two",
        "three",
        "half a line",
    ] {
        assert_eq!(
            lines(&ended, &format!("INFO python.stdout: {line}")).len(),
            1,
            "{line}: {ended:?}"
        );
    }
    assert_eq!(
        lines(&ended, "INFO python.stderr: to stderr").len(),
        1,
        "{ended:?}"
    );
    assert_eq!(
        lines(&ended, "INFO python.stdout: www").len(),
        3,
        "{ended:?}"
    );
    assert!(
        ended.stdout.contains("bytes\n") && !ended.stdout.contains("this thread"),
        "{ended:?}"
    );
}
