//! From init's map to axum's routes: both syntaxes, methods, conflicts, and what a host does with the map.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing;
use http::Request;
use httpy::RouteMap;
use httpy_tests::app::Builder;
use httpy_tests::app::{Answer, App, ask, get};

/// An app with these routes, written as a Python expression; its handler tells what it captured.
fn app(routes: &str) -> App {
    App::new(&format!(
        "
def init():
    return {routes}
def handle(method, path, params, query, headers, body):
    return 200, ascii([method, params]), {{}}
"
    ))
}

async fn send(router: &Router, method: &str, target: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(target)
        .body(Body::empty())
        .unwrap();
    ask(router.clone(), request).await
}

async fn text(router: &Router, target: &str) -> String {
    let answer = send(router, "GET", target).await;
    if answer.status == 200 {
        answer.text()
    } else {
        answer.status.to_string()
    }
}

#[tokio::test]
async fn both_syntaxes_capture_with_the_meaning_of_axum() {
    for routes in [
        "{'/a/:id': ['GET'], '/user_:name': ['GET'], '/f/*rest': ['GET']}",
        "{'/a/{id}': ['GET'], '/user_{name}': ['GET'], '/f/{*rest}': ['GET']}",
    ] {
        let router = app(routes).routes().router().unwrap();
        assert_eq!(text(&router, "/a/7").await, "['GET', {'id': ['7']}]");
        assert_eq!(
            text(&router, "/user_ada").await,
            "['GET', {'name': ['ada']}]"
        );
        assert_eq!(
            text(&router, "/f/b/c.txt").await,
            "['GET', {'rest': ['b/c.txt']}]"
        );
        for target in ["/a/", "/a/7/8", "/f/", "/f", "/user_", "/user"] {
            assert_eq!(text(&router, target).await, "404", "{target}");
        }
    }
}

#[tokio::test]
async fn the_published_example_works_unmodified() {
    let app = App::new(
        "
def init():
    return {'/': ['GET'], '/hello/:target': ['GET']}
def handle(method, path, params, query, headers, body):
    return 200, f\"hello {params['target'][0]}\", {'X-Test': ['1']}
",
    );
    let answer = send(&app.routes().router().unwrap(), "GET", "/hello/you").await;
    assert_eq!(
        (answer.text().as_str(), answer.header("x-test")),
        ("hello you", "1")
    );
}

#[tokio::test]
async fn a_literal_part_matches_raw_and_encoded_however_it_was_written() {
    for routes in [
        "{'/café/:id': ['GET']}",
        "{'/caf%C3%A9/:id': ['GET']}",
        "{'/caf%c3%a9/{id}': ['GET']}",
    ] {
        let app = app(routes);
        let fallback = Router::new().fallback_service(app.routes().fallback().unwrap());
        for router in [app.routes().router().unwrap(), fallback] {
            for target in ["/café/1", "/caf%C3%A9/1", "/caf%c3%a9/1"] {
                assert_eq!(
                    text(&router, target).await,
                    "['GET', {'id': ['1']}]",
                    "{routes} {target}"
                );
            }
            assert_eq!(text(&router, "/cafe/1").await, "404");
        }
    }
}

#[tokio::test]
async fn methods_in_any_case_and_doubles_are_merged_and_so_are_two_spellings() {
    let app = app("{'/:id': ['get', 'GET', 'Post'], '/{id}': ['PUT', 'POST']}");
    let router = app.routes().router().unwrap();
    for method in ["GET", "POST", "PUT"] {
        assert_eq!(
            send(&router, method, "/7").await.text(),
            format!("['{method}', {{'id': ['7']}}]")
        );
    }
    assert_eq!(send(&router, "DELETE", "/7").await.status, 405);
}

#[tokio::test]
async fn another_method_on_a_known_path_gets_405_with_allow_and_head_comes_with_get() {
    let app = app("{'/both': ['GET', 'PUT'], '/put': ['PUT'], '/head': ['HEAD']}");
    let fallback = Router::new().fallback_service(app.routes().fallback().unwrap());
    for router in [app.routes().router().unwrap(), fallback] {
        for (path, allowed) in [
            ("/both", vec!["GET", "HEAD", "PUT"]),
            ("/put", vec!["PUT"]),
            ("/head", vec!["HEAD"]),
        ] {
            let answer = send(&router, "DELETE", path).await;
            let mut allow: Vec<&str> = answer.header("allow").split(',').collect();
            allow.sort_unstable();
            assert_eq!((answer.status, allow), (405, allowed), "{path}");
        }
        let head = send(&router, "HEAD", "/both").await;
        assert_eq!((head.status, head.text().as_str()), (200, ""));
        assert_eq!(
            head.header("content-length"),
            "['HEAD', {}]".len().to_string()
        );
        assert_eq!(send(&router, "HEAD", "/put").await.status, 405);
        assert_eq!(send(&router, "GET", "/head").await.status, 405);
    }
}

