//! The vectors of `tests/vectors/routes.json`, to which `httpy_rs.testing` is held as well: how patterns are read, and which
//! route of a map a request finds.

use super::{Pattern, RouteMap, Routes};
use crate::route::{Match, captures};
use http::Method;
use httpy_core::Fields;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Vectors {
    patterns: Vec<PatternVector>,
    maps: Vec<MapVector>,
}

#[derive(Deserialize)]
struct PatternVector {
    pattern: String,
    #[serde(flatten)]
    expected: Reading,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Reading {
    Paths(Vec<String>),
    Problem(String),
}

#[derive(Deserialize)]
struct MapVector {
    name: String,
    routes: RouteMap,
    #[serde(default)]
    problems: Vec<String>,
    #[serde(default)]
    requests: Vec<RequestVector>,
}

#[derive(Deserialize)]
struct RequestVector {
    method: String,
    path: String,
    #[serde(flatten)]
    expected: Finding,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Finding {
    Found {
        route: String,
        params: BTreeMap<String, String>,
    },
    Refused {
        status: u16,
        allow: Option<String>,
    },
}

fn vectors() -> Vectors {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/routes.json"
    );
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_pattern_is_read_as_the_vector_says() {
    for vector in vectors().patterns {
        let found = Pattern::parse(&vector.pattern).map_or_else(Reading::Problem, |pattern| {
            Reading::Paths(pattern.into_paths())
        });
        assert_eq!(found, vector.expected, "{}", vector.pattern);
    }
}

#[test]
fn a_map_has_the_problems_of_the_vector() {
    for vector in vectors().maps {
        let problems = Routes::read(&vector.routes)
            .map_or_else(|error| error.problems().to_vec(), |_| Vec::new());
        assert_eq!(problems, vector.problems, "{}", vector.name);
    }
}

#[test]
fn a_request_finds_the_route_of_the_vector() {
    for vector in vectors().maps {
        for request in vector.requests {
            let routes = Routes::read(&vector.routes).unwrap();
            let method = Method::from_bytes(request.method.as_bytes()).unwrap();
            let found = match routes.find(&method, &request.path) {
                Match::Found { template } => Finding::Found {
                    route: template.to_owned(),
                    params: params(template, &request.path),
                },
                Match::MethodNotAllowed { allow } => Finding::Refused {
                    status: 405,
                    allow: Some(allow.to_str().unwrap().to_owned()),
                },
                Match::NotFound => Finding::Refused {
                    status: 404,
                    allow: None,
                },
            };
            let asked = format!("{}: {method} {}", vector.name, request.path);
            assert_eq!(found, request.expected, "{asked}");
        }
    }
}

fn params(template: &str, raw_path: &str) -> BTreeMap<String, String> {
    let mut fields = Fields::new();
    captures(template, raw_path, &mut fields);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    fields
        .iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}
