//! From a request's head to a `Call`: everything that can be computed without an interpreter is computed here.

use std::mem;

use http::header::{HOST, HeaderValue};
use http::request::Parts;
use http::uri::Scheme;
use http::{Method, Uri};
use httpy_core::{Call, Details, Fields, Headers};
use serde_json::{Map, Value};

use super::server;
use super::service::Inner;
use crate::error::Kind;
use crate::route::{Match, captures, decode_path, query};
use crate::{Error, log};

/// What the host finds out about a request, serialised.
pub(crate) type Extra = Box<dyn Fn(&Parts) -> Result<Value, serde_json::Error> + Send + Sync>;

/// What the host says of where a request belongs in a distributed trace.
pub(crate) type TraceContext = Box<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

/// The call for a request's head, of which nothing of use is left then.
///
/// # Errors
///
/// `CONNECT`, a path that the service's own routes do not have, extras that cannot be serialised.
pub(super) fn call(service: &Inner, parts: &mut Parts) -> Result<Call, Error> {
    if parts.method == Method::CONNECT {
        return Err(method_not_allowed(
            &parts.method,
            HeaderValue::from_static(""),
        ));
    }
    let (params, route) = route(service, parts)?;
    let extras = extras(&service.app.extras, parts)?;
    let trace = service
        .app
        .trace_context
        .as_ref()
        .and_then(|trace_context| trace_context(parts));
    let Parts {
        method,
        uri,
        version,
        headers,
        extensions,
        ..
    } = parts;
    let (method, uri) = (mem::take(method), mem::take(uri));
    let target = server::take_original(extensions).unwrap_or_else(|| uri.clone());
    // Without a `Host` line the authority tells the host: always over HTTP/2, and over HTTP/1.0 in an absolute target.
    let authority = if headers.contains_key(HOST) {
        None
    } else {
        target.authority().or(uri.authority())
    };
    Ok(Call {
        decoded_path: decode_path(uri.path()),
        params,
        query: uri.query().map_or_else(Fields::new, query),
        headers: Headers::new(headers, authority),
        details: Details {
            route,
            client: server::client(extensions),
            scheme: if target.scheme() == Some(&Scheme::HTTPS) {
                "https"
            } else {
                "http"
            },
            version: *version,
            extras,
            trace,
            span: log::current_span(),
            target,
        },
        method,
        uri,
    })
}

/// The call of a request that is refused: which it is, and nothing else.
pub(super) fn refused(service: &Inner, mut parts: Parts) -> Call {
    let route = route(service, &parts).map_or(None, |(_, route)| route);
    let target = server::take_original(&mut parts.extensions);
    let mut call = Call::new(parts.method, parts.uri);
    call.details.route = route;
    call.details.target = target.unwrap_or_else(|| call.uri.clone());
    call
}

/// What the route captured, and its pattern.
pub(super) fn route(service: &Inner, parts: &Parts) -> Result<(Fields, Option<String>), Error> {
    let mut params = Fields::new();
    let template = match &service.routes {
        Some(routes) => match routes.load().find(&parts.method, parts.uri.path()) {
            Match::Found { template } => {
                captures(template, parts.uri.path(), &mut params);
                template.to_owned()
            }
            Match::MethodNotAllowed { allow } => {
                return Err(method_not_allowed(&parts.method, allow));
            }
            Match::NotFound => {
                return Err(Error::new(
                    Kind::NotFound,
                    format!("no route matches {}", parts.uri.path()),
                ));
            }
        },
        None => match server::matched(&parts.extensions) {
            // The whole pattern, prefixes of `nest` included: it belongs to the target as the client sent it.
            Some(matched) => {
                let original = server::original(&parts.extensions).unwrap_or(&parts.uri);
                captures(matched, Uri::path(original), &mut params);
                matched.to_owned()
            }
            None => return Ok((params, None)),
        },
    };
    Ok((params, Some(template)))
}

fn method_not_allowed(method: &Method, allow: HeaderValue) -> Error {
    Error::new(
        Kind::MethodNotAllowed(allow),
        format!("method {method} is not allowed here"),
    )
}

/// All extras as one JSON object; of two with one name the later wins.
fn extras(extras: &[Extra], parts: &Parts) -> Result<Option<String>, Error> {
    if extras.is_empty() {
        return Ok(None);
    }
    let mut all = Map::new();
    for extra in extras {
        match extra(parts) {
            Ok(Value::Object(found)) => all.extend(found),
            Ok(Value::Null) => {}
            Ok(other) => {
                let text = format!("an extra gave {other}: expected a struct or a map");
                return Err(Error::new(Kind::Extra, text));
            }
            Err(error) => {
                return Err(Error::with_source(
                    Kind::Extra,
                    "an extra could not be serialised",
                    error,
                ));
            }
        }
    }
    Ok(Some(Value::Object(all).to_string()))
}
