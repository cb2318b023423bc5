//! What a raw path says: the captures of a matched template, and the path's decoded bytes.
//!
//! Captures are taken from the raw path because axum's own are all lost as soon as one of them is not UTF-8.

use httpy_core::Fields;
use percent_encoding::{percent_decode, percent_decode_str};
use std::borrow::Cow;

/// Pushes the captures of `template`, an axum path (`/hello/{target}`), in the raw path that it matched.
///
/// Values are percent-decoded to bytes of any kind; an invalid escape stays as it was sent. Returns what is left of
/// `raw_path` behind the template: `Some("")` where it is all of it. `None` where the two do not fit together; then what
/// came before that place has been pushed.
pub(crate) fn captures<'a>(
    template: &str,
    raw_path: &'a str,
    into: &mut Fields,
) -> Option<&'a str> {
    let mut template = template.as_bytes();
    let mut path = raw_path.as_bytes();
    loop {
        let literal = match template {
            // Cut behind a whole literal or before a `/`, so between two characters.
            [] => return raw_path.get(raw_path.len() - path.len()..),
            [b'{', b'{', rest @ ..] | [b'}', b'}', rest @ ..] => {
                let brace = template[0];
                template = rest;
                brace
            }
            [b'{', rest @ ..] => {
                let end = rest.iter().position(|&byte| byte == b'}')?;
                let name = &rest[..end];
                template = &rest[end + 1..];
                if let [b'*', name @ ..] = name {
                    // Like axum's, a catch-all is never empty.
                    if path.is_empty() {
                        return None;
                    }
                    push(name, path, into);
                    return Some("");
                }
                let end = path
                    .iter()
                    .position(|&byte| byte == b'/')
                    .unwrap_or(path.len());
                push(name, &path[..end], into);
                path = &path[end..];
                continue;
            }
            [byte, rest @ ..] => {
                template = rest;
                *byte
            }
        };
        match path {
            [byte, rest @ ..] if *byte == literal => path = rest,
            _ => return None,
        }
    }
}

fn push(name: &[u8], value: &[u8], into: &mut Fields) {
    into.extend(name.iter().copied(), percent_decode(value));
}

/// The percent-decoded bytes of a raw path, `None` when there is nothing to decode. An invalid escape stays as it is.
pub(crate) fn decode_path(raw: &str) -> Option<Vec<u8>> {
    match Cow::from(percent_decode_str(raw)) {
        Cow::Borrowed(_) => None,
        Cow::Owned(bytes) => Some(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(template: &str, raw_path: &str) -> Vec<(String, Vec<u8>)> {
        let mut fields = Fields::new();
        captures(template, raw_path, &mut fields);
        fields
            .iter()
            .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
            .collect()
    }

    #[test]
    fn captures_are_decoded_to_bytes() {
        for (template, raw_path, expected) in [
            ("/", "/", &[][..]),
            ("/a/b", "/a/b", &[]),
            (
                "/hello/{target}",
                "/hello/world",
                &[("target", &b"world"[..])],
            ),
            ("/{a}/x/{b}", "/1/x/2", &[("a", b"1"), ("b", b"2")]),
            ("/user_{name}/edit", "/user_ada/edit", &[("name", b"ada")]),
            ("/{*rest}", "/a/b%2Fc/", &[("rest", b"a/b/c/")]),
            ("/src{*rest}", "/src/a", &[("rest", b"/a")]),
            ("/{a}", "/%FF%00%2F%25", &[("a", b"\xff\0/%")]),
            ("/{a}", "/%zz%4", &[("a", b"%zz%4")]),
            ("/{a}", "/caf%C3%A9", &[("a", "café".as_bytes())]),
            ("/{a}", "/café", &[("a", "café".as_bytes())]),
            ("/{a}", "/a+b", &[("a", b"a+b")]),
            ("/{a}/b", "//b", &[("a", b"")]),
            ("/{{{a}", "/{1", &[("a", b"1")]),
            ("/{{a}}/{b}", "/{a}/1", &[("b", b"1")]),
            ("/caf%C3%A9/{a}", "/caf%C3%A9/1", &[("a", b"1")]),
            ("/{größe}", "/1", &[("größe", b"1")]),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
                .collect();
            assert_eq!(pairs(template, raw_path), expected, "{template} {raw_path}");
        }
    }

    #[test]
    fn what_does_not_fit_ends_the_captures() {
        for (template, raw_path, names) in [
            ("/{a}/x/{b}", "/1/y/2", &["a"][..]),
            ("/{a}/x/{b}", "/1", &["a"]),
            ("/a/{b}", "", &[]),
            ("/{*rest}", "/", &[]),
            ("/{a", "/1", &[]),
            ("/a}/{b}", "/a/1", &[]),
            ("/x{a}", "/", &[]),
        ] {
            let found = pairs(template, raw_path);
            assert_eq!(
                found
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect::<Vec<_>>(),
                names,
                "{template} {raw_path}"
            );
        }
    }

    #[test]
    fn a_path_is_decoded_only_where_it_has_escapes() {
        assert_eq!(decode_path("/a/b"), None);
        assert_eq!(decode_path("/café"), None);
        assert_eq!(decode_path("/%zz"), None);
        assert_eq!(decode_path("/a%2Fb%00%FF%"), Some(b"/a/b\0\xff%".to_vec()));
    }

    proptest! {
        #[test]
        fn captures_are_what_the_router_matched(
            template in "(/|/a|/\\{x\\}|/a\\{y\\}|/\\{\\{\\{z\\}|/é){0,4}(|/\\{\\*rest\\}|/é\\{\\*rest\\})",
            raw_path in "(/|a|\\{|é|%2F|%ff|%){0,12}",
        ) {
            let mut router = matchit::Router::new();
            prop_assume!(router.insert(template.as_str(), ()).is_ok());
            if let Ok(found) = router.at(&raw_path) {
                prop_assert_eq!(captures(&template, &raw_path, &mut Fields::new()), Some(""));
                let decoded = |(name, value): (&str, &str)| (name.to_owned(), percent_decode_str(value).collect());
                prop_assert_eq!(pairs(&template, &raw_path), found.params.iter().map(decoded).collect::<Vec<_>>());
            }
        }

        #[test]
        fn no_two_strings_make_it_panic(template in "[/{}*ab%é]{0,20}", raw_path in "[/{}*ab%é2F]{0,20}") {
            let found = pairs(&template, &raw_path);
            let openings = template.matches('{').count();
            prop_assert!(found.len() <= openings);
        }
    }
}
