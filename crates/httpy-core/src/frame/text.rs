//! `Text`: a Python `str` in a frame, in UTF-8 with its lone surrogates as if they were characters (`surrogatepass`).

use std::borrow::Cow;

/// A Python `str` as it is in a frame. Its bytes are validated when they are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<'a>(&'a [u8]);

/// What one character is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Character {
    code_point: u32,
    length: usize,
}

/// Why there are no bytes for a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unencodable {
    /// There is none for this character.
    At {
        code_point: u32,
        /// Counted in characters.
        index: usize,
    },
    /// It is no text.
    Malformed,
}

/// The surrogates that stand for the bytes from 0x80 (PEP 383).
const BYTES: std::ops::RangeInclusive<u32> = 0xdc80..=0xdcff;
const SURROGATES: std::ops::RangeInclusive<u32> = 0xd800..=0xdfff;

impl<'a> Text<'a> {
    /// The text of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes as they came.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The text, where it is one without surrogates.
    pub fn to_str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }

    /// The text; what is none in UTF-8 is replaced.
    pub fn to_string_lossy(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }

    /// As UTF-8, surrogates that stand for bytes turned back into them (PEP 383).
    pub(super) fn encode(&self) -> Result<Cow<'a, [u8]>, Unencodable> {
        if std::str::from_utf8(self.0).is_ok() {
            return Ok(Cow::Borrowed(self.0));
        }
        let mut bytes = Vec::with_capacity(self.0.len());
        self.characters(|Character { code_point, length }, raw| {
            if BYTES.contains(&code_point) {
                bytes.push((code_point & 0xff) as u8);
            } else if SURROGATES.contains(&code_point) {
                return false;
            } else {
                bytes.extend_from_slice(&raw[..length]);
            }
            true
        })?;
        Ok(Cow::Owned(bytes))
    }

    /// As latin-1.
    pub(super) fn latin1(&self) -> Result<Cow<'a, [u8]>, Unencodable> {
        if self.0.is_ascii() {
            return Ok(Cow::Borrowed(self.0));
        }
        let mut bytes = Vec::with_capacity(self.0.len());
        self.characters(|Character { code_point, .. }, _| {
            u8::try_from(code_point)
                .map(|byte| bytes.push(byte))
                .is_ok()
        })?;
        Ok(Cow::Owned(bytes))
    }

    /// Whether it is text: UTF-8 but for surrogates.
    pub(super) fn is_well_formed(&self) -> bool {
        std::str::from_utf8(self.0).is_ok() || self.characters(|_, _| true).is_ok()
    }

    /// Walks over all characters while `take` takes them; it also sees the bytes that begin with each.
    fn characters(
        &self,
        mut take: impl FnMut(Character, &[u8]) -> bool,
    ) -> Result<(), Unencodable> {
        let (mut rest, mut index, mut refused) = (self.0, 0, None);
        while !rest.is_empty() {
            let character = first(rest).ok_or(Unencodable::Malformed)?;
            // What is no text at all counts first, wherever it stands.
            if refused.is_none() && !take(character, rest) {
                refused = Some(Unencodable::At {
                    code_point: character.code_point,
                    index,
                });
            }
            rest = &rest[character.length..];
            index += 1;
        }
        refused.map_or(Ok(()), Err)
    }
}

/// The character at the start of `bytes`.
fn first(bytes: &[u8]) -> Option<Character> {
    let next = |index: usize| {
        bytes
            .get(index)
            .filter(|byte| **byte & 0xc0 == 0x80)
            .map(|byte| u32::from(byte & 0x3f))
    };
    let lead = u32::from(*bytes.first()?);
    let (code_point, length, least) = match lead {
        0..0x80 => (lead, 1, 0),
        0xc2..0xe0 => ((lead & 0x1f) << 6 | next(1)?, 2, 0x80),
        0xe0..0xf0 => ((lead & 0x0f) << 12 | next(1)? << 6 | next(2)?, 3, 0x800),
        0xf0..0xf5 => (
            (lead & 0x07) << 18 | next(1)? << 12 | next(2)? << 6 | next(3)?,
            4,
            0x1_0000,
        ),
        _ => return None,
    };
    (code_point >= least && code_point <= 0x10_ffff).then_some(Character { code_point, length })
}

impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.to_string_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogates_that_stand_for_bytes_become_those_bytes_and_no_others_do() {
        let encoded = |bytes| Text::new(bytes).encode().map(Cow::into_owned);
        assert_eq!(encoded("é☕😀".as_bytes()), Ok("é☕😀".as_bytes().to_vec()));
        assert_eq!(
            encoded(b"a\xed\xb2\x80\xed\xb3\xbfb"),
            Ok(b"a\x80\xffb".to_vec())
        );
        for (bytes, code_point, index) in [
            (&b"abc\xed\xa0\x80"[..], 0xd800, 3),
            (b"\xc3\xa9\xed\xb1\xbf", 0xdc7f, 1),
            (b"\xf0\x9f\x98\x80\xed\xb3\xbf\xed\xb4\x80", 0xdd00, 2),
        ] {
            assert_eq!(encoded(bytes), Err(Unencodable::At { code_point, index }));
        }
    }

    #[test]
    fn what_is_no_text_is_told_from_text_that_does_not_encode() {
        let odd: [&[u8]; 9] = [
            b"\x80",
            b"\xc1\x80",
            b"\xc3",
            b"\xe0\x80\x80",
            b"\xed\xa0",
            b"\xf0\x80\x80\x80",
            b"\xf4\x90\x80\x80",
            b"\xff",
            b"\xed\xa0\x80\xff",
        ];
        for bytes in odd {
            let text = Text::new(bytes);
            assert!(!text.is_well_formed(), "{bytes:?}");
            assert_eq!(text.encode(), Err(Unencodable::Malformed), "{bytes:?}");
            assert_eq!(text.latin1(), Err(Unencodable::Malformed), "{bytes:?}");
        }
        assert!(Text::new(b"\xed\xa0\xbd\xed\xb8\x80").is_well_formed());
    }

    #[test]
    fn latin_1_is_one_byte_each_and_what_lies_beyond_is_named() {
        assert_eq!(
            Text::new("aÿ".as_bytes()).latin1(),
            Ok(Cow::Owned(b"a\xff".to_vec()))
        );
        let beyond = Unencodable::At {
            code_point: 0x20ac,
            index: 1,
        };
        assert_eq!(Text::new("é€".as_bytes()).latin1(), Err(beyond));
    }
}
