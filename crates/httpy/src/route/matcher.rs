//! `Match`: which route a request is for, found without an axum router, as `PyRoutes::fallback` needs it.
//!
//! The tree is the one that the routes were checked with, so a path matches here exactly as it does once mounted.

use super::check::Routes;
use http::{HeaderValue, Method};

/// What a request's method and path are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Match<'a> {
    /// A route of this method. `template` is the axum path that matched, the same that `MatchedPath` would be.
    Found {
        /// To take the captures with, from the same raw path.
        template: &'a str,
    },
    /// A route of other methods: 405 with `Allow`.
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: HeaderValue,
    },
    /// No route: 404.
    NotFound,
}

impl Routes {
    /// The match of a request; `raw_path` is its path as sent, without the query. Neither has to be sensible.
    pub(crate) fn find(&self, method: &Method, raw_path: &str) -> Match<'_> {
        match self.at(raw_path) {
            None => Match::NotFound,
            Some((route, template)) if route.methods.allows(method) => Match::Found { template },
            Some((route, _)) => Match::MethodNotAllowed {
                allow: route.methods.allow(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::RouteMap;

    #[test]
    fn method_and_path_decide() {
        let map = RouteMap::new(vec![
            (
                "/a/:id".to_owned(),
                vec!["GET".to_owned(), "POST".to_owned()],
            ),
            ("/%FF".to_owned(), vec!["HEAD".to_owned()]),
        ]);
        let routes = Routes::read(&map).unwrap();
        let purge = Method::from_bytes(b"PURGE").unwrap();
        let get_post = || Match::MethodNotAllowed {
            allow: HeaderValue::from_static("GET,HEAD,POST"),
        };
        let found = || Match::Found {
            template: "/a/{id}",
        };
        for (method, raw_path, expected) in [
            (&Method::GET, "/a/1", found()),
            (&Method::HEAD, "/a/1", found()),
            (&Method::POST, "/a/%2F", found()),
            (&Method::PUT, "/a/1", get_post()),
            (&Method::OPTIONS, "/a/1", get_post()),
            (&Method::CONNECT, "/a/1", get_post()),
            (&purge, "/a/1", get_post()),
            (&Method::HEAD, "/%ff", Match::Found { template: "/%ff" }),
            (
                &Method::GET,
                "/%FF",
                Match::MethodNotAllowed {
                    allow: HeaderValue::from_static("HEAD"),
                },
            ),
            (&Method::GET, "/a/", Match::NotFound),
            (&Method::CONNECT, "", Match::NotFound),
            (&Method::OPTIONS, "*", Match::NotFound),
        ] {
            assert_eq!(
                routes.find(method, raw_path),
                expected,
                "{method} {raw_path}"
            );
        }
    }
}
