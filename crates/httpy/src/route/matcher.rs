//! `Matcher`: the routes of `PyApp::fallback()`, matched by us behind all routes of the host.

use http::{HeaderValue, Method};

use super::Routes;

/// The same patterns as [`mount`](super::mount) gives to axum, in the same matcher.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    router: matchit::Router<Matched>,
}

#[derive(Debug)]
struct Matched {
    template: String,
    methods: Vec<Method>,
}

/// What was found for a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Match<'a> {
    Found { template: &'a str },
    MethodNotAllowed { allow: HeaderValue },
    NotFound,
}

impl Matcher {
    pub(crate) fn new(routes: &Routes) -> Self {
        let mut router = matchit::Router::new();
        for route in &routes.routes {
            for text in &route.pattern.texts {
                let matched = Matched { template: text.clone(), methods: route.methods.clone() };
                // `Routes` has inserted the same texts in the same order.
                let _ = router.insert(text.clone(), matched);
            }
        }
        Self { router }
    }

    /// The route for a raw path.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Match<'_> {
        let Ok(found) = self.router.at(path) else { return Match::NotFound };
        let Matched { template, methods } = found.value;
        if methods.contains(method) || (method == Method::HEAD && methods.contains(&Method::GET)) {
            return Match::Found { template };
        }
        let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
            names.push("HEAD");
        }
        // Method names are ASCII.
        let allow = HeaderValue::from_str(&names.join(",")).unwrap_or_else(|_| HeaderValue::from_static(""));
        Match::MethodNotAllowed { allow }
    }
}

#[cfg(test)]
mod tests {
    use super::super::RouteMap;
    use super::*;

    #[test]
    fn paths_and_methods_are_found_as_axum_would() {
        let map = [("/a/:id".to_owned(), vec!["GET".to_owned(), "PUT".to_owned()])].into_iter().collect::<RouteMap>();
        let matcher = Matcher::new(&Routes::read(&map).unwrap());
        assert_eq!(matcher.find(&Method::GET, "/a/1"), Match::Found { template: "/a/{id}" });
        assert_eq!(matcher.find(&Method::HEAD, "/a/1"), Match::Found { template: "/a/{id}" });
        let allow = HeaderValue::from_static("GET,PUT,HEAD");
        assert_eq!(matcher.find(&Method::POST, "/a/1"), Match::MethodNotAllowed { allow });
        for path in ["/a", "/a/", "/a/1/2", "", "*"] {
            assert_eq!(matcher.find(&Method::GET, path), Match::NotFound, "{path:?}");
        }
    }
}
