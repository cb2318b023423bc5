//! `query`: the query of a request as fields of bytes.

use httpy_core::Fields;
use percent_encoding::percent_decode_str;

/// Reads a raw query (without its `?`) as `application/x-www-form-urlencoded`.
///
/// `+` is a space, a name without `=` has the value `""`, repeated names stay in order, empty pieces are skipped.
/// Escapes become bytes of any kind (`%FF`, `%00`); an invalid escape stays as it was sent.
pub(crate) fn query(raw: &str) -> Fields {
    let pieces = || raw.split('&').filter(|piece| !piece.is_empty());
    let mut fields = Fields::with_capacity(pieces().count(), raw.len());
    for piece in pieces() {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        fields.extend(decode(name), decode(value));
    }
    fields
}

fn decode(text: &str) -> impl Iterator<Item = u8> {
    let parts = text.split('+').enumerate();
    parts.flat_map(|(index, part)| {
        (index > 0)
            .then_some(b' ')
            .into_iter()
            .chain(percent_decode_str(part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_becomes_decoded_fields_in_order() {
        for (raw, expected) in [
            ("", &[][..]),
            ("&&", &[]),
            ("a=1", &[(&b"a"[..], &b"1"[..])]),
            ("flag", &[(b"flag", b"")]),
            ("flag=", &[(b"flag", b"")]),
            ("=1", &[(b"", b"1")]),
            ("=", &[(b"", b"")]),
            ("a=1&b=2&a=3", &[(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]),
            ("&a=1&&b=2&", &[(b"a", b"1"), (b"b", b"2")]),
            ("a=b=c", &[(b"a", b"b=c")]),
            ("a+b=+c+", &[(b"a b", b" c ")]),
            ("a=%2B%26%3D", &[(b"a", b"+&=")]),
            ("%61=%FF%00%2F", &[(b"a", b"\xff\0/")]),
            ("a=%zz%4&b=%", &[(b"a", b"%zz%4"), (b"b", b"%")]),
            ("a=%2+1", &[(b"a", b"%2 1")]),
            ("a=1;b=2", &[(b"a", b"1;b=2")]),
            ("ü=é", &[("ü".as_bytes(), "é".as_bytes())]),
        ] {
            assert_eq!(query(raw).iter().collect::<Vec<_>>(), expected, "{raw}");
        }
    }
}
