//! The contract's rules for what a handler returns.
//!
//! Types are looked at by the worker, which then asks `failure` for the message; everything that can be judged without an
//! interpreter is judged by [`Returned::check`] on the HTTP side. `tests/vectors/replies.json` holds these rules and
//! the ones of `httpy_rs.testing` together.

mod failure;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use self::failure::Quoted;
pub use self::failure::{ContractFailure, Rule, Warning};
use crate::{BodyKind, Content, Fields, RawReply, Reply, Returned};

/// More header lines than this in one reply are a contract failure.
pub const MAX_HEADER_LINES: usize = 1024;

/// Header fields that belong to one connection (RFC 9110, 7.6.1) and so to the server.
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Returned {
    /// Judges status, headers and body by the contract's and HTTP's rules for a reply to `method`.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, in words that name the item, what was found and what was expected.
    pub fn check(self, method: &Method) -> Result<Reply, ContractFailure> {
        let status = self.status;
        let given = Given::read(&self.headers, self.header_lines)?;
        let size = match &self.body {
            Content::Whole(bytes) => Some(bytes.len()),
            Content::Stream(_) => None,
        };
        let length = given.content_length(status, method, size)?;
        let Given {
            mut headers,
            mut warnings,
            ..
        } = given;

        let bodyless = forbids_body(status);
        if bodyless && size != Some(0) {
            let what = size.map_or_else(
                || "an iterator as body".to_owned(),
                |size| format!("a body of {size} bytes"),
            );
            let text = format!("{what} with status {} was dropped", status.as_u16());
            warnings.push(Warning {
                rule: Rule::NoBody,
                text,
            });
        }
        if !bodyless && size.is_some_and(|size| size > 0) && !headers.contains_key(CONTENT_TYPE) {
            let default = match self.kind {
                BodyKind::Text => HeaderValue::from_static("text/plain; charset=utf-8"),
                _ => HeaderValue::from_static("application/octet-stream"),
            };
            headers.insert(CONTENT_TYPE, default);
        }
        let allows_body = allows_body(method, status);
        let number = length.as_ref().filter(|_| allows_body && size.is_none());
        let number = number.and_then(|length| length.to_str().ok()?.parse().ok());
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length);
        }
        let body = if allows_body {
            self.body
        } else {
            Content::Whole(Bytes::new())
        };
        Ok(Reply {
            status,
            headers,
            body,
            length: number,
            warnings,
        })
    }
}

impl RawReply {
    /// Judges the reply of an application by HTTP's rules alone. Adds nothing. Drops hop-by-hop headers, and the body of
    /// a reply that must not have one.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, in words that name the item, what was found and what was expected.
    pub fn check(self, method: &Method) -> Result<Reply, ContractFailure> {
        let Self {
            status,
            headers,
            body,
        } = self;
        let given = Given::read(&headers, headers.len())?;
        let allows_body = allows_body(method, status);
        let size = match &body {
            Content::Whole(bytes) => Some(bytes.len()).filter(|_| allows_body),
            Content::Stream(_) => None,
        };
        let length = given.content_length(status, method, size)?;
        let mut headers = given.headers;
        let number = length.as_ref().filter(|_| allows_body && size.is_none());
        let number = number.and_then(|length| length.to_str().ok()?.parse().ok());
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length);
        }
        Ok(Reply {
            status,
            headers,
            body: if allows_body {
                body
            } else {
                Content::Whole(Bytes::new())
            },
            length: number,
            warnings: Vec::new(),
        })
    }
}

/// Whether a reply with `status` to `method` has a body. Where it has none, an iterator is closed and not iterated.
pub fn allows_body(method: &Method, status: StatusCode) -> bool {
    method != Method::HEAD && !forbids_body(status)
}

fn forbids_body(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    )
}

/// A status that may be returned.
///
/// # Errors
///
/// A number outside of 200 to 999: hyper refuses 1xx from a service.
pub fn check_status(status: i64) -> Result<StatusCode, ContractFailure> {
    u16::try_from(status)
        .ok()
        .filter(|status| *status >= 200)
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| {
            ContractFailure::new(
                Rule::Status,
                format!("status {status}: expected 200 to 999"),
            )
        })
}

