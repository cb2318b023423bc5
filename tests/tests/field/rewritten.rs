//! Layers that change a request's path, before, between and behind routers: `params` are what has matched. And what a client
//! writes into its target besides the path: what of it is believed.

use axum::extract::Request;
use axum::routing::get;
use axum::{Extension, Router};
use http::Uri;
use http::uri::Scheme;
use http_body_util::Full;
use httpy::Origin;
use httpy_tests::app::{App, ask, get as request_for, serve};
use httpy_tests::client::{exchange, http2, request};
use serde_json::{Value, json};
use tower::{Layer, ServiceBuilder};
use tower_http::normalize_path::NormalizePathLayer;

const SOURCE: &str = "
import json
import httpy_rs

def init():
    return {'/users/:name': ['GET'], '/:kind/*rest': ['GET']}

def handle(method, path, params, query, headers, body):
    found = {'route': httpy_rs.request().route, 'params': params}
    return 200, json.dumps(found), None

def tell(method, path, params, query, headers, body):
    request = httpy_rs.request()
    found = {'scheme': request.scheme, 'client': request.client, 'target': request.target, 'host': headers['Host']}
    return 200, json.dumps(found), None
";

/// `/old/...` becomes `/...`.
fn rewrite(mut request: Request) -> Request {
    let target = request.uri().path_and_query().map(ToString::to_string);
    if let Some(rest) = target.as_deref().and_then(|it| it.strip_prefix("/old/")) {
        *request.uri_mut() = Uri::try_from(format!("/{rest}")).expect("it was one");
    }
    request
}

/// What no route of the app has, as if it were hidden.
fn hide(mut request: Request) -> Request {
    *request.uri_mut() = Uri::from_static("/hidden");
    request
}

