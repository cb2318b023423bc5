//! `Headers`: a request's header lines as Python is to see them, flattened on the HTTP side.
//!
//! Canonical names, the order, the joined cookies and the `Host` that is always there are decided here, so that the
//! worker has nothing to compute. Names that clients send every day stand in [`KNOWN`], a fixed table for which each
//! interpreter holds ready-made strings; what a client invents is never remembered.

use http::header::{COOKIE, HOST, HeaderMap, HeaderName};
use http::uri::Authority;

/// The names for which an interpreter keeps a string, in canonical form.
pub const KNOWN: &[&str] = &[
    "Te",
    "Age",
    "Via",
    "Dnt",
    "Date",
    "Etag",
    "From",
    "Host",
    "Link",
    "Vary",
    "Allow",
    "Range",
    "Accept",
    "Cookie",
    "Expect",
    "Origin",
    "Pragma",
    "Server",
    "X-Test",
    "Expires",
    "Referer",
    "Trailer",
    "Upgrade",
    "Warning",
    "X-Sleep",
    "Alt-Svc",
    "Purpose",
    "If-Match",
    "If-Range",
    "Location",
    "Priority",
    "Sec-Gpc",
    "Forwarded",
    "X-Real-Ip",
    "X-Csrf-Token",
    "Connection",
    "Keep-Alive",
    "Set-Cookie",
    "User-Agent",
    "Tracestate",
    "Retry-After",
    "Traceparent",
    "X-Request-Id",
    "Content-Type",
    "Max-Forwards",
    "X-Powered-By",
    "Accept-Ranges",
    "Authorization",
    "Cache-Control",
    "Content-Range",
    "If-None-Match",
    "Last-Modified",
    "Sec-Fetch-Dest",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Site",
    "Sec-Fetch-User",
    "Accept-Charset",
    "Content-Length",
    "X-Forwarded-By",
    "Accept-Encoding",
    "Accept-Language",
    "X-Correlation-Id",
    "X-Forwarded-For",
    "Content-Encoding",
    "Content-Language",
    "Content-Location",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "Www-Authenticate",
    "Proxy-Connection",
    "Sec-Websocket-Key",
    "If-Modified-Since",
    "Transfer-Encoding",
    "X-Forwarded-Proto",
    "Sec-Ch-Ua",
    "Sec-Ch-Ua-Mobile",
    "Sec-Ch-Ua-Platform",
    "Content-Disposition",
    "If-Unmodified-Since",
    "Proxy-Authorization",
    "X-Requested-With",
    "X-Forwarded-Prefix",
    "Access-Control-Allow-Origin",
    "Access-Control-Request-Method",
    "Access-Control-Request-Headers",
    "Strict-Transport-Security",
    "Upgrade-Insecure-Requests",
    "Sec-Websocket-Version",
    "Sec-Websocket-Protocol",
    "Sec-Websocket-Extensions",
    "Idempotency-Key",
    "X-Amzn-Trace-Id",
    "X-Api-Key",
    "Cf-Connecting-Ip",
    "Cf-Ray",
];

/// A header line's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// The name of the line before, once more.
    Same,
    /// An index into [`KNOWN`].
    Known(usize),
    /// Any other name, in canonical form; ASCII.
    Other(&'a [u8]),
}

/// A request's header lines, grouped by name, values as the bytes that came.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    /// Line after line, so that all of them cost one allocation: the name's number, the lengths of the name that has none
    /// and of the value, and these two.
    bytes: Vec<u8>,
    /// Where the length of the last line's value stands.
    last: usize,
}

/// What a length takes up.
const LENGTH: usize = size_of::<usize>();

const SAME: u16 = u16::MAX;
const OTHER: u16 = u16::MAX - 1;

