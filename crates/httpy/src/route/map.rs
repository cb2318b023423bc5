//! `RouteMap`: an init function's result as plain data. What it means is read elsewhere (`routes.rs`).

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An init function's result as Python gave it: keys with their lists, order kept, nothing interpreted.
///
/// Usually `{"route": ["METHOD", ...]}`; a host whose Python side arranges it as `{"METHOD": ["route", ...]}` turns it round
/// with [`transpose`](Self::transpose). [`PyApp::routes`](crate::PyApp::routes) gives the app's own; a clone of it can be
/// changed and given to [`PyApp::router_for`](crate::PyApp::router_for):
///
/// ```
/// # fn check(python: &httpy::PyApp) -> Result<axum::Router, httpy::Error> {
/// let mut map = python.routes().clone();
/// map.retain(|pattern, _| pattern != "/health"); // the host has its own
/// python.router_for(&map.nest("/api"))
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteMap {
    entries: Vec<(String, Vec<String>)>,
}

impl RouteMap {
    /// The entries in Python's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.entries.iter().map(|(pattern, methods)| (pattern.as_str(), methods.as_slice()))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keeps the entries for which `keep`, called with the pattern as written and its methods, is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &[String]) -> bool) {
        self.entries.retain(|(pattern, methods)| keep(pattern, methods));
    }

    /// Takes out the entry whose pattern is written exactly like `pattern`; its methods, if there was one.
    pub fn remove(&mut self, pattern: &str) -> Option<Vec<String>> {
        let index = self.entries.iter().position(|(known, _)| known == pattern)?;
        Some(self.entries.remove(index).1)
    }

    /// All patterns behind `prefix`, as axum's `nest` has it: `/` becomes the prefix itself. Handlers see the whole path,
    /// which the real `nest` would shorten.
    #[must_use]
    pub fn nest(self, prefix: &str) -> Self {
        let prefix = prefix.trim_end_matches('/');
        let nested = |pattern: String| match pattern.as_str() {
            "/" if !prefix.is_empty() => prefix.to_owned(),
            _ => format!("{prefix}{pattern}"),
        };
        self.entries.into_iter().map(|(pattern, methods)| (nested(pattern), methods)).collect()
    }

    /// Values as keys and keys as values: `{"route": ["METHOD"]}` becomes `{"METHOD": ["route"]}` and the other way round,
    /// in the order of first appearance.
    #[must_use]
    pub fn transpose(&self) -> Self {
        let mut turned: Vec<(String, Vec<String>)> = Vec::new();
        for (key, values) in &self.entries {
            for value in values {
                match turned.iter_mut().find(|(known, _)| known == value) {
                    Some((_, keys)) if keys.contains(key) => {}
                    Some((_, keys)) => keys.push(key.clone()),
                    None => turned.push((value.clone(), vec![key.clone()])),
                }
            }
        }
        Self { entries: turned }
    }
}

impl From<Vec<(String, Vec<String>)>> for RouteMap {
    fn from(entries: Vec<(String, Vec<String>)>) -> Self {
        Self { entries }
    }
}

impl FromIterator<(String, Vec<String>)> for RouteMap {
    fn from_iter<I: IntoIterator<Item = (String, Vec<String>)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

impl Serialize for RouteMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for RouteMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = RouteMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of patterns to lists of methods")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RouteMap, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(RouteMap { entries })
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &[&str])]) -> RouteMap {
        let owned = |(key, values): &(&str, &[&str])| {
            ((*key).to_owned(), values.iter().map(|value| (*value).to_owned()).collect())
        };
        entries.iter().map(owned).collect()
    }

    #[test]
    fn order_is_kept_through_serde() {
        let routes = map(&[("/z", &["GET"]), ("/a", &["PUT", "GET"])]);
        let text = serde_json::to_string(&routes).unwrap();
        assert_eq!(text, r#"{"/z":["GET"],"/a":["PUT","GET"]}"#);
        assert_eq!(serde_json::from_str::<RouteMap>(&text).unwrap(), routes);
    }

    #[test]
    fn retain_and_remove_take_entries_out() {
        let mut routes = map(&[("/a", &["GET"]), ("/b", &["PUT"]), ("/c", &["GET"])]);
        routes.retain(|pattern, methods| pattern != "/c" || methods.len() > 1);
        assert_eq!(routes.remove("/b"), Some(vec!["PUT".to_owned()]));
        assert_eq!(routes.remove("/b"), None);
        assert_eq!(routes, map(&[("/a", &["GET"])]));
    }

    #[test]
    fn nest_puts_a_prefix_before_every_pattern() {
        let routes = map(&[("/", &["GET"]), ("/a/:id", &["GET"])]);
        assert_eq!(routes.clone().nest("/api/"), map(&[("/api", &["GET"]), ("/api/a/:id", &["GET"])]));
        assert_eq!(routes.clone().nest("/"), routes);
    }

    #[test]
    fn transpose_turns_routes_and_methods_round_and_back() {
        let routes = map(&[("/a", &["GET", "PUT"]), ("/b", &["GET"])]);
        let turned = map(&[("GET", &["/a", "/b"]), ("PUT", &["/a"])]);
        assert_eq!(routes.transpose(), turned);
        assert_eq!(turned.transpose(), routes);
    }
}
