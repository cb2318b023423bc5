//! The answer to a failed call of an app in debug: a page for browsers, text for all others, about the failure and the
//! request that it befell. What was asked is kept in `asked` and `body_start` while the call runs; everything on the page that came
//! from outside goes through `escape`.

mod accept;
mod asked;
mod body_start;
mod escape;
mod html;
mod text;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, VARY,
};
use http::{HeaderMap, Response};

pub(crate) use self::asked::Asked;
pub(crate) use self::body_start::BodyStart;
use crate::{Error, ResponseBody, default_response};

/// The page, or the text, for `error`.
pub(crate) fn response(error: &Error, asked: Option<&Asked>) -> Response<ResponseBody> {
    let mut response = default_response(error, false);
    let status = response.status();
    let wants_html = asked.is_some_and(Asked::wants_html);
    let body = if wants_html {
        html::page(error, status, asked)
    } else {
        text::page(error, asked)
    };
    *response.body_mut() = ResponseBody::from(Bytes::from(body));
    let headers: &mut HeaderMap = response.headers_mut();
    if wants_html {
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
    }
    for (name, value) in [
        // Nothing on the page runs or is fetched, whatever might get past the escaping.
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
        ),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (CACHE_CONTROL, "no-store"),
        (VARY, "accept"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What a handler may return, as the contract says it.
const CONTRACT: [(&str, &str); 4] = [
    ("the result", "a tuple of three: (status, body, headers)"),
    ("status", "int (http.HTTPStatus too), 200 to 999"),
    ("body", "str, bytes, bytearray, memoryview or None"),
    (
        "headers",
        "a dict of str to str, or to a list or tuple of str; or None",
    ),
];
