//! The query, parsed as `application/x-www-form-urlencoded` (WHATWG URL, 5.1) into bytes: what is not UTF-8 stays what it is.

use httpy_core::Fields;
use percent_encoding::percent_decode;

/// The pairs of a raw query in order; `flag` alone has an empty value.
pub(crate) fn query(raw: &str) -> Fields {
    let pieces = || raw.as_bytes().split(|byte| *byte == b'&').filter(|piece| !piece.is_empty());
    let mut fields = Fields::with_capacity(pieces().count(), raw.len());
    for piece in pieces() {
        let equals = piece.iter().position(|byte| *byte == b'=');
        let (name, value) = equals.map_or((piece, &[][..]), |equals| (&piece[..equals], &piece[equals + 1..]));
        fields.extend(decode(name), decode(value));
    }
    fields
}

/// `+` is a space, unless it came percent-encoded.
fn decode(text: &[u8]) -> impl Iterator<Item = u8> {
    text.split(|byte| *byte == b'+')
        .enumerate()
        .flat_map(|(index, piece)| (index > 0).then_some(b' ').into_iter().chain(percent_decode(piece)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_become_pairs_of_bytes() {
        for (raw, expected) in [
            ("", vec![]),
            ("&&", vec![]),
            ("flag", vec![(&b"flag"[..], &b""[..])]),
            ("a=1&b=&a=2", vec![(b"a", b"1"), (b"b", b""), (b"a", b"2")]),
            ("a=b=c", vec![(b"a", b"b=c")]),
            ("a+b=c+%2B+", vec![(b"a b", b"c + ")]),
            ("%FF=%00&%zz=%", vec![(b"\xff", b"\0"), (b"%zz", b"%")]),
            ("=1", vec![(b"", b"1")]),
            ("?", vec![(b"?", b"")]),
        ] {
            assert_eq!(query(raw).iter().collect::<Vec<_>>(), expected, "{raw}");
        }
    }
}
