//! What the server and its router put into a request's extensions: axum's types, with the feature `axum`.

use std::net::SocketAddr;

use http::request::Parts;
use http::{Extensions, Uri};
#[cfg(feature = "axum")]
use httpy_core::Kind;
use httpy_core::{Fields, Reader, UploadFault};

#[cfg(feature = "axum")]
use axum::extract::{ConnectInfo, MatchedPath, NestedPath, OriginalUri};

#[cfg(feature = "axum")]
use super::behind::Unrouted;
use super::service::Inner;
#[cfg(feature = "axum")]
pub(super) use super::socket::Upgrade;
#[cfg(feature = "axum")]
use crate::route::captures;

/// The target as the client sent it, where a prefix may have been taken off since.
#[cfg(feature = "axum")]
fn original(extensions: &Extensions) -> Option<&Uri> {
    extensions.get::<OriginalUri>().map(|OriginalUri(uri)| uri)
}

/// [`original`], taken out.
#[cfg(feature = "axum")]
pub(super) fn take_original(extensions: &mut Extensions) -> Option<Uri> {
    extensions
        .remove::<OriginalUri>()
        .map(|OriginalUri(uri)| uri)
}

/// The client's address, where the server was told to pass it on.
#[cfg(feature = "axum")]
pub(super) fn client(extensions: &Extensions) -> Option<SocketAddr> {
    extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(client)| *client)
}

/// What the routers on the way have captured, and the pattern of the route that matched, prefixes of `nest` included.
#[cfg(feature = "axum")]
pub(super) fn matched(parts: &mut Parts) -> (Fields, Option<String>) {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use axum::extract::rejection::RawPathParamsRejection;
    use axum::extract::{FromRequestParts, RawPathParams};

    if parts.extensions.get::<Unrouted>().is_some() {
        return (raw_captures(parts, ""), None);
    }
    let matched = parts.extensions.get::<MatchedPath>().cloned();
    let params = {
        // What has matched is known to the routers alone: layers before, between and behind them may change the path. An
        // extractor of axum's is a future for form's sake.
        let extracted = pin!(RawPathParams::from_request_parts(parts, &()));
        extracted.poll(&mut Context::from_waker(Waker::noop()))
    };
    let params = match params {
        Poll::Ready(Ok(params)) => {
            let mut fields = Fields::new();
            for (name, value) in &params {
                fields.push(name.as_bytes(), value.as_bytes());
            }
            fields
        }
        Poll::Ready(Err(RawPathParamsRejection::MissingPathParams(_))) => Fields::new(),
        // One of them is not UTF-8, and axum has kept none.
        _ => raw_captures(parts, matched.as_ref().map_or("", MatchedPath::as_str)),
    };
    (params, matched.map(|matched| matched.as_str().to_owned()))
}

/// The captures of `template`, the whole pattern, in raw paths: in what is left of the path, which the last router has
/// matched, after those of the prefix; or in the target as it came, where a layer behind the router has changed the path.
/// `None` if neither fits. Those of the prefix alone if the template is empty.
#[cfg(feature = "axum")]
fn raw_captures(parts: &Parts, template: &str) -> Fields {
    let nested = parts.extensions.get::<NestedPath>();
    let prefix = nested.map_or("", |nested| nested.as_str().trim_end_matches('/'));
    let original = original(&parts.extensions).map_or("", Uri::path);
    let rest = (!template.is_empty()).then(|| template.strip_prefix(prefix));
    let rest = rest.flatten();

    let mut found = Fields::new();
    if captures(prefix, original, &mut found).is_none() {
        found = Fields::new();
    }
    match rest {
        // No route matched in what is mounted below the prefix.
        None => return found,
        Some(rest) => {
            let rest = if rest.is_empty() { "/" } else { rest };
            if captures(rest, parts.uri.path(), &mut found) == Some("") {
                return found;
            }
        }
    }
    let mut found = Fields::new();
    if captures(template, original, &mut found) == Some("") {
        return found;
    }
    Fields::new()
}

/// The request for a WebSocket, where the service has an application that knows them.
#[cfg(feature = "axum")]
pub(super) fn upgrade(
    service: &Inner,
    parts: &mut Parts,
) -> Option<(Upgrade, Reader<UploadFault>)> {
    if service.id.interface.kind != Kind::Asgi {
        return None;
    }
    Upgrade::of(parts, &service.engine.gate)
}

/// Nothing takes a prefix off.
#[cfg(not(feature = "axum"))]
pub(super) fn take_original(_: &mut Extensions) -> Option<Uri> {
    None
}

/// Nothing passes it on.
#[cfg(not(feature = "axum"))]
pub(super) fn client(_: &Extensions) -> Option<SocketAddr> {
    None
}

/// Only this crate's own matcher knows routes.
#[cfg(not(feature = "axum"))]
pub(super) fn matched(_: &mut Parts) -> (Fields, Option<String>) {
    (Fields::new(), None)
}

/// There are no WebSockets.
#[cfg(not(feature = "axum"))]
#[derive(Debug)]
pub(super) enum Upgrade {}

#[cfg(not(feature = "axum"))]
impl Upgrade {
    pub(super) fn accept(
        self,
        _: http::HeaderMap,
        _: super::stream::Streamed,
        _: std::sync::Arc<Inner>,
    ) -> http::Response<super::ResponseBody> {
        match self {}
    }
}

/// Nothing is upgraded.
#[cfg(not(feature = "axum"))]
pub(super) fn upgrade(_: &Inner, _: &mut Parts) -> Option<(Upgrade, Reader<UploadFault>)> {
    None
}
