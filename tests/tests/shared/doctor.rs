//! `PyEngine::doctor`: what it finds about the interpreter that runs here, whatever app code has done to it.

use httpy::PathOrigin;
use httpy_tests::app::{App, get};
use httpy_tests::executor::{self, OfThreads};

const HANDLER: &str = "def handle(method, path, params, query, headers, body):\n    return 200, str(eval(body)), {}\n";

#[tokio::test]
async fn the_report_is_about_the_interpreter_that_serves() {
    let app = App::new(HANDLER);
    let diagnosis = app.python.doctor();
    let facts = diagnosis.interpreter.as_ref().unwrap();
    for (expression, found) in [
        ("__import__('platform').python_version()", &facts.version),
        ("__import__('sys').executable", &facts.executable),
        ("__import__('sys').prefix", &facts.prefix),
        (
            "__import__('ssl').OPENSSL_VERSION",
            facts.tls.as_ref().unwrap(),
        ),
    ] {
        assert_eq!(
            app.ask(httpy_tests::app::post("/", expression))
                .await
                .text(),
            *found,
            "{expression}"
        );
    }
    let library = diagnosis
        .library
        .map(|library| library.display().to_string());
    if executor::lacks(OfThreads::LinkedPython) {
        assert_eq!(library, None);
    } else {
        assert!(library.is_some_and(|library| library.contains("libpython")));
    }
    assert_eq!(facts.switch_interval, Some(executor::switch_interval()));
    assert_eq!((facts.free_threaded, facts.gil), (false, true));
    assert_eq!(diagnosis.config.path, [app.folder.path()]);
}

#[test]
fn each_entry_of_the_path_says_where_it_comes_from() {
    let app = App::new(HANDLER);
    let facts = app.python.doctor().interpreter.unwrap();
    let entry = facts
        .path
        .iter()
        .find(|entry| entry.dir == app.folder.path().display().to_string())
        .unwrap();
    assert_eq!((entry.origin, entry.exists), (PathOrigin::Builder, true));
    assert!(
        facts
            .path
            .iter()
            .any(|entry| entry.origin == PathOrigin::StandardLibrary && entry.exists)
    );
    if executor::lacks(OfThreads::SharedInterpreter) {
        return;
    }
    // Of another app it is not known that it was its builder.
    let other = App::new(HANDLER);
    let facts = other.python.doctor().interpreter.unwrap();
    let entry = facts
        .path
        .iter()
        .find(|entry| entry.dir == app.folder.path().display().to_string())
        .unwrap();
    assert_eq!(entry.origin, PathOrigin::Runtime);
}

#[test]
fn a_folder_that_is_gone_is_a_warning() {
    let app = App::new(HANDLER);
    let gone = app.folder.path().display().to_string();
    std::fs::remove_dir_all(app.folder.path()).unwrap();
    let warnings = app.python.doctor().warnings;
    assert!(
        warnings.contains(&format!("sys.path has {gone}, which does not exist")),
        "{warnings:?}"
    );
}

#[test]
fn it_goes_as_json_and_as_text() {
    let diagnosis = App::new(HANDLER).python.doctor();
    let json = serde_json::to_value(&diagnosis).unwrap();
    assert_eq!(json["config"]["grace"], "10s");
    assert_eq!(
        json["interpreter"]["version"],
        diagnosis.interpreter.as_ref().unwrap().version
    );
    let text = diagnosis.to_string();
    assert!(
        text.contains("\nsys.path\n") && text.contains("standard library"),
        "{text}"
    );
}

#[tokio::test]
async fn what_app_code_has_broken_is_left_out_and_the_rest_is_there() {
    let app = App::new(
        // What nothing else in this interpreter asks for.
        "import resource, sys
sys.path.append('/odd/\\udcff\\n')
sys.path.append(5)
del resource.RLIMIT_NPROC
def handle(*arguments):
    return 200, 'served', {}
",
    );
    let diagnosis = app.python.doctor();
    let facts = diagnosis.interpreter.as_ref().unwrap();
    assert_eq!(facts.threads, None);
    assert!(
        facts.path.iter().any(|entry| entry.dir == "/odd/\\udcff\n"),
        "{:?}",
        facts.path
    );
    assert!(!facts.version.is_empty());
    assert_eq!(app.ask(get("/")).await.text(), "served");
}

#[tokio::test]
async fn it_may_be_asked_inside_a_runtime_and_after_the_shutdown() {
    // The last test of the process that ends Python would end it for the others: a second app keeps it.
    let (app, _other) = (App::new(HANDLER), App::new(HANDLER));
    let python = app.python.clone();
    python.shutdown().await;
    let diagnosis = python.doctor();
    if executor::lacks(OfThreads::SharedInterpreter) {
        let says_so = |warning: &String| warning.contains("the worker processes have ended");
        assert!(diagnosis.warnings.iter().any(says_so), "{diagnosis:?}");
        return;
    }
    assert!(diagnosis.interpreter.is_some());
}
