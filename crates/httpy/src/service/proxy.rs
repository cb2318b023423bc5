//! `TrustedProxies`: a layer that takes a request's origin from the headers of proxies that the operator trusts.

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{Extensions, Request};
use ipnet::IpNet;
use tower::{Layer, Service};

use super::Origin;
use crate::Error;
use crate::error::Kind;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A tower layer that sets a request's [`Origin`] from the headers of proxies at addresses that are trusted:
/// `X-Forwarded-For` and `X-Forwarded-Proto`, or [`Forwarded`](Self::forwarded).
///
/// Headers of other clients are ignored, since a client can write what it likes into them. So are all of them where the server
/// does not pass on addresses (`ConnectInfo<SocketAddr>`, which [`PyEngine::serve`](crate::PyEngine::serve) does over TCP). The
/// address is the last one in the list that is not itself trusted. An [`Origin`] that the request has already is left as it is.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::extract::ConnectInfo;
/// use axum::{Extension, Router, body::Body, routing::get};
/// use http::{Request, uri::Scheme};
/// use httpy::{Origin, TrustedProxies};
/// use std::net::SocketAddr;
/// use tower::ServiceExt;
///
/// // Stands for the routes of an engine.
/// let app = Router::new().route("/", get(|Extension(origin): Extension<Origin>| async move {
///     assert_eq!(origin.client.map(|client| client.ip().to_string()), Some("203.0.113.7".to_owned()));
///     assert_eq!(origin.scheme, Some(Scheme::HTTPS));
/// }));
/// let app: Router = app.layer(TrustedProxies::new(["10.0.0.0/8"])?);
///
/// let request = Request::get("/")
///     .header("X-Forwarded-For", "1.2.3.4, 203.0.113.7") // the client wrote the first one
///     .header("X-Forwarded-Proto", "https")
///     .extension(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 4711))))
///     .body(Body::empty())?;
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// assert_eq!(app.oneshot(request).await?.status(), 200);
/// # Ok(()) })
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    /// Connections without an address are trusted.
    unix: bool,
    /// The proxies write `Forwarded`.
    forwarded: bool,
}

impl TrustedProxies {
    /// Trusts the proxies at these addresses (`10.0.0.1`) and in these networks (`10.0.0.0/8`, `::1/128`). `unix:` trusts
    /// connections without an address: for a server on a Unix socket, and for no other.
    ///
    /// # Errors
    ///
    /// [`is_config`](Error::is_config) when one of them is neither.
    pub fn new<I>(networks: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut unix = false;
        let mut read = |text: I::Item| {
            let text = text.as_ref();
            if text == "unix:" {
                unix = true;
                return None;
            }
            Some(network(text))
        };
        let networks = networks.into_iter().filter_map(&mut read);
        let networks = networks.collect::<Result<_, _>>()?;
        Ok(Self {
            networks,
            unix,
            forwarded: false,
        })
    }

    /// Reads `Forwarded` (RFC 7239) instead of `X-Forwarded-For` and `X-Forwarded-Proto`. Choose what the proxies write: the
    /// other headers come from clients.
    #[must_use = "the header is that of the layer which is returned"]
    pub fn forwarded(mut self) -> Self {
        self.forwarded = true;
        self
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    fn origin(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<Origin> {
        let trusted = match extensions.get::<ConnectInfo<SocketAddr>>() {
            Some(ConnectInfo(peer)) => self.trusts(peer.ip()),
            None => self.unix,
        };
        if !trusted {
            return None;
        }
        let hops: Vec<Hop> = if self.forwarded {
            items(headers, &FORWARDED).map(Hop::forwarded).collect()
        } else {
            items(headers, &FORWARDED_FOR).map(Hop::bare).collect()
        };
        // Each proxy appends the address that it was called from, so the last ones are those of proxies.
        let is_proxy =
            |hop: &Hop| matches!(hop.address, Some(address) if self.trusts(address.ip()));
        let hop = hops.iter().find(|hop| !is_proxy(hop)).or(hops.last());
        let mut origin = Origin::new();
        origin.client = hop.and_then(|hop| hop.address);
        origin.scheme = if self.forwarded {
            hop.and_then(|hop| hop.scheme.clone())
        } else {
            items(headers, &FORWARDED_PROTO).next().and_then(scheme)
        };
        (origin != Origin::new()).then_some(origin)
    }
}

fn network(text: &str) -> Result<IpNet, Error> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse()).map_err(|error| {
        let message = format!(
            "trusted proxies: {text:?}, expected an address or a network such as \"10.0.0.0/8\", or \"unix:\""
        );
        Error::with_source(Kind::Config, message, error)
    })
}

