//! Python as a guest in somebody else's process: its signals, child processes, threads, files, names and streams are as the
//! host needs them. Handlers that lay hands on them on purpose are in `fault/`.

use httpy_tests::child::{Child, Server};
use httpy_tests::client::{Connection, request};
use httpy_tests::executor::{self, OfThreads};

#[tokio::test]
async fn sigint_stays_with_the_host_whatever_python_imports_and_runs() {
    let source = "
import asyncio, signal

async def answer():
    await asyncio.sleep(0)
    return 'from a loop'

asyncio.run(answer())
";
    let child = Server::evaluating(source).start().await;
    assert_eq!(child.evaluate("asyncio.run(answer())").await, "from a loop");
    child.signal("INT").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    assert!(!ended.stderr.contains("KeyboardInterrupt"), "{ended:?}");
}

#[tokio::test]
async fn multiprocessing_spawns_pythons_and_never_the_host() {
    let source = "
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor

import httpy_rs

def place():
    return os.getpid(), os.path.realpath(sys.executable), httpy_rs.__file__

def by_executor():
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(place).result()

def by_pool():
    with multiprocessing.Pool(1) as pool:
        return pool.apply(place)

def is_spawned(there):
    return there[0] != os.getpid() and there[1:] == place()[1:]
";
    let child = Server::evaluating(source).start().await;
    assert_eq!(
        child.evaluate("multiprocessing.get_start_method()").await,
        "spawn"
    );
    assert_eq!(
        child
            .evaluate("[is_spawned(by_executor()), is_spawned(by_pool())]")
            .await,
        "[True, True]"
    );
    child.signal("INT").await;
    let ended = child.wait().await;
    ended.assert_code(0);
    assert_eq!(
        ended.stdout.lines().count(),
        1,
        "the host's own line, once\n{ended:?}"
    );
}

#[tokio::test]
async fn a_start_method_that_the_app_chose_is_respected() {
    let source = "
import multiprocessing, sys

multiprocessing.set_start_method('fork')

def exit_code():
    process = multiprocessing.Process(target=sys.exit, args=(7,))
    process.start()
    process.join()
    return process.exitcode
";
    let child = Server::evaluating(source).start().await;
    assert_eq!(
        child
            .evaluate("multiprocessing.get_start_method(), exit_code()")
            .await,
        "('fork', 7)"
    );
}

#[tokio::test]
async fn worker_threads_have_names_in_python_and_in_the_operating_system() {
    let child = Server::evaluating("import threading").start().await;
    let name = child.evaluate("threading.current_thread().name").await;
    let number = name
        .strip_prefix("httpy-worker-")
        .and_then(|number| number.parse::<usize>().ok());
    assert!(number.is_some_and(|number| number >= 1), "{name}");
    assert_eq!(
        child
            .evaluate("threading.main_thread() is threading.current_thread()")
            .await,
        "False"
    );
    if cfg!(target_os = "linux") && executor::has(OfThreads::HostProcess) {
        let threads =
            std::fs::read_dir(format!("/proc/{}/task", child.id())).expect("the process lives");
        // One that has ended meanwhile has no name any more.
        let threads = threads
            .flatten()
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
        let threads: Vec<String> = threads.map(|thread| thread.trim_end().to_owned()).collect();
        assert!(
            threads.contains(&name) && threads.contains(&"httpy-main".to_owned()),
            "{threads:?}"
        );
    }
}

#[tokio::test]
async fn the_stack_of_a_worker_holds_what_the_usual_2_mib_of_a_thread_do_not() {
    let source = "
import sys

sys.setrecursionlimit(100_000)

def through_c(depth):
    if depth:
        sorted([0], key=lambda _: through_c(depth - 1))
    return 'deep'

def survived():
    try:
        return through_c(900)
    except RecursionError:  # some versions count the levels of C themselves
        return 'deep'
";
    let child = Server::evaluating(source).start().await;
    assert_eq!(child.evaluate("survived()").await, "deep");
}

