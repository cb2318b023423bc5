//! `Hop`: what proxies write into the headers of a request, read from the end, where the last proxy writes. Which proxies are
//! trusted is decided in `proxy`.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};
use http::uri::Scheme;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A request as a proxy got it.
#[derive(Debug, Default)]
pub(super) struct Hop {
    /// `None` if the proxy does not say, or hides it.
    pub(super) address: Option<SocketAddr>,
    pub(super) scheme: Option<Scheme>,
}

/// Those of `Forwarded` (RFC 7239), the last one first.
pub(super) fn hops(headers: &HeaderMap) -> Vec<Hop> {
    items(headers, &FORWARDED).map(Hop::forwarded).collect()
}

/// Those of `X-Forwarded-For`, which have no scheme, the last one first.
pub(super) fn bare_hops(headers: &HeaderMap) -> Vec<Hop> {
    items(headers, &FORWARDED_FOR).map(Hop::bare).collect()
}

/// The scheme that the last `X-Forwarded-Proto` has.
pub(super) fn bare_scheme(headers: &HeaderMap) -> Option<Scheme> {
    items(headers, &FORWARDED_PROTO).next().and_then(scheme)
}

impl Hop {
    /// One item of `X-Forwarded-For`.
    fn bare(item: &[u8]) -> Self {
        Self {
            address: address(item),
            scheme: None,
        }
    }

    /// One item of `Forwarded`: `for="[2001:db8::1]:4711";proto=https`.
    fn forwarded(item: &[u8]) -> Self {
        let mut hop = Self::default();
        // The first pair comes last, and wins.
        for pair in split(item, b';') {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let (Some(name), Some(value)) = (halves.next(), halves.next()) else {
                continue;
            };
            let value = value.trim_ascii();
            let unquoted = value.strip_prefix(b"\"");
            let value = unquoted
                .and_then(|value| value.strip_suffix(b"\""))
                .unwrap_or(value);
            match name.trim_ascii() {
                name if name.eq_ignore_ascii_case(b"for") => hop.address = address(value),
                name if name.eq_ignore_ascii_case(b"proto") => hop.scheme = scheme(value),
                _ => {}
            }
        }
        hop
    }
}

/// The items of all lines of a header, the last one first.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
    lines
        .into_iter()
        .rev()
        .flat_map(|line| split(line.as_bytes(), b','))
        .map(<[u8]>::trim_ascii)
}

/// The parts of `text` between separators that are not in quotes, the last one first. Read from the end, where the proxy
/// writes: a quote that the client has not closed belongs to what stands before.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        let at = (0..text.len()).rev().find(|&at| {
            let escaped = at > 0 && text[at - 1] == b'\\';
            quoted ^= text[at] == b'"' && !escaped;
            text[at] == separator && !quoted
        });
        rest = at.map(|at| &text[..at]);
        Some(at.map_or(text, |at| &text[at + 1..]))
    })
}

/// With a port or without one, IPv6 in brackets or without.
fn address(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let bare = inner.unwrap_or(text);
    let address = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    text.parse().or(address).ok()
}

fn scheme(text: &[u8]) -> Option<Scheme> {
    let known = [Scheme::HTTP, Scheme::HTTPS];
    known
        .into_iter()
        .find(|scheme| scheme.as_str().as_bytes().eq_ignore_ascii_case(text))
}
