//! `scope`: a request as the connection scope of an ASGI application (ASGI 3.0), as plain data.
//!
//! It is described once, here, and written by whoever needs it: into a `dict` of this process, or into a message for another
//! one. What is no data (`state`), and what only a WebSocket has, is added in Python.

use std::borrow::Cow;

use http::Version;
use http::uri::{Authority, Scheme};
use percent_encoding::percent_decode_str;

use crate::{Call, Headers};

/// Writes the items of a scope, each once.
pub trait Visit {
    /// Why it cannot.
    type Error;

    /// A `str`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn text(&mut self, name: &'static str, value: &str) -> Result<(), Self::Error>;

    /// A `bytes`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn bytes(&mut self, name: &'static str, value: &[u8]) -> Result<(), Self::Error>;

    /// A host and a port, or `None`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn address(
        &mut self,
        name: &'static str,
        address: Option<(&str, u16)>,
    ) -> Result<(), Self::Error>;

    /// The header lines: pairs of `bytes`, the names in lower case.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    fn headers(&mut self, name: &'static str, headers: &Headers) -> Result<(), Self::Error>;

    /// A `dict` of `str` to `str`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn table(
        &mut self,
        name: &'static str,
        items: &[(&'static str, &'static str)],
    ) -> Result<(), Self::Error>;
}

/// The versions of the specifications that applications may rely on: 2.3 as uvicorn announces. From 2.4 on, Starlette no longer
/// waits for the client to leave.
const VERSIONS: &[(&str, &str)] = &[("version", "3.0"), ("spec_version", "2.3")];

/// Writes the scope of `call`.
///
/// # Errors
///
/// What `visit` gives.
pub fn scope<V: Visit>(call: &Call, visit: &mut V) -> Result<(), V::Error> {
    let details = &call.details;
    let path = Path::of(call);
    visit.text("type", if call.is_socket { "websocket" } else { "http" })?;
    visit.table("asgi", VERSIONS)?;
    visit.text("http_version", version(details.version))?;
    if call.is_socket {
        let is_secure = details.scheme == Scheme::HTTPS;
        visit.text("scheme", if is_secure { "wss" } else { "ws" })?;
    } else {
        visit.text("method", call.method.as_str())?;
        visit.text("scheme", details.scheme.as_str())?;
    }
    visit.text("path", &path.whole)?;
    visit.bytes("raw_path", path.raw.as_bytes())?;
    visit.bytes(
        "query_string",
        call.uri.query().unwrap_or_default().as_bytes(),
    )?;
    visit.text("root_path", &path.root)?;
    visit.headers("headers", &call.headers)?;
    let client = details
        .client
        .map(|client| (client.ip().to_string(), client.port()));
    visit.address(
        "client",
        client.as_ref().map(|(host, port)| (host.as_str(), *port)),
    )?;
    let host = call
        .headers
        .known("Host")
        .next()
        .and_then(|host| Authority::try_from(host).ok());
    let server = host.as_ref().map(|host| {
        let default = if details.scheme == Scheme::HTTPS {
            443
        } else {
            80
        };
        let name = host.host().trim_matches(['[', ']']);
        (name, host.port_u16().unwrap_or(default))
    });
    visit.address("server", server)
}

/// An HTTP version as ASGI and `httpy_rs.request()` have it.
pub fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

/// Where an application is mounted, and what is asked of it.
#[derive(Debug, PartialEq, Eq)]
struct Path<'a> {
    /// The prefix that a router has taken off; decoded.
    root: Cow<'a, str>,
    /// The whole path, the prefix included; decoded.
    whole: Cow<'a, str>,
    /// The whole path as it came.
    raw: &'a str,
}

