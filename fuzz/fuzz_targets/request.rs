//! Bytes become a request, written as HTTP/1 writes it with `\n` between the lines: what the handler is given is what
//! `httpy_rs._arguments` says in Python.

#![no_main]

use std::sync::LazyLock;

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use httpy::PyService;
use httpy_fuzz::Fixture;
use httpy_tests::app::ask;
use httpy_tests::twin::{Asked, revealed};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const ROUTES: [&str; 6] = ["/", "/a/{first}", "/a/{first}/b", "/files/{*rest}", "/caf%C3%A9/{größe}", "/x_{id}/{id2}"];

static FIXTURE: LazyLock<Targets> = LazyLock::new(|| {
    let fixture = Fixture::new();
    let router = |service: PyService| {
        let router = Router::new().fallback_service(service.clone());
        ROUTES.iter().fold(router, |router, route| router.route_service(route, service.clone()))
    };
    let routers = [router(fixture.handler("twin:handle")), router(fixture.handler("twin:handle_bytes"))];
    let twin = fixture.handler("twin:twin");
    Targets { fixture, routers, twin }
});

struct Targets {
    fixture: Fixture,
    /// With the body as `str`, and as `bytes`.
    routers: [Router; 2],
    twin: PyService,
}

/// The request that `data` spells, when `http` takes it. Lines that are no header lines are passed over.
fn read(data: &[u8]) -> Option<Asked> {
    let line = |data: &[u8]| data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (head, mut rest) = data.split_at(line(data));
    let space = head.iter().position(|&byte| byte == b' ')?;
    let method = Method::from_bytes(&head[..space]).ok()?;
    let uri = Uri::from_maybe_shared(Bytes::copy_from_slice(&head[space + 1..])).ok()?;
    let mut headers = HeaderMap::new();
    while let [b'\n', after @ ..] = rest {
        let (field, next) = after.split_at(line(after));
        rest = next;
        if field.is_empty() {
            break;
        }
        let Some(colon) = field.iter().position(|&byte| byte == b':') else { continue };
        let name = HeaderName::from_bytes(&field[..colon]);
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = field[colon + 1..].iter().position(|byte| !blank(byte)).map_or(field.len(), |at| colon + 1 + at);
        let end = field.iter().rposition(|byte| !blank(byte)).map_or(start, |at| at + 1).max(start);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&field[start..end])) {
            headers.append(name, value);
        }
    }
    let body = Bytes::copy_from_slice(rest.strip_prefix(b"\n").unwrap_or(rest));
    Some(Asked { method, uri, headers, body })
}

fuzz_target!(|data: &[u8]| {
    let Some(asked) = read(data) else { return };
    let targets = &*FIXTURE;
    for (router, wants_bytes) in targets.routers.iter().zip([false, true]) {
        let answer = targets.fixture.wait(ask(router.clone(), asked.request()));
        let found = revealed(&answer);
        if asked.method == Method::CONNECT {
            assert_eq!((answer.status, &found), (405, &Value::Null));
            continue;
        }
        assert_eq!(answer.status, 200, "{:?}", answer.error);
        if asked.uri.path().starts_with('/') {
            let expected = targets.fixture.wait(asked.arguments(targets.twin.clone(), &found[6], wants_bytes));
            assert_eq!(found, expected);
        }
    }
});
