//! What an app in debug answers to a failed call: a page for browsers, text for others; what is on it, what is not, and that
//! nothing from outside is markup.

use axum::Router;
use axum::body::Body;
use http::Request;
use httpy_tests::app::{Answer, App, ask, get};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

const FAILING: &str = "
def fail(what):
    detail = 'the line before'
    raise ValueError(what)

def handle(method, path, params, query, headers, body):
    if path == '/chained':
        try:
            fail('the cause')
        except ValueError as error:
            raise RuntimeError('the end') from error
    if path == '/contract':
        return 200, 'no headers'
    if path == '/echo':
        raise KeyError(path + str(query) + str(headers) + body)
    if path == '/library':
        import json
        json.loads('{')
    if path.startswith('/raise'):
        fail(body or 'it broke')
    return 200, 'served', {}
";

fn debug(source: &str) -> App {
    App::with(source, |builder| builder.debug(true).body_limit(100_000))
}

fn request(target: &str, accept: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder()
        .method("POST")
        .uri(target)
        .header("accept", accept);
    request
        .body(body.into())
        .unwrap_or_else(|error| panic!("{error}"))
}

async fn page(app: &App, target: &str, body: &'static str) -> Answer {
    let answer = app.ask(request(target, BROWSER, body)).await;
    assert_eq!(
        answer.header("content-type"),
        "text/html; charset=utf-8",
        "{}",
        answer.text()
    );
    answer
}

