//! Bytes become an init function's map: a request's method and path in the first line, then one entry a line, its methods
//! before its pattern. The router and the fallback take or refuse the map alike, and answer the request alike.

#![no_main]

use std::sync::LazyLock;

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};
use httpy::{PyService, RouteMap};
use httpy_fuzz::{Fixture, builder};
use httpy_tests::app::{Answer, ask, post};
use httpy_tests::twin::{Asked, revealed};
use libfuzzer_sys::fuzz_target;

static FIXTURE: LazyLock<(Fixture, PyService)> = LazyLock::new(|| {
    let fixture = Fixture::new();
    let set_routes = fixture.handler("grammar:set_routes");
    (fixture, set_routes)
});

fn entry(line: &str) -> (String, Vec<String>) {
    let (methods, pattern) = line.split_once(' ').unwrap_or(("GET", line));
    (pattern.to_owned(), methods.split(',').map(str::to_owned).collect())
}

fn summary(answer: &Answer) -> (u16, String, serde_json::Value) {
    (answer.status, answer.header(header::ALLOW.as_str()).to_owned(), revealed(answer))
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let Some((method, path)) = lines.next().and_then(|line| line.split_once(' ')) else { return };
    let (Ok(method), Ok(uri)) = (Method::from_bytes(method.as_bytes()), path.parse::<Uri>()) else { return };
    let map: RouteMap = lines.map(entry).collect();
    assert_eq!(map.nest(""), map);

    let (fixture, set_routes) = &*FIXTURE;
    let body = serde_json::to_vec(&map).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(fixture.wait(ask(set_routes.clone(), post("/", body))).status, 204);
    let engine = builder().build().unwrap_or_else(|error| panic!("{error:?}"));
    let routes = engine.routes("grammar:init", "twin:handle").unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(routes.map(), &map);
    let (router, fallback) = match (routes.router::<()>(), routes.fallback()) {
        (Ok(router), Ok(fallback)) => (router, fallback),
        (Err(router), Err(fallback)) => {
            assert!(router.is_routes() && fallback.is_routes());
            assert_eq!(router.to_string(), fallback.to_string());
            return;
        }
        (router, fallback) => panic!("the router: {router:?}, the fallback: {fallback:?}"),
    };
    let asked = Asked { method, uri, headers: HeaderMap::new(), body: Bytes::new() };
    let routed = fixture.wait(ask(router, asked.request()));
    let fallen = fixture.wait(ask(Router::new().fallback_service(fallback), asked.request()));
    if asked.method == Method::CONNECT {
        // No route has it: with a path axum knows or says so first.
        assert!(matches!(routed.status, 404 | 405) && fallen.status == 405);
    } else {
        assert_eq!(summary(&routed), summary(&fallen));
    }
});
