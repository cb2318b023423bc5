//! What the server and its router tell of a request in its extensions: axum's types, where the feature `axum` is on.

use std::net::SocketAddr;

use http::{Extensions, Uri};

#[cfg(feature = "axum")]
use axum::extract::{ConnectInfo, MatchedPath, OriginalUri};

/// The target as the client sent it, where a prefix may have been taken off since.
#[cfg(feature = "axum")]
pub(super) fn original(extensions: &Extensions) -> Option<&Uri> {
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

/// The pattern of the route that matched.
#[cfg(feature = "axum")]
pub(super) fn matched(extensions: &Extensions) -> Option<&str> {
    extensions.get::<MatchedPath>().map(MatchedPath::as_str)
}

/// Nothing takes a prefix off.
#[cfg(not(feature = "axum"))]
pub(super) fn original(_: &Extensions) -> Option<&Uri> {
    None
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
pub(super) fn matched(_: &Extensions) -> Option<&str> {
    None
}