/// A request as a proxy got it.
#[derive(Debug, Default)]
struct Hop {
    /// `None` if the proxy does not say, or hides it.
    address: Option<SocketAddr>,
    scheme: Option<Scheme>,
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

impl<N> Layer<N> for TrustedProxies {
    type Service = FromProxy<N>;

    fn layer(&self, inner: N) -> FromProxy<N> {
        FromProxy {
            inner,
            proxies: self.clone(),
        }
    }
}

/// The service of [`TrustedProxies`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, body::Body};
/// use http::Request;
/// use httpy::{FromProxy, TrustedProxies};
/// use tower::{Layer, ServiceExt};
///
/// let service: FromProxy<Router> = TrustedProxies::new(["10.0.0.1"])?.layer(Router::new());
/// let response = service.oneshot(Request::get("/").body(Body::empty())?).await?;
/// assert_eq!(response.status(), 404);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FromProxy<N> {
    inner: N,
    proxies: TrustedProxies,
}

impl<N, B> Service<Request<B>> for FromProxy<N>
where
    N: Service<Request<B>>,
{
    type Response = N::Response;
    type Error = N::Error;
    type Future = N::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), N::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> N::Future {
        if request.extensions().get::<Origin>().is_none()
            && let Some(origin) = self.proxies.origin(request.headers(), request.extensions())
        {
            request.extensions_mut().insert(origin);
        }
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lines = [(&'static str, &'static [u8])];

    fn origin(forwarded: bool, peer: &str, lines: &Lines) -> Option<(String, String)> {
        let mut proxies = TrustedProxies::new(["10.0.0.0/8", "::1"]).unwrap();
        if forwarded {
            proxies = proxies.forwarded();
        }
        let mut request = Request::builder();
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        let origin = proxies.origin(request.headers(), request.extensions())?;
        Some((
            origin
                .client
                .map_or_else(String::new, |client| client.to_string()),
            origin
                .scheme
                .map_or_else(String::new, |scheme| scheme.to_string()),
        ))
    }

    const PROXY: &str = "10.0.0.1:1";

    #[track_caller]
    fn check(forwarded: bool, peer: &str, lines: &Lines, client: &str, scheme: &str) {
        let expected = Some((client.to_owned(), scheme.to_owned()));
        assert_eq!(origin(forwarded, peer, lines), expected);
    }

    #[test]
    fn the_last_address_that_is_not_a_proxys_is_the_client() {
        let both: &Lines = &[
            ("x-forwarded-for", b"203.0.113.7"),
            ("x-forwarded-proto", b"https"),
        ];
        check(false, PROXY, both, "203.0.113.7:0", "https");
        check(false, "[::ffff:10.0.0.1]:1", both, "203.0.113.7:0", "https");
        check(
            false,
            "[::1]:1",
            &[("x-forwarded-for", b"203.0.113.7:4711")],
            "203.0.113.7:4711",
            "",
        );
        check(
            false,
            PROXY,
            &[("x-forwarded-for", b"6.6.6.6, 203.0.113.7, 10.0.0.2")],
            "203.0.113.7:0",
            "",
        );
        let lines: &Lines = &[
            ("x-forwarded-for", b"6.6.6.6"),
            ("x-forwarded-for", b"2001:db8::1"),
        ];
        check(false, PROXY, lines, "[2001:db8::1]:0", "");
        check(
            false,
            PROXY,
            &[("x-forwarded-for", b"10.0.0.3, 10.0.0.2")],
            "10.0.0.3:0",
            "",
        );
        check(
            false,
            PROXY,
            &[("x-forwarded-proto", b"http, https")],
            "",
            "https",
        );
        let line = b"For=\"[2001:db8::1]:4711\";Proto=https, for=10.0.0.2;proto=http";
        check(
            true,
            PROXY,
            &[("forwarded", line)],
            "[2001:db8::1]:4711",
            "https",
        );
    }

    #[test]
    fn what_the_client_writes_before_changes_nothing() {
        for before in [&b"\xff"[..], b"unknown", b"a, b", b"\"", b",,"] {
            let line = [before, b", 203.0.113.7"].concat();
            let line: &'static [u8] = line.leak();
            check(
                false,
                PROXY,
                &[("x-forwarded-for", line)],
                "203.0.113.7:0",
                "",
            );
        }
        for before in [
            &b"\xff"[..],
            b"for=6.6.6.6;host=\"",
            b"for=\"6.6.6.6",
            b"for=6.6.6.6;by=\"\\\"",
        ] {
            let line = [before, b", for=203.0.113.7;proto=https"].concat();
            let line: &'static [u8] = line.leak();
            check(
                true,
                PROXY,
                &[("forwarded", line)],
                "203.0.113.7:0",
                "https",
            );
        }
        for host in [
            &b"a;for=6.6.6.6"[..],
            b"a,for=6.6.6.6",
            b"a\\\";for=6.6.6.6",
        ] {
            let line = [b"for=203.0.113.7;host=\"", host, b"\";proto=https"].concat();
            let line: &'static [u8] = line.leak();
            check(
                true,
                PROXY,
                &[("forwarded", line)],
                "203.0.113.7:0",
                "https",
            );
        }
        // The header that the proxy does not write is the client's.
        let lines: &Lines = &[
            ("forwarded", b"for=6.6.6.6;proto=https"),
            ("x-forwarded-for", b"203.0.113.7"),
            ("x-forwarded-proto", b"http"),
        ];
        check(false, PROXY, lines, "203.0.113.7:0", "http");
        check(true, PROXY, lines, "6.6.6.6:0", "https");
    }

    #[test]
    fn headers_of_others_and_such_as_make_no_sense_are_ignored() {
        let lines: &Lines = &[("x-forwarded-for", b"203.0.113.7")];
        assert_eq!(origin(false, "192.0.2.1:1", lines), None);
        for line in [&b"unknown"[..], b"", b"1.2.3", b"[::1"] {
            let line: &Lines = &[("x-forwarded-for", line), ("x-forwarded-proto", b"gopher")];
            assert_eq!(origin(false, PROXY, line), None, "{line:?}");
        }
        for line in [&b"for=_hidden"[..], b"=;=,;", b"for", b""] {
            assert_eq!(
                origin(true, PROXY, &[("forwarded", line)]),
                None,
                "{line:?}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_an_error_that_shows_one() {
        let error = TrustedProxies::new(["10.0.0.0/33"]).unwrap_err();
        assert!(error.is_config());
        assert_eq!(
            error.to_string(),
            "trusted proxies: \"10.0.0.0/33\", expected an address or a network such as \"10.0.0.0/8\", or \"unix:\""
        );
    }

    #[test]
    fn without_an_address_nothing_is_trusted_unless_it_is_asked_for() {
        let request = Request::builder().header("x-forwarded-for", "203.0.113.7");
        let request = request.body(()).unwrap();
        let origin = |networks: &[&str]| {
            let proxies = TrustedProxies::new(networks).unwrap();
            proxies.origin(request.headers(), request.extensions())
        };
        assert_eq!(origin(&["0.0.0.0/0"]), None);
        assert!(origin(&["unix:"]).is_some());
    }
}
