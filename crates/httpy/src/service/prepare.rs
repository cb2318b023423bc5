//! From a request's head to a `Call`: everything that can be computed without an interpreter is computed here.

use std::mem;

use http::Method;
use http::header::HeaderValue;
use http::request::Parts;
use http::uri::Scheme;
use httpy_core::{Call, Details, Fields, Headers};
use serde_json::{Map, Value};

use super::origin::Origin;
use super::server;
use super::service::Inner;
use crate::error::Kind;
use crate::route::{Match, captures, decode_path, query};
use crate::{Error, log};

/// What the host finds out about a request, serialised.
pub(crate) type Extra = Box<dyn Fn(&Parts) -> Result<Value, serde_json::Error> + Send + Sync>;

/// The host's function for a request's place in a distributed trace.
pub(crate) type TraceContext = Box<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

/// The call for a request's head, of which nothing of use is left then.
///
/// # Errors
///
/// `CONNECT`, a path that the service's own routes do not have, extras that cannot be serialised.
pub(super) fn call(service: &Inner, parts: &mut Parts, is_socket: bool) -> Result<Call, Error> {
    // Over HTTP/2 it asks for a WebSocket (RFC 8441).
    if parts.method == Method::CONNECT && !is_socket {
        return Err(method_not_allowed(
            &parts.method,
            HeaderValue::from_static(""),
        ));
    }
    let (params, route) = route(service, parts)?;
    let extras = extras(&service.engine.extras, parts)?;
    let trace = service
        .engine
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
    // An absolute target, as every one over HTTP/2 is, tells the host, whatever a `Host` line says (RFC 9112, 3.2.2).
    let authority = target.authority().or(uri.authority());
    // Its scheme is only what the client says.
    let origin = extensions.get::<Origin>().cloned().unwrap_or_default();
    Ok(Call {
        decoded_path: decode_path(uri.path()),
        params,
        query: uri.query().map_or_else(Fields::new, query),
        headers: Headers::new(headers, authority),
        details: Details {
            route,
            client: origin.client.or_else(|| server::client(extensions)),
            scheme: origin.scheme.unwrap_or(Scheme::HTTP),
            version: *version,
            extras,
            trace,
            span: log::current_span(),
            target,
        },
        method,
        uri,
        is_socket,
    })
}

/// The call of a request that is refused: which it is, and nothing else.
pub(super) fn refused(service: &Inner, mut parts: Parts) -> Call {
    let route = route(service, &mut parts).map_or(None, |(_, route)| route);
    let target = server::take_original(&mut parts.extensions);
    let mut call = Call::new(parts.method, parts.uri);
    call.details.route = route;
    call.details.target = target.unwrap_or_else(|| call.uri.clone());
    call
}

/// What the route captured, and its pattern.
pub(super) fn route(service: &Inner, parts: &mut Parts) -> Result<(Fields, Option<String>), Error> {
    let Some(routes) = &service.routes else {
        return Ok(server::matched(parts));
    };

    let path = parts.uri.path();
    match routes.load().find(&parts.method, path) {
        Match::Found { template } => {
            let mut params = Fields::new();
            captures(template, path, &mut params);
            Ok((params, Some(template.to_owned())))
        }
        Match::MethodNotAllowed { allow } => Err(method_not_allowed(&parts.method, allow)),
        Match::NotFound => Err(Error::new(
            Kind::NotFound,
            format!("no route matches {path}"),
        )),
    }
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