impl Headers {
    /// Flattens `headers`. Several `Cookie` lines are joined with `; ` (RFC 9113, 8.2.3). The `Host` line is from `authority`,
    /// the target's, where it has one (HTTP/2 sends no other), and empty where the client named none at all.
    pub fn new(headers: &HeaderMap, authority: Option<&Authority>) -> Self {
        let mut flat = Self {
            bytes: Vec::with_capacity(64 * headers.len() + 64),
            last: 0,
        };
        if authority.is_some() || !headers.contains_key(HOST) {
            flat.push(
                &HOST,
                authority.map_or(&[][..], |authority| host(authority).as_bytes()),
            );
        }
        let mut last: Option<&HeaderName> = None;
        // A header map yields the values of one name one after the other.
        for (name, value) in headers {
            if name == HOST && authority.is_some() {
                continue;
            }
            if last != Some(name) {
                flat.push(name, value.as_bytes());
            } else if name == COOKIE {
                flat.append(value.as_bytes());
            } else {
                flat.line(SAME, &[], value.as_bytes());
            }
            last = Some(name);
        }
        flat
    }

    /// The values of the lines of one name, one of [`KNOWN`].
    pub fn known<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let wanted = KNOWN.iter().position(|known| *known == name);
        let mut found = false;
        self.iter().filter_map(move |(name, value)| {
            found = match name {
                Name::Same => found,
                Name::Known(index) => Some(index) == wanted,
                Name::Other(_) => false,
            };
            found.then_some(value)
        })
    }

    /// The lines, the first of each name before its repetitions.
    pub fn iter(&self) -> impl Iterator<Item = (Name<'_>, &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (number, tail) = rest.split_first_chunk()?;
            let (name, tail) = tail.split_first_chunk()?;
            let (value, tail) = tail.split_first_chunk()?;
            let (name, tail) = tail.split_at(usize::from_ne_bytes(*name));
            let (value, tail) = tail.split_at(usize::from_ne_bytes(*value));
            rest = tail;
            let name = match u16::from_ne_bytes(*number) {
                SAME => Name::Same,
                OTHER => Name::Other(name),
                known => Name::Known(known.into()),
            };
            Some((name, value))
        })
    }

    fn push(&mut self, name: &HeaderName, value: &[u8]) {
        let lower = name.as_str().as_bytes();
        match known(lower) {
            Some(index) => self.line(index, &[], value),
            None => self.line(OTHER, lower, value),
        }
    }

    /// Adds a line. A name that is written out is given in lower case.
    fn line(&mut self, number: u16, lower: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(&number.to_ne_bytes());
        self.bytes.extend_from_slice(&lower.len().to_ne_bytes());
        self.last = self.bytes.len();
        self.bytes.extend_from_slice(&value.len().to_ne_bytes());
        self.bytes.extend(canonical(lower));
        self.bytes.extend_from_slice(value);
    }

    /// Adds to the last line, which has no name written out.
    fn append(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(b"; ");
        self.bytes.extend_from_slice(value);
        let start = self.last + LENGTH;
        let length = self.bytes.len() - start;
        self.bytes[self.last..start].copy_from_slice(&length.to_ne_bytes());
    }
}

/// The authority without its user info, which a `Host` field never has (RFC 9110, 4.2.4).
fn host(authority: &Authority) -> &str {
    let text = authority.as_str();
    text.rfind('@').map_or(text, |at| &text[at + 1..])
}

/// First letter and each after `-` upper case, as Go's `net/http` writes names.
fn canonical(lower: &[u8]) -> impl Iterator<Item = u8> {
    let mut start = true;
    lower.iter().map(move |byte| {
        let upper = std::mem::replace(&mut start, *byte == b'-');
        if upper {
            byte.to_ascii_uppercase()
        } else {
            *byte
        }
    })
}

const LONGEST: usize = 32;

/// A name in lower case, filled up with zeroes, so that two of them are compared in a few instructions.
type Row = [u8; LONGEST];

/// [`KNOWN`] by length.
struct ByLength {
    rows: [Row; KNOWN.len()],
    /// For each row its index in [`KNOWN`].
    indices: [u16; KNOWN.len()],
    /// For each length where its rows start.
    starts: [u16; LONGEST + 2],
}

static BY_LENGTH: ByLength = by_length();

