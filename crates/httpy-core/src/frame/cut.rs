//! `cut()`: from a stream of bytes to the payloads of its frames.

use std::iter;

use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;

use super::octet::share;
use super::value::Cursor;
use super::{FRAME_LIMIT, FrameError, Items};

const HEAD: usize = 4;

/// A frame without its length.
#[derive(Clone, Debug)]
pub struct Payload(Bytes);

/// The payload of the first frame of what has `arrived`, which is taken out of it; none while it is not all there.
///
/// A length is only ever compared, so that no memory is taken for bytes that have not come.
///
/// # Errors
///
/// A length beyond [`FRAME_LIMIT`]: nothing that follows can be read.
pub fn cut(arrived: &mut BytesMut) -> Result<Option<Payload>, FrameError> {
    let Some(length) = payload_length(arrived)? else {
        return Ok(None);
    };
    if arrived.len() < HEAD + length {
        return Ok(None);
    }
    arrived.advance(HEAD);
    Ok(Some(Payload(arrived.split_to(length).freeze())))
}

/// Number of bytes known to be missing of the first frame in `arrived`.
///
/// # Errors
///
/// A length beyond [`FRAME_LIMIT`].
pub fn missing(arrived: &[u8]) -> Result<usize, FrameError> {
    let whole = payload_length(arrived)?.map_or(HEAD, |length| HEAD + length);
    Ok(whole.saturating_sub(arrived.len()))
}

fn payload_length(arrived: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some(length) = arrived.first_chunk().map(|head| u32::from_le_bytes(*head)) else {
        return Ok(None);
    };
    match usize::try_from(length)
        .ok()
        .filter(|length| *length <= FRAME_LIMIT)
    {
        Some(length) => Ok(Some(length)),
        None => Err(FrameError::new(
            format!("a length of {length} bytes"),
            0,
            "a frame of 16 MiB at most",
        )),
    }
}

impl Payload {
    /// A payload that came by another way.
    pub fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The messages in it, in order. After an error there are no more.
    ///
    /// # Errors
    ///
    /// What is no list of values, or is not all of the payload.
    pub fn messages<'a, T: Deserialize<'a>>(
        &'a self,
    ) -> Result<impl Iterator<Item = Result<T, FrameError>> + use<'a, T>, FrameError> {
        let mut cursor = Cursor::new(&self.0);
        let mut left = cursor.list()?;
        Ok(iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let message = cursor.message(left == 0).and_then(Items::read);
            if message.is_err() {
                left = 0;
            }
            Some(message)
        }))
    }

    /// Bytes of it that outlive it.
    pub fn share(&self, bytes: &[u8]) -> Bytes {
        share(&self.0, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_whatever_pieces_they_arrive_in() {
        let bytes = b"\x03\0\0\0abc\0\0\0\0\x01\0\0\0d";
        for piece in 1..=bytes.len() {
            let (mut arrived, mut payloads) = (BytesMut::new(), Vec::new());
            for piece in bytes.chunks(piece) {
                arrived.extend_from_slice(piece);
                while let Some(payload) = cut(&mut arrived).unwrap() {
                    payloads.push(payload.as_bytes().clone());
                }
            }
            assert_eq!(payloads, ["abc", "", "d"]);
            assert!(arrived.is_empty());
        }
    }

    #[test]
    fn what_is_missing_is_known_as_soon_as_the_length_is() {
        assert_eq!(missing(b""), Ok(4));
        assert_eq!(missing(b"\x03"), Ok(3));
        assert_eq!(missing(b"\x03\0\0\0a"), Ok(2));
        assert_eq!(missing(b"\x01\0\0\0abc"), Ok(0));
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_has_come() {
        let limit = u32::try_from(FRAME_LIMIT).unwrap();
        assert!(
            cut(&mut BytesMut::from(&limit.to_le_bytes()[..]))
                .unwrap()
                .is_none()
        );
        for length in [limit + 1, u32::MAX] {
            let error = cut(&mut BytesMut::from(&length.to_le_bytes()[..])).unwrap_err();
            let text = format!(
                "found a length of {length} bytes at byte 0, expected a frame of 16 MiB at most"
            );
            assert_eq!(error.to_string(), text);
        }
    }
}
