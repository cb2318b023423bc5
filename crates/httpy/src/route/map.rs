//! `RouteMap`: what Python's init function returned, as plain data.
//!
//! Nothing is checked and nothing is rewritten here; what the map means as routes is read in `check`.

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::HashMap;
use std::fmt;

/// The map that an init function returned, `{"route": ["METHOD", ...]}`: as Python wrote it, order kept.
///
/// Its entries may be removed, moved or transposed before they are mounted with
/// [`PyRoutes::router_for`](crate::PyRoutes::router_for). Entries with the same text are one entry with all their methods. A
/// conflict with a native route is found by [`PyRoutes::merge_into`](crate::PyRoutes::merge_into).
///
/// ```
/// use httpy::RouteMap;
///
/// let entry = |pattern: &str| (pattern.to_owned(), vec!["GET".to_owned()]);
/// let mut map: RouteMap = ["/price/{item}", "/old"].map(entry).into_iter().collect();
/// map.remove("/old");
/// let nested = map.nest("/shop");
/// assert_eq!(nested.iter().next(), Some(("/shop/price/{item}", &["GET".to_owned()][..])));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteMap {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    pattern: String,
    methods: Vec<String>,
}

impl RouteMap {
    /// A map of these entries, in this order.
    pub fn new(entries: Vec<(String, Vec<String>)>) -> Self {
        let mut map = Self::default();
        let mut places: HashMap<String, usize> = HashMap::with_capacity(entries.len());
        for (pattern, methods) in entries {
            let place = *places.entry(pattern).or_insert_with_key(|pattern| {
                map.entries.push(Entry {
                    pattern: pattern.clone(),
                    methods: Vec::new(),
                });
                map.entries.len() - 1
            });
            map.entries[place].methods.extend(methods);
        }
        map
    }

    /// The entries in order: each pattern with its methods.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.entries
            .iter()
            .map(|entry| (entry.pattern.as_str(), entry.methods.as_slice()))
    }

    /// How many patterns there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keeps the entries for which `keep` returns true; it is given each pattern with its methods, in order.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &[String]) -> bool) {
        self.entries
            .retain(|entry| keep(&entry.pattern, &entry.methods));
    }

    /// Takes the entry with exactly this text out and returns its methods; `None` when there is no such entry.
    pub fn remove(&mut self, pattern: &str) -> Option<Vec<String>> {
        let place = self
            .entries
            .iter()
            .position(|entry| entry.pattern == pattern)?;
        Some(self.entries.remove(place).methods)
    }

    /// A new map with `prefix` (such as `/api` or `/{tenant}`) before every pattern, as `axum::Router::nest` puts it
    /// there: `/` becomes the prefix itself, and a slash that ends the prefix is not doubled. `""` changes nothing.
    ///
    /// Handlers see the whole path then, and the captures of the prefix as well. A pattern without a leading slash is
    /// left alone: it is an error that mounting reports.
    #[must_use]
    pub fn nest(&self, prefix: &str) -> Self {
        let nested = |pattern: &str| match (prefix.strip_suffix('/'), pattern) {
            _ if prefix.is_empty() || !pattern.starts_with('/') => pattern.to_owned(),
            (Some(prefix), _) => format!("{prefix}{pattern}"),
            (None, "/") => prefix.to_owned(),
            (None, _) => format!("{prefix}{pattern}"),
        };
        Self::new(
            self.iter()
                .map(|(pattern, methods)| (nested(pattern), methods.to_vec()))
                .collect(),
        )
    }

    /// A new map turned round: `{"METHOD": ["route"]}` becomes `{"route": ["METHOD"]}`, and the other way about.
    ///
    /// Both are in the order of first appearance. An entry with an empty list leaves no trace.
    #[must_use]
    pub fn transpose(&self) -> Self {
        let turned = |(pattern, methods): (&str, &[String])| {
            let turn = |method: &String| (method.clone(), vec![pattern.to_owned()]);
            methods.iter().map(turn).collect::<Vec<_>>()
        };
        Self::new(self.iter().flat_map(turned).collect())
    }
}

impl FromIterator<(String, Vec<String>)> for RouteMap {
    fn from_iter<I: IntoIterator<Item = (String, Vec<String>)>>(entries: I) -> Self {
        Self::new(entries.into_iter().collect())
    }
}

