//! What every test here needs: a process of its own, an interpreter in it, and a way to ask it something.

use std::{any, env, path::Path, process::Command, sync::Arc};

use httpy_python::interpreter::{Interpreter, Options, base_python};
use pyo3::{prelude::*, types::PyDict};

/// Runs `body` in a child process that runs the calling test again, with `variables` set.
pub(crate) fn in_child<B: FnOnce()>(variables: &[(&str, &Path)], body: B) {
    if env::var_os("HTTPY_TEST_CHILD").is_some() {
        return body();
    }
    // `interpreter::start::the_test::{{closure}}`
    let test = any::type_name::<B>()
        .trim_start_matches("interpreter::")
        .trim_end_matches("::{{closure}}");
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", test])
        .env("HTTPY_TEST_CHILD", "1")
        .env_remove("VIRTUAL_ENV")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let ran = output.status.success() && printed.contains("1 passed");
    assert!(
        ran,
        "{printed}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub(crate) fn start() -> Arc<Interpreter> {
    Interpreter::start(&Options::default()).unwrap()
}

/// Runs `code` on the main thread and gives back what it assigned to `result`, as text.
pub(crate) fn python(interpreter: &Interpreter, code: &str) -> String {
    let code = code.to_owned();
    interpreter
        .on_main(move |py| -> PyResult<String> {
            let names = PyDict::new(py);
            py.run(&std::ffi::CString::new(code)?, Some(&names), None)?;
            names.as_any().get_item("result")?.str()?.extract()
        })
        .unwrap()
        .unwrap()
}

/// An environment of the linked Python's version.
pub(crate) fn environment() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new(base_python().unwrap())
        .args(["-m", "venv", "--without-pip"])
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    dir
}
