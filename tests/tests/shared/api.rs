//! The public names: what may be sent, shared and cloned, and how several apps live in one process.
//!
//! Every app here has the default workers: the tests are about what happens when one does not.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing;
use http_body_util::Empty;
use httpy::{
    CallFuture, Config, Diagnosis, Error, Exception, OnFull, Origin, Probe, PyEngine,
    PyEngineBuilder, PyRoutes, PyService, ResponseBody, ResponseFuture, RouteMap, Snapshot,
    WorkerHealth, Workers,
};
use httpy_tests::app::Builder;
use httpy_tests::app::{App, ask, get, serve};
use httpy_tests::client;
use httpy_tests::executor::{self, OfThreads};

#[test]
fn every_public_type_goes_where_it_is_needed() {
    fn send<T: Send + 'static>() {}
    fn sync<T: Send + Sync + 'static>() {}
    fn clone<T: Clone + Send + Sync + 'static>() {}
    clone::<PyEngine>();
    clone::<PyRoutes>();
    clone::<Origin>();
    clone::<PyService>();
    clone::<RouteMap>();
    clone::<Error>();
    clone::<Exception>();
    clone::<Config>();
    clone::<Workers>();
    clone::<OnFull>();
    clone::<Probe>();
    clone::<Snapshot>();
    clone::<WorkerHealth>();
    clone::<Diagnosis>();
    sync::<ResponseBody>();
    send::<PyEngineBuilder>();
    send::<ResponseFuture<Empty<bytes::Bytes>>>();
    send::<CallFuture<axum::body::Body>>();
}

#[test]
fn what_is_cloned_for_every_request_is_a_few_words() {
    assert_eq!(size_of::<PyEngine>(), size_of::<usize>());
    assert!(
        size_of::<PyService>() <= 4 * size_of::<usize>(),
        "{}",
        size_of::<PyService>()
    );
}

const NAMED: &str = "
import sys
def handle(method, path, params, query, headers, body):
    return 200, __name__, {}
";

#[tokio::test]
async fn two_apps_with_different_modules_live_in_one_process() {
    let (one, two) = (App::new(NAMED), App::new(NAMED));
    let router = Router::new()
        .route_service("/one", one.service())
        .route_service("/two", two.service());
    let server = serve(router).await;
    assert_eq!(client::get(server.address, "/one").await.text(), one.module);
    assert_eq!(client::get(server.address, "/two").await.text(), two.module);
}

#[tokio::test]
async fn two_apps_of_one_module_share_its_state_but_not_their_limits() {
    if executor::lacks(OfThreads::SharedInterpreter) {
        return;
    }
    let one = App::new(
        "count = []\ndef handle(*arguments):\n    count.append(1)\n    return 200, str(len(count)), {}\n",
    );
    let two = Builder::new(one.target("handle"))
        .path(one.folder.path())
        .body_limit(1)
        .build()
        .expect("the same module again")
        .service;
    assert_eq!(one.ask(get("/")).await.text(), "1");
    assert_eq!(ask(two.clone(), get("/")).await.text(), "2");
    let body = || httpy_tests::app::post("/", "ab");
    assert_eq!(
        (one.ask(body()).await.status, ask(two, body()).await.status),
        (200, 413)
    );
}