#[tokio::test]
async fn a_native_and_a_python_method_share_a_path() {
    let app = app("{'/a/:id': ['GET']}");
    let router = Router::new()
        .route("/a/{id}", routing::post(|| async { "native" }))
        .merge(app.routes().router().unwrap());
    assert_eq!(text(&router, "/a/1").await, "['GET', {'id': ['1']}]");
    assert_eq!(send(&router, "POST", "/a/1").await.text(), "native");
    let answer = send(&router, "PUT", "/a/1").await;
    assert_eq!(answer.status, 405);
    for method in ["GET", "HEAD", "POST"] {
        assert!(
            answer.header("allow").contains(method),
            "{}",
            answer.header("allow")
        );
    }
}

#[tokio::test]
async fn all_bad_entries_come_back_in_one_error() {
    let bad = [
        "no_slash",
        "/<id>",
        "/{id:int}",
        "/{}",
        "/a/:x/:x",
        "/*rest/more",
        "/{open",
        "/{id}.json",
        "/post/{a}{b}",
        "/%zz",
    ];
    let entries: Vec<String> = bad
        .iter()
        .map(|pattern| format!("'{pattern}': ['GET']"))
        .collect();
    let app = app(&format!(
        "{{'/good/:id': ['GET'], '/good/:other': ['GET'], '/brew': ['BREW'], '/tunnel': ['CONNECT'], '/none': [], {}}}",
        entries.join(", ")
    ));
    let errors = [
        app.routes().router::<()>().unwrap_err(),
        app.routes().fallback().unwrap_err(),
    ];
    for error in errors {
        assert!(error.is_routes(), "{error}");
        let text = error.to_string();
        for pattern in bad.iter().chain(&[
            "/good/:id",
            "/good/:other",
            "/brew",
            "BREW",
            "/tunnel",
            "CONNECT",
            "/none",
        ]) {
            assert!(text.contains(pattern), "{pattern} is not in:\n{text}");
        }
        assert!(
            text.contains("`/{id}`") || text.contains("\"{id}\""),
            "the right spelling is not in:\n{text}"
        );
    }
    // The app itself is not at fault: its handler can be mounted otherwise.
    assert_eq!(app.ask(get("/")).await.status, 200);
}

#[tokio::test]
async fn routes_as_python_gave_them_can_be_read_and_changed_before_they_are_mounted() {
    let app =
        app("{'/z/:id': ('get',), '/a': ['GET', 'POST'], '/health': ['GET'], '/old': ['GET']}");
    let given: Vec<(&str, usize)> = app
        .routes()
        .map()
        .iter()
        .map(|(pattern, methods)| (pattern, methods.len()))
        .collect();
    assert_eq!(
        given,
        [("/z/:id", 1), ("/a", 2), ("/health", 1), ("/old", 1)]
    );
    assert_eq!(app.routes().map().iter().next().unwrap().1, ["get"]);

    let mut map: RouteMap = app.routes().map().clone();
    map.retain(|pattern, methods| pattern != "/health" && !methods.is_empty());
    assert_eq!(map.remove("/old"), Some(vec!["GET".to_owned()]));
    assert_eq!(map.remove("/old"), None);
    assert_eq!((map.len(), map.is_empty()), (2, false));
    let nested = map.clone().nest("/api/{version}");
    let router = Router::new()
        .route("/health", routing::get(|| async { "native" }))
        .merge(app.routes().router_for(&map).unwrap())
        .merge(app.routes().router_for(&nested).unwrap());
    assert_eq!(text(&router, "/health").await, "native");
    assert_eq!(text(&router, "/old").await, "404");
    assert_eq!(text(&router, "/z/1").await, "['GET', {'id': ['1']}]");
    assert_eq!(
        text(&router, "/api/v1/z/1").await,
        "['GET', {'version': ['v1'], 'id': ['1']}]"
    );
}

#[tokio::test]
async fn a_map_arranged_by_method_is_transposed_before_it_is_mounted() {
    let app = app("{'GET': ['/a', '/b'], 'POST': ['/a']}");
    assert!(app.routes().router::<()>().unwrap_err().is_routes());
    let router = app
        .routes()
        .router_for(&app.routes().map().transpose())
        .unwrap();
    assert_eq!(send(&router, "POST", "/a").await.text(), "['POST', {}]");
    assert_eq!(text(&router, "/b").await, "['GET', {}]");
    assert_eq!(send(&router, "POST", "/b").await.status, 405);
}