#[expect(
    clippy::cast_possible_truncation,
    reason = "the table has far fewer names than a u16 can count"
)]
const fn by_length() -> ByLength {
    let mut table = ByLength {
        rows: [[0; LONGEST]; KNOWN.len()],
        indices: [0; KNOWN.len()],
        starts: [0; LONGEST + 2],
    };
    let (mut length, mut placed) = (0, 0);
    while length <= LONGEST {
        table.starts[length] = placed as u16;
        let mut index = 0;
        while index < KNOWN.len() {
            if KNOWN[index].len() == length {
                table.rows[placed] = row(KNOWN[index].as_bytes());
                table.indices[placed] = index as u16;
                placed += 1;
            }
            index += 1;
        }
        length += 1;
    }
    table.starts[LONGEST + 1] = placed as u16;
    assert!(
        placed == KNOWN.len(),
        "a name in KNOWN is longer than LONGEST"
    );
    table
}

const fn row(name: &[u8]) -> Row {
    let mut row = [0; LONGEST];
    let mut at = 0;
    while at < name.len() {
        row[at] = name[at].to_ascii_lowercase();
        at += 1;
    }
    row
}

/// The index in [`KNOWN`] of a name in lower case.
fn known(lower: &[u8]) -> Option<u16> {
    let mut row = [0; LONGEST];
    row.get_mut(..lower.len())?.copy_from_slice(lower);
    let start = usize::from(BY_LENGTH.starts[lower.len()]);
    let end = usize::from(BY_LENGTH.starts[lower.len() + 1]);
    let found = BY_LENGTH.rows[start..end]
        .iter()
        .position(|known| *known == row)?;
    Some(BY_LENGTH.indices[start + found])
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn text(headers: &Headers) -> Vec<(String, String)> {
        let mut lines: Vec<(String, String)> = Vec::new();
        for (name, value) in headers.iter() {
            let name = match name {
                Name::Same => lines
                    .last()
                    .map(|line| line.0.clone())
                    .expect("never first"),
                Name::Known(index) => KNOWN[index].to_owned(),
                Name::Other(name) => String::from_utf8_lossy(name).into_owned(),
            };
            lines.push((name, value.iter().map(|byte| char::from(*byte)).collect()));
        }
        lines
    }

    fn lines(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn every_known_name_is_canonical_unique_and_found() {
        for (index, name) in KNOWN.iter().enumerate() {
            let lower = name.to_ascii_lowercase();
            assert_eq!(
                canonical(lower.as_bytes()).collect::<Vec<_>>(),
                name.as_bytes()
            );
            assert_eq!(
                known(lower.as_bytes()).map(usize::from),
                Some(index),
                "{name} stands twice"
            );
        }
        assert_eq!(known(b"x-unknown"), None);
    }

    #[test]
    fn repeated_names_keep_their_order_and_cookies_are_joined() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "h"),
            ("x-odd", "1"),
            ("cookie", "a=1"),
            ("x-odd", "2"),
            ("cookie", "b=2"),
        ] {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let expected = lines(&[
            ("Host", "h"),
            ("X-Odd", "1"),
            ("X-Odd", "2"),
            ("Cookie", "a=1; b=2"),
        ]);
        assert_eq!(text(&Headers::new(&headers, None)), expected);
    }

    #[test]
    fn host_comes_from_the_authority_or_is_empty() {
        let authority = Authority::from_static("user@example.org:81");
        assert_eq!(
            text(&Headers::new(&HeaderMap::new(), Some(&authority))),
            lines(&[("Host", "example.org:81")])
        );
        assert_eq!(
            text(&Headers::new(&HeaderMap::new(), None)),
            lines(&[("Host", "")])
        );
        let mut headers = HeaderMap::new();
        for host in ["other", "another"] {
            headers.append(HOST, HeaderValue::from_static(host));
        }
        assert_eq!(
            text(&Headers::new(&headers, Some(&authority))),
            lines(&[("Host", "example.org:81")])
        );
    }
}
