//! The end of the interpreter: threads, exit functions, and that it stays ended.

use std::{sync::mpsc, time::Duration};

use httpy_core::{ExitReport, StartError};
use httpy_python::interpreter::{Interpreter, Options};
use pyo3::prelude::*;

use crate::child::{in_child, python, start};

fn exit(interpreter: &Interpreter, limit: Duration) -> ExitReport {
    let (sender, receiver) = mpsc::sync_channel(1);
    interpreter.exit(limit, move |_, report| sender.send(report).unwrap());
    receiver.recv().unwrap()
}

#[test]
fn exit_waits_for_threads_runs_atexit_and_refuses_another_start() {
    in_child(&[], || {
        let interpreter = start();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("order").display().to_string();
        interpreter
            .on_main(move |py| py.import("os")?.getattr("environ")?.set_item("ORDER", file))
            .unwrap()
            .unwrap();
        python(
            &interpreter,
            "import atexit, os, threading\n\
             from concurrent.futures import ThreadPoolExecutor\n\
             def note(text):\n    with open(os.environ['ORDER'], 'a') as file: file.write(text + ' ')\n\
             def fail(): raise ValueError('at the end')\n\
             pool = ThreadPoolExecutor(1)\n\
             atexit.register(note, 'atexit')\n\
             atexit.register(fail)\n\
             gate = threading.Event()\n\
             def wait(): gate.wait(); note('thread')\n\
             threading.Thread(target=wait).start()\n\
             threading._register_atexit(gate.set)\n\
             pool.submit(note, 'pool').result()\n\
             result = None",
        );
        let report = exit(&interpreter, Duration::from_secs(60));
        assert_eq!(report.threads, [] as [&str; 0]);
        assert_eq!(report.errors.len(), 1);
        assert!(
            report.errors[0].contains("ValueError: at the end"),
            "{:?}",
            report.errors
        );
        assert_eq!(
            std::fs::read_to_string(dir.path().join("order")).unwrap(),
            "pool thread atexit "
        );
        assert!(matches!(
            Interpreter::start(&Options::default()),
            Err(StartError::ShutDown)
        ));
        assert_eq!(exit(&interpreter, Duration::ZERO), ExitReport::default());
    });
}

#[test]
fn exit_names_the_threads_that_do_not_end() {
    in_child(&[], || {
        let interpreter = start();
        python(
            &interpreter,
            "import threading\nthreading.Thread(target=threading.Event().wait, name='stuck').start()\nresult = None",
        );
        let report = exit(&interpreter, Duration::from_millis(10));
        assert_eq!(report.threads, ["stuck"]);
        assert_eq!(report.errors, [] as [&str; 0]);
    });
}
