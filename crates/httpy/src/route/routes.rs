//! `Routes`: a route map read as route → methods, checked so that axum can only accept it.

use std::fmt;

use axum::routing::MethodFilter;
use http::Method;

use super::RouteMap;
use super::pattern::Pattern;

/// The methods that a route can have; axum's `MethodFilter` knows no others.
const METHODS: [(Method, MethodFilter); 8] = [
    (Method::GET, MethodFilter::GET),
    (Method::POST, MethodFilter::POST),
    (Method::PUT, MethodFilter::PUT),
    (Method::PATCH, MethodFilter::PATCH),
    (Method::DELETE, MethodFilter::DELETE),
    (Method::HEAD, MethodFilter::HEAD),
    (Method::OPTIONS, MethodFilter::OPTIONS),
    (Method::TRACE, MethodFilter::TRACE),
];

/// Checked routes, in the order of the map.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    pub(super) routes: Vec<Route>,
}

/// One pattern with its methods.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// As Python wrote it first.
    written: String,
    pub(super) pattern: Pattern,
    pub(super) methods: Vec<Method>,
}

/// Everything that is wrong with a route map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteError {
    problems: Vec<String>,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for RouteError {}

impl Routes {
    /// Reads `map` as route → methods: methods in any case, doubles and two spellings of one pattern merged.
    ///
    /// # Errors
    ///
    /// All problems at once, each with the pattern as it is written in the map.
    pub(crate) fn read(map: &RouteMap) -> Result<Self, RouteError> {
        let mut problems = Vec::new();
        let mut routes: Vec<Route> = Vec::new();
        for (written, methods) in map.iter() {
            let mut problem = |text: String| problems.push(format!("route \"{}\": {text}", written.escape_debug()));
            let methods = read_methods(methods, &mut problem);
            let pattern = match Pattern::parse(written) {
                Ok(pattern) => pattern,
                Err(text) => {
                    problem(text);
                    continue;
                }
            };
            match routes.iter_mut().find(|route| route.pattern == pattern) {
                Some(route) => {
                    for method in methods {
                        if !route.methods.contains(&method) {
                            route.methods.push(method);
                        }
                    }
                }
                None => routes.push(Route { written: written.to_owned(), pattern, methods }),
            }
        }
        find_conflicts(&routes, &mut problems);
        if problems.is_empty() { Ok(Self { routes }) } else { Err(RouteError { problems }) }
    }
}

impl Route {
    pub(super) fn filter(&self) -> Option<MethodFilter> {
        let filters = METHODS.iter().filter(|(method, _)| self.methods.contains(method)).map(|(_, filter)| *filter);
        filters.reduce(MethodFilter::or)
    }
}

fn read_methods(written: &[String], problem: &mut impl FnMut(String)) -> Vec<Method> {
    if written.is_empty() {
        problem("no methods: expected at least one, for example [\"GET\"]".to_owned());
    }
    let mut methods = Vec::new();
    for text in written {
        let upper = text.to_ascii_uppercase();
        match METHODS.iter().find(|(method, _)| method.as_str() == upper) {
            Some((method, _)) if methods.contains(method) => {}
            Some((method, _)) => methods.push(method.clone()),
            None if upper == "CONNECT" => {
                problem("CONNECT is always answered with 405 and cannot be routed".to_owned());
            }
            None => {
                let known: Vec<&str> = METHODS.iter().map(|(method, _)| method.as_str()).collect();
                problem(format!("unknown method \"{}\": expected one of {}", text.escape_debug(), known.join(", ")));
            }
        }
    }
    methods
}

/// Asks the matcher that axum itself uses, in the order in which axum will be asked.
fn find_conflicts(routes: &[Route], problems: &mut Vec<String>) {
    let mut matcher = matchit::Router::new();
    for route in routes {
        for text in &route.pattern.texts {
            let Err(error) = matcher.insert(text.clone(), ()) else { continue };
            let written = route.written.escape_debug();
            problems.push(match error {
                matchit::InsertError::Conflict { with } => {
                    let other = routes.iter().find(|route| route.pattern.texts.contains(&with));
                    let other = other.map_or(with.as_str(), |route| route.written.as_str());
                    format!("route \"{written}\": conflicts with \"{}\"", other.escape_debug())
                }
                other => format!("route \"{written}\": {other}"),
            });
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[(&str, &[&str])]) -> Result<Routes, RouteError> {
        let owned = |(key, values): &(&str, &[&str])| {
            ((*key).to_owned(), values.iter().map(|value| (*value).to_owned()).collect())
        };
        Routes::read(&entries.iter().map(owned).collect())
    }

    #[test]
    fn methods_in_any_case_and_doubles_are_merged() {
        let routes = read(&[("/a", &["get", "GET", "Post"])]).unwrap();
        assert_eq!(routes.routes[0].methods, [Method::GET, Method::POST]);
    }

    #[test]
    fn two_spellings_of_one_pattern_are_merged() {
        let routes =
            read(&[("/:id", &["GET"]), ("/{id}", &["PUT"]), ("/café", &["GET"]), ("/caf%C3%A9", &["GET"])]).unwrap();
        assert_eq!(routes.routes.len(), 2);
        assert_eq!(routes.routes[0].methods, [Method::GET, Method::PUT]);
    }

    #[test]
    fn all_problems_come_at_once_each_with_its_pattern() {
        let error = read(&[
            ("/{id}", &["GET"]),
            ("/{name}", &["GET"]),
            ("/<x>", &["GET"]),
            ("/a", &["FETCH", "CONNECT"]),
            ("/b", &[]),
        ])
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "route \"/<x>\": \"<x>\" is another framework's spelling: write \"{x}\" or \":x\"\n\
             route \"/a\": unknown method \"FETCH\": expected one of GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS, TRACE\n\
             route \"/a\": CONNECT is always answered with 405 and cannot be routed\n\
             route \"/b\": no methods: expected at least one, for example [\"GET\"]\n\
             route \"/{name}\": conflicts with \"/{id}\""
        );
    }
}