impl<'a> Path<'a> {
    fn of(call: &'a Call) -> Self {
        let (came, left) = (call.details.target.path(), call.uri.path());
        let decode = |raw: &'a str| percent_decode_str(raw).decode_utf8_lossy();
        if let Some(prefix) = came.strip_suffix(left) {
            return Self {
                root: decode(prefix),
                whole: decode(came),
                raw: came,
            };
        }
        // `nest` makes `/` of its prefix alone.
        if left == "/" {
            return Self {
                root: decode(came),
                whole: decode(came) + "/",
                raw: came,
            };
        }
        // A layer has put another path in its place.
        Self {
            root: Cow::Borrowed(""),
            whole: decode(left),
            raw: left,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, Uri};

    use super::*;
    use crate::Name;

    /// Writes a line for each item.
    #[derive(Default)]
    struct Lines(Vec<String>);

    impl Visit for Lines {
        type Error = ();

        fn text(&mut self, name: &'static str, value: &str) -> Result<(), ()> {
            self.0.push(format!("{name}={value}"));
            Ok(())
        }

        fn bytes(&mut self, name: &'static str, value: &[u8]) -> Result<(), ()> {
            self.0
                .push(format!("{name}={}", String::from_utf8_lossy(value)));
            Ok(())
        }

        fn address(&mut self, name: &'static str, address: Option<(&str, u16)>) -> Result<(), ()> {
            self.0.push(format!("{name}={address:?}"));
            Ok(())
        }

        fn headers(&mut self, name: &'static str, headers: &Headers) -> Result<(), ()> {
            let again = headers.iter().filter(|(name, _)| *name == Name::Same);
            self.0.push(format!(
                "{name}={} with {} repeated",
                headers.iter().count(),
                again.count()
            ));
            Ok(())
        }

        fn table(
            &mut self,
            name: &'static str,
            items: &[(&'static str, &'static str)],
        ) -> Result<(), ()> {
            self.0.push(format!("{name}={items:?}"));
            Ok(())
        }
    }

    fn paths(came: &'static str, left: &'static str) -> [String; 3] {
        let mut call = Call::new(Method::GET, Uri::from_static(left));
        call.details.target = Uri::from_static(came);
        let Path { root, whole, raw } = Path::of(&call);
        [root.into_owned(), whole.into_owned(), raw.to_owned()]
    }

    #[test]
    fn the_prefix_that_a_router_took_off_is_the_root_path_and_part_of_the_path() {
        assert_eq!(paths("/a%20b", "/a%20b"), ["", "/a b", "/a%20b"]);
        assert_eq!(paths("/api/a", "/a"), ["/api", "/api/a", "/api/a"]);
        assert_eq!(paths("/%61pi/a", "/a"), ["/api", "/api/a", "/%61pi/a"]);
        assert_eq!(paths("/api", "/"), ["/api", "/api/", "/api"]);
        assert_eq!(paths("/api/", "/"), ["/api", "/api/", "/api/"]);
    }

    #[test]
    fn a_path_that_a_layer_has_written_is_the_path() {
        assert_eq!(paths("/old/x", "/new"), ["", "/new", "/new"]);
        assert_eq!(paths("/%ff", "/%ff"), ["", "/\u{fffd}", "/%ff"]);
    }

    #[test]
    fn a_scope_has_every_item_of_the_specification() {
        let mut headers = HeaderMap::new();
        headers.append("host", HeaderValue::from_static("[::1]:8443"));
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("2"));
        let mut call = Call::new(Method::POST, Uri::from_static("/a?b=%20c"));
        call.headers = Headers::new(&headers, None);
        call.details.scheme = Scheme::HTTPS;
        call.details.client = Some(([127, 0, 0, 1], 5000).into());
        let mut lines = Lines::default();
        scope(&call, &mut lines).unwrap();
        assert_eq!(
            lines.0,
            [
                "type=http",
                r#"asgi=[("version", "3.0"), ("spec_version", "2.3")]"#,
                "http_version=1.1",
                "method=POST",
                "scheme=https",
                "path=/a",
                "raw_path=/a",
                "query_string=b=%20c",
                "root_path=",
                "headers=3 with 1 repeated",
                r#"client=Some(("127.0.0.1", 5000))"#,
                r#"server=Some(("::1", 8443))"#,
            ]
        );
    }
}
