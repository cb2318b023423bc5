//! Tests of the frames, and [`Py`], by which they say what stands in one.

mod job;
mod marshal;
mod message;
mod notification;
mod result;
mod value;
mod vector;
mod wire;

use bytes::Bytes;

use super::{Batch, Payload, Value, Writer, cut};

/// A Python value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Py {
    None,
    Bool(bool),
    Int(i64),
    BigInt,
    Float(u64),
    Bytes(Vec<u8>),
    /// In UTF-8 with surrogates as if they were characters.
    Str(Vec<u8>),
    Tuple(Vec<Self>),
    List(Vec<Self>),
    Dict(Vec<(Self, Self)>),
}

impl Py {
    pub(super) fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(bytes.into())
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        let number = |items: usize| u32::try_from(items).unwrap();
        match self {
            Self::None => writer.none(),
            Self::Bool(value) => writer.bool(*value),
            Self::Int(value) => writer.int(*value),
            Self::BigInt => writer.raw(b"l\x05\0\0\0\0\0\0\0\0\0\0\0\x10\0"),
            Self::Float(bits) => writer.float(f64::from_bits(*bits)),
            Self::Bytes(bytes) => writer.bytes(bytes),
            Self::Str(text) => {
                writer.raw(b"u");
                writer.raw(&number(text.len()).to_le_bytes());
                writer.raw(text);
            }
            Self::Tuple(items) => {
                writer.tuple(number(items.len()));
                for item in items {
                    item.write(writer);
                }
            }
            Self::List(items) => {
                writer.list(number(items.len()));
                for item in items {
                    item.write(writer);
                }
            }
            Self::Dict(pairs) => {
                writer.dict();
                for (key, value) in pairs {
                    key.write(writer);
                    value.write(writer);
                }
                writer.end_dict();
            }
        }
    }

    /// The value alone.
    pub(super) fn dump(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut Writer::new(&mut bytes));
        bytes
    }
}

impl From<Value<'_>> for Py {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::None => Self::None,
            Value::Bool(value) => Self::Bool(value),
            Value::Int(value) => Self::Int(value),
            Value::BigInt => Self::BigInt,
            Value::Float(value) => Self::Float(value.to_bits()),
            Value::Bytes(bytes) => Self::bytes(bytes),
            Value::Text(text) => Self::Str(text.as_bytes().to_vec()),
            Value::Tuple(items) => Self::Tuple(items.map(Self::from).collect()),
            Value::List(items) => Self::List(items.map(Self::from).collect()),
            Value::Dict(pairs) => Self::Dict(
                pairs
                    .map(|(key, value)| (key.into(), value.into()))
                    .collect(),
            ),
        }
    }
}

impl From<&str> for Py {
    fn from(text: &str) -> Self {
        Self::Str(text.into())
    }
}

impl From<i64> for Py {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Py {
    fn from(number: f64) -> Self {
        Self::Float(number.to_bits())
    }
}

impl From<bool> for Py {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<()> for Py {
    fn from((): ()) -> Self {
        Self::None
    }
}

/// A tuple of these.
macro_rules! tuple {
    ($($item:expr),* $(,)?) => { crate::frame::tests::Py::Tuple(vec![$(crate::frame::tests::Py::from($item)),*]) };
}

/// A list of these.
macro_rules! list {
    ($($item:expr),* $(,)?) => { crate::frame::tests::Py::List(vec![$(crate::frame::tests::Py::from($item)),*]) };
}

/// A dict of these.
macro_rules! dict {
    ($($key:expr => $value:expr),* $(,)?) => {
        crate::frame::tests::Py::Dict(vec![
            $((crate::frame::tests::Py::from($key), crate::frame::tests::Py::from($value))),*
        ])
    };
}

pub(super) use {dict, list, tuple};

/// The payload of one frame with these messages.
pub(super) fn payload(messages: &[Py]) -> Payload {
    let mut batch = Batch::new();
    for message in messages {
        batch.add(|writer| message.write(writer)).unwrap();
    }
    let mut arrived = batch.as_bytes().into();
    let payload = cut(&mut arrived).unwrap().unwrap();
    assert!(arrived.is_empty());
    payload
}

/// What stands in these bytes.
pub(super) fn value(bytes: &[u8]) -> Result<Py, String> {
    Value::read(bytes)
        .map(Py::from)
        .map_err(|error| error.to_string())
}

pub(super) fn frame(value: &Py) -> Bytes {
    value.dump().into()
}