#[test]
fn the_same_module_name_from_another_folder_is_an_error_that_names_both_files() {
    if executor::lacks(OfThreads::SharedInterpreter) {
        return;
    }
    let app = App::new(NAMED);
    let folder = tempfile::tempdir().unwrap();
    let file = format!("{}.py", app.module);
    std::fs::write(folder.path().join(&file), NAMED).unwrap();
    let error = Builder::new(app.target("handle"))
        .path(folder.path())
        .build()
        .unwrap_err();
    assert!(error.is_module_conflict(), "{error}");
    for place in [app.folder.path(), folder.path()] {
        let file = place.join(&file);
        assert!(
            error.to_string().contains(file.to_str().unwrap()),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_second_app_that_wants_other_workers_is_told_both_numbers() {
    if executor::lacks(OfThreads::SharedInterpreter) {
        return;
    }
    let app = App::new(NAMED);
    let error = App::try_with(NAMED, |builder| builder.workers(2..=3)).unwrap_err();
    assert!(error.is_conflicting_options(), "{error}");
    assert!(
        error.to_string().contains("1..=96") && error.to_string().contains("2..=3"),
        "{error}"
    );
    let error = App::try_with(NAMED, |builder| builder.stack_size(4 << 20)).unwrap_err();
    assert!(
        error.to_string().contains("8388608 bytes") && error.to_string().contains("4194304 bytes"),
        "{error}"
    );
    assert_eq!(app.ask(get("/")).await.text(), app.module);
}

#[tokio::test]
async fn a_second_app_that_wants_another_switch_interval_is_told_both_values() {
    if executor::lacks(OfThreads::SharedInterpreter) {
        return;
    }
    let app = App::new(NAMED);
    let error = App::try_with(NAMED, |builder| {
        builder.switch_interval(Duration::from_millis(7))
    })
    .unwrap_err();
    assert!(error.is_conflicting_options(), "{error}");
    assert!(
        error.to_string().contains("1ms") && error.to_string().contains("7ms"),
        "{error}"
    );
    assert!(
        App::try_with(NAMED, |builder| builder
            .switch_interval(Duration::from_millis(1)))
        .is_ok()
    );
    assert_eq!(app.ask(get("/")).await.text(), app.module);
}

#[test]
fn a_second_app_that_wants_a_venv_is_told_both_values() {
    if executor::lacks(OfThreads::SharedInterpreter) {
        return;
    }
    let app = App::new(NAMED);
    let venv = tempfile::tempdir().unwrap();
    std::fs::write(
        venv.path().join("pyvenv.cfg"),
        "home = /usr/bin\nversion = 3.999.0\n",
    )
    .unwrap();
    let error = App::try_with(NAMED, |builder| builder.venv(venv.path())).unwrap_err();
    assert!(error.is_conflicting_options() || error.is_venv(), "{error}");
    assert!(
        error.to_string().contains(venv.path().to_str().unwrap()),
        "{error}"
    );
    drop(app);
}

#[tokio::test]
async fn a_service_lives_longer_than_its_app() {
    let app = App::new(NAMED);
    let (service, module) = (app.service(), app.module.clone());
    drop(app);
    assert_eq!(ask(service, get("/")).await.text(), module);
}

#[tokio::test]
async fn another_function_of_the_app_is_a_service_of_its_own() {
    let app = App::new(
        "def handle(*a):\n    return 200, 'one', {}\ndef other(*a):\n    return 200, 'two', {}\nnone = 5\n",
    );
    assert_eq!(ask(app.handler("other"), get("/")).await.text(), "two");
    assert_eq!(app.ask(get("/")).await.text(), "one");
    assert!(
        app.python
            .handler(app.target("missing"))
            .unwrap_err()
            .is_attribute_not_found()
    );
    assert!(
        app.python
            .handler(app.target("none"))
            .unwrap_err()
            .is_not_callable()
    );
    assert!(
        app.python
            .handler("no_such_module_here:handle")
            .unwrap_err()
            .is_module_not_found()
    );
    assert!(app.python.handler("no target").unwrap_err().is_target());
}

#[derive(Clone)]
struct AppState {
    greeting: &'static str,
}

#[tokio::test]
async fn the_router_merges_into_an_app_with_state() {
    let app = App::new(
        "def init():\n    return {'/python': ['GET']}\ndef handle(*a):\n    return 200, 'python', {}\n",
    );
    let router = Router::<AppState>::new()
        .route(
            "/native",
            routing::get(|State(state): State<AppState>| async move { state.greeting }),
        )
        .merge(app.routes().router().unwrap())
        .with_state(AppState { greeting: "native" });
    assert_eq!(ask(router.clone(), get("/native")).await.text(), "native");
    assert_eq!(ask(router, get("/python")).await.text(), "python");
}

#[tokio::test]
async fn a_config_from_a_file_is_as_good_as_a_builder() {
    let app = App::new(NAMED);
    let json = serde_json::json!({
        "engine": {"path": [app.folder.path()], "executor": executor::chosen()},
        "defaults": {"deadline": "5s", "body_limit": 1},
        "services": {
            "small": {"handler": app.target("handle")},
            "large": {"handler": app.target("handle"), "body_limit": 2},
        },
    });
    let config: Config = serde_json::from_value(json).unwrap();
    let engine = PyEngineBuilder::from(config).build().unwrap();
    for (name, status) in [("small", 413), ("large", 200)] {
        let service = engine.service(name).unwrap();
        assert_eq!(ask(service.clone(), get("/")).await.text(), app.module);
        let answer = ask(service, httpy_tests::app::post("/", "ab")).await;
        assert_eq!(answer.status, status, "{name}");
    }
}
