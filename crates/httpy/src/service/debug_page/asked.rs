//! `Asked`: the request of a call, kept for the page about its failure; what is secret in it is left out from the start.

use std::borrow::Cow;
use std::fmt::Write;

use http::request::Parts;
use httpy_core::Fields;

use super::accept;
use super::body_start::BodyStart;
use crate::route;

/// Maximum number of fields shown of each kind, and of bytes shown of each field.
const FIELDS: usize = 100;
const BYTES: usize = 2048;

/// A request, as text to be shown; nothing of it is escaped.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) version: String,
    pub(super) route: Option<String>,
    pub(super) groups: [Group; 3],
    start: BodyStart,
    wants_html: bool,
}

/// Params, query or headers.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) fields: Vec<(String, String)>,
    /// How many there are beyond those.
    pub(super) left_out: usize,
}

impl Asked {
    /// The request with this head, which matched `route` with these params.
    pub(crate) fn new(head: &Parts, found: Option<(Fields, Option<String>)>) -> Self {
        let (params, route) = found.unwrap_or_default();
        let path = head.uri.path();
        let query = head.uri.query().map_or_else(Fields::new, route::query);
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        Self {
            method: head.method.to_string(),
            path: shown(
                route::decode_path(path)
                    .as_deref()
                    .unwrap_or(path.as_bytes()),
            ),
            version: format!("{:?}", head.version),
            route,
            groups: [
                Group::new("params", params.iter(), params.len()),
                Group::new("query", query.iter(), query.len()),
                Group::new("headers", headers, head.headers.len()),
            ],
            start: BodyStart::default(),
            wants_html: accept::wants_html(&head.headers),
        }
    }

    /// Where the bytes of the body are to be noted.
    pub(crate) fn body_start(&self) -> BodyStart {
        self.start.clone()
    }

    pub(super) fn wants_html(&self) -> bool {
        self.wants_html
    }

    /// The size of the body and its first bytes. `None` if nothing of it was read.
    pub(super) fn body(&self) -> Option<(String, String)> {
        let read = self.start.lock();
        if read.bytes == 0 {
            return None;
        }
        let title = match read.first.len() as u64 {
            all if all == read.bytes => format!("body, {all} bytes"),
            first => format!("body, the first {first} of {} bytes", read.bytes),
        };
        // A character may have been cut in two at the end.
        let text = match str::from_utf8(&read.first) {
            Ok(text) => text.to_owned(),
            Err(error) if error.error_len().is_none() => {
                String::from_utf8_lossy(&read.first).into_owned()
            }
            Err(_) => dump(&read.first),
        };
        Some((title, text))
    }
}

impl Group {
    fn new<'a>(
        title: &'static str,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        count: usize,
    ) -> Self {
        let field = |(name, value): (&[u8], &[u8])| {
            let name = shown(name);
            let value = if is_secret(&name) {
                format!("(hidden, {} bytes)", value.len())
            } else {
                shown(value)
            };
            (name, value)
        };
        let fields: Vec<(String, String)> = fields.take(FIELDS).map(field).collect();
        Self {
            title,
            left_out: count - fields.len(),
            fields,
        }
    }
}

/// Whether a field of this name is secret, also in a page for developers, which ends up in screenshots.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    [
        "authorization",
        "cookie",
        "token",
        "secret",
        "password",
        "passwd",
        "apikey",
        "session",
        "signature",
    ]
    .iter()
    .any(|secret| name.contains(secret))
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(BYTES)]);
    if bytes.len() > BYTES {
        format!("{text}... ({} bytes)", bytes.len())
    } else {
        Cow::into_owned(text)
    }
}

/// The first bytes in hexadecimal, sixteen to a line.
fn dump(bytes: &[u8]) -> String {
    bytes
        .chunks(16)
        .take(16)
        .fold(String::new(), |mut dump, line| {
            for byte in line {
                // Writing into a string cannot fail.
                write!(dump, "{byte:02x} ").unwrap_or_default();
            }
            dump.push('\n');
            dump
        })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(target: &str, headers: &[(&str, &str)]) -> Asked {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Asked::new(&request.body(()).unwrap().into_parts().0, None)
    }

    #[test]
    fn what_is_secret_is_hidden_with_its_length() {
        let asked = asked(
            "/?user=ada&access_token=abc&Password=x",
            &[
                ("authorization", "Bearer abc"),
                ("cookie", "session=1"),
                ("x-api-key", "k"),
                ("accept", "*/*"),
            ],
        );
        let values = |group: usize| {
            asked.groups[group]
                .fields
                .iter()
                .map(|(_, value)| value.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(values(1), ["ada", "(hidden, 3 bytes)", "(hidden, 1 bytes)"]);
        assert_eq!(
            values(2),
            [
                "(hidden, 10 bytes)",
                "(hidden, 9 bytes)",
                "(hidden, 1 bytes)",
                "*/*"
            ]
        );
    }

    #[test]
    fn more_than_can_be_shown_is_counted_and_cut() {
        let asked = asked(
            &format!("/?{}a={}", "x&".repeat(200), "y".repeat(5000)),
            &[],
        );
        let query = &asked.groups[1];
        assert_eq!((query.fields.len(), query.left_out), (FIELDS, 101));
        let long = shown("z".repeat(5000).as_bytes());
        assert!(
            long.len() < 2100 && long.ends_with("... (5000 bytes)"),
            "{}",
            long.len()
        );
    }

    #[test]
    fn a_body_that_is_no_text_is_dumped() {
        assert_eq!(dump(b"\xff\0\x01"), "ff 00 01 \n");
    }
}