/// The handler's header lines, sorted into what goes out and what the server decides itself.
struct Given {
    headers: HeaderMap,
    lengths: Vec<HeaderValue>,
    warnings: Vec<Warning>,
}

impl Given {
    fn read(fields: &Fields, lines: usize) -> Result<Self, ContractFailure> {
        let mut given = Self {
            headers: HeaderMap::with_capacity(fields.len().min(64) + 2),
            lengths: Vec::new(),
            warnings: Vec::new(),
        };
        let mut dropped: Vec<String> = Vec::new();
        for (name, value) in fields.iter() {
            let given_name = name;
            let Ok(name) = HeaderName::from_bytes(given_name) else {
                let name = Quoted(given_name);
                return Err(ContractFailure::new(
                    Rule::HeaderName,
                    format!("header name {name}: expected a token (RFC 9110, 5.6.2)"),
                ));
            };
            let value = header_value(given_name, value)?;
            if name == CONTENT_LENGTH {
                given.lengths.push(value);
            } else if HOP_BY_HOP.contains(&name.as_str()) {
                let name = String::from_utf8_lossy(given_name).into_owned();
                if !dropped.contains(&name) {
                    dropped.push(name);
                }
            } else {
                // Cannot fail below the limit, which is far under the map's own.
                let _ = given.headers.try_append(name, value);
            }
        }
        if lines > MAX_HEADER_LINES {
            return Err(ContractFailure::new(
                Rule::HeaderLines,
                format!("{lines} header lines: expected at most {MAX_HEADER_LINES}"),
            ));
        }
        if !dropped.is_empty() {
            let text = format!("hop-by-hop headers were dropped: {}", dropped.join(", "));
            given.warnings.push(Warning {
                rule: Rule::HopByHop,
                text,
            });
        }
        Ok(given)
    }

    /// The `Content-Length` that goes out, where the handler gave one that is kept or the reply is to `HEAD`; hyper
    /// adds it everywhere else. How long a streamed `body` is, nobody knows yet.
    fn content_length(
        &self,
        status: StatusCode,
        method: &Method,
        body: Option<usize>,
    ) -> Result<Option<HeaderValue>, ContractFailure> {
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
            return Ok(None);
        }
        if self.lengths.len() > 1 {
            return Err(ContractFailure::new(
                Rule::ContentLength,
                format!(
                    "{} Content-Length lines: expected at most one",
                    self.lengths.len()
                ),
            ));
        }
        let head = method == Method::HEAD;
        let Some(given) = self.lengths.first() else {
            return Ok(body
                .filter(|_| head && status != StatusCode::NOT_MODIFIED)
                .map(HeaderValue::from));
        };
        let digits = !given.is_empty() && given.as_bytes().iter().all(u8::is_ascii_digit);
        let free = head || status == StatusCode::NOT_MODIFIED;
        // A number beyond 64 bits equals no body.
        let number = || {
            given
                .to_str()
                .ok()
                .and_then(|digits| digits.parse::<u64>().ok())
        };
        let right = || number().is_some_and(|number| body.is_none_or(|body| number == body as u64));
        if digits && (free || right()) {
            return Ok(Some(given.clone()));
        }
        let given = Quoted(given.as_bytes());
        let text = match body {
            Some(body) => format!(
                "Content-Length {given} with a body of {body} bytes: expected them to be equal"
            ),
            None => format!(
                "Content-Length {given} with an iterator as body: expected a number of bytes"
            ),
        };
        Err(ContractFailure::new(Rule::ContentLength, text))
    }
}

