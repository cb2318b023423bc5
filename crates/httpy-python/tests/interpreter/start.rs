//! Which Python is started, with what settings, and when that is refused.

use std::{env, path::Path, sync::Arc, time::Duration};

use httpy_core::StartError;
use httpy_python::interpreter::{Interpreter, MainError, Options, base_python};
use pyo3::prelude::*;

use crate::child::{environment, in_child, python, start};

#[test]
fn executable_argv_and_modes_are_those_of_a_guest() {
    in_child(&[], || {
        let interpreter = start();
        assert_eq!(interpreter.executable(), base_python().unwrap());
        assert_eq!(interpreter.venv(), None);
        assert_eq!(interpreter.warnings(), &[] as &[String]);
        let seen = python(
            &interpreter,
            "import sys, threading, locale\n\
             result = (sys.flags.utf8_mode, len(sys.argv), sys.argv[0] != '', threading.current_thread() is threading.main_thread(),\
              sys.executable == sys._base_executable, '%d.%d.%d' % sys.version_info[:3])",
        );
        assert_eq!(
            seen,
            format!("(1, 1, True, True, True, '{}')", interpreter.version())
        );
    });
}

#[test]
fn a_virtual_environment_is_honoured() {
    let dir = environment();
    in_child(&[("HTTPY_TEST_VENV", dir.path())], || {
        let dir = env::var("HTTPY_TEST_VENV").unwrap();
        let options = Options {
            venv: Some(dir.clone().into()),
            ..Options::default()
        };
        let interpreter = Interpreter::start(&options).unwrap();
        assert_eq!(interpreter.executable(), Path::new(&dir).join("bin/python"));
        let seen = python(
            &interpreter,
            "import sys\nresult = sys.prefix + ' ' + str(any(p.startswith(sys.prefix) and p.endswith('site-packages') for p in sys.path))",
        );
        assert_eq!(seen, format!("{dir} True"));
        Interpreter::start(&options).unwrap();
        let other = Options {
            venv: Some("/nowhere".into()),
            ..Options::default()
        };
        let error = Interpreter::start(&other).unwrap_err();
        assert!(matches!(error, StartError::Differs { .. }), "{error}");
        let message = error.to_string();
        assert!(
            message.contains(&dir) && message.contains("/nowhere"),
            "{message}"
        );
    });
}

#[test]
fn the_activated_environment_of_another_version_is_refused() {
    let dir = environment();
    std::fs::write(
        dir.path().join("pyvenv.cfg"),
        "home = /usr/bin\nversion = 3.4.1\n",
    )
    .unwrap();
    in_child(&[("VIRTUAL_ENV", dir.path())], || {
        let error = Interpreter::start(&Options::default()).unwrap_err();
        assert!(matches!(error, StartError::Venv { .. }), "{error}");
        assert!(error.to_string().contains("Python 3.4.1"), "{error}");
    });
}

#[test]
fn another_switch_interval_is_refused_with_both_values() {
    in_child(&[], || {
        let asking = |milliseconds| Options {
            switch_interval: Some(Duration::from_millis(milliseconds)),
            ..Options::default()
        };
        let interpreter = Interpreter::start(&asking(1)).unwrap();
        assert_eq!(
            python(&interpreter, "import sys\nresult = sys.getswitchinterval()"),
            "0.001"
        );
        assert!(Arc::ptr_eq(&interpreter, &start()));
        let message = Interpreter::start(&asking(7)).unwrap_err().to_string();
        assert!(
            message.contains("1ms") && message.contains("7ms"),
            "{message}"
        );
    });
}

#[test]
fn a_panic_on_the_main_thread_is_told_and_the_thread_lives_on() {
    in_child(&[], || {
        let interpreter = start();
        let result = interpreter.on_main(|_| panic!("for the test"));
        assert_eq!(
            result,
            Err::<(), _>(MainError::Panicked("for the test".to_owned()))
        );
        assert!(interpreter.later(|| panic!("for the test, too")));
        let also = Arc::clone(&interpreter);
        let nested = interpreter.on_main(move |_| also.on_main(|_| ())).unwrap();
        assert_eq!(nested, Err(MainError::OnMain));
    });
}

#[test]
fn a_python_that_ran_already_is_used_as_it_is() {
    in_child(&[], || {
        Python::initialize();
        let interpreter = start();
        assert!(interpreter.warnings()[0].contains("ran already"));
        let seen = python(
            &interpreter,
            "import httpy_rs, signal, threading\n\
             result = (threading.current_thread().name, signal.signal.__name__, httpy_rs.__file__)",
        );
        assert_eq!(seen, "('httpy-main', 'signal', '<httpy_rs>/__init__.py')");
        let other = Options {
            venv: Some("/nowhere".into()),
            ..Options::default()
        };
        assert!(matches!(
            Interpreter::start(&other),
            Err(StartError::Differs { .. })
        ));
    });
}
