//! `Fields`: an ordered list of name and value pairs of bytes, in one buffer.
//!
//! Params, query and response headers cross the border in this shape. What a name means, and whether bytes are
//! text, is the business of whoever reads it.

use std::fmt;

/// An ordered multimap of byte strings: names may repeat, order is kept, nothing is interpreted.
///
/// All of it stands in one buffer, so that a handful of fields costs one allocation.
#[derive(Clone, Default)]
pub struct Fields {
    /// Pair after pair: how long the name is or that it is the one before, how long the value is, the name, the value.
    bytes: Vec<u8>,
    pairs: usize,
}

/// What a length takes up.
const LENGTH: usize = size_of::<usize>();

/// In place of a name's length: the name of the pair before. No name is so long.
const SAME: usize = usize::MAX;

impl Fields {
    /// No fields; allocates nothing.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            pairs: 0,
        }
    }

    /// No fields yet, with room for `fields` pairs of `bytes` bytes in all.
    pub fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(fields * 2 * LENGTH + bytes),
            pairs: 0,
        }
    }

    /// Adds one pair after all others.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(&name.len().to_ne_bytes());
        self.bytes.extend_from_slice(&value.len().to_ne_bytes());
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.pairs += 1;
    }

    /// Adds one pair after all others, of the same name as the last one, which is not written out again: a long name with many
    /// values takes up no more than what it was made of. Without a last one, the name is empty.
    pub fn push_again(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(&SAME.to_ne_bytes());
        self.bytes.extend_from_slice(&value.len().to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pairs += 1;
    }

    /// Adds one pair whose bytes are produced on the way, percent-decoded ones for example.
    pub fn extend(&mut self, name: impl Iterator<Item = u8>, value: impl Iterator<Item = u8>) {
        let start = self.bytes.len();
        // The lengths are known only afterwards.
        self.bytes.extend_from_slice(&[0; 2 * LENGTH]);
        self.bytes.extend(name);
        let name_end = self.bytes.len();
        self.bytes.extend(value);
        let (name, value) = (name_end - start - 2 * LENGTH, self.bytes.len() - name_end);
        self.bytes[start..start + LENGTH].copy_from_slice(&name.to_ne_bytes());
        self.bytes[start + LENGTH..start + 2 * LENGTH].copy_from_slice(&value.to_ne_bytes());
        self.pairs += 1;
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.pairs
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.pairs == 0
    }

    /// The pairs in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (mut rest, mut last) = (self.bytes.as_slice(), &[][..]);
        std::iter::from_fn(move || {
            let (name, tail) = rest.split_first_chunk()?;
            let (value, mut tail) = tail.split_first_chunk()?;
            let name = usize::from_ne_bytes(*name);
            if name != SAME {
                (last, tail) = tail.split_at(name);
            }
            let (value, tail) = tail.split_at(usize::from_ne_bytes(*value));
            rest = tail;
            Some((last, value))
        })
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes);
        f.debug_list()
            .entries(self.iter().map(|(name, value)| (text(name), text(value))))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_back_in_order_with_repeats_and_empty_parts() {
        let mut fields = Fields::new();
        assert!(fields.is_empty());
        fields.push(b"a", b"1");
        fields.push(b"", b"");
        fields.extend(b"a".iter().copied(), b"\xff\0".iter().copied());
        let pairs: Vec<_> = fields.iter().collect();
        assert_eq!(
            pairs,
            [(&b"a"[..], &b"1"[..]), (b"", b""), (b"a", b"\xff\0")]
        );
        assert_eq!(fields.len(), 3);
    }

    #[test]
    fn a_name_that_is_not_written_out_again_is_there_again() {
        let (mut fields, mut written) = (Fields::new(), Fields::new());
        fields.push_again(b"0");
        written.push(b"", b"0");
        for name in [&b"a"[..], b"b"] {
            fields.push(name, b"1");
            fields.push_again(b"2");
            fields.push_again(b"");
            for value in [&b"1"[..], b"2", b""] {
                written.push(name, value);
            }
        }
        assert_eq!(fields, written);
        assert_eq!(fields.len(), 7);
        let mut long = Fields::new();
        long.push(&[b'n'; 1000], b"1");
        for _ in 0..1000 {
            long.push_again(b"2");
        }
        assert!(long.bytes.len() < 1100 + 1000 * (2 * LENGTH + 1));
    }
}
