//! `Routes`: a route map that has been read as route → methods, with every problem found before axum could panic.

use super::error::RouteError;
use super::map::RouteMap;
use super::method::{KnownMethod, Methods};
use super::pattern::Pattern;
use matchit::InsertError;
use std::collections::HashMap;

/// How much of a pattern a message shows, in characters.
const SHOWN: usize = 80;
/// What is wrong with a map that the user arranged by method.
const TRANSPOSED: &str = "it is a method where a pattern was expected: the map is {route: [methods]}, \
    RouteMap::transpose turns the other arrangement round";

/// Checked routes: axum takes all of them, together, without a panic.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    routes: Vec<Route>,
    /// Every path of every route, as axum will hold them.
    tree: matchit::Router<Place>,
}

/// One route: its axum paths (all for the same pattern) and its methods.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) paths: Vec<String>,
    pub(super) methods: Methods,
}

/// Where a path stands: the index of its route, and its own among that route's paths.
#[derive(Clone, Copy, Debug)]
struct Place {
    route: usize,
    path: usize,
}

impl Routes {
    /// Reads a map as route → methods.
    ///
    /// Methods may be in any case, doubles are merged, and so are two spellings of one pattern (`/:id` and `/{id}`).
    ///
    /// # Errors
    ///
    /// All problems of the map at once: bad patterns, unknown methods, empty lists of methods, and patterns that
    /// conflict with each other.
    pub(crate) fn read(map: &RouteMap) -> Result<Self, RouteError> {
        let mut reading = Reading {
            routes: Routes {
                routes: Vec::with_capacity(map.len()),
                tree: matchit::Router::new(),
            },
            known: HashMap::with_capacity(map.len()),
            given: HashMap::with_capacity(map.len()),
            problems: Vec::new(),
        };
        for (pattern, methods) in map.iter() {
            reading.add(pattern, methods);
        }
        if reading.problems.is_empty() {
            Ok(reading.routes)
        } else {
            Err(RouteError::new(reading.problems))
        }
    }

    /// The routes in the order of the map.
    #[cfg(feature = "axum")]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// The route that a raw path is for, and which of its paths matched.
    pub(super) fn at(&self, raw_path: &str) -> Option<(&Route, &str)> {
        let place = self.tree.at(raw_path).ok()?.value;
        let route = self.routes.get(place.route)?;
        Some((route, route.paths.get(place.path)?))
    }
}

/// A map half read.
struct Reading<'a> {
    routes: Routes,
    /// Index of the route by its canonical pattern.
    known: HashMap<String, usize>,
    /// The pattern as Python wrote it, by the text with which a conflict names a path.
    given: HashMap<String, &'a str>,
    problems: Vec<String>,
}

impl<'a> Reading<'a> {
    fn add(&mut self, given: &'a str, names: &[String]) {
        if KnownMethod::find(given).is_some() {
            return self.problem(given, TRANSPOSED);
        }
        let methods = self.methods(given, names);
        let pattern = match Pattern::parse(given) {
            Ok(pattern) => pattern,
            Err(problem) => return self.problem(given, &problem),
        };
        if let Some(route) = self
            .known
            .get(pattern.canonical())
            .and_then(|&index| self.routes.routes.get_mut(index))
        {
            route.methods.merge(&methods);
            return;
        }
        self.known
            .insert(pattern.canonical().to_owned(), self.routes.routes.len());
        self.insert(
            given,
            Route {
                paths: pattern.into_paths(),
                methods,
            },
        );
    }

    fn methods(&mut self, given: &str, names: &[String]) -> Methods {
        let mut methods = Methods::default();
        if names.is_empty() {
            self.problem(
                given,
                &format!(
                    "it has no methods: give at least one of {}",
                    KnownMethod::names()
                ),
            );
        }
        for name in names {
            if let Some(known) = KnownMethod::find(name) {
                methods.insert(known);
            } else if name.eq_ignore_ascii_case("CONNECT") {
                self.problem(
                    given,
                    "CONNECT asks a proxy for a tunnel and is answered with 405: a route cannot have it",
                );
            } else {
                self.problem(
                    given,
                    &format!("{} is not one of {}", show(name), KnownMethod::names()),
                );
            }
        }
        methods
    }

    /// Adds a route's paths to the tree, up to the first that it refuses: one line says enough.
    fn insert(&mut self, given: &'a str, route: Route) {
        let index = self.routes.routes.len();
        for (number, path) in route.paths.iter().enumerate() {
            match self.routes.tree.insert(
                path,
                Place {
                    route: index,
                    path: number,
                },
            ) {
                Ok(()) => {
                    self.given.insert(unescape(path), given);
                }
                Err(InsertError::Conflict { with }) => {
                    let other = self.given.get(&with).map_or(with.as_str(), |&other| other);
                    let problem = format!(
                        "it conflicts with {}: some paths would match both alike",
                        show(other)
                    );
                    self.problem(given, &problem);
                    break;
                }
                Err(error) => {
                    self.problem(given, &error.to_string());
                    break;
                }
            }
        }
        self.routes.routes.push(route);
    }

    fn problem(&mut self, given: &str, problem: &str) {
        self.problems.push(format!("{}: {problem}", show(given)));
    }
}

/// A path as conflicts name it: with single braces.
fn unescape(path: &str) -> String {
    path.replace("{{", "{").replace("}}", "}")
}

/// A text from Python on one line, quoted, and no longer than is good to read.
fn show(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod vector;

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    fn read(entries: &[(&str, &[&str])]) -> Result<Routes, RouteError> {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Routes::read(
            &entries
                .iter()
                .map(|&(pattern, methods)| (pattern.to_owned(), owned(methods)))
                .collect(),
        )
    }

    #[test]
    fn spellings_of_one_pattern_and_methods_in_any_case_are_merged() {
        let routes = read(&[
            ("/:id", &["get", "GET"]),
            ("/b", &["put"]),
            ("/{id}", &["Get", "post"]),
            ("/caf%c3%a9", &["GET"]),
            ("/café", &["PUT"]),
        ])
        .unwrap();
        let found: Vec<_> = routes
            .iter()
            .map(|route| (route.paths[0].as_str(), route.methods.allow()))
            .collect();
        assert_eq!(
            found,
            [
                ("/{id}", "GET,HEAD,POST".parse().unwrap()),
                ("/b", "PUT".parse().unwrap()),
                ("/caf%C3%A9", "GET,HEAD,PUT".parse().unwrap())
            ]
        );
    }

    #[test]
    fn an_empty_map_has_no_routes() {
        assert_eq!(read(&[]).unwrap().iter().count(), 0);
    }

    #[test]
    fn a_raw_path_finds_its_route_and_the_path_that_matched() {
        let routes = read(&[("/café/:id", &["GET"]), ("/*rest", &["PUT"])]).unwrap();
        for (raw_path, expected) in [
            ("/caf%C3%A9/1", Some("/caf%C3%A9/{id}")),
            ("/caf%c3%a9/1", Some("/caf%c3%a9/{id}")),
            ("/café/1", Some("/café/{id}")),
            ("/caf%C3%A9", Some("/{*rest}")),
            ("/", None),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(
                routes.at(raw_path).map(|(_, path)| path),
                expected,
                "{raw_path}"
            );
        }
        assert!(
            routes
                .at("/x")
                .is_some_and(|(route, _)| route.methods.allows(&Method::PUT))
        );
    }
}
