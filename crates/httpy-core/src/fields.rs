//! `Fields`: an ordered list of name and value pairs of bytes, in one buffer.
//!
//! Params, query and response headers cross the border in this shape. What a name means, and whether bytes are
//! text, is the business of whoever reads it.

use std::fmt;

/// An ordered multimap of byte strings: names may repeat, order is kept, nothing is interpreted.
///
/// All bytes stand in one buffer, so a handful of fields costs two allocations, not two per field.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields {
    bytes: Vec<u8>,
    /// Where in `bytes` each name and each value ends; a part begins where the one before it ends.
    ends: Vec<usize>,
}

impl Fields {
    /// No fields; allocates nothing.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), ends: Vec::new() }
    }

    /// No fields yet, with room for `fields` pairs of `bytes` bytes in all.
    pub fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(fields * 2) }
    }

    /// Adds one pair after all others.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.extend(name.iter().copied(), value.iter().copied());
    }

    /// Adds one pair whose bytes are produced on the way, percent-decoded ones for example.
    pub fn extend(&mut self, name: impl Iterator<Item = u8>, value: impl Iterator<Item = u8>) {
        self.bytes.extend(name);
        self.ends.push(self.bytes.len());
        self.bytes.extend(value);
        self.ends.push(self.bytes.len());
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.ends.len() / 2
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The pairs in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.chunks_exact(2).map(move |ends| {
            let (name, value) = (&self.bytes[start..ends[0]], &self.bytes[ends[0]..ends[1]]);
            start = ends[1];
            (name, value)
        })
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes);
        f.debug_list().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
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
        fields.push(b"a", b"\xff\0");
        let pairs: Vec<_> = fields.iter().collect();
        assert_eq!(pairs, [(&b"a"[..], &b"1"[..]), (b"", b""), (b"a", b"\xff\0")]);
        assert_eq!(fields.len(), 3);
    }
}
