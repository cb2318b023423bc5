//! Every way in which a start fails says which one it was: by a predicate, by its words, and with the traceback where
//! there is one. A host whose `main` hands the error on ends with exit code 1.

use httpy::{Executor, Workers};
use httpy_tests::child::{Ended, Server};
use httpy_tests::executor::{self, OfThreads};

const HANDLER: &str =
    "def handle(method, path, params, query, headers, body):\n    return 200, 'ok', {}\n";

/// The start fails with the one predicate, and stderr has each of `parts`.
async fn fails(server: Server, predicate: &str, parts: &[&str]) -> Ended {
    let ended = server.fail().await;
    ended.assert_says(&[&format!("the error is [{predicate:?}]")]);
    ended.assert_says(parts);
    ended
}

/// With a handler and this `init`.
fn with_init(init: &str) -> Server {
    Server::new(&format!("{HANDLER}{init}")).init()
}

#[tokio::test]
async fn a_target_without_an_attribute_is_refused_with_an_example() {
    let server = Server::new(HANDLER).config(|config| config.target = "worker".to_owned());
    fails(
        server,
        "target",
        &[r#""worker" is not a target: expected "module:attribute""#],
    )
    .await;
}

#[tokio::test]
async fn a_module_that_is_nowhere_is_named_with_the_folders_that_were_searched() {
    let server =
        Server::new(HANDLER).config(|config| config.target = "no_such_module:handle".to_owned());
    let folder = server.folder().display().to_string();
    fails(
        server,
        "module_not_found",
        &[r#"no module "no_such_module" on sys.path"#, &folder],
    )
    .await;
}

#[tokio::test]
async fn a_module_that_raises_is_told_with_its_traceback() {
    let source = "def broken():\n    raise ValueError('while importing')\n\nbroken()\n";
    let parts = [
        "raised ValueError: while importing",
        "Traceback (most recent call last)",
        "line 2, in broken",
    ];
    let ended = fails(Server::new(source), "import", &parts).await;
    assert!(
        !ended.stderr.contains("importlib"),
        "the import system's own frames are left out\n{ended:?}"
    );
}

#[tokio::test]
async fn a_module_that_another_one_misses_is_told_where_it_is_missed() {
    let server = Server::new("import second\n").file("second.py", "\nimport no_such_dependency\n");
    let parts = [
        "raised ModuleNotFoundError: No module named 'no_such_dependency'",
        "second.py\", line 2",
        "no virtual environment: set VIRTUAL_ENV or the option venv",
        "to install its package: ",
    ];
    fails(server, "import", &parts).await;
}

#[tokio::test]
async fn a_module_that_cannot_be_parsed_is_told_with_the_line() {
    fails(
        Server::new("x = 1\ndef handle(:\n"),
        "import",
        &["SyntaxError", "line 2", "def handle(:"],
    )
    .await;
}

#[tokio::test]
async fn a_module_that_exits_ends_the_start_and_not_the_process() {
    for (source, raised) in [
        ("import sys\nsys.exit(3)\n", "raised SystemExit: 3"),
        ("raise KeyboardInterrupt\n", "raised KeyboardInterrupt"),
    ] {
        fails(Server::new(source), "import", &[raised]).await;
    }
}

#[tokio::test]
async fn an_attribute_that_is_missing_is_told_with_near_names() {
    let source = HANDLER.replace("handle", "handel");
    fails(
        Server::new(&source),
        "attribute_not_found",
        &[r#"no attribute "handle""#, "near names: handel"],
    )
    .await;
}

#[tokio::test]
async fn what_is_not_callable_is_told_with_its_type() {
    fails(
        Server::new("handle = 42\n"),
        "not_callable",
        &["is of type int: expected a function"],
    )
    .await;
}

#[tokio::test]
async fn a_handler_that_cannot_take_six_arguments_is_told_with_what_it_takes() {
    let expected = "expected six positional arguments (method, path, params, query, headers, body)";
    for parameters in [
        "(request)",
        "(a, b, c, d, e, f, g)",
        "(a, b, c, d, e, *, f)",
    ] {
        let server = Server::new(&format!("def handle{parameters}: pass\n"));
        fails(
            server,
            "signature",
            &[&format!(":handle takes {parameters}: {expected}")],
        )
        .await;
    }
}

#[tokio::test]
async fn a_generator_function_is_refused() {
    let source = "async def handle(method, path, params, query, headers, body):\n    yield 5\n";
    fails(
        Server::new(source),
        "generator_handler",
        &["is a generator function: expected one that returns"],
    )
    .await;
}

#[tokio::test]
async fn an_init_that_raises_is_told_with_its_traceback() {
    let parts = [
        ":init raised KeyError: 'absent'",
        "Traceback (most recent call last)",
        "in init",
    ];
    fails(
        with_init("def init():\n    return {}['absent']\n"),
        "init_exception",
        &parts,
    )
    .await;
}

#[tokio::test]
async fn an_init_that_exits_ends_the_start_and_not_the_process() {
    let server = with_init("def init():\n    import sys\n    sys.exit('no configuration')\n");
    fails(
        server,
        "init_exception",
        &[":init raised SystemExit: no configuration"],
    )
    .await;
}

#[tokio::test]
async fn an_init_that_returns_something_else_is_told_with_the_entry_and_its_type() {
    for (result, part) in [
        (
            "['/']",
            "returned list: expected a dict of routes to lists of methods, or None",
        ),
        (
            "{1: ['GET']}",
            "returned a route of type int (entry 1): expected str",
        ),
        (
            "{'/': 'GET'}",
            "returned '/' with str: expected a list or tuple of str",
        ),
        (
            "{'/': ['GET', 7]}",
            "returned '/' with a method of type int at index 1: expected str",
        ),
    ] {
        fails(
            with_init(&format!("def init():\n    return {result}\n")),
            "init_result",
            &[part],
        )
        .await;
    }
}

#[tokio::test]
async fn an_init_that_takes_an_argument_is_refused() {
    let part = ":init takes (app): expected a function without arguments";
    fails(
        with_init("def init(app):\n    return {}\n"),
        "signature",
        &[part],
    )
    .await;
}

#[tokio::test]
async fn an_init_that_is_missing_is_told_as_a_missing_attribute() {
    fails(
        Server::new(HANDLER).init(),
        "attribute_not_found",
        &[r#"no attribute "init""#],
    )
    .await;
}

#[tokio::test]
async fn all_bad_routes_are_told_in_one_error() {
    let bad = ["/<id>", "/{id:int}", "no-slash", "/{a}/{a}"];
    let entries: Vec<String> = bad
        .iter()
        .map(|route| format!("'{route}': ['GET']"))
        .collect();
    let init = format!(
        "def init():\n    return {{{}, '/fine': ['GET'], '/m': ['G T']}}\n",
        entries.join(", ")
    );
    let parts = ["/<id>", "/{id:int}", "no-slash", "/{a}/{a}", "/m"];
    let ended = fails(with_init(&init), "routes", &parts).await;
    assert!(
        !ended.stderr.contains("/fine") && !ended.stderr.contains("panicked"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_missing_environment_is_told_with_how_to_make_it() {
    let server = Server::new(HANDLER).config(|config| {
        config.venv = Some("no-such-folder".into());
        if let Executor::Processes(processes) = &mut config.executor {
            processes.python = None;
        }
    });
    let missing = if executor::are_processes() {
        "bin/python"
    } else {
        "pyvenv.cfg"
    };
    fails(
        server,
        "venv",
        &[
            "virtual environment /",
            "/no-such-folder: ",
            missing,
            "-m venv",
        ],
    )
    .await;
}

#[tokio::test]
async fn an_environment_of_another_python_is_refused_with_both_versions() {
    if executor::lacks(OfThreads::LinkedPython) {
        return;
    }
    let settings = "home = /usr/bin\nversion = 3.4.10\n";
    let given = Server::new(HANDLER)
        .file("old/pyvenv.cfg", settings)
        .config(|config| config.venv = Some("old".into()));
    let parts = [
        "made by Python 3.4.10, but this program is linked to Python 3.",
        "PYO3_PYTHON",
    ];
    fails(given, "venv", &parts).await;

    let activated = Server::new(HANDLER).file("old/pyvenv.cfg", settings);
    let dir = activated.folder().join("old");
    fails(activated.variable("VIRTUAL_ENV", dir), "venv", &parts).await;
}

#[tokio::test]
async fn two_modules_of_one_name_are_refused_with_both_files() {
    if executor::lacks(OfThreads::SharedInterpreter) {
        return;
    }
    let server = Server::new(HANDLER)
        .file("one/worker.py", HANDLER)
        .file("two/worker.py", HANDLER)
        .app("");
    let server = server.setup(|setup| {
        for (app, dir) in setup.apps.iter_mut().zip(["one", "two"]) {
            app.target = "worker:handle".to_owned();
            app.path = vec![dir.into()];
        }
    });
    fails(
        server,
        "module_conflict",
        &[r#"module "worker""#, "one/worker.py", "two/worker.py"],
    )
    .await;
}

#[tokio::test]
async fn a_module_that_python_holds_itself_is_not_taken_for_the_apps_own() {
    let server = Server::new(HANDLER).file("own/time.py", HANDLER);
    let server = server.config(|config| {
        config.target = "time:handle".to_owned();
        config.path = vec!["own".into()];
    });
    fails(
        server,
        "module_conflict",
        &["own/time.py", "no file (built in)"],
    )
    .await;
}

#[tokio::test]
async fn options_that_contradict_each_other_are_told_all_at_once() {
    let server = Server::new(HANDLER).config(|config| {
        config.threads().workers = Workers { min: 9, max: 3 };
        config.queue = 0;
        config.service.body_limit = Some(config.body_budget + 1);
        config.path.push("no-such-folder".into());
    });
    let parts = [
        "workers: at least 9 and at most 3 contradict each other",
        "queue: 0 could never take a call",
        "body_limit: 268435457 bytes are more than the 268435456 of body_budget",
        "/no-such-folder is not a folder",
    ];
    fails(server, "config", &parts).await;
}

#[tokio::test]
async fn a_second_app_with_other_workers_is_refused_with_both_numbers() {
    if executor::lacks(OfThreads::SharedInterpreter) {
        return;
    }
    let server = Server::new(HANDLER)
        .app(HANDLER)
        .config(|config| config.workers(1..=7));
    fails(server, "conflicting_options", &["1..=96", "1..=7"]).await;
}

#[tokio::test]
async fn python_code_is_in_the_working_directory_that_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data"), "found").unwrap();
    let source = "
DATA = open('data').read()
def handle(method, path, params, query, headers, body):
    return 200, DATA, {}
";
    let dir = folder.path().to_owned();
    let server = Server::new(source).config(|config| config.working_dir = Some(dir));
    let child = server.start().await;
    assert_eq!(child.get("/").await.text(), "found");
}

#[tokio::test]
async fn a_second_engine_in_another_working_directory_is_refused_with_both() {
    if executor::lacks(OfThreads::SharedInterpreter) {
        return;
    }
    let server = Server::new(HANDLER)
        .config(|config| config.working_dir = Some("/".into()))
        .app(HANDLER)
        .config(|config| config.working_dir = Some("/tmp".into()));
    fails(server, "conflicting_options", &["/tmp differs from /,"]).await;
}

#[tokio::test]
async fn threads_that_a_failed_import_left_behind_do_not_hold_the_process() {
    let source = "import threading\nthreading.Thread(target=threading.Event().wait).start()\nraise ValueError('too late')\n";
    fails(
        Server::new(source),
        "import",
        &["raised ValueError: too late"],
    )
    .await;
}

#[tokio::test]
async fn when_the_port_is_taken_the_second_server_ends_and_the_first_serves_on() {
    let first = Server::new(HANDLER).start().await;
    let port = first.address().port();
    let ended = Server::new(HANDLER)
        .setup(|setup| setup.port = port)
        .fail()
        .await;
    ended.assert_says(&["AddrInUse"]);
    assert_eq!(first.get("/").await.text(), "ok");
}
