//! What Python code finds changed because the process is not its own: signals, fork, multiprocessing, the package.

use std::env;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use pyo3::{prelude::*, types::PyDict};

use crate::child::{in_child, python, start};

fn disposition(signal: i32) -> usize {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY:
    // 1. A null new action makes the call only report, into an action that is valid for the write.
    // 2. Zeroes are a valid `sigaction` too.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction
    }
}

#[test]
fn sigint_stays_with_the_host() {
    in_child(&[], || {
        let interpreter = start();
        let seen = python(
            &interpreter,
            "import asyncio\n\
             async def nothing(): pass\n\
             result = asyncio.run(nothing())",
        );
        assert_eq!(seen, "None");
        for signal in [libc::SIGINT, libc::SIGTERM] {
            assert_eq!(disposition(signal), libc::SIG_DFL, "signal {signal}");
        }
    });
}

/// What becomes of each call that would take a signal, or end the process by one.
const TAKE_SIGNALS: &str = r#"
import asyncio, os, signal, threading

async def add_handler():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)

CALLS = {
    "signal": lambda: signal.signal(signal.SIGALRM, print),
    "alarm": lambda: signal.alarm(1000),
    "setitimer": lambda: signal.setitimer(signal.ITIMER_PROF, 1000),
    "siginterrupt": lambda: signal.siginterrupt(signal.SIGTERM, True),
    "set_wakeup_fd": lambda: asyncio.run(add_handler()),
}

def refused():
    names = []
    for name, call in CALLS.items():
        try:
            call()
        except (ValueError, RuntimeError) as error:
            if str(error).startswith(name + " only works in main thread of the main interpreter"):
                names.append(name)
    return " ".join(names)

def elsewhere():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(refused()))
    thread.start()
    thread.join()
    return seen[0]

def in_child():
    pid = os.fork()
    if pid == 0:
        os._exit(refused() != "")
    return os.waitpid(pid, 0)[1]
"#;

#[test]
fn calls_that_would_take_signals_are_refused_as_off_the_main_thread() {
    in_child(&[], || {
        let interpreter = start();
        let all = "signal alarm setitimer siginterrupt set_wakeup_fd";
        let run = |what: &str| python(&interpreter, &format!("{TAKE_SIGNALS}\nresult = {what}"));
        assert_eq!(run("refused()"), all);
        assert_eq!(run("elsewhere()"), all);
        assert_eq!(run("in_child()"), "0");
        let none =
            "signal.alarm(0), signal.setitimer(signal.ITIMER_REAL, 0), signal.set_wakeup_fd(-1)";
        assert_eq!(run(none), "(0, (0.0, 0.0), -1)");
        assert_eq!(disposition(libc::SIGALRM), libc::SIG_DFL);
    });
}

#[test]
fn signals_that_every_cpython_ignores_are_ignored_and_children_have_their_defaults() {
    in_child(&[], || {
        // As a host may do that is used in pipes.
        // SAFETY: 1. No code of ours runs for this disposition.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let interpreter = start();
        for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
            assert_eq!(disposition(signal), libc::SIG_IGN, "signal {signal}");
        }
        let seen = python(
            &interpreter,
            "import signal, subprocess\n\
             run = lambda name: subprocess.run(f'kill -{name} $$', shell=True).returncode\n\
             result = run('PIPE') == -signal.SIGPIPE, run('XFSZ') == -signal.SIGXFSZ",
        );
        assert_eq!(seen, "(True, True)");
    });
}

#[test]
fn a_signal_that_the_host_handles_stays_as_it_is() {
    extern "C" fn handle(_: i32) {}
    in_child(&[], || {
        let handler = handle as extern "C" fn(i32) as usize;
        // SAFETY: 1. The handler is a function of the right type, which does nothing and so may run anywhere.
        unsafe { libc::signal(libc::SIGXFSZ, handler) };
        start();
        assert_eq!(disposition(libc::SIGXFSZ), handler);
    });
}

/// Sets and removes variables in all ways there are.
const VARIABLES: &str = r#"
import os, posix