fn header_value(name: &[u8], value: &[u8]) -> Result<HeaderValue, ContractFailure> {
    HeaderValue::from_bytes(value).map_err(|_| {
        let bad = value.iter().enumerate().find(|(_, byte)| (**byte < b' ' && **byte != b'\t') || **byte == 0x7f);
        let (index, byte) = bad.map_or((0, 0), |(index, byte)| (index, *byte));
        let name = Quoted(name);
        ContractFailure::new(
            Rule::HeaderValue,
            format!("header {name} with byte \\x{byte:02x} at index {index}: expected a field value (RFC 9110, 5.5)"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream;

    /// Header lines; the body, where it is whole; the length of one that is not.
    type Sent = (Vec<String>, Option<String>, Option<u64>);

    /// What is sent of an application's reply.
    fn sent(
        method: &Method,
        status: u16,
        lines: &[(&str, &str)],
        body: Option<&'static str>,
    ) -> Result<Sent, String> {
        let mut headers = Fields::new();
        for (name, value) in lines {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        let body = match body {
            Some(body) => Content::Whole(Bytes::from_static(body.as_bytes())),
            None => Content::Stream(crate::Chunks {
                reader: stream(1).1,
                heartbeat: None,
            }),
        };
        let status = StatusCode::from_u16(status).expect("a status");
        let reply = RawReply {
            status,
            headers,
            body,
        };
        let reply = reply.check(method).map_err(|failure| failure.to_string())?;
        let lines = reply.headers.iter();
        let lines = lines.map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")));
        let body = match reply.body {
            Content::Whole(body) => Some(String::from_utf8_lossy(&body).into_owned()),
            Content::Stream(_) => None,
        };
        Ok((lines.collect(), body, reply.length))
    }

    type Case<'a> = (
        Method,
        u16,
        &'a [(&'a str, &'a str)],
        Option<&'static str>,
        &'a [&'a str],
        Option<&'a str>,
        Option<u64>,
    );

    #[test]
    fn the_reply_of_an_application_goes_out_as_it_is_where_http_allows_it() {
        let cases: [Case<'_>; 10] = [
            (Method::GET, 200, &[], Some("abc"), &[], Some("abc"), None),
            (
                Method::GET,
                200,
                &[("content-length", "3")],
                Some("abc"),
                &["content-length: 3"],
                Some("abc"),
                None,
            ),
            (
                Method::GET,
                200,
                &[("content-length", "3")],
                None,
                &["content-length: 3"],
                None,
                Some(3),
            ),
            (Method::GET, 200, &[], None, &[], None, None),
            (
                Method::HEAD,
                200,
                &[("content-length", "3")],
                Some("abc"),
                &["content-length: 3"],
                Some(""),
                None,
            ),
            (Method::HEAD, 200, &[], Some("abc"), &[], Some(""), None),
            (
                Method::GET,
                204,
                &[("content-length", "3")],
                Some("abc"),
                &[],
                Some(""),
                None,
            ),
            (
                Method::GET,
                304,
                &[("content-length", "3"), ("etag", "a")],
                Some(""),
                &["etag: a", "content-length: 3"],
                Some(""),
                None,
            ),
            (
                Method::GET,
                200,
                &[("x", "1"), ("transfer-encoding", "chunked"), ("x", "2")],
                Some("a"),
                &["x: 1", "x: 2"],
                Some("a"),
                None,
            ),
            (
                Method::GET,
                999,
                &[("connection", "close")],
                Some("a"),
                &[],
                Some("a"),
                None,
            ),
        ];
        for (method, status, lines, body, headers, content, length) in cases {
            let headers = headers.iter().map(ToString::to_string).collect();
            assert_eq!(
                sent(&method, status, lines, body),
                Ok((headers, content.map(str::to_owned), length)),
                "{method} {status} {lines:?}"
            );
        }
    }

    #[test]
    fn a_reply_of_an_application_that_http_does_not_allow_is_refused() {
        let wrong: [(&[(&str, &str)], &str); 6] = [
            (&[("a b", "c")], "header name"),
            (&[("a", "b\r\nc: d")], "a"),
            (&[("content-length", "4")], "4"),
            (
                &[("content-length", "3"), ("content-length", "3")],
                "at most one",
            ),
            (&[("content-length", "+3")], "+3"),
            (&[("content-length", "")], "Content-Length"),
        ];
        for (lines, text) in wrong {
            let failure = sent(&Method::GET, 200, lines, Some("abc")).expect_err("a failure");
            assert!(failure.contains(text), "{lines:?}: {failure}");
        }
    }
}
