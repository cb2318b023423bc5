//! Bytes and text of a frame as the contract looks at them.

use std::borrow::Cow;

use bytes::Bytes;

use super::text::Unencodable;
use super::{FrameError, Text};
use crate::view::{Latin1, Octets};

/// A body that came in parts, as what it was.
pub(super) fn joined(bytes: &Bytes, is_text: bool) -> Octets {
    if is_text {
        Octets::Text(bytes.clone())
    } else {
        Octets::Binary(bytes.clone())
    }
}

/// A `str` in UTF-8, surrogates that stand for bytes turned back into them.
pub(super) fn encoded(text: Text<'_>, frame: &Bytes) -> Result<Octets, FrameError> {
    match text.encode() {
        Ok(Cow::Borrowed(bytes)) => Ok(Octets::Text(share(frame, bytes))),
        Ok(Cow::Owned(bytes)) => Ok(Octets::Text(bytes.into())),
        Err(Unencodable::At { code_point, index }) => Ok(Octets::Unencodable(code_point, index)),
        Err(Unencodable::Malformed) => Err(malformed()),
    }
}

/// Gives `take` a `str` in latin-1.
pub(super) fn latin1<R>(
    text: Text<'_>,
    take: impl FnOnce(&[u8]) -> R,
) -> Result<Latin1<R>, FrameError> {
    match text.latin1() {
        Ok(bytes) => Ok(Latin1::Text(take(&bytes))),
        Err(Unencodable::At { code_point, index }) => Ok(Latin1::Unencodable(code_point, index)),
        Err(Unencodable::Malformed) => Err(malformed()),
    }
}

/// The UTF-8 of a `str`, surrogates as if they were characters.
pub(super) fn well_formed(text: Text<'_>) -> Result<&[u8], FrameError> {
    if text.is_well_formed() {
        Ok(text.as_bytes())
    } else {
        Err(malformed())
    }
}

#[cold]
fn malformed() -> FrameError {
    FrameError::new("a str that is no text", 0, "UTF-8")
}

/// Below this, bytes are copied out of a frame; a share of it would cost as much.
const SMALL: usize = 1024;

/// A share keeps all of its frame: at most so many times what it needs.
const WASTE: usize = 64;

/// Bytes that outlive the `frame` in which they lie: a share of it, unless they are small, for themselves or beside it.
pub(super) fn share(frame: &Bytes, bytes: &[u8]) -> Bytes {
    let start = (bytes.as_ptr() as usize).wrapping_sub(frame.as_ptr() as usize);
    let end = start
        .checked_add(bytes.len())
        .filter(|end| *end <= frame.len());
    match end.filter(|_| bytes.len() >= SMALL && bytes.len().saturating_mul(WASTE) >= frame.len()) {
        Some(end) => frame.slice(start..end),
        None => Bytes::copy_from_slice(bytes),
    }
}
