//! `TrustedProxies`: a layer that takes a request's origin from the headers of proxies that the operator trusts.

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use http::header::{FORWARDED, HeaderMap, HeaderName};
use http::uri::Scheme;
use http::{Extensions, Request};
use ipnet::IpNet;
use tower::{Layer, Service};

use super::Origin;
use crate::Error;
use crate::error::Kind;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A tower layer that sets a request's [`Origin`] from the headers of proxies at addresses that are trusted: `Forwarded`
/// (RFC 7239), else `X-Forwarded-For` and `X-Forwarded-Proto`.
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
        Ok(Self { networks, unix })
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
        let hops = hops(headers);
        // Each proxy appends the address that it was called from, so the last ones are those of proxies.
        let hop = hops
            .iter()
            .rev()
            .find(|hop| hop.address.is_none_or(|address| !self.trusts(address.ip())))
            .or(hops.first());
        let mut origin = Origin::new();
        origin.client = hop.and_then(|hop| hop.address);
        origin.scheme = hop
            .and_then(|hop| hop.scheme.clone())
            .or_else(|| scheme(last(headers, &FORWARDED_PROTO)?));
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
    address: Option<SocketAddr>,
    scheme: Option<Scheme>,
}

fn hops(headers: &HeaderMap) -> Vec<Hop> {
    if headers.contains_key(FORWARDED) {
        return items(headers, &FORWARDED).map(forwarded).collect();
    }
    let addresses = items(headers, &FORWARDED_FOR).map(|item| Hop {
        address: address(item),
        scheme: None,
    });
    addresses.collect()
}

/// One item of `Forwarded`: `for="[2001:db8::1]:4711";proto=https`.
fn forwarded(item: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in item.split(';') {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        let value = value.trim().trim_matches('"');
        match name.trim() {
            name if name.eq_ignore_ascii_case("for") => hop.address = address(value),
            name if name.eq_ignore_ascii_case("proto") => hop.scheme = scheme(value),
            _ => {}
        }
    }
    hop
}

/// The items of all lines of a header.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    items(headers, name).last()
}

/// With a port or without one, IPv6 in brackets or without.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    text.parse().or(address).ok()
}

fn scheme(text: &str) -> Option<Scheme> {
    let known = [Scheme::HTTP, Scheme::HTTPS].into_iter();
    known
        .into_iter()
        .find(|scheme| scheme.as_str().eq_ignore_ascii_case(text))
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

    fn origin(peer: &str, headers: &[(&str, &str)]) -> Option<(String, String)> {
        let proxies = TrustedProxies::new(["10.0.0.0/8", "::1", "unix:"]).unwrap();
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        if let Ok(peer) = peer.parse::<SocketAddr>() {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
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

    #[test]
    fn headers_of_trusted_proxies_give_client_and_scheme() {
        type Row = (
            &'static str,
            &'static [(&'static str, &'static str)],
            &'static str,
            &'static str,
        );
        let table: [Row; 8] = [
            (
                "10.0.0.1:1",
                &[
                    ("x-forwarded-for", "203.0.113.7"),
                    ("x-forwarded-proto", "https"),
                ],
                "203.0.113.7:0",
                "https",
            ),
            (
                "[::ffff:10.0.0.1]:1",
                &[("x-forwarded-for", "203.0.113.7:4711")],
                "203.0.113.7:4711",
                "",
            ),
            (
                "10.0.0.1:1",
                &[("x-forwarded-for", "6.6.6.6, 203.0.113.7, 10.0.0.2")],
                "203.0.113.7:0",
                "",
            ),
            (
                "10.0.0.1:1",
                &[
                    ("x-forwarded-for", "6.6.6.6"),
                    ("x-forwarded-for", "2001:db8::1"),
                ],
                "[2001:db8::1]:0",
                "",
            ),
            (
                "10.0.0.1:1",
                &[("x-forwarded-for", "10.0.0.3, 10.0.0.2")],
                "10.0.0.3:0",
                "",
            ),
            (
                "[::1]:1",
                &[(
                    "forwarded",
                    "For=\"[2001:db8::1]:4711\";Proto=https, for=10.0.0.2;proto=http",
                )],
                "[2001:db8::1]:4711",
                "https",
            ),
            (
                "",
                &[
                    ("forwarded", "for=203.0.113.7"),
                    ("x-forwarded-for", "6.6.6.6"),
                ],
                "203.0.113.7:0",
                "",
            ),
            (
                "10.0.0.1:1",
                &[("x-forwarded-proto", "http, https")],
                "",
                "https",
            ),
        ];
        for (peer, headers, client, scheme) in table {
            let expected = Some((client.to_owned(), scheme.to_owned()));
            assert_eq!(origin(peer, headers), expected, "{peer} {headers:?}");
        }
    }

    #[test]
    fn headers_of_others_and_such_as_make_no_sense_are_ignored() {
        let headers = [
            ("x-forwarded-for", "203.0.113.7"),
            ("forwarded", "for=1.1.1.1;proto=https"),
        ];
        assert_eq!(origin("192.0.2.1:1", &headers), None);
        for headers in [
            [
                ("x-forwarded-for", "unknown"),
                ("x-forwarded-proto", "gopher"),
            ],
            [("forwarded", "for=_hidden"), ("x-forwarded-for", "")],
            [("forwarded", "=;=,;"), ("x-forwarded-proto", "")],
        ] {
            assert_eq!(origin("10.0.0.1:1", &headers), None, "{headers:?}");
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