def kind(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        return type(error).__name__, str(error)

os.environ["ONE"] = "1\udcff"
os.putenv(b"TWO", "2")
posix.putenv("THREE", "3")
os.environb[b"FOUR"] = b"4"
os.environ["FIVE"] = "5"
del os.environ["FIVE"]
os.putenv("SIX", "6")
posix.unsetenv("SIX")
wrong = [
    kind(os.putenv, "A=B", ""), kind(os.putenv, "", ""), kind(os.putenv, "A", "\0"), kind(os.putenv, 1, ""),
    kind(os.unsetenv, "A=B"), kind(os.unsetenv, ""), kind(os.unsetenv, "A\0"),
]
"#;

#[test]
fn environment_variables_are_set_under_the_hosts_lock_and_refused_as_ever() {
    in_child(&[], || {
        let interpreter = start();
        let seen = python(&interpreter, &format!("{VARIABLES}\nresult = wrong"));
        let plain = std::process::Command::new(interpreter.executable())
            .args(["-c", &format!("{VARIABLES}\nprint(wrong, end='')")])
            .output()
            .unwrap();
        assert_eq!(seen, String::from_utf8(plain.stdout).unwrap());
        let variable = |name| env::var_os(name).map(OsString::into_encoded_bytes);
        let found = ["ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX"].map(variable);
        let expected: [Option<&[u8]>; 6] = [
            Some(b"1\xff"),
            Some(b"2"),
            Some(b"3"),
            Some(b"4"),
            None,
            None,
        ];
        assert_eq!(found.each_ref().map(Option::as_deref), expected);
        // A child has no lock of the parent's to wait for.
        let seen = python(
            &interpreter,
            "import os\n\
             pid = os.fork()\n\
             if pid == 0:\n    \
                 os.environ['CHILD'] = '1'\n    \
                 os.execv('/bin/sh', ['sh', '-c', 'exit $CHILD'])\n\
             result = os.waitpid(pid, 0)[1] >> 8",
        );
        assert_eq!(seen, "1");
    });
}

#[test]
fn variables_that_python_sets_beside_rust_that_reads_some_are_no_crash() {
    in_child(&[], || {
        let interpreter = start();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        assert_eq!(env::var_os("NEVER_SET"), None);
                    }
                });
            }
            python(
                &interpreter,
                "import os\n\
                 for number in range(20000): os.environ[f'SETTING_{number}'] = 'value'\n\
                 for number in range(20000): del os.environ[f'SETTING_{number}']\n\
                 result = None",
            );
            done.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn a_forked_child_is_marked_and_its_parent_is_not() {
    in_child(&[], || {
        let interpreter = start();
        let child = Arc::clone(&interpreter);
        let status: i32 = interpreter
            .on_main(move |py| -> PyResult<i32> {
                let os = py.import("os")?;
                let pid: i32 = os.call_method0("fork")?.extract()?;
                if pid == 0 {
                    let marked = i32::from(child.is_forked_child());
                    os.call_method1("_exit", (40 + marked,))?;
                }
                let (_, status): (i32, i32) = os.call_method1("waitpid", (pid, 0))?.extract()?;
                Ok(status >> 8)
            })
            .unwrap()
            .unwrap();
        assert_eq!(status, 41);
        assert!(!interpreter.is_forked_child());
    });
}

#[test]
fn multiprocessing_spawns_pythons_that_know_the_package() {
    in_child(&[], || {
        let dir = tempfile::tempdir().unwrap();
        let module = "def version(_):\n    import httpy_rs, multiprocessing, sys\n    \
                      return httpy_rs.__file__, multiprocessing.get_start_method(), sys.executable\n\
                      def run():\n    from concurrent.futures import ProcessPoolExecutor\n    \
                      with ProcessPoolExecutor(1) as pool:\n        return list(pool.map(version, [0]))\n";
        std::fs::write(dir.path().join("spawning_app.py"), module).unwrap();
        let interpreter = start();
        let folder = dir.path().display().to_string();
        interpreter
            .on_main(move |py| {
                py.import("sys")?
                    .getattr("path")?
                    .call_method1("append", (folder,))
                    .map(drop)
            })
            .unwrap()
            .unwrap();
        let seen = python(
            &interpreter,
            "import threading, spawning_app\n\
             found = []\n\
             thread = threading.Thread(target=lambda: found.append(spawning_app.run()))\n\
             thread.start(); thread.join()\n\
             result = found",
        );
        let executable = interpreter.executable().display();
        assert_eq!(
            seen,
            format!("[[('<httpy_rs>/__init__.py', 'spawn', '{executable}')]]")
        );
    });
}