#[tokio::test]
async fn of_an_init_function_without_routes_there_are_none() {
    for source in [
        "def init():\n    return None\n",
        "def init():\n    return {}\n",
    ] {
        let app = App::new(&format!(
            "{source}def handle(*arguments):\n    return 200, '', {{}}\n"
        ));
        assert!(app.routes().map().is_empty());
        assert_eq!(text(&app.routes().router().unwrap(), "/").await, "404");
        assert_eq!(
            ask(app.routes().fallback().unwrap(), get("/")).await.status,
            404
        );
    }
}

#[tokio::test]
async fn a_fallback_lets_native_routes_win_and_conflicts_with_nothing() {
    let app =
        app("{'/a/:id': ['GET'], '/b/*rest': ['POST'], '/native': ['GET'], '/python': ['GET']}");
    // Neither of these could be merged with the routes.
    let router = Router::new()
        .route("/native", routing::get(|| async { "native" }))
        .route("/a/{other}", routing::delete(|| async { "deleted" }))
        .fallback_service(app.routes().fallback().unwrap());
    assert_eq!(text(&router, "/native").await, "native");
    assert_eq!(text(&router, "/python").await, "['GET', {}]");
    assert_eq!(send(&router, "DELETE", "/a/1").await.text(), "deleted");
    assert_eq!(
        send(&router, "POST", "/b/1/2").await.text(),
        "['POST', {'rest': ['1/2']}]"
    );

    let missing = send(&router, "GET", "/missing").await;
    assert_eq!(
        (missing.status, missing.text().as_str()),
        (404, "not found\n")
    );
    assert!(missing.error.is_some_and(|error| error.is_not_found()));
    let refused = send(&router, "POST", "/python").await;
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (405, "method not allowed\n")
    );
    assert_eq!(refused.header("allow"), "GET,HEAD");
    assert!(
        refused
            .error
            .is_some_and(|error| error.is_method_not_allowed())
    );
}

#[tokio::test]
async fn a_nested_fallback_matches_what_is_left_of_the_path() {
    let app = app("{'/hello/:name': ['GET']}");
    let router = Router::new().nest_service("/api", app.routes().fallback().unwrap());
    assert_eq!(
        text(&router, "/api/hello/you").await,
        "['GET', {'name': ['you']}]"
    );
    assert_eq!(text(&router, "/hello/you").await, "404");
}

#[derive(Clone)]
struct AppState {
    greeting: &'static str,
}

#[tokio::test]
async fn an_app_with_state_merges_and_nests_python_routes() {
    let app = app("{'/python/:id': ['GET']}");
    let router = Router::<AppState>::new()
        .route(
            "/native",
            routing::get(|State(state): State<AppState>| async move { state.greeting }),
        )
        .merge(app.routes().router().unwrap())
        .nest("/{tenant}", app.routes().router().unwrap())
        .with_state(AppState { greeting: "hello" });
    assert_eq!(text(&router, "/native").await, "hello");
    assert_eq!(text(&router, "/python/1").await, "['GET', {'id': ['1']}]");
    assert_eq!(
        text(&router, "/t/python/1").await,
        "['GET', {'tenant': ['t'], 'id': ['1']}]"
    );
}

#[test]
fn each_way_in_which_init_fails_says_which_it_was() {
    type Predicate = fn(&httpy::Error) -> bool;
    let cases: [(&str, Predicate, &str); 6] = [
        (
            "def init():\n    raise ValueError('no database')",
            httpy::Error::is_init_exception,
            "no database",
        ),
        (
            "def init():\n    raise SystemExit(2)",
            httpy::Error::is_init_exception,
            "SystemExit: 2",
        ),
        (
            "def init():\n    return ['/a']",
            httpy::Error::is_init_result,
            "list",
        ),
        (
            "def init():\n    return {'/a': 'GET'}",
            httpy::Error::is_init_result,
            "'/a' with str",
        ),
        (
            "def init():\n    return {'/a': [1]}",
            httpy::Error::is_init_result,
            "method of type int at index 0",
        ),
        (
            "def init(app):\n    return {}",
            httpy::Error::is_signature,
            "without arguments",
        ),
    ];
    for (source, is_it, text) in cases {
        let source = format!("{source}\ndef handle(*arguments):\n    return 200, '', {{}}\n");
        let error = App::try_with(&source, |builder| builder).unwrap_err();
        assert!(
            is_it(&error) && error.to_string().contains(text),
            "{error:?}"
        );
    }
    let error = Builder::new("no_colon").build().unwrap_err();
    assert!(error.is_target(), "{error:?}");
}
