//! `Call`: one request as plain data.

use std::net::SocketAddr;
use std::num::NonZeroU64;

use http::uri::Scheme;
use http::{Method, Uri, Version};

use crate::{Fields, Headers};

/// The arguments of a handler except its body, decoded except for the steps that need an interpreter.
#[derive(Debug)]
pub struct Call {
    /// The method as sent.
    pub method: Method,
    /// The target as tower sees it: a prefix taken off by `nest` is off.
    pub uri: Uri,
    /// The percent-decoded path, where it differs from `uri.path()`.
    pub decoded_path: Option<Vec<u8>>,
    /// What the route captured, percent-decoded.
    pub params: Fields,
    /// The decoded query, in order.
    pub query: Fields,
    /// The header lines.
    pub headers: Headers,
    /// What the six arguments do not tell.
    pub details: Details,
    /// A WebSocket is asked for: request and reply are streams of [`Message`](crate::Message)s once it is accepted.
    pub is_socket: bool,
}

impl Call {
    /// A call of which nothing else is known: over plain HTTP/1.1, without fields.
    pub fn new(method: Method, uri: Uri) -> Self {
        let details = Details {
            target: uri.clone(),
            route: None,
            client: None,
            scheme: Scheme::HTTP,
            version: Version::HTTP_11,
            extras: None,
            trace: None,
            span: None,
        };
        Self {
            method,
            uri,
            decoded_path: None,
            params: Fields::new(),
            query: Fields::new(),
            headers: Headers::default(),
            details,
            is_socket: false,
        }
    }

    /// What the log shows of it.
    pub fn subject(&self) -> Subject {
        Subject {
            method: self.method.clone(),
            route: self.details.route.clone(),
            uri: self.details.target.clone(),
        }
    }

    /// The percent-decoded path without the query.
    pub fn path(&self) -> &[u8] {
        self.decoded_path
            .as_deref()
            .unwrap_or_else(|| self.uri.path().as_bytes())
    }
}

/// Which request a line of the log is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The method as sent.
    pub method: Method,
    /// The pattern that matched, in axum's syntax.
    pub route: Option<String>,
    /// The target as the client sent it.
    pub uri: Uri,
}

/// What a handler can ask for beyond its six arguments.
#[derive(Debug)]
pub struct Details {
    /// The target as the client sent it.
    pub target: Uri,
    /// The pattern that matched, in axum's syntax.
    pub route: Option<String>,
    /// The client's address, where the server was told to pass it on.
    pub client: Option<SocketAddr>,
    /// The scheme that the client used, as the host knows it.
    pub scheme: Scheme,
    /// The HTTP version.
    pub version: Version,
    /// What the host found out about the request: one JSON object.
    pub extras: Option<String>,
    /// The `traceparent` line that the host gives instead of the request's own.
    pub trace: Option<String>,
    /// The number of the request's span in the host's log; only the code that writes the log can interpret it.
    pub span: Option<NonZeroU64>,
}
