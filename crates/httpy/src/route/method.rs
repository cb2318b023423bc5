//! `Methods`: the methods of one route, in the order in which Python gave them.

#[cfg(feature = "axum")]
use axum::routing::MethodFilter;
use http::{HeaderValue, Method};

/// A method that a route map may name.
#[derive(Debug)]
pub(super) struct KnownMethod {
    name: &'static str,
    method: Method,
    #[cfg(feature = "axum")]
    filter: MethodFilter,
}

macro_rules! known {
    ($name:ident) => {
        KnownMethod {
            name: stringify!($name),
            method: Method::$name,
            #[cfg(feature = "axum")]
            filter: MethodFilter::$name,
        }
    };
}

/// Every method of HTTP save `CONNECT`, which asks for a tunnel and has no path.
static KNOWN: [KnownMethod; 8] = [
    known!(GET),
    known!(POST),
    known!(PUT),
    known!(PATCH),
    known!(DELETE),
    known!(HEAD),
    known!(OPTIONS),
    known!(TRACE),
];

impl KnownMethod {
    /// The method of this name, in any case.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        KNOWN
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(name))
    }

    /// All names, for messages.
    pub(super) fn names() -> String {
        KNOWN
            .iter()
            .map(|known| known.name)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// The methods of one route, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Methods {
    known: Vec<&'static KnownMethod>,
}

impl Methods {
    /// Adds a method that is not there yet.
    pub(super) fn insert(&mut self, known: &'static KnownMethod) {
        if !self
            .known
            .iter()
            .any(|present| present.method == known.method)
        {
            self.known.push(known);
        }
    }

    /// Adds the methods of `other` that are not there yet.
    pub(super) fn merge(&mut self, other: &Self) {
        for known in &other.known {
            self.insert(known);
        }
    }

    /// One axum filter per method.
    #[cfg(feature = "axum")]
    pub(super) fn filters(&self) -> impl Iterator<Item = MethodFilter> {
        self.known.iter().map(|known| known.filter)
    }

    /// Whether a request with `method` is for this route; `HEAD` comes with `GET`.
    pub(super) fn allows(&self, method: &Method) -> bool {
        let has = |method: &Method| self.known.iter().any(|known| known.method == *method);
        has(method) || (*method == Method::HEAD && has(&Method::GET))
    }

    /// The value of `Allow` for the answer to any other method, as axum writes it (`GET,HEAD,POST`).
    pub(super) fn allow(&self) -> HeaderValue {
        let mut names: Vec<&str> = Vec::with_capacity(self.known.len() + 1);
        for known in &self.known {
            let with_head = if known.method == Method::GET {
                "HEAD"
            } else {
                known.name
            };
            for name in [known.name, with_head] {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        // Letters and commas are always a header value; an empty one would still be a right answer.
        HeaderValue::try_from(names.join(",")).unwrap_or(const { HeaderValue::from_static("") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods(names: &[&str]) -> Methods {
        let mut methods = Methods::default();
        for known in names.iter().filter_map(|name| KnownMethod::find(name)) {
            methods.insert(known);
        }
        methods
    }

    #[test]
    fn names_are_found_in_any_case_and_kept_once() {
        assert_eq!(methods(&["get", "GET", "Post"]).allow(), "GET,HEAD,POST");
        assert!(KnownMethod::find("CONNECT").is_none());
        assert!(KnownMethod::find(" GET").is_none());
        assert!(KnownMethod::find("").is_none());
    }

    #[test]
    fn head_comes_with_get_and_not_the_other_way_round() {
        assert!(methods(&["GET"]).allows(&Method::HEAD));
        assert!(!methods(&["HEAD"]).allows(&Method::GET));
        assert!(!methods(&["POST"]).allows(&Method::HEAD));
        assert_eq!(methods(&["HEAD", "GET"]).allow(), "HEAD,GET");
        assert_eq!(methods(&["HEAD"]).allow(), "HEAD");
    }
}
