//! `Plain`: a handler's result that a worker sends as it is.

use bytes::Bytes;

use super::octet::{encoded, joined, latin1, share, well_formed};
use super::{FrameError, Value};
use crate::view::{Integer, Latin1, Octets, Refusal, Triple, View};

/// An object of exactly the type that its value has.
#[derive(Clone, Copy, Debug)]
pub enum Plain<'a> {
    /// As it stands in the frame.
    Value {
        /// The value.
        value: Value<'a>,
        /// What it lies in.
        frame: &'a Bytes,
    },
    /// A tuple of these three.
    Reply(&'a [Plain<'a>; 3]),
    /// The body that came before.
    Ahead {
        /// Its bytes.
        bytes: &'a Bytes,
        /// Whether it was a `str`.
        is_text: bool,
    },
    /// The iterator that a body is.
    Iterator,
}

impl<'a> Plain<'a> {
    /// `value`, which lies in `frame`.
    pub fn new(value: Value<'a>, frame: &'a Bytes) -> Self {
        Self::Value { value, frame }
    }
}

impl View for Plain<'_> {
    type Error = FrameError;

    fn triple(&self) -> Result<Triple<Self>, FrameError> {
        Ok(match self {
            Self::Reply([status, body, headers]) => Triple::Three(*status, *body, *headers),
            Self::Value {
                value: Value::Tuple(items),
                frame,
            } => {
                let mut each = items.map(|value| Self::new(value, frame));
                match (items.len(), each.next(), each.next(), each.next()) {
                    (3, Some(status), Some(body), Some(headers)) => {
                        Triple::Three(status, body, headers)
                    }
                    (count, ..) => Triple::Other(count),
                }
            }
            _ => Triple::NoTuple,
        })
    }

    fn close_coroutine(&self) -> Result<bool, FrameError> {
        Ok(false)
    }

    fn type_name(&self) -> String {
        let name = match self {
            Self::Value { value, .. } => value.type_name(),
            Self::Reply(_) => "tuple",
            Self::Ahead { is_text, .. } => {
                if *is_text {
                    "str"
                } else {
                    "bytes"
                }
            }
            Self::Iterator => "iterator",
        };
        name.to_owned()
    }

    fn type_names(&self) -> Vec<String> {
        match self {
            Self::Reply(items) => items.iter().map(View::type_name).collect(),
            Self::Value {
                value: Value::Tuple(items),
                ..
            } => items
                .take(8)
                .map(|value| value.type_name().to_owned())
                .collect(),
            _ => Vec::new(),
        }
    }

    fn integer(&self) -> Result<Integer, FrameError> {
        Ok(match self {
            Self::Value {
                value: Value::Int(number),
                ..
            } => Integer::Number(*number),
            Self::Value {
                value: Value::BigInt,
                ..
            } => Integer::Beyond,
            _ => Integer::NoInt,
        })
    }

    fn octets(&self) -> Result<Octets, FrameError> {
        match self {
            Self::Value {
                value: Value::Text(text),
                frame,
            } => encoded(*text, frame),
            Self::Value {
                value: Value::Bytes(bytes),
                frame,
            } => Ok(Octets::Binary(share(frame, bytes))),
            Self::Ahead { bytes, is_text } => Ok(joined(bytes, *is_text)),
            _ => Ok(Octets::NoBytes),
        }
    }

    fn is_none(&self) -> bool {
        matches!(
            self,
            Self::Value {
                value: Value::None,
                ..
            }
        )
    }

    fn is_iterator(&self) -> Result<bool, FrameError> {
        Ok(matches!(self, Self::Iterator))
    }

    fn is_async_iterator(&self) -> Result<bool, FrameError> {
        Ok(false)
    }

    fn pairs(
        &self,
    ) -> Result<Option<impl Iterator<Item = Result<(Self, Self), FrameError>>>, FrameError> {
        let Self::Value {
            value: Value::Dict(pairs),
            frame,
        } = *self
        else {
            return Ok(None);
        };
        Ok(Some(pairs.map(move |(key, value)| {
            Ok((Self::new(key, frame), Self::new(value, frame)))
        })))
    }

    fn items(&self) -> Result<Option<impl Iterator<Item = Result<Self, FrameError>>>, FrameError> {
        let Self::Value {
            value: Value::Tuple(items) | Value::List(items),
            frame,
        } = *self
        else {
            return Ok(None);
        };
        Ok(Some(items.map(move |value| Ok(Self::new(value, frame)))))
    }

    fn with_utf8<R>(
        &self,
        take: impl FnOnce(&[u8]) -> Result<R, Refusal<FrameError>>,
    ) -> Result<Option<R>, Refusal<FrameError>> {
        let Self::Value {
            value: Value::Text(text),
            ..
        } = self
        else {
            return Ok(None);
        };
        take(well_formed(*text).map_err(Refusal::Unread)?).map(Some)
    }

    fn with_latin1<R>(&self, take: impl FnOnce(&[u8]) -> R) -> Result<Latin1<R>, FrameError> {
        let Self::Value {
            value: Value::Text(text),
            ..
        } = self
        else {
            return Ok(Latin1::NoStr);
        };
        latin1(*text, take)
    }
}