#[test]
fn an_app_may_choose_its_own_start_method() {
    in_child(&[], || {
        let seen = python(
            &start(),
            "import multiprocessing as m\nm.set_start_method('fork')\nresult = m.get_start_method()",
        );
        assert_eq!(seen, "fork");
    });
}

#[test]
fn the_package_is_importable_and_its_tracebacks_show_its_lines() {
    in_child(&[], || {
        let seen = python(
            &start(),
            "import httpy_rs, traceback\n\
             try:\n    httpy_rs.request()\n\
             except RuntimeError:\n    text = traceback.format_exc()\n\
             result = (httpy_rs.__file__, '<httpy_rs>/_request.py' in text, 'raise RuntimeError' in text)",
        );
        assert_eq!(seen, "('<httpy_rs>/__init__.py', True, True)");
    });
}

#[test]
fn an_installed_copy_of_another_version_loses_and_is_told_of() {
    in_child(&[], || {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("httpy_rs");
        std::fs::create_dir(&package).unwrap();
        std::fs::write(package.join("__init__.py"), "").unwrap();
        std::fs::write(package.join("_version.py"), "__version__ = '99.1'\n").unwrap();
        let interpreter = start();
        let also = Arc::clone(&interpreter);
        let folder = dir.path().display().to_string();
        let (before, after) = interpreter
            .on_main(move |py| -> PyResult<(Option<String>, Option<String>)> {
                let before = also.installed_copy_warning(py)?;
                py.import("sys")?
                    .getattr("path")?
                    .call_method1("insert", (0, folder))?;
                Ok((before, also.installed_copy_warning(py)?))
            })
            .unwrap()
            .unwrap();
        assert_eq!(before, None);
        let after = after.unwrap();
        assert!(
            after.contains("99.1") && after.contains(&package.display().to_string()),
            "{after}"
        );
        assert_eq!(
            python(&interpreter, "import httpy_rs\nresult = httpy_rs.__file__"),
            "<httpy_rs>/__init__.py"
        );
    });
}

/// What `threading` says of the calling thread.
const THREAD: &str = "
import threading
thread = threading.current_thread()
result = (
    type(thread) is threading.Thread, thread.name, thread.daemon, thread.is_alive(), thread in threading.enumerate(),
    thread.ident == threading.get_ident(), thread.native_id == threading.get_native_id(),
)
threads.append(thread)
";

#[test]
fn a_thread_that_enters_is_one_of_threading_until_it_leaves() {
    in_child(&[], || {
        let interpreter = start();
        python(
            &interpreter,
            "import builtins\nbuiltins.threads = []\nresult = None",
        );
        let also = Arc::clone(&interpreter);
        let on_its_own = move || -> PyResult<String> {
            #[expect(clippy::disallowed_methods, reason = "a thread as the workers are")]
            Python::attach(|py| {
                also.enter_thread(py, "httpy-worker-3")?;
                let names = PyDict::new(py);
                py.run(&std::ffi::CString::new(THREAD)?, Some(&names), None)?;
                also.leave_thread(py)?;
                names.as_any().get_item("result")?.str()?.extract()
            })
        };
        let seen = thread::spawn(on_its_own).join().unwrap().unwrap();
        assert_eq!(
            seen,
            "(True, 'httpy-worker-3', False, True, True, True, True)"
        );
        let seen = python(
            &interpreter,
            "import threading\n\
             thread, = threads\n\
             thread.join(60)\n\
             result = thread.is_alive(), thread in threading.enumerate()",
        );
        assert_eq!(seen, "(False, False)");
    });
}
