//! What Python code finds changed because the process is not its own: signals, fork, multiprocessing, the package.

use std::sync::Arc;

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
            "import asyncio, signal, warnings\n\
             async def nothing(): pass\n\
             asyncio.run(nothing())\n\
             before = signal.getsignal(signal.SIGTERM)\n\
             with warnings.catch_warnings(record=True) as seen:\n    \
                 warnings.simplefilter('always')\n    \
                 returned = signal.signal(signal.SIGTERM, print)\n\
             result = ([w.category.__name__ for w in seen], returned is before, signal.getsignal(signal.SIGTERM) is before)",
        );
        assert_eq!(seen, "(['RuntimeWarning'], True, True)");
        for signal in [libc::SIGINT, libc::SIGTERM] {
            assert_eq!(disposition(signal), libc::SIG_DFL, "signal {signal}");
        }
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

#[test]
fn a_named_thread_appears_in_threading_until_it_is_forgotten() {
    in_child(&[], || {
        let interpreter = start();
        let also = Arc::clone(&interpreter);
        let names = interpreter
            .on_main(move |py| -> PyResult<Vec<String>> {
                let threading = py.import("threading")?;
                let names = || -> PyResult<String> {
                    let names = PyDict::new(py);
                    names.set_item("threading", &threading)?;
                    py.eval(
                        c"','.join(t.name for t in threading.enumerate())",
                        Some(&names),
                        None,
                    )?
                    .extract()
                };
                also.name_thread(py, "httpy-worker-3")?;
                let before = names()?;
                also.forget_thread(py)?;
                Ok(vec![before, names()?])
            })
            .unwrap()
            .unwrap();
        assert_eq!(names, ["httpy-worker-3", ""]);
    });
}
