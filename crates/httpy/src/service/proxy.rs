//! `TrustedProxies`: a layer that takes a request's origin from the headers of proxies that the operator trusts. How these
//! headers are read is `forwarded`'s.

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap, Request};
use ipnet::IpNet;
use tower::{Layer, Service};

use super::Origin;
use super::forwarded::{self, Hop};
use crate::Error;
use crate::error::Kind;

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
        let hops = if self.forwarded {
            forwarded::hops(headers)
        } else {
            forwarded::bare_hops(headers)
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
            forwarded::bare_scheme(headers)
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

    type Lines<'a> = [(&'static str, &'a [u8])];

    fn origin(forwarded: bool, peer: &str, lines: &Lines<'_>) -> Option<(String, String)> {
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
    fn check(forwarded: bool, peer: &str, lines: &Lines<'_>, client: &str, scheme: &str) {
        let expected = Some((client.to_owned(), scheme.to_owned()));
        assert_eq!(origin(forwarded, peer, lines), expected);
    }

    #[test]
    fn the_last_address_that_is_not_a_proxys_is_the_client() {
        let both: &Lines<'_> = &[
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
        let lines: &Lines<'_> = &[
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
        let check_line = |line: &[u8]| {
            let lines: &Lines<'_> = &[("forwarded", line)];
            check(true, PROXY, lines, "203.0.113.7:0", "https");
        };
        for before in [&b"\xff"[..], b"unknown", b"a, b", b"\"", b",,"] {
            let line = [before, b", 203.0.113.7"].concat();
            let lines: &Lines<'_> = &[("x-forwarded-for", &line)];
            check(false, PROXY, lines, "203.0.113.7:0", "");
        }
        for before in [
            &b"\xff"[..],
            b"for=6.6.6.6;host=\"",
            b"for=\"6.6.6.6",
            b"for=6.6.6.6;by=\"\\\"",
        ] {
            check_line(&[before, b", for=203.0.113.7;proto=https"].concat());
        }
        for host in [
            &b"a;for=6.6.6.6"[..],
            b"a,for=6.6.6.6",
            b"a\\\";for=6.6.6.6",
        ] {
            check_line(&[b"for=203.0.113.7;host=\"", host, b"\";proto=https"].concat());
        }
        // The header that the proxy does not write is the client's.
        let lines: &Lines<'_> = &[
            ("forwarded", b"for=6.6.6.6;proto=https"),
            ("x-forwarded-for", b"203.0.113.7"),
            ("x-forwarded-proto", b"http"),
        ];
        check(false, PROXY, lines, "203.0.113.7:0", "http");
        check(true, PROXY, lines, "6.6.6.6:0", "https");
    }

    #[test]
    fn headers_of_others_and_such_as_make_no_sense_are_ignored() {
        let lines: &Lines<'_> = &[("x-forwarded-for", b"203.0.113.7")];
        assert_eq!(origin(false, "192.0.2.1:1", lines), None);
        for line in [&b"unknown"[..], b"", b"1.2.3", b"[::1"] {
            let line: &Lines<'_> = &[("x-forwarded-for", line), ("x-forwarded-proto", b"gopher")];
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