/// As a map, in order.
impl Serialize for RouteMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// From a map, in order.
impl<'de> Deserialize<'de> for RouteMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RouteMapVisitor)
    }
}

struct RouteMapVisitor;

impl<'de> Visitor<'de> for RouteMapVisitor {
    type Value = RouteMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of routes to lists of methods")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<RouteMap, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(RouteMap::new(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &[&str])]) -> RouteMap {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        entries
            .iter()
            .map(|&(pattern, methods)| (pattern.to_owned(), owned(methods)))
            .collect()
    }

    #[test]
    fn entries_come_back_as_given_and_in_order() {
        let given = map(&[("/z", &["get", "GET"]), ("/a", &[]), ("nonsense", &["?"])]);
        let entries: Vec<_> = given
            .iter()
            .map(|(pattern, methods)| (pattern, methods.join(",")))
            .collect();
        assert_eq!(
            entries,
            [
                ("/z", "get,GET".to_owned()),
                ("/a", String::new()),
                ("nonsense", "?".to_owned())
            ]
        );
        assert_eq!(
            (
                given.len(),
                given.is_empty(),
                RouteMap::default().is_empty()
            ),
            (3, false, true)
        );
    }

    #[test]
    fn the_same_text_given_again_adds_its_methods() {
        assert_eq!(
            map(&[("/a", &["GET"]), ("/b", &["GET"]), ("/a", &["PUT"])]),
            map(&[("/a", &["GET", "PUT"]), ("/b", &["GET"])])
        );
    }

    #[test]
    fn retain_and_remove_take_entries_out() {
        let mut routes = map(&[("/a", &["GET"]), ("/b", &["PUT", "GET"]), ("/c", &["PUT"])]);
        routes.retain(|pattern, methods| pattern != "/c" || methods.contains(&"GET".to_owned()));
        assert_eq!(routes, map(&[("/a", &["GET"]), ("/b", &["PUT", "GET"])]));
        assert_eq!(
            routes.remove("/b"),
            Some(vec!["PUT".to_owned(), "GET".to_owned()])
        );
        assert_eq!(routes.remove("/b"), None);
        assert_eq!(routes.remove("/A"), None);
        assert_eq!(routes, map(&[("/a", &["GET"])]));
    }

    #[test]
    fn nest_puts_a_prefix_before_every_pattern() {
        for (prefix, pattern, expected) in [
            ("/api", "/", "/api"),
            ("/api", "/a", "/api/a"),
            ("/api/", "/", "/api/"),
            ("/api/", "/a", "/api/a"),
            ("/{tenant}", "/:id", "/{tenant}/:id"),
            ("/", "/a", "/a"),
            ("/", "/", "/"),
            ("", "/", "/"),
            ("", "/a", "/a"),
            ("api", "/a", "api/a"),
            ("/api", "a", "a"),
            ("/api", "", ""),
        ] {
            assert_eq!(
                map(&[(pattern, &["GET"])]).nest(prefix),
                map(&[(expected, &["GET"])]),
                "{prefix} {pattern}"
            );
        }
    }

    #[test]
    fn transpose_turns_the_map_round_and_back() {
        let by_route = map(&[("/b", &["GET", "POST"]), ("/a", &["POST"])]);
        let by_method = map(&[("GET", &["/b"]), ("POST", &["/b", "/a"])]);
        assert_eq!(by_route.transpose(), by_method);
        assert_eq!(by_method.transpose(), by_route);
        assert_eq!(map(&[("/a", &[])]).transpose(), RouteMap::default());
    }

    #[test]
    fn serde_keeps_the_order() {
        let text = r#"{"/z":["GET"],"/a":["POST","put"]}"#;
        let read: RouteMap = serde_json::from_str(text).unwrap();
        assert_eq!(read, map(&[("/z", &["GET"]), ("/a", &["POST", "put"])]));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        let refused = serde_json::from_str::<RouteMap>("[]").unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("a map of routes to lists of methods"),
            "{refused}"
        );
    }

    #[test]
    fn a_map_can_go_to_any_thread() {
        fn check<T: Send + Sync + Clone + 'static>() {}
        check::<RouteMap>();
    }
}