#[tokio::test]
async fn params_are_what_has_matched_whatever_a_layer_makes_of_the_path() {
    let app = App::new(SOURCE);
    let routes = || app.routes().router::<()>().expect("they are routes");
    let rewritten = || ServiceBuilder::new().map_request(rewrite);
    let trimmed = NormalizePathLayer::trim_trailing_slash;
    let fallback = || app.routes().fallback().expect("they are routes");

    let behind = Router::new()
        .nest("/plain", routes())
        .nest_service("/trimmed", trimmed().layer(routes()))
        .nest_service("/of/{tenant}", rewritten().service(routes()))
        .nest("/deep/{one}", Router::new().nest("/{two}", routes()))
        .nest_service("/bare/{tenant}", app.service())
        .nest_service("/own", rewritten().service(fallback()))
        .route_service("/one/{id}", app.service())
        .route("/native", get(|| async { "native" }))
        .fallback_service(rewritten().service(routes()));
    // On a router, a layer comes behind the match.
    let hidden = routes().layer(ServiceBuilder::new().map_request(hide));
    let around = rewritten().service(routes());
    let user = |name: &str| json!({"name": [name]});

    for (target, route, params) in [
        ("/plain/users/NAME", "/plain/users/{name}", user("NAME")),
        ("/users/NAME", "/users/{name}", user("NAME")),
        ("/old/users/NAME?q", "/users/{name}", user("NAME")),
        (
            "/trimmed/users/NAME/",
            "/trimmed/users/{name}",
            user("NAME"),
        ),
        (
            "/of/TENANT/old/users/NAME",
            "/of/{tenant}/users/{name}",
            json!({"tenant": ["TENANT"], "name": ["NAME"]}),
        ),
        (
            "/deep/1/NAME/users/x",
            "/deep/{one}/{two}/users/{name}",
            json!({"one": ["1"], "two": ["NAME"], "name": ["x"]}),
        ),
        (
            "/old/a/b/NAME/",
            "/{kind}/{*rest}",
            json!({"kind": ["a"], "rest": ["b/NAME/"]}),
        ),
        ("/own/old/users/NAME", "/users/{name}", user("NAME")),
        ("/bare/NAME/x", "", json!({"tenant": ["NAME"]})),
        ("/one/NAME", "/one/{id}", json!({"id": ["NAME"]})),
    ] {
        // The second is not UTF-8, and of such captures axum keeps none.
        for (sent, seen) in [("a%20b", "a b"), ("%FF", "\u{fffd}")] {
            let target = target.replace("NAME", sent);
            let text = ask(behind.clone(), request_for(&target)).await.text();
            // JSON spells lone surrogates out; they are no text in Rust.
            let found = text.replace("\\udcff", "\u{fffd}");
            let found: Value = serde_json::from_str(&found).expect("it is JSON");
            let params = params.to_string().replace("NAME", seen);
            let params: Value = serde_json::from_str(&params).expect("it is JSON");
            assert_eq!(found["params"], params, "{target}");
            assert_eq!(found["route"].as_str().unwrap_or_default(), route);
        }
    }

    for (sent, seen) in [("ada", "ada"), ("%FF", "\\udcff")] {
        let hidden = ask(hidden.clone(), request_for(&format!("/users/{sent}")));
        let around = ask(around.clone(), request_for(&format!("/old/users/{sent}")));
        for answer in [hidden.await, around.await] {
            let expected =
                format!(r#"{{"route": "/users/{{name}}", "params": {{"name": ["{seen}"]}}}}"#);
            assert_eq!(answer.text(), expected);
        }
    }
}

#[tokio::test]
async fn scheme_and_client_are_what_the_host_says_and_never_what_a_client_claims() {
    let app = App::new(SOURCE);
    let router = || Router::new().fallback_service(app.handler("tell"));
    let plain = serve(router()).await;
    let known = Origin::new()
        .with_scheme(Scheme::HTTPS)
        .with_client(([192, 0, 2, 7], 7).into());
    let https = serve(router().layer(Extension(known))).await;

    for target in ["/a?b", "http://localhost/a?b", "https://localhost/a?b"] {
        let forged = [
            ("X-Forwarded-Proto", &b"https"[..]),
            ("X-Forwarded-For", b"198.51.100.1"),
            ("Forwarded", b"for=198.51.100.1;proto=https"),
        ];
        let bytes = request("GET", target, &forged, b"");
        let found: Value = serde_json::from_str(&exchange(plain.address, &bytes).await.text())
            .expect("it is JSON");
        assert_eq!(
            (&found["scheme"], &found["client"][0], &found["target"]),
            (&json!("http"), &json!("127.0.0.1"), &json!("/a?b")),
            "{target}"
        );
        let found: Value = serde_json::from_str(&exchange(https.address, &bytes).await.text())
            .expect("it is JSON");
        assert_eq!(
            (&found["scheme"], &found["client"]),
            (&json!("https"), &json!(["192.0.2.7", 7])),
            "{target}"
        );
    }

    let claimed = http::Request::get("https://localhost/").body(Full::default());
    let response = http2(plain.address, claimed.expect("it is a request")).await;
    let found: Value = serde_json::from_slice(response.body()).expect("it is JSON");
    assert_eq!(found["scheme"], "http");
}

#[tokio::test]
async fn the_host_is_that_of_the_target_whatever_a_host_line_says() {
    let app = App::new(SOURCE);
    let server = serve(Router::new().fallback_service(app.handler("tell"))).await;
    for (target, host, expected) in [
        ("/", "line.example", json!(["line.example"])),
        (
            "http://target.example:81/",
            "line.example",
            json!(["target.example:81"]),
        ),
        (
            "http://user@target.example/",
            "line.example",
            json!(["target.example"]),
        ),
    ] {
        let bytes = request("GET", target, &[("Host", host.as_bytes())], b"");
        let text = exchange(server.address, &bytes).await.text();
        let found: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(found["host"], expected, "{target}");
    }
    let both = http::Request::get("http://target.example/")
        .header("host", "line.example")
        .body(Full::default());
    let response = http2(server.address, both.expect("it is a request")).await;
    let found: Value = serde_json::from_slice(response.body()).expect("it is JSON");
    assert_eq!(found["host"], json!(["target.example"]));
}
