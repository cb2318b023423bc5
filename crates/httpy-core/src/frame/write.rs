//! `Writer`: values as Python's `marshal` reads them, straight into bytes.

/// Writes values in `marshal`'s format, version 2, behind what stands in its bytes.
///
/// A container is its head, with the number of its items, and then the items: who writes it keeps to the number.
#[derive(Debug)]
pub struct Writer<'a>(&'a mut Vec<u8>);

/// A list whose number of items is not known yet.
#[derive(Clone, Copy, Debug)]
#[must_use = "the list has no length before it is ended"]
pub(super) struct OpenList(usize);

/// `marshal` writes whole numbers beyond 32 bits in digits of so many bits.
pub(super) const DIGIT_BITS: u32 = 15;

impl<'a> Writer<'a> {
    /// Writes behind what stands in `bytes`.
    pub fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Makes room for so many more bytes, so that they cost one allocation at most.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.0.reserve(bytes);
    }

    /// `None`
    pub fn none(&mut self) {
        self.0.push(b'N');
    }

    /// A `bool`.
    pub fn bool(&mut self, value: bool) {
        self.0.push(if value { b'T' } else { b'F' });
    }

    /// An `int`.
    pub fn int(&mut self, value: i64) {
        if let Ok(small) = i32::try_from(value) {
            self.code(b'i', small.to_le_bytes());
        } else {
            let mut rest = value.unsigned_abs();
            let digits = (u64::BITS - rest.leading_zeros())
                .div_ceil(DIGIT_BITS)
                .cast_signed();
            let number = if value < 0 { -digits } else { digits };
            self.code(b'l', number.to_le_bytes());
            while rest > 0 {
                self.0
                    .extend_from_slice(&((rest & 0x7fff) as u16).to_le_bytes());
                rest >>= DIGIT_BITS;
            }
        }
    }

    /// A count, as an `int`; what is beyond 63 bits is the largest one.
    pub fn count(&mut self, value: u64) {
        self.int(i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// A `float`.
    pub fn float(&mut self, value: f64) {
        self.0.push(b'g');
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// `bytes`
    pub fn bytes(&mut self, value: &[u8]) {
        self.sized(b's', value);
    }

    /// A `str`.
    pub fn str(&mut self, value: &str) {
        self.sized(b'u', value.as_bytes());
    }

    /// A `str`, or `None`.
    pub fn optional(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.str(value),
            None => self.none(),
        }
    }

    /// A `str` from UTF-8; bytes that are not UTF-8 become surrogates (PEP 383).
    pub fn text(&mut self, value: &[u8]) {
        if std::str::from_utf8(value).is_ok() {
            return self.sized(b'u', value);
        }
        let start = self.open(b'u');
        for chunk in value.utf8_chunks() {
            self.0.extend_from_slice(chunk.valid().as_bytes());
            for byte in chunk.invalid() {
                // U+DC00 and the byte, in UTF-8 as if that were a character.
                self.0
                    .extend_from_slice(&[0xed, 0xb0 | byte >> 6, 0x80 | byte & 0x3f]);
            }
        }
        self.close(start, self.0.len() - start - 4);
    }

    /// A `str` of the same code points as the bytes.
    pub fn latin1(&mut self, value: &[u8]) {
        if value.is_ascii() {
            return self.sized(b'u', value);
        }
        let start = self.open(b'u');
        for byte in value {
            if byte.is_ascii() {
                self.0.push(*byte);
            } else {
                self.0
                    .extend_from_slice(&[0xc0 | byte >> 6, 0x80 | byte & 0x3f]);
            }
        }
        self.close(start, self.0.len() - start - 4);
    }

    /// The head of a `tuple` with this number of items.
    pub fn tuple(&mut self, items: u32) {
        self.code(b'(', items.to_le_bytes());
    }

    /// The head of a `list` with this number of items.
    pub fn list(&mut self, items: u32) {
        self.code(b'[', items.to_le_bytes());
    }

    /// The head of a `dict`: keys and values in turn follow, and its [end](Self::end_dict).
    pub fn dict(&mut self) {
        self.0.push(b'{');
    }

    /// The end of a `dict`.
    pub fn end_dict(&mut self) {
        self.0.push(b'0');
    }

    /// What a test wants to stand there.
    #[cfg(test)]
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The head of a `list` whose number of items is told at its end.
    pub(super) fn open_list(&mut self) -> OpenList {
        OpenList(self.open(b'['))
    }

    /// The end of that list.
    pub(super) fn close_list(&mut self, list: OpenList, items: usize) {
        self.close(list.0, items);
    }

    fn sized(&mut self, code: u8, value: &[u8]) {
        self.code(code, length(value.len()));
        self.0.extend_from_slice(value);
    }

    fn code(&mut self, code: u8, number: [u8; 4]) {
        let [a, b, c, d] = number;
        self.0.extend_from_slice(&[code, a, b, c, d]);
    }

    /// Where the number goes that is not known yet.
    fn open(&mut self, code: u8) -> usize {
        self.code(code, [0; 4]);
        self.0.len() - 4
    }

    fn close(&mut self, start: usize, number: usize) {
        if let Some(place) = self.0[start..].first_chunk_mut() {
            *place = length(number);
        }
    }
}

/// A length as `marshal` has it. One beyond 32 bits makes a frame that is too long, and so is never sent.
fn length(length: usize) -> [u8; 4] {
    i32::try_from(length).unwrap_or(i32::MAX).to_le_bytes()
}
