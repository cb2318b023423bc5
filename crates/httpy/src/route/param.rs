//! What a route captured, from its template and the raw path: axum's own captures are all lost when one is not UTF-8.

use std::borrow::Cow;

use httpy_core::Fields;
use percent_encoding::percent_decode;

/// Adds what `template`, a path in axum's syntax, captures of `raw_path`, which it matched: names and percent-decoded values.
/// Where the two do not fit, which only a layer that rewrites paths can bring about, it adds what fits.
pub(crate) fn captures(template: &str, raw_path: &str, into: &mut Fields) {
    let (mut template, mut path) = (template.as_bytes(), raw_path.as_bytes());
    while let [first, behind @ ..] = template {
        match (first, behind) {
            (b'{', [b'{', ..]) | (b'}', [b'}', ..]) => template = behind,
            (b'{', _) => {
                let Some(end) = behind.iter().position(|byte| *byte == b'}') else { return };
                let (name, is_rest) = match &behind[..end] {
                    [b'*', name @ ..] => (name, true),
                    name => (name, false),
                };
                let slash = path.iter().position(|byte| *byte == b'/').filter(|_| !is_rest);
                let (value, after) = path.split_at(slash.unwrap_or(path.len()));
                into.extend(name.iter().copied(), percent_decode(value));
                (template, path) = (&behind[end + 1..], after);
                continue;
            }
            _ => {}
        }
        // A literal byte, or the second of two braces.
        let ([literal, behind @ ..], [found, after @ ..]) = (template, path) else { return };
        if literal != found {
            return;
        }
        (template, path) = (behind, after);
    }
}

/// The percent-decoded path; `None` when there is nothing to decode.
pub(crate) fn decode_path(raw_path: &str) -> Option<Vec<u8>> {
    match Cow::from(percent_decode(raw_path.as_bytes())) {
        Cow::Borrowed(_) => None,
        Cow::Owned(decoded) => Some(decoded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(template: &str, path: &str) -> Vec<(String, Vec<u8>)> {
        let mut fields = Fields::new();
        captures(template, path, &mut fields);
        fields.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect()
    }

    #[test]
    fn captures_are_decoded_bytes() {
        for (template, path, expected) in [
            ("/a", "/a", vec![]),
            ("/{id}", "/7", vec![("id", &b"7"[..])]),
            ("/{a}/x/{b}", "/1%2F2/x/%FF%00", vec![("a", b"1/2"), ("b", b"\xff\0")]),
            ("/user_{name}/{*rest}", "/user_ada/b/c%20d", vec![("name", b"ada"), ("rest", b"b/c d")]),
            ("/{{x}}/{id}", "/{x}/%zz+", vec![("id", b"%zz+")]),
            ("/caf%C3%A9/{id}", "/caf%C3%A9/1", vec![("id", b"1")]),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
            assert_eq!(captured(template, path), expected, "{template} {path}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        assert_eq!(captured("/a/{id}", "/b/1"), []);
        assert_eq!(captured("/{a}/{b}", "/1").len(), 1);
        assert_eq!(captured("/{a", "/1"), []);
        assert_eq!(captured("/{a}", ""), []);
    }

    #[test]
    fn a_path_without_escapes_is_not_copied() {
        assert_eq!(decode_path("/a+b"), None);
        assert_eq!(decode_path("/a%2Fb%FF"), Some(b"/a/b\xff".to_vec()));
    }
}