#[tokio::test]
async fn a_browser_gets_a_page_with_the_exception_and_its_source_lines() {
    let app = debug(FAILING);
    let answer = page(&app, "/raise", "").await;
    assert_eq!(answer.status, 500);
    let text = answer.text();
    for part in [
        "<h1>ValueError</h1>",
        "<p class=\"message\">it broke</p>",
        "<code>    detail = &#39;the line before&#39;</code>",
        "<li class=\"here\"><i>4</i><code>    raise ValueError(what)</code></li>",
        "<b>fail</b>",
        "<b>handle</b>",
        "Traceback (most recent call last):",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    // The innermost frame stands first, and is open.
    let (fail, handle) = (
        text.find("<b>fail</b>").unwrap(),
        text.find("<b>handle</b>").unwrap(),
    );
    assert!(
        fail < handle && text[..fail].ends_with("<details class=\"frame own\" open><summary>"),
        "{text}"
    );
    assert!(answer.error.is_some_and(|error| error.is_exception()));
}

#[tokio::test]
async fn it_needs_nothing_from_elsewhere_and_runs_nothing() {
    let answer = page(&debug(FAILING), "/raise", "").await;
    let text = answer.text();
    for absent in [
        "<script", "<link", "<img", "http://", "https://", "@import", "url(",
    ] {
        assert!(!text.contains(absent), "{absent:?} in\n{text}");
    }
    assert!(
        answer
            .header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    assert_eq!(
        (
            answer.header("x-content-type-options"),
            answer.header("cache-control")
        ),
        ("nosniff", "no-store")
    );
    assert_eq!(answer.header("vary"), "accept");
}

#[tokio::test]
async fn who_does_not_ask_for_html_gets_text() {
    let app = debug(FAILING);
    for accept in ["*/*", "application/json", "text/plain, text/html;q=0.5"] {
        let answer = app
            .ask(request("/raise?a=1", accept, "it broke\u{1b}[2J"))
            .await;
        assert_eq!(
            answer.header("content-type"),
            "text/plain; charset=utf-8",
            "{accept}"
        );
        let text = answer.text();
        assert!(text.starts_with("internal server error\n\n"), "{text}");
        for part in [
            "ValueError: it broke\\u{1b}[2J\n",
            "POST /raise HTTP/1.1\n",
            "\nquery\n  a: 1\n",
            "\nbody, 12 bytes\n",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

#[tokio::test]
async fn nothing_from_outside_is_markup() {
    const SCRIPT: &str = "<script>alert('x\"&')</script>";
    let app = debug(FAILING);
    let escaped = |path: &str| format!("{path}{}", "%3Cscript%3Ealert('x%22%26')%3C/script%3E");
    for target in [
        escaped("/raise"),
        format!("/raise?{}={}", escaped(""), escaped("")),
        "/echo".to_owned(),
    ] {
        let request = Request::builder()
            .method("POST")
            .uri(&target)
            .header("accept", BROWSER)
            .header("x-odd", SCRIPT)
            .body(Body::from(SCRIPT))
            .unwrap();
        let answer = ask(app.service(), request).await;
        let text = answer.text();
        assert_eq!(
            (answer.status, text.contains("<script")),
            (500, false),
            "{text}"
        );
        // In the exception, in the header and in the body.
        assert!(text.matches("&lt;script&gt;").count() >= 3, "{text}");
    }
    // Also in what no handler has seen: a path that no route has.
    let fallback = App::with(
        "def init():\n    return {'/known': ['GET']}\ndef handle(*a):\n    return 200, '', {}\n",
        |builder| builder.debug(true),
    );
    let answer = ask(
        fallback.routes().fallback().unwrap(),
        request(&escaped("/"), BROWSER, ""),
    )
    .await;
    assert_eq!(
        (answer.status, answer.text().contains("<script")),
        (404, false),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn the_request_is_shown_without_its_secrets() {
    let app = App::with(
        "def init():\n    return {'/raise/{name}': ['POST']}\ndef handle(*a):\n    raise ValueError('it broke')\n",
        |builder| builder.debug(true),
    );
    let request = Request::builder()
        .method("POST")
        .uri("/raise/a%20b?tag=one&tag=two&token=hush")
        .header("accept", BROWSER)
        .header("authorization", "Bearer hush")
        .header("cookie", "session=hush")
        .header("x-visible", "yes")
        .body(Body::from("{\"n\": 1}"))
        .unwrap();
    let text = ask(app.routes().router::<()>().unwrap(), request)
        .await
        .text();
    for part in [
        "<dd>POST /raise/a b HTTP/1.1</dd>",
        "<dt>route</dt><dd>/raise/{name}</dd>",
        "<dt>name</dt><dd>a b</dd>",
        "<dt>tag</dt><dd>one</dd>",
        "<dt>tag</dt><dd>two</dd>",
        "<dt>token</dt><dd>(hidden, 4 bytes)</dd>",
        "<dt>authorization</dt><dd>(hidden, 11 bytes)</dd>",
        "<dt>cookie</dt><dd>(hidden, 12 bytes)</dd>",
        "<dt>x-visible</dt><dd>yes</dd>",
        "<h3>body, 8 bytes</h3>\n<pre>{&quot;n&quot;: 1}</pre>",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert!(!text.contains("hush"), "{text}");
}

#[tokio::test]
async fn of_a_long_body_the_first_bytes_are_shown() {
    let app = debug(FAILING);
    let answer = app.ask(request("/echo", BROWSER, "x".repeat(50_000))).await;
    assert!(
        answer
            .text()
            .contains("<h3>body, the first 2048 of 50000 bytes</h3>"),
        "{}",
        answer.text()
    );
    let answer = app.ask(request("/raise", BROWSER, vec![0xff, 0, 1])).await;
    assert!(
        answer.text().contains("<pre>ff 00 01 \n</pre>"),
        "{}",
        answer.text()
    );
    // One that is too long was not read.
    let answer = app
        .ask(request("/raise", BROWSER, "x".repeat(200_000)))
        .await;
    assert_eq!(
        (answer.status, answer.text().contains("<h3>body")),
        (413, false),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_contract_failure_says_what_was_expected() {
    let app = debug(FAILING);
    let text = page(&app, "/contract", "").await.text();
    for part in [
        "<h1>Contract failure</h1>",
        "returned (int, str): expected 3 items (status, body, headers), found 2</p>",
        "<h2>A handler returns</h2>",
        "<dt>status</dt><dd>int (http.HTTPStatus too), 200 to 999</dd>",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    let text = app.ask(request("/contract", "*/*", "")).await.text();
    assert!(
        text.contains("\nA handler returns\n  the result a tuple of three"),
        "{text}"
    );
}

#[tokio::test]
async fn what_an_exception_came_from_has_its_own_frames() {
    let text = page(&debug(FAILING), "/chained", "").await.text();
    let end = text.find("<h1>RuntimeError</h1>").unwrap();
    let cause = text
        .find("<h3>It was raised from <code>ValueError: the cause</code></h3>")
        .unwrap();
    assert!(
        end < cause && text[cause..].contains("<b>fail</b>"),
        "{text}"
    );
}

#[tokio::test]
async fn the_frames_of_libraries_are_closed() {
    let text = page(&debug(FAILING), "/library", "").await.text();
    let own = text.find("<details class=\"frame own\" open>").unwrap();
    assert!(
        text[..own].matches("<details class=\"frame\">").count() >= 3,
        "{text}"
    );
}

#[tokio::test]
async fn every_failure_has_its_status_and_headers_on_a_page_too() {
    // The second app keeps Python from ending with the first one.
    let (app, _other) = (
        App::with(FAILING, |builder| builder.debug(true).body_limit(2)),
        debug(FAILING),
    );
    assert_eq!(page(&app, "/raise", "abc").await.status, 413);
    app.python.shutdown().await;
    let answer = page(&app, "/raise", "").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
}

#[tokio::test]
async fn without_debug_nothing_of_it_is_shown() {
    // An app in debug beside it makes no difference.
    let (_debug, app) = (debug(FAILING), App::new(FAILING));
    let answer = app.ask(request("/raise", BROWSER, "secret")).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (500, "internal server error\n")
    );
    assert_eq!(answer.header("content-security-policy"), "");
    assert_eq!(app.ask(get("/")).await.text(), "served");
}

#[tokio::test]
async fn a_layer_that_took_the_routers_place_changes_nothing() {
    let app = debug(FAILING);
    let nested = Router::new().nest_service("/api", app.service());
    let text = ask(nested, request("/api/raise", BROWSER, "")).await.text();
    assert!(text.contains("<dd>POST /raise HTTP/1.1</dd>"), "{text}");
}