#[tokio::test]
async fn what_python_prints_arrives_at_once_and_as_utf_8_in_any_locale() {
    let child = Server::evaluating("import sys")
        .variable("LC_ALL", "C")
        .start()
        .await;
    // What a process prints is logged line by line.
    let end = if executor::are_processes() { "\\n" } else { "" };
    child
        .evaluate(&format!("sys.stdout.write('übers Ziel, {end}')"))
        .await;
    child.wait_for("übers Ziel, ").await;
    child
        .evaluate(&format!("sys.stderr.write('hinaus, {end}')"))
        .await;
    child.wait_for("hinaus, ").await;
    // Nor does Python change the host's environment, as it does for itself in this locale.
    assert_eq!(
        child
            .evaluate("__import__('os').environ.get('LC_CTYPE')")
            .await,
        "None"
    );
}

#[tokio::test]
async fn the_package_is_there_with_nothing_installed_and_tracebacks_show_its_source() {
    let source = "
import contextvars, traceback

import httpy_rs

def outside():
    try:
        contextvars.Context().run(httpy_rs.request)
    except RuntimeError:
        return traceback.format_exc()
";
    let child = Server::evaluating(source).start().await;
    assert_eq!(child.evaluate("httpy_rs.request().target").await, "/");
    let traceback = child.evaluate("outside()").await;
    for part in ["<httpy_rs>/_request.py", "    raise RuntimeError(\n"] {
        assert!(traceback.contains(part), "{traceback}");
    }
}

#[tokio::test]
async fn an_installed_copy_of_another_version_is_not_used_and_warned_of() {
    let server = Server::evaluating("import httpy_rs")
        .file(
            "installed/httpy_rs/__init__.py",
            "raise ImportError('the wrong one')\n",
        )
        .file("installed/httpy_rs/_version.py", "__version__ = '99.9.9'\n")
        .config(|config| config.path.push("installed".into()));
    let child = server.start().await;
    let line = child.line_with("has version 99.9.9").await;
    assert!(
        line.contains("WARN") && line.contains("installed/httpy_rs"),
        "{line}"
    );
    assert_eq!(
        child.evaluate("httpy_rs.__file__").await,
        "<httpy_rs>/__init__.py"
    );
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn requests_leave_no_file_descriptors_behind() {
    fn open_files(child: &Child) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", child.id()))
            .expect("the process lives")
            .count()
    }
    async fn ask(connection: &mut Connection, times: usize) {
        for _ in 0..times {
            connection
                .send(&request("POST", "/", &[], b"open(__file__).close()"))
                .await;
            assert_eq!(connection.receive("POST").await.status, 200);
        }
    }
    let child = Server::evaluating("").start().await;
    let mut connection = child.connect().await;
    ask(&mut connection, 10).await;
    let before = open_files(&child);
    ask(&mut connection, 200).await;
    assert_eq!(open_files(&child), before);
}

#[tokio::test]
async fn argv_is_the_hosts_name_and_executable_is_a_python_of_the_same_version() {
    let source = "
import os, subprocess, sys

def version_of_executable():
    program = 'import sys; print(sys.version)'
    return subprocess.run([sys.executable, '-c', program], stdout=subprocess.PIPE, text=True).stdout.strip()
";
    let child = Server::evaluating(source).start().await;
    if executor::has(OfThreads::HostProcess) {
        assert_eq!(
            child
                .evaluate("[os.path.basename(argument) for argument in sys.argv]")
                .await,
            "['server']"
        );
    }
    assert_eq!(
        child
            .evaluate("version_of_executable() == sys.version")
            .await,
        "True"
    );
}

#[tokio::test]
async fn libpython_is_found_without_the_loaders_variables() {
    let child = Server::evaluating("import os").start().await;
    let set = child
        .evaluate("[name for name in os.environ if name.endswith('LD_LIBRARY_PATH')]")
        .await;
    assert_eq!(set, "[]");
}
